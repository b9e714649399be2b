"""`keras.ops.image`: ops on images[.., height, width, channels], alone or in batches (channels_first: [.., channels,
height, width])."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import config
from graphc.ops.arithmetic import saturate_cast
from graphc.ops.contractions import outer, tensordot
from graphc.ops.dispatch import builder, cast_to, convert, float_type, limits_of, op
from graphc.ops.elementwise import (
    absolute,
    cast,
    clip,
    divide,
    equal,
    exp,
    greater,
    less,
    less_equal,
    logical_and,
    maximum,
    minimum,
    mod,
    multiply,
    round,
    sin,
    square,
    subtract,
    where,
)
from graphc.ops.reductions import mean, sum
from graphc.ops.shapes import (
    expand_dims,
    get_item,
    moveaxis,
    pad,
    repeat,
    reshape,
    split,
    squeeze,
    stack,
    take,
)
from graphc.ops.warp import affine_transform, elastic_transform, map_coordinates, perspective_transform
from graphc.ops.windows import conv, depthwise_conv, sizes
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d", "gaussian_blur",
    "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "resize", "rgb_to_grayscale",
    "rgb_to_hsv", "scale_and_translate", "sobel_edges", "ssim",
]  # fmt: skip


def _images(name: str, images: Any, data_format: str | None) -> tuple[Tensor, int]:
    """(the images as a tensor, its axis of channels, counted from the end)."""
    x = convert(images)
    if x.ndim not in (3, 4):
        raise ValueError(
            "Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). Received input with "
            f"shape: images.shape={x.shape}"
        )
    return x, -1 if config.standardize_data_format(data_format) == "channels_last" else -3


def _spatial(channels: int) -> tuple[int, int]:
    """The axes of height and width."""
    return (-3, -2) if channels == -1 else (-2, -1)


# ---- resampling: along each axis a product with a matrix of weights


def _triangle(x: Any) -> Any:
    return maximum(0.0, subtract(1.0, x))


def _cubic(x: Any) -> Any:
    """Keys's cubic convolution with a = -1/2 (IEEE Transactions on Acoustics, Speech, and Signal Processing, 1981)."""
    near = ((x * 1.5 - 2.5) * x) * x + 1.0
    far = ((x * -0.5 + 2.5) * x - 4.0) * x + 2.0
    return where(less(x, 1.0), near, where(less(x, 2.0), far, 0.0))


def _lanczos(radius: int) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        wave = multiply(sin(x * math.pi), sin(x * (math.pi / radius))) * float(radius)
        inside = greater(x, 1e-3)
        value = where(inside, divide(wave, square(where(inside, x, 1.0)) * math.pi**2), 1.0)
        return where(greater(x, radius), 0.0, value)

    return kernel


_KERNELS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _triangle),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


def _weights(size: int, count: int, scale: Any, shift: Any, kernel: Callable[[Any], Any], antialias: bool) -> Any:
    """The matrix [size, count] by which `count` samples are made from `size` pixels, whose centres lie at + 1/2."""
    step = divide(1.0, scale)
    at = (convert(np.arange(count, dtype="float32")) + 0.5) * step - multiply(shift, step) - 0.5
    pixels = np.arange(size, dtype="float32").reshape(size, 1)
    apart = absolute(subtract(reshape(at, (1, count)), pixels))
    weights = kernel(divide(apart, maximum(step, 1.0)) if antialias else apart)
    total = sum(weights, 0, keepdims=True)
    usable = greater(absolute(total), 1000 * float(np.finfo("float32").eps))
    inside = logical_and(less_equal(-0.5, at), less_equal(at, size - 0.5))
    return where(logical_and(usable, reshape(inside, (1, count))), divide(weights, where(usable, total, 1.0)), 0.0)


def _resampled(x: Any, axis: int, weights: Any) -> Any:
    axis %= x.ndim
    w = convert(weights, x.dtype)
    product = Tensor(fn.dot(builder(), x.value, w.value, ((axis,), (0,))))
    return moveaxis(product, -1, axis)


@op
def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Any:
    """Images resampled to size = (height, width).

    interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5". antialias: smooth when shrinking.
    crop_to_aspect_ratio, pad_to_aspect_ratio: cut the centre out, or add `fill_value` around, before resizing, so
    that nothing is stretched. Integer images come out rounded, in their own dtype.
    """
    _check_resize(size, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio, fill_mode)
    x, channels = _images("resize", images, data_format)
    axes = _spatial(channels)
    if crop_to_aspect_ratio or pad_to_aspect_ratio:
        x = _to_aspect_ratio(x, size, axes, crop_to_aspect_ratio, fill_value)
    if interpolation == "nearest":
        return _nearest(x, size, axes)
    y: Any = cast_to(x, float_type(x))
    for axis, count in zip(axes, size, strict=True):
        have, count = int(x.shape[axis]), int(count)
        if have != count:
            weights = _weights(have, count, count / have, 0.0, _KERNELS[interpolation], antialias)
            y = _resampled(y, axis, weights)
    return y if y.dtype == x.dtype else saturate_cast(round(y), x.dtype)


def _check_resize(size: Any, interpolation: str, crop: bool, fill: bool, fill_mode: str) -> None:
    known = ("bilinear", "nearest", "lanczos3", "lanczos5", "bicubic")
    if interpolation not in known:
        raise ValueError(
            f"Invalid value for argument `interpolation`. Expected of one {known}. Received: "
            f"interpolation={interpolation}"
        )
    if fill_mode != "constant":
        raise ValueError(
            f"Invalid value for argument `fill_mode`. Only `'constant'` is supported. Received: fill_mode={fill_mode}"
        )
    if crop and fill:
        raise ValueError("Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`.")
    if len(size) != 2:
        raise ValueError(f"Argument `size` must be a tuple of two elements (height, width). Received: size={size}")


def _to_aspect_ratio(x: Any, size: Any, axes: tuple[int, int], crop: bool, fill_value: float) -> Any:
    height, width = (int(x.shape[axis]) for axis in axes)
    fitting = int(float(width * size[0]) / size[1]), int(float(height * size[1]) / size[0])
    if crop:
        kept = [max(min(have, want), 1) for have, want in zip((height, width), fitting, strict=True)]
        starts = [int(float(have - keep) / 2) for have, keep in zip((height, width), kept, strict=True)]
        return _cut(x, axes, starts, kept)
    wide = [max(have, want) for have, want in zip((height, width), fitting, strict=True)]
    edges = [(int(float(want - have) / 2),) * 2 for have, want in zip((height, width), wide, strict=True)]
    if edges[0][0] > 0:
        edges[1] = (0, 0)
    return _padded(x, axes, edges, fill_value)


def _cut(x: Any, axes: Sequence[int], starts: Sequence[int], counts: Sequence[int]) -> Any:
    keys = [slice(None)] * x.ndim
    for axis, start, count in zip(axes, starts, counts, strict=True):
        keys[axis] = slice(start, start + count)
    return get_item(x, tuple(keys))


def _padded(x: Any, axes: Sequence[int], edges: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    widths = [(0, 0)] * x.ndim
    for axis, edge in zip(axes, edges, strict=True):
        widths[axis] = edge
    return pad(x, widths, constant_values=value)


def _nearest(x: Any, size: Any, axes: tuple[int, int]) -> Any:
    for axis, count in zip(axes, size, strict=True):
        have, count = int(x.shape[axis]), int(count)
        if have != count:
            # in float32, whose rounding decides which pixel is the nearest
            at = (np.arange(count, dtype="float32") + np.float32(0.5)) * np.float32(have) / np.float32(count)
            x = take(x, np.floor(at).astype("int32"), axis)
    return x


@op
def scale_and_translate(
    images: Any,
    output_shape: Any,
    scale: Any,
    translation: Any,
    spatial_dims: Any,
    method: str,
    antialias: bool = True,
) -> Any:
    """Images resampled so that the point p along spatial axis i comes to p * scale[i] + translation[i].

    output_shape is the whole shape of the result; what falls outside of the images is 0. method: "linear" (also
    "bilinear", "trilinear"), "cubic" (also "bicubic", "tricubic"), "lanczos3" or "lanczos5".
    """
    if method not in _KERNELS:
        raise ValueError(
            f"Invalid value for argument `method`. Expected of one {set(_KERNELS)}. Received: method={method}"
        )
    y: Any = convert(images, float_type(images))
    scale, translation = convert(scale, y.dtype), convert(translation, y.dtype)
    for i, axis in enumerate(spatial_dims):
        have, count = int(y.shape[axis]), int(output_shape[axis])
        weights = _weights(have, count, scale[i], translation[i], _KERNELS[method], antialias)
        y = _resampled(y, axis, weights)
    return y


# ---- borders and patches


@op
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """Zeros around images; of top, bottom and target_height (and left, right, target_width) exactly two are given."""
    x, channels = _images("pad_images", images, data_format)
    axes = _spatial(channels)
    rows = _edges("padding", ("top", "bottom", "height"), top_padding, bottom_padding, target_height, x.shape[axes[0]])
    columns = _edges("padding", ("left", "right", "width"), left_padding, right_padding, target_width, x.shape[axes[1]])
    return _padded(x, axes, [rows, columns])


@op
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """A part of images; of top, bottom and target_height (and left, right, target_width) exactly two are given."""
    x, channels = _images("crop_images", images, data_format)
    axes = _spatial(channels)
    height, width = (int(x.shape[axis]) for axis in axes)
    top, bottom = _edges("cropping", ("top", "bottom", "height"), top_cropping, bottom_cropping, target_height, height)
    left, right = _edges("cropping", ("left", "right", "width"), left_cropping, right_cropping, target_width, width)
    return _cut(x, axes, (top, left), (height - top - bottom, width - left - right))


def _edges(
    what: str, names: tuple[str, str, str], low: int | None, high: int | None, target: int | None, extent: int
) -> tuple[int, int]:
    """The elements added or cut before and after along an axis, of which one may be left to the target size."""
    first, second, along = names
    if [low, high, target].count(None) != 1:
        raise ValueError(
            f"Must specify exactly two of {first}_{what}, {second}_{what}, target_{along}. Received: "
            f"{first}_{what}={low}, {second}_{what}={high}, target_{along}={target}"
        )
    if target is not None:
        change = target - int(extent) if what == "padding" else int(extent) - target
        low, high = change - (high or 0) if low is None else low, change - (low or 0) if high is None else high
    for name, value in ((first, low), (second, high)):
        if value is None or value < 0:
            raise ValueError(f"{name}_{what} must be >= 0. Received: {name}_{what}={value}")
    assert low is not None and high is not None
    if what == "cropping" and low + high > int(extent):
        raise ValueError(f"target_{along} must be >= 0. Received: target_{along}={int(extent) - low - high}")
    return low, high


@op
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """All windows of `size` (2 or 3 spatial axes), each laid out (rows, columns, channels) along the channel axis."""
    rank = 2 if isinstance(size, int) else len(size)
    if rank not in (2, 3):
        raise TypeError(f"Invalid `size` argument. Expected an int or a tuple of length 2 or 3. Received: size={size}")
    x = convert(images)
    alone = x.ndim == rank + 1
    x = expand_dims(x, 0) if alone else x
    first = config.standardize_data_format(data_format) == "channels_first"
    window = sizes(size, rank)
    depth = math.prod(window) * int(x.shape[1 if first else -1])
    # a convolution whose filters pick one element each
    picks = np.eye(depth, dtype=x.dtype).reshape(*window, -1, depth)
    patches = conv(x, picks, strides or size, padding, data_format, dilation_rate)
    return squeeze(patches, 0) if alone else patches


@op
def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """All windows of `size` of volumes[.., depth, height, width, channels], laid out along the channel axis."""
    return extract_patches(volumes, sizes(size, 3), strides, dilation_rate, padding, data_format)


# ---- colours


@op
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Any:
    """0.2989 R + 0.587 G + 0.114 B, in the dtype of the images; one channel stays as it is."""
    x, channels = _images("rgb_to_grayscale", images, data_format)
    count = int(x.shape[channels])
    if count not in (1, 3):
        raise ValueError(
            "Invalid channel size: expected 3 (RGB) or 1 (Grayscale). Received input with shape: "
            f"images.shape={x.shape}"
        )
    if count == 1:
        return x
    weights = np.array([0.2989, 0.5870, 0.1140], float_type(x))
    grey = tensordot(cast(x, float_type(x)), weights, ((channels % x.ndim,), (0,)))
    return cast(expand_dims(grey, channels), x.dtype)


def _planes(name: str, images: Any, data_format: str | None) -> tuple[list[Any], int, str]:
    x, channels = _images(name, images, data_format)
    if "float" not in x.dtype:
        raise ValueError(f"Invalid images dtype: expected float dtype. Received: images.dtype={x.dtype}")
    return [squeeze(plane, channels) for plane in split(x, 3, channels)], channels, x.dtype


@op
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Any:
    """Hue, saturation and value, all in [0, 1], of colours in [0, 1]."""
    planes, channels, dtype = _planes("rgb_to_hsv", images, data_format)
    eps = float(limits_of(dtype).eps)
    red, green, blue = (where(less(absolute(plane), eps), 0.0, plane) for plane in planes)
    value = maximum(maximum(red, green), blue)
    span = value - minimum(minimum(red, green), blue)
    coloured = greater(span, 0)
    sixth = divide(1.0, where(coloured, span, 1.0) * 6.0)
    hue = where(equal(value, green), sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = where(equal(value, red), sixth * (green - blue), hue)
    hue = where(coloured, hue, 0.0) + cast(less(hue, 0), dtype)
    lit = greater(value, 0)
    saturation = where(lit, divide(span, where(lit, value, 1.0)), 0.0)
    return stack([hue, saturation, value], channels)


@op
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Any:
    """The inverse of `rgb_to_hsv`."""
    (hue, saturation, value), channels, _ = _planes("hsv_to_rgb", images, data_format)
    turn = mod(hue, 1.0) * 6.0
    shares = (
        clip(absolute(turn - 3.0) - 1.0, 0.0, 1.0),
        clip(2.0 - absolute(turn - 2.0), 0.0, 1.0),
        clip(2.0 - absolute(turn - 4.0), 0.0, 1.0),
    )
    return stack([value * ((1.0 - saturation) + saturation * share) for share in shares], channels)


# ---- filters


def _bell(size: int, sigma: Any, dtype: str) -> Any:
    """A Gaussian window of `size` points whose sum is 1."""
    away = np.arange(size, dtype=dtype) - np.asarray((size - 1) / 2, dtype)
    bell = exp(square(divide(away, sigma)) * -0.5)
    return divide(bell, sum(bell))


def _filtered(x: Any, kernel: Any, padding: str, data_format: str) -> Any:
    """Every channel convolved with one kernel[height, width]."""
    count = int(x.shape[-1 if data_format == "channels_last" else 1])
    deep = repeat(reshape(kernel, (*kernel.shape, 1, 1)), count, 2)
    return depthwise_conv(x, deep, 1, padding, data_format)


@op
def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Any:
    """Images convolved with a Gaussian of sigma pixels, cut to kernel_size; the outside counts as 0.

    Both are pairs, the width's first.
    """
    x, _ = _images("gaussian_blur", images, data_format)
    spread = convert(sigma, x.dtype)
    across, along = (_bell(int(size), spread[i], x.dtype) for i, size in enumerate(kernel_size))
    blurred = _filtered(
        expand_dims(x, 0) if x.ndim == 3 else x, outer(along, across), "same",
        config.standardize_data_format(data_format),
    )  # fmt: skip
    return squeeze(blurred, 0) if x.ndim == 3 else blurred


@op
def sobel_edges(images: Any, data_format: str | None = None) -> Any:
    """The derivatives (down, right) along a new last axis, by Sobel's filters, for batches of images."""
    x = convert(images)
    kind = config.standardize_data_format(data_format)
    right = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], x.dtype)
    return stack([_filtered(x, convert(kernel), "same", kind) for kernel in (right.T, right)], -1)


@op
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Any:
    """The structural similarity of images, one number each (Wang et al., "Image quality assessment: from error
    visibility to structural similarity", 2004)."""
    first, channels = _images("ssim", image1, data_format)
    second, _ = _images("ssim", image2, data_format)
    kind = float_type(first)
    a, b = (_channels_last(cast(x, kind), channels) for x in (first, second))
    bell = _bell(filter_size, filter_sigma, kind)
    kernel = outer(bell, bell)

    def smooth(x: Any) -> Any:
        return _filtered(x, kernel, "valid", "channels_last")

    mean_a, mean_b = smooth(a), smooth(b)
    both = mean_a * mean_b
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    spread = smooth(a * a) - square(mean_a) + smooth(b * b) - square(mean_b) + c2
    shared = smooth(a * b) - both
    quality = (2.0 * both + c1) * (2.0 * shared + c2) / ((square(mean_a) + square(mean_b) + c1) * spread)
    found = cast(mean(quality, (1, 2, 3)), first.dtype)
    return found if first.ndim == 4 else squeeze(found, 0)


def _channels_last(x: Any, channels: int) -> Any:
    x = expand_dims(x, 0) if x.ndim == 3 else x
    return x if channels == -1 else moveaxis(x, 1, -1)
