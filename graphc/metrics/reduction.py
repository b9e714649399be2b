"""Metrics that are sums or means of values: `Sum`, `Mean`, `MeanMetricWrapper` and those made of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import losses, ops
from graphc.metrics.metric import Metric
from graphc.reduction import apply_mask, reduce_to_samplewise_values, squeeze_or_expand_to_same_rank
from graphc.tensor import current_tracer


class Sum(Metric):
    """The (weighted) sum of all values."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = reduce_to_samplewise_values(ops.convert_to_tensor(values), sample_weight, self.dtype)
        self.total.assign(self.total + ops.sum(values))

    def result(self) -> Any:
        return ops.cast(self.total, self.dtype)


class Mean(Metric):
    """The (weighted) mean of all values."""

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = ops.convert_to_tensor(values)
        values, weights = reduce_to_samplewise_values(values, sample_weight, self.dtype)
        shape = ops.shape(values)
        number = ops.sum(weights) if weights is not None else shape[0] if shape else 1
        self.total.assign(self.total + ops.sum(values))
        self.count.assign(self.count + ops.cast(number, self.dtype))

    def result(self) -> Any:
        if current_tracer() is None:
            # every line of logs reads this: tracing and interpreting a division would take longer than a small step
            total, count = self.total.array[()], self.count.array[()]
            return total / count if count else total * 0
        return ops.divide_no_nan(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of a function (y_true, y_pred, **options) -> value per sample."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name or fn.__name__, dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        if fn in _SMALLER_IS_BETTER:
            self._direction = "down"

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        mask = getattr(y_pred, "_keras_mask", None)
        values = ops.convert_to_tensor(self._fn(y_true, y_pred, **self._fn_kwargs))
        super().update_state(values, apply_mask(sample_weight, mask, self.dtype, "sum"))

    def get_config(self) -> dict[str, Any]:
        base = {"name": self.name, "dtype": self.dtype}
        if type(self) is MeanMetricWrapper:
            return {**base, "fn": self._fn.__name__, **self._fn_kwargs}
        return {**base, **self._fn_kwargs}


_SMALLER_IS_BETTER = {
    losses.mean_squared_error, losses.mean_absolute_error, losses.mean_absolute_percentage_error,
    losses.mean_squared_logarithmic_error, losses.log_cosh, losses.hinge, losses.squared_hinge,
    losses.categorical_hinge,
    losses.kl_divergence, losses.poisson, losses.binary_crossentropy, losses.categorical_crossentropy,
    losses.sparse_categorical_crossentropy,
}  # fmt: skip


class _Function(MeanMetricWrapper):
    """A metric of one function without options."""

    function: Callable[..., Any]
    default_name: str

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(type(self).function, name or self.default_name, dtype)


def of_function(
    cls_name: str, function: Callable[..., Any], name: str | None = None, direction: str | None = None
) -> Any:
    """The metric class `cls_name` that averages `function`."""
    members = {
        "function": staticmethod(function),
        "default_name": name or function.__name__,
        "__doc__": function.__doc__,
        "__module__": "graphc.metrics",
    }
    if direction:
        members["_direction"] = direction
    return type(cls_name, (_Function,), members)


MeanSquaredError = of_function("MeanSquaredError", losses.mean_squared_error)
MeanAbsoluteError = of_function("MeanAbsoluteError", losses.mean_absolute_error)
MeanAbsolutePercentageError = of_function("MeanAbsolutePercentageError", losses.mean_absolute_percentage_error)
MeanSquaredLogarithmicError = of_function("MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error)
LogCoshError = of_function("LogCoshError", losses.log_cosh, "logcosh")
Hinge = of_function("Hinge", losses.hinge)
SquaredHinge = of_function("SquaredHinge", losses.squared_hinge)
CategoricalHinge = of_function("CategoricalHinge", losses.categorical_hinge)
KLDivergence = of_function("KLDivergence", losses.kl_divergence)
Poisson = of_function("Poisson", losses.poisson)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine between y_true and y_pred (the loss of this name is its negative)."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine between y_true and y_pred."""

    _direction = "up"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


class RootMeanSquaredError(Mean):
    """The root of the mean squared error."""

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        y_pred = ops.cast(y_pred, self.dtype)
        y_true, y_pred = squeeze_or_expand_to_same_rank(ops.cast(y_true, self.dtype), y_pred)
        super().update_state(ops.square(y_true - y_pred), sample_weight)

    def result(self) -> Any:
        return ops.sqrt(super().result())


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of two classes."""

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing
        )


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of one-hot targets."""

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of class numbers."""

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
