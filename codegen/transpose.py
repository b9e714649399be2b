"""Copies whose reads and writes are contiguous along different axes, tile by tile through registers."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.loops import Block, Buffer, Kernel, Loop, Split, Transpose, const, larger, smaller
from codegen.parts import Part, chunk, flat, work
from codegen.target import Target
from graphc.ir.nest import Affine, Axis, Load
from graphc.ir.types import DType, size_of


def transposed_axes(part: Part, buffers: Sequence[Buffer]) -> tuple[Axis, Axis] | None:
    """(axis contiguous in the store, axis contiguous in the load) of a plain copy that transposes, or None."""
    if part.reductions or part.lets or len(part.stores) != 1:
        return None
    (store,) = part.stores
    load = store.value
    if not isinstance(load, Load) or load.guarded or store.add:
        return None
    # their registers are not what lies in memory
    if load.dtype is DType.BOOL or buffers[load.operand].dtype.is_half:
        return None
    if load.dtype is not buffers[store.buffer].dtype or any(not isinstance(i, Affine) for i in load.index):
        return None
    reads, writes = flat(load.index, buffers[load.operand]), flat(store.index, buffers[store.buffer])
    rows = [a for a in part.axes if writes.coefficient(a.name) == 1 and reads.coefficient(a.name) not in (0, 1)]
    columns = [a for a in part.axes if reads.coefficient(a.name) == 1 and writes.coefficient(a.name) not in (0, 1)]
    return (rows[0], columns[0]) if rows and columns else None


def transpose_kernel(
    name: str, part: Part, row: Axis, column: Axis, buffers: Sequence[Buffer], target: Target
) -> Kernel:
    """Tiles of lanes x lanes elements; the other axes and the blocks of rows are the units of parallel work."""
    (store,) = part.stores
    load = store.value
    assert isinstance(load, Load)
    lanes = target.lanes(load.dtype.size)
    outer = [axis for axis in part.axes if axis not in (row, column)]
    blocks = [(f"{axis.name}.b", -(-int(axis.extent) // lanes)) for axis in (row, column)]
    levels = [(axis.name, int(axis.extent)) for axis in outer] + blocks[:1]

    def tile(rows: int, columns: int) -> Transpose:
        row_base, column_base = (Affine.of(var) * lanes for var, _ in blocks)
        index = tuple(i for i in store.index if isinstance(i, Affine))
        return Transpose(load, store.buffer, index, row.name, column.name, row_base, column_base, lanes, rows, columns)

    def columns_of(rows: int) -> Block:
        whole, rest = divmod(int(column.extent), lanes)
        var = blocks[1][0]
        block: Block = (Loop(var, const(0), const(whole), (tile(rows, lanes),)),) if whole else ()
        return (*block, Loop(var, const(whole), const(whole + 1), (tile(rows, rest),))) if rest else block

    var = blocks[0][0]
    unit = Affine.of(f"{var}.u")
    whole, rest = divmod(int(row.extent), lanes)
    body: Block = (Loop(var, unit, smaller(unit + 1, const(whole)), columns_of(lanes)),) if whole else ()
    if rest:
        body = (*body, Loop(var, larger(unit, const(whole)), unit + 1, columns_of(rest)))
    split = Split("unit", tuple((f"{v}.u" if v == var else v, n) for v, n in levels), body)
    units = size_of(tuple(n for _, n in levels))
    loops = (Loop("unit", Affine.of("begin"), Affine.of("end"), (split,)),)
    return Kernel(name, tuple(buffers), units, chunk(units, *work(part, buffers)), loops, f"transpose={lanes}x{lanes}")
