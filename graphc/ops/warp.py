"""Images looked up at other coordinates: interpolation between neighbours, affine and perspective maps, waves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import config
from graphc.ops.dispatch import builder, convert, float_type, op
from graphc.ops.elementwise import (
    absolute,
    add,
    cast,
    clip,
    divide,
    floor,
    floor_divide,
    greater_equal,
    less,
    logical_and,
    mod,
    multiply,
    negative,
    sign,
    subtract,
    where,
)
from graphc.ops.linalg import solve
from graphc.ops.shapes import (
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    ones_like,
    reshape,
    squeeze,
    stack,
    zeros_like,
)
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

ORDERS = {"nearest": 0, "bilinear": 1}
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _one_of(name: str, value: Any, known: Any) -> None:
    if value not in known:
        raise ValueError(f"Invalid value for argument `{name}`. Expected one of {set(known)}. Received: {name}={value}")


# ---- looking up


def _inside(index: Any, size: int, mode: str) -> Any:
    """The index of the element that stands for one outside of [0, size)."""
    match mode:
        case "wrap":
            return mod(index, size)
        case "mirror":
            return _mirrored(index, size)
        case "reflect":
            return floor_divide(subtract(_mirrored(add(multiply(index, 2), 1), 2 * size + 1), 1), 2)
    return clip(index, 0, size - 1)


def _mirrored(index: Any, size: int) -> Any:
    half = size - 1
    return absolute(subtract(mod(add(index, half), 2 * half), half)) if half else multiply(index, 0)


def _neighbours(at: Any, order: int) -> list[tuple[Any, Any]]:
    """(index, weight) of the elements along an axis that a coordinate is made of; weight None is 1."""
    if order == 0 or at.dtype.startswith(("int", "uint")):
        return [(cast(_nearest(at), "int32"), None)]
    low = floor(at)
    share = subtract(at, low)
    first = cast(low, "int32")
    return [(first, subtract(1.0, share)), (add(first, 1), share)]


def _nearest(at: Any) -> Any:
    """The nearest integer; halves go away from zero."""
    if "float" not in at.dtype:
        return at
    size = absolute(at)
    low = floor(size)
    return multiply(sign(at), where(greater_equal(subtract(size, low), 0.5), add(low, 1.0), low))


def _looked_up(x: Any, coordinates: Sequence[Any], order: int, mode: str, fill: float, batch: int) -> Any:
    """x[batch.., sizes.., rest..] at coordinates[batch.., any..], one for each of the sizes."""
    extents = [int(dim) for dim in x.shape[batch : batch + len(coordinates)]]
    rest = x.ndim - batch - len(coordinates)
    table = reshape(x, (*x.shape[:batch], math.prod(extents), *x.shape[x.ndim - rest :]))
    total: Any = None
    for corner in itertools.product(*(_neighbours(at, order) for at in coordinates)):
        value = _corner(table, [index for index, _ in corner], extents, mode, fill, batch)
        for _, weight in corner:
            value = value if weight is None else multiply(value, _wider(weight, rest))
        total = value if total is None else add(total, value)
    return cast(total if "float" in x.dtype else _nearest(total), x.dtype)


def _corner(table: Any, indices: list[Any], extents: list[int], mode: str, fill: float, batch: int) -> Any:
    row: Any = None
    valid: Any = None
    for index, size in zip(indices, extents, strict=True):
        exact = _inside(index, size, mode)
        row = exact if row is None else add(multiply(row, size), exact)
        if mode == "constant":
            here = logical_and(greater_equal(index, 0), less(index, size))
            valid = here if valid is None else logical_and(valid, here)
    found: Any = Tensor(fn.gather(builder(), table.value, convert(row, "int32").value, batch))
    if valid is None:
        return found
    return where(_wider(valid, found.ndim - valid.ndim), found, cast(convert(fill), found.dtype))


def _wider(x: Any, count: int) -> Any:
    return reshape(x, (*x.shape, *(1,) * count))


@op
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0.0
) -> Any:
    """inputs at coordinates[rank of inputs, ..], by order 0 (nearest) or 1 (linear).

    fill_mode says what lies outside: "constant" (fill_value), "nearest", "wrap", "mirror" or "reflect".
    """
    x, at = convert(inputs), convert(coordinates)
    if int(at.shape[0]) != x.ndim:
        raise ValueError(
            "First dim of `coordinates` must be the same as the rank of `inputs`. Received inputs with shape: "
            f"{x.shape} and coordinate leading dim of {at.shape[0]}"
        )
    if at.ndim < 2:
        raise ValueError(f"Invalid coordinates rank: expected at least rank 2. Received input with shape: {at.shape}")
    _one_of("fill_mode", fill_mode, FILL_MODES)
    _one_of("order", order, (0, 1))
    return _looked_up(x, [at[axis] for axis in range(x.ndim)], order, fill_mode, fill_value, 0)


# ---- maps of whole images


def _batched(images: Any, data_format: str | None) -> tuple[Any, bool, bool]:
    """(images[n, height, width, channels], whether there was one only, whether channels came first)."""
    x: Any = convert(images)
    if x.ndim not in (3, 4):
        raise ValueError(
            "Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). Received input with "
            f"shape: images.shape={x.shape}"
        )
    first = config.standardize_data_format(data_format) == "channels_first"
    alone = x.ndim == 3
    x = expand_dims(x, 0) if alone else x
    return moveaxis(x, 1, -1) if first else x, alone, first


def _unbatched(x: Any, alone: bool, first: bool) -> Any:
    x = moveaxis(x, -1, 1) if first else x
    return squeeze(x, 0) if alone else x


def _grid(x: Any, dtype: str) -> tuple[Any, Any]:
    """The rows[height, 1] and columns[width] of images."""
    height, width = int(x.shape[1]), int(x.shape[2])
    return np.arange(height, dtype=dtype).reshape(height, 1), np.arange(width, dtype=dtype)


def _for_each(x: Any, at: Any) -> Any:
    """Coordinates[n or 1, height, width] for every image."""
    return broadcast_to(at, (x.shape[0], *at.shape[1:]))


@op
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Any:
    """Pixel (x, y) of the result is the images' at (a0 x + a1 y + a2, b0 x + b1 y + b2).

    transform: [a0, a1, a2, b0, b1, b2, c0, c1], for all images or one each; c0 and c1 must be 0.
    """
    _one_of("interpolation", interpolation, ORDERS)
    _one_of("fill_mode", fill_mode, FILL_MODES)
    x, alone, first = _batched(images, data_format)
    t: Any = convert(transform)
    if t.ndim not in (1, 2):
        raise ValueError(
            "Invalid transform rank: expected rank 1 (single transform) or rank 2 (batch of transforms). Received "
            f"input with shape: transform.shape={t.shape}"
        )
    t = convert(expand_dims(t, 0) if t.ndim == 1 else t, float_type(t))
    rows, columns = _grid(x, t.dtype)
    a0, a1, a2, b0, b1, b2 = (reshape(t[:, i], (-1, 1, 1)) for i in range(6))
    down = rows * b1 + columns * b0 + b2
    right = rows * a1 + columns * a0 + a2
    at = [_for_each(x, coordinate) for coordinate in (down, right)]
    return _unbatched(_looked_up(x, at, ORDERS[interpolation], fill_mode, fill_value, 1), alone, first)


@op
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Any:
    """Images bent so that the four start points (x, y) come to the end points; each [4, 2], or [n, 4, 2]."""
    _one_of("interpolation", interpolation, ORDERS)
    x, alone, first = _batched(images, data_format)
    start, end = (_corners(name, p) for name, p in (("start_points", start_points), ("end_points", end_points)))
    if start.shape != end.shape:
        raise ValueError(
            "start_points and end_points must have the same shape. Received start_points.shape="
            f"{start.shape}, end_points.shape={end.shape}"
        )
    h = homography(start, end)
    rows, columns = _grid(x, h.dtype)
    c = [reshape(h[:, i], (-1, 1, 1)) for i in range(8)]
    depth = columns * c[6] + rows * c[7] + 1.0
    right = divide(columns * c[0] + rows * c[1] + c[2], depth)
    down = divide(columns * c[3] + rows * c[4] + c[5], depth)
    at = [_for_each(x, coordinate) for coordinate in (down, right)]
    return _unbatched(_looked_up(x, at, ORDERS[interpolation], "constant", fill_value, 1), alone, first)


def _corners(name: str, points: Any) -> Any:
    p: Any = convert(points, "float32")
    if p.ndim not in (2, 3) or tuple(map(int, p.shape[-2:])) != (4, 2):
        raise ValueError(
            f"Invalid {name} shape: expected (4,2) for a single image or (N,4,2) for a batch. Received shape: {p.shape}"
        )
    return expand_dims(p, 0) if p.ndim == 2 else p


def homography(start: Any, end: Any) -> Any:
    """The eight coefficients [n, 8] of the perspective map that takes end[n, 4, 2] to start[n, 4, 2]."""
    (from_x, from_y), (to_x, to_y) = (start[..., 0], start[..., 1]), (end[..., 0], end[..., 1])
    one, none = ones_like(to_x), zeros_like(to_x)
    across = [to_x, to_y, one, none, none, none, negative(from_x * to_x), negative(from_x * to_y)]
    along = [none, none, none, to_x, to_y, one, negative(from_y * to_x), negative(from_y * to_y)]
    system = concatenate([stack(across, -1), stack(along, -1)], 1)
    return solve(system, concatenate([from_x, from_y], -1))


@op
def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Any:
    """Images distorted by random waves: shifts of about alpha * sigma pixels, smoothed over sigma pixels."""
    from graphc import random  # draws its first values with ops
    from graphc.ops.image import gaussian_blur  # built on what is defined here

    _one_of("interpolation", interpolation, ORDERS)
    _one_of("fill_mode", fill_mode, FILL_MODES)
    x, alone, first = _batched(images, data_format)
    # one wave moves pixels down and to the right alike, as in Keras
    noise = convert(random.normal((*x.shape[:3], 1), dtype=float_type(x), seed=seed)) * sigma
    width = int(6 * sigma) | 1
    shift = squeeze(gaussian_blur(noise, (width, width), (sigma, sigma), "channels_last"), -1) * alpha
    rows, columns = _grid(x, noise.dtype)
    warped = _looked_up(x, [shift + rows, shift + columns], ORDERS[interpolation], fill_mode, fill_value, 1)
    return _unbatched(warped, alone, first)
