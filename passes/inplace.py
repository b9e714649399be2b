"""Reuse in place: which operands of a kernel a result may overwrite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Value
from graphc.ir.types import Shape
from passes.facts import Facts, FactsOf, Kind, Read, Relation
from passes.laws import Form, Refusal, ancestors, form_of


def reusable_operands(node: Node) -> tuple[Value, ...]:
    """The operands that a fused node reads only at the element it is about to store.

    Relied on of kernels: at each point everything computed is loaded before the first store, what leads up to a
    contraction, window or reduction is read through before its result is stored, and rows are stored after the last
    pass over the row.
    """
    if not isinstance(node.op, Fused):
        return ()
    body = node.op.body
    safe = _elementwise_inputs(body)
    return tuple(value for value, inner in zip(node.inputs, body.inputs, strict=True) if inner in safe)


@lru_cache(maxsize=64)  # the bodies of one graph: more would keep old graphs alive
def _elementwise_inputs(body: Graph) -> frozenset[Value]:
    """The inputs of a body that every load reads at the index of the result."""
    known = FactsOf(body)
    members = [f for f in known.by_node.values() if not f.free or any(v in body.outputs for v in f.outputs)]
    form = form_of(members, body.outputs)
    if isinstance(form, Refusal):
        return frozenset()
    read = {read.value for facts in members for read in facts.reads}
    return frozenset((read - read_elsewhere(members, body.outputs, form)) & set(body.inputs))


def read_elsewhere(members: Sequence[Facts], outputs: Sequence[Value], form: Form) -> set[Value]:
    """What the members of a kernel read at another index than the results', or after other results are stored."""
    main = [f for f in members if f.kind is not Kind.MAP]
    kept = main[0].shape if main else outputs[0].shape
    away = set() if form is Form.ROW else {f.node for f in main} | ancestors(members, {f.node for f in main})
    if any(f.kind is Kind.OPAQUE for f in members):
        away = {f.node for f in members}
    inside = {f.node for f in members}

    def is_away(read: Read, facts: Facts) -> bool:
        if read.relation is Relation.START and read.value.node not in inside:
            return False  # copied before anything is added, or not at all
        return facts.node in away or not _is_own(read, facts, kept, form)

    for facts in reversed(members):
        away |= {read.value.node for read in facts.reads if is_away(read, facts)}
    if len(outputs) > 1:
        away |= {f.node for f in members if f.free}  # a copy is loaded only when it is stored
    return {read.value for facts in members for read in facts.reads if is_away(read, facts)}


def _is_own(read: Read, reader: Facts, kept: Shape, form: Form) -> bool:
    """Whether a read stays at the element (in a row kernel: the row) of the reader."""
    if read.relation is Relation.SAME:
        return True
    return form is Form.ROW and read.relation is Relation.LEADING and read.value.shape == kept
