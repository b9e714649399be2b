"""What Keras computes: small programs that run under Keras and under graphc alike.

`python tests/keras_reference.py [PROGRAM..]` with Keras 3.15 on JAX installed writes their results, or those of the
programs named, to `data/keras_reference.json`; `test_keras_reference.py` runs the same programs under graphc and
compares.
"""

from __future__ import annotations

import json
import os
import sys
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


@program
def further_layers(k: Any) -> dict[str, Any]:
    n = k.layers
    rng = np.random.default_rng(7)
    row, seq = rng.normal(size=(3, 6)).astype("float32"), rng.normal(size=(2, 7, 3)).astype("float32")
    img = rng.normal(size=(2, 7, 6, 4)).astype("float32")
    first = np.moveaxis(img, -1, 1).copy()
    vol = rng.normal(size=(2, 5, 6, 4, 2)).astype("float32")
    k.utils.set_random_seed(5)
    cases: list[tuple[Any, Any]] = [
        (n.Conv1DTranspose(5, 4, strides=3, output_padding=2), seq),
        (n.Conv1DTranspose(5, 3, dilation_rate=2, padding="same"), seq),
        (n.Conv2DTranspose(5, (3, 4), strides=(2, 3), activation="tanh"), img),
        (n.Conv2DTranspose(5, (3, 4), strides=(2, 3), padding="same", output_padding=(1, 2)), img),
        (n.Conv2DTranspose(5, 2, strides=(4, 3), padding="same", data_format="channels_first"), first),
        (n.Conv3DTranspose(3, (2, 3, 2), strides=(2, 1, 2), padding="same"), vol),
        (n.Conv2D(6, 3, groups=2, data_format="channels_first"), first),
        (n.DepthwiseConv1D(3, depth_multiplier=2, strides=2, padding="same"), seq),
        (n.SeparableConv1D(5, 3, depth_multiplier=2, activation="elu"), seq),
        (n.Masking(), np.where(seq > 0, seq, 0.0).astype("float32")),
        (n.EinsumDense("ab,bc->ac", 5, bias_axes="c", activation="relu"), row),
        (n.EinsumDense("abc,bd->adc", (5, 3), bias_axes="dc", kernel_initializer="he_normal"), seq),
        (n.EinsumDense("...x,xy->...y", 5, bias_axes="y"), seq),
        (n.GroupNormalization(2), img),
        (n.GroupNormalization(-1, axis=1, epsilon=0.1, center=False), first),
        (n.RMSNormalization(axis=[1, 2], epsilon=0.1), seq),
        (n.UnitNormalization(axis=[1, 2]), seq),
        (n.Cropping1D((1, 3)), seq),
        (n.Cropping3D((1, 2, 1)), vol),
        (n.ZeroPadding1D((1, 3)), seq),
        (n.ZeroPadding3D(((1, 2), (0, 1), (2, 1))), vol),
        (n.UpSampling1D(3), seq),
        (n.UpSampling2D(2, interpolation="bilinear"), img),
        (n.UpSampling3D((1, 2, 3)), vol),
        (n.AdaptiveAveragePooling2D((3, 4)), img),
        (n.AdaptiveMaxPooling1D(3), seq),
        (n.MaxPooling2D(2, data_format="channels_first"), first),
        (n.TimeDistributed(n.Conv1D(3, 2)), vol[..., 0]),
    ]
    found = {f"{i}_{type(layer).__name__}": layer(x) for i, (layer, x) in enumerate(cases)}
    noisy = [(n.GaussianDropout(0.3), row), (n.AlphaDropout(0.3, noise_shape=(None, 1, 3)), seq),
             (n.SpectralNormalization(n.Dense(5), 2), row), (n.TimeDistributed(n.Dropout(0.5)), seq),
             (n.BatchNormalization(renorm=True, renorm_clipping={"rmax": 3.0, "dmax": 5.0}), seq)]  # fmt: skip
    found |= {f"training {type(layer).__name__}{i}": layer(x, training=True) for i, (layer, x) in enumerate(noisy)}
    tied = n.ReversibleEmbedding(9, 3, logit_soft_cap=2.0)
    found["reversed"] = tied(tied(np.array([[0, 8, 3]])), reverse=True)
    return found


@program
def further_layers_trained(k: Any) -> dict[str, Any]:
    n = k.layers
    k.utils.set_random_seed(5)
    image = k.Input((12, 12, 2))
    x = n.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(image)
    x = n.GroupNormalization(3)(n.SpectralNormalization(n.Conv2D(6, 3, strides=3))(x))
    x = n.UpSampling2D(2, interpolation="bilinear")(n.TimeDistributed(n.DepthwiseConv1D(3))(x))
    x = n.RMSNormalization()(n.Flatten()(n.AdaptiveAveragePooling2D(3)(x)))
    x = n.EinsumDense("ab,bc->ac", 7, bias_axes="c")(x)
    picture = k.Model(image, n.Dense(5, activation="softmax", activity_regularizer="l1")(x))
    steps = k.Input((4, 5))
    y = n.TimeDistributed(n.BatchNormalization(momentum=0.5))(n.Masking()(steps))
    y = n.GlobalAveragePooling1D()(n.TimeDistributed(n.Dense(6, activation="tanh"))(y))
    sequence = k.Model(steps, n.Dense(5, activation="softmax")(y))
    rows = X.reshape(60, 4, 5).copy()
    rows[:, 2:] *= (LABELS > 2)[:, None, None]
    found = {}
    for name, model, data in (("picture", picture, IMAGES), ("sequence", sequence, rows)):
        model.compile(k.optimizers.SGD(0.05), "categorical_crossentropy")
        found[name] = [train(model, data, ONE_HOT, 4), *model.get_weights()]
        found[f"{name} evaluated"] = [model.evaluate(data, ONE_HOT, verbose=0, batch_size=37)]
    return found


@program
def further_optimizers(k: Any) -> dict[str, Any]:
    o = k.optimizers
    chosen = {
        "adafactor": o.Adafactor(0.05, clip_threshold=0.5, weight_decay=0.01),
        "ftrl": o.Ftrl(0.1, -0.4, 0.2, 0.01, 0.02, 0.03, 0.5),
        "lamb": o.Lamb(0.05, weight_decay=0.1),
        "muon": o.Muon(0.02, adam_lr_ratio=0.5, weight_decay=0.1),
        "schedule_free": o.ScheduleFreeAdamW(0.05, warmup_steps=4, beta_1=0.8),
        "loss_scale": o.LossScaleOptimizer(o.SGD(0.1), initial_scale=8.0, dynamic_growth_steps=3),
        "accumulated": o.SGD(o.schedules.ExponentialDecay(0.5, 2, 0.5), gradient_accumulation_steps=2, use_ema=True,
                             ema_momentum=0.7, ema_overwrite_frequency=2, weight_decay=0.01, clipnorm=0.5),
    }  # fmt: skip
    found = {}
    for name, optimizer in chosen.items():
        found[name] = train(mlp(k, optimizer), X, LABELS, 8)
        found[f"{name} state"] = [value for value in optimizer.variables if len(value.shape) == 0]
        variables = [k.Variable(X[:4, :3]), k.Variable(X[0, :3])]
        if name != "loss_scale":  # which Keras on JAX cannot apply outside of fit
            fresh = type(optimizer).from_config(optimizer.get_config())
            gradients = [k.ops.convert_to_tensor(g) for g in (X[4:8, :3], X[1, :3])]
            for _ in range(2):
                fresh.apply_gradients(zip(gradients, variables, strict=True))
            found[f"{name} eager"] = variables
    return found


@program
def further_losses_and_metrics(k: Any) -> dict[str, Any]:
    rng = np.random.default_rng(9)
    p = rng.random((30, 4)).astype("float32")
    p /= p.sum(axis=1, keepdims=True)
    labels, others = rng.integers(0, 4, 30), rng.integers(0, 4, 30)
    hot, many = np.eye(4, dtype="float32")[labels], (p > 0.2).astype("float32")
    t = rng.normal(size=(30, 4)).astype("float32")
    u = t + 0.3 * rng.normal(size=(30, 4)).astype("float32")
    unit = t / np.linalg.norm(t, axis=1, keepdims=True)
    score, truth, w = p[:, 0], (labels > 1).astype("float32"), rng.random(30).astype("float32")
    c, m = k.losses, k.metrics
    losses: list[tuple[Any, Any, Any]] = [
        (c.CategoricalGeneralizedCrossEntropy(0.3), labels, p),
        (c.Circle(gamma=10.0, margin=0.2), labels, unit),
        (c.Circle(remove_diagonal=False, reduction=None), labels, unit),
        (c.CTC(), 1 + np.stack([labels[:15] % 3, others[:15] % 2], axis=1), t.reshape(15, 2, 4)[:, [0, 1, 0, 1, 1]]),
        (c.SparseCategoricalCrossentropy(ignore_class=2), labels, p),
        (c.Tversky(0.3, 0.6, axis=-1), many, p),
    ]
    found: dict[str, Any] = {f"{i}_{loss.name}": loss(y, x) for i, (loss, y, x) in enumerate(losses)}
    metrics: list[tuple[Any, Any, Any]] = [
        (m.AUC(num_thresholds=20, multi_label=True), many, p),
        (m.AUC(multi_label=True, num_labels=4, label_weights=[0.1, 0.2, 0.3, 0.4], curve="PR"), many, p),
        (m.AUC(curve="PRGAIN"), truth, score),
        (m.AUC(thresholds=[0.1, 0.4, 0.45], summation_method="majoring"), truth, score),
        (m.Precision(top_k=2), hot, p),
        (m.Recall(top_k=2, class_id=1), hot, p),
        (m.SensitivityAtSpecificity(0.6), truth, score),
        (m.SpecificityAtSensitivity(0.6, num_thresholds=11), truth, score),
        (m.PrecisionAtRecall(0.7), truth, score),
        (m.RecallAtPrecision(0.3, class_id=2), hot, p),
        (m.R2Score(None), t, u),
        (m.R2Score("variance_weighted_average", num_regressors=2), t, u),
        (m.PearsonCorrelation(), t, u),
        (m.ConcordanceCorrelation(), t, u),
        (m.FBetaScore("micro", 0.5, 0.3), many, p),
        (m.FBetaScore("weighted", 2.0), hot, p),
    ]
    for number, (metric, target, prediction) in enumerate(metrics):
        metric.update_state(target[:13], prediction[:13])
        metric.update_state(target[13:], prediction[13:], sample_weight=w[13:])
        found[f"{number}_{type(metric).__name__}"] = metric.result()
    unions = [(m.IoU(4, [0, 2]), others), (m.MeanIoU(4, ignore_class=2), others), (m.BinaryIoU(threshold=0.2), score),
              (m.OneHotIoU(4, [1, 2]), p), (m.OneHotMeanIoU(4), p)]  # fmt: skip
    for metric, prediction in unions:
        metric.update_state(hot if "OneHot" in type(metric).__name__ else labels % metric.num_classes, prediction)
        found[type(metric).__name__] = metric.result()
    return found


@program
def summaries(k: Any) -> dict[str, Any]:
    """The lines that `summary()` prints, on a wide terminal."""
    n = k.layers
    plain = k.Sequential([k.Input((8, 8, 3)), n.Conv2D(4, 3, name="c"), n.BatchNormalization(name="a_name_that_is_long"),
                          n.Flatten(name="f"), n.Dense(2, name="d")], name="plain")  # fmt: skip
    unbuilt = k.Sequential([n.Dense(3, name="d"), n.Dense(4, name="e")], name="unbuilt")
    inputs = k.Input((4,), name="i")
    one, two = n.Dense(3, name="one")(inputs), n.Dense(3, name="two")(inputs)
    inner = k.Sequential([k.Input((3,), name="j"), n.Dense(5, name="d"), n.Dense(3, name="e")], name="inner")
    nested = k.Model(inputs, [n.Add(name="both")([inner(one), inner(two)]), n.Dense(2, name="x")(one)], name="nested")
    ids = k.Input((7,), dtype="int32", name="ids")
    words = n.Embedding(10, 4, mask_zero=True, name="words")(ids)
    masked = k.Model(ids, n.GlobalAveragePooling1D(name="mean")(words), name="masked")
    found = {
        "plain": printed(plain),
        "range": printed(plain, layer_range=["a_name", "f"], line_length=70),
        "positions": printed(plain, positions=[0.3, 0.6, 1.0]),
        "unbuilt": printed(unbuilt),
        "nested": printed(nested),
        "expanded": printed(nested, expand_nested=True, show_trainable=True),
        "masked": [line for line in printed(masked) if "not_equal" not in line],
    }
    plain.layers[0].trainable = False
    plain.compile("adam", "mse")
    plain.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0)
    return found | {"frozen and trained": printed(plain, show_trainable=True)}


def printed(model: Any, **options: Any) -> list[str]:
    """What `summary()` prints."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "200"
    texts: list[str] = []
    try:
        model.summary(print_fn=lambda text, line_break=True: texts.append(text), **options)
    finally:
        del os.environ["COLUMNS"]
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return "".join(texts).splitlines()


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

    named = sys.argv[1:]
    known = json.loads(PATH.read_text()) if named else {}
    found = {name: run(name, keras) for name in named or PROGRAMS}
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(known | found) + "\n")
