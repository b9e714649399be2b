"""A convolutional network learns handwritten digits, and the compiler tells what it fused.

python examples/mnist_cnn.py [--epochs 5] [--batch-size 128]
"""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

import digits

import graphc as keras
from graphc import layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, help="5 on MNIST, 25 on the small digits")
    parser.add_argument("--batch-size", type=int, default=128)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test), epochs = digits.load()

    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.summary()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train[..., None], y_train, epochs=options.epochs or epochs, batch_size=options.batch_size)
    _, accuracy = model.evaluate(x_test[..., None], y_test, verbose=0)

    step = model.executable("train", options.batch_size, like=(x_train[..., None], y_train))
    print_fused_kernels(step)
    print(f"test accuracy: {accuracy:.4f}")


def print_fused_kernels(step: Any) -> None:
    """The kernels of a training step that compute more than one op, with the layers they do it for."""
    fused = [kernel for kernel in step.kernels if "+" in kernel.computes]
    print(f"{len(fused)} of the {len(step.kernels)} kernels of a training step are fused:")
    for kernel in fused:
        print(textwrap.fill(f"{kernel}: {kernel.computes}", 116, initial_indent="  ", subsequent_indent="      "))


if __name__ == "__main__":
    main()
