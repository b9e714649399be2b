"""Packing: an operand of a contraction copied, before the contraction, into the order in which it will be read.

It pays where the operand is not contiguous along the results at all (a transposed matrix), and where it is large and
its steps are so long that neither prefetching nor address translation keeps up: then it is cut into panels as wide as a
register tile, each contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from codegen.choice import MODEL, Choice
from codegen.loops import Buffer, Store
from codegen.parts import Part, flat
from codegen.schedule import contiguous_store_axis, vector_axis
from codegen.target import Target
from graphc.ir.nest import Affine, Apply, Axis, Expr, Load, rewrite, substitute
from graphc.ir.types import DType, Rows, size_of

NARROW = 4  # kept axes shorter than this are not worth the lanes
PANEL_VECTORS = 2  # width of a panel, in vectors
LONG_STEP = 1024  # bytes between reduction steps from which a large operand is cut into panels
LARGE = 2 * 1024 * 1024  # bytes of an operand that does not stay in the cache next to the core
LARGE_TURNED = 512 * 1024  # the same for one that must be copied anyway
LARGE_FIXED = 256 * 1024  # and for one that is copied once for many runs, or read by tiles that leave its lines unused
PAGE = 4096  # bytes between reduction steps from which every step costs an address translation
LINE = 64  # bytes of a cache line
WAYS = 8  # lines that a cache holds of those whose addresses differ by pages
SHARED = 8  # and results that must share the few of a narrow axis for the copy that puts their steps side by side
ROWS = 128  # results that must share an operand for the copy to pay

AddBuffer = Callable[[str, DType, tuple[int, ...]], int]


@dataclass(frozen=True, slots=True)
class Packed:
    """The copy to run first, into buffer `number`, and the contraction that reads it. Fixed: the operand stays."""

    copy: Part
    part: Part
    number: int
    is_fixed: bool


def pack(
    part: Part,
    buffers: Sequence[Buffer],
    target: Target,
    add_buffer: AddBuffer,
    fixed: Collection[int] = (),
    choice: Choice = MODEL,
) -> Packed | None:
    """The part with one operand packed, or None where that does not pay or is not possible.

    `fixed` operands are copied once for many runs.
    """
    if len(part.reductions) != 1 or not part.reductions[0].is_contraction or len(part.axes) < 2:
        return None
    axis = vector_axis(part, buffers) or contiguous_store_axis(part, buffers)
    if axis is None or int(axis.extent) < NARROW:
        return None
    load = _operand_along(part, axis.name, buffers)
    if load is None or load.guarded or any(not isinstance(i, Affine) for i in load.index):
        return None
    is_contiguous = flat(load.index, buffers[load.operand]).coefficient(axis.name) == 1
    width = PANEL_VECTORS * target.lanes(load.dtype.size)
    is_fixed = load.operand in fixed
    if is_fixed or (is_contiguous and not _fills_lines(target)):
        least = LARGE_FIXED
    else:
        least = LARGE if is_contiguous else LARGE_TURNED
    if _fits_panels(axis, width) and (
        choice.packed
        if choice.packed is not None
        else _wants_panels(part, load, axis, buffers, least, 1 if is_fixed else ROWS)
    ):
        part, axis = _in_panels(part, axis, width)
        load = _operand_along(part, axis.name, buffers) or load
    elif is_contiguous:
        return None
    return _copied(part, load, axis, buffers, add_buffer, is_fixed)


def pack_rows(
    part: Part, buffers: Sequence[Buffer], target: Target, add_buffer: AddBuffer, fixed: Collection[int] = ()
) -> Packed | None:
    """The part with the operand that gives a tile its rows copied so that reduction steps lie side by side, and rows
    not a multiple of pages apart.

    It pays where the operand is large, read often, and its steps are pages apart (the left factor of A^T B), or its
    rows are: then those of one tile drive each other out of the cache.
    """
    if len(part.reductions) != 1 or not part.reductions[0].is_contraction or len(part.axes) < 2 or part.taps:
        return None
    is_direct = vector_axis(part, buffers) is not None
    axis = vector_axis(part, buffers) or contiguous_store_axis(part, buffers)
    inner = part.reductions[0].axes[-1]
    if axis is None or int(inner.extent) < ROWS:
        return None
    load = _operand_along(part, axis.name, buffers, is_along=False)
    if load is None or load.guarded or any(not isinstance(i, Affine) for i in load.index):
        return None
    buffer = buffers[load.operand]
    fills = _fills_lines(target)
    if size_of(buffer.shape) * buffer.dtype.size < (LARGE if fills else LARGE_TURNED):
        return None
    offset = flat(load.index, buffer) * buffer.dtype.size
    if offset.coefficient(inner.name) >= (PAGE if fills else LONG_STEP):
        least = ROWS
    elif any(_collides(offset.coefficient(a.name)) for a in part.axes if int(a.extent) > WAYS):
        least = 4 * ROWS if is_direct else ROWS  # without panels a tile is wide and has few rows
    else:
        return None
    if int(axis.extent) < least:
        return None
    return _copied(part, load, inner, buffers, add_buffer, load.operand in fixed, LINE // buffer.dtype.size)


def pack_steps(
    part: Part, buffers: Sequence[Buffer], target: Target, add_buffer: AddBuffer, fixed: Collection[int] = ()
) -> Packed | None:
    """The part with the operand of a few neighbouring results, as the weights of a convolution with three filters,
    copied so that reduction steps lie side by side.

    It pays where the other operand is like that already: then lanes are for steps, because results would not fill them.
    """
    if len(part.reductions) != 1 or not part.reductions[0].is_contraction or part.bounds or part.taps:
        return None
    axis, inner = vector_axis(part, buffers), part.reductions[0].axes[-1]
    lanes = target.lanes(part.reductions[0].reg.dtype.size)
    if axis is None or int(axis.extent) >= NARROW or isinstance(inner.extent, Rows) or int(inner.extent) < lanes:
        return None
    weights = _operand_along(part, axis.name, buffers)
    other = _operand_along(part, axis.name, buffers, is_along=False)
    if weights is None or other is None or weights.guarded or not all(isinstance(i, Affine) for i in weights.index):
        return None
    buffer = buffers[weights.operand]
    is_large = size_of(buffer.shape) * buffer.dtype.size > LARGE_FIXED
    if is_large or part.points < SHARED * int(axis.extent) or any(isinstance(d, Rows) for d in buffer.shape):
        return None
    steps = [flat(load.index, buffers[load.operand]).coefficient(inner.name) for load in (weights, other)]
    if steps[0] == 1 or steps[1] != 1:
        return None
    return _copied(part, weights, inner, buffers, add_buffer, weights.operand in fixed)


def _fills_lines(target: Target) -> bool:
    """Whether tiles use most of the lines they read where steps are far apart; narrow ones with few rows do not."""
    return target.vector_bytes >= LINE


def _collides(step: int) -> bool:
    """Whether more lines so many bytes apart than a tile has rows do not fit the cache."""
    return step > 0 and step % (PAGE // 2) == 0


def _operand_along(part: Part, axis: str, buffers: Sequence[Buffer], is_along: bool = True) -> Load | None:
    """The factor that moves along the vector axis, or the one that does not; None if both do, or none."""
    match part.reductions[0].value:
        case Apply("mul", (Load() as a, Load() as b)):
            found = [x for x in (a, b) if bool(flat(x.index, buffers[x.operand]).coefficient(axis)) == is_along]
            return found[0] if len(found) == 1 else None
    return None


def _fits_panels(axis: Axis, width: int) -> bool:
    return not isinstance(axis.extent, Rows) and int(axis.extent) % width == 0 and int(axis.extent) > width


def _wants_panels(part: Part, load: Load, axis: Axis, buffers: Sequence[Buffer], large: int, rows: int) -> bool:
    """A large operand, read by `rows` results at least, whose packed rows would lie far apart."""
    buffer = buffers[load.operand]
    step = int(axis.extent) * buffer.dtype.size
    nbytes = size_of(buffer.shape) * buffer.dtype.size
    return step >= LONG_STEP and nbytes >= large and part.points >= rows * int(axis.extent)


def _in_panels(part: Part, axis: Axis, width: int) -> tuple[Part, Axis]:
    """The kept axis as panels of `width`: an outer axis of panels and an inner one, which is returned."""
    panel, lane = Axis(f"{axis.name}.p", int(axis.extent) // width), Axis(f"{axis.name}.l", width)
    where = {axis.name: Affine.of(panel) * width + Affine.of(lane)}
    axes = tuple(new for old in part.axes for new in ((panel, lane) if old == axis else (old,)))
    part = part.map(lambda e: substitute(e, where))
    stores = tuple(
        replace(s, index=tuple(i.substitute(where) if isinstance(i, Affine) else i for i in s.index))
        for s in part.stores
    )
    return replace(part, axes=axes, stores=stores), lane


def _copied(
    part: Part, load: Load, axis: Axis, buffers: Sequence[Buffer], add_buffer: AddBuffer, is_fixed: bool, gap: int = 0
) -> Packed:
    """The operand in the order: kept axes, taps of a window over the results, reduce axes, vector axis.

    A gap of so many elements after each row keeps rows from falling on the same few places of the cache.
    """
    (reduction,) = part.reductions
    uses = {name for i in load.index if isinstance(i, Affine) for name in i.axes}
    axes = (*(a for a in (*part.axes, *part.taps, *reduction.axes) if a != axis and a.name in uses), axis)
    shape = (*(int(a.extent) for a in axes[:-1]), int(axes[-1].extent) + gap)
    number = add_buffer(f"packed.{buffers[load.operand].name}", load.dtype, shape)
    index = tuple(map(Affine.of, axes))
    packed = Load(number, index, load.dtype)

    def read_packed(e: Expr) -> Expr:
        return packed if e == load else e

    copy = Part(axes, (), (), (Store(number, index, load),))
    reading = replace(part, reductions=(reduction.map(lambda e: rewrite(e, read_packed)),))
    return Packed(copy, reading, number, is_fixed)
