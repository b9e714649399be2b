"""Metrics from counts of true and false, positive and negative predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import config, ops
from graphc.metrics.metric import Metric
from graphc.ops.dispatch import op
from graphc.reduction import squeeze_or_expand_to_same_rank

COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")
# The threshold of metrics that call the k largest predictions positive, and below it what the others are set to.
NO_THRESHOLD, NEVER = -1e10, -2e10


def counts(
    y_true: Any,
    y_pred: Any,
    thresholds: Any,
    sample_weight: Any = None,
    *,
    top_k: int | None = None,
    class_id: int | None = None,
    label_weights: Any = None,
    multi_label: bool = False,
) -> dict[str, Any]:
    """The four counts, one per threshold; a prediction is positive if strictly greater than the threshold.

    top_k: only the k largest of the last axis can be positive. class_id: this index of the last axis alone.
    label_weights: one per index of the last axis. multi_label: counts (thresholds, labels) of y_pred (n, labels).
    """
    y_pred, y_true = ops.cast(y_pred, "float32"), ops.cast(y_true, "float32")
    y_pred, y_true = squeeze_or_expand_to_same_rank(y_pred, y_true)
    if sample_weight is not None:
        sample_weight = _spread(ops.cast(sample_weight, "float32"), y_pred)
    if top_k is not None:
        y_pred = _largest(y_pred, top_k)
    if class_id is not None:
        y_true, y_pred, sample_weight = (_of_class(y, class_id) for y in (y_true, y_pred, sample_weight))
    if are_even(thresholds):
        y_pred = ops.clip(y_pred, 0.0, 1.0)
    weights = _combined(sample_weight, label_weights, y_pred)
    limits = np.asarray(thresholds, "float32").reshape((-1, 1, 1) if multi_label else (-1, 1))

    def rows(y: Any) -> Any:
        return ops.expand_dims(y, 0) if multi_label else ops.reshape(y, (1, -1))

    positive = ops.cast(ops.greater(rows(y_pred), limits), "float32")
    truth = rows(ops.cast(ops.cast(y_true, "bool"), "float32"))
    factor = 1.0 if weights is None else rows(weights)
    pairs = {
        "true_positives": (truth, positive),
        "false_positives": (1.0 - truth, positive),
        "true_negatives": (1.0 - truth, 1.0 - positive),
        "false_negatives": (truth, 1.0 - positive),
    }
    return {name: ops.sum(a * b * factor, axis=1) for name, (a, b) in pairs.items()}


def are_even(thresholds: Any) -> bool:
    """Whether there are at least three thresholds, equally far apart from 0 to 1; predictions are then cut to that."""
    count = len(thresholds)
    even = np.arange(count, dtype=np.float32) / max(count - 1, 1)
    return count > 2 and bool(np.allclose(np.asarray(thresholds, "float32"), even, atol=config.epsilon()))


def _spread(weights: Any, like: Any) -> Any:
    """Weights per sample (or per element) as weights per element."""
    missing = len(like.shape) - len(weights.shape)
    if missing > 0:
        weights = ops.expand_dims(weights, list(range(len(weights.shape), len(like.shape))))
    return ops.broadcast_to(weights, ops.shape(like))


def _largest(y_pred: Any, k: int) -> Any:
    """The predictions with all but the k largest of each row set to NEVER; of equal ones the first counts."""
    _, indices = ops.top_k(y_pred, k)
    chosen = ops.sum(ops.one_hot(indices, int(y_pred.shape[-1])), axis=-2)
    return ops.where(ops.greater(chosen, 0.0), y_pred, NEVER)


def _of_class(y: Any, class_id: int) -> Any:
    if y is None:
        return None
    if len(y.shape) == 1:
        raise ValueError(
            "When class_id is provided, y_pred must be a 2D array with shape (num_samples, num_classes), found shape: "
            f"{ops.shown(y.shape)}"
        )
    return ops.get_item(y, (Ellipsis, class_id))


def _combined(sample_weight: Any, label_weights: Any, like: Any) -> Any:
    if label_weights is None:
        return sample_weight
    each = ops.broadcast_to(ops.convert_to_tensor(label_weights, "float32"), ops.shape(like))
    return each if sample_weight is None else each * sample_weight


def checked_thresholds(thresholds: Any, default: float) -> list[float]:
    """A list of thresholds. ValueError in Keras's words for one outside [0, 1]."""
    if thresholds is None:
        return [default]
    values = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    wrong = [t for t in values if t is None or t < 0 or t > 1]
    if wrong:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {wrong}")
    return values


class Confusion(Metric):
    """Base: adds up some of the four counts (`kept`), each an attribute of its name."""

    kept: tuple[str, ...] = ()
    true_positives: Any
    false_positives: Any
    true_negatives: Any
    false_negatives: Any

    def _add_totals(self, shape: tuple[int, ...]) -> None:
        for name in self.kept:
            setattr(self, name, self.add_variable(shape, "zeros", name=name))

    def _count(self, found: dict[str, Any]) -> None:
        for name in self.kept:
            total = getattr(self, name)
            total.assign(total + found[name])


class _Count(Metric):
    """Base: adds up one of the four counts."""

    counted = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = checked_thresholds(thresholds, 0.5)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = counts(y_true, y_pred, self.thresholds, sample_weight)
        self.accumulator.assign(self.accumulator + found[self.counted])

    @op
    def result(self) -> Any:
        total = ops.convert_to_tensor(self.accumulator)
        return total[0] if len(self.thresholds) == 1 else total

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """The number of positive predictions that are right."""

    counted = "true_positives"
    _direction = "up"


class FalsePositives(_Count):
    """The number of positive predictions that are wrong."""

    counted = "false_positives"
    _direction = "down"


class TrueNegatives(_Count):
    """The number of negative predictions that are right."""

    counted = "true_negatives"
    _direction = "up"


class FalseNegatives(_Count):
    """The number of negative predictions that are wrong."""

    counted = "false_negatives"
    _direction = "down"


class _Share(Confusion):
    """true positives / (true positives + another count); without thresholds top_k alone decides what is positive."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = checked_thresholds(thresholds, 0.5 if top_k is None else NO_THRESHOLD)
        self._add_totals((len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = counts(y_true, y_pred, self.thresholds, sample_weight, top_k=self.top_k, class_id=self.class_id)
        self._count(found)

    @op
    def result(self) -> Any:
        right, other = (getattr(self, name) for name in self.kept)
        share = ops.divide_no_nan(right, right + other)
        return share[0] if len(self.thresholds) == 1 else share

    def get_config(self) -> dict[str, Any]:
        options = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **options}


class Precision(_Share):
    """The share of positive predictions that are right."""

    kept = ("true_positives", "false_positives")


class Recall(_Share):
    """The share of positive samples that are found."""

    kept = ("true_positives", "false_negatives")


class _BestAt(Confusion):
    """Base: the largest value of one rate among the thresholds at which another is at least `value`."""

    _direction = "up"
    kept = COUNTS
    # the name of the constructor's first argument
    demanded = ""

    def __init__(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        if value < 0 or value > 1:
            raise ValueError(
                f"Argument `{self.demanded}` must be in the range [0, 1]. Received: {self.demanded}={value}"
            )
        super().__init__(dtype, name)
        if num_thresholds <= 0:
            raise ValueError(
                f"Argument `num_thresholds` must be an integer > 0. Received: num_thresholds={num_thresholds}"
            )
        self.value = value
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self.thresholds = [0.5] if num_thresholds == 1 else [i / (num_thresholds - 1) for i in range(num_thresholds)]
        self._add_totals((len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(counts(y_true, y_pred, self.thresholds, sample_weight, class_id=self.class_id))

    @op
    def result(self) -> Any:
        constrained, wanted = self._rates()
        return ops.max(ops.where(ops.greater_equal(constrained, self.value), wanted, 0.0))

    def _rates(self) -> tuple[Any, Any]:
        """(the rate that is demanded, the rate that is wanted), per threshold."""
        raise NotImplementedError

    @property
    def _recalls(self) -> Any:
        return ops.divide_no_nan(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def _precisions(self) -> Any:
        return ops.divide_no_nan(self.true_positives, self.true_positives + self.false_positives)

    @property
    def _specificities(self) -> Any:
        return ops.divide_no_nan(self.true_negatives, self.true_negatives + self.false_positives)

    def get_config(self) -> dict[str, Any]:
        options = {"num_thresholds": self.num_thresholds, "class_id": self.class_id, self.demanded: self.value}
        return {**super().get_config(), **options}


class SensitivityAtSpecificity(_BestAt):
    """The best recall among the thresholds at which true negatives / negatives is at least `specificity`."""

    demanded = "specificity"

    def __init__(self, specificity: float, num_thresholds: int = 200, class_id: int | None = None,
                 name: str | None = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._specificities, self._recalls


class SpecificityAtSensitivity(_BestAt):
    """The best true negatives / negatives among the thresholds at which recall is at least `sensitivity`."""

    demanded = "sensitivity"

    def __init__(self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None,
                 name: str | None = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._recalls, self._specificities


class PrecisionAtRecall(_BestAt):
    """The best precision among the thresholds at which recall is at least `recall`."""

    demanded = "recall"

    def __init__(self, recall: float, num_thresholds: int = 200, class_id: int | None = None,
                 name: str | None = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._recalls, self._precisions


class RecallAtPrecision(_BestAt):
    """The best recall among the thresholds at which precision is at least `precision`."""

    demanded = "precision"

    def __init__(self, precision: float, num_thresholds: int = 200, class_id: int | None = None,
                 name: str | None = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._precisions, self._recalls
