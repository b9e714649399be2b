"""Ops that combine elements: sums, means, extrema, sorting positions, matrix products."""

from __future__ import annotations

import math
from typing import Any

from graphc.ops.dispatch import builder, convert, float_type, op
from graphc.ops.elementwise import (
    cast,
    exp,
    greater,
    isclose,
    log,
    logical_not,
    maximum,
    minimum,
    not_equal,
    sqrt,
    square,
    stop_gradient,
    true_divide,
)
from graphc.ops.shapes import expand_dims, normal_axis, reshape, squeeze
from graphc.primitives import functions as fn
from graphc.primitives.reduce import ArgMax, ArgMin, CumSum
from graphc.tensor import Tensor

__all__ = [
    "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumsum",
    "logsumexp", "max", "mean", "min", "prod", "std", "sum",
    "var",
]  # fmt: skip


def _axes(axis: Any, rank: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(rank))
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    return tuple(sorted({normal_axis(a, rank) for a in axes}))


def _summable(x: Tensor) -> Any:
    """The tensor in the dtype of its sums: small integers and bools are added up in 32 bits."""
    wide = {"bool": "int32", "int8": "int32", "uint8": "uint32"}.get(x.dtype)
    return x if wide is None else cast(x, wide)


@op
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = _summable(convert(x))
    return Tensor(fn.sum(builder(), x.value, _axes(axis, x.ndim), keepdims))


@op
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    x = _summable(convert(x)) if dtype is None else convert(x, dtype)
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
    """The largest element, at least `initial`."""
    x = convert(x)
    if x.dtype == "bool":
        return any(x, axis, keepdims)
    largest = Tensor(fn.max(builder(), x.value, _axes(axis, x.ndim), keepdims))
    return largest if initial is None else maximum(largest, initial)


@op
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """The smallest element, at most `initial`."""
    x = convert(x)
    if x.dtype == "bool":
        return all(x, axis, keepdims)
    smallest = Tensor(fn.min(builder(), x.value, _axes(axis, x.ndim), keepdims))
    return smallest if initial is None else minimum(smallest, initial)


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
    x = cast(x, "int32") if x.dtype == "bool" else x
    flat = x if axis is not None else reshape(x, (math.prod(int(dim) for dim in x.shape),))
    where_at = normal_axis(axis or 0, flat.ndim)
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
    """Element i is the sum of the elements up to i; without an axis, of the flattened tensor."""
    x = convert(x, dtype)
    x = cast(x, "int32") if x.dtype == "bool" else x
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return Tensor(builder().add(CumSum(normal_axis(axis, x.ndim)), x.value))


@op
def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """The mean, weighted if weights are given."""
    if weights is None:
        return mean(x, axis)
    x, weights = convert(x, float_type(x)), convert(weights, float_type(x))
    if weights.ndim < x.ndim:
        sizes = [1] * x.ndim
        sizes[normal_axis(axis, x.ndim)] = -1
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
def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close (`isclose`)."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))
