"""Lowering: the body of a fused node becomes one kernel, or a few that run one after another.

What is decided here is the form: a map, a register tile, a row kernel, or separate passes for results that no single
loop nest writes (scatter, running sums). How the loops then look is decided by `schedule`, `tile` and `rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from codegen.body import Access, Body, Puller, only_at, row_major
from codegen.choice import MODEL, Choice
from codegen.loops import Buffer, Kernel, Let, Store
from codegen.ordered import ordered_kernel
from codegen.packing import Packed, pack, pack_rows, pack_steps
from codegen.parts import Blocking, Part, Reduction, coalesce, drop_safe_guards, extent
from codegen.rowgroup import RowGroup
from codegen.rows import Stage, row_kernel
from codegen.scan import Driver
from codegen.schedule import block_length, lanes_of, strides_along, vector_axis
from codegen.sharing import share
from codegen.target import Target
from codegen.tile import tile_kernel
from graphc.ir.graph import Graph
from graphc.ir.nest import Affine, Apply, Axis, Const, Expr, Index, Load, Nest, Position, Reg, axes_of, rewrite, walk
from graphc.ir.op import Array, Node, Value
from graphc.ir.types import DType, concrete

PARTIALS = 16  # a reduction split over threads keeps at most so many partial results
SPLIT_PRODUCTS = 4_000_000  # multiply-adds below which a contraction is not split
SPLIT_POINTS = 250_000  # points below which another reduction is not split
TILE_RESULTS = 16 * 28  # results a register tile holds, roughly
NARROW_ARRAYS = 4  # arrays read and written behind a reduction of short rows from which that is better done apart
WIDE = 4  # kept axes shorter than this are not worth the lanes


@dataclass(frozen=True, slots=True)
class Lowered:
    """Kernels in order. They share one operand list: the node's inputs, its results, workspace buffers, then constants.

    `kept` pairs kernels with workspaces: the kernel reads fixed operands only and fills the workspace, which need not
    be filled again while they stay as they are. A kernel takes all operands in order, or those that `operands` has for
    its number, as pairs of operand and byte offset.
    """

    kernels: tuple[Kernel | Driver, ...]
    inputs: int
    outputs: int
    workspaces: tuple[Buffer, ...]
    kept: Mapping[int, int] = field(default_factory=dict)
    operands: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    constants: tuple[Array, ...] = ()


def lower(
    graph: Graph,
    label: str,
    target: Target,
    fixed: frozenset[int] = frozenset(),
    choice: Choice = MODEL,
    in_place: bool = False,
) -> Lowered:
    """Kernels that compute the outputs of a fused body; none when all of them are empty.

    `fixed` are the numbers of the inputs that stay the same over many runs: copying them once is free. `in_place`: a
    result that starts as an operand has its memory.
    """
    if not any(value.type.size for value in graph.outputs):
        return Lowered((), len(graph.inputs), len(graph.outputs), ())
    return _Lowering(graph, label, target, fixed, choice, in_place).run()


class _Lowering:
    def __init__(
        self, graph: Graph, label: str, target: Target, fixed: frozenset[int], choice: Choice, in_place: bool
    ) -> None:
        self.graph, self.label, self.target, self.fixed, self.choice = graph, label, target, fixed, choice
        self.in_place = in_place
        self.kept: dict[int, int] = {}
        self.body = Body(graph)
        self.available: dict[Value, Access] = {}
        self.kernels: list[Callable[[list[Buffer]], Kernel]] = []
        self.locals: list[list[Buffer]] = []

    def run(self) -> Lowered:
        anchors = self.body.anchors
        if not anchors:
            self._map(self.graph.outputs)
        elif len(anchors) == 1 and self._needs_passes(anchors[0]):
            self._passes(anchors[0])
        elif self._is_pooled(anchors):
            self._tile(self._packed(self._pooled_part(*anchors)))
        elif self._is_row_group(anchors):
            self._row_group(anchors)
        else:
            self._reduce(anchors)
        return self._finish()

    def _finish(self) -> Lowered:
        count_in, count_out = len(self.graph.inputs), len(self.graph.outputs)
        shared = list(self.body.buffers)
        kernels = tuple(make(shared) for make in self.kernels)
        self.kernels.clear()  # they refer back to here: no circle is left for the collector
        border = count_in + count_out
        kept = {kernel: number - border for kernel, number in self.kept.items()}
        return Lowered(kernels, count_in, count_out, tuple(shared[border:]), kept)

    def _emit(self, make: Callable[[str, list[Buffer]], Kernel]) -> None:
        name = self.label if not self.kernels else f"{self.label}.{len(self.kernels)}"
        self.kernels.append(lambda buffers: make(name, buffers))

    # Maps

    def _map(self, outputs: Sequence[Value]) -> None:
        """All outputs over one iteration space."""
        axes = axes_of(outputs[0].shape)
        puller = Puller.at_place(self.body, self.available)
        stores = self._stores(puller, outputs, tuple(map(Affine.of, axes)))
        self._tile(Part(axes, (), tuple(puller.lets), stores))

    def _stores(self, puller: Puller, outputs: Sequence[Value], index: tuple[Index, ...]) -> tuple[Store, ...]:
        return tuple(
            Store(number, index, puller.pull(value, index))
            for value in dict.fromkeys(outputs)
            for number in self.body.result_of[value]
        )

    def _tile(self, part: Part) -> None:
        if not part.points:  # an empty operand
            return
        choice = self.choice if part.reductions else MODEL
        self._emit(lambda name, buffers: tile_kernel(name, part, buffers, self.target, choice))

    # One or several reductions over shared kept axes

    def _reduce(self, anchors: Sequence[Node]) -> None:
        for group in self._branches(anchors):
            self._schedule(self._part(group) if group[0][1].reduce or len(group) == 1 else self._joint(group))

    def _branches(self, anchors: Sequence[Node]) -> list[list[tuple[Value, Nest]]]:
        """Which nests are computed together: one list for each set of results with the same axes and target."""
        found: dict[object, list[tuple[Value, Nest]]] = {}
        for node in anchors:
            for nest in self.body.nests[node]:
                key = () if len(anchors) > 1 else _branch(node, nest)
                found.setdefault(key, []).append((node.outputs[nest.output], nest))
        return list(found.values())

    def _part(self, group: Sequence[tuple[Value, Nest]]) -> Part:
        """Reductions of the group over common axis names, and the epilogue that stores the kernel's outputs."""
        first = group[0][1]
        names = {axis.name for axis in first.axes}
        reductions: list[Reduction] = []
        lets: list[Let] = []
        available = dict(self.available)
        for number, (value, nest) in enumerate(group):
            rename = {a.name: Affine.of(b) for a, b in zip(nest.axes, first.axes, strict=True)}
            reduction, result = self._reduction(value, nest, rename, names, number)
            if isinstance(reduction, Reduction):
                reductions.append(reduction)
            else:
                lets += reduction
            available[value] = only_at(first.target, result)
        puller = Puller.at_place(self.body, available)
        stores = self._stores(puller, self.graph.outputs, first.target)
        return Part(first.axes, tuple(reductions), (*lets, *puller.lets), stores)

    def _joint(self, group: Sequence[tuple[Value, Nest]]) -> Part:
        """Maps over the same axes that write different elements: one body, in which they share their parts."""
        (node,) = {value.node for value, _ in group}
        axes = group[0][1].axes
        where: dict[str, Index] = {axis.name: Affine.of(axis) for axis in axes}
        parts, results = share([nest.body for _, nest in group], lambda: self.body.fresh(f"{node.names[0]}.part"))
        puller = Puller.at_place(self.body, self.available)
        for reg, expr in parts:
            puller.lets.append(Let(reg, puller.inline(node, expr, where)))
        found: dict[tuple[Value, tuple[Index, ...]], Expr] = {}
        for (value, nest), expr in zip(group, results, strict=True):
            found[value, nest.target] = puller.inline(node, expr, where)
        known = {value: _at_places(value, found) for value in node.outputs}
        puller = replace(puller, available={**self.available, **known})
        stores = tuple(
            store
            for target in dict.fromkeys(nest.target for _, nest in group)
            for store in self._stores(puller, self.graph.outputs, target)
        )
        return Part(axes, (), tuple(puller.lets), stores)

    def _reduction(
        self, value: Value, nest: Nest, rename: dict[str, Affine], taken: set[str], number: int
    ) -> tuple[Reduction | list[Let], Expr]:
        """The nest as a reduction (the lets of its body, if it has no reduce axes) and the expression of its result."""
        axes = tuple(Axis(a.name if a.name not in taken else f"{a.name}.r{number}", a.extent) for a in nest.reduce)
        where = rename | {old.name: Affine.of(new) for old, new in zip(nest.reduce, axes, strict=True)}
        puller = Puller.at_place(self.body, self.available)
        expr = puller.inline(value.node, nest.body, where)
        if not nest.reduce:
            return puller.lets, expr
        reg = Reg(self.body.fresh(f"{value.name}.acc"), expr.dtype.computed)
        position = row_major(axes) if nest.combine.startswith("arg") else None
        reduction = Reduction(reg, nest.combine, axes, tuple(puller.lets), expr, position)
        found = Reg(reg.name, DType.I32) if position is not None else reg
        result = found if found.dtype is value.dtype else Apply("cast", (found,), value.dtype)
        return reduction, result

    def _schedule(self, part: Part) -> None:
        """Register tile or rows; packs an operand or splits the reduction where that pays."""
        part = drop_safe_guards(part, self.body.buffers)
        turned = self._copied_first(pack_steps(part, self.body.buffers, self.target, self._workspace, self.fixed))
        if turned is not None:
            return self._single_row_stage(turned)
        packed = self._packed(part)
        if packed is not part or not part.reductions or self._suits_tile(part):
            return self._split_or_tile(packed)
        self._single_row_stage(part)

    def _packed(self, part: Part) -> Part:
        """The part reading a packed copy of an operand where that pays; the copy is made first."""
        if not part.reductions:
            return part
        buffers = self.body.buffers
        turned = self._copied_first(pack_rows(part, buffers, self.target, self._workspace, self.fixed)) or part
        for tried in (turned, coalesce(turned, buffers)):  # heads side by side are one axis, wide enough for panels
            packed = pack(tried, buffers, self.target, self._workspace, self.fixed, self.choice)
            if packed is not None:
                return self._copied_first(packed) or turned
        return turned

    def _copied_first(self, packed: Packed | None) -> Part | None:
        """The part that reads the copy, which is made first; for good if the operand is fixed."""
        if packed is None:
            return None
        if packed.is_fixed:
            self.kept[len(self.kernels)] = packed.number
        self._tile(packed.copy)
        return packed.part

    # A window over the results of a contraction

    def _is_pooled(self, anchors: Sequence[Node]) -> bool:
        return len(anchors) == 2 and anchors[0].types[0].shape != anchors[1].types[0].shape

    def _pooled_part(self, contraction: Node, window: Node) -> Part:
        """The contraction for every tap of the window, which combines them in registers."""
        nests = self.body.nests[window]
        (inner,) = self.body.nests[contraction]
        (value,) = contraction.outputs
        reg = Reg(self.body.fresh(f"{value.name}.acc"), value.dtype.computed)
        asked: set[tuple[Index, ...]] = set()

        def accumulator(index: tuple[Index, ...]) -> Expr:
            asked.add(index)
            return reg

        puller = Puller.at_place(self.body, {value: accumulator})
        windows, available = [], dict(self.available)
        for nest in nests:
            expr = puller.inline(window, nest.body, {a.name: Affine.of(a) for a in (*nest.axes, *nest.reduce)})
            result = window.outputs[nest.output]
            found = Reg(self.body.fresh(f"{result.name}.acc"), expr.dtype.computed)
            position = row_major(nest.reduce) if nest.combine.startswith("arg") else None
            windows.append(Reduction(found, nest.combine, nest.reduce, (), expr, position))
            found = replace(found, dtype=DType.I32) if position is not None else found
            cast = found if found.dtype is result.dtype else Apply("cast", (found,), result.dtype)
            available[result] = only_at(nest.target, cast)
        windows[0] = replace(windows[0], lets=tuple(puller.lets))
        (index,) = asked
        taken = {axis.name for axis in (*nests[0].axes, *nests[0].reduce)}
        reduction = self._contraction(contraction, inner, reg, index, taken)
        epilogue = Puller.at_place(self.body, available)
        stores = self._stores(epilogue, self.graph.outputs, nests[0].target)
        part = Part(nests[0].axes, (reduction,), tuple(epilogue.lets), stores)
        return replace(part, taps=nests[0].reduce, windows=tuple(windows))

    def _contraction(self, node: Node, nest: Nest, reg: Reg, index: tuple[Index, ...], taken: set[str]) -> Reduction:
        """The contraction at the elements that a window reads."""
        where: dict[str, Index] = dict(zip((a.name for a in nest.axes), index, strict=True))
        axes = tuple(Axis(a.name if a.name not in taken else f"{a.name}.r", a.extent) for a in nest.reduce)
        where |= {old.name: Affine.of(new) for old, new in zip(nest.reduce, axes, strict=True)}
        puller = Puller.at_place(self.body, self.available)
        expr = puller.inline(node, nest.body, where)
        return Reduction(reg, nest.combine, axes, tuple(puller.lets), expr)

    def _workspace(self, name: str, dtype: DType, shape: tuple[int, ...]) -> int:
        return self.body.add_buffer(name, dtype, shape, is_local=False)

    def _suits_tile(self, part: Part) -> bool:
        axis = vector_axis(part, self.body.buffers)
        if axis is not None and int(axis.extent) >= WIDE:
            return True
        return not self._suits_rows(part)

    def _suits_rows(self, part: Part) -> bool:
        """Whether every reduction runs along memory in its last axis."""
        inner = [r.axes[-1].name for r in part.reductions]
        same = all(len(r.axes) == len(part.reductions[0].axes) for r in part.reductions)
        return same and all(
            strides_along(Part((), (r,), (), ()), name, self.body.buffers) <= {0, 1}
            for r, name in zip(part.reductions, inner, strict=True)
        )

    def _split_or_tile(self, part: Part) -> None:
        if (split := self._split_axis(part)) is not None:
            first, last = self._split(part, *split)
        elif self._is_narrow(part):
            first, last = self._apart(part)
        else:
            return self._tile(self._blocked(part))
        self._tile(first)
        self._tile(last)

    def _is_narrow(self, part: Part) -> bool:
        """Whether a row of results fills no vector and much is done with it: behind a masked store the masked load of
        the next row, which reaches into the same bytes, has to wait. As a map of its own all rows are one."""
        if part.bounds or part.taps or len(part.reductions) != 1 or not part.reductions[0].is_contraction:
            return False
        axis = vector_axis(part, self.body.buffers)
        if axis is None or int(axis.extent) >= lanes_of(part, self.body.buffers, self.target):
            return False
        after = [*(let.value for let in part.lets), *(store.value for store in part.stores)]
        read = {e.operand for expr in after for e in walk(expr) if isinstance(e, Load)}
        along = {b for b in read if len(self.body.buffers[b].shape) >= len(part.axes)}
        return len(along) + len(part.stores) >= NARROW_ARRAYS

    def _apart(self, part: Part) -> tuple[Part, Part]:
        """The reduction into memory, and what follows as a map."""
        (reduction,) = part.reductions
        shape = tuple(int(a.extent) for a in part.axes)
        number = self._workspace(f"{reduction.reg.name}.sum", reduction.reg.dtype, shape)
        index = tuple(map(Affine.of, part.axes))
        found = Load(number, index, reduction.reg.dtype)
        last = part.map(lambda e: rewrite(e, lambda leaf: found if leaf == reduction.reg else leaf))
        first = replace(part, lets=(), stores=(Store(number, index, reduction.reg),))
        return first, replace(last, reductions=())

    def _blocked(self, part: Part) -> Part:
        """The part with its first reduce axis in blocks, if a tile's operands would not stay in the cache."""
        merged = coalesce(part, self.body.buffers)
        length = block_length(merged, self.body.buffers, self.target, self.choice)
        if not length:
            return part
        shape = tuple(int(a.extent) for a in merged.axes)
        numbers = tuple(
            self.body.add_buffer(f"{r.reg.name}.so_far", r.reg.dtype, shape, is_local=False) for r in merged.reductions
        )
        axis = merged.reductions[0].axes[0]
        start = Affine.of(f"{axis.name}.block")
        until = Apply("min", (Position(start + length, DType.I64), Position(extent(axis), DType.I64)), DType.I64)
        blocking = Blocking(axis.name, length, numbers)
        return replace(merged, bounds={axis.name: (start, until)}, blocking=blocking)

    def _split_axis(self, part: Part, together: int = 64) -> tuple[Axis, int] | None:
        """The reduce axis to share among threads and into how many parts, when the results alone are too few.

        together: how many results of a light reduction are one piece of work.
        """
        if not part.reductions or any(r.position is not None for r in part.reductions):
            return None
        axes = part.reductions[0].axes
        if any(r.axes != axes for r in part.reductions):
            return None
        is_heavy = any(r.is_contraction for r in part.reductions)
        tiles = part.points / (TILE_RESULTS if is_heavy else together)
        least = SPLIT_PRODUCTS if is_heavy else SPLIT_POINTS
        outer = max(axes[:2], key=lambda a: int(a.extent))
        if tiles >= 8 or part.points * part.reduced_points < least or int(outer.extent) < 4:
            return None
        return outer, min(PARTIALS, int(outer.extent))

    def _split(self, part: Part, axis: Axis, count: int) -> tuple[Part, Part]:
        """Partial results over ranges of `axis`, and the part that combines them and runs the epilogue."""
        length = -(-int(axis.extent) // count)
        share = Axis("part", count)
        index = (Affine.of(share), *map(Affine.of, part.axes))
        shape = (count, *(int(a.extent) for a in part.axes))
        stores, final = [], []
        for r in part.reductions:
            number = self.body.add_buffer(f"{r.reg.name}.parts", r.reg.dtype, shape, is_local=False)
            stores.append(Store(number, index, r.reg))
            final.append(Reduction(r.reg, r.combine, (share,), (), Load(number, index, r.reg.dtype)))
        begin = Affine.of(share) * length
        until = Apply("min", (Position(begin + length, DType.I64), Position(extent(axis), DType.I64)), DType.I64)
        first = Part((share, *part.axes), part.reductions, (), tuple(stores), {axis.name: (begin, until)})
        return first, replace(part, reductions=tuple(final), bounds={})

    def _single_row_stage(self, part: Part) -> None:
        part = coalesce(part, self.body.buffers)
        split = self._split_axis(part, together=1)
        if split is not None:
            first, part = self._split(part, *split)
            self._row_part(first)
        self._row_part(part)

    def _row_part(self, part: Part) -> None:
        stage = Stage(part.reductions[0].axes, part.reductions, (), (), (*part.lets, *part.stores), dict(part.bounds))
        if any(r.axes != stage.axes for r in part.reductions):
            assert not part.bounds
            stages = [Stage(r.axes, (r,)) for r in part.reductions]
            stages[-1] = replace(stages[-1], after=(*part.lets, *part.stores))
        else:
            stages = [stage]
        self._emit(lambda name, buffers: row_kernel(name, part.axes, stages, buffers, self.target))

    # Row groups: several stages over the same rows

    def _is_row_group(self, anchors: Sequence[Node]) -> bool:
        kept = anchors[0].types[0].shape
        if any(value.shape != kept for value in self.graph.outputs):
            return len(self.body.nests[anchors[0]]) == 1
        return len(set(self._levels().values()) - {0}) > 1

    def _levels(self) -> dict[Value, int]:
        """For every value how many reductions lie below it on the longest path, itself included."""
        level = dict.fromkeys(self.graph.inputs, 0)
        for node in self.graph.nodes:
            below = max((level[v] for v in node.inputs), default=0)
            for value in node.outputs:
                level[value] = below + (not self.body.is_map(node))
        return level

    def _row_group(self, anchors: Sequence[Node]) -> None:
        rows = RowGroup(self.body, self.graph, anchors, self._levels())
        stages = rows.stages()
        self._emit(
            lambda name, buffers: row_kernel(
                name, rows.kept, stages, [*buffers, *rows.scratch_of(len(buffers))], self.target
            )
        )

    # Results that no single loop nest writes

    def _needs_passes(self, anchor: Node) -> bool:
        return any(n.scatter or n.running for n in self.body.nests[anchor])

    def _passes(self, anchor: Node) -> None:
        """The anchor's result into memory, then everything that follows as a map over it."""
        (value,) = anchor.outputs
        (nest,) = self.body.nests[anchor]
        is_output = value in self.body.result_of
        number = (
            self.body.result_of[value][0]
            if is_output
            else self.body.add_buffer(value.name, value.dtype, concrete(value.shape), is_local=False)
        )
        if nest.scatter:
            self._start(number, value, None if nest.start is None else anchor.inputs[nest.start])
        self._emit(lambda name, buffers: self._ordered(name, anchor, nest, number, buffers))
        self.available[value] = lambda index: Load(number, index, value.dtype)
        rest = [v for v in self.graph.outputs if v != value]
        if rest:
            self._map(rest)

    def _start(self, number: int, value: Value, start: Value | None) -> None:
        """What is added to: zeros, or a copy of an operand unless it lies there already."""
        if start is not None and self.in_place:
            return
        axes = axes_of(value.shape)
        index = tuple(map(Affine.of, axes))
        puller = Puller.at_place(self.body, self.available)
        first = Const(0, value.dtype) if start is None else puller.pull(start, index)
        self._tile(Part(axes, (), tuple(puller.lets), (Store(number, index, first),)))

    def _ordered(self, name: str, anchor: Node, nest: Nest, number: int, buffers: list[Buffer]) -> Kernel:
        where = {axis.name: Affine.of(axis) for axis in (*nest.axes, *nest.reduce)}
        puller = Puller.at_place(self.body, self.available)
        body = puller.inline(anchor, nest.body, where)
        index = tuple(i if isinstance(i, Affine) else puller.inline(anchor, i, where) for i in nest.target)
        return ordered_kernel(name, nest, tuple(puller.lets), body, (number, index), buffers, self.target)


def _branch(node: Node, nest: Nest) -> object:
    """What nests of a node have in common that are computed together: maps the axes, reductions the results too."""
    return (nest.axes, nest.target) if nest.reduce or len(node.types) > 1 else nest.axes


def _at_places(value: Value, found: Mapping[tuple[Value, tuple[Index, ...]], Expr]) -> Access:
    """A value that is known at some indices."""
    return lambda index: found.get((value, index))


def _uses(load: Load, axis: str) -> bool:
    return any(isinstance(i, Affine) and i.coefficient(axis) for i in load.index)
