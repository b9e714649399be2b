"""Kernels whose reduce axes must run in order: scattered additions and running results.

What runs in parallel is the kept axes, where the results lie: each unit adds to places of its own, in one order for any
number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.loops import (
    Accumulate,
    Block,
    Buffer,
    Kernel,
    Let,
    Loop,
    Registers,
    Set,
    Split,
    Store,
    Vector,
    const,
    larger,
    smaller,
)
from codegen.parts import Part, chunk, extent, work
from codegen.reductions import identity
from codegen.schedule import vector_axis
from codegen.target import Target
from graphc.ir.nest import Affine, Axis, Expr, Index, Nest, Reg
from graphc.ir.types import Rows, size_of


def ordered_kernel(
    name: str,
    nest: Nest,
    lets: tuple[Let, ...],
    body: Expr,
    store: tuple[int, tuple[Index, ...]],
    buffers: Sequence[Buffer],
    target: Target,
) -> Kernel:
    """Adds (or accumulates and stores) `body` at `store`, a buffer and an index, for every point of the reduce axes in
    order; the last kept axis along the lanes where that is contiguous."""
    number, index = store
    dtype = buffers[number].dtype
    init: Block = ()
    inner: Block = (*lets, Store(number, index, body, add=True))
    if not nest.scatter:
        acc = Reg("running", dtype)
        init = (Set(acc, identity(nest.combine, dtype)),)
        inner = (*lets, Accumulate(acc, nest.combine, body), Store(number, index, acc))
    probe = Part(nest.axes, (), lets, (Store(number, index, body),))
    axis = vector_axis(probe, buffers) if nest.axes else None
    lanes = target.lanes(max(4, dtype.size))
    blocks = -(-int(axis.extent) // lanes) if axis else 1

    def along(lane_block: Callable[[Block], Block]) -> Block:
        return _in_order(nest.reduce, init, inner, lane_block)

    block = _lane_blocks(axis, lanes, along) if axis else along(lambda b: b)
    levels: list[tuple[str, int]] = []
    for a in reversed(nest.axes):
        var, count, end = (f"{a.name}.b.u", blocks, const(blocks)) if a is axis else (a.name, int(a.extent), extent(a))
        if Affine.of(a) in index and not isinstance(a.extent, Rows):
            levels.insert(0, (var, count))
        else:
            block = (Loop(var, const(0), end, block),)
    schedule = f"in order, vector={axis.name if axis else 'none'}"
    if not levels:
        return Kernel(name, tuple(buffers), 1, 1, block, schedule)
    units = size_of(tuple(n for _, n in levels))
    operations, nbytes = work(probe, buffers)
    steps = size_of(tuple(a.extent for a in nest.reduce))
    loops = (Loop("unit", Affine.of("begin"), Affine.of("end"), (Split("unit", tuple(levels), block),)),)
    return Kernel(name, tuple(buffers), units, chunk(units, operations * steps, nbytes * steps), loops, schedule)


def _lane_blocks(axis: Axis, lanes: int, along: Callable[[Callable[[Block], Block]], Block]) -> Block:
    """Everything for one block of lanes of the axis, the last of which may be shorter."""
    var, unit = f"{axis.name}.b", Affine.of(f"{axis.name}.b.u")
    whole, rest = divmod(int(axis.extent), lanes)
    at = Affine.of(var) * lanes
    block: Block = ()
    if whole:
        body = along(lambda b: (Vector(axis.name, at, lanes, b),))
        block = (Loop(var, unit, smaller(unit + 1, const(whole)), body),)
    if rest:
        body = along(lambda b: (Vector(axis.name, at, lanes, b, const(rest)),))
        block = (*block, Loop(var, larger(unit, const(whole)), unit + 1, body))
    return block


def _in_order(axes: Sequence[Axis], init: Block, inner: Block, lanes: Callable[[Block], Block]) -> Block:
    block = lanes(inner)
    for axis in reversed(axes):
        block = (Loop(axis.name, const(0), extent(axis), block),)
    names = tuple(s.reg.name for s in init if isinstance(s, Set))
    return (Registers(names, (*lanes(init), *block)),) if names else block
