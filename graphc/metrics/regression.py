"""How much of the targets predictions explain: R2 and correlations."""

from __future__ import annotations

import warnings
from typing import Any

from graphc import config, ops
from graphc.metrics.metric import Metric
from graphc.metrics.reduction import MeanMetricWrapper
from graphc.ops.dispatch import op
from graphc.reduction import squeeze_or_expand_to_same_rank
from graphc.tensor import current_tracer

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """1 - the sum of squared errors / that of deviations from the mean, per output or averaged.

    class_aggregation: "uniform_average", "variance_weighted_average" or None (one score per output). num_regressors p:
    adjusted by (n - 1) / (n - p - 1); 0: not adjusted. Targets and predictions are (n, outputs).
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in AGGREGATIONS:
            raise ValueError(
                f"Invalid value for argument `class_aggregation`. Expected one of {AGGREGATIONS}. Received: "
                f"class_aggregation={class_aggregation}"
            )
        if num_regressors < 0:
            raise ValueError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. Received: "
                f"num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._is_built = False

    def _build(self, y_true: Any, y_pred: Any) -> None:
        if len(y_pred.shape) != 2 or len(y_true.shape) != 2:
            raise ValueError(
                "R2Score expects 2D inputs with shape (batch_size, output_dim). Received input shapes: "
                f"y_pred.shape={ops.shown(y_pred.shape)} and y_true.shape={ops.shown(y_true.shape)}."
            )
        shape = (int(y_pred.shape[-1]),)
        self.squared_sum = self.add_variable(shape, "zeros", name="squared_sum")
        self.sum = self.add_variable(shape, "zeros", name="sum")
        self.total_mse = self.add_variable(shape, "zeros", name="residual")
        self.count = self.add_variable(shape, "zeros", name="count")
        self._is_built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = squeeze_or_expand_to_same_rank(ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype))
        if not self._is_built:
            self._build(y_true, y_pred)
        weights = ops.ones_like(y_true)
        if sample_weight is not None:
            given = ops.cast(sample_weight, self.dtype)
            given = ops.expand_dims(given, 1) if len(given.shape) == 1 else given
            weights = ops.broadcast_to(given, ops.shape(y_true))
        self.sum.assign(self.sum + ops.sum(y_true * weights, axis=0))
        self.squared_sum.assign(self.squared_sum + ops.sum(ops.square(y_true) * weights, axis=0))
        self.total_mse.assign(self.total_mse + ops.sum(ops.square(y_true - y_pred) * weights, axis=0))
        self.count.assign(self.count + ops.sum(weights, axis=0))
        self.num_samples.assign(self.num_samples + ops.cast(ops.size(y_true), self.dtype))

    def result(self) -> Any:
        if current_tracer() is None and self.num_regressors >= int(self.num_samples.array) - 1 and self.num_regressors:
            warnings.warn(
                "More independent predictors than datapoints in adjusted R2 score. Falling back to standard R2 score.",
                stacklevel=2,
            )
        return self._score()

    @op
    def _score(self) -> Any:
        if not self._is_built:
            return ops.convert_to_tensor(0.0)
        spread = self.squared_sum - self.sum * (self.sum / self.count)
        scores = 1.0 - self.total_mse / spread
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = ops.sum(spread * scores) / ops.sum(spread)
        if not self.num_regressors:
            return scores
        rest = self.num_samples - self.num_regressors - 1.0
        adjusted = 1.0 - (1.0 - scores) * (self.num_samples - 1.0) / ops.maximum(rest, 1.0)
        return ops.where(ops.greater(rest, 0.0), adjusted, scores)

    def get_config(self) -> dict[str, Any]:
        options = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **options}


def _same_rank(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    y_pred = ops.convert_to_tensor(y_pred)
    return squeeze_or_expand_to_same_rank(ops.cast(y_true, y_pred.dtype), y_pred)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The correlation between y_true and y_pred along the axis."""
    y_true, y_pred = _same_rank(y_true, y_pred)

    def standard(y: Any) -> Any:
        y = y - ops.mean(y, axis=axis, keepdims=True)
        return y / ops.std(y, axis=axis, keepdims=True)

    return ops.mean(standard(y_true) * standard(y_pred), axis=axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The agreement of y_true and y_pred along the axis, as Keras computes it (after Lin 1989)."""
    y_true, y_pred = _same_rank(y_true, y_pred)
    true_mean, pred_mean = (ops.mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred))
    variances = ops.var(y_true, axis=axis, keepdims=True) + ops.var(y_pred, axis=axis, keepdims=True)
    # Keras takes both deviations from the predictions' mean; the sum is the covariance all the same
    products = (y_true - pred_mean) * (y_pred - pred_mean)
    return ops.mean(2.0 * products / (variances + ops.square(true_mean - pred_mean) + config.epsilon()), axis=axis)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean correlation between y_true and y_pred."""

    _direction = "up"

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean agreement of y_true and y_pred."""

    _direction = "up"

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
