"""A variational autoencoder learns to make up handwritten digits.

python examples/variational_autoencoder.py [--epochs 10] [--batch-size 128]

A layer of its own draws the code and adds its divergence to the loss. After ten epochs on MNIST a digit of the test
set costs about 107 nats; then the decoder draws a few digits that nobody wrote.
"""

from __future__ import annotations

import argparse
from typing import Any

import digits
import numpy as np

import graphc as keras
from graphc import layers, ops

CODE = 16
PIXELS = 28 * 28


class Sampling(layers.Layer):
    """Draws a code from N(mean, exp(log_variance)); adds the divergence from N(0, 1) to the loss, in nats."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        divergence = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0, axis=-1)
        self.add_loss(ops.mean(divergence))
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, _), (x_test, _), _ = digits.load()
    x_train, x_test = x_train.reshape(-1, PIXELS), x_test.reshape(-1, PIXELS)

    encoder, decoder = make_encoder(), make_decoder()
    model = keras.Sequential([keras.Input((PIXELS,)), encoder, decoder], name="variational_autoencoder")
    model.compile(optimizer=keras.optimizers.Adam(0.002), loss=nats)
    model.fit(x_train, x_train, epochs=options.epochs, batch_size=options.batch_size, verbose=2)

    print(f"nats per test digit: {model.evaluate(x_test, x_test, verbose=0):.1f}")
    made_up = decoder.predict(np.random.normal(size=(3, CODE)).astype("float32"), verbose=0)
    print(drawn(made_up.reshape(-1, 28, 28)))


def make_encoder() -> Any:
    inputs = keras.Input((PIXELS,))
    x = layers.Dense(256, activation="relu")(inputs)
    code = Sampling(name="sampling")([layers.Dense(CODE, name="mean")(x), layers.Dense(CODE, name="log_variance")(x)])
    return keras.Model(inputs, code, name="encoder")


def make_decoder() -> Any:
    return keras.Sequential([
        keras.Input((CODE,)),
        layers.Dense(256, activation="relu"),
        layers.Dense(PIXELS, activation="sigmoid"),
    ], name="decoder")  # fmt: skip


def nats(pixels: Any, probabilities: Any) -> Any:
    """What it costs to say the pixels, knowing their probabilities: one number a picture."""
    return PIXELS * keras.losses.binary_crossentropy(pixels, probabilities)


def drawn(pictures: Any) -> str:
    """The pictures side by side, in letters."""
    rows = np.concatenate(list(pictures), axis=1)[::2]
    shades = np.array(list(" .:*#"))
    return "\n".join("".join(shades[(row * 4.99).astype(int)]) for row in rows)


if __name__ == "__main__":
    main()
