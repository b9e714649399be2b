"""F-scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import config, ops
from graphc.metrics.metric import Metric
from graphc.ops.dispatch import op


class FBetaScore(Metric):
    """The weighted harmonic mean of precision and recall per class, or averaged ("micro", "macro", "weighted").

    threshold: predictions above it are positive; None: the largest of each row is.
    """

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
        if not isinstance(beta, float) or beta <= 0.0:
            raise ValueError(f"Invalid `beta` argument value. It should be a Python float > 0. Received: beta={beta}")
        if threshold is not None and (not isinstance(threshold, float) or not 0.0 < threshold <= 1.0):
            raise ValueError(
                "Invalid `threshold` argument value. It should be a Python float in the interval (0, 1]. Received: "
                f"threshold={threshold}"
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._is_built = False

    def _build(self, y_true: Any, y_pred: Any) -> None:
        if len(y_pred.shape) != 2 or len(y_true.shape) != 2:
            raise ValueError(
                f"{type(self).__name__} expects 2D inputs with shape (batch_size, output_dim). Received input shapes: "
                f"y_pred.shape={ops.shown(y_pred.shape)} and y_true.shape={ops.shown(y_true.shape)}."
            )
        shape = () if self.average == "micro" else (int(y_pred.shape[-1]),)
        self.true_positives = self.add_variable(shape, "zeros", name="true_positives")
        self.false_positives = self.add_variable(shape, "zeros", name="false_positives")
        self.false_negatives = self.add_variable(shape, "zeros", name="false_negatives")
        self.intermediate_weights = self.add_variable(shape, "zeros", name="intermediate_weights")
        self._is_built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        if not self._is_built:
            self._build(y_true, y_pred)
        if self.threshold is None:
            top = ops.max(y_pred, axis=-1, keepdims=True)
            hit = ops.logical_and(ops.greater_equal(y_pred, top), ops.greater(ops.abs(y_pred), 1e-9))
        else:
            hit = ops.greater(y_pred, self.threshold)
        positive = ops.cast(hit, self.dtype)
        weights = 1.0 if sample_weight is None else ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        axis = None if self.average == "micro" else 0

        def add(total: Any, values: Any) -> None:
            total.assign(total + ops.sum(values * weights, axis=axis))

        add(self.true_positives, positive * y_true)
        add(self.false_positives, positive * (1.0 - y_true))
        add(self.false_negatives, (1.0 - positive) * y_true)
        add(self.intermediate_weights, y_true)

    @op
    def result(self) -> Any:
        if not self._is_built:
            return np.float32(0)
        small = config.epsilon()
        precision = self.true_positives / (self.true_positives + self.false_positives + small)
        recall = self.true_positives / (self.true_positives + self.false_negatives + small)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + small) * (1 + square)
        if self.average == "weighted":
            return ops.sum(score * self.intermediate_weights / (ops.sum(self.intermediate_weights) + small))
        return score if self.average is None else ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        options = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **options}


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall."""

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str = "f1_score", dtype: Any = None
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        options = super().get_config()
        del options["beta"]
        return options
