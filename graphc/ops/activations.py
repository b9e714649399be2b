"""Activation functions."""

from __future__ import annotations

from typing import Any

from graphc.ops.dispatch import builder, convert, float_type, op, unary
from graphc.ops.elementwise import (
    abs,
    add,
    cast,
    clip,
    divide,
    expm1,
    greater,
    greater_equal,
    less_equal,
    maximum,
    minimum,
    multiply,
    negative,
    sqrt,
    square,
    subtract,
    tanh,
    true_divide,
    where,
)
from graphc.ops.reductions import cumsum, sum
from graphc.ops.shapes import arange, reshape, split
from graphc.ops.sorting import sort
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu",
    "log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
    "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
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
    return unary(fn.silu, x, floating=True)


swish = silu


@op
def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function at x; approximate: by tanh."""
    return unary(fn.gelu_tanh if approximate else fn.gelu, x, floating=True)


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
def sparse_plus(x: Any) -> Any:
    """0 below -1, x above 1, a parabola between."""
    x = convert(x, float_type(x))
    return where(less_equal(x, -1.0), 0.0, where(greater_equal(x, 1.0), x, square(x + 1.0) / 4.0))


@op
def sparse_sigmoid(x: Any) -> Any:
    """(x + 1) / 2 limited to [0, 1]."""
    return clip(divide(add(x, 1.0), 2.0), 0.0, 1.0)


@op
def sparsemax(x: Any, axis: int = -1) -> Any:
    """The nearest point of the probability simplex, which is 0 in many places (Martins & Astudillo, 2016)."""
    x = convert(x, float_type(x))
    falling = negative(sort(negative(x), axis))
    total = cumsum(falling, axis)
    rank = reshape(
        arange(1, int(x.shape[axis]) + 1, dtype=x.dtype), [-1 if d == axis % x.ndim else 1 for d in range(x.ndim)]
    )
    support = greater(falling, divide(total - 1.0, rank))
    count = sum(cast(support, x.dtype), axis, keepdims=True)
    level = divide(sum(where(support, falling, 0.0), axis, keepdims=True) - 1.0, count)
    return maximum(x - level, 0.0)
