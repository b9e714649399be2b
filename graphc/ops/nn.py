"""Ops of neural networks: activations, convolution, pooling, normalisation, cross-entropies, random masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc import config
from graphc.ir.types import DType
from graphc.ops.dispatch import builder, convert, float_type, op, tracer, unary
from graphc.ops.elementwise import (
    add,
    cast,
    clip,
    erf,
    expm1,
    greater,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    rsqrt,
    sqrt,
    square,
    subtract,
    tanh,
    true_divide,
    where,
)
from graphc.ops.reductions import mean, sum
from graphc.ops.shapes import moveaxis, one_hot, reshape, squeeze
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "average_pool", "batch_normalization", "bias_add", "binary_crossentropy", "categorical_crossentropy", "celu",
    "conv", "conv_transpose", "depthwise_conv", "elu", "embedding_lookup", "gelu", "glu", "hard_shrink", "hard_sigmoid",
    "hard_silu", "hard_swish", "hard_tanh", "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax",
    "max_pool", "moments", "normalize", "random_uniform", "relu", "relu6", "selu", "separable_conv", "shown",
    "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_categorical_crossentropy",
    "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@op
def relu(x: Any) -> Any:
    return unary(fn.relu, x)


@op
def relu6(x: Any) -> Any:
    return clip(x, 0.0, 6.0)


@op
def sigmoid(x: Any) -> Any:
    return unary(fn.sigmoid, x, floating=True)


@op
def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return unary(fn.softplus, x, floating=True)


@op
def log_sigmoid(x: Any) -> Any:
    return negative(softplus(negative(x)))


@op
def softsign(x: Any) -> Any:
    x = convert(x, float_type(x))
    return x / (1.0 + abs(x))


@op
def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    return multiply(x, sigmoid(x))


swish = silu


@op
def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function at x; approximate: by tanh."""
    x = convert(x, float_type(x))
    if approximate:
        return 0.5 * x * (1.0 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * square(x))))
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


@op
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x above 0, alpha * (exp(x) - 1) below."""
    x = convert(x, float_type(x))
    # exp only of the negative part, so that the branch not taken cannot overflow in the gradient
    return where(greater(x, 0), x, alpha * expm1(minimum(x, 0.0)))


@op
def selu(x: Any) -> Any:
    return multiply(elu(x, SELU_ALPHA), SELU_SCALE)


@op
def celu(x: Any, alpha: float = 1.0) -> Any:
    x = convert(x, float_type(x))
    return maximum(x, 0.0) + alpha * expm1(minimum(x, 0.0) / alpha)


@op
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    x = convert(x, float_type(x))
    return where(greater(x, 0), x, x * negative_slope)


@op
def hard_sigmoid(x: Any) -> Any:
    return true_divide(relu6(add(x, 3.0)), 6.0)


@op
def hard_silu(x: Any) -> Any:
    return multiply(x, hard_sigmoid(x))


hard_swish = hard_silu


@op
def hard_tanh(x: Any) -> Any:
    return clip(x, -1.0, 1.0)


@op
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    x = convert(x)
    return where(greater(abs(x), threshold), x, 0.0)


@op
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    return subtract(maximum(subtract(x, threshold), 0.0), maximum(subtract(negative(x), threshold), 0.0))


@op
def tanh_shrink(x: Any) -> Any:
    return subtract(x, tanh(x))


@op
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    return where(greater(x, threshold), x, default_value)


@op
def squareplus(x: Any, b: float = 4) -> Any:
    x = convert(x, float_type(x))
    return (x + sqrt(square(x) + b)) / 2.0


@op
def glu(x: Any, axis: int = -1) -> Any:
    from graphc.ops.shapes import split

    left, right = split(x, 2, axis)
    return multiply(left, sigmoid(right))


@op
def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis, without overflow."""
    return _along_last(fn.softmax, x, axis)


@op
def log_softmax(x: Any, axis: Any = -1) -> Any:
    return _along_last(fn.log_softmax, x, axis)


def _along_last(function: Any, x: Any, axis: Any) -> Tensor:
    x = convert(x, float_type(x))
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    return Tensor(function(builder(), x.value, tuple(a % x.ndim for a in axes)))


@op
def bias_add(x: Any, bias: Any) -> Any:
    return add(x, bias)


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
        low, more = 0, max(span, stride) - span if extra is None else extra
        high = 0
    elif padding == "same":
        total = stride + span - 2 if extra is None else span + span % 2 - 2 + extra
        before = min((total + 1) // 2, span - 1)
        low, high = span - 1 - before, max(span - 1 - (total - before), 0)
        more = max(total - before - span + 1, 0)
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


def sizes(value: Any, rank: int) -> tuple[int, ...]:
    """A number for every spatial axis: one for all, or one each."""
    return (int(value),) * rank if isinstance(value, int) else tuple(int(item) for item in value)


@op
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """(mean, biased variance) over the axes."""
    x = convert(x, float_type(x))
    centre = mean(x, axes, keepdims=True)
    spread = mean(square(x - centre), axes, keepdims)
    return (centre if keepdims else squeeze(centre, tuple(axes))), spread


@op
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with statistics along one axis."""
    x = convert(x)
    wide = [1] * x.ndim
    wide[axis] = int(x.shape[axis])
    inverse = rsqrt(add(variance, epsilon))
    inverse = inverse if scale is None else inverse * scale
    shift = negative(multiply(mean, inverse))
    shift = shift if offset is None else shift + offset
    return x * reshape(inverse, wide) + reshape(shift, wide)


@op
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None, **kwargs: Any
) -> Any:
    """Normalised to mean 0 and variance 1 along the axes, then scaled and shifted."""
    x = convert(x, float_type(x))
    axes = tuple(a % x.ndim for a in (axis if isinstance(axis, (list, tuple)) else (axis,)))
    wide = [int(dim) if d in axes else 1 for d, dim in enumerate(x.shape)]
    centre, variance = moments(x, axes, keepdims=True)
    inverse = rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    if gamma is not None:
        inverse = inverse * reshape(gamma, wide)
    shift = negative(centre) * inverse
    if beta is not None:
        shift = shift + reshape(beta, wide)
    return x * inverse + shift


@op
def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """Divided by the Euclidean norm along the axis."""
    if order != 2:
        raise NotImplementedError(f"normalize: order={order} is not supported; use 2")
    x = convert(x, float_type(x))
    small = config.epsilon() if epsilon is None else epsilon
    return x * rsqrt(maximum(sum(square(x), axis, keepdims=True), small**2))


@op
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(target * log(output)) along the axis; probabilities are normalised and kept off 0 and 1 by epsilon."""
    output = convert(output)
    target = convert(target, output.dtype)
    _check_targets("categorical_crossentropy", target, output)
    return negative(sum(target * _log_probabilities(output, from_logits, axis), axis))


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return log_softmax(output, axis)
    probabilities = output / sum(output, axis, keepdims=True)
    return log(clip(probabilities, config.epsilon(), 1.0 - config.epsilon()))


def _check_targets(name: str, target: Tensor, output: Tensor) -> None:
    if target.ndim < 1:
        raise ValueError(
            f"Arguments `target` and `output` must be at least rank 1. Received: target.shape={shown(target.shape)}, "
            f"output.shape={shown(output.shape)}"
        )
    if target.ndim != output.ndim or any(int(a) != int(b) for a, b in zip(target.shape, output.shape, strict=True)):
        raise ValueError(
            "Arguments `target` and `output` must have the same shape. Received: "
            f"target.shape={shown(target.shape)}, output.shape={shown(output.shape)}"
        )


def shown(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape as users know it: the batch is the number of rows that is compiled for."""
    return tuple(int(dim) for dim in shape)


@op
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The categorical cross-entropy of integer labels; a label outside [0, classes) is refused when the graph runs."""
    output, labels = convert(output), convert(target)
    if labels.ndim == output.ndim and int(labels.shape[-1]) == 1:
        labels = squeeze(labels, -1)
    if output.ndim < 1:
        raise ValueError(f"Argument `output` must be at least rank 1. Received: output.shape={shown(output.shape)}")
    if labels.ndim != output.ndim - 1 or [int(d) for d in labels.shape] != [int(d) for d in output.shape[:-1]]:
        raise ValueError(
            "Arguments `target` and `output` must have the same shape up until the last dimension: "
            f"target.shape={shown(labels.shape)}, output.shape={shown(output.shape)}"
        )
    classes = int(output.shape[axis])
    tracer().bound(labels, 0, classes, "label")
    hot = one_hot(labels, classes, axis, dtype=output.dtype)
    return negative(sum(hot * _log_probabilities(output, from_logits, axis), axis))


@op
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-(t log(p) + (1 - t) log(1 - p)), element by element."""
    output = convert(output)
    target = convert(target, output.dtype)
    _check_targets("binary_crossentropy", target, output)
    if from_logits:
        return negative(target * log_sigmoid(output) + (1.0 - target) * log_sigmoid(negative(output)))
    p = clip(output, config.epsilon(), 1.0 - config.epsilon())
    return negative(target * log(p) + (1.0 - target) * log(1.0 - p))


@op
def embedding_lookup(table: Any, ids: Any) -> Any:
    """Rows of the table; an id outside it is refused when the graph runs."""
    table, ids = convert(table), convert(ids)
    ids = ids if ids.dtype.startswith(("int", "uint")) else cast(ids, "int32")
    tracer().bound(ids, 0, int(table.shape[0]), "embedding id")
    return Tensor(fn.gather(builder(), table.value, cast(ids, "int32").value))


@op
def random_uniform(key: Any, shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None) -> Any:
    """Floats of [minval, maxval) from a key (uint32[2]), bit by bit those of JAX."""
    kind = DType.of(config.standardize_dtype(dtype))
    return Tensor(fn.random_uniform(builder(), convert(key).value, tuple(shape), kind)) * (maxval - minval) + minval
