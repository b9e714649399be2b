"""The base classes of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import config, ops
from graphc.naming import auto_name
from graphc.reduction import REDUCTIONS, reduce_weighted_values, squeeze_or_expand_to_same_rank
from graphc.tensor import KerasTensor, Tensor, current_tracer
from graphc.tracing import contains, run_eagerly


class Loss:
    """Base class: `call(y_true, y_pred)` returns one value per sample; calling the object reduces them.

    reduction: "sum_over_batch_size" (mean over all values), "sum", "mean", "mean_with_sample_weight" or None.
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        self.name = name or auto_name(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"Invalid value for argument `reduction`. Expected one of {set(REDUCTIONS)}. Received: "
                f"reduction={reduction}"
            )
        self.reduction = reduction
        self._dtype = dtype

    @property
    def dtype(self) -> str:
        return config.standardize_dtype(self._dtype)

    # Whether y_true holds class numbers, which stay integers.
    sparse_targets = False

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        arguments = (y_true, y_pred, sample_weight)
        if current_tracer() is None and not contains(KerasTensor, arguments):
            return run_eagerly(self._reduced, arguments, {})
        return self._reduced(*arguments)

    def _reduced(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        mask = getattr(y_pred, "_keras_mask", None)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true = ops.convert_to_tensor(y_true, dtype=None if self.sparse_targets else self.dtype)
        values = self.call(y_true, y_pred)
        own_mask = getattr(values, "_keras_mask", None)
        if own_mask is not None:
            mask = own_mask if mask is None else ops.logical_and(mask, own_mask)
        return reduce_weighted_values(values, sample_weight, mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample."""
        raise NotImplementedError(f"{type(self).__name__} must implement `call(y_true, y_pred)`")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


class LossFunctionWrapper(Loss):
    """A function (y_true, y_pred, **options) -> value per sample as a loss."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or fn.__name__, reduction, dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        if type(self) is not LossFunctionWrapper:
            return {**super().get_config(), **self._fn_kwargs}
        return {**super().get_config(), "fn": self.fn.__name__, **self._fn_kwargs}


class FunctionLoss(LossFunctionWrapper):
    """Base of losses of one function without options, `function`."""

    function: Callable[..., Any]

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        function = type(self).function
        super().__init__(function, reduction, name or function.__name__, dtype)


def floats(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both as tensors of the prediction's dtype, in equal rank."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    return squeeze_or_expand_to_same_rank(y_true, y_pred)


def with_mask(values: Any, mask: Any) -> Any:
    """The values, with the mask of those that count (arrays cannot carry one)."""
    if isinstance(values, (Tensor, KerasTensor)):
        values._keras_mask = mask
    return values
