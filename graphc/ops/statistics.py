"""Sums and products along axes that skip NaN, run on, differ or correlate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ops.contractions import matmul
from graphc.ops.dispatch import convert, float_type, op
from graphc.ops.elementwise import (
    cast,
    clip,
    divide,
    isnan,
    logical_not,
    multiply,
    not_equal,
    sqrt,
    square,
    subtract,
    where,
)
from graphc.ops.reductions import all, argmax, argmin, cumsum, max, mean, min, prod, sum
from graphc.ops.shapes import flip, moveaxis, normal_axis, pad, ravel, reshape

__all__ = [
    "corrcoef", "correlate", "cumprod", "diff", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax",
    "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "ptp", "trapezoid",
]  # fmt: skip


# ---- without NaN


def _filled(x: Any, value: float) -> Any:
    """The tensor with NaN replaced; integers have none."""
    x = convert(x)
    return where(isnan(x), value, x) if "float" in x.dtype else x


def _holes(x: Any, axis: Any, keepdims: bool = False) -> Any:
    """Whether all elements along the axes are NaN."""
    return all(isnan(x), axis, keepdims)


@op
def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return sum(_filled(x, 0.0), axis, keepdims)


@op
def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return prod(_filled(x, 1.0), axis, keepdims)


@op
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of the elements that are not NaN; NaN if all are."""
    x = convert(x, float_type(x))
    return divide(nansum(x, axis, keepdims), _present(x, axis, keepdims))


def _present(x: Any, axis: Any, keepdims: bool) -> Any:
    return sum(cast(logical_not(isnan(x)), x.dtype), axis, keepdims)


@op
def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The biased variance of the elements that are not NaN."""
    x = convert(x, float_type(x))
    return nanmean(square(subtract(x, nanmean(x, axis, keepdims=True))), axis, keepdims)


@op
def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return sqrt(nanvar(x, axis, keepdims))


@op
def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element that is not NaN; NaN if all are."""
    return _extreme(max, -math.inf, x, axis, keepdims)


@op
def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element that is not NaN; NaN if all are."""
    return _extreme(min, math.inf, x, axis, keepdims)


def _extreme(function: Callable[..., Any], neutral: float, x: Any, axis: Any, keepdims: bool) -> Any:
    x = convert(x)
    if "float" not in x.dtype:
        return function(x, axis, keepdims)
    return where(_holes(x, axis, keepdims), math.nan, function(_filled(x, neutral), axis, keepdims))


@op
def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index (int32) of the first largest element that is not NaN; -1 if all are."""
    return _place(argmax, -math.inf, x, axis, keepdims)


@op
def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index (int32) of the first smallest element that is not NaN; -1 if all are."""
    return _place(argmin, math.inf, x, axis, keepdims)


def _place(function: Callable[..., Any], neutral: float, x: Any, axis: int | None, keepdims: bool) -> Any:
    x = convert(x)
    found = function(_filled(x, neutral), axis, keepdims)
    return where(_holes(x, axis, keepdims), -1, found) if "float" in x.dtype else found


@op
def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return cumsum(_filled(x, 0.0), axis, dtype)


@op
def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return cumprod(_filled(x, 1.0), axis, dtype)


# ---- along an axis


@op
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Element i is the product of the elements up to i, by log2(n) products with the tensor moved on."""
    x = convert(x, dtype)
    x = cast(x, "int32") if x.dtype == "bool" else x
    if axis is None:
        x, axis = ravel(x), 0
    axis = normal_axis(axis, x.ndim)
    extent, step = int(x.shape[axis]), 1
    while step < extent:
        edges = [(step if d == axis else 0, 0) for d in range(x.ndim)]
        moved = _part(pad(x, edges, constant_values=1), axis, 0, extent)
        x = multiply(x, moved)
        step *= 2
    return x


def _part(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop),)]


@op
def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbours along an axis, n times over."""
    x = convert(a)
    axis = normal_axis(axis, x.ndim)
    for _ in range(n):
        extent = int(x.shape[axis])
        parts = _part(x, axis, 1, extent), _part(x, axis, 0, extent - 1)
        x = not_equal(*parts) if x.dtype == "bool" else subtract(*parts)
    return x


@op
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    """The integral along an axis by the trapezoidal rule, at places x or `dx` apart."""
    y = convert(y, float_type(y) if x is None else float_type(y, x))
    axis = normal_axis(axis, y.ndim)
    extent = int(y.shape[axis])
    heights = _part(y, axis, 1, extent) + _part(y, axis, 0, extent - 1)
    if x is None:
        return sum(heights, axis) * (dx / 2)
    places = convert(x, y.dtype)
    if places.ndim == 1:
        places = reshape(places, [-1 if d == axis else 1 for d in range(y.ndim)])
    return sum(heights * diff(places, axis=axis), axis) / 2.0


@op
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element minus the smallest."""
    return subtract(max(x, axis, keepdims), min(x, axis, keepdims))


@op
def corrcoef(x: Any) -> Any:
    """Pearson's correlation coefficients of the rows of a matrix; of a vector, 1."""
    x = convert(x, float_type(x))
    rows = reshape(x, (1, -1)) if x.ndim < 2 else x
    away = subtract(rows, mean(rows, 1, keepdims=True))
    shared = matmul(away, moveaxis(away, 0, 1))
    spread = sqrt(sum(square(away), 1, keepdims=True))
    found = clip(divide(divide(shared, spread), moveaxis(spread, 0, 1)), -1.0, 1.0)
    return reshape(found, ()) if x.ndim < 2 else found


@op
def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """The cross-correlation of two vectors: sums of products at every shift, as "valid", "same" or "full"."""
    kind = float_type(x1, x2)
    a, v = convert(x1, kind), convert(x2, kind)
    if a.ndim != 1 or v.ndim != 1:
        raise ValueError(f"correlate: wanted vectors. Received: shapes {a.shape} and {v.shape}")
    n, m = int(a.shape[0]), int(v.shape[0])
    swapped = mode == "valid" and m > n
    if swapped:
        a, v, n, m = v, a, m, n
    edges = {"valid": (0, 0), "full": (m - 1, m - 1), "same": _middle(n, m)}
    if mode not in edges:
        raise ValueError(f"correlate: mode {mode!r} is unknown, wanted 'valid', 'same' or 'full'")
    wide = pad(a, [edges[mode]])
    windows = np.arange(int(wide.shape[0]) - m + 1)[:, None] + np.arange(m)
    found = sum(wide[windows] * v, 1)
    return flip(found) if swapped else found


def _middle(n: int, m: int) -> tuple[int, int]:
    """What is added around n elements so that max(n, m) of all shifts of m elements remain, the middle ones."""
    length = n if n > m else m
    start = (n + m - 1 - length) // 2
    return m - 1 - start, length + start - n
