"""Scalar-expression kinds as LLVM IR text, on scalars and on vectors: the door for emitters, and the plain kinds.

`apply` writes one kind. A kind is either one instruction (INSTRUCTIONS) or a small function on `Vector`s registered
with `@kind`, here or in `elementary`, `trigonometry` and `special`; KINDS is the union. No libm calls, no branches, no
memory, NaN stays NaN, and every lane count gives the same bits. The plain kinds add, sub, mul, neg, square carry the
flag `contract` (a multiply feeding an add may become one fma); nothing else carries a fast-math flag.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence

from codegen import elementary, special, trigonometry  # noqa: F401  (they register their kinds)
from codegen.assembly import Assembly
from codegen.target import Target
from codegen.vector import (
    BOOL,
    FLOATS,
    INTEGERS,
    NUMBERS,
    REGISTRY,
    SIGNED,
    UNSIGNED,
    Space,
    Vector,
    fma,
    kind,
    llvm_type,
)

_BY_FAMILY = (
    (FLOATS, {"add": "fadd contract", "sub": "fsub contract", "mul": "fmul contract", "neg": "fneg contract"}),
    (FLOATS, {"div": "fdiv", "eq": "fcmp oeq", "ne": "fcmp une"}),
    (FLOATS, {"lt": "fcmp olt", "le": "fcmp ole", "gt": "fcmp ogt", "ge": "fcmp oge"}),
    (INTEGERS, {"add": "add", "sub": "sub", "mul": "mul", "bit_and": "and", "bit_or": "or", "bit_xor": "xor"}),
    (INTEGERS | BOOL, {"eq": "icmp eq", "ne": "icmp ne"}),
    (SIGNED, {"lt": "icmp slt", "le": "icmp sle", "gt": "icmp sgt", "ge": "icmp sge"}),
    (UNSIGNED | BOOL, {"lt": "icmp ult", "le": "icmp ule", "gt": "icmp ugt", "ge": "icmp uge"}),
    (BOOL, {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}),
    (BOOL, {"add": "or", "max": "or", "mul": "and", "min": "and"}),
)
INSTRUCTIONS: Mapping[tuple[str, str], str] = {
    (name, dtype): opcode for dtypes, opcodes in _BY_FAMILY for dtype in dtypes for name, opcode in opcodes.items()
}
"""(kind, dtype) -> the instruction before its type, for the kinds that are one instruction."""
_CONVERSIONS = {"cast": Vector.convert, "bitcast": Vector.bitcast}


def apply(
    asm: Assembly, fn: str, args: Sequence[str], dtype: str, lanes: int, *, target: Target, to: str | None = None
) -> str:
    """Write kind `fn` on operands of `lanes` elements; returns the SSA name of the result.

    `dtype` is the operands' dtype (of `select`: the dtype of the two choices; its condition is bool). `to` is the
    result's dtype, for `cast` and `bitcast` only. TypeError if the kind does not take the dtype.
    """
    instruction = INSTRUCTIONS.get((fn, dtype))
    if instruction is not None:
        return asm.op(f"{instruction} {llvm_type(dtype, lanes)} {', '.join(args)}")
    if fn == "select":
        type, mask = llvm_type(dtype, lanes), llvm_type("bool", lanes)
        return asm.op(f"select {mask} {args[0]}, {type} {args[1]}, {type} {args[2]}")
    vectors = [Vector(Space(asm, target, lanes), dtype, name) for name in args]
    if fn in _CONVERSIONS:
        assert to is not None, f"{fn} needs the dtype of its result"
        return _CONVERSIONS[fn](vectors[0], to).name
    entry = REGISTRY.get(fn)
    if entry is None or dtype not in entry.dtypes:
        raise TypeError(f"no kernel arithmetic for {fn} of {dtype}; {_supported(fn)}")
    return entry.emit(*vectors).name


def _supported(fn: str) -> str:
    dtypes = {dtype for name, dtype in INSTRUCTIONS if name == fn} | (REGISTRY[fn].dtypes if fn in REGISTRY else set())
    return f"{fn} takes {', '.join(sorted(dtypes))}" if dtypes else f"known kinds: {', '.join(sorted(KINDS))}"


# Arithmetic


@kind("neg", INTEGERS)
def _neg(x: Vector) -> Vector:
    return -x


@kind("abs", NUMBERS)
def _abs(x: Vector) -> Vector:
    return x.abs()


@kind("sign", NUMBERS)
def _sign(x: Vector) -> Vector:
    """-1, 0 or 1; NaN and -0 stay."""
    positive = (x > 0).choose(1, x)
    return (x < 0).choose(-1, positive) if x.is_float or x.is_signed else positive


@kind("square", NUMBERS)
def _square(x: Vector) -> Vector:
    return x.binary("fmul contract", x) if x.is_float else x * x


@kind("reciprocal", FLOATS)
def _reciprocal(x: Vector) -> Vector:
    return 1 / x


@kind("sqrt", FLOATS)
def _sqrt(x: Vector) -> Vector:
    return x.sqrt()


@kind("rsqrt", FLOATS)
def _rsqrt(x: Vector) -> Vector:
    return 1 / x.sqrt()


@kind("max", NUMBERS)
def _max(a: Vector, b: Vector) -> Vector:
    """The larger; NaN if either is NaN, as numpy.maximum."""
    return _extremum(a, b, operator.gt)


@kind("min", NUMBERS)
def _min(a: Vector, b: Vector) -> Vector:
    return _extremum(a, b, operator.lt)


def _extremum(a: Vector, b: Vector, wins: Callable[[Vector, Vector], Vector]) -> Vector:
    """`a` if it wins, else `b`: a NaN in b stays, and one in a has to be put back unless a is known not to be NaN."""
    if b.is_constant:
        a, b = b, a
    picked = wins(a, b).choose(a, b)
    if not a.is_float or (a.is_constant and not a.is_nan_constant):
        return picked
    return a.isnan().choose(a, picked)


# Division and its remainders


@kind("div", INTEGERS)
def _div(a: Vector, b: Vector) -> Vector:
    """Truncating; by zero gives 0."""
    return _quotient(a, b)[0]


def _quotient(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """Truncated quotient and remainder of integers, without the two traps: x / 0 = 0 rem 0 and MIN / -1 = MIN rem 0."""
    by_zero = b.equals(0)
    if not a.is_signed:
        divisor = by_zero.choose(1, b)
        return by_zero.choose(0, a.binary("udiv", divisor)), by_zero.choose(0, a.binary("urem", divisor))
    by_minus_one = b.equals(-1)
    divisor = (by_zero | by_minus_one).choose(1, b)
    quotient = by_minus_one.choose(-a, a.binary("sdiv", divisor))
    return by_zero.choose(0, quotient), a.binary("srem", divisor)


@kind("floor_div", NUMBERS)
def _floor_div(a: Vector, b: Vector) -> Vector:
    """Quotient rounded down. Integer division by zero gives 0, float division by zero a / 0, as numpy."""
    if a.is_float:
        return _float_floor_div(a, b)
    quotient, remainder = _quotient(a, b)
    if not a.is_signed:
        return quotient
    return _wrong_side(remainder, b).choose(quotient - 1, quotient)


@kind("mod", NUMBERS)
def _mod(a: Vector, b: Vector) -> Vector:
    """Remainder with the sign of the divisor, as Python and numpy. Integer modulo zero is 0, float modulo zero NaN."""
    if a.is_float:
        return _float_mod(a, b)
    remainder = _quotient(a, b)[1]
    if not a.is_signed:
        return remainder
    return _wrong_side(remainder, b).choose(remainder + b, remainder)


def _float_mod(a: Vector, b: Vector) -> Vector:
    remainder = _float_remainder(a, b)
    adjusted = _wrong_side(remainder, b).choose(remainder + b, remainder)
    return remainder.equals(0).choose(remainder.constant(0).with_sign_of(b), adjusted)


def _float_floor_div(a: Vector, b: Vector) -> Vector:
    """(a - remainder) / b, which is an integer up to rounding, less one where the truncated remainder is not mod's."""
    remainder = _float_remainder(a, b)
    quotient = (a - remainder) / b
    quotient = _wrong_side(remainder, b).choose(quotient - 1, quotient)
    below = quotient.intrinsic("floor")
    nearest = (quotient - below > 0.5).choose(below + 1, below)
    return b.equals(0).choose(a / b, nearest)


def _wrong_side(remainder: Vector, divisor: Vector) -> Vector:
    """Whether a truncated remainder is nonzero and its sign not the divisor's."""
    return remainder.differs(0) & ((remainder < 0) ^ (divisor < 0))


def _float_remainder(a: Vector, b: Vector) -> Vector:
    """a - trunc(a / b) * b, without rounding: every f32 (computed in f64), f64 as long as |a / b| < 2^300.

    Each step takes 52 bits off the quotient, exactly; the last may be off by one divisor. Targets without fma are exact
    for f32 quotients up to 2^29 only.
    """
    if a.dtype == "f32":
        return _float_remainder(a.convert("f64"), b.convert("f64")).convert("f32")
    divisor, rest = b.abs(), a.abs()
    for _ in range(6):
        rest = fma((rest / divisor).intrinsic("trunc"), -divisor, rest)
    rest = (rest < 0).choose(rest + divisor, rest)
    rest = (rest >= divisor).choose(rest - divisor, rest)
    finite = a.abs() < math.inf
    return (finite & divisor.equals(math.inf)).choose(a, rest.with_sign_of(a))


# Rounding (roundeven and trunc of integers are the identity)


@kind("floor", FLOATS)
def _floor(x: Vector) -> Vector:
    return x.intrinsic("floor")


@kind("ceil", FLOATS)
def _ceil(x: Vector) -> Vector:
    return x.intrinsic("ceil")


@kind("round", FLOATS)
def _round(x: Vector) -> Vector:
    """To nearest, halves to even."""
    return x.intrinsic("roundeven")


@kind("trunc", FLOATS)
def _trunc(x: Vector) -> Vector:
    return x.intrinsic("trunc")


# Classification and bits


@kind("isnan", FLOATS)
def _isnan(x: Vector) -> Vector:
    return x.isnan()


@kind("isinf", FLOATS)
def _isinf(x: Vector) -> Vector:
    return x.abs().equals(math.inf)


@kind("isfinite", FLOATS)
def _isfinite(x: Vector) -> Vector:
    return x.abs() < math.inf


@kind("logical_not", BOOL)
def _logical_not(x: Vector) -> Vector:
    return x ^ True


@kind("bit_not", INTEGERS)
def _bit_not(x: Vector) -> Vector:
    return ~x


@kind("shl", INTEGERS)
def _shl(x: Vector, amount: Vector) -> Vector:
    """Zero when the amount reaches the width, as numpy (LLVM leaves it undefined)."""
    inside, safe = _amount(amount)
    return inside.choose(x << safe, 0)


@kind("shr", INTEGERS)
def _shr(x: Vector, amount: Vector) -> Vector:
    """Arithmetic for signed, logical for unsigned; the sign alone remains when the amount reaches the width."""
    inside, safe = _amount(amount)
    if x.is_signed:
        return x >> inside.choose(amount, x.bits - 1)
    return inside.choose(x >> safe, 0)


def _amount(amount: Vector) -> tuple[Vector, Vector]:
    """Whether a shift amount lies in [0, bits), and the amount masked into that range."""
    return amount.compare("icmp ult", amount.bits), amount & (amount.bits - 1)


# Random bits


@kind("threefry", frozenset({"u32"}))
def _threefry(key0: Vector, key1: Vector, counter0: Vector, counter1: Vector) -> Vector:
    """Both words of Threefry-2x32 xor-ed: JAX's 32 random bits for a 64-bit counter (its "partitionable" layout)."""
    first, second = _threefry2x32(key0, key1, counter0, counter1)
    return first ^ second


_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def _threefry2x32(key0: Vector, key1: Vector, x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (2011); five times four rounds."""
    keys = (key0, key1, key0 ^ key1 ^ _PARITY)
    x, y = x + keys[0], y + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = x + y
            y = y.intrinsic("fshl", y, rotation) ^ x
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + (group + 1)
    return x, y


def threefry2x32(
    asm: Assembly, key0: str, key1: str, counter0: str, counter1: str, lanes: int, *, target: Target
) -> tuple[str, str]:
    """The two u32 words of Threefry-2x32 with 20 rounds, on u32 operands."""
    space = Space(asm, target, lanes)
    first, second = _threefry2x32(*(Vector(space, "u32", name) for name in (key0, key1, counter0, counter1)))
    return first.name, second.name


# Across lanes


def reduce_lanes(asm: Assembly, combine: str, vector: str, dtype: str, lanes: int, *, target: Target) -> str:
    """All lanes of a vector combined into a scalar by a two-argument kind, halving: lane i with lane i + half.

    `lanes` is a power of two; the tree depends on it alone, so equal vectors give equal bits.
    """
    type = llvm_type(dtype, lanes)
    assert lanes & (lanes - 1) == 0, f"a halving tree needs a power of two, got {lanes} lanes"
    while lanes > 1:
        lanes //= 2
        halves = [_part(asm, type, vector, start, lanes) for start in (0, lanes)]
        type = llvm_type(dtype, lanes)
        vector = apply(asm, combine, halves, dtype, lanes, target=target)
    return vector


def _part(asm: Assembly, type: str, vector: str, start: int, count: int) -> str:
    """`count` consecutive lanes of a vector; a single one as a scalar."""
    if count == 1:
        return asm.op(f"extractelement {type} {vector}, i64 {start}")
    positions = ", ".join([f"i32 {start + lane}" for lane in range(count)])
    return asm.op(f"shufflevector {type} {vector}, {type} poison, <{count} x i32> <{positions}>")


KINDS: Mapping[str, int] = (
    {name: 2 for name, _ in INSTRUCTIONS}
    | {"select": 3, "cast": 1, "bitcast": 1}
    | {name: entry.arity for name, entry in REGISTRY.items()}
)
"""Kind -> number of arguments."""
