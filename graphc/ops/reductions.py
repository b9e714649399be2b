"""Ops that combine elements: sums, means, extrema, sorting positions, matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ops.dispatch import builder, convert, float_type, op, result_type
from graphc.ops.elementwise import (
    cast,
    equal,
    exp,
    greater,
    log,
    logical_not,
    multiply,
    not_equal,
    sqrt,
    square,
    stop_gradient,
    true_divide,
    where,
)
from graphc.ops.shapes import _normal, arange, concatenate, expand_dims, reshape, squeeze
from graphc.primitives import functions as fn
from graphc.primitives.reduce import ArgMax, ArgMin, CumSum
from graphc.tensor import Tensor

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumsum", "dot", "einsum",
    "in_top_k", "inner", "logsumexp", "matmul", "max", "mean", "min", "norm", "outer", "prod", "std", "sum",
    "tensordot", "top_k", "var",
]  # fmt: skip

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumsum", "dot", "einsum",
    "in_top_k", "inner", "logsumexp", "matmul", "max", "mean", "min", "norm", "outer", "prod", "std", "sum",
    "tensordot", "top_k", "var",
]  # fmt: skip


def _axes(axis: Any, rank: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(rank))
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    return tuple(sorted({_normal(a, rank) for a in axes}))


@op
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = convert(x)
    if x.dtype == "bool":
        x = cast(x, "int32")
    return Tensor(fn.sum(builder(), x.value, _axes(axis, x.ndim), keepdims))


@op
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    x = convert(x, dtype)
    return Tensor(fn.prod(builder(), x.value, _axes(axis, x.ndim), keepdims))


@op
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean; over the batch it divides by the rows of the running call."""
    x = convert(x, float_type(x))
    return Tensor(fn.mean(builder(), x.value, _axes(axis, x.ndim), keepdims))


@op
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The biased variance."""
    x = convert(x, float_type(x))
    return mean(square(x - mean(x, axis, keepdims=True)), axis, keepdims)


@op
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return sqrt(var(x, axis, keepdims))


@op
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    x = convert(x)
    return Tensor(fn.max(builder(), x.value, _axes(axis, x.ndim), keepdims))


@op
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    x = convert(x)
    return Tensor(fn.min(builder(), x.value, _axes(axis, x.ndim), keepdims))


amax, amin = max, min


@op
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return greater(max(cast(cast(x, "bool"), "int32"), axis, keepdims), 0)


@op
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return logical_not(any(logical_not(x), axis, keepdims))


@op
def count_nonzero(x: Any, axis: Any = None) -> Any:
    return sum(cast(not_equal(x, 0), "int32"), axis)


def _position(kind: type[ArgMax] | type[ArgMin], x: Any, axis: int | None, keepdims: bool) -> Any:
    x = convert(x)
    flat = x if axis is not None else reshape(x, (math.prod(int(dim) for dim in x.shape),))
    where_at = _normal(axis or 0, flat.ndim)
    found = Tensor(builder().add(kind(where_at), flat.value))
    if not keepdims:
        return found
    return expand_dims(found, where_at) if axis is not None else reshape(found, (1,) * x.ndim)


@op
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index (int32) of the first largest element."""
    return _position(ArgMax, x, axis, keepdims)


@op
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index (int32) of the first smallest element."""
    return _position(ArgMin, x, axis, keepdims)


@op
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    x = convert(x, dtype)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return Tensor(builder().add(CumSum(_normal(axis, x.ndim)), x.value))


@op
def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """The mean, weighted if weights are given."""
    if weights is None:
        return mean(x, axis)
    x, weights = convert(x, float_type(x)), convert(weights, float_type(x))
    if weights.ndim < x.ndim:
        sizes = [1] * x.ndim
        sizes[_normal(axis, x.ndim)] = -1
        weights = reshape(weights, sizes)
    return true_divide(sum(x * weights, axis), sum(weights + x * 0, axis))


@op
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), without overflow."""
    x = convert(x, float_type(x))
    top = stop_gradient(max(x, axis, keepdims=True))
    total = log(sum(exp(x - top), axis, keepdims=True)) + top
    return total if keepdims else squeeze(total, _axes(axis, x.ndim))


@op
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The Euclidean norm, or with `ord` 1 or inf the sum or maximum of absolute values."""
    from graphc.ops.elementwise import abs

    if ord == 1:
        return sum(abs(x), axis, keepdims)
    if ord in (math.inf, "inf"):
        return max(abs(x), axis, keepdims)
    if ord not in (None, 2, "euclidean", "fro"):
        raise NotImplementedError(f"norm: ord={ord!r} is not supported; use None, 1, 2 or inf")
    return sqrt(sum(square(convert(x, float_type(x))), axis, keepdims))


@op
def matmul(x1: Any, x2: Any) -> Any:
    """The matrix product over the last two axes; the others broadcast."""
    kind = result_type(x1, x2)
    return Tensor(fn.matmul(builder(), convert(x1, kind).value, convert(x2, kind).value))


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """The sum of products over pairs of axes: a number n (last n with first n) or two lists."""
    kind = result_type(x1, x2)
    a, b = convert(x1, kind), convert(x2, kind)
    if isinstance(axes, int):
        left, right = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        left, right = _axis_list(axes[0], a.ndim), _axis_list(axes[1], b.ndim)
    return Tensor(fn.dot(builder(), a.value, b.value, contract=(left, right)))


def _axis_list(axes: Any, rank: int) -> tuple[int, ...]:
    given = axes if isinstance(axes, (list, tuple)) else (axes,)
    return tuple(_normal(a, rank) for a in given)


@op
def dot(x1: Any, x2: Any) -> Any:
    """numpy's dot: scalars multiply, vectors and matrices contract the last axis with the second last."""
    a, b = convert(x1), convert(x2)
    if a.ndim == 0 or b.ndim == 0:
        return multiply(a, b)
    return tensordot(a, b, ((a.ndim - 1,), (0 if b.ndim == 1 else b.ndim - 2,)))


@op
def outer(x1: Any, x2: Any) -> Any:
    return multiply(reshape(x1, (-1, 1)), reshape(x2, (1, -1)))


@op
def inner(x1: Any, x2: Any) -> Any:
    a, b = convert(x1), convert(x2)
    return tensordot(a, b, ((a.ndim - 1,), (b.ndim - 1,)))


@op
def einsum(subscripts: str, *operands: Any) -> Any:
    """Einstein summation of one or two operands; every label appears at most once per operand, no ellipsis."""
    terms, _, result = subscripts.replace(" ", "").partition("->")
    labels = terms.split(",")
    if len(labels) != len(operands) or len(operands) > 2 or "." in subscripts or not result:
        raise NotImplementedError(f"einsum: {subscripts!r} is not supported; give one or two operands and '->'")
    if len(operands) == 1:
        return _einsum_one(labels[0], operands[0], result)
    kind = result_type(*operands)
    a, b = (convert(x, kind) for x in operands)
    left, right = labels
    a, left = _sum_lonely(a, left, right + result)
    b, right = _sum_lonely(b, right, left + result)
    shared = [c for c in left if c in right]
    batch, contract = [c for c in shared if c in result], [c for c in shared if c not in result]

    def places(labels: list[str]) -> tuple[list[int], list[int]]:
        return [left.index(c) for c in labels], [right.index(c) for c in labels]

    value = fn.dot(builder(), a.value, b.value, contract=places(contract), batch=places(batch))
    order = "".join(batch) + "".join(c for c in left + right if c not in shared)
    return _permuted(Tensor(value), order, result)


def _einsum_one(labels: str, x: Any, result: str) -> Any:
    x, labels = _sum_lonely(convert(x), labels, result)
    return _permuted(x, labels, result)


def _sum_lonely(x: Tensor, labels: str, elsewhere: str) -> tuple[Any, str]:
    lonely = [axis for axis, c in enumerate(labels) if c not in elsewhere]
    kept = "".join(c for c in labels if c in elsewhere)
    return (sum(x, lonely) if lonely else x), kept


def _permuted(x: Any, labels: str, result: str) -> Any:
    return Tensor(fn.transpose(builder(), x.value, tuple(labels.index(c) for c in result)))


@op
def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether the prediction at the target is among the k largest of its row (ties count as larger)."""
    from graphc.ops.shapes import one_hot

    predictions = convert(predictions)
    hot = cast(one_hot(targets, int(predictions.shape[-1])), predictions.dtype)
    chosen = sum(predictions * hot, axis=-1, keepdims=True)
    return sum(cast(greater(predictions, chosen), "int32"), axis=-1) < k


@op
def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """(values, indices) of the k largest along the last axis, largest first."""
    x = convert(x)
    position = arange(int(x.shape[-1]))
    values, indices = [], []
    left = x
    for _ in range(k):
        index = argmax(left, axis=-1)
        values.append(max(left, axis=-1, keepdims=True))
        indices.append(expand_dims(index, -1))
        left = where(
            equal(position, indices[-1]), -math.inf if x.dtype.startswith("float") else np.iinfo(x.dtype).min, left
        )
    return concatenate(values, -1), concatenate(indices, -1)
