"""A residual network with batch normalisation learns handwritten digits.

python examples/residual_net.py [--epochs 3] [--batch-size 64]

Six residual blocks, 175,000 weights, the first 10,000 MNIST digits: 98.5 % right after three epochs.
"""

from __future__ import annotations

import argparse
from typing import Any

import digits

import graphc as keras
from graphc import layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test), _ = digits.load()
    x_train, y_train = x_train[:10_000, ..., None], y_train[:10_000]

    model = residual_net()
    model.summary()
    steps = options.epochs * -(-len(x_train) // options.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(0.05, steps)
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x_train, y_train, epochs=options.epochs, batch_size=options.batch_size, verbose=2)
    _, accuracy = model.evaluate(x_test[..., None], y_test, verbose=0)
    print(f"test accuracy: {accuracy:.4f}")


def residual_net() -> Any:
    """Three stages of two blocks; each stage halves the picture and doubles the channels."""
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        x = residual_block(x, filters, strides)
        x = residual_block(x, filters, 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="residual_net")


def residual_block(x: Any, filters: int, strides: int) -> Any:
    """Two convolutions around which the input goes past; by a convolution of its own where shapes change."""
    past = x
    if strides != 1 or x.shape[-1] != filters:
        past = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
        past = layers.BatchNormalization(momentum=0.9)(past)
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(layers.Add()([x, past]))


if __name__ == "__main__":
    main()
