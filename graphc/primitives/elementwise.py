"""Elementwise ops: arithmetic, functions, comparisons, logic, bits, select and casts.

Operands have equal shapes. A gradient of None stands for zero: the op is piecewise constant, or its operands are not
floats. Where a derivative is simple in the op's own result it is written in the result, so that the operand need not be
kept for the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Expr
from graphc.ir.op import Array, Elementwise, Op, Types, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType
from graphc.primitives import functions as fn

FLOATS: tuple[DType, ...] = (DType.F32, DType.F64, DType.F16, DType.BF16)
INTEGERS = tuple(dtype for dtype in DType if dtype.is_integer)
NUMBERS = FLOATS + INTEGERS
ANY = (*NUMBERS, DType.BOOL)
Gradient = Value | None


class Pointwise(Elementwise, abstract=True):
    """An elementwise op that is one scalar function of operands of one dtype, which is the result's (bool if `scalar`
    is a predicate)."""

    arity: ClassVar[int]
    scalar: ClassVar[str] = ""  # the key of nest.ARITY, where it is not the mnemonic
    takes: ClassVar[tuple[DType, ...]] = NUMBERS
    compute: ClassVar[Callable[..., Any]]  # the numpy meaning, dtype-preserving
    domain: ClassVar[tuple[float, float]] = (-2.0, 2.0)  # operand values on which tests may rely

    @property
    def kind(self) -> str:
        return self.scalar or self.mnemonic

    def result_dtype(self, *dtypes: DType) -> DType:
        if len(dtypes) != self.arity:
            raise ShapeError(f"got {len(dtypes)} operands, wanted {self.arity}")
        if len(set(dtypes)) != 1:
            raise ShapeError(f"operand dtypes differ: {', '.join(d.value for d in dtypes)}")
        if dtypes[0] not in self.takes:
            raise ShapeError(f"operand dtype is {dtypes[0].value}, wanted {' or '.join(d.value for d in self.takes)}")
        return DType.BOOL if self.kind in nests.PREDICATES else dtypes[0]

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(self.compute(*arrays)),)

    def element(self, *args: Expr) -> Expr:
        return nests.apply(self.kind, *args)

    @classmethod
    def sample_types(cls) -> tuple[TensorType, ...]:
        """Operand types for the samples: every class of dtypes it takes, several ranks, tails, whole vectors, rows."""
        rows: Shape = (Rows(6), 16)
        shapes: tuple[Shape, ...] = ((3, 37), (5,), (2, 3, 7), (), rows)
        preferred = (DType.F32, DType.F64, DType.I32, DType.U8, DType.BOOL, DType.U32)
        dtypes = [dtype for dtype in preferred if dtype in cls.takes]
        count = max(len(dtypes), 3)
        mixed = [TensorType(shapes[i % len(shapes)], dtypes[i % len(dtypes)]) for i in range(count)]
        return (*mixed, TensorType(rows, dtypes[0]))


class Unary(Pointwise, abstract=True):
    """A function of one operand, of floats unless said otherwise."""

    arity = 1
    takes = FLOATS

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        """The cotangent of the operand x, given that of the result y; None unless the op says otherwise."""
        return None

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Gradient]
    ) -> Sequence[Gradient]:
        (g,) = cotangents
        return (self.pull(b, g, inputs[0], outputs[0]) if g else None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(), (type,)) for type in cls.sample_types()]


class Binary(Pointwise, abstract=True):
    """A function of two operands of one type."""

    arity = 2

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        """The cotangents of the operands x and y, given that of the result z; None unless the op says otherwise."""
        return None, None

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Gradient]
    ) -> Sequence[Gradient]:
        (g,) = cotangents
        return self.pull(b, g, *inputs, *outputs) if g else (None, None)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(), (type, type)) for type in cls.sample_types()]


# ---- arithmetic of two operands


class Add(Binary):
    """x + y; integers wrap around."""

    compute = np.add

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        return g, g


class Sub(Binary):
    """x - y; integers wrap around."""

    compute = np.subtract

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        return g, fn.neg(b, g)


class Mul(Binary):
    """x * y; integers wrap around."""

    compute = np.multiply

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        return fn.mul(b, g, y), fn.mul(b, g, x)


class Div(Binary):
    """x / y of floats."""

    takes = FLOATS
    compute = np.divide
    domain = (0.5, 2.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        dx = fn.div(b, g, y)
        return dx, fn.neg(b, fn.mul(b, dx, z))


class FloorDiv(Binary):
    """The largest integer not above x / y (numpy's floor_divide); an integer divided by zero gives zero."""

    compute = np.floor_divide
    domain = (-3.0, 3.0)


class Mod(Binary):
    """x - y * floor(x / y), which has the sign of y (numpy's remainder); an integer modulo zero gives zero."""

    compute = np.remainder
    domain = (-3.0, 3.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        return g, fn.neg(b, fn.mul(b, g, fn.floor(b, fn.div(b, x, y))))


class Pow(Binary):
    """x to the power y; an integer exponent of an integer must not be negative.

    The gradient of y counts as zero where x is not positive, that of x where y is zero.
    """

    compute = np.power
    domain = (0.3, 2.5)

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        is_flat = fn.eq(b, y, 0)
        power = fn.pow(b, x, fn.select(b, is_flat, 1, fn.sub(b, y, 1)))
        log = fn.log(b, fn.select(b, fn.gt(b, x, 0), x, 1))
        return fn.mul(b, g, fn.mul(b, y, power)), fn.mul(b, g, fn.mul(b, z, log))


class Extremum(Binary, abstract=True):
    """The larger or the smaller of two; NaN if either is NaN. Equal operands share the cotangent half and half."""

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        share = fn.select(b, fn.eq(b, x, y), fn.mul(b, g, 0.5), g)
        return fn.select(b, fn.eq(b, x, z), share, 0), fn.select(b, fn.eq(b, y, z), share, 0)


class Maximum(Extremum):
    """The larger of x and y."""

    scalar = "max"
    compute = np.maximum


class Minimum(Extremum):
    """The smaller of x and y."""

    scalar = "min"
    compute = np.minimum


class Atan2(Binary):
    """The angle of the point (y, x) in (-pi, pi]; the operands come in the order y, x."""

    takes = FLOATS
    compute = np.arctan2
    domain = (0.3, 2.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value, z: Value) -> tuple[Gradient, Gradient]:
        scaled = fn.div(b, g, fn.add(b, fn.square(b, x), fn.square(b, y)))
        return fn.mul(b, scaled, y), fn.neg(b, fn.mul(b, scaled, x))


# ---- arithmetic of one operand


class Neg(Unary):
    """-x."""

    takes = NUMBERS
    compute = np.negative

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.neg(b, g)


class Abs(Unary):
    """|x|."""

    takes = NUMBERS
    compute = np.abs

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.sign(b, x))


class Sign(Unary):
    """-1, 0 or 1; NaN stays NaN."""

    takes = NUMBERS
    compute = np.sign


class Square(Unary):
    """x * x."""

    takes = NUMBERS
    compute = np.square

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.mul(b, x, 2))


class Sqrt(Unary):
    """The square root, correctly rounded."""

    compute = np.sqrt
    domain = (0.1, 4.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.div(b, fn.mul(b, g, 0.5), y)


def _rsqrt(x: Array) -> Any:
    return 1 / np.sqrt(x)


class Rsqrt(Unary):
    """1 / sqrt(x)."""

    compute = staticmethod(_rsqrt)
    domain = (0.1, 4.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, fn.mul(b, g, -0.5), fn.mul(b, y, fn.square(b, y)))


class Reciprocal(Unary):
    """1 / x."""

    compute = np.reciprocal
    domain = (0.3, 2.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.neg(b, fn.mul(b, g, fn.square(b, y)))


# ---- exponentials and logarithms


class Exp(Unary):
    """e to the power x."""

    compute = np.exp

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, y)


class Expm1(Unary):
    """exp(x) - 1, exact for small x."""

    compute = np.expm1

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.add(b, y, 1))


class Log(Unary):
    """The natural logarithm."""

    compute = np.log
    domain = (0.1, 4.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.div(b, g, x)


class Log1p(Unary):
    """log(1 + x), exact for small x."""

    compute = np.log1p
    domain = (-0.8, 3.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.div(b, g, fn.add(b, x, 1))


class Log2(Unary):
    """The logarithm to base 2."""

    compute = np.log2
    domain = (0.1, 4.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.div(b, g, fn.mul(b, x, math.log(2)))


class Log10(Unary):
    """The logarithm to base 10."""

    compute = np.log10
    domain = (0.1, 4.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.div(b, g, fn.mul(b, x, math.log(10)))


# ---- circular and hyperbolic functions


class Sin(Unary):
    """The sine of x radians."""

    compute = np.sin

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.cos(b, x))


class Cos(Unary):
    """The cosine of x radians."""

    compute = np.cos

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.neg(b, fn.mul(b, g, fn.sin(b, x)))


class Tan(Unary):
    """The tangent of x radians."""

    compute = np.tan
    domain = (-1.2, 1.2)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.add(b, fn.square(b, y), 1))


class Sinh(Unary):
    """The hyperbolic sine."""

    compute = np.sinh

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.cosh(b, x))


class Cosh(Unary):
    """The hyperbolic cosine."""

    compute = np.cosh

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.sinh(b, x))


class Tanh(Unary):
    """The hyperbolic tangent."""

    compute = np.tanh

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.sub(b, 1, fn.square(b, y)))


class Asin(Unary):
    """The inverse sine, in radians."""

    compute = np.arcsin
    domain = (-0.9, 0.9)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.rsqrt(b, fn.sub(b, 1, fn.square(b, x))))


class Acos(Unary):
    """The inverse cosine, in radians."""

    compute = np.arccos
    domain = (-0.9, 0.9)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.neg(b, fn.mul(b, g, fn.rsqrt(b, fn.sub(b, 1, fn.square(b, x)))))


class Atan(Unary):
    """The inverse tangent, in radians."""

    compute = np.arctan

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.div(b, g, fn.add(b, fn.square(b, x), 1))


class Asinh(Unary):
    """The inverse hyperbolic sine."""

    compute = np.arcsinh

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.rsqrt(b, fn.add(b, fn.square(b, x), 1)))


class Acosh(Unary):
    """The inverse hyperbolic cosine."""

    compute = np.arccosh
    domain = (1.2, 4.0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.rsqrt(b, fn.mul(b, fn.sub(b, x, 1), fn.add(b, x, 1))))


class Atanh(Unary):
    """The inverse hyperbolic tangent."""

    compute = np.arctanh
    domain = (-0.9, 0.9)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.div(b, g, fn.sub(b, 1, fn.square(b, x)))


# ---- activations and the error function


def _sigmoid(x: Array) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


class Sigmoid(Unary):
    """1 / (1 + exp(-x))."""

    compute = staticmethod(_sigmoid)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.mul(b, y, fn.sub(b, 1, y)))


def _softplus(x: Array) -> Any:
    return np.logaddexp(x, 0)


class Softplus(Unary):
    """log(1 + exp(x)), without overflow."""

    compute = staticmethod(_softplus)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.mul(b, g, fn.sigmoid(b, x))


def _relu(x: Array) -> Any:
    return np.maximum(x, 0)


class Relu(Unary):
    """max(x, 0); NaN stays NaN. The derivative at 0 is 0."""

    takes = NUMBERS
    compute = staticmethod(_relu)

    def element(self, *args: Expr) -> Expr:
        return nests.apply("max", args[0], 0)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        return fn.select(b, fn.gt(b, y, 0), g, 0)


def _by_element(function: Callable[[float], float], x: Array) -> Array:
    values = [function(v) for v in np.asarray(x, np.float64).ravel().tolist()]
    return np.array(values, np.float64).reshape(x.shape).astype(x.dtype)


def _erf(x: Array) -> Array:
    return _by_element(math.erf, x)


class Erf(Unary):
    """The error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to x."""

    compute = staticmethod(_erf)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        slope = fn.mul(b, fn.exp(b, fn.neg(b, fn.square(b, x))), 2 / math.sqrt(math.pi))
        return fn.mul(b, g, slope)


def _erfinv_scalar(x: float) -> float:
    """The root y of erf(y) = x: Winitzki's approximation (2008), then Halley's iteration."""
    size = abs(x)
    if not size < 1:
        return math.copysign(math.inf, x) if size == 1 else math.nan
    log = math.log1p(-size * size)
    t = 2 / (math.pi * 0.147) + log / 2
    y = math.sqrt(max(math.sqrt(t * t - log / 0.147) - t, 0.0))
    for _ in range(3):
        # erfc keeps the digits of the tail, where erf(y) rounds to 1
        error = (1 - size) - math.erfc(y) if size > 0.5 else math.erf(y) - size
        step = error / (2 / math.sqrt(math.pi) * math.exp(-y * y))
        y -= step / (1 + y * step)
    return math.copysign(y, x)


def _erfinv(x: Array) -> Array:
    return _by_element(_erfinv_scalar, x)


class Erfinv(Unary):
    """The inverse of erf: infinite at -1 and 1, NaN outside."""

    compute = staticmethod(_erfinv)
    domain = (-0.95, 0.95)

    def pull(self, b: Builder, g: Value, x: Value, y: Value) -> Gradient:
        slope = fn.mul(b, fn.exp(b, fn.square(b, y)), math.sqrt(math.pi) / 2)
        return fn.mul(b, g, slope)


# ---- rounding


class Floor(Unary):
    """The largest integer not above x."""

    compute = np.floor


class Ceil(Unary):
    """The smallest integer not below x."""

    compute = np.ceil


class Round(Unary):
    """The nearest integer; halves go to the even one."""

    compute = np.rint


class Trunc(Unary):
    """The integer part: rounds towards zero."""

    compute = np.trunc


class StopGradient(Unary):
    """x itself, which counts as a constant in gradients."""

    takes = ANY
    compute = staticmethod(np.copy)

    def element(self, *args: Expr) -> Expr:
        return args[0]


# ---- comparisons, logic and bits


class Eq(Binary):
    """x == y as bool; NaN equals nothing."""

    takes = ANY
    compute = np.equal


class Ne(Binary):
    """x != y as bool; NaN differs from everything."""

    takes = ANY
    compute = np.not_equal


class Lt(Binary):
    """x < y as bool."""

    compute = np.less


class Le(Binary):
    """x <= y as bool."""

    compute = np.less_equal


class Gt(Binary):
    """x > y as bool."""

    compute = np.greater


class Ge(Binary):
    """x >= y as bool."""

    compute = np.greater_equal


class IsNan(Unary):
    """Is x NaN?"""

    scalar = "isnan"
    compute = np.isnan


class IsInf(Unary):
    """Is x infinite?"""

    scalar = "isinf"
    compute = np.isinf


class IsFinite(Unary):
    """Is x neither infinite nor NaN?"""

    scalar = "isfinite"
    compute = np.isfinite


class And(Binary):
    """x and y, of bools."""

    scalar = "logical_and"
    takes = (DType.BOOL,)
    compute = np.logical_and


class Or(Binary):
    """x or y, of bools."""

    scalar = "logical_or"
    takes = (DType.BOOL,)
    compute = np.logical_or


class Xor(Binary):
    """Exactly one of x and y, of bools."""

    scalar = "logical_xor"
    takes = (DType.BOOL,)
    compute = np.logical_xor


class Not(Unary):
    """not x, of a bool."""

    scalar = "logical_not"
    takes = (DType.BOOL,)
    compute = np.logical_not


class BitAnd(Binary):
    """The bits set in both integers."""

    takes = INTEGERS
    compute = np.bitwise_and


class BitOr(Binary):
    """The bits set in either integer."""

    takes = INTEGERS
    compute = np.bitwise_or


class BitXor(Binary):
    """The bits set in exactly one of the integers."""

    takes = INTEGERS
    compute = np.bitwise_xor


class BitNot(Unary):
    """All bits of an integer flipped."""

    takes = INTEGERS
    compute = np.bitwise_not


class Shl(Binary):
    """x shifted left by y bits, 0 <= y < bits of the dtype."""

    takes = INTEGERS
    compute = np.left_shift
    domain = (0.0, 6.0)


class Shr(Binary):
    """x shifted right by y bits, 0 <= y < bits of the dtype; a signed x keeps its sign."""

    takes = INTEGERS
    compute = np.right_shift
    domain = (0.0, 6.0)


# ---- selection and casts


class Select(Elementwise):
    """a where the bool condition holds, else b: the operands are (condition, a, b)."""

    def result_dtype(self, *dtypes: DType) -> DType:
        condition, a, other = dtypes
        if condition is not DType.BOOL:
            raise ShapeError(f"condition dtype is {condition.value}, wanted bool")
        if a is not other:
            raise ShapeError(f"operand dtypes differ: {a.value}, {other.value}")
        return a

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.where(*arrays),)

    def element(self, *args: Expr) -> Expr:
        return nests.apply("select", *args)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Gradient]
    ) -> Sequence[Gradient]:
        (g,) = cotangents
        return (None, fn.select(b, inputs[0], g, 0), fn.select(b, inputs[0], 0, g)) if g else (None, None, None)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        types = [TensorType((3, 5)), TensorType((Rows(6), 16)), TensorType((7,), DType.F64), TensorType((), DType.I32)]
        return [(cls(), (type.with_dtype(DType.BOOL), type, type)) for type in types]


@dataclass(frozen=True, slots=True)
class Cast(Elementwise):
    """The value in another dtype: floats are truncated to integers, integers wrap around, bool is "not zero"."""

    dtype: DType

    def result_dtype(self, *dtypes: DType) -> DType:
        return self.dtype

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].astype(self.dtype.numpy),)

    def element(self, *args: Expr) -> Expr:
        return nests.cast(args[0], self.dtype)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Gradient]
    ) -> Sequence[Gradient]:
        (g,) = cotangents
        is_smooth = self.dtype.is_float and inputs[0].dtype.is_float
        return (fn.cast(b, g, inputs[0].dtype) if g and is_smooth else None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        pairs = [
            *[("f32", "f64"), ("f64", "f32"), ("f32", "i32"), ("i32", "f32"), ("u8", "f32"), ("bool", "f32")],
            *[("f32", "bool"), ("i32", "bool"), ("i64", "i32"), ("u32", "f64"), ("i32", "u8"), ("bool", "i32")],
        ]
        shapes: list[Shape] = [(3, 5), (Rows(6), 16), (37,)]
        return [(cls(DType(to)), (TensorType(shapes[i % 3], DType(of)),)) for i, (of, to) in enumerate(pairs)]


@dataclass(frozen=True, slots=True)
class Bitcast(Elementwise):
    """The same bits read as another dtype of the same size."""

    dtype: DType

    def result_dtype(self, *dtypes: DType) -> DType:
        if dtypes[0].size != self.dtype.size:
            got = f"{dtypes[0].value} has {dtypes[0].size * 8} bits"
            raise ShapeError(f"sizes differ: {got}, {self.dtype.value} has {self.dtype.size * 8}")
        return self.dtype

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.ascontiguousarray(arrays[0]).reshape(arrays[0].shape).view(self.dtype.numpy),)

    def element(self, *args: Expr) -> Expr:
        return nests.apply("bitcast", args[0], dtype=self.dtype)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Gradient]
    ) -> Sequence[Gradient]:
        return (None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        pairs = [("f32", "u32"), ("f32", "i32"), ("u32", "f32"), ("i32", "f32"), ("f64", "u64"), ("u64", "f64")]
        shapes: list[Shape] = [(3, 5), (Rows(6), 16), (37,)]
        return [(cls(DType(to)), (TensorType(shapes[i % 3], DType(of)),)) for i, (of, to) in enumerate(pairs)]
