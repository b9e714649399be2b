"""Intersection over union of classes, from a confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from graphc import config, ops
from graphc.metrics.metric import Metric
from graphc.ops.dispatch import op


class IoU(Metric):
    """The mean over `target_class_ids` of correct predictions / (predictions or labels of the class).

    sparse_y_true, sparse_y_pred: class numbers (True), or scores whose largest along `axis` is meant. ignore_class:
    labels of this class do not count; nor do class numbers outside [0, num_classes). dtype: of the counts.
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype or "int", name)
        if max(target_class_ids) >= num_classes:
            raise ValueError(f"Target class id {max(target_class_ids)} is out of range, which is [0, {num_classes}).")
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable((num_classes, num_classes), "zeros", name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        labels = y_true if self.sparse_y_true else ops.argmax(y_true, axis=self.axis)
        found = y_pred if self.sparse_y_pred else ops.argmax(y_pred, axis=self.axis)
        labels, found = (ops.cast(ops.reshape(ids, (-1,)), "int32") for ids in (labels, found))
        counted = self._weights(sample_weight, labels)
        pairs = ops.where(self._is_valid(labels, found), labels * self.num_classes + found, -1)
        hits = ops.equal(ops.expand_dims(pairs, 1), ops.expand_dims(ops.arange(self.num_classes**2), 0))
        matrix = ops.sum(ops.where(hits, counted, ops.zeros_like(counted)), axis=0)
        self.total_cm.assign(self.total_cm + ops.reshape(matrix, (self.num_classes, self.num_classes)))

    def _weights(self, sample_weight: Any, labels: Any) -> Any:
        """Weights (n, 1) in the dtype of the counts."""
        if sample_weight is None:
            return ops.ones_like(ops.expand_dims(labels, 1), dtype=self.dtype)
        weights = ops.convert_to_tensor(sample_weight)
        if "float" in str(weights.dtype) and "int" in self.dtype:
            warnings.warn(
                "You are passing weight as `float`, but dtype is `int`. This may result in an incorrect weight due to "
                "type casting Consider using integer weights.",
                stacklevel=3,
            )
        flat = ops.reshape(ops.cast(weights, self.dtype), (-1,))
        return ops.expand_dims(ops.broadcast_to(flat, labels.shape), 1)

    def _is_valid(self, labels: Any, found: Any) -> Any:
        inside = [ops.logical_and(ops.greater_equal(x, 0), ops.less(x, self.num_classes)) for x in (labels, found)]
        valid = ops.logical_and(*inside)
        if self.ignore_class is not None:
            valid = ops.logical_and(valid, ops.not_equal(labels, self.ignore_class))
        return valid

    @op
    def result(self) -> Any:
        counts = ops.cast(self.total_cm, "float32")
        both = ops.sum(counts * ops.eye(self.num_classes), axis=0)
        either = ops.sum(counts, axis=0) + ops.sum(counts, axis=1) - both
        wanted = [float(self.target_class_ids.count(c)) for c in range(self.num_classes)]
        valid = ops.cast(ops.greater(either, 1e-9), "float32") * ops.convert_to_tensor(wanted, "float32")
        small = config.epsilon()
        return ops.sum(valid * both / (either + small)) / (ops.sum(valid) + small)

    def get_config(self) -> dict[str, Any]:
        names = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _config_without(self, *names: str) -> dict[str, Any]:
        """The config of a subclass that fixes these arguments."""
        return {name: value for name, value in IoU.get_config(self).items() if name not in names}


class BinaryIoU(IoU):
    """`IoU` of two classes, for predictions that are class 1 from `threshold` on."""

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        above = ops.greater_equal(ops.cast(y_pred, "float32"), self.threshold)
        super().update_state(y_true, ops.cast(above, "int32"), sample_weight)

    def get_config(self) -> dict[str, Any]:
        fixed = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**self._config_without(*fixed), "threshold": self.threshold}


class MeanIoU(IoU):
    """`IoU` of all classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        ids = range(num_classes)
        super().__init__(num_classes, ids, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("target_class_ids")


class OneHotIoU(IoU):
    """`IoU` of one-hot labels."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """`IoU` of all classes, for one-hot labels."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("target_class_ids", "sparse_y_true")
