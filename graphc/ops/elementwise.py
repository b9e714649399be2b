"""Ops that work element by element: arithmetic, functions, comparisons, logic, rounding, choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.ir.builder import Builder
from graphc.ir.op import Value
from graphc.ops.dispatch import (
    binary,
    builder,
    cast_to,
    convert,
    float_type,
    is_scalar,
    op,
    operand,
    result_type,
    unary,
)
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "abs", "absolute", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cast",
    "ceil", "clip", "cos", "cosh", "divide", "divide_no_nan", "equal", "erf", "erfinv", "exp", "expm1", "floor",
    "floor_divide", "greater", "greater_equal", "isclose", "isfinite", "isinf", "isnan", "less", "less_equal",
    "log", "log1p", "log2", "log10", "logical_and", "logical_not", "logical_or", "logical_xor", "maximum",
    "minimum", "mod", "multiply", "negative", "not_equal", "power", "reciprocal", "round", "rsqrt", "sign", "sin",
    "sinh", "sqrt", "square", "stop_gradient", "subtract", "tan", "tanh", "true_divide", "trunc", "where",
]  # fmt: skip


Binary = Callable[[Builder, Any, Any], Value]


def _joined(numbers: Binary, bools: Binary, x1: Any, x2: Any) -> Tensor:
    """A function of numbers that has another form for bools."""
    kind = result_type(x1, x2)
    return binary(bools, convert(x1), convert(x2), kind) if kind == "bool" else binary(numbers, x1, x2, kind)


def _compared(function: Binary, x1: Any, x2: Any) -> Tensor:
    """An order of numbers; bools are 0 and 1."""
    kind = result_type(x1, x2)
    return binary(function, x1, x2, "int32" if kind == "bool" else kind)


def _number(x: Any) -> Tensor:
    """A tensor of numbers: bools become 0 and 1."""
    x = convert(x)
    return cast_to(x, "int32") if x.dtype == "bool" else x


@op
def add(x1: Any, x2: Any) -> Any:
    return _joined(fn.add, fn.logical_or, x1, x2)


@op
def subtract(x1: Any, x2: Any) -> Any:
    return binary(fn.sub, x1, x2)


@op
def multiply(x1: Any, x2: Any) -> Any:
    return _joined(fn.mul, fn.logical_and, x1, x2)


@op
def true_divide(x1: Any, x2: Any) -> Any:
    """x1 / x2; integers are divided as floats."""
    return binary(fn.div, x1, x2, float_type(x1, x2))


divide = true_divide


@op
def divide_no_nan(x1: Any, x2: Any) -> Any:
    """x1 / x2, and 0 where x2 is 0."""
    kind = float_type(x1, x2)
    bottom = convert(x2, kind)
    zero = equal(bottom, 0)
    return where(zero, 0.0, true_divide(convert(x1, kind), where(zero, 1.0, bottom)))


@op
def floor_divide(x1: Any, x2: Any) -> Any:
    return binary(fn.floor_div, x1, x2)


@op
def mod(x1: Any, x2: Any) -> Any:
    """The remainder, with the sign of x2."""
    return binary(fn.mod, x1, x2)


@op
def power(x1: Any, x2: Any) -> Any:
    return binary(fn.pow, x1, x2)


@op
def maximum(x1: Any, x2: Any) -> Any:
    return _joined(fn.maximum, fn.logical_or, x1, x2)


@op
def minimum(x1: Any, x2: Any) -> Any:
    return _joined(fn.minimum, fn.logical_and, x1, x2)


@op
def arctan2(x1: Any, x2: Any) -> Any:
    return binary(fn.atan2, x1, x2, float_type(x1, x2))


@op
def negative(x: Any) -> Any:
    return unary(fn.neg, x)


@op
def abs(x: Any) -> Any:
    x = convert(x)
    return x if x.dtype == "bool" else unary(fn.abs, x)


absolute = abs


@op
def sign(x: Any) -> Any:
    return unary(fn.sign, x)


@op
def square(x: Any) -> Any:
    return unary(fn.square, _number(x))


@op
def sqrt(x: Any) -> Any:
    return unary(fn.sqrt, x, floating=True)


@op
def rsqrt(x: Any) -> Any:
    return unary(fn.rsqrt, x, floating=True)


@op
def reciprocal(x: Any) -> Any:
    return unary(fn.reciprocal, x, floating=True)


@op
def exp(x: Any) -> Any:
    return unary(fn.exp, x, floating=True)


@op
def expm1(x: Any) -> Any:
    return unary(fn.expm1, x, floating=True)


@op
def log(x: Any) -> Any:
    return unary(fn.log, x, floating=True)


@op
def log1p(x: Any) -> Any:
    return unary(fn.log1p, x, floating=True)


@op
def log2(x: Any) -> Any:
    return unary(fn.log2, x, floating=True)


@op
def log10(x: Any) -> Any:
    return unary(fn.log10, x, floating=True)


@op
def sin(x: Any) -> Any:
    return unary(fn.sin, x, floating=True)


@op
def cos(x: Any) -> Any:
    return unary(fn.cos, x, floating=True)


@op
def tan(x: Any) -> Any:
    return unary(fn.tan, x, floating=True)


@op
def sinh(x: Any) -> Any:
    return unary(fn.sinh, x, floating=True)


@op
def cosh(x: Any) -> Any:
    return unary(fn.cosh, x, floating=True)


@op
def tanh(x: Any) -> Any:
    return unary(fn.tanh, x, floating=True)


@op
def arcsin(x: Any) -> Any:
    return unary(fn.asin, x, floating=True)


@op
def arccos(x: Any) -> Any:
    return unary(fn.acos, x, floating=True)


@op
def arctan(x: Any) -> Any:
    return unary(fn.atan, x, floating=True)


@op
def arcsinh(x: Any) -> Any:
    return unary(fn.asinh, x, floating=True)


@op
def arccosh(x: Any) -> Any:
    return unary(fn.acosh, x, floating=True)


@op
def arctanh(x: Any) -> Any:
    return unary(fn.atanh, x, floating=True)


@op
def erf(x: Any) -> Any:
    return unary(fn.erf, x, floating=True)


@op
def erfinv(x: Any) -> Any:
    return unary(fn.erfinv, x, floating=True)


@op
def floor(x: Any) -> Any:
    return unary(fn.floor, x, floating=True)


@op
def ceil(x: Any) -> Any:
    return unary(fn.ceil, x, floating=True)


@op
def round(x: Any, decimals: int = 0) -> Any:
    """The nearest integer (halves to even), or the nearest multiple of 10**-decimals."""
    x = convert(x)
    if "float" not in x.dtype:
        return cast_to(round(cast_to(x, float_type(x)), decimals), x.dtype) if decimals < 0 else x
    if decimals == 0:
        return unary(fn.round, x)
    scale = float(10**decimals)
    return true_divide(unary(fn.round, multiply(x, scale), floating=True), scale)


@op
def trunc(x: Any) -> Any:
    x = convert(x)
    return unary(fn.trunc, x) if "float" in x.dtype else x


@op
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """x limited to [x_min, x_max]."""
    return minimum(maximum(x, x_min), x_max)


@op
def equal(x1: Any, x2: Any) -> Any:
    return binary(fn.eq, x1, x2)


@op
def not_equal(x1: Any, x2: Any) -> Any:
    return binary(fn.ne, x1, x2)


@op
def less(x1: Any, x2: Any) -> Any:
    return _compared(fn.lt, x1, x2)


@op
def less_equal(x1: Any, x2: Any) -> Any:
    return _compared(fn.le, x1, x2)


@op
def greater(x1: Any, x2: Any) -> Any:
    return _compared(fn.gt, x1, x2)


@op
def greater_equal(x1: Any, x2: Any) -> Any:
    return _compared(fn.ge, x1, x2)


def _logical(x: Any) -> Tensor:
    return convert(x, "bool")


@op
def logical_and(x1: Any, x2: Any) -> Any:
    return binary(fn.logical_and, _logical(x1), _logical(x2))


@op
def logical_or(x1: Any, x2: Any) -> Any:
    return binary(fn.logical_or, _logical(x1), _logical(x2))


@op
def logical_xor(x1: Any, x2: Any) -> Any:
    return binary(fn.logical_xor, _logical(x1), _logical(x2))


@op
def logical_not(x: Any) -> Any:
    return unary(fn.logical_not, _logical(x))


@op
def isnan(x: Any) -> Any:
    return unary(fn.is_nan, x, floating=True)


@op
def isinf(x: Any) -> Any:
    return unary(fn.is_inf, x, floating=True)


@op
def isfinite(x: Any) -> Any:
    return unary(fn.is_finite, x, floating=True)


@op
def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |x1 - x2| <= atol + rtol * |x2|; infinities are close to themselves, with equal_nan NaN to NaN."""
    kind = float_type(x1, x2)
    a, b = convert(x1, kind), convert(x2, kind)
    near = less_equal(abs(subtract(a, b)), add(abs(multiply(b, rtol)), atol))
    near = logical_or(logical_and(near, logical_and(isfinite(a), isfinite(b))), equal(a, b))
    return logical_or(near, logical_and(isnan(a), isnan(b))) if equal_nan else near


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, x2 elsewhere; all three broadcast. Without both it is `nonzero`."""
    if x1 is None and x2 is None:
        from graphc.ops.sorting import nonzero  # written with what is defined here

        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("`x1` and `x2` either both should be `None` or both should have non-None value.")
    return _where(condition, x1, x2)


def _chosen(condition: Any, x1: Any, x2: Any) -> Any:
    kind = result_type(x1, x2)
    if is_scalar(x1) and is_scalar(x2):
        x1 = convert(x1, kind)
    return Tensor(fn.select(builder(), _logical(condition).value, operand(x1, kind), operand(x2, kind)))


_chosen.__name__ = "where"
_where = op(_chosen)


@op
def cast(x: Any, dtype: Any) -> Any:
    """x in another dtype; floats are cut towards zero when they become integers."""
    return cast_to(convert(x), dtype)


@op
def stop_gradient(variable: Any) -> Any:
    """The value, through which no gradient flows."""
    return unary(fn.stop_gradient, variable)
