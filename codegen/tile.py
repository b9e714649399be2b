"""Parts whose kept axes are vectorised, as loops: maps, pooling, sums over leading axes, every contraction.

One register tile: accumulators for `rows` x `vectors` results, the reductions around them, then the stores. Axes
outside the tile are loops; the first of them are the units of parallel work. Padding costs nothing inside: where an
axis of the tile meets a guarded dimension the edge blocks are separate code with the window axis written out, and an
outer axis narrows the window loop's bounds instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.body import with_index
from codegen.choice import MODEL, Choice
from codegen.loops import (
    Block,
    Bound,
    Buffer,
    Kernel,
    Let,
    Loop,
    Prefetch,
    Registers,
    Set,
    Split,
    Stmt,
    Store,
    Unroll,
    Vector,
    as_i64,
    const,
    larger,
    smaller,
    substituted,
)
from codegen.padding import guarded_loads, is_skippable, narrowed
from codegen.parts import (
    Part,
    Reduction,
    chunk,
    coalesce,
    coalesce_reductions,
    drop_guards,
    drop_safe_guards,
    extent,
    flat,
    span,
    work,
)
from codegen.reductions import accumulations, folded, grouped, identity, initial
from codegen.schedule import UNROLLED, Segment, Tiling, choose_tiling, lanes_of, peeled, vector_axis
from codegen.target import Target
from codegen.transpose import transpose_kernel, transposed_axes
from graphc.ir.nest import Affine, Apply, Axis, Const, Expr, Load, Position, Reg, rewrite, substitute, walk
from graphc.ir.types import DType, Rows, size_of

Starts = dict[str, Affine]
"""For every tiled axis where the tile begins, and under `axis.size` how long it is there."""

UNITS = 64  # parallel axes are added until there are so many units
BLOCKED_CHUNKS = 16  # with blocking, where threads join chunks: the tiles of a call share each block of operands
CHAINS = 8  # multiply-adds that must be under way to hide their latency
FETCHED = 64  # reduction steps that give the operands of the epilogue time to arrive
FAR_BYTES = 256 * 1024  # of an operand that does not stay in the nearest cache
EDGES = 6  # at most so many blocks of a row axis become separate code for their padding


def tile_kernel(name: str, part: Part, buffers: Sequence[Buffer], target: Target, choice: Choice = MODEL) -> Kernel:
    """The kernel of a part whose results are vectorised along a kept axis."""
    part = coalesce(drop_safe_guards(part, buffers), buffers)
    turned = transposed_axes(part, buffers)
    if turned:
        return transpose_kernel(name, part, *turned, buffers, target)
    if not part.reductions and len(part.axes) <= 1 and (not part.axes or vector_axis(part, buffers)):
        return _flat_kernel(name, part, buffers, target)
    tiling = choose_tiling(part, buffers, target, choice)
    return _Tiles(name, part, list(buffers), tiling).kernel()


def _flat_kernel(name: str, part: Part, buffers: Sequence[Buffer], target: Target) -> Kernel:
    """A map over one axis: its points are the units, so that maps of any length share the code."""
    lanes = lanes_of(part, buffers, target)
    body: Block = (*part.lets, *part.stores)
    if not part.axes:
        return Kernel(name, tuple(buffers), 1, 1, body, "scalar")
    (axis,) = part.axes
    stop: Expr = Position(Affine.of("end"), DType.I64)
    if isinstance(axis.extent, Rows):
        stop = Apply("min", (stop, Position(extent(axis), DType.I64)), DType.I64)
    at, left = (
        Affine.of(f"{axis.name}.0"),
        Apply("sub", (stop, Position(Affine.of(f"{axis.name}.0"), DType.I64)), DType.I64),
    )
    whole_stop = Apply("sub", (stop, Const(lanes - 1, DType.I64)), DType.I64)
    # whole vectors first; the loop after them runs at most once, with the lanes that are left
    done = Apply("sub", (stop, Apply("mod", (_length(stop), Const(lanes, DType.I64)), DType.I64)), DType.I64)
    loops = (
        Loop(f"{axis.name}.0", Affine.of("begin"), whole_stop, (Vector(axis.name, at, lanes, body),), lanes),
        Loop(f"{axis.name}.0", done, stop, (Vector(axis.name, at, lanes, body, left),), lanes),
    )
    grain = chunk(int(axis.extent), *work(part, buffers))
    grain = -(-grain // 64) * 64
    return Kernel(name, tuple(buffers), int(axis.extent), grain, loops, f"vector={axis.name}, lanes={lanes}")


def _length(stop: Expr) -> Expr:
    begin = Position(Affine.of("begin"), DType.I64)
    return Apply("max", (Apply("sub", (stop, begin), DType.I64), Const(0, DType.I64)), DType.I64)


@dataclass(frozen=True, slots=True)
class _Level:
    """A loop outside the tile: a kept axis (`segments` empty) or the blocks of a tiled axis."""

    var: str
    count: int
    axis: Axis
    segments: tuple[Segment, ...] = ()


class _Tiles:
    """Builds one kernel; the state is the part and its tiling, the methods are the levels of the loop nest."""

    def __init__(self, name: str, part: Part, buffers: list[Buffer], tiling: Tiling) -> None:
        self.name, self.part, self.buffers, self.tiling = name, part, buffers, tiling
        self.axes = {axis.name: axis for axis in (*part.axes, *part.taps)}
        self.taps = tuple(axis.name for axis in part.taps)
        self.registers = frozenset(r.reg.name for r in part.reductions)

    def kernel(self) -> Kernel:
        levels = self._levels()
        operations, nbytes = work(self.part, self.buffers)
        total = size_of(tuple(level.count for level in levels))
        is_parallel = chunk(total, operations, nbytes) < total
        split = len(levels) if self.part.blocking else self._parallel_prefix(levels) if is_parallel else 0
        units = size_of(tuple(level.count for level in levels[:split]))
        is_blocked = self.part.blocking is not None
        grain = -(-units // BLOCKED_CHUNKS) if is_blocked else chunk(units, operations, nbytes)
        order = ", ".join(level.var for level in levels)
        schedule = f"{self.tiling}, order=({order}), parallel={split}"
        if self.part.blocking:
            schedule += f", blocks={{{self.part.blocking.axis}: {self.part.blocking.length}}}"
        body = self._body(levels[:split], levels[split:])
        return Kernel(self.name, tuple(self.buffers), units, grain, body, schedule, is_blocked)

    def _body(self, parallel: Sequence[_Level], serial: Sequence[_Level]) -> Block:
        """All units of a call; with blocking, once to clear the accumulators, once a block, once to finish."""

        def units(tile: Callable[[Starts], Block]) -> Block:
            return self._parallel(parallel, lambda: self._serial(serial, {}, parallel, tile))

        blocking = self.part.blocking
        if blocking is None:
            return units(self._tile)
        axis = next(a for a in self.part.reductions[0].axes if a.name == blocking.axis)
        blocks = Loop(f"{axis.name}.block", const(0), extent(axis), units(self._tile_of_block), blocking.length)
        return (*units(self._tile_cleared), blocks, *units(self._tile_finished))

    # Loops outside the tile

    def _levels(self) -> list[_Level]:
        t = self.tiling
        tiled = {t.vector, t.row, *t.full}
        outer = [_Level(a.name, int(a.extent), a) for a in self.part.axes if a.name not in tiled]
        if t.row:
            segments = self._peeled_rows()
            outer.append(_Level(f"{t.row}.b", _blocks(segments), self.axes[t.row], segments))
        if not t.vector:
            return outer
        vector = _Level(f"{t.vector}.b", _blocks(t.vector_segments), self.axes[t.vector], t.vector_segments)
        return [vector, *outer] if t.vector_first else [*outer, vector]

    def _parallel_prefix(self, levels: Sequence[_Level]) -> int:
        product, count = 1, 0
        for level in levels:
            if product >= UNITS:
                break
            product, count = product * level.count, count + 1
        return count

    def _parallel(self, levels: Sequence[_Level], inside: Callable[[], Block]) -> Block:
        begin, end = Affine.of("begin"), Affine.of("end")
        if not levels:
            return inside()
        if len(levels) == 1:
            return (Loop(f"{levels[0].var}.u", begin, end, inside()),)
        split = Split("unit", tuple((f"{level.var}.u", level.count) for level in levels), inside())
        return (Loop("unit", begin, end, (split,)),)

    def _serial(
        self, levels: Sequence[_Level], starts: Starts, parallel: Sequence[_Level], tile: Callable[[Starts], Block]
    ) -> Block:
        """All levels as loops, those in `parallel` restricted to this unit; inside them the tile."""
        if parallel:
            level, unit = parallel[0], Affine.of(f"{parallel[0].var}.u")
            return self._level(level, lambda new: self._serial(levels, starts | new, parallel[1:], tile), unit)
        if levels:
            return self._level(levels[0], lambda new: self._serial(levels[1:], starts | new, (), tile), None)
        return tile(starts)

    def _level(self, level: _Level, inside: Callable[[Starts], Block], unit: Affine | None) -> Block:
        if not level.segments:
            return self._axis_level(level, inside, unit)
        block: list[Stmt] = []
        for segment in level.segments:
            block += self._segment(level, segment, inside, unit)
        return tuple(block)

    def _axis_level(self, level: _Level, inside: Callable[[Starts], Block], unit: Affine | None) -> Block:
        if unit is None:
            return (Loop(level.var, const(0), extent(level.axis), inside({})),)
        stop: Bound = unit + 1
        if isinstance(level.axis.extent, Rows):
            stop = smaller(unit + 1, extent(level.axis))
        return (Loop(level.var, unit, stop, inside({})),)

    def _segment(
        self, level: _Level, segment: Segment, inside: Callable[[Starts], Block], unit: Affine | None
    ) -> Block:
        first, last = segment.first, segment.first + segment.count
        is_whole = segment.count == level.count
        has_rows = isinstance(level.axis.extent, Rows) and level.axis.name == self.tiling.row
        block = Affine.of(level.var)
        start = (
            block * segment.size + (segment.start - segment.first * segment.size) if has_rows else segment.begin(block)
        )
        body = inside({f"{level.axis.name}": start, f"{level.axis.name}.size": const(segment.size)})
        low: Bound = const(first) if unit is None else unit if is_whole else larger(unit, const(first))
        high: Bound = const(last) if unit is None else unit + 1 if is_whole else smaller(unit + 1, const(last))
        if has_rows:  # blocks that begin beyond the runtime rows have nothing to do
            left = extent(level.axis) - segment.start + (segment.size - 1)
            beyond = Apply("floor_div", (as_i64(left), Const(segment.size, DType.I64)), DType.I64)
            high = smaller(high, Apply("add", (beyond, Const(first, DType.I64)), DType.I64))
        elif unit is None and segment.count == 1:
            return body
        return (Loop(level.var, low, high, body),)

    # The tile

    def _tile(self, starts: Starts) -> Block:
        """Start at the identity, reduce, store."""
        part = self._variant(starts)
        chains = [part.reductions, *self._more_chains(part, starts)]
        init = self._each(starts, lambda index: tuple(s for c in chains for s in initial(c, index)))
        steps = self._interleaved(chains, starts) if len(chains) > 1 else self._reductions(part, starts)

        def fold(index: tuple[Affine, ...]) -> Block:
            return folded(part.reductions, [[replace(r.reg, index=index) for r in chain] for chain in chains])

        folds = self._each(starts, fold) if len(chains) > 1 else ()
        names = frozenset(r.reg.name for chain in chains for r in chain)
        ahead = self._ahead(part, starts) if part.reduced_points >= FETCHED else ()
        block = (*(init if part.reductions else ()), *ahead, *steps, *folds, *self._finished(part, starts))
        return self._with_registers(block, starts, names)

    def _ahead(self, part: Part, starts: Starts) -> Block:
        """Fetches what the epilogue reads and writes of large operands, so that it arrives while the reduction runs."""
        if part.windows or not any(r.is_contraction for r in part.reductions):
            return ()
        exprs = [*(let.value for let in part.lets), *(store.value for store in part.stores)]
        loads = dict.fromkeys(e for expr in exprs for e in walk(expr) if isinstance(e, Load))
        stores = [Load(store.buffer, store.index, self.buffers[store.buffer].dtype) for store in part.stores]
        fetches = [Prefetch(load) for load in loads if self._is_far(load)]
        fetches += [Prefetch(place, is_written=True) for place in stores if self._is_far(place)]
        return self._each(starts, lambda _: tuple(fetches)) if fetches else ()

    def _is_far(self, load: Load) -> bool:
        """Whether a load walks along the tile through an operand too large for the nearest cache."""
        buffer = self.buffers[load.operand]
        if load.guarded or not all(isinstance(i, Affine) for i in load.index) or buffer.is_local:
            return False
        offset = flat(load.index, buffer)
        along = offset.coefficient(self.tiling.vector) == 1 and offset.coefficient(self.tiling.row) != 0
        return along and size_of(buffer.shape) * buffer.dtype.size >= FAR_BYTES

    def _more_chains(self, part: Part, starts: Starts) -> list[tuple[Reduction, ...]]:
        """Further accumulators for a tile too small to hide the latency of its additions; they take turns."""
        if len(part.reductions) != 1 or not part.reductions[0].is_contraction or guarded_loads(part.reductions[0]):
            return []
        (reduction,) = part.reductions
        axis = reduction.axes[-1]
        count = CHAINS // self._results(starts)
        if count < 2 or isinstance(axis.extent, Rows) or axis.name in part.bounds or int(axis.extent) < 4 * count:
            return []
        return [
            (replace(reduction, reg=replace(reduction.reg, name=f"{reduction.reg.name}.{u}")),) for u in range(1, count)
        ]

    def _results(self, starts: Starts) -> int:
        """How many registers the tile's results take."""
        t = self.tiling
        vectors = -(-starts[f"{t.vector}.size"].constant // t.lanes) if t.vector else 1
        rows = starts[f"{t.row}.size"].constant if t.row else 1
        full = size_of(tuple(self.axes[axis].extent for axis in t.full))
        return vectors * rows * full

    def _interleaved(self, chains: Sequence[tuple[Reduction, ...]], starts: Starts) -> Block:
        """The innermost axis in steps of one point per chain; what is left over goes to the first."""
        outer, axis = chains[0][0].axes[:-1], chains[0][0].axes[-1]
        whole = int(axis.extent) // len(chains) * len(chains)

        def point(number: int) -> Block:
            ahead = {axis.name: Affine.of(axis) + number}
            chain = [r.map(lambda e: substitute(e, ahead)) for r in chains[number]]
            return self._each(starts, lambda index: accumulations(chain, index))

        steps = tuple(stmt for number in range(len(chains)) for stmt in point(number))
        block: Block = (Loop(axis.name, const(0), const(whole), steps, len(chains)),)
        if whole < int(axis.extent):
            block = (*block, Loop(axis.name, const(whole), const(int(axis.extent)), point(0)))
        for a in reversed(outer):
            block = (Loop(a.name, *self.part.bounds.get(a.name, (const(0), extent(a))), block),)
        return block

    def _tile_cleared(self, starts: Starts) -> Block:
        """The accumulators of the tile at their identity, in memory."""
        clear = self._each(starts, lambda _: self._saved(lambda r: identity(r.combine, r.reg.dtype)))
        return self._placed(clear, starts)

    def _tile_of_block(self, starts: Starts) -> Block:
        """One block of the reduction on top of what the accumulators hold."""
        part = self._variant(starts)
        resume = self._each(starts, self._resumed)
        save = self._each(starts, lambda index: self._saved(lambda r: replace(r.reg, index=index)))
        return self._with_registers((*resume, *self._reductions(part, starts), *save), starts)

    def _tile_finished(self, starts: Starts) -> Block:
        """The stores, from accumulators in memory."""
        resume = self._each(starts, self._resumed)
        return self._with_registers((*resume, *self._finished(self.part, starts)), starts)

    def _resumed(self, index: tuple[Affine, ...]) -> Block:
        assert self.part.blocking
        where = tuple(map(Affine.of, self.part.axes))
        numbers = zip(self.part.reductions, self.part.blocking.accumulators, strict=True)
        return tuple(Set(replace(r.reg, index=index), Load(n, where, r.reg.dtype)) for r, n in numbers)

    def _saved(self, value: Callable[[Reduction], Expr]) -> Block:
        assert self.part.blocking
        where = tuple(map(Affine.of, self.part.axes))
        numbers = zip(self.part.reductions, self.part.blocking.accumulators, strict=True)
        return tuple(Store(n, where, value(r)) for r, n in numbers)

    def _reductions(self, part: Part, starts: Starts) -> Block:
        block: list[Stmt] = []
        for reductions in grouped(part.reductions):
            block += self._reduce(part, reductions, list(reductions[0].axes), starts)
        return tuple(block)

    def _with_registers(self, block: Block, starts: Starts, more: frozenset[str] = frozenset()) -> Block:
        placed = self._placed(block, starts)
        own = (*self.part.reductions, *self.part.windows)
        names = {r.reg.name for r in own} | more | {f"{r.reg.name}.at" for r in own if r.position is not None}
        return (Registers(tuple(sorted(names)), placed),) if names else placed

    def _variant(self, starts: Starts) -> Part:
        """The part with guards dropped that this block of rows cannot need, and its reductions coalesced."""
        row = self.tiling.row
        start = starts.get(row)
        if not row or start is None:
            return self.part
        size = starts[f"{row}.size"].constant
        if not start.terms:
            known = {row: (start.constant, start.constant + size - 1)}
        else:
            segments = [s for s in self._peeled_rows() if s.size == size and s.count > 1]
            known = (
                {row: (min(s.start for s in segments), max(s.start + s.count * s.size for s in segments) - 1)}
                if segments
                else {}
            )
        part = drop_safe_guards(self.part, self.buffers, known)
        return coalesce_reductions(part, self.buffers)

    def _placed(self, block: Block, starts: Starts) -> Block:
        """Row indices in terms of the block's start and the unrolled variable."""
        row = self.tiling.row
        if not row:
            return block
        where = {row: starts[row] + Affine.of(f"{row}.i")}
        return substituted(block, where)

    def _each(self, starts: Starts, make: Callable[[tuple[Affine, ...]], Block], *, with_taps: bool = True) -> Block:
        """The statements for every accumulator of the tile; `make` is given the register index.

        Without the taps: for every result, which combines the accumulators of its taps.
        """
        t = self.tiling
        full = [axis for axis in t.full if with_taps or axis not in self.taps]
        rows = [*full, *([f"{t.row}.i"] if t.row else [])]
        index = tuple(Affine.of(var) for var in rows)
        block = self._lanes(starts, index, make)
        if t.row:
            block = (Unroll(f"{t.row}.i", tuple(range(starts[f"{t.row}.size"].constant)), block),)
        return self._unrolled(full, block)

    def _unrolled(self, axes: Sequence[str], block: Block) -> Block:
        for axis in reversed(axes):
            block = (Unroll(axis, tuple(range(int(self.axes[axis].extent))), block),)
        return block

    def _lanes(self, starts: Starts, index: tuple[Affine, ...], make: Callable[[tuple[Affine, ...]], Block]) -> Block:
        t = self.tiling
        if not t.vector:
            return make(index)
        whole, rest = divmod(starts[f"{t.vector}.size"].constant, t.lanes)
        start, which = starts[t.vector], f"{t.vector}.o"
        block: list[Stmt] = []
        if whole == 1:
            block.append(Vector(t.vector, start, t.lanes, make((*index, const(0)))))
        elif whole:
            vector = Vector(t.vector, start + Affine.of(which) * t.lanes, t.lanes, make((*index, Affine.of(which))))
            block.append(Unroll(which, tuple(range(whole)), (vector,)))
        if rest:
            tail = make((*index, const(whole)))
            block.append(Vector(t.vector, start + whole * t.lanes, t.lanes, tail, const(rest)))
        return tuple(block)

    def _finished(self, part: Part, starts: Starts) -> Block:
        """What follows the reductions, for every result."""
        return self._each(
            starts, lambda index: (*self._window(part, index), *self._finish(part, index)), with_taps=False
        )

    def _window(self, part: Part, index: tuple[Affine, ...]) -> Block:
        """The windows of one result, over the accumulators of its taps."""
        if not part.windows:
            return ()
        of_tap = (*map(Affine.of, self.taps), *index)
        windows = [r.map(lambda e: with_index(e, self.registers, of_tap)) for r in part.windows]
        return (*initial(windows, index), *self._unrolled(self.taps, accumulations(windows, index)))

    def _finish(self, part: Part, index: tuple[Affine, ...]) -> Block:
        """The lets and stores of one result."""
        found = part.windows or part.reductions
        names = frozenset(name for r in found for name in (r.reg.name, f"{r.reg.name}.at"))

        def fix(e: Expr) -> Expr:
            return with_index(_with_positions(e, found), names, index)

        lets = tuple(Let(let.reg, fix(let.value)) for let in part.lets)
        return (*lets, *(replace(s, value=fix(s.value)) for s in part.stores))

    # Reductions

    def _reduce(self, part: Part, reductions: Sequence[Reduction], axes: list[Axis], starts: Starts) -> Block:
        """The loops over the reduce axes, outermost first, around the accumulations."""
        if not axes:
            return self._each(starts, lambda index: accumulations(reductions, index))
        axis, inner = axes[0], axes[1:]
        if self._is_short(axis, reductions):
            return (Unroll(axis.name, tuple(range(int(axis.extent))), self._reduce(part, reductions, inner, starts)),)
        start, stop = part.bounds.get(axis.name, (const(0), extent(axis)))
        if len(reductions) > 1:
            return (Loop(axis.name, start, stop, self._reduce(part, reductions, inner, starts)),)
        peeled_loops = self._peeled(part, reductions[0], axes, starts)
        if peeled_loops:
            return peeled_loops
        reduction, start, stop = self._narrow(reductions[0], axis, start, stop)
        return (Loop(axis.name, start, stop, self._reduce(part, [reduction], inner, starts)),)

    def _is_short(self, axis: Axis, reductions: Sequence[Reduction]) -> bool:
        if isinstance(axis.extent, Rows) or axis.name in self.part.bounds:
            return False
        points = size_of(tuple(a.extent for a in reductions[0].axes))
        return points <= UNROLLED and not reductions[0].is_contraction

    def _peeled(self, part: Part, r: Reduction, axes: list[Axis], starts: Starts) -> Block:
        """Where the tile itself reaches into padding: the edge values of the axis written out around a free loop.

        Written out, every product with padding is known to be one and left out. Empty if the axis meets no such guard.
        """
        axis, inner = axes[0], axes[1:]
        dims = self._dims_of_tile(r, axis, starts)
        if not dims or isinstance(axis.extent, Rows) or axis.name in part.bounds:
            return ()
        ranges = self._tile_ranges(starts)
        inside = [
            v for v in range(int(axis.extent)) if all(_stays(i, dim, ranges | {axis.name: (v, v)}) for i, dim in dims)
        ]
        first, last = (inside[0], inside[-1] + 1) if inside else (0, 0)
        before, after = tuple(range(first)), tuple(range(last, int(axis.extent)))
        if len(before) + len(after) > EDGES and inside:
            return ()
        edge = self._reduce(part, [r], inner, starts)
        block: list[Stmt] = [Unroll(axis.name, before, edge)] if before else []
        if inside:
            free = drop_guards(r, self.buffers, ranges | {axis.name: (first, last - 1)})
            block.append(Loop(axis.name, const(first), const(last), self._reduce(part, [free], inner, starts)))
        return (*block, Unroll(axis.name, after, edge)) if after else tuple(block)

    def _tile_ranges(self, starts: Starts) -> dict[str, tuple[int, int]]:
        """The values of the axes unrolled in this tile, as far as they are known here."""
        ranges = {name: (0, int(self.axes[name].extent) - 1) for name in self.tiling.full}
        row = self.tiling.row
        if row and not starts[row].terms:
            first = starts[row].constant
            ranges[row] = (first, first + starts[f"{row}.size"].constant - 1)
        return ranges

    def _dims_of_tile(self, r: Reduction, axis: Axis, starts: Starts) -> list[tuple[Affine, int]]:
        """Guarded indices that depend on the axis and on unrolled axes only, with the size of their dimension."""
        known = set(self._tile_ranges(starts))
        return [
            (i, self.buffers[load.operand].shape[d])
            for load in guarded_loads(r)
            for d in load.guarded
            if isinstance(i := load.index[d], Affine)
            and i.coefficient(axis.name)
            and known & set(i.axes)
            and set(i.axes) <= known | {axis.name}
        ]

    def _narrow(self, r: Reduction, axis: Axis, start: Bound, stop: Bound) -> tuple[Reduction, Bound, Bound]:
        """Loop bounds that keep guarded dimensions inside, and the reduction without those guards."""
        inner = {self.tiling.vector, self.tiling.row, *self.tiling.full} | {a.name for a in r.axes}
        done: dict[Load, set[int]] = {}
        for load in guarded_loads(r):
            if not is_skippable(r, load):
                continue
            for d in load.guarded:
                at = load.index[d]
                if not isinstance(at, Affine) or not at.coefficient(axis.name) or (set(at.axes) - {axis.name}) & inner:
                    continue
                start, stop = narrowed(at, axis.name, self.buffers[load.operand].shape[d], start, stop)
                done.setdefault(load, set()).add(d)

        def leaf(e: Expr) -> Expr:
            if isinstance(e, Load) and e in done:
                return replace(e, guarded=tuple(d for d in e.guarded if d not in done[e]))
            return e

        return (r.map(lambda e: rewrite(e, leaf)) if done else r), start, stop

    def _peeled_rows(self) -> tuple[Segment, ...]:
        """The row blocks, those that touch padding on their own (if they are few)."""
        segments = self.tiling.row_segments
        row = self.tiling.row
        dims = [
            (at, self.buffers[load.operand].shape[d], r)
            for r in self.part.reductions
            for load in guarded_loads(r)
            for d in load.guarded
            if isinstance(at := load.index[d], Affine) and at.coefficient(row)
        ]
        if not dims or isinstance(self.axes[row].extent, Rows):
            return segments
        inside: dict[int, bool] = {}
        for s in segments:
            for b in range(s.first, s.first + s.count):
                begin = s.start + (b - s.first) * s.size
                inside[b] = all(self._stays_inside(i, dim, r, row, begin, begin + s.size - 1) for i, dim, r in dims)
        return peeled(segments, inside) if list(inside.values()).count(False) <= EDGES else segments

    def _stays_inside(self, index: Affine, dim: int, r: Reduction, row: str, first: int, last: int) -> bool:
        ranges = {a.name: (0, int(a.extent) - 1) for a in (*self.part.axes, *r.axes)} | {row: (first, last)}
        return _stays(index, dim, ranges)


def _stays(index: Affine, dim: int, ranges: Mapping[str, tuple[int, int]]) -> bool:
    low, high = span(index, ranges)
    return low >= 0 and high < dim


def _blocks(segments: Sequence[Segment]) -> int:
    return sum(s.count for s in segments)


def _with_positions(expr: Expr, reductions: Sequence[Reduction]) -> Expr:
    """Registers of argmax and argmin stand for the position found, not for the best value."""
    found = {r.reg.name for r in reductions if r.position is not None}

    def leaf(e: Expr) -> Expr:
        return Reg(f"{e.name}.at", DType.I32) if isinstance(e, Reg) and e.name in found else e

    return rewrite(expr, leaf) if found else expr
