"""Areas under curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import config, ops
from graphc.metrics.confusion import COUNTS, Confusion, counts
from graphc.ops.dispatch import op

CURVES = ("PR", "ROC", "PRGAIN")
SUMMATIONS = ("interpolation", "majoring", "minoring")


class AUC(Confusion):
    """The area under a curve, from counts at `num_thresholds` thresholds.

    curve: "ROC", "PR" (precision against recall) or "PRGAIN" (Flach and Kull 2015). summation_method: heights between
    thresholds are "interpolation"s, or the larger ("majoring") or smaller ("minoring") of the two. thresholds: those
    between 0 and 1, instead of equally many. multi_label: one area per index of the last axis, averaged (with
    label_weights, if given); otherwise label_weights weigh the predictions.
    """

    _direction = "up"
    kept = COUNTS

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
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(
                f"Argument `num_thresholds` must be an integer > 1. Received: num_thresholds={num_thresholds}"
            )
        self.curve = _one_of("curve", str(curve).upper(), CURVES, curve)
        self.summation_method = _one_of("summation method", str(summation_method).lower(), SUMMATIONS, summation_method)
        super().__init__(dtype, name)
        even = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)] if thresholds is None else None
        self.init_thresholds = None if thresholds is None else sorted(thresholds)
        inner = even if even is not None else self.init_thresholds or []
        self.thresholds = [-config.epsilon(), *inner, 1.0 + config.epsilon()]
        self.num_thresholds = len(self.thresholds)
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else np.asarray(label_weights, "float32")
        self.from_logits = from_logits
        self._is_built = False
        if num_labels and not multi_label:
            raise ValueError("`num_labels` is needed only when `multi_label` is True.")
        if num_labels or not multi_label:
            self._build((None, num_labels))

    def _build(self, shape: Any) -> None:
        if self.multi_label and len(shape) != 2:
            raise ValueError(
                f"`y_pred` must have rank 2 when `multi_label=True`. Found rank {len(shape)}. Full shape received for "
                f"`y_pred`: {tuple(shape)}"
            )
        self._add_totals((self.num_thresholds, int(shape[1])) if self.multi_label else (self.num_thresholds,))
        self._is_built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not self._is_built:
            self._build(y_pred.shape)
        y_pred = ops.sigmoid(y_pred) if self.from_logits else y_pred
        weights = None if self.multi_label else self.label_weights
        found = counts(
            y_true, y_pred, self.thresholds, sample_weight, label_weights=weights, multi_label=self.multi_label
        )
        self._count(found)

    @op
    def result(self) -> Any:
        tp, fp, tn, fn = (ops.convert_to_tensor(getattr(self, name)) for name in COUNTS)
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated_pr(tp, fp, fn)
        else:
            x, y = self._curve(tp, fp, tn, fn)
            areas = (x[:-1] - x[1:]) * self._heights(y)
        if not self.multi_label:
            return ops.sum(areas)
        by_label = ops.sum(areas, axis=0)
        if self.label_weights is None:
            return ops.mean(by_label)
        return ops.divide_no_nan(ops.sum(by_label * self.label_weights), float(self.label_weights.sum()))

    def _curve(self, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
        recall = ops.divide_no_nan(tp, tp + fn)
        if self.curve == "ROC":
            return ops.divide_no_nan(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, ops.divide_no_nan(tp, tp + fp)
        ratio = ops.divide_no_nan(tp + fn, tn + fp)
        none = ops.equal(tp, 0.0)
        recall_gain = ops.where(none, 0.0, 1.0 - ratio * ops.divide_no_nan(fn, tp))
        precision_gain = ops.where(none, 1.0, 1.0 - ratio * ops.divide_no_nan(fp, tp))
        return ops.maximum(recall_gain, 0.0), precision_gain

    def _heights(self, y: Any) -> Any:
        if self.summation_method == "interpolation":
            return (y[:-1] + y[1:]) / 2.0
        return (ops.minimum if self.summation_method == "minoring" else ops.maximum)(y[:-1], y[1:])

    def get_config(self) -> dict[str, Any]:
        names = ("num_thresholds", "curve", "summation_method", "multi_label", "num_labels", "from_logits")
        options = {name: getattr(self, name) for name in names}
        options["label_weights"] = None if self.label_weights is None else self.label_weights.tolist()
        given = {} if self.init_thresholds is None else {"thresholds": self.init_thresholds}
        return {**super().get_config(), **options, **given}


def _one_of(what: str, value: str, known: tuple[str, ...], received: Any) -> str:
    if value not in known:
        names = ", ".join(f'"{name}"' for name in known)
        raise ValueError(f'Invalid AUC {what} value: "{received}". Expected values are [{names}]')
    return value


def _interpolated_pr(tp: Any, fp: Any, fn: Any) -> Any:
    """Areas under the precision-recall curve with interpolated true positives (Davis and Goadrich 2006)."""
    gained = tp[:-1] - tp[1:]
    positives = tp + fp
    before, after = positives[:-1], positives[1:]
    slope = ops.divide_no_nan(gained, ops.maximum(before - after, 0.0))
    intercept = tp[1:] - slope * after
    both = ops.logical_and(ops.greater(before, 0.0), ops.greater(after, 0.0))
    ratio = ops.where(both, ops.divide_no_nan(before, ops.maximum(after, 0.0)), 1.0)
    return ops.divide_no_nan(slope * (gained + intercept * ops.log(ratio)), ops.maximum(tp[1:] + fn[1:], 0.0))
