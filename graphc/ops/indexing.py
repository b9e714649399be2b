"""Ops that read or write elements at given positions: arrays as indices, scatter, slices, segments, counts."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.ops.dispatch import builder, convert, op, op_with
from graphc.ops.elementwise import (
    add,
    cast,
    clip,
    equal,
    floor_divide,
    greater,
    greater_equal,
    less,
    logical_and,
    logical_not,
    maximum,
    minimum,
    mod,
    multiply,
    where,
)
from graphc.ops.reductions import any, max, min, prod, sum
from graphc.ops.shapes import (
    arange,
    broadcast_to,
    expand_dims,
    moveaxis,
    normal_axis,
    one_hot,
    ravel,
    reshape,
    transpose,
    zeros,
)
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "bincount", "histogram", "multi_hot", "scatter", "scatter_update", "segment_max", "segment_min",
    "segment_prod", "segment_sum", "slice_update", "take_along_axis", "unravel_index",
]  # fmt: skip


def _counted(ids: Any, size: Any) -> Any:
    """Ids as int32, negative ones counted from the end."""
    ids = convert(ids, "int32")
    return where(less(ids, 0), add(ids, size), ids)


@op
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements at `indices` along an axis, position by position of the others; None: of the flattened tensor."""
    x, ids = convert(x), convert(indices, "int32")
    if axis is None:
        x, ids, axis = ravel(x), ravel(ids), 0
    at = normal_axis(axis, x.ndim)
    table, ids = moveaxis(x, at, -1), moveaxis(ids, at, -1)
    lead = tuple(fn.broadcast_shapes(*(t.type.with_shape(t.shape[:-1]) for t in (table, ids))))
    table, ids = (broadcast_to(t, (*lead, t.shape[-1])) for t in (table, ids))
    ids = _counted(ids, int(table.shape[-1]))
    return moveaxis(Tensor(fn.gather(builder(), table.value, ids.value, table.ndim - 1)), -1, at)


# ---- x[key] with arrays in the key


def advanced_index(x: Any, keys: Sequence[Any]) -> Any:
    """x[keys] for one key per axis (and None for new axes), arrays of integers among them.

    As in numpy the arrays broadcast, and their axes come where the arrays are, or first if a slice lies between.
    """
    axes = [i for i, key in enumerate(keys) if _is_array(key)]
    plain = tuple(builtins.slice(None) if i in axes else key for i, key in enumerate(keys))
    cut = x[plain]
    # axes of `cut` that the arrays index: keys that are integers leave none
    where_at = [_result_axis(keys, i) for i in axes]
    extents = [int(cut.shape[axis]) for axis in where_at]
    row: Any = None
    for key, size in zip((keys[i] for i in axes), extents, strict=True):
        ids = _counted(key, size)
        row = ids if row is None else add(multiply(row, size), ids)
    rest = [d for d in range(cut.ndim) if d not in where_at]
    table = transpose(cut, (*where_at, *rest))
    table = reshape(table, (math.prod(extents), *table.shape[len(where_at) :]))
    found: Any = Tensor(fn.gather(builder(), table.value, convert(row, "int32").value))
    together = where_at == list(range(where_at[0], where_at[0] + len(where_at)))
    place = where_at[0] if together else 0
    rank = len(convert(row).shape)
    return moveaxis(found, list(range(rank)), list(range(place, place + rank))) if place else found


def _is_array(key: Any) -> bool:
    return not (key is None or isinstance(key, (builtins.slice, int, np.integer)))


def _result_axis(keys: Sequence[Any], position: int) -> int:
    return builtins.sum(1 for key in keys[:position] if not isinstance(key, (int, np.integer)))


# ---- scatter


def _flat_rows(indices: Any, shape: Sequence[int]) -> tuple[Any, tuple[int, ...]]:
    """(row of every index[.., depth] in the first `depth` axes of a tensor taken as one, those axes)."""
    ids = convert(indices, "int32")
    depth = int(ids.shape[-1])
    sizes = tuple(int(dim) for dim in shape[:depth])
    row: Any = convert(0, "int32")
    for d, size in enumerate(sizes):
        row = add(multiply(row, size), _counted(ids[..., d], size))
    return row, sizes


@op
def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """Zeros of `shape` to which values[.., rest] are added at indices[.., depth]; repeated indices add up."""
    values = convert(values)
    row, sizes = _flat_rows(indices, shape)
    rest = tuple(int(dim) for dim in shape[len(sizes) :])
    updates = cast(values, "int32") if values.dtype == "bool" else values
    made: Any = Tensor(fn.scatter_add(builder(), (math.prod(sizes), *rest), row.value, updates.value))
    return cast(reshape(made, tuple(int(dim) for dim in shape)), values.dtype)


def _updated_arrays(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Array:
    _check_reduction(reduction)
    result = np.array(inputs)
    places = tuple(np.moveaxis(np.asarray(indices), -1, 0))
    values = np.asarray(updates, result.dtype)
    if reduction is None:
        # one by one, so that the last of repeated indices counts
        for place in np.ndindex(places[0].shape):
            result[tuple(index[place] for index in places)] = values[place]
    else:
        _COMBINED[reduction].at(result, places, values)
    return result


_COMBINED: dict[str, Any] = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}


def _check_reduction(reduction: str | None) -> None:
    if reduction is not None and reduction not in _COMBINED:
        raise ValueError(f"scatter_update: reduction {reduction!r} is unknown, wanted one of {list(_COMBINED)}")


@op_with(_updated_arrays)
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """The tensor with updates[.., rest] at indices[.., depth]; of repeated indices the last one counts.

    reduction: "add", "mul", "max" or "min" combine the updates with what is there.
    """
    _check_reduction(reduction)
    x = convert(inputs)
    updates = convert(updates, x.dtype)
    row, sizes = _flat_rows(indices, x.shape)
    rest = tuple(x.shape[len(sizes) :])
    count = math.prod(int(dim) for dim in row.shape)
    row, updates = reshape(row, (count,)), reshape(updates, (count, *rest))
    table = reshape(x, (math.prod(sizes), *rest))
    if reduction == "add":
        return reshape(add(table, _added(table, row, updates)), x.shape)
    if reduction is not None:
        return reshape(_combined(table, row, updates, reduction), x.shape)
    index = arange(count)
    again = logical_and(equal(expand_dims(row, 1), row), greater(index, expand_dims(index, 1)))
    last = logical_not(any(again, 1))
    kept = where(_wide(last, len(rest)), updates, cast(convert(0), x.dtype))
    touched = greater(_added(zeros((math.prod(sizes),), "int32"), row, cast(last, "int32")), 0)
    return reshape(where(_wide(touched, len(rest)), _added(table, row, kept), table), x.shape)


def _added(table: Any, row: Any, updates: Any) -> Any:
    kind = table.dtype
    updates = cast(updates, "int32") if kind == "bool" else updates
    return cast(Tensor(fn.scatter_add(builder(), tuple(table.shape), row.value, updates.value)), kind)


def _wide(x: Any, count: int) -> Any:
    return reshape(x, (*x.shape, *(1,) * count))


def _combined(table: Any, row: Any, updates: Any, reduction: str) -> Any:
    together = {"max": maximum, "min": minimum, "mul": multiply}[reduction]
    reduced = _segments(updates, row, int(table.shape[0]), {"max": max, "min": min, "mul": prod}[reduction])
    return together(table, reduced)


@op
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """The tensor with the block `updates` written at start_indices, moved inside where it would leave the tensor."""
    x, block = convert(inputs), convert(updates)
    block = cast(block, x.dtype)
    if isinstance(start_indices, (list, tuple)) and builtins.all(
        isinstance(s, (int, np.integer)) for s in start_indices
    ):
        return _fixed_update(x, [int(s) for s in start_indices], block)
    starts = convert(start_indices, "int32")
    keep: Any = None
    for axis, (have, size) in enumerate(zip(x.shape, block.shape, strict=True)):
        if int(have) == int(size):
            continue
        start = clip(starts[axis], 0, int(have) - int(size))
        places = arange(int(have))
        inside = logical_and(greater_equal(places, start), less(places, add(start, int(size))))
        ids = clip(add(places, multiply(start, -1)), 0, int(size) - 1)
        block = moveaxis(Tensor(fn.gather(builder(), moveaxis(block, axis, 0).value, ids.value)), 0, axis)
        inside = reshape(inside, [-1 if d == axis else 1 for d in range(x.ndim)])
        keep = inside if keep is None else logical_and(keep, inside)
    return block if keep is None else where(keep, block, x)


def _fixed_update(x: Any, starts: list[int], block: Any) -> Any:
    pairs = zip(starts, x.shape, block.shape, strict=True)
    low = [builtins.min(builtins.max(s, 0), int(n) - int(m)) for s, n, m in pairs]
    high = [int(n) - s - int(m) for s, n, m in zip(low, x.shape, block.shape, strict=True)]
    if not builtins.any(low) and not builtins.any(high):
        return block
    wide = fn.pad(builder(), block.value, low, high)
    # which elements are new: 1s padded like the block; whole axes are left to the broadcast
    ones = np.ones([int(m) if a or b else 1 for m, a, b in zip(block.shape, low, high, strict=True)], bool)
    new = np.pad(ones, list(zip(low, high, strict=True)))
    return where(new, Tensor(wide), x)


def dynamic_slice(x: Any, start_indices: Any, sizes: Sequence[Any]) -> Any:
    """The block of these sizes at start_indices (a tensor), moved inside where it would leave the tensor."""
    starts = convert(start_indices, "int32")
    for axis, size in enumerate(sizes):
        have = x.shape[axis]
        if int(have) != int(size):
            ids = add(clip(starts[axis], 0, int(have) - int(size)), arange(int(size)))
            x = moveaxis(Tensor(fn.gather(builder(), moveaxis(x, axis, 0).value, ids.value)), 0, axis)
    return x


# ---- segments and counts


def _segments(x: Any, ids: Any, count: int, reduce: Callable[..., Any]) -> Any:
    """One reduction[count, rest..] over the x[n, rest..] of each id; empty segments give the neutral element."""
    member = equal(expand_dims(ids, 0), reshape(arange(count), (count, 1)))
    return reduce(where(_wide(member, x.ndim - 1), expand_dims(x, 0), _neutral(reduce, x.dtype)), 1)


def _neutral(reduce: Callable[..., Any], dtype: str) -> Any:
    return convert(_extreme(reduce, dtype), dtype)


def _extreme(reduce: Callable[..., Any], dtype: str) -> float:
    """The number that changes nothing."""
    if reduce is prod:
        return 1
    if "float" in dtype:
        return -math.inf if reduce is max else math.inf
    limits = np.iinfo(dtype)
    return int(limits.min) if reduce is max else int(limits.max)


def _segmented(name: str, data: Any, segment_ids: Any, num_segments: int | None, reduce: Callable[..., Any]) -> Any:
    count = _segment_count(name, num_segments)
    return _segments(convert(data), convert(segment_ids, "int32"), count, reduce)


def _segment_count(name: str, num_segments: int | None) -> int:
    if num_segments is None:
        raise ValueError(f"{name}: `num_segments` must be set: the shape of the result depends on it. Received: None")
    return num_segments


@op
def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The sums[num_segments, rest..] of the data[n, rest..] with the same id; ids outside are left out."""
    num_segments = _segment_count("segment_sum", num_segments)
    x, ids = convert(data), convert(segment_ids, "int32")
    inside = logical_and(greater_equal(ids, 0), less(ids, num_segments))
    kept = where(_wide(inside, x.ndim - 1), x, cast(convert(0), x.dtype))
    return Tensor(fn.scatter_add(builder(), (num_segments, *x.shape[1:]), ids.value, kept.value))


def _segment_arrays(name: str, function: Any, reduce: Callable[..., Any]) -> Callable[..., Array]:
    def concrete(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Array:
        count = _segment_count(name, num_segments)
        x, ids = np.asarray(data), np.asarray(segment_ids)
        inside = (ids >= 0) & (ids < count)
        result = np.full((count, *x.shape[1:]), _extreme(reduce, x.dtype.name), x.dtype)
        function.at(result, ids[inside], x[inside])
        return result

    return concrete


@op_with(_segment_arrays("segment_max", np.maximum, max))
def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The maxima of the data with the same id; the lowest number for empty segments."""
    return _segmented("segment_max", data, segment_ids, num_segments, max)


@op_with(_segment_arrays("segment_min", np.minimum, min))
def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The minima of the data with the same id; the highest number for empty segments."""
    return _segmented("segment_min", data, segment_ids, num_segments, min)


@op_with(_segment_arrays("segment_prod", np.multiply, prod))
def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The products of the data with the same id; 1 for empty segments."""
    return _segmented("segment_prod", data, segment_ids, num_segments, prod)


def _bincount_arrays(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Array:
    _refuse_sparse("bincount", sparse)
    ids = np.asarray(x)
    size = builtins.max(minlength, int(ids.max(initial=-1)) + 1)
    lines, loads = ids.reshape(-1, ids.shape[-1]), None if weights is None else np.asarray(weights)
    heavy = [None] * len(lines) if loads is None else loads.reshape(lines.shape)
    counts = [np.bincount(line, load, size) for line, load in zip(lines, heavy, strict=True)]
    return np.stack(counts).reshape(*ids.shape[:-1], size).astype("int32" if loads is None else loads.dtype)


def _refuse_sparse(name: str, sparse: bool) -> None:
    if sparse:
        raise NotImplementedError(f"{name}: sparse tensors are not supported; use sparse=False")


@op_with(_bincount_arrays)
def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often (or with how much weight) each integer occurs along the last axis.

    Arrays give as many counts as the largest integer needs; in a graph, integers from `minlength` on are left out.
    """
    _refuse_sparse("bincount", sparse)
    if not minlength:
        raise NotImplementedError("bincount in a graph: the number of counts must be known; give `minlength`")
    hot = one_hot(x, minlength, dtype="int32" if weights is None else convert(weights).dtype)
    return sum(hot if weights is None else multiply(hot, expand_dims(weights, -1)), -2)


@op
def histogram(x: Any, bins: int = 10, range: Any = None) -> Any:
    """(counts, edges) of `bins` equal bins over `range`, by default from the smallest element to the largest.

    The last bin holds its upper edge too.
    """
    x = ravel(x)
    x = x if "float" in x.dtype else cast(x, "float32")
    low, high = (min(x), max(x)) if range is None else (convert(edge, x.dtype) for edge in range)
    flat = equal(low, high)
    low, high = where(flat, low - 0.5, low), where(flat, high + 0.5, high)
    share = np.linspace(0, 1, bins + 1, dtype=x.dtype)
    edges = add(multiply(low, 1 - share), multiply(high, share))
    above = cast(greater_equal(expand_dims(x, -1), edges), "int32")
    place = minimum(add(sum(above, -1), -1), bins - 1)
    inside = logical_and(greater_equal(x, low), logical_not(greater(x, high)))
    member = logical_and(expand_dims(inside, -1), equal(expand_dims(place, -1), arange(bins)))
    return sum(cast(member, x.dtype), 0), edges


@op
def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False, **kwargs: Any
) -> Any:
    """1 at every class that occurs along the last axis of the indices, 0 elsewhere."""
    _refuse_sparse("multi_hot", sparse)
    count = kwargs.pop("num_tokens", num_classes)
    if count is None:
        raise ValueError("Argument `num_classes` must be specified.")
    ids = convert(inputs)
    over = 1 if ids.ndim > 1 else 0
    return max(one_hot(ids, count, axis, dtype), over)


@op
def unravel_index(indices: Any, shape: Any) -> Any:
    """The index along each axis of `shape` of positions in the flattened tensor."""
    rest = _counted(indices, math.prod(shape))
    found = []
    for size in reversed(shape):
        found.append(mod(rest, int(size)))
        rest = floor_divide(rest, int(size))
    return tuple(reversed(found))
