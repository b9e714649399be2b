"""Training programs that run under Keras and under graphc alike, for the live comparison in `test_keras.py`.

`KERAS_BACKEND=jax python tests/keras_programs.py FILE.npz` runs them all under Keras and writes their results. A result
whose name begins with `exact` must be equal bit by bit, the others to the program's tolerance.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras_curves
import numpy as np
from numpy.typing import NDArray

Results = dict[str, Any]
SEED, CLASSES, BATCH = 11, 5, 20

_rng = np.random.default_rng(4)
ROWS = _rng.normal(size=(100, 24)).astype("float32")
IMAGES = _rng.normal(size=(100, 11, 10, 2)).astype("float32")


def _learnable_labels(x: NDArray[np.float32]) -> NDArray[np.intp]:
    flat = x.reshape(len(x), -1)
    scores: NDArray[np.float64] = flat @ _rng.normal(size=(flat.shape[1], CLASSES))
    labels: NDArray[np.intp] = scores.argmax(axis=1)
    return labels


ROW_LABELS, IMAGE_LABELS = _learnable_labels(ROWS), _learnable_labels(IMAGES)


class Program(NamedTuple):
    """What runs with `keras` or `graphc` as its argument, and the relative tolerance of what it returns."""

    run: Callable[[Any], Results]
    tolerance: float


PROGRAMS: dict[str, Program] = {}


def program(tolerance: float) -> Callable[[Callable[[Any], Results]], Callable[[Any], Results]]:
    def register(function: Callable[[Any], Results]) -> Callable[[Any], Results]:
        PROGRAMS[function.__name__] = Program(function, tolerance)
        return function

    return register


def mlp(k: Any, optimizer: Any, dropout: float = 0.0, **options: Any) -> Any:
    """Three dense layers on ROWS and ROW_LABELS; kernels and dropout masks follow from SEED."""
    k.utils.set_random_seed(SEED)
    n = k.layers
    hidden = [n.Dense(32, activation="relu"), *([n.Dropout(dropout)] if dropout else []), n.Dense(16, "tanh")]
    model = k.Sequential([k.Input((24,)), *hidden, n.Dense(CLASSES, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return model


def cnn(k: Any, optimizer: Any, **options: Any) -> Any:
    """Two convolutions with both kinds of pooling, then dense layers, on IMAGES and IMAGE_LABELS."""
    k.utils.set_random_seed(SEED)
    n = k.layers
    model = k.Sequential([
        k.Input((11, 10, 2)),
        n.Conv2D(6, 3, activation="relu"),
        n.MaxPooling2D(2),
        n.Conv2D(8, 3, padding="same", activation="relu", kernel_initializer="he_uniform"),
        n.AveragePooling2D(2),
        n.Flatten(),
        n.Dense(16, activation="relu"),
        n.Dense(CLASSES),
    ])  # fmt: skip
    model.compile(optimizer, k.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    return model


def batches(x: Any, y: Any, steps: int) -> list[tuple[Any, Any]]:
    """The batches of so many steps, again from the start when the data ends."""
    starts = [step * BATCH % len(x) for step in range(steps)]
    return [(x[start : start + BATCH], y[start : start + BATCH]) for start in starts]


def step(model: Any, rows: Any, targets: Any) -> float:
    """One training step; its loss alone. The model has no metrics but the loss."""
    model.reset_metrics()
    return float(np.squeeze(model.train_on_batch(rows, targets)))


def initial(model: Any) -> Results:
    return {f"exact initial weight {i}": value for i, value in enumerate(model.get_weights())}


def trained(model: Any, x: Any, y: Any, steps: int) -> Results:
    return {**initial(model), "losses": [step(model, *batch) for batch in batches(x, y, steps)]}


@program(tolerance=1e-4)
def mlp_momentum(k: Any) -> Results:
    return trained(mlp(k, k.optimizers.SGD(0.05, momentum=0.9)), ROWS, ROW_LABELS, 50)


@program(tolerance=1e-4)
def cnn_momentum(k: Any) -> Results:
    return trained(cnn(k, k.optimizers.SGD(0.05, momentum=0.9)), IMAGES, IMAGE_LABELS, 50)


@program(tolerance=1e-3)
def mlp_adam(k: Any) -> Results:
    return trained(mlp(k, k.optimizers.Adam(0.01)), ROWS, ROW_LABELS, 20)


@program(tolerance=1e-3)
def cnn_adam(k: Any) -> Results:
    return trained(cnn(k, k.optimizers.Adam(0.005)), IMAGES, IMAGE_LABELS, 20)


@program(tolerance=1e-3)
def mlp_rmsprop(k: Any) -> Results:
    return trained(mlp(k, k.optimizers.RMSprop(0.005)), ROWS, ROW_LABELS, 20)


@program(tolerance=1e-3)
def cnn_rmsprop(k: Any) -> Results:
    return trained(cnn(k, k.optimizers.RMSprop(0.002)), IMAGES, IMAGE_LABELS, 20)


@program(tolerance=1e-4)
def fit(k: Any) -> Results:
    """Two shuffled epochs of 80 rows in batches of 32, 32 and 16, then 20 rows of validation."""
    model = cnn(k, k.optimizers.SGD(0.02, momentum=0.9), metrics=["accuracy"])
    options: dict[str, Any] = {"batch_size": 32, "epochs": 2, "validation_split": 0.2, "verbose": 0}
    history = model.fit(IMAGES, IMAGE_LABELS, **options).history
    return {
        "exact names": list(history),
        **history,
        "evaluate": model.evaluate(IMAGES, IMAGE_LABELS, verbose=0),
        "exponentials of logits": np.exp(model.predict(IMAGES, batch_size=64, verbose=0)),
    }


@program(tolerance=1e-4)
def outputs_by_name(k: Any) -> Results:
    """Losses and metrics of outputs given as dicts, in another order than that of the outputs; one is a function."""

    def near(y_true: Any, y_pred: Any) -> Any:
        return k.ops.cast(k.ops.abs(y_true - y_pred) < 1, "float32")

    k.utils.set_random_seed(SEED)
    x = k.Input((24,))
    ends = {"a": k.layers.Dense(1)(x), "b": k.layers.Dense(CLASSES, "softmax")(x)}
    model = k.Model(x, ends)
    losses = {"b": "sparse_categorical_crossentropy", "a": "mse"}
    model.compile("sgd", losses, metrics={"b": ["acc"], "a": ["mae", near]}, loss_weights={"a": 0.5, "b": 2.0})
    targets = {"a": ROWS[:, :1], "b": ROW_LABELS}
    history = model.fit(ROWS, targets, batch_size=BATCH, epochs=2, verbose=0).history
    return {"exact names": list(history), **history, "evaluate": model.evaluate(ROWS, targets, verbose=0)}


@program(tolerance=1e-4)
def own_loss(k: Any) -> Results:
    """Nothing is compiled but the optimizer: no permutation goes into building."""
    k.utils.set_random_seed(SEED)

    class Absolute(k.Model):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.error = k.metrics.Mean(name="error")

        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
            error = k.ops.mean(k.ops.abs(y - y_pred))
            self.error.update_state(error)
            return error + sum(self.losses)

        @property
        def metrics(self) -> list[Any]:
            return [self.error]

    x = k.Input((24,))
    model = Absolute(x, k.layers.Dense(1, kernel_regularizer="l1")(x))
    model.compile("sgd")
    return dict(model.fit(ROWS, ROWS[:, :1] * 2, batch_size=BATCH, epochs=3, verbose=0).history)


@program(tolerance=1e-4)
def dropout_losses(k: Any) -> Results:
    return trained(mlp(k, k.optimizers.SGD(0.05), dropout=0.4), ROWS, ROW_LABELS, 20)


@program(tolerance=1e-6)
def dropout_masks(k: Any) -> Results:
    """The masks of three training steps: from a kernel of zeros, one step of rate 0.5 towards 1 leaves the scaled
    mask of the input's ones in the kernel."""
    k.utils.set_random_seed(SEED)
    n = k.layers
    model = k.Sequential([k.Input((1000,)), n.Dropout(0.3), n.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(k.optimizers.SGD(0.5), "mse")
    found: Results = {}
    for step in range(3):
        model.set_weights([np.zeros((1000, 1), "float32")])
        model.train_on_batch(np.ones((1, 1000), "float32"), np.ones((1, 1), "float32"))
        found[f"scaled mask {step}"] = model.get_weights()[0]
        found[f"exact mask {step}"] = found[f"scaled mask {step}"] != 0
    return found


def curves_of(name: str) -> Callable[[Any], Results]:
    """The first epochs of a model whose whole curves the long test compares."""
    return lambda k: keras_curves.curves(k, name, 3)


PROGRAMS |= {f"curves_{name}": Program(curves_of(name), 5e-3) for name in keras_curves.MODELS}


def results(name: str, k: Any) -> dict[str, NDArray[Any]]:
    """What a program gives under `k`, as arrays by name."""
    return {key: np.asarray(value) for key, value in PROGRAMS[name].run(k).items()}


if __name__ == "__main__":
    import keras

    assert keras.backend.backend() == "jax", keras.backend.backend()
    found: Results = {f"{name}/{key}": value for name in PROGRAMS for key, value in results(name, keras).items()}
    np.savez(Path(sys.argv[1]), **found)
