"""Digits to learn: MNIST, or scikit-learn's small real digits where MNIST cannot be had."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as keras

Array = np.ndarray[Any, Any]
Pair = tuple[Array, Array]


def load() -> tuple[Pair, Pair, int]:
    """(x_train, y_train), (x_test, y_test) and how many epochs are worth while; x in [0, 1] of shape (n, 28, 28)."""
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
        epochs = 5
    except FileNotFoundError as error:
        print(f"MNIST is not to be had here: {error}")
        print("Training on scikit-learn's 1,797 real 8 x 8 digits instead, scaled up to 28 x 28.")
        (x_train, y_train), (x_test, y_test) = small_digits()
        epochs = 25
    return (scaled(x_train), y_train), (scaled(x_test), y_test), epochs


def scaled(images: Array) -> Array:
    return (images / 255.0).astype("float32")


def small_digits() -> tuple[Pair, Pair]:
    """The digits of the UCI repository that come with scikit-learn, in MNIST's layout; every fifth is a test digit."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SystemExit("scikit-learn is missing too: pip install scikit-learn, then run this again") from error
    digits = load_digits()
    large = np.kron(digits.images, np.ones((3, 3)))
    images = np.pad(large * (255 / 16), ((0, 0), (2, 2), (2, 2))).astype("uint8")
    labels = digits.target.astype("uint8")
    is_test = np.arange(len(labels)) % 5 == 0
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])
