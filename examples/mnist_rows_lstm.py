"""Handwritten digits, read row by row from top to bottom: python examples/mnist_rows_lstm.py [--epochs 1]."""

from __future__ import annotations

import argparse

import digits

import graphc as keras
from graphc import layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, help="1 on MNIST, 12 on the small digits")
    parser.add_argument("--units", type=int, default=64)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test), _ = digits.load()
    rows, columns = x_train.shape[1:]

    inputs = keras.Input((rows, columns))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.LSTM(options.units)(inputs)))
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=options.epochs or (1 if len(x_train) > 10_000 else 12), batch_size=64)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test accuracy: {accuracy:.4f}")


if __name__ == "__main__":
    main()
