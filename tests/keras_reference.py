"""What Keras computes: small programs that run under Keras and under graphc alike.

`python tests/keras_reference.py` with Keras 3.15 on JAX installed writes their results to `data/keras_reference.json`;
`test_keras_reference.py` runs the same programs under graphc and compares.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).parent / "data" / "keras_reference.json"
Program = Callable[[Any], dict[str, Any]]
PROGRAMS: dict[str, Program] = {}

_rng = np.random.default_rng(0)
X = _rng.normal(size=(60, 20)).astype("float32")
LABELS = _rng.integers(0, 5, 60)
IMAGES = _rng.normal(size=(60, 12, 12, 2)).astype("float32")
ONE_HOT = np.eye(5, dtype="float32")[LABELS]
WEIGHTS = _rng.random(60).astype("float32")


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def train(model: Any, x: Any, y: Any, steps: int, batch: int = 16) -> list[Any]:
    """The logs of single training steps."""
    logs = []
    for step in range(steps):
        start = step * batch % (len(x) - batch)
        model.reset_metrics()
        logs.append(model.train_on_batch(x[start : start + batch], y[start : start + batch]))
    return logs


def mlp(k: Any, optimizer: Any, metrics: Any = ("accuracy",)) -> Any:
    k.utils.set_random_seed(3)
    dense = k.layers.Dense
    layers = [k.Input((20,)), dense(12, activation="relu"), dense(8, activation="tanh"), dense(5, activation="softmax")]
    model = k.Sequential(layers)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def cnn(k: Any, optimizer: Any) -> Any:
    k.utils.set_random_seed(3)
    model = k.Sequential(
        [
            k.Input((12, 12, 2)),
            k.layers.Conv2D(8, 3, activation="relu", padding="same"),
            k.layers.BatchNormalization(),
            k.layers.MaxPooling2D(),
            k.layers.Conv2D(6, 3, strides=2),
            k.layers.ReLU(),
            k.layers.AveragePooling2D(2, padding="same"),
            k.layers.Flatten(),
            k.layers.Dropout(0.3),
            k.layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy", "mae"])
    return model


@program
def optimizers(k: Any) -> dict[str, Any]:
    o = k.optimizers
    chosen = {
        "sgd": o.SGD(0.1),
        "momentum": o.SGD(0.1, momentum=0.9),
        "nesterov": o.SGD(0.1, momentum=0.9, nesterov=True),
        "adam": o.Adam(0.01),
        "amsgrad": o.Adam(0.01, amsgrad=True),
        "adamw": o.AdamW(0.01),
        "nadam": o.Nadam(0.01),
        "adamax": o.Adamax(0.01),
        "rmsprop": o.RMSprop(0.01, momentum=0.5, centered=True),
        "adagrad": o.Adagrad(0.1),
        "adadelta": o.Adadelta(1.0),
        "lion": o.Lion(0.003),
        "clipnorm": o.SGD(0.5, clipnorm=0.1),
        "global_clipnorm": o.SGD(0.5, global_clipnorm=0.1),
        "clipvalue": o.SGD(0.5, clipvalue=0.01),
        "weight_decay": o.SGD(0.1, weight_decay=0.05),
        "ema": o.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
        "accumulation": o.Adam(0.01, gradient_accumulation_steps=3),
        "cosine": o.SGD(o.schedules.CosineDecay(0.5, 10)),
        "exponential": o.SGD(o.schedules.ExponentialDecay(0.5, 3, 0.5, staircase=True)),
        "piecewise": o.SGD(o.schedules.PiecewiseConstantDecay([3, 6], [0.5, 0.1, 0.01])),
    }
    return {name: train(mlp(k, optimizer), X, LABELS, 10) for name, optimizer in chosen.items()}


@program
def convolutional_network(k: Any) -> dict[str, Any]:
    model = cnn(k, k.optimizers.SGD(0.05, momentum=0.9))
    logs = train(model, IMAGES, ONE_HOT, 12)
    return {"logs": logs, "batch_normalization": model.get_weights()[2:6]}


@program
def fit(k: Any) -> dict[str, Any]:
    model = cnn(k, "adam")
    history = model.fit(IMAGES, ONE_HOT, batch_size=18, epochs=3, verbose=0, validation_split=0.2).history
    return {
        "keys": list(history),
        "history": list(history.values()),
        "evaluate": model.evaluate(IMAGES, ONE_HOT, verbose=0, batch_size=37),
        "predict": model.predict(IMAGES, verbose=0, batch_size=32)[:5],
    }


@program
def sample_weights(k: Any) -> dict[str, Any]:
    weighted = mlp(k, "sgd", []).fit(X, LABELS, sample_weight=WEIGHTS, verbose=0, epochs=2).history["loss"]
    classes = mlp(k, "sgd", []).fit(X, LABELS, class_weight={0: 2.0, 3: 0.5}, verbose=0, epochs=2).history["loss"]
    model = mlp(k, "sgd")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    both = model.evaluate(X, LABELS, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    return {"sample": weighted, "class": classes, "keys": list(both), "values": list(both.values())}


@program
def several_outputs(k: Any) -> dict[str, Any]:
    k.utils.set_random_seed(3)
    dense = k.layers.Dense
    inputs = k.Input((20,))
    a = dense(8, activation="gelu", kernel_regularizer="l2")(inputs)
    b = dense(8, activation="elu", kernel_constraint="max_norm")(inputs)
    joined = k.layers.LayerNormalization()(k.layers.concatenate([a, b])) * 2 + 1
    outputs = [dense(1, name="o1")(joined), dense(5, activation="softmax", name="o2")(k.layers.Add()([a, b]))]
    model = k.Model(inputs, outputs)
    losses = ["mse", "sparse_categorical_crossentropy"]
    model.compile("adam", losses, loss_weights=[0.5, 2.0], metrics=[["mae"], ["accuracy"]])
    targets = [X[:, 0], LABELS]
    history = model.fit(X, targets, verbose=0, epochs=3, batch_size=25).history
    return {
        "keys": list(history),
        "history": list(history.values()),
        "evaluate": model.evaluate(X, targets, verbose=0),
        "names": model.metrics_names,
    }


@program
def losses(k: Any) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    p = rng.random((6, 4)).astype("float32")
    t = rng.random((6, 4)).astype("float32")
    binary = (t > 0.5).astype("float32")
    labels = rng.integers(0, 4, 6)
    hot = np.eye(4, dtype="float32")[labels]
    w = rng.random(6).astype("float32")
    c = k.losses
    pairs: dict[str, tuple[Any, Any]] = {
        "mse": (c.MeanSquaredError(), t),
        "mae": (c.MeanAbsoluteError(), t),
        "mape": (c.MeanAbsolutePercentageError(), t),
        "msle": (c.MeanSquaredLogarithmicError(), t),
        "huber": (c.Huber(0.3), t),
        "log_cosh": (c.LogCosh(), t),
        "kld": (c.KLDivergence(), t),
        "poisson": (c.Poisson(), t),
        "cosine": (c.CosineSimilarity(), t),
        "hinge": (c.Hinge(), binary),
        "squared_hinge": (c.SquaredHinge(), binary),
        "categorical_hinge": (c.CategoricalHinge(), hot),
        "bce": (c.BinaryCrossentropy(label_smoothing=0.1), binary),
        "bce_logits": (c.BinaryCrossentropy(from_logits=True), binary),
        "focal": (c.BinaryFocalCrossentropy(apply_class_balancing=True), binary),
        "cce": (c.CategoricalCrossentropy(label_smoothing=0.1), hot),
        "cce_logits": (c.CategoricalCrossentropy(from_logits=True), hot),
        "categorical_focal": (c.CategoricalFocalCrossentropy(), hot),
        "scce": (c.SparseCategoricalCrossentropy(), labels),
        "scce_logits": (c.SparseCategoricalCrossentropy(from_logits=True), labels),
        "dice": (c.Dice(), binary),
        "tversky": (c.Tversky(0.3, 0.7), binary),
    }
    found = {name: [loss(target, p), loss(target, p, sample_weight=w)] for name, (loss, target) in pairs.items()
             if name not in ("dice", "tversky")}  # fmt: skip
    found |= {name: [pairs[name][0](binary, p)] for name in ("dice", "tversky")}
    found["sum"] = [c.MeanSquaredError(reduction="sum")(t, p)]
    found["none"] = [c.MeanSquaredError(reduction=None)(t, p)]
    found["weighted_mean"] = [c.MeanSquaredError(reduction="mean_with_sample_weight")(t, p, sample_weight=w)]
    return found


@program
def metrics(k: Any) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    p = rng.random((30, 4)).astype("float32")
    labels = rng.integers(0, 4, 30)
    hot = np.eye(4, dtype="float32")[labels]
    score, truth = p[:, 0], (labels > 1).astype("float32")
    w = rng.random(30).astype("float32")
    m = k.metrics
    cases: list[tuple[Any, Any, Any]] = [
        (m.MeanSquaredError(), hot, p),
        (m.MeanAbsoluteError(), hot, p),
        (m.RootMeanSquaredError(), hot, p),
        (m.CosineSimilarity(), hot, p),
        (m.LogCoshError(), hot, p),
        (m.BinaryAccuracy(threshold=0.4), truth, score),
        (m.CategoricalAccuracy(), hot, p),
        (m.SparseCategoricalAccuracy(), labels, p),
        (m.TopKCategoricalAccuracy(2), hot, p),
        (m.SparseTopKCategoricalAccuracy(2), labels, p),
        (m.BinaryCrossentropy(), truth[:, None], score[:, None]),
        (m.CategoricalCrossentropy(), hot, p),
        (m.SparseCategoricalCrossentropy(), labels, p),
        (m.Precision(), truth, score),
        (m.Precision([0.2, 0.7]), truth, score),
        (m.Recall(class_id=1), hot, p),
        (m.TruePositives(), truth, score),
        (m.FalsePositives(), truth, score),
        (m.TrueNegatives(), truth, score),
        (m.FalseNegatives(), truth, score),
        (m.AUC(), truth, score),
        (m.AUC(curve="PR", num_thresholds=20), truth, score),
        (m.AUC(summation_method="minoring"), truth, score),
        (m.F1Score(), hot, p),
        (m.F1Score(average="macro", threshold=0.5), hot, p),
        (m.FBetaScore(average="micro", beta=2.0), hot, p),
        (m.KLDivergence(), hot, p),
        (m.Poisson(), hot, p),
        (m.Hinge(), hot, p),
    ]
    found = {}
    for number, (metric, target, prediction) in enumerate(cases):
        metric.update_state(target[:13], prediction[:13])
        metric.update_state(target[13:], prediction[13:], sample_weight=w[13:])
        found[f"{number}_{metric.name}"] = metric.result()
    return found


@program
def layers(k: Any) -> dict[str, Any]:
    n = k.layers
    rng = np.random.default_rng(3)
    row, seq = rng.normal(size=(3, 6)).astype("float32"), rng.normal(size=(2, 7, 3)).astype("float32")
    img = rng.normal(size=(2, 7, 6, 4)).astype("float32")
    vol = rng.normal(size=(2, 5, 6, 4, 2)).astype("float32")
    k.utils.set_random_seed(5)
    cases: list[tuple[Any, Any]] = [
        (n.Dense(4, activation="selu"), seq),
        (n.Dense(4, activation="hard_sigmoid", kernel_initializer="he_normal"), row),
        (n.Dense(4, activation="gelu", kernel_initializer="orthogonal"), row),
        (n.Dense(4, activation="leaky_relu", kernel_initializer="lecun_uniform"), row),
        (n.Dense(4, activation="softsign", kernel_initializer="random_normal"), row),
        (n.Dense(4, activation="mish", use_bias=False), row),
        (n.Conv1D(4, 3, padding="causal", dilation_rate=2), seq),
        (n.Conv1D(4, 3, strides=2, padding="same"), seq),
        (n.Conv2D(4, (3, 2), strides=(2, 1), activation="relu"), img),
        (n.Conv2D(6, 3, groups=2, padding="same"), img),
        (n.Conv2D(3, 2, dilation_rate=2), img),
        (n.Conv3D(3, 2, strides=2, padding="same"), vol),
        (n.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), img),
        (n.SeparableConv2D(5, 3, depth_multiplier=2, strides=2), img),
        (n.MaxPooling1D(3, 2, padding="same"), seq),
        (n.MaxPooling2D((2, 3)), img),
        (n.MaxPooling3D(2), vol),
        (n.AveragePooling1D(3, 2, padding="same"), seq),
        (n.AveragePooling2D(3, strides=2, padding="same"), img),
        (n.AveragePooling3D(2), vol),
        (n.GlobalAveragePooling1D(), seq),
        (n.GlobalAveragePooling2D(keepdims=True), img),
        (n.GlobalMaxPooling2D(), img),
        (n.GlobalMaxPooling3D(), vol),
        (n.Flatten(), img),
        (n.Reshape((3, -1)), row),
        (n.Permute((2, 1)), seq),
        (n.RepeatVector(2), row),
        (n.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), row),
        (n.LeakyReLU(), row),
        (n.ELU(0.7), row),
        (n.PReLU(alpha_initializer="ones", shared_axes=[1]), seq),
        (n.Softmax(axis=1), seq),
        (n.BatchNormalization(), img),
        (n.LayerNormalization(axis=[1, 2]), seq),
        (n.ZeroPadding2D(((1, 2), (0, 3))), img),
        (n.Cropping2D(((1, 2), (0, 3))), img),
        (n.UpSampling2D((2, 3)), img),
        (n.Rescaling(0.5, offset=1.0), row),
        (n.Lambda(lambda x: x * 2), row),
        (n.Activation("log_softmax"), row),
        (n.UpSampling2D(2, data_format="channels_first"), img),
    ]
    found = {f"{i}_{type(layer).__name__}": layer(x) for i, (layer, x) in enumerate(cases)}
    pair = [row, row * row]
    merges = [
        n.Add(),
        n.Subtract(),
        n.Multiply(),
        n.Average(),
        n.Maximum(),
        n.Minimum(),
        n.Concatenate(axis=0),
        n.Dot(1),
    ]
    found |= {type(layer).__name__: layer(pair) for layer in merges}
    found["Embedding"] = n.Embedding(9, 3)(np.array([[0, 8, 3]]))
    found["training Dropout"] = n.Dropout(0.4)(img, training=True)
    found["training Dropout noise_shape"] = n.Dropout(0.4, noise_shape=(None, 1))(row, training=True)
    found["training SpatialDropout2D"] = n.SpatialDropout2D(0.4)(img, training=True)
    found["training GaussianNoise"] = n.GaussianNoise(0.4)(img, training=True)
    batch_norm = n.BatchNormalization(axis=1, momentum=0.8)
    found["training BatchNormalization"] = batch_norm(img, training=True)
    found["training BatchNormalization moving"] = [batch_norm.moving_mean.numpy(), batch_norm.moving_variance.numpy()]
    return found


def run(name: str, k: Any) -> Any:
    """The results of a program as JSON holds them."""
    return _plain(PROGRAMS[name](k))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value
    return np.asarray(value, "float64").round(9).tolist()


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps({name: run(name, keras) for name in PROGRAMS}) + "\n")
