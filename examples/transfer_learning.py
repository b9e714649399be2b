"""What a network has learnt from one task helps it with another for which there is little data.

python examples/transfer_learning.py [--epochs 3] [--batch-size 64]

A network learns the digits 0 to 4. Its convolutions are then frozen, and a new head learns the digits 5 to 9 from 300
examples. On MNIST 95.0 % of them are then named rightly; the same network, trained on the 300 examples from scratch,
names 92.4 %.
"""

from __future__ import annotations

import argparse
from typing import Any

import digits

import graphc as keras
from graphc import layers

FEW = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="of the first task; the second takes ten times as many")
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test), _ = digits.load()
    low, high = y_train < 5, y_train >= 5
    few = x_train[high][:FEW, ..., None], y_train[high][:FEW] - 5
    test = x_test[y_test >= 5][..., None], y_test[y_test >= 5] - 5

    base = convolutions("base")
    teach(classifier(base), (x_train[low][..., None], y_train[low]), options.epochs, options.batch_size, 0.001)

    base.trainable = False
    model = classifier(base)
    print(f"weights that the new head has to learn: {sum(w.numpy().size for w in model.trainable_weights):,}")
    teach(model, few, 10 * options.epochs, 20, 0.003)
    print(f"with what was learnt before: {accuracy(model, test):.4f}")

    scratch = classifier(convolutions("untaught"))
    teach(scratch, few, 20 * options.epochs, 20, 0.001)
    print(f"from scratch: {accuracy(scratch, test):.4f}")


def convolutions(name: str) -> Any:
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
    ], name=name)  # fmt: skip


def classifier(base: Any) -> Any:
    """The base with a new head for five classes."""
    inputs = keras.Input((28, 28, 1))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(base(inputs)))


def teach(model: Any, data: tuple[Any, Any], epochs: int, batch_size: int, rate: float) -> None:
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data, epochs=epochs, batch_size=batch_size, verbose=0)


def accuracy(model: Any, data: tuple[Any, Any]) -> float:
    return float(model.evaluate(*data, verbose=0)[1])


if __name__ == "__main__":
    main()
