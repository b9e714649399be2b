"""Ops that join, cut, turn and build tensors from others: stacks, splits, diagonals, grids, windows."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from graphc import config
from graphc.ops.contractions import diagonal_of
from graphc.ops.dispatch import convert, op
from graphc.ops.elementwise import multiply, power
from graphc.ops.reductions import sum
from graphc.ops.shapes import (
    broadcast_to,
    concatenate,
    diag,
    expand_dims,
    flip,
    full_like,
    linspace,
    moveaxis,
    normal_axis,
    ravel,
    reshape,
    split,
    stack,
    swapaxes,
    take,
    transpose,
)

__all__ = [
    "append", "array_split", "bartlett", "blackman", "diagflat", "diagonal", "dsplit", "dstack", "empty_like",
    "extract_sequences", "fliplr", "flipud", "geomspace", "hamming", "hanning", "hsplit", "hstack", "kaiser",
    "logspace", "meshgrid", "rearrange", "rot90", "trace", "vander", "vsplit", "vstack",
]  # fmt: skip


# ---- joining and cutting


def _at_least(x: Any, rank: int) -> Any:
    """numpy's atleast_nd: a vector becomes a row, and a matrix a stack of one along a last axis."""
    x = convert(x)
    if x.ndim == 0:
        return reshape(x, (1,) * rank)
    x = expand_dims(x, 0) if x.ndim == 1 and rank > 1 else x
    return expand_dims(x, -1) if x.ndim == 2 and rank == 3 else x


@op
def hstack(xs: Any) -> Any:
    """Joined along the second axis; vectors along their only one."""
    parts = [_at_least(x, 1) for x in xs]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@op
def vstack(xs: Any) -> Any:
    """Joined along the first axis; vectors as rows."""
    return concatenate([_at_least(x, 2) for x in xs], 0)


@op
def dstack(xs: Any) -> Any:
    """Joined along the third axis; vectors and matrices get one."""
    return concatenate([_at_least(x, 3) for x in xs], 2)


@op
def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """x2 behind x1; both flattened without an axis."""
    return concatenate([ravel(x1), ravel(x2)], 0) if axis is None else concatenate([x1, x2], axis)


@op
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """`split` that takes any number of sections: the first ones are longer by 1."""
    x = convert(x)
    if not isinstance(indices_or_sections, int):
        return split(x, indices_or_sections, axis)
    each, longer = divmod(int(x.shape[axis]), indices_or_sections)
    sizes = [each + 1] * longer + [each] * (indices_or_sections - longer)
    return split(x, [int(cut) for cut in np.cumsum(sizes)[:-1]], axis)


@op
def hsplit(x: Any, indices_or_sections: Any) -> Any:
    """`split` along the second axis; vectors along their only one."""
    x = convert(x)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


@op
def vsplit(x: Any, indices_or_sections: Any) -> Any:
    """`split` along the first axis."""
    return split(x, indices_or_sections, 0)


@op
def dsplit(x: Any, indices_or_sections: Any) -> Any:
    """`split` along the third axis."""
    return split(x, indices_or_sections, 2)


# ---- turning


@op
def fliplr(x: Any) -> Any:
    return flip(x, 1)


@op
def flipud(x: Any) -> Any:
    return flip(x, 0)


@op
def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turned k times by 90 degrees from the first axis towards the second."""
    x = convert(array)
    first, second = (normal_axis(axis, x.ndim) for axis in axes)
    if first == second:
        raise ValueError(f"rot90: wanted two different axes. Received: axes={axes}")
    match k % 4:
        case 0:
            return x
        case 1:
            return swapaxes(flip(x, second), first, second)
        case 2:
            return flip(x, (first, second))
    return flip(swapaxes(x, first, second), second)


@op
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """einops' rearrange: "b h w -> h (b w)". Lengths of axes inside of parentheses are given or follow."""
    x = convert(tensor)
    source, target = (_groups(side) for side in pattern.split("->"))
    if len(source) != x.ndim:
        raise ValueError(f"rearrange: {pattern!r} has {len(source)} axes, the tensor has shape {x.shape}")
    names = [name for group in source for name in group]
    if sorted(names) != sorted(name for group in target for name in group):
        raise ValueError(f"rearrange: both sides of {pattern!r} must have the same names")
    sizes: dict[str, Any] = {}
    for group, dim in zip(source, x.shape, strict=True):
        sizes.update(_lengths(group, dim, axes_lengths, pattern))
    wide = reshape(x, [sizes[name] for name in names])
    turned = transpose(wide, [names.index(name) for group in target for name in group])
    return reshape(turned, [_joined([sizes[name] for name in group]) for group in target])


def _groups(side: str) -> list[list[str]]:
    spaced = side.replace("(", " ( ").replace(")", " ) ").split()
    groups: list[list[str]] = []
    inside = False
    for word in spaced:
        if word in "()":
            inside = word == "("
            groups += [[]] if inside else []
        elif inside:
            groups[-1].append(word)
        else:
            groups.append([] if word == "1" else [word])
    return groups


def _lengths(group: list[str], dim: Any, given: dict[str, int], pattern: str) -> dict[str, Any]:
    known = {name: given[name] for name in group if name in given}
    unknown = [name for name in group if name not in given]
    rest, left = divmod(int(dim), math.prod(known.values()))
    if left or len(unknown) > 1 or (not unknown and rest != 1):
        raise ValueError(f"rearrange: an axis of {dim} does not fit {group} of {pattern!r} with lengths {given}")
    return known | dict.fromkeys(unknown, dim if not known else rest)


def _joined(sizes: list[Any]) -> Any:
    total: Any = 1
    for size in sizes:
        total = size * total if total == 1 else total * size
    return total


# ---- diagonals


@op
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements whose indices along the axes differ by `offset`, along a new last axis."""
    x = convert(x)
    first, second = normal_axis(axis1, x.ndim), normal_axis(axis2, x.ndim)
    rows, columns = int(x.shape[first]), int(x.shape[second])
    low, right = builtins.max(-offset, 0), builtins.max(offset, 0)
    count = builtins.max(builtins.min(rows - low, columns - right), 0)
    keys = [slice(None)] * x.ndim
    keys[first], keys[second] = slice(low, low + count), slice(right, right + count)
    found = diagonal_of(x[tuple(keys)], first, second)
    return moveaxis(found, first - (first > second), -1)


@op
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    return sum(diagonal(x, offset, axis1, axis2), -1)


@op
def diagflat(x: Any, k: int = 0) -> Any:
    """A matrix with the flattened elements on diagonal k."""
    return diag(ravel(x), k)


@op
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers N - 1 to 0 (increasing: 0 to N - 1) of a vector, as columns."""
    x = convert(x)
    count = int(x.shape[0]) if N is None else N
    columns = [full_like(x, 1)]
    for _ in range(count - 1):
        columns.append(multiply(columns[-1], x))
    columns = columns[:count]
    return stack(columns if increasing else columns[::-1], 1)


# ---- building


@op
def empty_like(x: Any, dtype: Any = None) -> Any:
    return full_like(x, 0, dtype)


@op
def meshgrid(*x: Any, indexing: str = "xy") -> Any:
    """Vectors repeated over each other's axes; with "xy" the first two axes are exchanged."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"Valid values for `indexing` are 'xy' and 'ij', but received {indexing}.")
    vectors = [ravel(v) for v in x]
    sizes = [v.shape[0] for v in vectors]
    grids = []
    for axis, vector in enumerate(vectors):
        wide = reshape(vector, [size if d == axis else 1 for d, size in enumerate(sizes)])
        grid = broadcast_to(wide, sizes)
        grids.append(swapaxes(grid, 0, 1) if indexing == "xy" and len(vectors) > 1 else grid)
    return grids


@op
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> Any:
    """base to the powers of `linspace`."""
    exponents = linspace(start, stop, num, endpoint, dtype=config.floatx(), axis=axis)
    return convert(power(convert(base, config.floatx()), exponents), dtype)


@op
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """`num` numbers whose neighbours have one ratio."""
    return convert(np.geomspace(start, stop, num, endpoint, axis=axis), dtype or config.floatx())


@op
def hamming(x: Any) -> Any:
    """Hamming's window of x points."""
    return convert(np.hamming(int(x)), config.floatx())


@op
def hanning(x: Any) -> Any:
    """Hann's window of x points."""
    return convert(np.hanning(int(x)), config.floatx())


@op
def blackman(x: Any) -> Any:
    """Blackman's window of x points."""
    return convert(np.blackman(int(x)), config.floatx())


@op
def bartlett(x: Any) -> Any:
    """Bartlett's window of x points, a triangle."""
    return convert(np.bartlett(int(x)), config.floatx())


@op
def kaiser(x: Any, beta: Any) -> Any:
    """Kaiser's window of x points with shape parameter beta."""
    return convert(np.kaiser(int(x), float(beta)), config.floatx())


@op
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """Overlapping pieces [.., pieces, sequence_length] of signals[.., time]."""
    x = convert(x)
    starts = range(0, int(x.shape[-1]) - sequence_length + 1, sequence_stride)
    places = np.array([range(start, start + sequence_length) for start in starts], "int32")
    return take(x, places, axis=-1)
