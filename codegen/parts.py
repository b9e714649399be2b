"""Parts: what one kernel computes over one set of axes, before any order is chosen.

A part says: for every point of `axes`, run the reductions, then the lets, then the stores (which may use the
reductions' registers). Lowering makes parts from bodies; the tile and row generators turn a part into loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from codegen.loops import Bound, Buffer, Let, Store, const, names_in
from graphc.ir.nest import Affine, Apply, Axis, Expr, Index, Load, Position, Reg, rewrite, walk
from graphc.ir.types import Rows, merge, size_of

COSTLY = frozenset(
    [
        "exp",
        "expm1",
        "log",
        "log1p",
        "log2",
        "log10",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "asin",
        "acos",
        "atan",
        "asinh",
        "acosh",
        "atanh",
        "atan2",
        "pow",
        "sigmoid",
        "softplus",
        "erf",
        "erfinv",
        "threefry",
    ]
)

IDENTITY = {
    "add": 0.0,
    "mul": 1.0,
    "max": float("-inf"),
    "min": float("inf"),
    "argmax": float("-inf"),
    "argmin": float("inf"),
}
"""What a combine starts from."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """reg = combine over `axes` of `value`; `lets` name parts of the value; `position` goes with argmax and argmin."""

    reg: Reg
    combine: str
    axes: tuple[Axis, ...]
    lets: tuple[Let, ...]
    value: Expr
    position: Expr | None = None

    @property
    def exprs(self) -> tuple[Expr, ...]:
        own = (self.value,) if self.position is None else (self.value, self.position)
        return tuple(let.value for let in self.lets) + own

    def map(self, fn: Callable[[Expr], Expr]) -> Reduction:
        """The reduction with every expression replaced."""
        lets = tuple(Let(let.reg, fn(let.value)) for let in self.lets)
        return replace(self, lets=lets, value=fn(self.value), position=self.position and fn(self.position))

    @property
    def is_contraction(self) -> bool:
        """A sum of products of two loads: worth a register tile."""
        match self.value:
            case Apply("mul", (Load(), Load())):
                return self.combine == "add" and not self.lets
        return False


@dataclass(frozen=True, slots=True)
class Blocking:
    """The first reduce axis is walked in blocks of `length`, all tiles of a unit in each: operands stay in the cache.

    Between blocks the accumulators rest in the buffers `accumulators`, one a reduction, indexed by the kept axes.
    """

    axis: str
    length: int
    accumulators: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """See the module. `bounds` overrides start and stop of reduce axes (a partial reduction).

    With `taps` every reduction runs for each point of them too, and `windows` combine what it found over the taps, in
    registers, before the lets: pooling right behind a contraction.
    """

    axes: tuple[Axis, ...]
    reductions: tuple[Reduction, ...]
    lets: tuple[Let, ...]
    stores: tuple[Store, ...]
    bounds: Mapping[str, tuple[Bound, Bound]] = field(default_factory=dict)
    blocking: Blocking | None = None
    taps: tuple[Axis, ...] = ()
    windows: tuple[Reduction, ...] = ()

    @property
    def bounding_axes(self) -> set[str]:
        """Names of axes that a bound depends on: they stay plain loops around the reductions."""
        return {name for bounds in self.bounds.values() for bound in bounds for name in names_in(bound)}

    @property
    def exprs(self) -> Iterator[Expr]:
        for reduction in (*self.reductions, *self.windows):
            yield from reduction.exprs
        for let in self.lets:
            yield let.value
        for store in self.stores:
            yield store.value

    @property
    def loads(self) -> Iterator[Load]:
        for expr in self.exprs:
            yield from (e for e in walk(expr) if isinstance(e, Load))

    def map(self, fn: Callable[[Expr], Expr]) -> Part:
        """The part with every expression (not the store indices) replaced."""
        return replace(
            self,
            reductions=tuple(r.map(fn) for r in self.reductions),
            windows=tuple(r.map(fn) for r in self.windows),
            lets=tuple(Let(let.reg, fn(let.value)) for let in self.lets),
            stores=tuple(replace(s, value=fn(s.value)) for s in self.stores),
        )

    @property
    def points(self) -> int:
        return size_of(tuple(a.extent for a in self.axes))

    @property
    def reduced_points(self) -> int:
        """The largest number of points a result combines."""
        return max((size_of(tuple(a.extent for a in r.axes)) for r in self.reductions), default=1)


def extent(axis: Axis) -> Affine:
    """The runtime length of an axis."""
    return Affine((("rows", axis.extent.per),)) if isinstance(axis.extent, Rows) else const(axis.extent)


def flat(index: Sequence[Index], buffer: Buffer) -> Affine:
    """The element offset of the affine part of an index."""
    strides = buffer.strides if len(index) == len(buffer.shape) else (1,)
    total = Affine()
    for i, stride in zip(index, strides, strict=True):
        if isinstance(i, Affine):
            total = total + i * stride
    return total


def span(index: Affine, axes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Smallest and largest value of an affine index for axes in inclusive ranges."""
    low = high = index.constant
    for name, c in index.terms:
        first, last = axes[name]
        low, high = low + min(c * first, c * last), high + max(c * first, c * last)
    return low, high


def drop_safe_guards(part: Part, buffers: Sequence[Buffer], known: Mapping[str, tuple[int, int]] | None = None) -> Part:
    """Removes guards from load dimensions that no point of the axes leaves. `known` narrows the range of axes."""

    kept = {a.name: (0, int(a.extent) - 1) for a in (*part.axes, *part.taps)} | dict(known or {})

    def stripped(axes: tuple[Axis, ...]) -> Callable[[Expr], Expr]:
        return lambda expr: _unguarded(expr, buffers, kept | {a.name: (0, int(a.extent) - 1) for a in axes})

    outside = stripped(())
    return replace(
        part,
        reductions=tuple(r.map(stripped(r.axes)) for r in part.reductions),
        lets=tuple(Let(let.reg, outside(let.value)) for let in part.lets),
        stores=tuple(replace(s, value=outside(s.value)) for s in part.stores),
    )


def drop_guards(r: Reduction, buffers: Sequence[Buffer], ranges: Mapping[str, tuple[int, int]]) -> Reduction:
    """Removes the guards of a reduction that cannot fail for axes in these ranges; other axes keep theirs."""
    return r.map(lambda expr: _unguarded(expr, buffers, ranges))


def _unguarded(expr: Expr, buffers: Sequence[Buffer], ranges: Mapping[str, tuple[int, int]]) -> Expr:
    def leaf(e: Expr) -> Expr:
        if not isinstance(e, Load) or not e.guarded:
            return e
        shape = buffers[e.operand].shape
        return replace(e, guarded=tuple(d for d in e.guarded if _leaves(e.index[d], shape[d], ranges)))

    return rewrite(expr, leaf)


def _leaves(index: Index, dim: int, ranges: Mapping[str, tuple[int, int]]) -> bool:
    if not isinstance(index, Affine):
        return False
    if any(name not in ranges for name in index.axes):
        return True
    low, high = span(index, ranges)
    return low < 0 or high >= dim


# Coalescing: axes that every access walks as if they were one


def coalesce(part: Part, buffers: Sequence[Buffer]) -> Part:
    """Merges neighbouring axes wherever all accesses allow it: fewer, longer loops."""
    part = coalesce_reductions(part, buffers)
    fixed = part.bounding_axes
    position = len(part.axes) - 1
    while position > 0:
        outer, inner = part.axes[position - 1 : position + 1]
        is_free = outer.name not in fixed and inner.name not in fixed
        if is_free and _mergeable(outer, inner, tuple(part.exprs), part.stores, buffers):
            fix, fix_index = _merger(outer, inner, buffers)
            part = part.map(fix)
            merged = Axis(inner.name, merge((outer.extent, inner.extent)))
            part = replace(
                part,
                axes=(*part.axes[: position - 1], merged, *part.axes[position + 1 :]),
                stores=tuple(replace(s, index=fix_index(s.index, s.buffer)) for s in part.stores),
            )
        position -= 1
    return part


def coalesce_reductions(part: Part, buffers: Sequence[Buffer]) -> Part:
    """Merges neighbouring reduce axes only."""
    return replace(part, reductions=tuple(_coalesce_reduction(r, part.bounds, buffers) for r in part.reductions))


def _coalesce_reduction(r: Reduction, bounds: Mapping[str, object], buffers: Sequence[Buffer]) -> Reduction:
    position = len(r.axes) - 1
    while position > 0:
        outer, inner = r.axes[position - 1 : position + 1]
        is_free = outer.name not in bounds and inner.name not in bounds
        if is_free and _mergeable(outer, inner, r.exprs, [], buffers):
            fix, _ = _merger(outer, inner, buffers)
            merged = Axis(inner.name, merge((outer.extent, inner.extent)))
            r = replace(r.map(fix), axes=(*r.axes[: position - 1], merged, *r.axes[position + 1 :]))
        position -= 1
    return r


def _mergeable(
    outer: Axis, inner: Axis, exprs: Iterable[Expr], stores: Iterable[Store], buffers: Sequence[Buffer]
) -> bool:
    if isinstance(inner.extent, Rows):
        return False
    step = int(inner.extent)

    def walks_as_one(index: Affine) -> bool:
        return index.coefficient(outer.name) == index.coefficient(inner.name) * step

    for expr in exprs:
        for e in walk(expr):
            match e:
                case Position(index):
                    if not walks_as_one(index):
                        return False
                case Load(operand, index, _, guarded):
                    if not _access_as_one(index, guarded, buffers[operand], (outer.name, inner.name), walks_as_one):
                        return False
    return all(walks_as_one(flat(s.index, buffers[s.buffer])) for s in stores)


def _access_as_one(
    index: tuple[Index, ...],
    guarded: tuple[int, ...],
    buffer: Buffer,
    names: tuple[str, str],
    walks_as_one: Callable[[Affine], bool],
) -> bool:
    affine = [i for i in index if isinstance(i, Affine)]
    if all(walks_as_one(i) for i in affine):
        return True
    if guarded or len(affine) < len(index):
        return False
    return walks_as_one(flat(index, buffer))


def _merger(
    outer: Axis, inner: Axis, buffers: Sequence[Buffer]
) -> tuple[Callable[[Expr], Expr], Callable[[tuple[Index, ...], int], tuple[Index, ...]]]:
    """How expressions and indices are rewritten when the two axes become one, named after the inner."""
    gone = {outer.name: Affine()}
    step = int(inner.extent)

    def fix_index(index: tuple[Index, ...], operand: int) -> tuple[Index, ...]:
        affine = [i for i in index if isinstance(i, Affine)]
        if any(i.coefficient(outer.name) != i.coefficient(inner.name) * step for i in affine):
            index = (flat(index, buffers[operand]),)
        return tuple(i.substitute(gone) if isinstance(i, Affine) else i for i in index)

    def leaf(e: Expr) -> Expr:
        match e:
            case Load():
                return replace(e, index=fix_index(e.index, e.operand))
            case Position(index, dtype):
                return Position(index.substitute(gone), dtype)
        return e

    return lambda expr: rewrite(expr, leaf), fix_index


def work(part: Part, buffers: Sequence[Buffer]) -> tuple[float, float]:
    """Rough (operations, bytes from memory) of a part, for deciding how much one chunk of it is."""
    operations = 0.0
    for reduction in part.reductions:
        each = sum(_operations(e) for e in reduction.exprs) + 1.0
        operations += each * part.points * size_of(tuple(a.extent for a in (*reduction.axes, *part.taps)))
    operations += part.points * sum(_operations(let.value) for let in part.lets)
    operations += part.points * sum(_operations(s.value) + 1 for s in part.stores)
    touched = {load.operand for load in part.loads} | {s.buffer for s in part.stores}
    nbytes = sum(
        min(size_of(buffers[b].shape), part.points * part.reduced_points) * buffers[b].dtype.size for b in touched
    )
    return operations, float(nbytes)


def _operations(expr: Expr) -> float:
    return float(sum(15 if e.fn in COSTLY else 1 for e in walk(expr) if isinstance(e, Apply)))


def chunk(units: int, operations: float, nbytes: float) -> int:
    """Units of one chunk of parallel work: some microseconds each, at most 32 chunks, fixed by the shapes alone."""
    microseconds = operations / 60e3 + nbytes / 30e3
    chunks = max(1, min(units, 32, int(microseconds / 4)))
    return -(-units // chunks)
