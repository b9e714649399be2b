"""Groups of reductions and maps over the same rows (softmax, cross-entropy, layer norm) as the stages of a row
kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.body import Access, Body, Puller, only_at, row_major
from codegen.loops import Buffer, Let, Store
from codegen.parts import COSTLY, Reduction
from codegen.rows import Stage
from graphc.ir.graph import Graph
from graphc.ir.nest import Affine, Apply, Axis, Expr, Index, Load, Reg, axes_of, walk
from graphc.ir.op import Node, Value
from graphc.ir.types import DType, concrete


class RowGroup:
    """The stages of a group whose reductions share their rows: kept axes first, reduced axes last."""

    def __init__(self, body: Body, graph: Graph, anchors: Sequence[Node], level: dict[Value, int]) -> None:
        self.body, self.graph, self.anchors, self.level = body, graph, anchors, level
        self.kept_shape = anchors[0].types[0].shape
        nest = body.nests[anchors[0]][0]
        self.kept = axes_of(self.kept_shape, "k")
        self.row = tuple(Axis(f"r{d}", a.extent) for d, a in enumerate(nest.reduce))
        self.k_index = tuple(map(Affine.of, self.kept))
        self.index = self.k_index + tuple(map(Affine.of, self.row))
        self.available: dict[Value, Access] = {}
        self.scratch: list[tuple[Value, int]] = []
        self.row_shape = concrete(tuple(a.extent for a in self.row))
        self.full_shape = self.kept_shape + tuple(a.extent for a in self.row)

    def scratch_of(self, first: int) -> list[Buffer]:
        """The rows of scratch memory as buffers; their numbers begin at `first`."""
        assert all(number == first + i for i, (_, number) in enumerate(self.scratch))
        return [Buffer(f"{v.name}.row", v.dtype, self.row_shape, is_local=True) for v, _ in self.scratch]

    def stages(self) -> list[Stage]:
        """One stage for each level of reductions, then one for the results that are rows."""
        costly = self._shared_costly()
        stages = [Stage((), after=self._kept_values(0))]
        last = max(self.level[v] for a in self.anchors for v in a.outputs)
        stages += [self._reductions(level, costly) for level in range(1, last + 1)]
        rows = [v for v in self.graph.outputs if v.shape != self.kept_shape]
        if rows:
            puller = Puller.at_place(self.body, self.available)
            stores = self._stores(puller, rows, self.index)
            stages.append(Stage(self.row, lets=tuple(puller.lets), stores=stores))
        puller = Puller.at_place(self.body, self.available)
        kept = self._stores(puller, [v for v in self.graph.outputs if v.shape == self.kept_shape], self.k_index)
        return [*stages, Stage((), after=(*puller.lets, *kept))]

    def _stores(self, puller: Puller, values: Sequence[Value], index: tuple[Index, ...]) -> tuple[Store, ...]:
        return tuple(
            Store(number, index, puller.pull(value, index))
            for value in dict.fromkeys(values)
            for number in self.body.result_of[value]
        )

    def _reductions(self, level: int, costly: set[Value]) -> Stage:
        reductions, results = [], []
        puller = Puller.at_place(self.body, self.available)
        for node in self.anchors:
            (value,) = node.outputs
            if self.level[value] != level:
                continue
            (nest,) = self.body.nests[node]
            where = dict(zip((a.name for a in (*nest.axes, *nest.reduce)), self.index, strict=True))
            expr = puller.inline(node, nest.body, where)
            reg = Reg(self.body.fresh(value.name), expr.dtype.computed)
            position = row_major(self.row) if nest.combine.startswith("arg") else None
            reductions.append(Reduction(reg, nest.combine, self.row, (), expr, position))
            results.append((value, replace(reg, dtype=DType.I32 if position is not None else reg.dtype)))
        stores = self._keep(puller, costly)
        # what all reductions of the stage share is computed once, before the first of them
        reductions[0] = replace(reductions[0], lets=tuple(puller.lets))
        for value, reg in results:
            result: Expr = reg if reg.dtype is value.dtype else Apply("cast", (reg,), value.dtype)
            self.available[value] = only_at(self.k_index, result)
        return Stage(self.row, tuple(reductions), (), stores, self._kept_values(level))

    def _kept_values(self, level: int) -> tuple[Let, ...]:
        """Values of the kept space that this level makes known, computed once a row."""
        puller = Puller.at_place(self.body, self.available)
        for node in self.graph.nodes:
            for value in node.outputs:
                is_new = self.level[value] == level and value.shape == self.kept_shape and self.body.is_map(node)
                if is_new and value not in self.available:
                    self.available[value] = only_at(self.k_index, puller.pull(value, self.k_index))
        return tuple(puller.lets)

    def _keep(self, puller: Puller, costly: set[Value]) -> tuple[Store, ...]:
        """Stores of the costly values this stage computed; later stages read them back."""
        stores = []
        for (value, index, guarded), expr in list(puller.memo.items()):
            if value not in costly or guarded or index != self.index or value in self.available:
                continue
            number = len(self.body.buffers) + len(self.scratch)
            self.scratch.append((value, number))
            stores.append(Store(number, self.index[len(self.kept) :], expr))
            self.available[value] = _from_row(number, value, len(self.kept), self.index)
        return tuple(stores)

    def _shared_costly(self) -> set[Value]:
        """Row values with a costly function in them that more than one stage reads."""
        readers: dict[Value, set[int]] = {}
        last = 1 + max(self.level.values())
        final = [(last, v) for v in self.graph.outputs if v.shape != self.kept_shape]
        starts = [(self.level[a.outputs[0]], v) for a in self.anchors for v in a.inputs]
        for stage, value in starts + final:
            self._mark(value, stage, readers)
        return {
            v for v, stages in readers.items() if len(stages) > 1 and self._is_costly(v) and v.shape == self.full_shape
        }

    def _mark(self, value: Value, stage: int, readers: dict[Value, set[int]]) -> None:
        if value in self.body.operand_of or not self.body.is_map(value.node) or stage in readers.get(value, ()):
            return
        readers.setdefault(value, set()).add(stage)
        for operand in value.node.inputs:
            self._mark(operand, stage, readers)

    def _is_costly(self, value: Value) -> bool:
        (nest,) = self.body.nests[value.node]
        return any(isinstance(e, Apply) and e.fn in COSTLY for e in walk(nest.body))


def _from_row(number: int, value: Value, kept: int, at: tuple[Affine, ...]) -> Access:
    return lambda index: Load(number, index[kept:], value.dtype) if index == at else None
