"""A layer, a loss and a metric of one's own: the model says between which bounds a value lies.

python examples/custom_layer_and_loss.py [--epochs 150] [--batch-size 32]

The pinball loss teaches three outputs the 10 %, 50 % and 90 % quantiles of how far diabetes goes within a year. About
80 % of unseen patients should lie between the outer two; measured: 73 %. All of it is traced into one native step.
"""

from __future__ import annotations

import argparse
from typing import Any

import patients

import graphc as keras
from graphc import layers, ops

QUANTILES = (0.1, 0.5, 0.9)


class RisingOutputs(layers.Layer):
    """A dense layer whose outputs rise from the first to the last: each adds something positive to the one before."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.units,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        raw = ops.matmul(inputs, self.kernel) + self.bias
        return ops.cumsum(ops.concatenate([raw[:, :1], ops.softplus(raw[:, 1:])], axis=1), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Pinball(keras.losses.Loss):
    """The loss that is least if a share q of the values lies below output q (Koenker and Bassett 1978)."""

    def __init__(self, quantiles: tuple[float, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantiles = quantiles

    def call(self, y_true: Any, y_pred: Any) -> Any:
        above = y_true - y_pred
        q = ops.convert_to_tensor(self.quantiles)
        return ops.mean(ops.maximum(q * above, (q - 1.0) * above), axis=-1)


class Coverage(keras.metrics.Metric):
    """The share of values between the first and the last output."""

    def __init__(self, name: str = "coverage", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.inside = self.add_weight(name="inside", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        inside = ops.logical_and(y_true[:, 0] >= y_pred[:, 0], y_true[:, 0] <= y_pred[:, -1])
        self.inside.assign_add(ops.sum(ops.cast(inside, "float32")))
        self.count.assign_add(ops.cast(ops.shape(y_true)[0], "float32"))

    def result(self) -> Any:
        return self.inside / self.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = patients.load()
    normalization = layers.Normalization()
    normalization.adapt(x_train)

    model = keras.Sequential([
        keras.Input((10,)),
        normalization,
        layers.Dense(16, activation="tanh"),
        layers.Dropout(0.2),
        RisingOutputs(len(QUANTILES)),
        layers.Rescaling(100.0),
    ])  # fmt: skip
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=Pinball(QUANTILES), metrics=[Coverage()])
    model.fit(x_train, y_train, epochs=options.epochs, batch_size=options.batch_size, verbose=0)

    loss, coverage = model.evaluate(x_test, y_test, verbose=0)
    print(f"pinball loss: {loss:.2f}")
    print(f"between the bounds: {coverage:.0%}")
    for row, value in zip(model.predict(x_test[:3], verbose=0), y_test[:3, 0], strict=True):
        print(f"from {row[0]:.0f} to {row[2]:.0f}, probably about {row[1]:.0f}; it was {value:.0f}")


if __name__ == "__main__":
    main()
