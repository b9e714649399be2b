"""Random configurations of losses, metrics and optimizers, with labels and predictions that suit them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_cases.draw import Array, Case, Draw, New

Labels = Callable[[Draw], tuple[Array, Array]]
"""Draws labels and predictions for them."""


def regression(d: Draw) -> tuple[Array, Array]:
    shape = d.sizes(d.size(2, 3))
    return d.floats(*shape), d.floats(*shape)


def positive(d: Draw) -> tuple[Array, Array]:
    shape = d.sizes(d.size(2, 3))
    return d.positive(*shape, high=3.0), d.positive(*shape, high=3.0)


def distributions(d: Draw) -> tuple[Array, Array]:
    rows, classes = d.sizes(2)
    return d.probabilities(rows, classes), d.probabilities(rows, classes)


def binary(d: Draw) -> tuple[Array, Array]:
    shape = d.sizes(2)
    return d.integers(2, *shape).astype("float32"), d.positive(*shape)


def signs(d: Draw) -> tuple[Array, Array]:
    shape = d.sizes(2)
    return d.integers(2, *shape).astype("float32") * d.one(1, 2) - d.one(0, 1), d.floats(*shape)


def one_hot(d: Draw) -> tuple[Array, Array]:
    rows, classes = d.sizes(2, 3, 8)
    return d.one_hot(rows, classes), d.probabilities(rows, classes)


def sparse(d: Draw) -> tuple[Array, Array]:
    rows, classes = d.sizes(2, 3, 8)
    return d.integers(classes, rows, *d.one((), (1,))), d.probabilities(rows, classes)


def sparse_rows(d: Draw) -> tuple[Array, Array]:
    """Labels without an axis of one, which some classes of Keras would broadcast."""
    y_true, y_pred = sparse(d)
    return y_true.reshape(-1), y_pred


def equal_or_not(d: Draw) -> tuple[Array, Array]:
    rows, classes = d.sizes(2)
    return d.integers(3, rows, classes), d.integers(3, rows, classes)


def masks(d: Draw) -> tuple[Array, Array]:
    """Labels and predictions of segmentation: probabilities over all but the batch."""
    shape = d.sizes(4, 2, 6)
    return d.integers(2, *shape).astype("float32"), d.positive(*shape)


def clusters(d: Draw) -> tuple[Array, Array]:
    """Labels and points on a sphere."""
    rows = d.size(6, 9)
    points = d.floats(rows, 4)
    return d.integers(3, rows), points / np.linalg.norm(points, axis=1, keepdims=True)


def transcripts(d: Draw) -> tuple[Array, Array]:
    """Sequences without blanks, which are 0, and logits of more than twice as many steps."""
    rows, length, classes = d.sizes(3, 2, 5)
    return d.integers(classes, rows, length, low=1), d.floats(rows, 2 * length + 2, classes)


# ---- losses


def loss(
    labels: Labels, options: Callable[[Draw], dict[str, Any]] = lambda d: {}, weighted: bool = True
) -> Callable[[Draw], Case]:
    """A loss with any reduction, now and then with weights of all but the last axis (weighted)."""

    def draw(d: Draw) -> Case:
        y_true, y_pred = labels(d)
        inputs = [y_true, y_pred, *([d.positive(*y_pred.shape[:-1])] if weighted and d.flag() else [])]
        reduction = d.one("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", None)
        return Case(inputs, {"reduction": reduction, **options(d)}, wrt=(1,), steps=1)

    return draw


def crossentropy(d: Draw) -> dict[str, Any]:
    return {"label_smoothing": d.maybe(d.number_in(0.05, 0.5), 0.0), "from_logits": d.flag()}


def focal(d: Draw) -> dict[str, Any]:
    return {**crossentropy(d), "alpha": d.number_in(0.1, 0.9), "gamma": d.number_in(0.5, 3)}


LOSSES: dict[str, Callable[[Draw], Case]] = {
    "BinaryCrossentropy": loss(binary, crossentropy),
    "BinaryFocalCrossentropy": loss(binary, lambda d: {**focal(d), "apply_class_balancing": d.flag()}),
    "CTC": loss(transcripts, weighted=False),
    "CategoricalCrossentropy": loss(one_hot, crossentropy),
    "CategoricalFocalCrossentropy": loss(one_hot, focal),
    "CategoricalGeneralizedCrossEntropy": loss(sparse_rows, lambda d: {"q": d.number_in(0.1, 0.9)}),
    "CategoricalHinge": loss(one_hot),
    "Circle": loss(clusters, lambda d: {
        "gamma": d.number_in(2, 40), "margin": d.number_in(0.1, 0.6), "remove_diagonal": d.flag(),
    }, weighted=False),
    "CosineSimilarity": loss(regression, lambda d: {"axis": d.one(-1, 1)}, weighted=False),
    "Dice": loss(masks, lambda d: {"axis": d.one(None, (1, 2, 3))}, weighted=False),
    "Hinge": loss(signs),
    "Huber": loss(regression, lambda d: {"delta": d.number_in(0.2, 2)}),
    "KLDivergence": loss(distributions),
    "LogCosh": loss(regression),
    "MeanAbsoluteError": loss(regression),
    "MeanAbsolutePercentageError": loss(regression),
    "MeanSquaredError": loss(regression),
    "MeanSquaredLogarithmicError": loss(positive),
    "Poisson": loss(positive),
    "SparseCategoricalCrossentropy": loss(sparse, lambda d: {"from_logits": d.flag(), "ignore_class": d.one(None, 1)}),
    "SquaredHinge": loss(signs),
    "Tversky": loss(masks, lambda d: {
        "alpha": d.number_in(0.1, 0.9), "beta": d.number_in(0.1, 0.9), "axis": d.one(None, (1, 2, 3)),
    }, weighted=False),
}  # fmt: skip

# ---- metrics


def metric(
    labels: Labels, options: Callable[[Draw], dict[str, Any]] = lambda d: {}, entries: bool = False
) -> Callable[[Draw], Case]:
    """Two batches of one shape, the second with weights of its rows, or of its entries."""

    def draw(d: Draw) -> Case:
        chosen = options(d)
        y_true, y_pred = labels(d)
        order = d.rng.permutation(len(y_true))
        again = y_pred[d.rng.permutation(len(y_true))]
        return Case(
            [y_true, y_pred, y_true[order], again, d.positive(*y_true.shape[: None if entries else 1])],
            chosen,
            wrt=(),
            steps=1,
        )

    return draw


def thresholds(d: Draw) -> dict[str, Any]:
    return {"thresholds": d.one(None, d.number_in(0.2, 0.8), [0.25, 0.5, 0.75])}


def precision(d: Draw) -> dict[str, Any]:
    return d.one(thresholds(d), {"top_k": 2}, {"class_id": 1})


def auc(d: Draw) -> dict[str, Any]:
    return {
        "num_thresholds": d.one(20, 200), "curve": d.one("ROC", "PR"), "from_logits": d.flag(),
        "summation_method": d.one("interpolation", "minoring", "majoring"), **d.maybe({"multi_label": True, "num_labels": 3}, {}),
    }  # fmt: skip


def three_labels(d: Draw) -> tuple[Array, Array]:
    rows = d.size(5, 9)
    return d.integers(2, rows, 3).astype("float32"), d.positive(rows, 3)


def at(name: str) -> Callable[[Draw], dict[str, Any]]:
    return lambda d: {name: d.number_in(0.2, 0.8), "num_thresholds": d.one(30, 200), "class_id": d.one(None, 1)}


def f_score(d: Draw) -> dict[str, Any]:
    return {"average": d.one(None, "micro", "macro", "weighted"), "threshold": d.one(None, d.number_in(0.2, 0.8))}


def class_ids(d: Draw) -> tuple[Array, Array]:
    shape = d.sizes(2, 3, 8)
    return d.integers(4, *shape), d.integers(4, *shape)


def class_scores(d: Draw) -> tuple[Array, Array]:
    rows = d.size(5, 9)
    return d.one_hot(rows, 4), d.probabilities(rows, 4)


def scalars(d: Draw) -> Case:
    """Values to average or to sum, then again with weights."""
    rows = d.size(3, 8)
    return Case([d.floats(rows), d.floats(rows), d.positive(rows)], wrt=(), steps=1)


def classes(d: Draw) -> dict[str, Any]:
    return {"num_classes": 4, "ignore_class": d.one(None, 2)}


METRICS: dict[str, Callable[[Draw], Case]] = {
    "AUC": metric(three_labels, auc),
    "Accuracy": metric(equal_or_not),
    "BinaryAccuracy": metric(binary, lambda d: {"threshold": d.number_in(0.2, 0.8)}),
    "BinaryCrossentropy": metric(binary, crossentropy),
    "BinaryIoU": metric(binary, lambda d: {"target_class_ids": d.one((0, 1), (0,), (1,)), "threshold": d.number_in(0.2, 0.8)}, entries=True),
    "CategoricalAccuracy": metric(one_hot),
    "CategoricalCrossentropy": metric(one_hot, crossentropy),
    "CategoricalHinge": metric(one_hot),
    "ConcordanceCorrelation": metric(regression),
    "CosineSimilarity": metric(regression, lambda d: {"axis": d.one(-1, 1)}),
    "F1Score": metric(class_scores, f_score),
    "FBetaScore": metric(class_scores, lambda d: {**f_score(d), "beta": d.number_in(0.5, 2)}),
    "FalseNegatives": metric(binary, thresholds),
    "FalsePositives": metric(binary, thresholds),
    "Hinge": metric(signs),
    "IoU": metric(class_ids, lambda d: {**classes(d), "target_class_ids": d.one((0,), (1, 3))}, entries=True),
    "KLDivergence": metric(distributions),
    "LogCoshError": metric(regression),
    "Mean": scalars,
    "MeanAbsoluteError": metric(regression),
    "MeanAbsolutePercentageError": metric(regression),
    "MeanIoU": metric(class_ids, classes, entries=True),
    "MeanSquaredError": metric(regression),
    "MeanSquaredLogarithmicError": metric(positive),
    "OneHotIoU": metric(class_scores, lambda d: {"num_classes": 4, "target_class_ids": d.one((0,), (1, 3))}),
    "OneHotMeanIoU": metric(class_scores, lambda d: {"num_classes": 4}),
    "PearsonCorrelation": metric(regression),
    "Poisson": metric(positive),
    "Precision": metric(three_labels, precision),
    "PrecisionAtRecall": metric(three_labels, at("recall")),
    "R2Score": metric(three_labels, lambda d: {
        "class_aggregation": d.one("uniform_average", "variance_weighted_average", None), "num_regressors": d.size(0, 2),
    }),
    "Recall": metric(three_labels, precision),
    "RecallAtPrecision": metric(three_labels, at("precision")),
    "RootMeanSquaredError": metric(regression),
    "SensitivityAtSpecificity": metric(three_labels, at("specificity")),
    "SparseCategoricalAccuracy": metric(sparse),
    "SparseCategoricalCrossentropy": metric(sparse, lambda d: {"from_logits": d.flag()}),
    "SparseTopKCategoricalAccuracy": metric(sparse, lambda d: {"k": d.size(1, 3)}),
    "SpecificityAtSensitivity": metric(three_labels, at("sensitivity")),
    "SquaredHinge": metric(signs),
    "Sum": scalars,
    "TopKCategoricalAccuracy": metric(one_hot, lambda d: {"k": d.size(1, 3)}),
    "TrueNegatives": metric(binary, thresholds),
    "TruePositives": metric(binary, thresholds),
}  # fmt: skip

# ---- optimizers


def optimizer(options: Callable[[Draw], dict[str, Any]] = lambda d: {}) -> Callable[[Draw], Case]:
    """Gradients for a matrix and a vector, with a schedule, clipping, decay, averages or accumulation."""

    def draw(d: Draw) -> Case:
        a, b, c = d.sizes(3)
        rate = d.number_in(0.005, 0.1)
        own = {
            "learning_rate": d.one(rate, rate, New("optimizers.schedules.ExponentialDecay", initial_learning_rate=rate,
                                                   decay_steps=4, decay_rate=0.7)),
            **d.one({}, {"clipnorm": 0.7}, {"clipvalue": 0.3}, {"global_clipnorm": 1.1}, {"weight_decay": 0.05},
                    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": d.one(None, 3)},
                    {"gradient_accumulation_steps": 3}),
        }  # fmt: skip
        return Case([d.floats(a, b), d.floats(c)], {**own, **options(d)})

    return draw


def betas(d: Draw) -> dict[str, Any]:
    return {"beta_1": d.number_in(0.5, 0.95), "beta_2": d.number_in(0.9, 0.999), "epsilon": d.one(1e-7, 1e-4)}


def loss_scale(d: Draw) -> Case:
    inner = New("optimizers.SGD", learning_rate=d.number_in(0.01, 0.1), momentum=0.9)
    return Case([d.floats(3, 4), d.floats(5)], {
        "inner_optimizer": inner, "initial_scale": d.one(4.0, 32.0), "dynamic_growth_steps": d.one(3, 100),
    })  # fmt: skip


OPTIMIZERS: dict[str, Callable[[Draw], Case]] = {
    "Adadelta": optimizer(lambda d: {"rho": d.number_in(0.5, 0.99), "epsilon": d.one(1e-7, 1e-3)}),
    "Adafactor": optimizer(lambda d: {"relative_step": d.flag(), "clip_threshold": d.number_in(0.5, 2), "beta_2_decay": -0.7}),
    "Adagrad": optimizer(lambda d: {"initial_accumulator_value": d.number_in(0.05, 0.5), "epsilon": 1e-5}),
    "Adam": optimizer(lambda d: {**betas(d), "amsgrad": d.flag()}),
    "AdamW": optimizer(lambda d: {**betas(d), "weight_decay": d.number_in(0.001, 0.1)}),
    "Adamax": optimizer(betas),
    "Ftrl": optimizer(lambda d: {
        "learning_rate_power": d.number_in(-0.8, -0.2), "l1_regularization_strength": d.number_in(0, 0.1), "beta": d.number_in(0, 0.5),
        "l2_regularization_strength": d.number_in(0, 0.1), "l2_shrinkage_regularization_strength": d.number_in(0, 0.1),
    }),
    "Lamb": optimizer(betas),
    "Lion": optimizer(lambda d: {"beta_1": d.number_in(0.5, 0.95), "beta_2": d.number_in(0.9, 0.99)}),
    "LossScaleOptimizer": loss_scale,
    "Muon": optimizer(lambda d: {"momentum": d.number_in(0.5, 0.95), "nesterov": d.flag(), "ns_steps": d.size(2, 5)}),
    "Nadam": optimizer(betas),
    "RMSprop": optimizer(lambda d: {
        "rho": d.number_in(0.5, 0.95), "momentum": d.maybe(d.number_in(0.3, 0.9), 0.0), "centered": d.flag(), "epsilon": d.one(1e-7, 1e-3),
    }),
    "SGD": optimizer(lambda d: {"momentum": d.maybe(d.number_in(0.3, 0.9), 0.0), "nesterov": d.flag()}),
    "ScheduleFreeAdamW": optimizer(lambda d: {"beta_1": d.number_in(0.5, 0.95), "warmup_steps": d.size(0, 5)}),
}  # fmt: skip
