"""Nests: what a computation is, apart from any order, tile or thread.

A `Nest` says: for every point of the parallel `axes`, combine the value of `body` over all points of the `reduce` axes
and store the result at `store`. Loads are affine in the axes; a *guarded* load outside its operand yields `fill`
(padding); an index that is itself an expression is an indirect load (gather) and is clamped into the operand, so native
code never reads outside its buffers. An op hands over one nest or several that write disjoint parts of its results.
Codegen chooses the schedule and never learns which op a nest came from; its kernels are written in the same
expressions, with two more kinds for registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.ir.types import DType, Shape, TensorType

ARITY = {
    # arithmetic (floats and integers; integer division by zero gives 0)
    "add": 2, "sub": 2, "mul": 2, "div": 2, "floor_div": 2, "mod": 2, "pow": 2, "max": 2, "min": 2, "atan2": 2,
    "neg": 1, "abs": 1, "sign": 1, "square": 1, "reciprocal": 1, "sqrt": 1, "rsqrt": 1,
    # rounding
    "floor": 1, "ceil": 1, "round": 1, "trunc": 1,
    # transcendental
    "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "log2": 1, "log10": 1,
    "sin": 1, "cos": 1, "tan": 1, "sinh": 1, "cosh": 1, "tanh": 1, "asin": 1, "acos": 1, "atan": 1,
    "asinh": 1, "acosh": 1, "atanh": 1, "sigmoid": 1, "softplus": 1, "erf": 1, "erfinv": 1,
    # comparisons (result bool), logic on bool, bits on integers
    "eq": 2, "ne": 2, "lt": 2, "le": 2, "gt": 2, "ge": 2, "isnan": 1, "isinf": 1, "isfinite": 1,
    "logical_and": 2, "logical_or": 2, "logical_xor": 2, "logical_not": 1,
    "bit_and": 2, "bit_or": 2, "bit_xor": 2, "bit_not": 1, "shl": 2, "shr": 2,
    # select(condition, a, b); cast to the expression's dtype; reinterpretation of the bits at equal size
    "select": 3, "cast": 1, "bitcast": 1,
    # threefry(key0, key1, counter0, counter1): both words of Threefry-2x32 xor-ed (JAX's 32-bit random bits), u32
    "threefry": 4,
}  # fmt: skip
PREDICATES = frozenset([
    "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite",
    "logical_and", "logical_or", "logical_xor", "logical_not",
])  # fmt: skip
COMBINES = {"add": 0.0, "mul": 1.0, "max": float("-inf"), "min": float("inf"), "argmax": None, "argmin": None}


@dataclass(frozen=True, slots=True)
class Axis:
    """A loop of `extent` points; an extent that is a `Rows` runs to the runtime rows only."""

    name: str
    extent: int


@dataclass(frozen=True, slots=True)
class Affine:
    """constant + sum of coefficient * axis: terms sorted by axis name, none of them zero."""

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    @classmethod
    def of(cls, value: Affine | Axis | str | int) -> Affine:
        match value:
            case Affine():
                return value
            case Axis(name=name) | str(name):
                return cls(((name, 1),))
            case _:
                return cls((), int(value))

    def coefficient(self, axis: str) -> int:
        return next((c for name, c in self.terms if name == axis), 0)

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.terms)

    def substitute(self, values: Mapping[str, Affine]) -> Affine:
        result = Affine((), self.constant)
        for name, coefficient in self.terms:
            result = result + values.get(name, Affine(((name, 1),))) * coefficient
        return result

    def __add__(self, other: Affine | Axis | str | int) -> Affine:
        other = Affine.of(other)
        total = dict(self.terms)
        for name, coefficient in other.terms:
            total[name] = total.get(name, 0) + coefficient
        return Affine(tuple(sorted((n, c) for n, c in total.items() if c)), self.constant + other.constant)

    __radd__ = __add__

    def __sub__(self, other: Affine | Axis | str | int) -> Affine:
        return self + Affine.of(other) * -1

    def __mul__(self, factor: int) -> Affine:
        factor = int(factor)
        return Affine(tuple((n, c * factor) for n, c in self.terms) if factor else (), self.constant * factor)

    __rmul__ = __mul__

    def __str__(self) -> str:
        parts = [f"{name}*{c}" if c != 1 else name for name, c in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts).replace("+ -", "- ")


class ExprBase:
    """Operators shared by all expressions; a Python number takes the other operand's dtype."""

    __slots__ = ()
    dtype: DType

    def __add__(self, other: Scalar) -> Expr:
        return apply("add", self, other)

    def __radd__(self, other: Scalar) -> Expr:
        return apply("add", other, self)

    def __sub__(self, other: Scalar) -> Expr:
        return apply("sub", self, other)

    def __rsub__(self, other: Scalar) -> Expr:
        return apply("sub", other, self)

    def __mul__(self, other: Scalar) -> Expr:
        return apply("mul", self, other)

    def __rmul__(self, other: Scalar) -> Expr:
        return apply("mul", other, self)

    def __truediv__(self, other: Scalar) -> Expr:
        return apply("div", self, other)

    def __rtruediv__(self, other: Scalar) -> Expr:
        return apply("div", other, self)

    def __neg__(self) -> Expr:
        return apply("neg", self)


@dataclass(frozen=True, slots=True)
class Const(ExprBase):
    """A number."""

    value: float
    dtype: DType

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Load(ExprBase):
    """The element of operand `operand` at `index`; where a dimension of `guarded` is left, the value is `fill`."""

    operand: int
    index: tuple[Index, ...]
    dtype: DType
    guarded: tuple[int, ...] = ()
    fill: float = 0.0

    def __str__(self) -> str:
        guard = f" or {self.fill:g}" if self.guarded else ""
        return f"%{self.operand}[{', '.join(map(str, self.index))}{guard}]"


@dataclass(frozen=True, slots=True)
class Apply(ExprBase):
    """A scalar function (a key of ARITY) of expressions; dtype is the result's."""

    fn: str
    args: tuple[Expr, ...]
    dtype: DType

    def __str__(self) -> str:
        name = f"cast<{self.dtype.value}>" if self.fn == "cast" else self.fn
        return f"{name}({', '.join(map(str, self.args))})"


@dataclass(frozen=True, slots=True)
class Position(ExprBase):
    """An affine index as a value."""

    index: Affine
    dtype: DType

    def __str__(self) -> str:
        return f"({self.index})"


@dataclass(frozen=True, slots=True)
class RowCount(ExprBase):
    """The runtime number of batch rows as a value."""

    dtype: DType

    def __str__(self) -> str:
        return "rows"


@dataclass(frozen=True, slots=True)
class Reg(ExprBase):
    """The value of a register of a kernel; a register array is indexed by unrolled variables only."""

    name: str
    dtype: DType
    index: tuple[Affine, ...] = ()

    def __str__(self) -> str:
        return self.name + (f"[{', '.join(map(str, self.index))}]" if self.index else "")


@dataclass(frozen=True, slots=True)
class AcrossLanes(ExprBase):
    """All lanes of a vector register combined in a fixed tree; for argmax/argmin the position of the best."""

    combine: str
    reg: Reg
    dtype: DType

    def __str__(self) -> str:
        return f"lanes.{self.combine}({self.reg})"


Expr: TypeAlias = Const | Load | Apply | Position | RowCount | Reg | AcrossLanes
Index: TypeAlias = Affine | Expr
Scalar: TypeAlias = ExprBase | float | int | bool


def apply(fn: str, *args: Scalar, dtype: DType | None = None) -> Expr:
    """fn(args); numbers become constants of the first expression's dtype. The result's dtype follows from fn."""
    assert len(args) == ARITY[fn], f"{fn} takes {ARITY[fn]} arguments, got {len(args)}"
    typed = args[1:] if fn == "select" else args
    of = next((a.dtype for a in typed if isinstance(a, ExprBase)), None) or next(
        a.dtype for a in args if isinstance(a, ExprBase)
    )
    exprs = tuple(a if isinstance(a, ExprBase) else Const(a, of) for a in args)
    result = dtype or (DType.BOOL if fn in PREDICATES else of)
    return Apply(fn, exprs, result)  # type: ignore[arg-type]


def select(condition: Expr, a: Scalar, b: Scalar) -> Expr:
    return apply("select", condition, a, b)


def cast(value: Expr, dtype: DType) -> Expr:
    return value if value.dtype is dtype else Apply("cast", (value,), dtype)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside, those in indirect indices included."""
    if isinstance(expr, Apply):
        return expr.args
    if isinstance(expr, Load):
        return tuple(i for i in expr.index if not isinstance(i, Affine))
    return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all inside it, outermost first."""
    pending = [expr]
    while pending:
        found = pending.pop()
        yield found
        pending.extend(reversed(children(found)))


def loads(expr: Expr) -> list[Load]:
    return [e for e in walk(expr) if isinstance(e, Load)]


def rewrite(expr: Expr, leaf: Callable[[Expr], Expr]) -> Expr:
    """The expression with `leaf` applied to everything in it but the Applys, innermost first."""
    match expr:
        case Apply(fn, args, dtype):
            new = tuple(rewrite(a, leaf) for a in args)
            return expr if new == args else Apply(fn, new, dtype)
        case Load(index=index):
            new_index = tuple(i if isinstance(i, Affine) else rewrite(i, leaf) for i in index)
            return leaf(expr if new_index == index else replace(expr, index=new_index))
    return leaf(expr)


def substitute(expr: Expr, values: Mapping[str, Affine]) -> Expr:
    """The expression with axes replaced by affine functions of other axes."""

    def leaf(e: Expr) -> Expr:
        match e:
            case Load(index=index):
                return replace(e, index=tuple(i.substitute(values) if isinstance(i, Affine) else i for i in index))
            case Position(index=index, dtype=dtype):
                return Position(index.substitute(values), dtype)
        return e

    return rewrite(expr, leaf)


@dataclass(frozen=True, slots=True)
class Nest:
    """result[store] = combine of body over the reduce axes, for every point of the axes.

    `store` defaults to the axes in order. Without reduce axes the body is stored as it is. `combine` "argmax"/"argmin"
    stores the position (i32, first of equals, row-major over the reduce axes). With `running`, `store` may name the one
    reduce axis and every partial result is stored (cumulative sum). With `scatter`, `store` may depend on the reduce
    axes and hold indirect indices: the result starts as zero, or as operand `start`, and the reduce axes run in order,
    adding (scatter-add).
    Several nests of one op write disjoint parts of result `output`, which they cover completely.
    """

    axes: tuple[Axis, ...]
    body: Expr
    reduce: tuple[Axis, ...] = ()
    combine: str = ""
    store: tuple[Index, ...] | None = None
    output: int = 0
    running: bool = False
    scatter: bool = False
    start: int | None = None

    def __post_init__(self) -> None:
        assert bool(self.reduce) == bool(self.combine), "reduce axes need a combine, and a combine reduce axes"
        names = [axis.name for axis in self.axes + self.reduce]
        assert len(set(names)) == len(names), f"axis names repeat: {names}"

    @property
    def target(self) -> tuple[Index, ...]:
        """Where the result goes: `store`, or the axes in order."""
        return self.store if self.store is not None else tuple(Affine.of(axis) for axis in self.axes)

    @property
    def is_map(self) -> bool:
        """No reduction, and one point of the result per point of the axes in order: can be inlined into a consumer."""
        return not self.reduce and self.store is None

    def __str__(self) -> str:
        head = ", ".join(f"{a.name} in 0..{a.extent}" for a in self.axes) or "once"
        over = ", ".join(f"{a.name} in 0..{a.extent}" for a in self.reduce)
        value = f"{self.combine}({over}: {self.body})" if over else str(self.body)
        mark = " +=" if self.scatter else " ="
        first = "" if self.start is None else f"out{self.output} = %{self.start}; "
        return f"{first}for {head}: out{self.output}[{', '.join(map(str, self.target))}]{mark} {value}"


def axes_of(shape: Shape, prefix: str = "i") -> tuple[Axis, ...]:
    """Axes i0, i1, ... over a shape."""
    return tuple(Axis(f"{prefix}{d}", extent) for d, extent in enumerate(shape))


def load(operand: int, type: TensorType, index: tuple[Index | Axis | int, ...], **guard: float) -> Load:
    """A load of an operand; pass fill=value for a guarded load."""
    exact = tuple(i if isinstance(i, ExprBase) else Affine.of(i) for i in index)
    assert len(exact) == type.rank, f"operand {operand} is {type}, indexed with {len(exact)} indices"
    if "fill" in guard:
        return Load(operand, exact, type.dtype, tuple(range(type.rank)), guard["fill"])
    return Load(operand, exact, type.dtype)
