"""More ops that work element by element: bits, rarer functions and predicates, parts of numbers, saturating casts."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from graphc.ir.op import Array, Value
from graphc.ir.types import DType
from graphc.ops.dispatch import (
    binary,
    builder,
    cast_to,
    convert,
    float_type,
    limits_of,
    op,
    op_with,
    result_type,
    unary,
    widened,
)
from graphc.ops.elementwise import (
    absolute,
    add,
    arctan2,
    cast,
    clip,
    divide,
    equal,
    erf,
    exp,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    sign,
    sin,
    sqrt,
    square,
    subtract,
    where,
)
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = [
    "angle", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "cbrt", "conj", "conjugate", "copy", "deg2rad", "erfc", "exp2", "fabs",
    "fmax", "fmin", "fmod", "gcd", "heaviside", "hypot", "i0", "imag", "isneginf", "isposinf", "isreal", "lcm",
    "ldexp", "left_shift", "logaddexp", "logaddexp2", "nan_to_num", "nextafter", "rad2deg", "real", "right_shift",
    "saturate_cast", "select", "signbit", "sinc", "view",
]  # fmt: skip


# ---- bits


def _bits(integers: Callable[..., Value], x: Any, y: Any, bools: Callable[..., Value] | None = None) -> Tensor:
    kind = result_type(x, y)
    if kind == "bool" and bools:
        return binary(bools, convert(x, kind), convert(y, kind), kind)
    if not kind.startswith(("int", "uint")):
        raise ValueError(f"bitwise ops: wanted integers or bools, got {kind}")
    return binary(integers, x, y, kind)


@op
def bitwise_and(x: Any, y: Any) -> Any:
    return _bits(fn.bit_and, x, y, fn.logical_and)


@op
def bitwise_or(x: Any, y: Any) -> Any:
    return _bits(fn.bit_or, x, y, fn.logical_or)


@op
def bitwise_xor(x: Any, y: Any) -> Any:
    return _bits(fn.bit_xor, x, y, fn.logical_xor)


@op
def bitwise_not(x: Any) -> Any:
    x = convert(x)
    return unary(fn.logical_not if x.dtype == "bool" else fn.bit_not, x)


bitwise_invert = bitwise_not


@op
def bitwise_left_shift(x: Any, y: Any) -> Any:
    """x moved up by y bits; 0 if y is not below the number of bits."""
    return _shifted(fn.shl, x, y)


@op
def bitwise_right_shift(x: Any, y: Any) -> Any:
    """x moved down by y bits; the sign (or 0) if y is not below the number of bits."""
    return _shifted(fn.shr, x, y)


def _shifted(function: Callable[..., Value], x: Any, y: Any) -> Any:
    kind = result_type(x, y)
    x, y = convert(x, kind), convert(y, kind)
    width = 8 * DType.of(kind).size
    inside = logical_and(greater_equal(y, 0), less(y, width))
    moved = _bits(function, x, where(inside, y, 0))
    beyond = bitwise_right_shift_all(x) if function is fn.shr else convert(0, kind)
    return where(inside, moved, beyond)


def bitwise_right_shift_all(x: Tensor) -> Any:
    """What is left when all bits are shifted out: -1 for negative integers, else 0."""
    return cast(where(less(x, 0), -1, 0), x.dtype) if x.dtype.startswith("int") else convert(0, x.dtype)


left_shift, right_shift = bitwise_left_shift, bitwise_right_shift


# ---- functions


@op
def fabs(x: Any) -> Any:
    return absolute(convert(x, float_type(x)))


@op
def cbrt(x: Any) -> Any:
    """The cube root, also of negative numbers."""
    x = convert(x, float_type(x))
    size = absolute(x)
    near = multiply(sign(x), power(where(equal(size, 0), 1.0, size), 1 / 3))
    # one step of Newton's rounds the power exactly enough
    better = subtract(near, divide(subtract(near, divide(x, square(near))), 3.0))
    return where(logical_or(equal(size, 0), logical_not(isfinite(x))), x, better)


@op
def exp2(x: Any) -> Any:
    return power(2.0, convert(x, float_type(x)))


@op
def deg2rad(x: Any) -> Any:
    return multiply(convert(x, float_type(x)), math.pi / 180)


@op
def rad2deg(x: Any) -> Any:
    return multiply(convert(x, float_type(x)), 180 / math.pi)


@op
def hypot(x1: Any, x2: Any) -> Any:
    """sqrt(x1**2 + x2**2), without overflow."""
    kind = float_type(x1, x2)
    a, b = absolute(convert(x1, kind)), absolute(convert(x2, kind))
    long, short = maximum(a, b), minimum(a, b)
    safe = where(logical_or(equal(long, 0), isinf(long)), 1.0, long)
    return where(isinf(long), long, multiply(long, sqrt(add(1.0, square(divide(short, safe))))))


@op
def logaddexp(x1: Any, x2: Any) -> Any:
    """log(exp(x1) + exp(x2)), without overflow."""
    kind = float_type(x1, x2)
    a, b = convert(x1, kind), convert(x2, kind)
    top = maximum(a, b)
    apart = negative(absolute(subtract(a, b)))
    return where(equal(a, b), add(a, math.log(2)), add(top, log1p(exp(apart))))


@op
def logaddexp2(x1: Any, x2: Any) -> Any:
    """log2(2**x1 + 2**x2), without overflow."""
    kind = float_type(x1, x2)
    scale = math.log(2)
    return divide(logaddexp(multiply(convert(x1, kind), scale), multiply(convert(x2, kind), scale)), scale)


@op
def fmod(x1: Any, x2: Any) -> Any:
    """The remainder with the sign of x1."""
    kind = result_type(x1, x2)
    a, b = convert(x1, kind), convert(x2, kind)
    # as |a| mod |b|, which is exact
    rest = binary(fn.mod, absolute(a), absolute(b), kind) if kind != "bool" else convert(0, "int32")
    return where(less(a, 0), negative(rest), rest)


@op
def fmax(x1: Any, x2: Any) -> Any:
    """The larger one; a NaN gives way to the other operand."""
    return _ignoring_nan(maximum, x1, x2)


@op
def fmin(x1: Any, x2: Any) -> Any:
    """The smaller one; a NaN gives way to the other operand."""
    return _ignoring_nan(minimum, x1, x2)


def _ignoring_nan(function: Callable[..., Any], x1: Any, x2: Any) -> Any:
    kind = result_type(x1, x2)
    a, b = convert(x1, kind), convert(x2, kind)
    if "float" not in kind:
        return function(a, b)
    return where(isnan(a), b, where(isnan(b), a, function(a, b)))


@op
def heaviside(x1: Any, x2: Any) -> Any:
    """0 below zero, 1 above, x2 at zero."""
    kind = float_type(x1, x2)
    a, b = convert(x1, kind), convert(x2, kind)
    step = where(less(a, 0), 0.0, where(equal(a, 0), b, convert(1.0, kind)))
    return where(isnan(a), a, step)


@op
def ldexp(x1: Any, x2: Any) -> Any:
    """x1 * 2**x2."""
    kind = float_type(x1)
    return multiply(convert(x1, kind), power(2.0, convert(x2, kind)))


@op
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0."""
    x = multiply(convert(x, float_type(x)), math.pi)
    zero = equal(x, 0)
    return where(zero, 1.0, divide(sin(x), where(zero, 1.0, x)))


@op_with(lambda x1, x2: _whole(np.gcd, x1, x2))
def gcd(x1: Any, x2: Any) -> Any:
    """The greatest common divisor of integers, by as many of Euclid's steps as the dtype can need."""
    kind = result_type(x1, x2)
    a, b = absolute(convert(x1, kind)), absolute(convert(x2, kind))
    # consecutive Fibonacci numbers are the worst case: their bits grow by 0.694 a step
    for _ in range(math.ceil(8 * DType.of(kind).size / 0.694)):
        a, b = where(equal(b, 0), a, b), where(equal(b, 0), b, _remainder(a, b))
    return a


def _remainder(a: Any, b: Any) -> Any:
    return binary(fn.mod, a, b, a.dtype)  # a modulo 0 is 0


@op_with(lambda x1, x2: _whole(np.lcm, x1, x2))
def lcm(x1: Any, x2: Any) -> Any:
    """The least common multiple of integers."""
    kind = result_type(x1, x2)
    a, b = absolute(convert(x1, kind)), absolute(convert(x2, kind))
    return multiply(binary(fn.floor_div, a, gcd(a, b), kind), b)


def _whole(function: Callable[..., Array], x1: Any, x2: Any) -> Array:
    return np.asarray(function(x1, x2), result_type(*(np.asarray(x) if not np.isscalar(x) else x for x in (x1, x2))))


# ---- special functions, as polynomials fitted when they are first used


@op
def erfc(x: Any) -> Any:
    """1 - erf(x), without cancellation for large x."""
    x = convert(x, float_type(x))
    size = absolute(x)
    t = divide(2.0, add(size, 2.0))
    tail = multiply(multiply(t, _clenshaw(_erfcx_series(), subtract(multiply(t, 2.0), 1.0))), exp(negative(square(x))))
    far = where(isinf(x), 0.0, tail)
    return where(less(size, 0.5), subtract(1.0, erf(x)), where(less(x, 0), subtract(2.0, far), far))


@cache
def _erfcx_series() -> tuple[float, ...]:
    """Chebyshev coefficients of exp(x^2) erfc(x) / t in 2t - 1, for t = 2 / (2 + x)."""
    return _fitted(lambda u: [_erfcx(4 / (1 + v) - 2) * 2 / (1 + v) for v in u], 25)


def _erfcx(x: float) -> float:
    """exp(x^2) erfc(x) for x >= 0; far out by its continued fraction."""
    if x < 4:
        return math.exp(x * x) * math.erfc(x)
    below = x
    for k in range(60, 0, -1):
        below = x + (k / 2) / below
    return 1 / (math.sqrt(math.pi) * below)


@op
def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind, order 0."""
    x = absolute(convert(x, float_type(x)))
    near = _clenshaw(_i0_near(), subtract(divide(minimum(x, 8.0), 4.0), 1.0))
    beyond = maximum(x, 8.0)
    far = divide(_clenshaw(_i0_far(), subtract(divide(16.0, beyond), 1.0)), sqrt(beyond))
    return multiply(where(less(x, 8.0), near, far), exp(x))


@cache
def _i0_near() -> tuple[float, ...]:
    """Chebyshev coefficients of exp(-x) I0(x) on [0, 8]."""
    return _fitted(lambda u: [_scaled_i0(4 * (v + 1)) for v in u], 30)


@cache
def _i0_far() -> tuple[float, ...]:
    """Chebyshev coefficients of exp(-x) sqrt(x) I0(x) in 16 / x - 1, from 8 on."""
    return _fitted(lambda u: [_scaled_i0(16 / (v + 1)) * math.sqrt(16 / (v + 1)) for v in u], 25)


def _scaled_i0(x: float) -> float:
    """exp(-x) I0(x): numpy's, and from 40 on the asymptotic series."""
    if x < 40:
        return float(np.i0(x)) * math.exp(-x)
    total = term = 1.0
    for k in range(1, 20):
        term *= (2 * k - 1) ** 2 / (8 * x * k)
        total += term
    return total / math.sqrt(2 * math.pi * x)


def _fitted(function: Callable[[Any], list[float]], degree: int) -> tuple[float, ...]:
    interpolate: Any = np.polynomial.chebyshev.chebinterpolate
    return tuple(float(c) for c in interpolate(lambda points: np.array(function(points)), degree))


def _clenshaw(coefficients: tuple[float, ...], u: Any) -> Any:
    """The Chebyshev series at u in [-1, 1]."""
    first, second = convert(0.0, u.dtype), convert(0.0, u.dtype)
    double = multiply(u, 2.0)
    for c in reversed(coefficients[1:]):
        first, second = add(subtract(multiply(double, first), second), c), first
    return add(subtract(multiply(u, first), second), coefficients[0])


# ---- predicates, parts and representations of numbers


@op
def isposinf(x: Any) -> Any:
    x = convert(x, float_type(x))
    return logical_and(isinf(x), greater(x, 0))


@op
def isneginf(x: Any) -> Any:
    x = convert(x, float_type(x))
    return logical_and(isinf(x), less(x, 0))


@op
def isreal(x: Any) -> Any:
    """True everywhere: there are no complex tensors."""
    return equal(multiply(cast(convert(x), "int32"), 0), 0)


@op_with(np.real)
def real(x: Any) -> Any:
    """The real part; of a tensor, itself."""
    return convert(x)


@op_with(np.imag)
def imag(x: Any) -> Any:
    """The imaginary part; of a tensor, zeros."""
    x = convert(x)
    return multiply(x, 0) if x.dtype != "bool" else cast(multiply(cast(x, "int32"), 0), "bool")


@op_with(lambda x: np.conjugate(x) if np.iscomplexobj(x) else np.asarray(x))
def conjugate(x: Any) -> Any:
    """The complex conjugate; of a tensor, itself."""
    return convert(x)


conj = conjugate


@op_with(lambda x: _angles(np.asarray(x)))
def angle(x: Any) -> Any:
    """The angle of a complex number, in radians; of a real number 0 or pi."""
    x = convert(x, float_type(x))
    return arctan2(absolute(multiply(x, 0.0)), x)


def _angles(x: Array) -> Array:
    return np.asarray(np.angle(x if x.dtype.kind == "c" else x.astype(float_type(x))))


@op
def copy(x: Any) -> Any:
    return Tensor(fn.reshape(builder(), convert(x).value, convert(x).shape))


@op
def signbit(x: Any) -> Any:
    """Whether the sign is set, also of -0.0 and NaN."""
    x = convert(x)
    if "float" in x.dtype:
        x = widened(x)
        x = view(x, _same_size(x.dtype))
    return less(cast(x, "int32") if x.dtype == "bool" else x, 0)


def _same_size(dtype: str) -> str:
    return {"float32": "int32", "float64": "int64"}[dtype]


@op_with(lambda x, dtype=None: np.ascontiguousarray(x).view(dtype))
def view(x: Any, dtype: Any = None) -> Any:
    """The same bits read as another dtype of the same size."""
    x = convert(x)
    kind = DType.of(x.dtype if dtype is None else dtype)
    if kind.size != x.value.dtype.size:
        raise NotImplementedError(f"view: {x.dtype} read as {dtype} changes the number of elements; wanted equal sizes")
    return Tensor(fn.bitcast(builder(), x.value, kind))


@op
def nextafter(x1: Any, x2: Any) -> Any:
    """The next number a float dtype has after x1, towards x2."""
    kind = float_type(x1, x2)
    if kind not in ("float32", "float64"):
        raise NotImplementedError(f"nextafter: dtype {kind} is not supported; cast to float32")
    a, b = convert(x1, kind), convert(x2, kind)
    whole = _same_size(kind)
    zero, tiny = equal(a, 0), float(np.finfo(kind).smallest_subnormal)
    # the bits of floats of one sign count up with their size
    away = equal(greater(b, a), greater(a, 0))
    stepped = view(add(view(where(zero, 1.0, a), whole), cast(where(away, 1, -1), whole)), kind)
    moved = where(zero, where(greater(b, 0), tiny, convert(-tiny, kind)), stepped)
    return where(logical_or(isnan(a), isnan(b)), math.nan, where(equal(a, b), b, moved))


@op
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN and the infinities replaced; infinities by default by the largest numbers of the dtype."""
    x = convert(x)
    if "float" not in x.dtype:
        return x
    limits = limits_of(x.dtype)
    x = where(isnan(x), nan, x)
    x = where(isposinf(x), float(limits.max) if posinf is None else posinf, x)
    return where(isneginf(x), float(limits.min) if neginf is None else neginf, x)


@op
def saturate_cast(x: Any, dtype: Any) -> Any:
    """x in another dtype; what it cannot hold becomes its nearest limit."""
    x, kind = convert(x), DType.of(dtype)
    if kind is DType.BOOL:
        return cast_to(greater(x, 0), dtype)
    if kind.is_float or x.dtype == "bool":
        return cast_to(x, dtype)
    target = np.iinfo(kind.numpy)
    low, high = float(target.min), float(target.max)
    x = widened(x)
    if x.value.dtype.is_float:
        if float(np.asarray(high, x.dtype)) > int(target.max):
            high = float(np.nextafter(high, 0, dtype=x.dtype))  # the limit is not a float: the largest one below it
        return cast_to(clip(x, low, high), dtype)
    own = np.iinfo(x.dtype)
    return cast_to(clip(x, builtins.max(target.min, own.min), builtins.min(target.max, own.max)), dtype)


@op
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """For every element the choice whose condition holds first; `default` where none does."""
    if not condlist or len(condlist) != len(choicelist):
        raise ValueError(f"select: wanted as many choices as conditions, got {len(condlist)} and {len(choicelist)}")
    kind = result_type(*choicelist, default)
    chosen = convert(default, kind)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        chosen = where(condition, convert(choice, kind), chosen)
    return chosen
