"""Updates of a table whose gradient touches few rows: added to these rows in place, without a dense gradient.

The gradient of an embedding is a scatter-add into zeros of the table's size, and plain SGD subtracts a multiple of it.
Where nothing was added, that subtracts zero: the pass adds the scaled updates to the table's rows instead. Every other
row keeps its bits; a touched row differs by rounding, as it is added to number by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Alias, Node, Value, View
from graphc.ir.remarks import remark
from graphc.ir.rewrite import rewrite
from graphc.ir.types import DType, Rows
from graphc.primitives import functions as fn
from graphc.primitives.elementwise import Add, Div, Mul, Neg, Sub
from graphc.primitives.index import AddRows, ScatterAdd
from graphc.primitives.shape import Broadcast
from passes.dce import dce
from passes.rules import splat, splat_like

LOOKUPS = 16  # of one table whose updates are joined


def update_rows(graph: Graph) -> Graph:
    """Every update `table - scale * scatter_add` (also several, added up) as an addition to the rows that ids name.

    Left dense where an untouched row could change (weight decay, momentum, moving averages), where the gradient is read
    by anything else (its norm), where old and new table are needed side by side, and where there are as many ids as
    rows: then a pass over the table is no more work, and sums are added to it more precisely than their terms.
    """
    before = graph
    for number in range(len(graph.updates)):
        graph = _with_rows(graph, *graph.updates[number])
    return graph if graph is before else dce(graph)


def _with_rows(graph: Graph, table: Value, new: Value) -> Graph:
    scatters = _scatters_of(table, new)
    if not scatters:
        return graph
    if problem := _problem(graph, table, new, scatters):
        remark("update_rows", new.node, f"left dense: {problem}")
        return graph
    remark("update_rows", new.node, f"adds to at most {_count(scatters)} of {table.shape[0]} rows in place")

    def rule(b: Builder, node: Node) -> Sequence[Value] | None:
        return (_added(b, table, scatters),) if node is new.node else None

    return rewrite(graph, rule)


# ---- what is added


@dataclass(frozen=True, slots=True)
class _Scatter:
    """A scatter-add and the linear operations on its result on the way to the table, each with the value it takes."""

    value: Value
    path: tuple[tuple[Node, Value], ...] = ()
    negative: bool = False

    @property
    def ids(self) -> Value:
        return self.value.node.inputs[0]

    @property
    def between(self) -> Iterator[Value]:
        """The dense values, from the scatter-add to what the table gets."""
        yield self.value
        yield from (node.outputs[0] for node, _ in self.path)

    def through(self, node: Node, other: Value) -> _Scatter:
        return replace(self, path=(*self.path, (node, other)))

    def negated(self) -> _Scatter:
        return replace(self, negative=not self.negative)


def _scatters_of(table: Value, new: Value) -> list[_Scatter]:
    """The scatter-adds whose multiples make the new table of the old one; empty if it is anything else."""
    match new.op:
        case Sub() if new.node.inputs[0] == table:
            return [scatter.negated() for scatter in _terms(new.node.inputs[1])]
        case Add() if table in new.node.inputs:
            first, second = new.node.inputs
            return _terms(second if first == table else first)
    return []


def _terms(value: Value) -> list[_Scatter]:
    """The scatter-adds of which a value is a linear combination that is zero where all of them are."""
    node = value.node
    match node.op:
        case ScatterAdd(batch=0):
            return [_Scatter(value)]
        case Add() | Sub():
            return [scatter.through(node, value) for scatter in _sum_terms(node)]
        case Neg():
            return [scatter.negated().through(node, value) for scatter in _terms(node.inputs[0])]
        case Mul() | Div():
            first, second = node.inputs
            if isinstance(node.op, Mul) and _is_uniform(first):
                first, second = second, first
            return [scatter.through(node, second) for scatter in _terms(first)] if _is_uniform(second) else []
    return []


def _sum_terms(node: Node) -> list[_Scatter]:
    """The terms of a sum or a difference."""
    if not (first := _terms(node.inputs[0])) or not (second := _terms(node.inputs[1])):
        return []
    if isinstance(node.op, Sub):
        second = [scatter.negated() for scatter in second]
    return [*first, *second] if len(first) + len(second) <= LOOKUPS else []


def _is_uniform(value: Value) -> bool:
    """Whether all elements are one number."""
    return (isinstance(value.op, Broadcast) and not value.node.inputs[0].type.rank) or splat(value) is not None


# ---- whether it may be


def _problem(graph: Graph, table: Value, new: Value, scatters: Sequence[_Scatter]) -> str:
    """Why the update stays dense; empty if it need not."""
    if table.dtype not in (DType.F32, DType.F64):
        return f"the table is {table.dtype.value}"
    if _count(scatters) >= int(table.shape[0]):
        return f"{_count(scatters)} ids for {table.shape[0]} rows"
    if len(scatters) > 1 and not _can_join(scatters):
        return "the ids of its lookups cannot be joined"
    users, results = graph.users(), graph.results
    shared = {v for scatter in scatters for v in scatter.between if len(users[v]) > 1 or v in results}
    if shared:
        return f"%{next(iter(shared)).name} is read elsewhere too"
    return _order_problem(graph, table, new)


def _order_problem(graph: Graph, table: Value, new: Value) -> str:
    """Why the new table cannot take the memory of the old one."""
    if new in graph.outputs or sum(value == new for _, value in graph.updates) > 1:
        return "the new table is another result too"
    old, changed = {table}, {new}
    for node in graph.nodes:
        if not changed.isdisjoint(node.inputs):
            if not old.isdisjoint(node.inputs):
                return f"%{node.names[0]} reads the old table and the new one"
            changed.update(node.outputs)
        elif isinstance(node.op, Alias | View) and not old.isdisjoint(node.inputs):
            old.update(node.outputs)
    late = any(check.value in changed for check in graph.checks)
    return "a check reads the new table" if late else ""


def _count(scatters: Sequence[_Scatter]) -> int:
    return sum(scatter.ids.type.size for scatter in scatters)


def _can_join(scatters: Sequence[_Scatter]) -> bool:
    """All ids have the batch as first axis and nowhere else, or none has it at all."""
    ids = [scatter.ids for scatter in scatters]
    if len({v.dtype for v in ids}) > 1 or any(isinstance(d, Rows) for v in ids for d in v.shape[1:]):
        return False
    return not any(v.type.has_rows for v in ids) or len({v.shape[0] if v.shape else None for v in ids}) == 1


# ---- the update


def _added(b: Builder, table: Value, scatters: Sequence[_Scatter]) -> Value:
    pairs = [(scatter.ids, _scaled(b, scatter)) for scatter in scatters]
    ids, updates = pairs[0] if len(pairs) == 1 else _joined(b, pairs)
    return b.add(AddRows(), table, ids, updates)


def _scaled(b: Builder, scatter: _Scatter) -> Value:
    """What is added to the rows: the updates after the same multiplications and divisions."""
    value = scatter.value.node.inputs[1]
    for node, other in scatter.path:
        if isinstance(node.op, Mul | Div):
            value = b.add(node.op, value, _uniform(b, other, value))
    return fn.neg(b, value) if scatter.negative else value


def _uniform(b: Builder, number: Value, like: Value) -> Value:
    """The number that all elements of a value are, in the shape of another value."""
    if isinstance(number.op, Broadcast) and not number.node.inputs[0].type.rank:
        return fn.broadcast(b, number.node.inputs[0], like.shape, ())
    known = splat(number)
    assert known is not None
    return splat_like(b, like, known)


def _joined(b: Builder, pairs: Sequence[tuple[Value, Value]]) -> tuple[Value, Value]:
    """Ids and updates of several lookups side by side."""
    axis = int(pairs[0][0].type.has_rows)
    flat = [_flat(b, ids, updates, axis) for ids, updates in pairs]
    ids, updates = zip(*flat, strict=True)
    return fn.concat(b, ids, axis), fn.concat(b, updates, axis)


def _flat(b: Builder, ids: Value, updates: Value, axis: int) -> tuple[Value, Value]:
    """Ids and updates with all axes of the ids from `axis` on as one."""
    shape = (*ids.shape[:axis], prod(ids.shape[axis:]))
    return fn.reshape(b, ids, shape), fn.reshape(b, updates, (*shape, *updates.shape[ids.type.rank :]))
