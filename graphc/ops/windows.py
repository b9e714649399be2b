"""Sliding windows: convolution, pooling, patches laid out as channels and back."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import config
from graphc.ops.dispatch import builder, convert, op
from graphc.ops.reductions import max
from graphc.ops.shapes import get_item, moveaxis, pad, reshape, shown, take, transpose
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "conv", "conv_transpose", "depth_to_space",
    "depthwise_conv", "fold", "max_pool", "separable_conv", "space_to_depth", "unfold",
]  # fmt: skip


def sizes(value: Any, rank: int) -> tuple[int, ...]:
    """A number for every spatial axis: one for all, or one each."""
    return (int(value),) * rank if isinstance(value, int) else tuple(int(item) for item in value)


@op
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    groups: int | None = None,
) -> Any:
    """Convolution of (n, spatial.., channels) with (k.., channels / groups, filters); padding "valid" or "same".

    With data_format "channels_first" the inputs and the result are (n, channels, spatial..).
    """
    x, w = convert(inputs), convert(kernel)
    first = config.standardize_data_format(data_format) == "channels_first"
    x = moveaxis(x, 1, -1) if first else x
    rank = x.ndim - 2
    steps, dilation = sizes(strides, rank), sizes(dilation_rate, rank)
    count = groups or int(x.shape[-1]) // int(w.shape[-2])
    y = Tensor(fn.conv(builder(), x.value, w.value, steps, padding, dilation, count))
    return moveaxis(y, -1, 1) if first else y


@op
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Transposed convolution of (n, spatial.., channels) with (k.., filters, channels).

    Without output_padding a size n becomes n * stride ("same") or n * stride + max(span - stride, 0) ("valid"), where
    span = (k - 1) * dilation + 1; with it (n - 1) * stride + output_padding + span % 2 or + span.
    """
    x, w = convert(inputs), convert(kernel)
    first = config.standardize_data_format(data_format) == "channels_first"
    x = moveaxis(x, 1, -1) if first else x
    rank = x.ndim - 2
    if int(x.shape[-1]) != int(w.shape[-1]):
        raise ValueError(
            f"The number of input channels must be the kernel's last size. Received: inputs.shape={shown(x.shape)}, "
            f"kernel.shape={shown(w.shape)}, data_format={data_format}"
        )
    steps, dilation = sizes(strides, rank), sizes(dilation_rate, rank)
    extra = (None,) * rank if output_padding is None else sizes(output_padding, rank)
    axes = zip(x.shape[1:-1], w.shape[:-2], steps, dilation, extra, strict=True)
    windows = [_transposed_window(int(n), (k - 1) * d + 1, s, padding, more) for n, k, s, d, more in axes]
    extents, edges = tuple(extent for extent, _ in windows), tuple(edge for _, edge in windows)
    y = Tensor(fn.conv_transpose(builder(), x.value, w.value, extents, steps, edges, dilation))
    return moveaxis(y, -1, 1) if first else y


def _transposed_window(size: int, span: int, stride: int, padding: str, extra: int | None) -> tuple[int, Any]:
    """(extent of the result, padding (low, high)) of the convolution that leads from the result to `size` elements."""
    if padding == "valid":
        low, more = 0, builtins.max(span, stride) - span if extra is None else extra
        high = 0
    elif padding == "same":
        total = stride + span - 2 if extra is None else span + span % 2 - 2 + extra
        before = builtins.min((total + 1) // 2, span - 1)
        low, high = span - 1 - before, builtins.max(span - 1 - (total - before), 0)
        more = builtins.max(total - before - span + 1, 0)
    else:
        raise ValueError(f"The `padding` argument must be one of 'valid', 'same'. Received: padding={padding}")
    if more >= stride:
        raise ValueError(f"`output_padding` must be less than the stride. Received: {extra} with a stride of {stride}")
    return (size - 1) * stride + span - low - high + more, (low, high)


@op
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Every input channel convolved with its own kernels (k.., channels, multiplier)."""
    w = convert(kernel)
    channels, multiplier = w.shape[-2:]
    grouped = reshape(w, (*w.shape[:-2], 1, channels * multiplier))
    return conv(inputs, grouped, strides, padding, data_format, dilation_rate, groups=int(channels))


@op
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """A depthwise convolution followed by one over channels only."""
    deep = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(deep, pointwise_kernel, 1, "valid", data_format)


@op
def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The largest element of every window; padding never wins."""
    return _pool(fn.max_pool, inputs, pool_size, strides, padding, data_format)


@op
def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The mean of every window; padding does not count."""
    return _pool(fn.avg_pool, inputs, pool_size, strides, padding, data_format)


def _pool(function: Any, inputs: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Any:
    x = convert(inputs)
    first = config.standardize_data_format(data_format) == "channels_first"
    x = moveaxis(x, 1, -1) if first else x
    rank = x.ndim - 2
    window = sizes(pool_size, rank)
    steps = window if strides is None else sizes(strides, rank)
    y = Tensor(function(builder(), x.value, window, steps, padding))
    return moveaxis(y, -1, 1) if first else y


# ---- windows that divide an axis evenly


@op
def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """The means of `output_size` windows along each spatial axis, as even as they can be (they may overlap)."""
    x, first = _channels_last(inputs, data_format)
    for axis, count in enumerate(sizes(output_size, x.ndim - 2), 1):
        edges = _even_windows(int(x.shape[axis]), count)
        share = np.zeros((int(x.shape[axis]), count), x.dtype)
        for i, (start, stop) in enumerate(edges):
            share[start:stop, i] = 1 / (stop - start)
        x = moveaxis(Tensor(fn.dot(builder(), x.value, convert(share).value, ((axis,), (0,)))), -1, axis)
    return moveaxis(x, -1, 1) if first else x


@op
def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """The largest elements of `output_size` windows along each spatial axis, as even as they can be."""
    x, first = _channels_last(inputs, data_format)
    for axis, count in enumerate(sizes(output_size, x.ndim - 2), 1):
        edges = _even_windows(int(x.shape[axis]), count)
        widest = builtins.max(stop - start for start, stop in edges)
        # short windows read their last element again
        places = [[builtins.min(start + i, stop - 1) for i in range(widest)] for start, stop in edges]
        x = max(take(x, np.array(places, "int32"), axis), axis + 1)
    return moveaxis(x, -1, 1) if first else x


def _even_windows(extent: int, count: int) -> list[tuple[int, int]]:
    return [(i * extent // count, -(-(i + 1) * extent // count)) for i in range(count)]


def _channels_last(inputs: Any, data_format: str | None) -> tuple[Any, bool]:
    x: Any = convert(inputs)
    first = config.standardize_data_format(data_format) == "channels_first"
    return (moveaxis(x, 1, -1) if first else x), first


# ---- windows as channels


@op
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images[n, c, height, width] as columns: [n, c * window, number of windows]."""
    x = convert(x)
    window, edges = sizes(kernel_size, 2), sizes(padding, 2)
    wide = pad(x, [(0, 0), (0, 0), *((edge, edge) for edge in edges)])
    # a convolution whose filters pick one element each, channels outermost
    channels = int(x.shape[1])
    picks = moveaxis(_picks(channels, window, x.dtype), 0, -2)
    found = conv(moveaxis(wide, 1, -1), picks, sizes(stride, 2), "valid", "channels_last", sizes(dilation, 2))
    found = moveaxis(found, -1, 1)
    return reshape(found, (*found.shape[:2], int(found.shape[2]) * int(found.shape[3])))


def _picks(channels: int, window: Sequence[int], dtype: str) -> Any:
    """The unit filters [channels, window.., channels * window]."""
    depth = channels * math.prod(window)
    return convert(np.eye(depth, dtype=dtype).reshape(channels, *window, depth))


@op
def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The inverse of `unfold`: windows [n, c * window, number] added up to images[n, c, *output_size]."""
    x = convert(x)
    window, spread, edges, steps = (sizes(value, 2) for value in (kernel_size, dilation, padding, stride))
    extents = [size + 2 * edge for size, edge in zip(sizes(output_size, 2), edges, strict=True)]
    spans = [(k - 1) * d + 1 for k, d in zip(window, spread, strict=True)]
    counts = [(n - span) // step + 1 for n, span, step in zip(extents, spans, steps, strict=True)]
    channels = int(x.shape[1]) // math.prod(window)
    tall = moveaxis(reshape(x, (*x.shape[:2], *counts)), 1, -1)
    picks = moveaxis(_picks(channels, window, x.dtype), 0, -2)
    none = ((0, 0), (0, 0))
    y = Tensor(fn.conv_transpose(builder(), tall.value, picks.value, tuple(extents), steps, none, spread))
    inside = (slice(edge, edge + size) for edge, size in zip(edges, sizes(output_size, 2), strict=True))
    return moveaxis(get_item(y, (slice(None), *inside)), -1, 1)


@op
def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Channels moved into blocks: [n, h, w, c] becomes [n, h * block, w * block, c / block^2]."""
    x = convert(x)
    b = block_size
    if data_format == "channels_last":
        n, h, w, c = x.shape
        wide = transpose(reshape(x, (n, h, w, b, b, c // b**2)), (0, 1, 3, 2, 4, 5))
        return reshape(wide, (n, h * b, w * b, c // b**2))
    n, c, h, w = x.shape
    wide = transpose(reshape(x, (n, c // b**2, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return reshape(wide, (n, c // b**2, h * b, w * b))


@op
def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks moved into channels: [n, h, w, c] becomes [n, h / block, w / block, c * block^2]."""
    x = convert(x)
    b = block_size
    if data_format == "channels_last":
        n, h, w, c = x.shape
        wide = transpose(reshape(x, (n, h // b, b, w // b, b, c)), (0, 1, 3, 2, 4, 5))
        return reshape(wide, (n, h // b, w // b, c * b**2))
    n, c, h, w = x.shape
    wide = transpose(reshape(x, (n, c, h // b, b, w // b, b)), (0, 1, 3, 5, 2, 4))
    return reshape(wide, (n, c * b**2, h // b, w // b))
