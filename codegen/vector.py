"""SSA vectors with operators: the notation in which kernel arithmetic is written.

A `Vector` stands for one SSA value of `lanes` elements (lanes 1: a plain scalar). Its operators append one instruction
each and mean exactly what IEEE 754 says: nothing written with them is contracted or reordered. Where a fused
multiply-add is wanted, `fma` says so; it is `llvm.fmuladd`, hence two roundings on targets without the instruction.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias, TypeVar

from codegen.assembly import Assembly
from codegen.target import Target

FLOATS = frozenset({"f32", "f64"})
SIGNED = frozenset({"i8", "i16", "i32", "i64"})
UNSIGNED = frozenset({"u8", "u16", "u32", "u64"})
INTEGERS = SIGNED | UNSIGNED
BOOL = frozenset({"bool"})
NUMBERS = FLOATS | INTEGERS

_ELEMENTS = {"f32": "float", "f64": "double", "bool": "i1"} | {name: f"i{name[1:]}" for name in INTEGERS}


def bits(dtype: str) -> int:
    """Bits of one element in a register (bool: 1)."""
    return 1 if dtype == "bool" else int(dtype[1:])


@cache
def llvm_type(dtype: str, lanes: int = 1) -> str:
    """LLVM spelling of `lanes` elements of `dtype`; one lane is the scalar type. bool is i1 (in registers)."""
    return _ELEMENTS[dtype] if lanes == 1 else f"<{lanes} x {_ELEMENTS[dtype]}>"


@cache
def suffix(dtype: str, lanes: int) -> str:
    """The type suffix of an overloaded intrinsic: `f32`, `v16f32`, `v8i64`."""
    element = dtype if dtype in FLOATS else f"i{bits(dtype)}"
    return element if lanes == 1 else f"v{lanes}{element}"


def constant(dtype: str, lanes: int, value: float | bool) -> str:
    """Operand text of a constant in every lane: floats rounded to the dtype and exact, integers modulo 2^bits."""
    # As a cache key -0.0 is 0.0, so zeros are spelled anew.
    element = _cached_element(dtype, value) if value else _element(dtype, value)
    return element if lanes == 1 else f"splat ({_ELEMENTS[dtype]} {element})"


def _element(dtype: str, value: float | bool) -> str:
    if dtype in FLOATS:
        return _float_element(float(value), dtype)
    if dtype == "bool":
        return "true" if value else "false"
    width = bits(dtype)
    wrapped = int(value) & ((1 << width) - 1)
    return str(wrapped - (1 << width) if wrapped >> (width - 1) else wrapped)


_cached_element = lru_cache(maxsize=4096, typed=True)(_element)


def _float_element(value: float, dtype: str) -> str:
    """LLVM writes a float constant as the bits of the double of the same value."""
    if math.isnan(value):
        return "0x7FF8000000000000"
    if dtype == "f32":
        value = _round_f32(value)
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def _round_f32(value: float) -> float:
    """The nearest f32, infinite where the value is out of range."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


@cache
def iota(dtype: str, lanes: int) -> str:
    """Operand text of the constant 0, 1, ..., lanes - 1."""
    if lanes == 1:
        return _element(dtype, 0)
    return f"<{', '.join(f'{_ELEMENTS[dtype]} {_element(dtype, lane)}' for lane in range(lanes))}>"


def splat(asm: Assembly, scalar: str, dtype: str, lanes: int) -> str:
    """The scalar in every lane."""
    if lanes == 1:
        return scalar
    vector = llvm_type(dtype, lanes)
    first = asm.op(f"insertelement {vector} poison, {llvm_type(dtype)} {scalar}, i64 0")
    return asm.op(f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer")


@dataclass(slots=True, eq=False)
class Space:
    """Where vectors live: the text being written, the machine, the number of lanes."""

    asm: Assembly
    target: Target
    lanes: int

    def constant(self, dtype: str, value: float | bool) -> Vector:
        return Vector(self, dtype, constant(dtype, self.lanes, value))


Operand: TypeAlias = "Vector | float | int"


@dataclass(slots=True, eq=False)
class Vector:
    """An SSA value (or constant) `name` of `space.lanes` elements of `dtype`.

    Never changed, but not frozen either: that would double the time to make one.
    """

    space: Space
    dtype: str
    name: str

    @property
    def type(self) -> str:
        return llvm_type(self.dtype, self.space.lanes)

    @property
    def bits(self) -> int:
        return bits(self.dtype)

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    @property
    def is_signed(self) -> bool:
        return self.dtype in SIGNED

    @property
    def is_constant(self) -> bool:
        return not self.name.startswith("%")

    @property
    def is_nan_constant(self) -> bool:
        return self.is_float and self.name == self.constant(math.nan).name

    def constant(self, value: float | bool) -> Vector:
        """A constant of this vector's type."""
        return self.space.constant(self.dtype, value)

    def coerce(self, other: Operand) -> Vector:
        return other if isinstance(other, Vector) else self.constant(other)

    def op(self, rhs: str, dtype: str | None = None) -> Vector:
        return Vector(self.space, dtype or self.dtype, self.space.asm.op(rhs))

    def binary(self, opcode: str, other: Operand) -> Vector:
        return self.op(f"{opcode} {self.type} {self.name}, {self.coerce(other).name}")

    def by_family(self, real: str, signed: str, unsigned: str) -> str:
        """The opcode for this dtype's family."""
        return real if self.is_float else signed if self.is_signed else unsigned

    def __add__(self, other: Operand) -> Vector:
        return self.binary("fadd" if self.is_float else "add", other)

    def __radd__(self, other: float) -> Vector:
        return self.constant(other) + self

    def __sub__(self, other: Operand) -> Vector:
        return self.binary("fsub" if self.is_float else "sub", other)

    def __rsub__(self, other: float) -> Vector:
        return self.constant(other) - self

    def __mul__(self, other: Operand) -> Vector:
        return self.binary("fmul" if self.is_float else "mul", other)

    def __rmul__(self, other: float) -> Vector:
        return self.constant(other) * self

    def __truediv__(self, other: Operand) -> Vector:
        return self.binary("fdiv", other)

    def __rtruediv__(self, other: float) -> Vector:
        return self.constant(other) / self

    def __neg__(self) -> Vector:
        return self.op(f"fneg {self.type} {self.name}") if self.is_float else 0 - self

    def __and__(self, other: Operand) -> Vector:
        return self.binary("and", other)

    def __or__(self, other: Operand) -> Vector:
        return self.binary("or", other)

    def __xor__(self, other: Operand) -> Vector:
        return self.binary("xor", other)

    def __invert__(self) -> Vector:
        return self ^ -1

    def __lshift__(self, other: Operand) -> Vector:
        """Shift left; poison when the amount reaches the width."""
        return self.binary("shl", other)

    def __rshift__(self, other: Operand) -> Vector:
        """Arithmetic for signed, logical for unsigned dtypes; poison when the amount reaches the width."""
        return self.binary("ashr" if self.is_signed else "lshr", other)

    def compare(self, predicate: str, other: Operand) -> Vector:
        return self.op(f"{predicate} {self.type} {self.name}, {self.coerce(other).name}", "bool")

    def __lt__(self, other: Operand) -> Vector:
        return self.compare(self.by_family("fcmp olt", "icmp slt", "icmp ult"), other)

    def __le__(self, other: Operand) -> Vector:
        return self.compare(self.by_family("fcmp ole", "icmp sle", "icmp ule"), other)

    def __gt__(self, other: Operand) -> Vector:
        return self.compare(self.by_family("fcmp ogt", "icmp sgt", "icmp ugt"), other)

    def __ge__(self, other: Operand) -> Vector:
        return self.compare(self.by_family("fcmp oge", "icmp sge", "icmp uge"), other)

    def equals(self, other: Operand) -> Vector:
        return self.compare("fcmp oeq" if self.is_float else "icmp eq", other)

    def differs(self, other: Operand) -> Vector:
        """True on NaN."""
        return self.compare("fcmp une" if self.is_float else "icmp ne", other)

    def isnan(self) -> Vector:
        return self.compare("fcmp uno", self)

    def choose(self, then: Operand, otherwise: Operand) -> Vector:
        """`then` where this mask holds, else `otherwise`; one of the two must be a Vector."""
        like = then if isinstance(then, Vector) else otherwise
        assert isinstance(like, Vector), "choose needs a vector to take the dtype from"
        one, two = like.coerce(then), like.coerce(otherwise)
        return like.op(f"select {self.type} {self.name}, {like.type} {one.name}, {like.type} {two.name}")

    def intrinsic(self, name: str, *others: Operand) -> Vector:
        """Call `llvm.<name>`, overloaded on this vector's type, on this and other operands of the same type."""
        space, type = self.space, self.type
        operands = [(type, self.name), *[(type, self.coerce(operand).name) for operand in others]]
        full = f"llvm.{name}.{suffix(self.dtype, space.lanes)}"
        return Vector(space, self.dtype, space.asm.call(type, full, operands))

    def abs(self) -> Vector:
        """Magnitude; the smallest signed integer stays itself."""
        if self.is_float:
            return self.intrinsic("fabs")
        if not self.is_signed:
            return self
        return (self < 0).choose(-self, self)

    def with_sign_of(self, other: Vector) -> Vector:
        return self.intrinsic("copysign", other)

    def sqrt(self) -> Vector:
        return self.intrinsic("sqrt")

    def bitcast(self, dtype: str) -> Vector:
        """The same bits seen as another dtype of the same width."""
        wanted = llvm_type(dtype, self.space.lanes)
        if wanted == self.type:
            return Vector(self.space, dtype, self.name)
        return self.op(f"bitcast {self.type} {self.name} to {wanted}", dtype)

    def at_least(self, low: float) -> Vector:
        """max(self, low), NaN stays NaN: the operand order is that of one x86 vmaxps."""
        bound = self.constant(low)
        return (bound > self).choose(bound, self)

    def at_most(self, high: float) -> Vector:
        """min(self, high), NaN stays NaN."""
        bound = self.constant(high)
        return (bound < self).choose(bound, self)

    def convert(self, dtype: str) -> Vector:
        """Each element in another dtype: numpy's astype where that is defined.

        To bool: differs from zero (NaN is true). Float to integer truncates and saturates, NaN gives 0 (numpy leaves
        both undefined). Integer to narrower integer wraps.
        """
        if dtype == self.dtype:
            return self
        if dtype == "bool":
            return self.differs(0)
        if self.is_float and dtype not in FLOATS:
            return self._saturated(dtype)
        opcode = self._conversion(dtype)
        if opcode is None:
            return Vector(self.space, dtype, self.name)
        return self.op(f"{opcode} {self.type} {self.name} to {llvm_type(dtype, self.space.lanes)}", dtype)

    def _saturated(self, dtype: str) -> Vector:
        wanted, lanes = llvm_type(dtype, self.space.lanes), self.space.lanes
        name = f"llvm.fpto{'si' if dtype in SIGNED else 'ui'}.sat.{suffix(dtype, lanes)}.{suffix(self.dtype, lanes)}"
        return Vector(self.space, dtype, self.space.asm.call(wanted, name, [(self.type, self.name)]))

    def _conversion(self, dtype: str) -> str | None:
        """The cast instruction, or None where source and destination are the same LLVM type."""
        wider, narrower = bits(dtype) > self.bits, bits(dtype) < self.bits
        if self.is_float:
            return "fpext" if wider else "fptrunc"
        if dtype in FLOATS:
            return "sitofp" if self.is_signed else "uitofp"
        return ("sext" if self.is_signed else "zext") if wider else "trunc" if narrower else None


def fma(a: Vector, b: Operand, c: Operand) -> Vector:
    """a * b + c, rounded once where the target has the instruction."""
    return a.intrinsic("fmuladd", b, c)


def poly(x: Vector, coefficients: Sequence[float]) -> Vector:
    """Polynomial in x by Horner's rule, highest power first."""
    total = x.constant(coefficients[0])
    for coefficient in coefficients[1:]:
        total = fma(total, x, coefficient)
    return total


@dataclass(frozen=True, slots=True)
class Kind:
    """A scalar-expression kind: how it is written, its number of arguments, and the dtypes it takes."""

    emit: Callable[..., Vector]
    arity: int
    dtypes: frozenset[str]


REGISTRY: dict[str, Kind] = {}
Emit = TypeVar("Emit", bound=Callable[..., Vector])


def kind(name: str, dtypes: frozenset[str]) -> Callable[[Emit], Emit]:
    """Decorator: the function is the kind `name` on operands of `dtypes`; its parameters are the arguments."""

    def register(emit: Emit) -> Emit:
        assert name not in REGISTRY, f"kind {name} is defined twice"
        REGISTRY[name] = Kind(emit, emit.__code__.co_argcount, dtypes)
        return emit

    return register
