"""Kernels that work row by row: reductions along the contiguous axis, in one or several stages over the same row.

Softmax, cross-entropy, layer norm, a dot product, a mean over everything: for every point of the kept axes each stage
runs along the row in vectors, combines its lanes, and later stages use what earlier ones found. A costly value that
several stages need is kept in a row of scratch memory. Scalar products, as of a convolution with few filters, are
computed a handful at a time, which share what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from codegen.loops import (
    Block,
    Bound,
    Buffer,
    Kernel,
    Let,
    Loop,
    Split,
    Stmt,
    Store,
    Unroll,
    Vector,
    const,
    substituted,
)
from codegen.parts import Part, Reduction, chunk, extent, work
from codegen.reductions import accumulations, folded, initial
from codegen.schedule import lanes_of
from codegen.target import Target
from graphc.ir.nest import AcrossLanes, Affine, Apply, Axis, Const, Expr, Position, substitute
from graphc.ir.types import DType, Rows, size_of

SHORT = 4  # rows of at most so many vectors are written out
CHAINS = 4  # accumulators of a longer row
OPERANDS = 4  # registers besides the accumulators, of half of all


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass along the row: reductions and stores over `axes`; then `after`, once a row.

    Every reduction's result is a scalar register of the reduction's own name (for argmax the position).
    """

    axes: tuple[Axis, ...]
    reductions: tuple[Reduction, ...] = ()
    lets: tuple[Let, ...] = ()
    stores: tuple[Store, ...] = ()
    after: Block = ()
    bounds: dict[str, tuple[Bound, Bound]] = field(default_factory=dict)


def row_kernel(
    name: str, kept: Sequence[Axis], stages: Sequence[Stage], buffers: Sequence[Buffer], target: Target
) -> Kernel:
    """The kernel that runs all stages for every point of the kept axes."""
    parts = [Part(tuple(kept) + (() if s.reductions else s.axes), s.reductions, s.lets, s.stores) for s in stages]
    lanes = min(lanes_of(part, buffers, target) for part in parts)
    schedule = f"rows=({', '.join(a.name for a in kept)}), lanes={lanes}, stages={len(stages)}"
    together: tuple[Axis, ...] = ()
    if len(stages) == 1 and _is_product(stages[0]):
        left, together, places = _group(kept, target.registers // 2 - OPERANDS)
        if together:
            kept, stages = left, [_moved(stages[0], places)]
            schedule += f", together={{{', '.join(f'{a.name}: {a.extent}' for a in together)}}}"
    body: list[Stmt] = []
    for stage in stages:
        body += _stage(stage, lanes, together)
    totals = [work(part, buffers) for part in parts]
    units = size_of(tuple(a.extent for a in kept))
    grain = chunk(units, sum(t[0] for t in totals), max(t[1] for t in totals))
    return Kernel(name, tuple(buffers), units, grain, _over_rows(kept, tuple(body)), schedule)


def _is_product(stage: Stage) -> bool:
    is_alone = len(stage.reductions) == 1 and not stage.lets and not stage.stores and not stage.bounds
    return is_alone and stage.reductions[0].is_contraction


def _group(kept: Sequence[Axis], room: int) -> tuple[tuple[Axis, ...], tuple[Axis, ...], dict[str, Affine]]:
    """Which results are computed together, at most `room`: the last kept axes, and a divisor of the next.

    Returns the axes that are left, those of the group, and where in them the axis lies that was divided. One result is
    no group.
    """
    outer, group, places = list(kept), list[Axis](), dict[str, Affine]()
    while outer and not isinstance(outer[-1].extent, Rows):
        axis = outer[-1]
        extent = int(axis.extent)
        size = next(n for n in range(min(room, extent), 0, -1) if extent % n == 0)
        if size == extent:
            group.append(outer.pop())
            room //= size
            continue
        if size > 1:
            outer[-1] = Axis(f"{axis.name}.b", extent // size)
            places[axis.name] = Affine.of(outer[-1]) * size + Affine.of(f"{axis.name}.i")
            group.append(Axis(f"{axis.name}.i", size))
        break
    if size_of(tuple(axis.extent for axis in group)) < 2:
        return tuple(kept), (), {}
    return tuple(outer), tuple(reversed(group)), places


def _moved(stage: Stage, places: dict[str, Affine]) -> Stage:
    reductions = tuple(r.map(lambda e: substitute(e, places)) for r in stage.reductions)
    return replace(stage, reductions=reductions, after=substituted(stage.after, places))


def _each(group: Sequence[Axis], body: Block) -> Block:
    """The statements for every result of a group, written out."""
    for axis in reversed(group):
        body = (Unroll(axis.name, tuple(range(int(axis.extent))), body),)
    return body


def _over_rows(kept: Sequence[Axis], body: Block) -> Block:
    begin, end = Affine.of("begin"), Affine.of("end")
    if not kept:
        return body
    if len(kept) == 1:
        return (Loop(kept[0].name, begin, _until(end, kept[0]), body),)
    for axis in kept:
        if isinstance(axis.extent, Rows):
            body = (Loop(axis.name, Affine.of(f"{axis.name}.u"), _until(Affine.of(f"{axis.name}.u") + 1, axis), body),)
    parts = tuple((f"{a.name}.u" if isinstance(a.extent, Rows) else a.name, int(a.extent)) for a in kept)
    return (Loop("unit", begin, end, (Split("unit", parts, body),)),)


def _until(stop: Affine, axis: Axis) -> Bound:
    if not isinstance(axis.extent, Rows):
        return stop
    return Apply("min", (Position(stop, DType.I64), Position(extent(axis), DType.I64)), DType.I64)


def _stage(stage: Stage, lanes: int, together: Sequence[Axis]) -> Block:
    if not stage.axes:
        return (*stage.lets, *stage.stores, *stage.after)
    # accumulators are numbered apart from the scalar that takes their name once the lanes are combined
    partial = tuple(replace(r, reg=replace(r.reg, name=f"{r.reg.name}.lanes")) for r in stage.reductions)
    chains = _chains(stage, lanes, together) if partial else ()
    var = stage.axes[-1].name
    block: list[Stmt] = []
    for chain in chains:
        block += _each(together, (Vector(var, const(0), lanes, initial(partial, chain)),))
    block += _passes(stage, partial, list(stage.axes), lanes, together)
    if len(chains) > 1:
        registers = [[replace(r.reg, index=chain) for r in partial] for chain in chains]
        block.append(Vector(var, const(0), lanes, folded(partial, registers)))
    results: list[Stmt] = []
    for reduction, lanewise in zip(stage.reductions, partial, strict=True):
        dtype = DType.I32 if reduction.position is not None else reduction.reg.dtype
        across = AcrossLanes(reduction.combine, replace(lanewise.reg, index=chains[0]), dtype)
        results.append(Let(replace(reduction.reg, dtype=dtype), across))
    return (*block, *_each(together, (*results, *stage.after)))


def _chains(stage: Stage, lanes: int, together: Sequence[Axis]) -> tuple[tuple[Affine, ...], ...]:
    """Register indices of the accumulators that take turns along the row: one, or CHAINS along a long row.

    Then no addition waits for the one before, and fewer come on top of each other. Results computed together do not
    wait for each other anyway.
    """
    if together:
        return (tuple(map(Affine.of, together)),)
    axis = stage.axes[-1]
    is_long = axis.name in stage.bounds or int(axis.extent) >= lanes * max(CHAINS, SHORT + 1)
    if stage.stores or not is_long or any(r.position is not None for r in stage.reductions):
        return ((),)
    return tuple((const(u),) for u in range(CHAINS))


def _passes(
    stage: Stage, partial: Sequence[Reduction], axes: list[Axis], lanes: int, together: Sequence[Axis]
) -> Block:
    axis = axes[0]
    start, stop = stage.bounds.get(axis.name, (const(0), extent(axis)))
    if len(axes) > 1:
        return (Loop(axis.name, start, stop, _passes(stage, partial, axes[1:], lanes, together)),)

    chains = _chains(stage, lanes, together)

    def body(at: Affine, chain: int, active: Bound | None = None) -> Block:
        steps = accumulations(partial, chains[chain], active is not None)
        return _each(together, (Vector(axis.name, at, lanes, (*steps, *stage.lets, *stage.stores), active),))

    if isinstance(stop, Affine) and not stop.terms and isinstance(start, Affine) and not start.terms:
        return _static_row(axis, stop.constant, lanes, len(chains), body)
    return _dynamic_row(axis, start, stop, lanes, len(chains), body)


Body = Callable[..., Block]
"""The work on one vector: from its first element, its chain, and how many lanes are active (default: all)."""


def _static_row(axis: Axis, length: int, lanes: int, chains: int, body: Body) -> Block:
    whole, rest = divmod(length, lanes)
    block: list[Stmt] = []
    at = f"{axis.name}.o"
    if 0 < whole <= SHORT:
        block.append(Unroll(at, tuple(range(whole)), body(Affine.of(at) * lanes, 0)))
    elif whole:
        long = whole - whole % chains
        block += _turns(at, const(0), const(long * lanes), lanes, chains, body)
        block += _turns(at, const(long * lanes), const(whole * lanes), lanes, 1, body) if long < whole else ()
    if rest:
        block += body(const(whole * lanes), 0, const(rest))
    return tuple(block)


def _turns(at: str, start: Bound, stop: Bound, lanes: int, chains: int, body: Body) -> Block:
    """Whole vectors from start to stop, a vector to each chain in turn."""
    turns = tuple(stmt for u in range(chains) for stmt in body(Affine.of(at) + u * lanes, u))
    return (Loop(at, start, stop, turns, lanes * chains),)


def _dynamic_row(axis: Axis, start: Bound, stop: Bound, lanes: int, chains: int, body: Body) -> Block:
    """Whole vectors, then one masked vector if anything is left."""
    at = f"{axis.name}.o"
    first, last = (Position(b, DType.I64) if isinstance(b, Affine) else b for b in (start, stop))
    length = Apply("max", (Apply("sub", (last, first), DType.I64), Const(0, DType.I64)), DType.I64)

    def until(step: int) -> Expr:
        rest = Apply("mod", (length, Const(step, DType.I64)), DType.I64)
        return Apply("sub", (last, rest), DType.I64)

    left = Apply("sub", (last, Position(Affine.of(at), DType.I64)), DType.I64)
    turns = _turns(at, start, until(lanes * chains), lanes, chains, body)
    if chains > 1:
        turns = (*turns, *_turns(at, until(lanes * chains), until(lanes), lanes, 1, body))
    return (*turns, Loop(at, until(lanes), last, body(Affine.of(at), 0, left), lanes))
