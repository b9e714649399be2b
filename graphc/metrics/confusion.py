"""Metrics from counts of true and false, positive and negative predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import config, ops
from graphc.metrics.metric import Metric

COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def counts(y_true: Any, y_pred: Any, thresholds: Any, sample_weight: Any = None) -> dict[str, Any]:
    """The four counts, one per threshold; a prediction is positive if strictly greater than the threshold."""
    y_pred = ops.cast(y_pred, "float32")
    flat_true = ops.reshape(ops.cast(ops.cast(y_true, "bool"), "float32"), (1, -1))
    flat_pred = ops.reshape(y_pred, (1, -1))
    limits = np.asarray(thresholds, "float32").reshape(-1, 1)
    positive = ops.cast(ops.greater(flat_pred, limits), "float32")
    weights = 1.0 if sample_weight is None else ops.reshape(_spread(sample_weight, y_pred), (1, -1))
    pairs = {
        "true_positives": (flat_true, positive),
        "false_positives": (1.0 - flat_true, positive),
        "true_negatives": (1.0 - flat_true, 1.0 - positive),
        "false_negatives": (flat_true, 1.0 - positive),
    }
    return {name: ops.sum(a * b * weights, axis=1) for name, (a, b) in pairs.items()}


def _spread(sample_weight: Any, like: Any) -> Any:
    weights = ops.cast(sample_weight, "float32")
    missing = len(like.shape) - len(weights.shape)
    if missing > 0:
        weights = ops.expand_dims(weights, list(range(len(weights.shape), len(like.shape))))
    return ops.broadcast_to(weights, ops.shape(like))


def _checked_thresholds(thresholds: Any, default: float) -> list[float]:
    values = (
        [default] if thresholds is None else list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    )
    wrong = [t for t in values if t is None or t < 0 or t > 1]
    if wrong:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {wrong}")
    return values


class _Confusion(Metric):
    """Base: adds up some of the four counts."""

    kept: tuple[str, ...] = ()

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = _checked_thresholds(thresholds, 0.5)
        self.totals = {key: self.add_variable((len(self.thresholds),), "zeros", name=key) for key in self.kept}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = counts(y_true, y_pred, self.thresholds, sample_weight)
        for key, total in self.totals.items():
            total.assign(total + found[key])

    def _scalar(self, value: Any) -> Any:
        return value[0] if len(self.thresholds) == 1 else value

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class _Count(_Confusion):
    def result(self) -> Any:
        return self._scalar(ops.convert_to_tensor(self.totals[self.kept[0]]))


class TruePositives(_Count):
    """The number of positive predictions that are right."""

    kept = ("true_positives",)
    _direction = "up"


class FalsePositives(_Count):
    """The number of positive predictions that are wrong."""

    kept = ("false_positives",)
    _direction = "down"


class TrueNegatives(_Count):
    """The number of negative predictions that are right."""

    kept = ("true_negatives",)
    _direction = "up"


class FalseNegatives(_Count):
    """The number of negative predictions that are wrong."""

    kept = ("false_negatives",)
    _direction = "down"


class _Share(_Confusion):
    """true positives / (true positives + another count)."""

    _direction = "up"

    def __init__(self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None,
                 name: str | None = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(thresholds, name, dtype)
        self.top_k = top_k
        self.class_id = class_id

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if self.top_k is not None:
            largest, _ = ops.top_k(y_pred, self.top_k)
            least = ops.min(largest, axis=-1, keepdims=True)
            y_pred = ops.cast(ops.greater_equal(y_pred, least), "float32")
        if self.class_id is not None:
            y_true, y_pred = (ops.get_item(y, (Ellipsis, self.class_id)) for y in (y_true, y_pred))
        super().update_state(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        right, other = (self.totals[key] for key in self.kept)
        return self._scalar(ops.divide_no_nan(right, right + other))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Share):
    """The share of positive predictions that are right."""

    kept = ("true_positives", "false_positives")


class Recall(_Share):
    """The share of positive samples that are found."""

    kept = ("true_positives", "false_negatives")


class AUC(Metric):
    """The area under the ROC or precision-recall curve, from counts at `num_thresholds` thresholds."""

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        if curve not in ("ROC", "PR"):
            raise ValueError(f'Invalid AUC curve value: "{curve}". Expected values are ["PR", "ROC"]')
        if summation_method not in ("interpolation", "majoring", "minoring"):
            raise ValueError(
                f'Invalid AUC summation method value: "{summation_method}". Expected values are '
                '["interpolation", "majoring", "minoring"]'
            )
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(
                f"Argument `num_thresholds` must be an integer > 1. Received: num_thresholds={num_thresholds}"
            )
        if multi_label:
            raise NotImplementedError("AUC: multi_label=True is not supported yet; use one AUC per label")
        super().__init__(dtype, name)
        inner = (
            sorted(thresholds)
            if thresholds is not None
            else [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        )
        self.init_thresholds = thresholds
        self.curve = curve
        self.summation_method = summation_method
        self.from_logits = from_logits
        self.thresholds = [-config.epsilon(), *inner, 1.0 + config.epsilon()]
        self.num_thresholds = len(self.thresholds)
        self.totals = {key: self.add_variable((self.num_thresholds,), "zeros", name=key) for key in COUNTS}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = ops.sigmoid(y_pred) if self.from_logits else y_pred
        found = counts(y_true, y_pred, self.thresholds, sample_weight)
        for key, total in self.totals.items():
            total.assign(total + found[key])

    def result(self) -> Any:
        tp, fp, tn, fn = (np.asarray(self.totals[key].array, np.float64) for key in COUNTS)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return np.float32(_interpolated_pr(tp, fp, fn))
        recall = _ratio(tp, tp + fn)
        x, y = (_ratio(fp, fp + tn), recall) if self.curve == "ROC" else (recall, _ratio(tp, tp + fp))
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2.0
        else:
            heights = (np.minimum if self.summation_method == "minoring" else np.maximum)(y[:-1], y[1:])
        return np.float32(np.sum((x[:-1] - x[1:]) * heights))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "thresholds": self.init_thresholds,
            "from_logits": self.from_logits,
        }


def _ratio(a: Any, b: Any) -> Any:
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _interpolated_pr(tp: Any, fp: Any, fn: Any) -> float:
    """The area under the precision-recall curve with interpolated true positives (Davis and Goadrich 2006)."""
    dtp = tp[:-1] - tp[1:]
    positives = tp + fp
    slope = _ratio(dtp, np.maximum(positives[:-1] - positives[1:], 0))
    intercept = tp[1:] - slope * positives[1:]
    both = np.logical_and(positives[:-1] > 0, positives[1:] > 0)
    ratio = np.where(both, _ratio(positives[:-1], np.maximum(positives[1:], 0)), 1.0)
    area = _ratio(slope * (dtp + intercept * np.log(ratio)), np.maximum(tp[1:] + fn[1:], 0))
    return float(np.sum(area))


class FBetaScore(Metric):
    """The weighted harmonic mean of precision and recall per class, or averaged ("micro", "macro", "weighted")."""

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                "Invalid `average` argument value. Expected one of: [None, 'micro', 'macro', 'weighted']. "
                f"Received: average={average}"
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.totals: dict[str, Any] | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        if self.totals is None:
            classes = int(y_pred.shape[-1])
            keys = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
            self.totals = {key: self.add_variable((classes,), "zeros", name=key) for key in keys}
        if self.threshold is None:
            top = ops.max(y_pred, axis=-1, keepdims=True)
            hit = ops.logical_and(ops.equal(y_pred, top), ops.greater(ops.abs(y_pred), 1e-9))
        else:
            hit = ops.greater(y_pred, self.threshold)
        positive = ops.cast(hit, self.dtype)
        weights = 1.0 if sample_weight is None else ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        found = (positive * y_true, positive * (1.0 - y_true), (1.0 - positive) * y_true, y_true)
        for total, values in zip(self.totals.values(), found, strict=True):
            total.assign(total + ops.sum(values * weights, axis=0))

    def result(self) -> Any:
        if self.totals is None:
            return np.float32(0)
        tp, fp, fn, support = (np.asarray(total.array, np.float64) for total in self.totals.values())
        score: Any
        if self.average == "micro":
            tp, fp, fn = (total.sum(keepdims=True) for total in (tp, fp, fn))
        precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
        square = self.beta**2
        score = _ratio((1 + square) * precision * recall, square * precision + recall)
        if self.average == "weighted":
            return np.float32(np.sum(score * _ratio(support, np.full_like(support, support.sum()))))
        return score.astype(np.float32) if self.average is None else np.float32(score.mean())

    def get_config(self) -> dict[str, Any]:
        return {"average": self.average, "beta": self.beta, "threshold": self.threshold, **super().get_config()}


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall."""

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str = "f1_score", dtype: Any = None
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
