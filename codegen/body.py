"""From a group of nodes to expressions: pulls the value of a node at an index through every node that is a plain map.

A body's nodes hand over nests. A map is inlined where it is read, by substituting indices; a value that was computed
before (an accumulator, a row kept in scratch memory) is read from there. Every inlined node becomes one named value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.halves import computed_nests
from codegen.loops import Buffer, Let
from graphc.ir.graph import Graph
from graphc.ir.nest import Affine, Apply, Axis, Const, Expr, Index, Load, Nest, Position, Reg, cast, rewrite
from graphc.ir.op import Node, Value
from graphc.ir.types import DType, concrete

Access = Callable[[tuple[Index, ...]], Expr | None]
"""How to read a value that exists already, at an index; None where it is not kept for that index."""


class Body:
    """The nodes of one kernel: their nests, and which buffer every operand and result is."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nests: dict[Node, tuple[Nest, ...]] = {node: computed_nests(node) for node in graph.nodes}
        self.buffers = [_buffer(v, f"in{i}" if not v.name else v.name) for i, v in enumerate(graph.inputs)]
        self.operand_of = {value: i for i, value in enumerate(graph.inputs)}
        self._names: dict[str, int] = {}
        self.result_of: dict[Value, list[int]] = {}
        for value in graph.outputs:
            self.result_of.setdefault(value, []).append(len(self.buffers))
            self.buffers.append(_buffer(value, f"{value.name}.out" if value in self.operand_of else value.name, True))

    def is_map(self, node: Node) -> bool:
        nests = self.nests[node]
        return len(nests) == 1 and nests[0].is_map

    @property
    def anchors(self) -> list[Node]:
        """Nodes that are not plain maps, in order."""
        return [node for node in self.graph.nodes if not self.is_map(node)]

    def fresh(self, name: str) -> str:
        """A register name used nowhere else in the kernel."""
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if not count else f"{name}.{count}"

    def add_buffer(self, name: str, dtype: DType, shape: tuple[int, ...], *, is_local: bool) -> int:
        """A new buffer (scratch or workspace) after the operands and results; returns its number."""
        self.buffers.append(Buffer(name, dtype, shape, is_output=not is_local, is_local=is_local))
        return len(self.buffers) - 1


def _buffer(value: Value, name: str, is_output: bool = False) -> Buffer:
    return Buffer(name, value.dtype, concrete(value.shape), is_output)


@dataclass(slots=True)
class Puller:
    """Pulls values into one place of the program: a list of `lets` shared by everything evaluated there.

    `available` tells how to read values that exist already.
    """

    body: Body
    available: Mapping[Value, Access]
    lets: list[Let]
    memo: dict[tuple[Value, tuple[Index, ...], bool], Expr]

    @classmethod
    def at_place(cls, body: Body, available: Mapping[Value, Access]) -> Puller:
        return cls(body, available, [], {})

    def pull(self, value: Value, index: tuple[Index, ...], guarded: bool = False) -> Expr:
        """The expression for `value[index]`; its named parts are appended to `lets`."""
        key = (value, index, guarded)
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._pull(value, index, guarded)
        return found

    def _pull(self, value: Value, index: tuple[Index, ...], guarded: bool) -> Expr:
        if value in self.available and (known := self.available[value](index)) is not None:
            return known
        if value in self.body.operand_of:
            everywhere = tuple(range(len(index))) if guarded else ()
            return Load(self.body.operand_of[value], index, value.dtype, everywhere)
        (nest,) = self.body.nests[value.node]
        expr = self.inline(value.node, nest.body, dict(zip((a.name for a in nest.axes), index, strict=True)), guarded)
        return self._name(value, expr)

    def inline(self, node: Node, expr: Expr, axes: Mapping[str, Index], guarded: bool = False) -> Expr:
        """An expression of the node's nest with axes replaced and loads replaced by what they read."""

        def leaf(e: Expr) -> Expr:
            match e:
                case Load():
                    return self._read(node, e, axes, guarded)
                case Position(at, dtype):
                    new = index_at(at, axes)
                    return Position(new, dtype) if isinstance(new, Affine) else cast(new, dtype)
            return e

        return rewrite(expr, leaf)

    def _read(self, node: Node, load: Load, axes: Mapping[str, Index], guarded: bool) -> Expr:
        value = node.inputs[load.operand]
        index = tuple(index_at(i, axes) if isinstance(i, Affine) else i for i in load.index)
        is_memory = value in self.body.operand_of and value not in self.available
        if not is_memory:  # the memory behind the value may be larger: the value's own bounds are kept here
            own = zip(load.index, index, concrete(value.shape), strict=True)
            index = tuple(at if isinstance(i, Affine) else _clamped(at, dim) for i, at, dim in own)
        if not load.guarded:
            return self.pull(value, index, guarded)
        if is_memory and all(isinstance(index[d], Affine) for d in load.guarded):
            return Load(self.body.operand_of[value], index, value.dtype, load.guarded, load.fill)
        inside = self.pull(value, index, True)
        return self._guarded(inside, index, load, concrete(value.shape))

    def _guarded(self, inside: Expr, index: tuple[Index, ...], load: Load, shape: tuple[int, ...]) -> Expr:
        """The value where the index lies in the shape, the load's fill elsewhere."""
        result, fill = inside, Const(load.fill, inside.dtype)
        for d in load.guarded:
            at = index[d]
            if isinstance(at, Affine) and not at.terms:
                result = result if 0 <= at.constant < shape[d] else fill
                continue
            position = Position(at, DType.I64) if isinstance(at, Affine) else cast(at, DType.I64)
            low = Apply("ge", (position, Const(0, DType.I64)), DType.BOOL)
            high = Apply("lt", (position, Const(shape[d], DType.I64)), DType.BOOL)
            both = Apply("logical_and", (low, high), DType.BOOL)
            result = Apply("select", (both, result, fill), inside.dtype)
        return result

    def _name(self, value: Value, expr: Expr) -> Expr:
        if not isinstance(expr, Apply):
            return expr
        reg = Reg(self.body.fresh(value.name), value.dtype.computed)
        self.lets.append(Let(reg, expr))
        return reg


def _clamped(index: Index, dim: int) -> Expr:
    """An indirect index brought into a dimension."""
    assert not isinstance(index, Affine)
    low = Apply("max", (cast(index, DType.I64), Const(0, DType.I64)), DType.I64)
    return Apply("min", (low, Const(max(dim - 1, 0), DType.I64)), DType.I64)


def index_at(index: Affine, axes: Mapping[str, Index]) -> Index:
    """An affine index with axes replaced; an expression when one of the replacements is (an indirect index)."""
    if all(isinstance(axes.get(name, index), Affine) for name in index.axes):
        return index.substitute({name: axes[name] for name in index.axes if name in axes})  # type: ignore[misc]
    total: Expr = Const(index.constant, DType.I64)
    for name, coefficient in index.terms:
        at = axes.get(name, Affine.of(name))
        term = Position(at, DType.I64) if isinstance(at, Affine) else cast(at, DType.I64)
        total = Apply("add", (Apply("mul", (term, Const(coefficient, DType.I64)), DType.I64), total), DType.I64)
    return total


def with_index(expr: Expr, names: frozenset[str], index: tuple[Affine, ...]) -> Expr:
    """The expression with the registers `names` indexed (a register array in place of a single register)."""

    def leaf(e: Expr) -> Expr:
        return replace(e, index=index) if isinstance(e, Reg) and e.name in names else e

    return rewrite(expr, leaf)


def only_at(at: tuple[Index, ...], result: Expr) -> Access:
    """A value that is known at one index only."""
    return lambda index: result if index == at else None


def row_major(axes: Sequence[Axis]) -> Expr:
    """The position of a point of the axes, counted row by row."""
    total, step = Affine(), 1
    for axis in reversed(axes):
        total, step = total + Affine.of(axis) * step, step * int(axis.extent)
    return Position(total, DType.I32)
