"""Exponentials, logarithms, powers and hyperbolic functions on f32 and f64 lanes.

Range reduction and polynomials only: no tables, calls or branches. Every polynomial is a minimax fit (Remez exchange at
45 digits, coefficients then rounded to the dtype) of the function and interval its comment names, highest power first.
Errors are stated for targets with fused multiply-add; measured bounds are in tests/test_vecmath.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from codegen.vector import FLOATS, NUMBERS, Vector, fma, kind, poly

LOG2E = 1 / math.log(2)
LOG10E = 1 / math.log(10)


@dataclass(frozen=True, slots=True)
class Format:
    """A floating-point format: the integer dtype of its width, fraction bits, bias, and what range reduction needs."""

    integer: str
    fraction: int
    bias: int
    rounder: float
    """1.5 * 2^fraction: adding it rounds to an integer and leaves that integer in the low bits."""
    ln2: tuple[float, float]
    """High part (few bits: exact times an exponent) and low part."""
    log10_2: tuple[float, float]
    log_max: float
    """A little above the log of the largest finite number: exp(log_max) is infinite."""
    log_min: float
    """A little below the log of half the smallest denormal: exp(log_min) is 0."""
    sqrt_half: int
    """Bits of sqrt(1/2)."""


FORMATS = {
    "f32": Format(
        integer="i32",
        fraction=23,
        bias=127,
        rounder=1.5 * 2**23,
        ln2=(0.693115234375, 3.1946184945309415e-05),
        log10_2=(0.301025390625, 4.605038981195214e-06),
        log_max=88.8,
        log_min=-104.0,
        sqrt_half=0x3F3504F3,
    ),
    "f64": Format(
        integer="i64",
        fraction=52,
        bias=1023,
        rounder=1.5 * 2**52,
        ln2=(0.6931471805598903, 5.497923018708371e-14),
        log10_2=(0.30102999566383914, 1.42050232272661e-13),
        log_max=709.9,
        log_min=-746.0,
        sqrt_half=0x3FE6A09E667F3BCD,
    ),
}


def rounded(x: Vector, factor: float) -> Vector:
    """x * factor + rounder: the nearest integer to x * factor, in the form that `whole` and `integer` read."""
    return fma(x, factor, FORMATS[x.dtype].rounder)


def whole(shifted: Vector) -> Vector:
    """The integer in `shifted`, as a float."""
    return shifted - FORMATS[shifted.dtype].rounder


def integer(shifted: Vector) -> Vector:
    """The integer in `shifted`, as an integer."""
    form = FORMATS[shifted.dtype]
    bits = shifted.bitcast(form.integer)
    return bits - shifted.constant(form.rounder).bitcast(form.integer)


def power_of_two(exponent: Vector, dtype: str) -> Vector:
    """2^exponent for an integer vector in the range of normal numbers."""
    form = FORMATS[dtype]
    return ((exponent + form.bias) << form.fraction).bitcast(dtype)


def scaled(x: Vector, shifted: Vector) -> Vector:
    """x * 2^n for x near 1 and the integer n in `shifted`, rounded once, for |n| up to twice the bias."""
    if _fills_avx512(x):
        return _scalef(x, whole(shifted))
    exponent = integer(shifted)
    half = exponent >> 1
    return x * power_of_two(half, x.dtype) * power_of_two(exponent - half, x.dtype)


def _fills_avx512(x: Vector) -> bool:
    target = x.space.target
    return target.arch == "x86_64" and target.vector_bytes == 64 and x.bits * x.space.lanes == 512


def _scalef(x: Vector, n: Vector) -> Vector:
    """vscalefps/pd: x * 2^n in one instruction, the same bits as two multiplications."""
    mask = ("i16", "-1") if x.dtype == "f32" else ("i8", "-1")
    name = f"llvm.x86.avx512.mask.scalef.{'ps' if x.dtype == 'f32' else 'pd'}.512"
    current_rounding = ("i32", "4")
    operands = [(v.type, v.name) for v in (x, n, x)] + [mask, current_rounding]
    return Vector(x.space, x.dtype, x.space.asm.call(x.type, name, operands))


# (exp(r) - 1 - r) / r^2 on |r| <= 0.503 ln 2
_EXP = {
    "f32": (0.000199147456, 0.00139415171, 0.0083332723, 0.0416663475, 0.166666672, 0.5),
    "f64": (
        1.6093726330020687e-10, 2.09220107886548e-09, 2.5052046312130873e-08, 2.755725061449709e-07,
        2.7557319279337124e-06, 2.4801587351495154e-05, 0.0001984126984124444, 0.0013888888888871252,
        0.008333333333333338, 0.04166666666666669, 0.16666666666666666, 0.5,
    ),
}  # fmt: skip


def _exp_reduced(x: Vector) -> tuple[Vector, Vector]:
    """n (as `rounded`) and r with x = n ln 2 + r, |r| <= ln(2) / 2."""
    high, low = FORMATS[x.dtype].ln2
    shifted = rounded(x, LOG2E)
    n = whole(shifted)
    return shifted, fma(n, -low, fma(n, -high, x))


def _expm1_kernel(r: Vector) -> Vector:
    """exp(r) - 1 on the reduced range."""
    return fma(r * r, poly(r, _EXP[r.dtype]), r)


def exp_scaled(x: Vector, power: int = 0, tail: Vector | None = None) -> Vector:
    """exp(x + tail) * 2^power, for a tail below one ulp of x and a power of 0 or -1."""
    form = FORMATS[x.dtype]
    x = x.at_least(form.log_min).at_most(form.log_max - power)
    shifted, r = _exp_reduced(x)
    if tail is not None:
        r = r + tail
    return scaled(_expm1_kernel(r) + 1, shifted + power if power else shifted)


@kind("exp", FLOATS)
def exp(x: Vector) -> Vector:
    return exp_scaled(x)


@kind("expm1", FLOATS)
def expm1(x: Vector) -> Vector:
    """2 * (h * q + (h - 1/2)) with h = 2^(n-1), q = exp(r) - 1: halved so that n = 128 does not overflow early."""
    form = FORMATS[x.dtype]
    bounded = x.at_least(-2 * form.fraction).at_most(form.log_max)
    shifted, r = _exp_reduced(bounded)
    half = power_of_two(integer(shifted) - 1, x.dtype)
    value = fma(half, _expm1_kernel(r), half - 0.5) * 2
    return x.equals(0).choose(x, value)


@kind("sigmoid", FLOATS)
def sigmoid(x: Vector) -> Vector:
    """1 / (1 + exp(-x)), written with exp(-|x|) so that very negative x keep their relative accuracy."""
    e = exp(-x.abs())
    return (x < 0).choose(e, 1) / (e + 1)


@kind("softplus", FLOATS)
def softplus(x: Vector) -> Vector:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    return x.at_least(0) + _log1p_finite(exp(-x.abs()))


# f32: (log(1 + f) - f + f^2 / 2) / f^3 on f + 1 in [sqrt(1/2), sqrt(2)].
_LOG_F32 = (
    0.0674677268, -0.116756462, 0.118881091, -0.124055877, 0.142195582, -0.166679963, 0.200021178, -0.250000089,
    0.333333135,
)  # fmt: skip
# f64: (log((1 + s) / (1 - s)) - 2 s) / s^3 in z = s^2, on s = f / (2 + f) of the same f.
_LOG_F64 = (
    0.13250290694152722, 0.13250243574276394, 0.15387084550314606, 0.1818177582718153, 0.22222222644430917,
    0.28571428569105023, 0.4000000000000617, 0.6666666666666666,
)  # fmt: skip


def _log_reduced(x: Vector) -> tuple[Vector, Vector]:
    """e (integer) and m in [sqrt(1/2), sqrt(2)) with x = 2^e m, for positive normal x."""
    form = FORMATS[x.dtype]
    offset = x.bitcast(form.integer) - form.sqrt_half
    fraction = (offset & ((1 << form.fraction) - 1)) + form.sqrt_half
    return offset >> form.fraction, fraction.bitcast(x.dtype)


def _log_normalised(x: Vector) -> tuple[Vector, Vector]:
    """e (float) and f = m - 1 with x = 2^e m, for positive x, denormals included."""
    form = FORMATS[x.dtype]
    denormal = x < 2.0 ** (1 - form.bias)
    shift = form.fraction + 2
    exponent, m = _log_reduced(denormal.choose(x * 2.0**shift, x))
    return exponent.convert(x.dtype) - denormal.choose(x.constant(shift), 0), m - 1


def _log_kernel(f: Vector, low: Vector | float = 0.0) -> Vector:
    """log(1 + f) + low for f + 1 in [sqrt(1/2), sqrt(2)] and a small low."""
    square = f * f
    if f.dtype == "f32":
        rest = fma(f * square, poly(f, _LOG_F32), low)
        return f + fma(square, -0.5, rest)
    s = f / (f + 2)
    z = s * s
    half_square = square * 0.5
    rest = fma(s, fma(z, poly(z, _LOG_F64), half_square), low)
    return f - (half_square - rest)


def _log_of(f: Vector, exponent: Vector) -> Vector:
    """log(2^exponent (1 + f))."""
    high, low = FORMATS[f.dtype].ln2
    return fma(exponent, high, _log_kernel(f, exponent * low))


def _log_domain(x: Vector, value: Vector) -> Vector:
    """`value` on positive finite x; -inf at 0, NaN below, inf and NaN as they are."""
    value = (x < math.inf).choose(value, x)
    outside = x.equals(0).choose(x.constant(-math.inf), math.nan)
    return x.compare("fcmp ugt", 0).choose(value, outside)


@kind("log", FLOATS)
def log(x: Vector) -> Vector:
    exponent, f = _log_normalised(x)
    return _log_domain(x, _log_of(f, exponent))


@kind("log2", FLOATS)
def log2(x: Vector) -> Vector:
    exponent, f = _log_normalised(x)
    return _log_domain(x, fma(_log_kernel(f), LOG2E, exponent))


@kind("log10", FLOATS)
def log10(x: Vector) -> Vector:
    exponent, f = _log_normalised(x)
    high, low = FORMATS[x.dtype].log10_2
    return _log_domain(x, fma(exponent, high, fma(_log_kernel(f), LOG10E, exponent * low)))


@kind("log1p", FLOATS)
def log1p(x: Vector) -> Vector:
    return _log_domain(x + 1, _log1p_finite(x))


def _log1p_finite(x: Vector) -> Vector:
    """log(1 + x) for finite x > -1.

    1 + x = u + lost exactly; the lost part re-enters scaled by the exponent of u, so that f is x itself for small x.
    """
    u = x + 1
    back = u - 1
    lost = (1 - (u - back)) + (x - back)
    exponent, m = _log_reduced(u)
    bias = FORMATS[x.dtype].bias
    scale = power_of_two(-(exponent < bias).choose(exponent, bias), x.dtype)  # at the bias, the bits of 0
    f = (m - 1) + lost * scale
    return _log_of(f, exponent.convert(x.dtype))


# Hyperbolic functions

# (tanh(x) / x - 1) / x^2 in x^2 on |x| <= 0.625
_TANH_F32 = (-0.00571708754, 0.0206506252, -0.0537435077, 0.133314908, -0.333332837)


@kind("tanh", FLOATS)
def tanh(x: Vector) -> Vector:
    """f32: odd polynomial below 0.625, 1 - 2 / (exp(2 |x|) + 1) above. f64: t / (t + 2), t = expm1(2 |x|)."""
    if x.dtype == "f64":
        t = expm1(x.abs().at_most(20) * 2)
        return (t / (t + 2)).with_sign_of(x)
    magnitude = x.abs()
    z = x * x
    small = fma(x * z, poly(z, _TANH_F32), x)
    large = 1 - 2 / (exp(magnitude * 2) + 1)
    return (magnitude < 0.625).choose(small, large.with_sign_of(x))


# (sinh(x) / x - 1) / x^2 in x^2 on |x| <= 1
_SINH = {
    "f32": (2.81743496e-06, 0.000198360678, 0.00833335053, 0.166666672),
    "f64": (
        7.759308432891044e-13, 1.6057240459876615e-10, 2.5052123397122124e-08, 2.75573191553452e-06,
        0.00019841269841437657, 0.008333333333333139, 0.16666666666666669,
    ),
}  # fmt: skip


@kind("sinh", FLOATS)
def sinh(x: Vector) -> Vector:
    magnitude = x.abs()
    half = exp_scaled(magnitude, power=-1)
    large = (half - 0.25 / half).with_sign_of(x)
    z = x * x
    return (magnitude < 1).choose(fma(x * z, poly(z, _SINH[x.dtype]), x), large)


@kind("cosh", FLOATS)
def cosh(x: Vector) -> Vector:
    half = exp_scaled(x.abs(), power=-1)
    return half + 0.25 / half


def _beyond_squaring(x: Vector) -> float:
    """From here on sqrt(x^2 +- 1) is x to working precision."""
    return 2.0 ** (FORMATS[x.dtype].fraction // 2 + 2)


@kind("asinh", FLOATS)
def asinh(x: Vector) -> Vector:
    """log1p(a + a^2 / (1 + sqrt(a^2 + 1))) with a = |x|; log(a) + ln 2 for large a."""
    a = x.abs()
    square = a * a
    small = log1p(a + square / (fma(a, a, 1).sqrt() + 1))
    large = log(a) + math.log(2)
    return (a > _beyond_squaring(x)).choose(large, small).with_sign_of(x)


@kind("acosh", FLOATS)
def acosh(x: Vector) -> Vector:
    """log1p(t + sqrt(2 t + t^2)) with t = x - 1; log(x) + ln 2 for large x; NaN below 1."""
    t = x - 1
    small = log1p(t + fma(t, t, t + t).sqrt())
    value = (x > _beyond_squaring(x)).choose(log(x) + math.log(2), small)
    return (x < 1).choose(value.constant(math.nan), value)


@kind("atanh", FLOATS)
def atanh(x: Vector) -> Vector:
    """log1p(2 a / (1 - a)) / 2 with a = |x|; infinite at 1, NaN beyond."""
    a = x.abs()
    value = log1p((a + a) / (1 - a)) * 0.5
    return (a <= 1).choose(value, math.nan).with_sign_of(x)


# Powers


@kind("pow", NUMBERS)
def pow(x: Vector, y: Vector) -> Vector:
    """x to the y with the special cases of C and numpy (1^NaN = NaN^0 = 1, negative^fraction = NaN).

    f32 is computed in f64. Integers wrap; a negative integer exponent is read as the unsigned one of the same bits.
    """
    if not x.is_float:
        return _integer_pow(x, y)
    if x.dtype == "f32":
        return pow(x.convert("f64"), y.convert("f64")).convert("f32")
    magnitude = _pow_magnitude(x.abs(), y)
    integral = y.intrinsic("trunc").equals(y)
    halved = y * 0.5
    odd = integral & halved.intrinsic("trunc").differs(halved)
    value = (odd & (x.bitcast("i64") < 0)).choose(-magnitude, magnitude)
    undefined = (x < 0) & (x > -math.inf) & y.compare("fcmp one", y.intrinsic("trunc"))
    value = undefined.choose(value.constant(math.nan), value)
    return (x.equals(1) | y.equals(0)).choose(x.constant(1), value)


def _pow_magnitude(x: Vector, y: Vector) -> Vector:
    """exp(y log x) for x >= 0, with the log as a sum high + low of about 64 bits."""
    high, low = _log_double(x)
    product = y * high
    tail = fma(y, high, -product) + y * low
    tail = (product.abs() < 1024).choose(tail, 0)
    value = exp_scaled(product, tail=tail)
    return (x.equals(1) & y.equals(y)).choose(x.constant(1), value)


def _log_double(x: Vector) -> tuple[Vector, Vector]:
    """log(x) as high + low, f64: the leading terms e ln 2 + 2 s carry their rounding errors along."""
    ln2_high, ln2_low = FORMATS["f64"].ln2
    exponent, f = _log_normalised(x)
    divisor = f + 2
    s = f / divisor
    s_low = (fma(-s, divisor, f) - s * (f - (divisor - 2))) / divisor
    z = s * s
    first = exponent * ln2_high
    series = fma(s * z, poly(z, _LOG_F64), fma(s_low, 2, exponent * ln2_low))
    high, lost = _two_sum(first, s + s)
    total = high + (lost + series)
    low = (high - total) + (lost + series)
    regular = (x > 0) & (x < math.inf)
    return _log_domain(x, total), regular.choose(low, 0)


def _two_sum(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """a + b exactly, as the rounded sum and what it lost (Knuth)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _integer_pow(x: Vector, y: Vector) -> Vector:
    """Square and multiply over all bits of the exponent."""
    result = x.constant(1)
    for bit in range(x.bits):
        taken = ((y >> bit) & 1).differs(0)
        result = taken.choose(result * x, result)
        x = x * x
    return result
