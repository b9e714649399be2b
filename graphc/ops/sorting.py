"""Order: sorting, the largest k, quantiles, positions in sorted sequences, sets.

A graph has no sorting loop. Up to 1024 elements the place of each is counted by comparing it with all others; longer
axes (of at most 32 bits) go through Batcher's bitonic network (1968): log2(n)^2 / 2 rounds of comparing halves. Both
are stable, NaN comes last, and gradients flow to the elements that were picked. Arrays are sorted by numpy.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.ir.types import Rows
from graphc.ops.arithmetic import bitwise_and, bitwise_xor, view
from graphc.ops.dispatch import arrays_only, builder, convert, float_type, op, op_with, widened
from graphc.ops.elementwise import (
    add,
    cast,
    divide,
    equal,
    floor,
    greater,
    isnan,
    less,
    less_equal,
    logical_not,
    maximum,
    minimum,
    multiply,
    round,
    subtract,
    where,
)
from graphc.ops.reductions import any, sum
from graphc.ops.shapes import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    normal_axis,
    pad,
    ravel,
    reshape,
)
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "argpartition", "argsort", "digitize", "in_top_k", "isin", "median", "nanmedian", "nanpercentile", "nanquantile",
    "nonzero", "percentile", "quantile", "searchsorted", "sort", "top_k", "unique",
]  # fmt: skip

COUNTED = 1024  # elements up to which all are compared with all


# ---- orders in a graph


def _order(x: Any) -> Any:
    """The positions (int32) that sort the last axis, equal elements in their order."""
    if isinstance(x.shape[-1], Rows):
        raise ValueError("sorting along the batch axis is not possible: its number of rows is known only at run time")
    keys = _keys(x)
    long = int(x.shape[-1]) > COUNTED and not keys.dtype.endswith("64")
    return _network_order(keys) if long else _counted_order(keys)


def _keys(x: Any) -> Any:
    """Integers in the order of the elements: of floats, their bits, turned around for negative ones; NaN is last."""
    if x.dtype == "bool":
        return cast(x, "int32")
    if "float" not in x.dtype:
        return x
    x = widened(x)
    whole = x.dtype.replace("float", "int")
    largest = int(np.iinfo(whole).max)
    bits = view(where(equal(x, 0), 0.0, x), whole)
    return where(isnan(x), largest, where(less(bits, 0), bitwise_xor(bits, np.asarray(largest, whole)), bits))


def _counted_order(keys: Any) -> Any:
    size = int(keys.shape[-1])
    here, there = expand_dims(keys, -1), expand_dims(keys, -2)
    row, column = np.arange(size, dtype="int32").reshape(size, 1), np.arange(size, dtype="int32")
    ahead = where(less(column, row), less_equal(there, here), less(there, here))
    place = sum(cast(ahead, "int32"), -1)
    # the inverse of a permutation: which element has place j
    return sum(where(equal(expand_dims(place, -2), row), column, 0), -1)


def _network_order(keys: Any) -> Any:
    """Key and position in one integer of 64 bits, so that a round is a minimum and a maximum."""
    size = int(keys.shape[-1])
    rounds = math.ceil(math.log2(size))
    keys = subtract(cast(keys, "int64"), 1 << 31 if keys.dtype == "uint32" else 0)
    edges = [*[(0, 0)] * (keys.ndim - 1), (0, (1 << rounds) - size)]
    keys = pad(keys, edges, constant_values=(1 << 31) - 1)
    packed = add(multiply(keys, 1 << 32), np.arange(1 << rounds, dtype="int64"))
    for run in range(rounds):
        packed = _exchanged(packed, run, mirrored=True)
        for step in reversed(range(run)):
            packed = _exchanged(packed, step)
    return cast(bitwise_and(packed, np.int64((1 << 32) - 1)), "int32")[..., :size]


def _exchanged(x: Any, step: int, mirrored: bool = False) -> Any:
    """One round: in every block of 2^(step + 1) the smaller of element i and its partner in the other half goes first.

    The partner is i + 2^step, or the mirror image of i.
    """
    half = 1 << step
    blocks = reshape(x, (*x.shape[:-1], int(x.shape[-1]) // (2 * half), 2, half))
    first, second = blocks[..., :1, :], blocks[..., 1:, :]
    second = flip(second, -1) if mirrored and step else second
    low, high = minimum(first, second), maximum(first, second)
    high = flip(high, -1) if mirrored and step else high
    return reshape(concatenate([low, high], -2), x.shape)


def picked(x: Any, places: Any) -> Any:
    """The elements of the last axis at places[.., any], for each line of it."""
    rank = x.ndim - 1
    value: Any = Tensor(fn.gather(builder(), convert(x).value, convert(places, "int32").value, rank))
    return value


def _last(x: Any, axis: int | None) -> tuple[Any, int]:
    """(the tensor with the axis as its last, where it was); None: all elements in one line."""
    x = convert(x)
    if axis is None:
        return ravel(x), 0
    at = normal_axis(axis, x.ndim)
    return moveaxis(x, at, -1), at


# ---- sorting


@op_with(lambda x, axis=-1: np.sort(x, axis, kind="stable"))
def sort(x: Any, axis: int | None = -1) -> Any:
    """The elements in ascending order along an axis; NaN comes last."""
    x, at = _last(x, axis)
    return moveaxis(picked(x, _order(x)), -1, at)


@op_with(lambda x, axis=-1: np.argsort(x, axis, kind="stable").astype("int32"))
def argsort(x: Any, axis: int | None = -1) -> Any:
    """The positions (int32) that sort an axis; equal elements stay in order. None: of the flattened tensor."""
    x, at = _last(x, axis)
    return moveaxis(_order(x), -1, at)


@op_with(lambda x, kth, axis=-1: np.argpartition(x, kth, axis).astype("int32"))
def argpartition(x: Any, kth: int, axis: int = -1) -> Any:
    """Positions (int32) that put the kth smallest in its place, smaller ones before and larger ones after it."""
    return argsort(x, axis)


def _top_arrays(x: Any, k: int, sorted: bool = True) -> tuple[Array, Array]:
    x = np.asarray(x)
    # descending and stable: sorted from behind, counted from behind
    order = x.shape[-1] - 1 - np.flip(np.argsort(np.flip(x, -1), -1, kind="stable"), -1)[..., :k]
    return np.take_along_axis(x, order, -1), order.astype("int32")


@op_with(_top_arrays)
def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """(values, indices) of the k largest along the last axis, largest first."""
    x = convert(x)
    size = int(x.shape[-1])
    if not 0 <= k <= size:
        raise ValueError(f"top_k: wanted k from 0 to {size}, the size of the last axis. Received: k={k}")
    order = subtract(size - 1, flip(_order(flip(x, -1)), -1))[..., :k]
    return picked(x, order), order


@op
def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether the prediction at the target is among the k largest of its row; ties count as among, NaN does not."""
    predictions = convert(predictions)
    chosen = picked(predictions, expand_dims(convert(targets, "int32"), -1))
    chosen = where(isnan(chosen), -math.inf, chosen)
    return less(sum(cast(greater(predictions, chosen), "int32"), -1), k)


# ---- quantiles

METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantiles(x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    _check_method(method)
    x = convert(x, float_type(x))
    kind, x = x.dtype, widened(x)
    axes = _listed(axis, x.ndim)
    kept = [d for d in range(x.ndim) if d not in axes]
    lines = moveaxis(x, axes, list(range(len(kept), x.ndim))) if kept else x
    lines = reshape(lines, (*lines.shape[: len(kept)], -1))
    holes = sum(cast(isnan(lines), x.dtype), -1, keepdims=True)
    ordered = picked(lines, _order(lines))
    size = float(lines.shape[-1])
    last = maximum(subtract(size - 1, holes), 0.0) if skip_nan else size - 1
    shares = convert(q, x.dtype)
    found = _interpolated(ordered, multiply(reshape(shares, (-1,)), last), method)
    broken = equal(holes, size) if skip_nan else greater(holes, 0)
    return cast(_placed(where(broken, math.nan, found), x, axes, kept, shares, keepdims), kind)


def _listed(axis: Any, rank: int) -> list[int]:
    given = range(rank) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    return [normal_axis(a, rank) for a in given]


def _interpolated(ordered: Any, at: Any, method: str) -> Any:
    """The values at fractional places of the sorted last axis."""
    at = broadcast_to(at, (*ordered.shape[:-1], int(at.shape[-1])))
    low = floor(at)
    share = subtract(at, low)
    first = cast(low, "int32")
    second = add(first, cast(greater(share, 0), "int32"))
    match method:
        case "lower":
            return picked(ordered, first)
        case "higher":
            return picked(ordered, second)
        case "nearest":
            return picked(ordered, cast(round(at), "int32"))
    a, b = picked(ordered, first), picked(ordered, second)
    if method == "midpoint":
        return divide(add(a, b), 2.0)
    # weights, not a + share * (b - a), so that infinities stay
    lower = where(equal(share, 0), a, multiply(a, subtract(1.0, share)))
    return add(lower, where(equal(share, 0), 0.0, multiply(b, share)))


def _placed(found: Any, x: Any, axes: list[int], kept: list[int], shares: Any, keepdims: bool) -> Any:
    """Results[kept.., shares] in the layout of Keras: shares first, reduced axes kept as 1 if wanted."""
    found = moveaxis(found, -1, 0)
    rest = tuple(1 if d in axes else x.shape[d] for d in range(x.ndim)) if keepdims else tuple(found.shape[1:])
    return reshape(found, (*shares.shape, *rest))


def _quantile_arrays(
    x: Any,
    q: Any,
    axis: Any = None,
    method: str = "linear",
    keepdims: bool = False,
    *,
    function: Any,
    scale: float = 1.0,
) -> Array:
    _check_method(method)
    kind = float_type(np.asarray(x))
    axes = tuple(axis) if isinstance(axis, list) else axis
    shares = np.asarray(q, np.float64) / scale
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # all NaN gives NaN
        return np.asarray(function(np.asarray(x, np.float64), shares, axes, method=method, keepdims=keepdims), kind)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"quantile: method {method!r} is unknown, wanted one of {METHODS}")


@op_with(functools.partial(_quantile_arrays, function=np.quantile))
def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The values below which the shares q (in [0, 1]) of the elements lie; NaN if one is NaN.

    method, between two elements: "linear", "lower", "higher", "midpoint" or "nearest". A q with axes gives its axes in
    front.
    """
    return _quantiles(x, q, axis, method, keepdims, False)


@op_with(functools.partial(_quantile_arrays, function=np.nanquantile))
def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """`quantile` of the elements that are not NaN."""
    return _quantiles(x, q, axis, method, keepdims, True)


@op_with(functools.partial(_quantile_arrays, function=np.quantile, scale=100.0))
def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """`quantile` with q from 0 to 100."""
    return _quantiles(x, divide(q, 100.0), axis, method, keepdims, False)


@op_with(functools.partial(_quantile_arrays, function=np.nanquantile, scale=100.0))
def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """`percentile` of the elements that are not NaN."""
    return _quantiles(x, divide(q, 100.0), axis, method, keepdims, True)


def _median_arrays(x: Any, axis: Any = None, keepdims: bool = False, *, function: Any) -> Array:
    return _quantile_arrays(x, 0.5, axis, "midpoint", keepdims, function=function)


@op_with(functools.partial(_median_arrays, function=np.quantile))
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle element, or the mean of the middle two."""
    return _quantiles(x, 0.5, axis, "midpoint", keepdims, False)


@op_with(functools.partial(_median_arrays, function=np.nanquantile))
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The median of the elements that are not NaN."""
    return _quantiles(x, 0.5, axis, "midpoint", keepdims, True)


# ---- places in sorted sequences, sets


def _searched_arrays(sorted_sequence: Any, values: Any, side: str = "left") -> Array:
    _check_search(np.ndim(sorted_sequence), np.shape(sorted_sequence), side)
    left = side == "left"
    return np.asarray(np.searchsorted(sorted_sequence, values, "left" if left else "right"), np.int32)


def _check_search(rank: int, shape: Any, side: str) -> None:
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: wanted side 'left' or 'right', got {side!r}")
    if rank != 1:
        raise ValueError(
            "`searchsorted` only supports 1-D sorted sequences. You can use `keras.ops.vectorized_map` to extend it to "
            f"N-D sequences. Received: sorted_sequence.shape={shape}"
        )


@op_with(_searched_arrays)
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """Where in the ascending vector each value belongs (int32): before its equals, or behind them (side="right")."""
    row = convert(sorted_sequence)
    _check_search(row.ndim, row.shape, side)
    smaller = less if side == "left" else less_equal
    return sum(cast(smaller(row, expand_dims(values, -1)), "int32"), -1)


@op_with(lambda x, bins: np.asarray(np.digitize(x, bins), np.int32))
def digitize(x: Any, bins: Any) -> Any:
    """The bin (int32) of each element: how many of the ascending `bins` are not above it."""
    return searchsorted(bins, x, side="right")


@op_with(lambda x1, x2, assume_unique=False, invert=False: np.isin(x1, x2, assume_unique, invert))
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element of x1 is one of x2 (invert: whether not)."""
    found = any(equal(expand_dims(x1, -1), reshape(x2, (-1,))), -1)
    return logical_not(found) if invert else found


_VALUES = "the shape of its result depends on values"


@arrays_only(_VALUES)
def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements in ascending order, and on demand where each was first, which one each element is, and how
    often each occurs (int32). `size` cuts, or fills with fill_value (the smallest element by default)."""
    every: Any = np.unique  # the types of its results follow from the flags
    found = every(np.asarray(x), return_index, return_inverse, return_counts, axis)
    parts = list(found) if isinstance(found, tuple) else [found]
    wanted = [True, return_index, return_inverse, return_counts]
    names = [name for name, asked in zip(("values", "index", "inverse", "counts"), wanted, strict=True) if asked]
    results = [_fitted(part, name, size, fill_value, axis or 0) for part, name in zip(parts, names, strict=True)]
    return tuple(results) if len(results) > 1 else results[0]


def _fitted(part: Array, name: str, size: int | None, fill_value: Any, axis: int) -> Array:
    part = part if name == "values" else part.astype("int32")
    if size is None or name == "inverse":
        return part
    axis = axis if name == "values" else 0
    part = np.take(part, range(min(size, part.shape[axis])), axis)
    missing = [(0, size - part.shape[axis] if d == axis else 0) for d in range(part.ndim)]
    filler = 0 if name == "counts" else part.min() if fill_value is None or name == "index" else fill_value
    return np.pad(part, missing, constant_values=filler)


@arrays_only(_VALUES)
def nonzero(x: Any) -> tuple[Array, ...]:
    """The indices (int32) of the elements that are not zero, one array for each axis."""
    return tuple(index.astype("int32") for index in np.nonzero(x))
