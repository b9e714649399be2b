"""Five models that learn small real data under Keras and under graphc alike, with their learning curves.

`KERAS_BACKEND=jax python tests/keras_curves.py EPOCHS FILE.npz` writes the curves of Keras as `model/log`. Between them
the models have dense, convolution, transposed convolution and normalisation layers, dropout, residual paths, schedules,
clipping, penalties, and five optimizers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits

SEED, BATCH = 5, 32
Curves = dict[str, NDArray[Any]]


def digits() -> tuple[NDArray[Any], NDArray[Any]]:
    """1,797 pictures of shape (8, 8, 1) in [0, 1] and their labels."""
    found = load_digits()
    return (found.images[..., None] / 16).astype("float32"), found.target.astype("int32")


def dense(k: Any) -> Any:
    n = k.layers
    model = k.Sequential([
        k.Input((8, 8, 1)), n.Flatten(), n.Dense(64, activation="relu"), n.Dropout(0.3), n.Dense(32, activation="gelu"),
        n.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(k.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def convolutional(k: Any) -> Any:
    n = k.layers
    model = k.Sequential([
        k.Input((8, 8, 1)), n.Conv2D(12, 3, padding="same", use_bias=False), n.BatchNormalization(), n.ReLU(),
        n.MaxPooling2D(2), n.Conv2D(16, 3, activation="relu"), n.Flatten(), n.Dense(10),
    ])  # fmt: skip
    rate = k.optimizers.schedules.CosineDecay(0.05, 2000)
    loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(k.optimizers.SGD(rate, momentum=0.9, nesterov=True), loss, metrics=["accuracy"])
    return model


def residual(k: Any) -> Any:
    n = k.layers
    inputs = k.Input((8, 8, 1))
    x = n.Dense(48)(n.Reshape((8, 8))(inputs))
    for _ in range(2):
        past = x
        x = n.Dense(48, activation="silu")(n.LayerNormalization()(x))
        x = n.Add()([past, n.Dense(48)(x)])
    model = k.Model(inputs, n.Dense(10, activation="softmax")(n.GlobalAveragePooling1D()(x)))
    optimizer = k.optimizers.AdamW(0.002, weight_decay=0.01, global_clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def autoencoder(k: Any) -> Any:
    n = k.layers
    model = k.Sequential([
        k.Input((8, 8, 1)), n.Conv2D(8, 3, strides=2, padding="same", activation="elu"), n.Flatten(), n.Dense(16),
        n.Dense(128, activation="elu"), n.Reshape((4, 4, 8)),
        n.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
    ])  # fmt: skip
    model.compile(k.optimizers.Nadam(0.002), "mse", metrics=["mae"])
    return model


def regression(k: Any) -> Any:
    n = k.layers
    model = k.Sequential([
        k.Input((10,)), n.Dense(24, activation="tanh", kernel_regularizer=k.regularizers.L1L2(1e-4, 1e-3)), n.Dense(1),
    ])  # fmt: skip
    model.compile(k.optimizers.RMSprop(0.01, momentum=0.5), k.losses.Huber(0.5), metrics=["mae"])
    return model


MODELS: dict[str, Callable[[Any], Any]] = {
    made.__name__: made for made in (dense, convolutional, residual, autoencoder, regression)
}


def material(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Inputs and targets of a model."""
    if name == "regression":
        found = load_diabetes()
        return (found.data * 20).astype("float32"), ((found.target[:, None] - 150) / 75).astype("float32")
    x, y = digits()
    return (x, x) if name == "autoencoder" else (x, y)


def curves(k: Any, name: str, epochs: int) -> Curves:
    """The logs of every epoch; a fifth of the data is for validation."""
    k.utils.set_random_seed(SEED)
    model = MODELS[name](k)
    x, y = material(name)
    history = model.fit(x, y, batch_size=BATCH, epochs=epochs, validation_split=0.2, verbose=0).history
    return {key: np.asarray(values) for key, values in history.items()}


if __name__ == "__main__":
    import keras

    assert keras.backend.backend() == "jax", keras.backend.backend()
    every = {name: curves(keras, name, int(sys.argv[1])) for name in MODELS}
    flat: dict[str, Any] = {f"{name}/{key}": log for name, logs in every.items() for key, log in logs.items()}
    np.savez(Path(sys.argv[2]), **flat)
