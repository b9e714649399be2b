"""Schedules: which axis is the vector, what is unrolled into registers, in which order the rest runs. Plain data.

Chosen by a small cost model from shapes and the target alone, in microseconds; never by op, never by thread count.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from codegen.choice import MODEL, Choice
from codegen.loops import Buffer
from codegen.parts import Part, Reduction, flat
from codegen.target import Target
from graphc.ir.nest import Affine, Axis, Load, Position, walk
from graphc.ir.types import Rows, size_of

LINE = 64  # bytes of a cache line
LATENCY = 4  # cycles from one fused multiply-add to the next on the same register
OPERAND = 0.25  # cycles an operand of a step costs beyond its load, on average
UNROLLED = 16  # reductions of at most so many points are written out
FOOTPRINT_BYTES = 512 * 1024  # operands of one tile that need more are walked in blocks
BLOCK_BYTES = 128 * 1024  # of about this size
BLOCK_POINTS = 96  # but of at least so many reduction steps, to pay for the accumulators' way to memory
BLOCKS = 8  # of columns a sum of rows has at least, if it has more than a few
STORES = 4  # a map with more results than this has work enough in one vector
SIDE_BY_SIDE = 4  # up to so many contiguous results waste a vector
SCATTERED = 4  # how many times as many others must be, to be preferred though they are stored one by one
SCATTERED_POINTS = 512  # and for how many reduction steps that pays
PANEL_BYTES = 256 * 1024  # weights larger than this are walked panel by panel


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks first..first+count of an axis: block b covers `size` points from start + (b - first) * size."""

    first: int
    count: int
    start: int
    size: int

    def begin(self, block: Affine) -> Affine:
        """The first point of a block; a constant when there is only one."""
        if self.count == 1:
            return Affine((), self.start)
        return (block - self.first) * self.size + self.start


@dataclass(frozen=True, slots=True)
class Tiling:
    """How the kept axes of a part are walked: registers hold `rows` x `vectors` results at a time."""

    lanes: int
    vector: str  # the axis along the lanes, "" for scalars
    vector_segments: tuple[Segment, ...]  # in elements
    full: tuple[str, ...]  # axes unrolled whole
    row: str  # axis unrolled in blocks, "" if none
    row_segments: tuple[Segment, ...]
    vector_first: bool  # vector blocks are the outermost loop (large weights)

    def __str__(self) -> str:
        parts = [f"{self.vector}: {self.vector_segments[0].size}"] if self.vector else []
        parts += [f"{axis}: all" for axis in self.full]
        parts += [f"{self.row}: {self.row_segments[0].size}"] if self.row else []
        return f"tile={{{', '.join(parts)}}}, vector={self.vector or 'none'}, lanes={self.lanes}"


def lanes_of(part: Part, buffers: Sequence[Buffer], target: Target) -> int:
    """Lanes of the part's vectors: those of its widest element, 4 bytes at least."""
    touched = {load.operand for load in part.loads} | {s.buffer for s in part.stores}
    return target.lanes(max([4, *(buffers[b].dtype.size for b in touched)]))


def strides_along(part: Part, axis: str, buffers: Sequence[Buffer]) -> set[int]:
    """The element steps of all loads when `axis` moves by one; 99 stands for an indirect index."""
    found = set()
    for load in part.loads:
        found.add(flat(load.index, buffers[load.operand]).coefficient(axis))
        for i in load.index:
            if not isinstance(i, Affine) and any(isinstance(e, Load | Position) and _moves(e, axis) for e in walk(i)):
                found.add(99)
    return found


def _moves(e: Load | Position, axis: str) -> bool:
    if isinstance(e, Position):
        return e.index.coefficient(axis) != 0
    return any(isinstance(i, Affine) and i.coefficient(axis) for i in e.index)


def store_stride(part: Part, axis: str, buffers: Sequence[Buffer]) -> int:
    strides = {flat(s.index, buffers[s.buffer]).coefficient(axis) for s in part.stores}
    return next(iter(strides)) if len(strides) == 1 else 0


def vector_axis(part: Part, buffers: Sequence[Buffer]) -> Axis | None:
    """The kept axis along which everything is contiguous or constant (the longest such), or None.

    A contraction that runs for long and has next to no results side by side may write its results here and there.
    """
    good = [a for a in _laneable(part, buffers) if strides_along(part, a.name, buffers) <= {0, 1}]
    best = max(good, key=lambda a: int(a.extent), default=None)
    if best is None or int(best.extent) > SIDE_BY_SIDE or part.reduced_points < SCATTERED_POINTS or part.taps:
        return best
    if len(part.reductions) != 1 or not part.reductions[0].is_contraction or len(part.stores) != 1:
        return best
    least = SCATTERED * int(best.extent)
    others = [a for a in part.axes if not isinstance(a.extent, Rows) and int(a.extent) >= least]
    others = [a for a in others if a.name not in part.bounding_axes and strides_along(part, a.name, buffers) <= {0, 1}]
    return max(others, key=lambda a: int(a.extent), default=best)


def contiguous_store_axis(part: Part, buffers: Sequence[Buffer]) -> Axis | None:
    """The kept axis along which results lie side by side, whatever the loads do."""
    return max(_laneable(part, buffers), key=lambda a: int(a.extent), default=None)


def _laneable(part: Part, buffers: Sequence[Buffer]) -> list[Axis]:
    fixed = part.bounding_axes
    return [a for a in part.axes if a.name not in fixed and store_stride(part, a.name, buffers) == 1]


def choose_tiling(part: Part, buffers: Sequence[Buffer], target: Target, choice: Choice = MODEL) -> Tiling:
    """Picks vector axis and register tile for a part whose kept axes are vectorised."""
    lanes = lanes_of(part, buffers, target)
    axis = vector_axis(part, buffers) or contiguous_store_axis(part, buffers)
    if axis is None:
        return Tiling(1, "", (), (), "", (), False)
    vectors_in_all = math.ceil(int(axis.extent) / lanes)
    if not part.taps and not any(r.is_contraction for r in part.reductions):
        if part.reductions:  # wide, because memory comes in long runs then; but enough blocks for all threads
            vectors = min(vectors_in_all, max(4, min(8, vectors_in_all // BLOCKS)))
        else:
            vectors = min(vectors_in_all, 2 if len(part.stores) <= STORES else 1)
        segments = vector_segments(int(axis.extent), lanes, vectors)
        return Tiling(lanes, axis.name, segments, (), "", (), False)
    full, row, rows, vectors = _register_tile(part, axis, buffers, vectors_in_all, target.registers, choice)
    weights = _vector_operand_bytes(part, axis.name, row, buffers)
    row_extent = next((int(a.extent) for a in part.axes if a.name == row), 0)
    return Tiling(
        lanes,
        axis.name,
        vector_segments(int(axis.extent), lanes, vectors),
        full,
        row,
        balanced(row_extent, rows) if row else (),
        weights > PANEL_BYTES or len(part.axes) <= 2,
    )


def _register_tile(
    part: Part, vector: Axis, buffers: Sequence[Buffer], vectors_in_all: int, registers: int, choice: Choice
) -> tuple[tuple[str, ...], str, int, int]:
    """(axes unrolled whole, axis unrolled in blocks, its block, vectors): the cheapest per result by the cost model.

    Beside the accumulators a row of vectors and one broadcast must fit the registers. A tile that was chosen costs
    nothing, if it is among those that fit.
    """
    fixed = part.bounding_axes
    reusing = [
        a
        for a in part.axes
        if a is not vector and a.name not in fixed and _reuses_vectors(part, a.name, vector.name, buffers)
    ]
    best: tuple[tuple[str, ...], str, int, int] = ((), "", 1, min(vectors_in_all, 8))
    best_cost = math.inf
    for vectors in range(1, min(vectors_in_all, 6) + 1):
        room = (registers - vectors - 1) // vectors
        full, row, extent, whole = _rows_available(reusing, room, part.taps)
        for rows in range(1, min(extent, room // whole) + 1):
            is_chosen = (rows, vectors) == (choice.rows, choice.vectors)
            cost = -1.0 if is_chosen else _cost(whole, rows, extent, vectors, vectors_in_all)
            if cost < best_cost * 0.999:
                best, best_cost = (full, row, rows, vectors), cost
    full, row, rows, vectors = best
    if (
        row
        and rows == int(next(a.extent for a in part.axes if a.name == row))
        and not isinstance(_axis(part, row).extent, Rows)
    ):
        return (*full, row), "", 1, vectors
    return full, row, rows, vectors


def block_length(part: Part, buffers: Sequence[Buffer], target: Target, choice: Choice = MODEL) -> int:
    """Into blocks of how many points the first reduce axis is cut; 0 when the operands of a tile fit the cache."""
    if len(part.reductions) != 1 or not part.reductions[0].is_contraction or part.bounds or part.taps:
        return 0
    (reduction,) = part.reductions
    tiling = choose_tiling(part, buffers, target, choice)
    first, *inner = reduction.axes
    if choice.block is not None and tiling.vector:
        return choice.block if 2 * choice.block <= int(first.extent) else 0
    points = size_of(tuple(a.extent for a in reduction.axes))
    footprint = points * sum(_bytes_a_step(load, reduction, tiling, buffers) for load in part.loads)
    if footprint <= FOOTPRINT_BYTES or not tiling.vector:
        return 0
    length = max(
        BLOCK_BYTES * int(first.extent) // footprint, -(-BLOCK_POINTS // size_of(tuple(a.extent for a in inner)))
    )
    return length if 2 * length <= int(first.extent) else 0


def _bytes_a_step(load: Load, reduction: Reduction, tiling: Tiling, buffers: Sequence[Buffer]) -> int:
    """Bytes of cache one reduction step of a tile touches through a load, whole lines where steps jump."""
    buffer = buffers[load.operand]
    offset = flat(load.index, buffer)
    rows = tiling.row_segments[0].size if tiling.row and offset.coefficient(tiling.row) else 1
    if offset.coefficient(reduction.axes[-1].name) == 1:
        return buffer.dtype.size * rows
    if offset.coefficient(tiling.vector):
        return tiling.vector_segments[0].size * buffer.dtype.size
    return LINE if tiling.row and offset.coefficient(tiling.row) == 1 else LINE * rows


def _axis(part: Part, name: str) -> Axis:
    return next(a for a in part.axes if a.name == name)


def _rows_available(reusing: list[Axis], room: int, taps: Sequence[Axis]) -> tuple[tuple[str, ...], str, int, int]:
    """The taps and small innermost axes, unrolled whole while they fit, then one axis to block.

    Returns (axes unrolled whole, the axis to block, its extent, the product of the first).
    """
    full = [axis.name for axis in taps]
    product = size_of(tuple(axis.extent for axis in taps))
    for axis in reversed(reusing):
        extent = int(axis.extent)
        if isinstance(axis.extent, Rows) or extent * product > max(room, 1) or extent > 3:
            return tuple(full), axis.name, extent, product
        full.append(axis.name)
        product *= extent
    return tuple(full), "", 1, product


def _cost(whole: int, rows: int, extent: int, vectors: int, vectors_in_all: int) -> float:
    """Cycles of one reduction step over all results: two multiply-adds or two loads a cycle, never below the latency,
    and a little for every operand, because some come from beyond the first cache."""
    blocks = math.ceil(extent / rows)
    vector_blocks = math.ceil(vectors_in_all / vectors)
    results = whole * (extent / blocks) * (vectors_in_all / vector_blocks)
    operands = whole * (extent / blocks) + vectors_in_all / vector_blocks
    return blocks * vector_blocks * (max(results / 2, operands / 2 + 0.5, LATENCY) + OPERAND * operands)


def _reuses_vectors(part: Part, axis: str, vector: str, buffers: Sequence[Buffer]) -> bool:
    """Whether some load along the vector axis does not depend on `axis`, so that a row of tiles shares it."""
    return any(
        flat(load.index, buffers[load.operand]).coefficient(vector)
        and not any(isinstance(i, Affine) and i.coefficient(axis) for i in load.index)
        for r in part.reductions
        for e in r.exprs
        for load in walk(e)
        if isinstance(load, Load)
    )


def _vector_operand_bytes(part: Part, vector: str, row: str, buffers: Sequence[Buffer]) -> int:
    """Of the largest operand that gives a tile its vectors and that all rows share."""
    sizes = [
        math.prod(map(int, buffers[load.operand].shape)) * buffers[load.operand].dtype.size
        for r in part.reductions
        for e in r.exprs
        for load in walk(e)
        if isinstance(load, Load)
        and (offset := flat(load.index, buffers[load.operand])).coefficient(vector)
        and not (row and offset.coefficient(row))
    ]
    return max(sizes, default=0)


def balanced(extent: int, size: int) -> tuple[Segment, ...]:
    """Blocks of nearly equal size, at most `size`: never one large and a remainder."""
    blocks = math.ceil(extent / size)
    small, larger = divmod(extent, blocks)
    if not larger:
        return (Segment(0, blocks, 0, small),)
    return (Segment(0, larger, 0, small + 1), Segment(larger, blocks - larger, larger * (small + 1), small))


def vector_segments(extent: int, lanes: int, vectors: int) -> tuple[Segment, ...]:
    """Blocks of `vectors` whole vectors, then what is left as one smaller block."""
    size = lanes * vectors
    whole, rest = divmod(extent, size)
    segments = [Segment(0, whole, 0, size)] if whole else []
    if rest:
        segments.append(Segment(whole, 1, whole * size, rest))
    return tuple(segments)


def peeled(segments: Sequence[Segment], is_inside: dict[int, bool]) -> tuple[Segment, ...]:
    """The same blocks with those that need a guard on their own: `is_inside` tells for each block number."""
    result: list[Segment] = []
    for segment in segments:
        blocks = range(segment.first, segment.first + segment.count)
        for inside, group in itertools.groupby(blocks, key=lambda b: is_inside[b]):
            numbers = list(group)
            runs = [numbers] if inside else [[n] for n in numbers]
            for run in runs:
                start = segment.start + (run[0] - segment.first) * segment.size
                result.append(Segment(run[0], len(run), start, segment.size))
    return tuple(result)
