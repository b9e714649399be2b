"""Losses over whole images, batches and sequences: Dice, Tversky, Circle, CTC."""

from __future__ import annotations

from typing import Any

from graphc import ops
from graphc.losses.loss import LossFunctionWrapper, floats, with_mask

# In a sum of exponentials: no term at all, with a gradient that is 0 and not undefined.
NOTHING = -1e9


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """1 - 2 |intersection| / (|y_true| + |y_pred|)."""
    y_true, y_pred = floats(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    score = ops.divide_no_nan(2.0 * both, ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis))
    return 1.0 - score


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """1 - both / (both + alpha * sum of y_true missed + beta * sum of y_pred beyond y_true)."""
    y_true, y_pred = floats(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    wrong = ops.sum((1.0 - y_true) * y_pred, axis=axis)
    missed = ops.sum((1.0 - y_pred) * y_true, axis=axis)
    return 1.0 - ops.divide_no_nan(both, both + missed * alpha + wrong * beta)


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """Pulls embeddings of a label together and pushes the others apart (Sun et al. 2020): labels (n,), y_pred (n, d).

    y_pred: embeddings of length 1. ref_labels, ref_embeddings: what they are compared with (None: each other).
    """
    y_pred, labels = ops.convert_to_tensor(y_pred), ops.cast(y_true, "int32")
    references = y_pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings)
    others = labels if ref_labels is None else ops.cast(ref_labels, "int32")
    distances = ops.maximum(1.0 - ops.matmul(y_pred, ops.transpose(references)), 0.0)
    same = _pairwise_equal(labels, others)
    different = ops.logical_not(same)
    if remove_diagonal:
        same = ops.logical_and(same, ops.logical_not(_pairwise_equal(_positions(labels), _positions(others))))
    pull = ops.where(same, -gamma * (margin + distances) * (margin - distances), NOTHING)
    push = gamma * ops.maximum(1.0 + margin - distances, 0.0) * (1.0 - margin - distances)
    attraction, repulsion = (ops.logsumexp(x, axis=1) for x in (pull, ops.where(different, push, NOTHING)))
    losses = ops.softplus(attraction + repulsion)
    return with_mask(losses, ops.greater(losses, 0.0))


def _pairwise_equal(a: Any, b: Any) -> Any:
    return ops.equal(ops.expand_dims(ops.reshape(a, (-1,)), 1), ops.expand_dims(ops.reshape(b, (-1,)), 0))


def _positions(labels: Any) -> Any:
    return ops.arange(ops.shape(labels)[0])


def ctc(y_true: Any, y_pred: Any) -> Any:
    """-log of the probability of all ways to spell labels (n, most labels) in logits (n, time, classes).

    Class 0 is the blank and fills labels up (Graves et al. 2006).
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) != 2:
        raise ValueError(
            "Targets `y_true` are expected to be a tensor of shape `(batch_size, max_length)` in integer format. "
            f"Received: y_true.shape={ops.shown(y_true.shape)}"
        )
    if len(y_pred.shape) != 3:
        raise ValueError(
            "Logits `y_pred` are expected to be a tensor of shape `(batch_size, max_length, num_classes)`. Received: "
            f"y_pred.shape={ops.shown(y_pred.shape)}"
        )
    lengths = ops.sum(ops.cast(ops.not_equal(y_true, 0), "int32"), axis=-1)
    steps = ops.full_like(lengths, int(y_pred.shape[1]))
    return ops.ctc_loss(y_true, y_pred, lengths, steps, mask_index=0)


class Dice(LossFunctionWrapper):
    """1 - the Dice coefficient, over everything unless axes are given."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "dice", axis: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """1 - the Tversky index, over everything unless axes are given."""

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, reduction: str | None = "sum_over_batch_size",
                 name: str = "tversky", axis: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


class Circle(LossFunctionWrapper):
    """Pulls embeddings of a label together and pushes the others apart; class numbers and embeddings of length 1."""

    sparse_targets = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)


class CTC(LossFunctionWrapper):
    """-log of the probability of labels, in any alignment with the steps of the logits; class 0 is the blank."""

    sparse_targets = True

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "ctc", dtype: Any = None) -> None:
        super().__init__(ctc, reduction, name, dtype)
