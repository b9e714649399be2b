"""Ops that make tensors or move their elements."""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import config
from graphc.ir.op import Array
from graphc.ir.types import DType, Rows
from graphc.ops.dispatch import builder, cast_to, convert, op, op_with, result_type
from graphc.ops.elementwise import where
from graphc.ops.rows import counts_rows, join_rows, slice_rows, split_rows
from graphc.primitives import functions as fn
from graphc.primitives.shape import Flip, Slice
from graphc.tensor import KerasTensor, Tensor
from graphc.tracing import contains
from graphc.variables import Variable

__all__ = [
    "arange", "array", "broadcast_to", "concatenate", "convert_to_numpy", "convert_to_tensor", "diag", "dtype", "empty",
    "expand_dims", "eye", "flip", "full", "full_like", "get_item", "identity", "is_tensor", "linspace",
    "moveaxis", "ndim", "one_hot", "ones", "ones_like", "pad", "ravel", "repeat", "reshape", "roll", "shape", "shown",
    "size", "slice", "split", "squeeze", "stack", "swapaxes", "take", "tile", "transpose", "tri", "tril", "triu",
    "unstack", "zeros", "zeros_like",
]  # fmt: skip


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """x as a tensor of the traced graph; outside a graph as a numpy array. KerasTensors stay."""
    if isinstance(x, KerasTensor):
        return x if dtype is None or config.standardize_dtype(dtype) == x.dtype else _cast_spec(x, dtype)
    return _convert(x, dtype=dtype)


@op
def _convert(x: Any, dtype: Any = None) -> Any:
    return convert(x, dtype)


def _cast_traced(x: Any, dtype: Any) -> Any:
    return cast_to(convert(x), dtype)


_cast_traced.__name__ = "cast"
_cast_spec = op(_cast_traced)
array = convert_to_tensor


def convert_to_numpy(x: Any) -> Array:
    """The numpy array of a concrete value."""
    return np.asarray(x)


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor (symbolic, traced or an array)."""
    return isinstance(x, (Tensor, KerasTensor, np.ndarray))


def shape(x: Any) -> tuple[Any, ...]:
    """The shape; a size that counts batch rows stays one when it is passed on to another op."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def ndim(x: Any) -> int:
    return len(shape(x))


def dtype(x: Any) -> str:
    """The name of the dtype; of Python numbers, the one they get as tensors."""
    return result_type(x)


def size(x: Any) -> Any:
    return math.prod(shape(x))


@op
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    value = convert(fill_value, config.standardize_dtype(dtype))
    return Tensor(fn.broadcast_to(builder(), value.value, _dims(shape)))


def zeros(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 0, dtype=config.standardize_dtype(dtype))


def ones(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 1, dtype=config.standardize_dtype(dtype))


def empty(shape: Any, dtype: Any = None) -> Any:
    return zeros(shape, dtype)


@op
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    like = convert(x)
    return full(like.shape, fill_value, dtype=dtype or like.dtype)


@op
def zeros_like(x: Any, dtype: Any = None) -> Any:
    return full_like(x, 0, dtype)


@op
def ones_like(x: Any, dtype: Any = None) -> Any:
    return full_like(x, 1, dtype)


def _dims(shape: Any) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, (list, tuple)) else (shape,)
    return tuple(dim if isinstance(dim, Rows) else int(dim) for dim in sizes)


@op
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    low, high = (0, start) if stop is None else (start, stop)
    if isinstance(high, Rows) and low == 0 and step in (None, 1):  # the number of every row of the batch
        return Tensor(fn.iota(builder(), (high,), 0, DType.of(config.standardize_dtype(dtype or "int32"))))
    values: Array = np.arange(low, high, 1 if step is None else step)
    return convert(values, dtype or ("int32" if values.dtype.kind == "i" else config.floatx()))


@op
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers from start to stop (with endpoint: including it) along a new axis; retstep: and their distance."""
    kind = dtype or config.floatx()
    parts = builtins.max(num - 1 if endpoint else num, 1)
    low, high = cast_to(convert(start), kind), cast_to(convert(stop), kind)
    step = (high - low) / builtins.float(parts)
    share = np.arange(num, dtype=config.numpy_dtype(kind)) / np.asarray(parts, kind)
    wide = share.reshape(-1, *(1,) * len(step.shape))
    values = moveaxis(low * (1 - wide) + high * wide, 0, axis)
    return (values, step) if retstep else values


@op
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    return convert(np.eye(N, M, k), config.standardize_dtype(dtype))


def identity(n: int, dtype: Any = None) -> Any:
    return eye(n, dtype=dtype)


@op
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    return convert(np.tri(N, M, k), config.standardize_dtype(dtype))


@op
def tril(x: Any, k: int = 0) -> Any:
    """The lower triangle of the last two axes; 0 above diagonal k."""
    x = convert(x)
    return where(np.tri(x.shape[-2], x.shape[-1], k, bool), x, cast_to(convert(0), x.dtype))


@op
def triu(x: Any, k: int = 0) -> Any:
    """The upper triangle of the last two axes; 0 below diagonal k."""
    x = convert(x)
    return where(np.tri(x.shape[-2], x.shape[-1], k - 1, bool), cast_to(convert(0), x.dtype), x)


@op
def reshape(x: Any, newshape: Any) -> Any:
    """The elements in another shape; one size may be -1."""
    x = convert(x)
    sizes = newshape if isinstance(newshape, (list, tuple)) else (newshape,)
    return Tensor(fn.reshape(builder(), x.value, _dims([-1 if dim is None else dim for dim in sizes])))


@op
def ravel(x: Any) -> Any:
    return reshape(x, (-1,))


@op
def expand_dims(x: Any, axis: Any) -> Any:
    """A new axis of size 1 at every given position of the result."""
    x = convert(x)
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    rank = x.ndim + len(axes)
    new = {normal_axis(a, rank) for a in axes}
    old = iter(x.shape)
    return Tensor(fn.reshape(builder(), x.value, tuple(1 if d in new else next(old) for d in range(rank))))


@op
def squeeze(x: Any, axis: Any = None) -> Any:
    """Without the axes of size 1 (all, or the given ones)."""
    x = convert(x)
    given = range(x.ndim) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    axes = {normal_axis(a, x.ndim) for a in given}
    for a in axes:
        if axis is not None and x.shape[a] != 1:
            raise ValueError(f"Cannot squeeze axis={axis}, because the dimension is not 1. Received: shape={x.shape}")
    kept = tuple(dim for d, dim in enumerate(x.shape) if d not in axes or dim != 1)
    return Tensor(fn.reshape(builder(), x.value, kept))


def normal_axis(axis: int, rank: int) -> int:
    """The axis counted from 0. ValueError if there is none of that number."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of bounds for array of dimension {rank}")
    return int(axis) % rank


@op
def transpose(x: Any, axes: Any = None) -> Any:
    x = convert(x)
    perm = tuple(reversed(range(x.ndim))) if axes is None else tuple(normal_axis(a, x.ndim) for a in axes)
    return Tensor(fn.transpose(builder(), x.value, perm))


@op
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    rank = len(shape(x))
    sources = [normal_axis(a, rank) for a in (source if isinstance(source, (list, tuple)) else (source,))]
    targets = [
        normal_axis(a, rank) for a in (destination if isinstance(destination, (list, tuple)) else (destination,))
    ]
    order = [axis for axis in range(rank) if axis not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose(x, order)


@op
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    order = list(range(len(shape(x))))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


@op
def broadcast_to(x: Any, shape: Any) -> Any:
    return Tensor(fn.broadcast_to(builder(), convert(x).value, _dims(shape)))


@op
def concatenate(xs: Any, axis: int = 0) -> Any:
    """The tensors joined along an axis; along the batch axis the rows of each sample stay together (`ops.rows`)."""
    kind = result_type(*xs)
    parts = [convert(x, kind) for x in xs]
    axis = normal_axis(axis, parts[0].ndim)
    if axis == 0 and len(parts) > 1 and builtins.all(counts_rows(part, 0) for part in parts):
        return join_rows(parts)
    return Tensor(fn.concat(builder(), [part.value for part in parts], axis))


@op
def stack(x: Any, axis: int = 0) -> Any:
    parts = [convert(part) for part in x]
    axis = normal_axis(axis, parts[0].ndim + 1)
    return concatenate([expand_dims(part, axis) for part in parts], axis)


@op
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """A list of equal parts (a number), or of the parts between indices."""
    x = convert(x)
    axis = normal_axis(axis, x.ndim)
    extent = x.shape[axis]
    if axis == 0 and counts_rows(x, 0) and isinstance(indices_or_sections, int):
        return split_rows(x, indices_or_sections)
    if isinstance(indices_or_sections, int):
        if extent % indices_or_sections:
            raise ValueError(f"split: an axis of {extent} cannot be divided into {indices_or_sections} equal parts")
        step = int(extent) // indices_or_sections
        cuts = list(range(step, int(extent), step))
    else:
        cuts = [int(index) for index in indices_or_sections]
    edges = [0, *cuts, int(extent)]
    return [_slice_axis(x, axis, low, high) for low, high in itertools.pairwise(edges)]


def _slice_axis(x: Tensor, axis: int, low: int, high: int) -> Any:
    return get_item(x, (builtins.slice(None),) * axis + (builtins.slice(low, high),))


@op
def unstack(x: Any, num: int | None = None, axis: int = 0) -> Any:
    x = convert(x)
    axis = normal_axis(axis, x.ndim)
    return [get_item(x, (builtins.slice(None),) * axis + (i,)) for i in range(num or x.shape[axis])]


@op
def get_item(x: Any, key: Any) -> Any:
    """x[key] for integers, slices, None, Ellipsis and tensors of integers, which broadcast as numpy's do."""
    x = convert(x)
    keys = key if isinstance(key, tuple) else (key,)
    if builtins.any(isinstance(k, (Tensor, Variable, np.ndarray, list)) for k in keys):
        from graphc.ops.indexing import advanced_index  # written with what is defined here

        return advanced_index(x, _expanded(keys, x.ndim))
    if keys and isinstance(keys[0], builtins.slice) and x.ndim and counts_rows(x, 0):
        cut = slice_rows(x, keys[0])
        x, keys = (x, keys) if cut is None else (cut, (builtins.slice(None), *keys[1:]))
    return _basic_index(x, _expanded(keys, x.ndim))


def _gather_rows(x: Tensor, ids: Any) -> Tensor:
    return Tensor(fn.gather(builder(), x.value, convert(ids, "int32").value))


def _expanded(keys: tuple[Any, ...], rank: int) -> list[Any]:
    used = len([k for k in keys if k is not None and k is not Ellipsis])
    if used > rank:
        raise IndexError(f"too many indices: the tensor has {rank} axes, {used} were indexed")
    fill = [builtins.slice(None)] * (rank - used)
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    return [*keys[:at], *fill, *(k for k in keys[at:] if k is not Ellipsis)]


def _basic_index(x: Tensor, keys: list[Any]) -> Tensor:
    starts: list[int] = []
    sizes: list[int] = []
    strides: list[int] = []
    flips: list[int] = []
    result: list[int] = []
    dims = iter(x.shape)
    for key in keys:
        if key is None:
            result.append(1)
            continue
        dim = next(dims)
        start, length, stride, flipped = _axis_range(key, dim)
        if flipped:
            flips.append(len(sizes))
        starts.append(start)
        sizes.append(length)
        strides.append(stride)
        if isinstance(key, builtins.slice):
            result.append(length)
    value = x.value
    if tuple(sizes) != tuple(x.shape) or any(starts) or set(strides) - {1}:
        value = builder().add(Slice(tuple(starts), tuple(sizes), tuple(strides)), value)
    if flips:
        value = builder().add(Flip(tuple(flips)), value)
    return Tensor(fn.reshape(builder(), value, tuple(result)))


def _axis_range(key: Any, dim: int) -> tuple[int, int, int, bool]:
    """(start, length, stride, whether to reverse) of one axis; a whole axis keeps its `Rows`."""
    if not isinstance(key, builtins.slice):
        index = int(key)
        if not -int(dim) <= index < int(dim):
            raise IndexError(f"index {index} is out of bounds for axis of size {dim}")
        return index % int(dim), 1, 1, False
    start, stop, step = key.indices(int(dim))
    count = len(range(start, stop, step))
    if step > 0:
        whole = count == int(dim) and start == 0 and step == 1
        return start, dim if whole else count, step, False
    whole = count == int(dim) and step == -1
    return start + (count - 1) * step if count else 0, dim if whole else count, -step, True


@op
def slice(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """The block of this shape at start_indices, moved inside where it would leave the tensor."""
    if not isinstance(start_indices, (list, tuple)) or contains(Tensor, start_indices):
        from graphc.ops.indexing import dynamic_slice  # written with what is defined here

        return dynamic_slice(convert(inputs), start_indices, shape)
    return get_item(inputs, tuple(builtins.slice(s, s + n) for s, n in zip(start_indices, shape, strict=True)))


@op
def flip(x: Any, axis: Any = None) -> Any:
    x = convert(x)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    return Tensor(builder().add(Flip(tuple(sorted(normal_axis(a, x.ndim) for a in axes))), x.value))


@op
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """Elements added before and after along every axis: a constant, or by numpy's modes "edge", "reflect", "symmetric"
    and "wrap" elements of the tensor."""
    x = convert(x)
    if mode != "constant":
        if constant_values is not None:
            raise ValueError(
                "Argument `constant_values` can only be provided when `mode == 'constant'`. Received: mode=" + mode
            )
        return _repeated_edges(x, pad_width, mode)
    pairs = [(int(low), int(high)) for low, high in np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))]
    low, high = (tuple(side) for side in builtins.zip(*pairs, strict=True))
    return Tensor(fn.pad(builder(), x.value, low, high, constant_values or 0))


def _repeated_edges(x: Tensor, pad_width: Any, mode: str) -> Any:
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad: mode {mode!r} is unknown, wanted constant, edge, reflect, symmetric or wrap")
    result: Any = x
    for axis, (low, high) in enumerate(np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))):
        if low or high:
            places = np.pad(np.arange(int(x.shape[axis])), (int(low), int(high)), mode=mode)  # type: ignore[call-overload]
            result = take(result, places.astype("int32"), axis)
    return result


def _static(op_name: str, name: str, value: Any) -> Array:
    """An argument that the shape of the result depends on, as an array."""
    if isinstance(value, (Tensor, KerasTensor)):
        raise NotImplementedError(f"{op_name}: the shape of the result depends on `{name}`, which must not be a tensor")
    return np.asarray(value)


@op_with(np.repeat)
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Every element (slice along the axis) `repeats` times in a row; repeats: a number, or a static one for each."""
    x = ravel(x) if axis is None else convert(x)
    axis = 0 if axis is None else normal_axis(axis, x.ndim)
    if not isinstance(repeats, int):
        counts = np.broadcast_to(_static("repeat", "repeats", repeats), (int(x.shape[axis]),))
        return take(x, np.repeat(np.arange(len(counts), dtype="int32"), counts), axis)
    spread = expand_dims(x, axis + 1)
    wide = broadcast_to(spread, (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]))
    return reshape(wide, (*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :]))


@op
def tile(x: Any, repeats: Any) -> Any:
    """The whole tensor `repeats` times along each axis."""
    x = convert(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    counts = [1] * (x.ndim - len(counts)) + counts
    x = reshape(x, (1,) * (len(counts) - x.ndim) + tuple(x.shape))
    for axis, count in enumerate(counts):
        if count != 1:
            x = concatenate([x] * count, axis)
    return x


@op
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along an axis, or several; those pushed out come in on the other side."""
    x = convert(x)
    if isinstance(axis, (list, tuple)):
        shifts = shift if isinstance(shift, (list, tuple)) else (shift,) * len(axis)
        for by, along in builtins.zip(shifts, axis, strict=True):
            x = roll(x, by, along)
        return x
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    axis = normal_axis(axis, x.ndim)
    cut = -shift % int(x.shape[axis])
    if cut == 0:
        return x
    return concatenate([_slice_axis(x, axis, cut, int(x.shape[axis])), _slice_axis(x, axis, 0, cut)], axis)


@op
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The slices at `indices` along an axis; negative indices count from the end."""
    x = ravel(x) if axis is None else convert(x)
    axis = 0 if axis is None else normal_axis(axis, x.ndim)
    ids = convert(indices, "int32")
    ids = where(ids < 0, ids + int(x.shape[axis]), ids)
    taken = _gather_rows(moveaxis(x, axis, 0), ids)
    order = [*range(ids.ndim, ids.ndim + axis), *range(ids.ndim), *range(ids.ndim + axis, taken.ndim)]
    return transpose(taken, order)


@op
def diag(x: Any, k: int = 0) -> Any:
    """A matrix with the vector on diagonal k; of a matrix, its diagonal k."""
    x = convert(x)
    if x.ndim == 2:
        from graphc.ops.arrangement import diagonal  # written with what is defined here

        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag: wanted a vector or a matrix. Received: x.shape={x.shape}")
    wide = int(x.shape[0]) + builtins.abs(k)
    padded = pad(x, ((max(k, 0), max(-k, 0)),)) if k else x
    return where(np.eye(wide, k=k, dtype=bool), padded, cast_to(convert(0), x.dtype))


@op
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at the index, 0 elsewhere, along a new axis."""
    ids = convert(x, "int32")
    kind = DType.of(config.standardize_dtype(dtype))
    hot = Tensor(fn.one_hot(builder(), ids.value, num_classes, kind))
    return hot if axis in (-1, ids.ndim) else moveaxis(hot, -1, axis)


def shown(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape as users know it: the batch is the number of rows that is compiled for."""
    return tuple(int(dim) for dim in shape)
