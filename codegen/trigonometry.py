"""Circular functions and their inverses on f32 and f64 lanes.

Polynomials are minimax fits as in `elementary`, highest power first.
"""

from __future__ import annotations

import math

from codegen.elementary import FORMATS, integer, rounded, whole
from codegen.vector import FLOATS, Vector, fma, kind, poly

# (sin(x) / x - 1) / x^2 in x^2 on |x| <= pi / 4
_SIN = {
    "f32": (2.71824001e-06, -0.000198393274, 0.00833332911, -0.166666672),
    "f64": (
        -7.578627584997239e-13, 1.6058365233598225e-10, -2.505210490083916e-08, 2.755731921414992e-06,
        -0.0001984126984125499, 0.008333333333333323, -0.16666666666666666,
    ),
}  # fmt: skip
# (cos(x) - 1 + x^2 / 2) / x^4 in x^2 on |x| <= pi / 4
_COS = {
    "f32": (2.44377152e-05, -0.00138873607, 0.0416666456),
    "f64": (
        -1.1365556157794921e-11, 2.0875847336259716e-09, -2.7557315355778356e-07, 2.4801587293357804e-05,
        -0.0013888888888881192, 0.04166666666666665,
    ),
}  # fmt: skip

_HALF_PI_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""pi / 2 in pieces of 33 bits (the last one of 53)."""
_EXACT_TURNS_F64 = 2.0**50
"""Beyond, f64 arguments are not reduced: neighbouring numbers are more than a turn apart anyway, the result is NaN."""
_TWO_OVER_PI = (0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB)
"""The bits of 2 / pi behind a word of zeros."""


def _reduced(x: Vector) -> tuple[Vector, Vector]:
    """(n, r) with x = n pi / 2 + r, |r| <= pi / 4; n modulo 4 as an integer vector. Garbage for infinities and NaN."""
    if x.dtype == "f32":
        return _reduced_f32(x)
    shifted = rounded(x, 2 / math.pi)
    n, r = whole(shifted), x
    for part in _HALF_PI_PARTS:
        r = fma(n, -part, r)
    return integer(shifted), r


def _reduced_f32(x: Vector) -> tuple[Vector, Vector]:
    """Payne and Hanek: of x 2/pi, with x = m 2^e, only the product of m with 96 bits of 2/pi chosen by e matters.

    The window's first bit has weight 2, so that the wrapping product is x 2/pi modulo 4, in fixed point with 62
    fraction bits once the lowest 32 bits are dropped.
    """
    bits = x.bitcast("u32") & 0x7FFFFFFF
    window = _window(bits >> 23)
    m = ((bits & 0x7FFFFF) | 0x800000).convert("u64")
    high, middle, low = (m * word.convert("u64") for word in window)
    product = (high << 32) + middle + (low >> 32)
    turns = (product + (1 << 61)) >> 62
    fraction = (product - (turns << 62)).bitcast("i64")
    r = (fraction.convert("f64") * (math.pi / 2 * 2.0**-62)).convert("f32")
    n = turns.convert("u32").bitcast("i32")
    negative = x < 0
    small = x.abs() < math.pi / 4
    return small.choose(0, negative.choose(-n, n)), small.choose(x, negative.choose(-r, r))


def _window(exponent: Vector) -> list[Vector]:
    """96 bits of 2/pi as three words, from the bit whose product with 2^(exponent - 150) has weight 2."""
    start = exponent - (150 - 30)
    index, shift = start >> 5, start & 31
    words = [_picked(index, _TWO_OVER_PI[first:]) for first in range(4)]
    return [words[i].intrinsic("fshl", words[i + 1], shift) for i in range(3)]


def _picked(index: Vector, words: tuple[int, ...]) -> Vector:
    """words[index] for index 0 to 4 (the last for any other)."""
    value = index.constant(words[4])
    for position in range(4):
        value = index.equals(position).choose(index.constant(words[position]), value)
    return value


def _sin_kernel(r: Vector) -> Vector:
    z = r * r
    return fma(r * z, poly(z, _SIN[r.dtype]), r)


def _cos_kernel(r: Vector) -> Vector:
    """1 - z / 2 + z^2 P(z), the rounding error of 1 - z / 2 carried along."""
    z = r * r
    head = 1 - z * 0.5
    lost = (1 - head) - z * 0.5
    return head + fma(z * z, poly(z, _COS[r.dtype]), lost)


def _defined(x: Vector, value: Vector) -> Vector:
    """NaN where x is infinite or NaN, or too large to be reduced."""
    limit = math.inf if x.dtype == "f32" else _EXACT_TURNS_F64
    return (x.abs() < limit).choose(value, math.nan)


def _quadrant(x: Vector, n: Vector, r: Vector) -> Vector:
    """sin(n pi / 2 + r)."""
    value = (n & 1).equals(0).choose(_sin_kernel(r), _cos_kernel(r))
    return _defined(x, (n & 2).equals(0).choose(value, -value))


@kind("sin", FLOATS)
def sin(x: Vector) -> Vector:
    return _quadrant(x, *_reduced(x))


@kind("cos", FLOATS)
def cos(x: Vector) -> Vector:
    n, r = _reduced(x)
    return _quadrant(x, n + 1, r)


@kind("tan", FLOATS)
def tan(x: Vector) -> Vector:
    n, r = _reduced(x)
    even = (n & 1).equals(0)
    sine, cosine = _sin_kernel(r), _cos_kernel(r)
    return _defined(x, even.choose(sine, -cosine) / even.choose(cosine, sine))


# Inverses

_HALF_PI = {"f32": (1.5707963705062866, -4.371139000186241e-08), "f64": (math.pi / 2, 6.123233995736766e-17)}
"""pi / 2 as the nearest number and what it lacks."""

# (asin(x) / x - 1) / x^2 in x^2 on |x| <= 1/2
_ASIN = {
    "f32": (0.0375646539, 0.0144029381, 0.0318175443, 0.0445157252, 0.0750051066, 0.166666597),
    "f64": (
        0.032299928500959724, -0.020444661086053136, 0.02129218149325121, 0.003888369659093576, 0.010728541860931067,
        0.011408897408712551, 0.013979486400059372, 0.017351735224413713, 0.022372207268414622, 0.03038194302305409,
        0.04464285716680382, 0.07499999999981025, 0.1666666666666671,
    ),
}  # fmt: skip
# (atan(x) / x - 1) / x^2 in x^2 on |x| <= sqrt(2) - 1
_ATAN = {
    "f32": (-0.0608120188, 0.105951585, -0.142437413, 0.199984848, -0.333333164),
    "f64": (
        -0.01801690724903598, 0.03817190016151386, -0.05043859091405152, 0.05848986919774267, -0.06663269351437855,
        0.07692076336238599, -0.09090898777964376, 0.11111110824252436, -0.14285714281163897, 0.19999999999965537,
        -0.33333333333333254,
    ),
}  # fmt: skip


def _asin_split(x: Vector) -> tuple[Vector, Vector]:
    """(|x| <= 1/2, asin of |x| there, else of sqrt((1 - |x|) / 2), which is half of acos |x|). NaN beyond 1."""
    a = x.abs()
    small = a <= 0.5
    half = (1 - a) * 0.5
    z = small.choose(a * a, half)
    root = small.choose(a, half.sqrt())
    return small, fma(root * z, poly(z, _ASIN[x.dtype]), root)


@kind("asin", FLOATS)
def asin(x: Vector) -> Vector:
    """pi / 2 - 2 asin(sqrt((1 - |x|) / 2)) above 1/2."""
    small, angle = _asin_split(x)
    high, low = _HALF_PI[x.dtype]
    return small.choose(angle, high - (angle * 2 - low)).with_sign_of(x)


@kind("acos", FLOATS)
def acos(x: Vector) -> Vector:
    small, angle = _asin_split(x)
    high, low = _HALF_PI[x.dtype]
    signed = angle.with_sign_of(x)
    middle = high - (signed - low)
    outer = angle * 2
    return small.choose(middle, (x < 0).choose(2 * high - (outer - 2 * low), outer))


def _atan_ratio(numerator: Vector, denominator: Vector) -> Vector:
    """atan(numerator / denominator) for 0 <= numerator <= denominator; pi / 4 + atan of the rest above tan(pi / 8)."""
    high, low = _HALF_PI[numerator.dtype]
    steep = numerator > denominator * (math.sqrt(2) - 1)
    top = steep.choose(numerator - denominator, numerator)
    t = top / steep.choose(numerator + denominator, denominator)
    z = t * t
    series = (t * z) * poly(z, _ATAN[t.dtype])
    return steep.choose(high / 2 + (t + (series + low / 2)), t + series)


@kind("atan", FLOATS)
def atan(x: Vector) -> Vector:
    a = x.abs()
    steep = a > 1
    angle = _atan_ratio(steep.choose(1, a), steep.choose(a, 1))
    high, low = _HALF_PI[x.dtype]
    return steep.choose(high - (angle - low), angle).with_sign_of(x)


@kind("atan2", FLOATS)
def atan2(y: Vector, x: Vector) -> Vector:
    """The angle of (x, y), with C's conventions for zeros (signed) and infinities."""
    high, low = _HALF_PI[x.dtype]
    a, b = _ratio(y.abs(), x.abs())
    steep = a > b
    angle = _atan_ratio(steep.choose(b, a), steep.choose(a, b))
    angle = steep.choose(high - (angle - low), angle)
    left = x.bitcast(FORMATS[x.dtype].integer) < 0
    angle = left.choose(2 * high - (angle - 2 * low), angle).with_sign_of(y)
    return (x.isnan() | y.isnan()).choose(x + y, angle)


def _ratio(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """Magnitudes of the same ratio whose sum is neither zero nor infinite: 0 / 0 as 0 / 1, inf / inf as 1 / 1."""
    both_zero = (a + b).equals(0)
    both_infinite = a.equals(math.inf) & b.equals(math.inf)
    huge = 2.0 ** (FORMATS[a.dtype].bias - 2)
    scale = ((a > huge) | (b > huge)).choose(a.constant(0.25), 1)
    numerator = both_infinite.choose(1, a * scale)
    return numerator, both_infinite.choose(1, both_zero.choose(1, b * scale))
