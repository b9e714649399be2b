"""How losses and metrics match ranks, weigh and reduce values."""

from __future__ import annotations

from typing import Any

from graphc import ops

REDUCTIONS = ("sum_over_batch_size", "sum", None, "none", "mean", "mean_with_sample_weight")


def squeeze_or_expand_to_same_rank(x1: Any, x2: Any, expand_rank_1: bool = True) -> tuple[Any, Any]:
    """(n,) and (n, 1) meet as (n, 1), and (n, k, 1) meets (n, k) as (n, k), so that they never broadcast to (n, n)."""
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if rank1 == rank2 + 1 and x1.shape[-1] == 1:
        return (x1, ops.expand_dims(x2, -1)) if rank2 == 1 and expand_rank_1 else (ops.squeeze(x1, -1), x2)
    if rank2 == rank1 + 1 and x2.shape[-1] == 1:
        return (ops.expand_dims(x1, -1), x2) if rank1 == 1 and expand_rank_1 else (x1, ops.squeeze(x2, -1))
    return x1, x2


def apply_mask(sample_weight: Any, mask: Any, dtype: str, reduction: str | None) -> Any:
    """The weights of what the mask lets through; for a mean, scaled so that the mean is over valid entries."""
    if mask is None:
        return sample_weight
    mask = ops.cast(mask, dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        mask = ops.divide_no_nan(mask, ops.mean(mask))
    if sample_weight is None:
        return mask
    sample_weight, mask = squeeze_or_expand_to_same_rank(ops.cast(sample_weight, dtype), mask)
    return sample_weight * mask


def reduce_weighted_values(
    values: Any, sample_weight: Any = None, mask: Any = None, reduction: str | None = "sum_over_batch_size",
    dtype: str = "float32",
) -> Any:  # fmt: skip
    """The loss of a batch from its values per sample; weights multiply and do not divide."""
    values = ops.cast(values, dtype)
    weights = apply_mask(sample_weight, mask, dtype, reduction)
    if weights is not None:
        values, weights = squeeze_or_expand_to_same_rank(values, ops.cast(weights, dtype))
        values = values * weights
    if reduction in (None, "none") or values.shape == ():
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weights is not None:
        return ops.divide_no_nan(ops.sum(values), ops.sum(weights))
    return ops.mean(values)


def reduce_to_samplewise_values(values: Any, sample_weight: Any, dtype: str) -> tuple[Any, Any]:
    """One (weighted) value per sample, and the weights broadcast to them."""
    mask = getattr(values, "_keras_mask", None)
    values = ops.cast(values, dtype)
    if sample_weight is not None:  # as in Keras, masked values count where there are no weights
        weights = apply_mask(sample_weight, mask, dtype, "sum")
        values, weights = squeeze_or_expand_to_same_rank(values, ops.cast(weights, dtype))
        weight_rank = len(weights.shape)
        values = _mean_over(values, weight_rank)
        weights = ops.broadcast_to(weights, ops.shape(values))
        return _mean_over(values * weights, 1), _mean_over(weights, 1)
    return _mean_over(values, 1), None


def _mean_over(x: Any, first: int) -> Any:
    axes = list(range(first, len(x.shape)))
    return ops.mean(x, axis=axes) if axes else x
