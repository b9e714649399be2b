"""Accuracies: the share of predictions that are right."""

from __future__ import annotations

from typing import Any

from graphc import ops
from graphc.metrics.reduction import MeanMetricWrapper, of_function
from graphc.reduction import squeeze_or_expand_to_same_rank


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_true equals y_pred."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = squeeze_or_expand_to_same_rank(ops.cast(y_true, y_pred.dtype), y_pred)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where y_true equals (y_pred > threshold)."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = squeeze_or_expand_to_same_rank(ops.convert_to_tensor(y_true), y_pred)
    above = ops.cast(ops.greater(y_pred, threshold), y_true.dtype)
    return ops.cast(ops.equal(y_true, above), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest entries of y_true and y_pred are at the same index."""
    y_true = ops.argmax(y_true, axis=-1)
    return _matches(y_true, ops.convert_to_tensor(y_pred))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest entry of y_pred is at index y_true."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return _matches(y_true, y_pred)


def _matches(labels: Any, y_pred: Any) -> Any:
    found = ops.argmax(y_pred, axis=-1)
    return ops.cast(ops.equal(labels, ops.cast(found, labels.dtype)), "float32")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the true class is among the k largest predictions."""
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """1 where the class number is among the k largest predictions (or among the first k ids)."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) == len(y_pred.shape):
        y_true = ops.squeeze(y_true, -1)
    if from_sorted_ids:
        first = ops.get_item(y_pred, (Ellipsis, slice(0, k)))
        return ops.cast(ops.any(ops.equal(ops.expand_dims(y_true, -1), first), axis=-1), "float32")
    return ops.cast(ops.in_top_k(ops.cast(y_true, "int32"), y_pred, k), "float32")


Accuracy = of_function("Accuracy", accuracy, direction="up")
CategoricalAccuracy = of_function("CategoricalAccuracy", categorical_accuracy, direction="up")
SparseCategoricalAccuracy = of_function("SparseCategoricalAccuracy", sparse_categorical_accuracy, direction="up")


class BinaryAccuracy(MeanMetricWrapper):
    """The share of predictions on the right side of the threshold."""

    _direction = "up"

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(
                "Invalid value for argument `threshold`. Expected a value in interval [0, 1]. Received: "
                f"threshold={threshold}"
            )
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose true class is among the k largest predictions."""

    _direction = "up"

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose class number is among the k largest predictions."""

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)

    def get_config(self) -> dict[str, Any]:
        options = super().get_config()
        if not self._fn_kwargs["from_sorted_ids"]:
            del options["from_sorted_ids"]  # Keras never writes it
        return options
