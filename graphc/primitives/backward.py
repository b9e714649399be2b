"""The backward sweep: cotangents from results to operands, for a whole graph or for the body of a loop."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from graphc.ir.builder import Builder
from graphc.ir.op import Node, Value
from graphc.primitives import functions as fn

Cotangents = dict[Value, Value]


def active_values(nodes: Iterable[Node], wrt: Iterable[Value]) -> set[Value]:
    """The float values that depend on `wrt`, `wrt` included."""
    active = set(wrt)
    for node in nodes:
        if any(value in active for value in node.inputs):
            active.update(value for value in node.outputs if value.dtype.is_float)
    return active


def pull_back(
    b: Builder,
    nodes: Sequence[Node],
    cotangents: Cotangents,
    active: Collection[Value],
    leaves: Collection[Value] = frozenset(),
) -> None:
    """Adds to `cotangents`, which has those of results, what they contribute to the active values before them.

    `nodes` are in the order of execution; new nodes carry the location of the node they differentiate and the direction
    backward. What computes one of the `leaves` is left alone. NotImplementedError names op and layer if an op has no
    gradient.
    """
    for node in reversed(nodes):
        if any(value in leaves for value in node.outputs):
            continue
        if any(v in cotangents for v in node.outputs) and any(v in active for v in node.inputs):
            with b.at(replace(node.loc, direction="backward")):
                _pull_back_node(b, node, cotangents, active)


def _pull_back_node(b: Builder, node: Node, cotangents: Cotangents, active: Collection[Value]) -> None:
    found = _vjp(b, node, [cotangents.get(value) for value in node.outputs])
    for value, cotangent in zip(node.inputs, found, strict=True):
        if cotangent is not None and value in active:
            accumulate(b, cotangents, value, cotangent)


def _vjp(b: Builder, node: Node, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
    try:
        return node.op.vjp(b, node.inputs, node.outputs, cotangents)
    except NotImplementedError as error:
        layer = f" (layer {node.loc.layer})" if node.loc.layer else ""
        raise NotImplementedError(f"%{node.names[0]}{layer}: {error}; the loss depends on it") from error


def accumulate(b: Builder, cotangents: Cotangents, value: Value, cotangent: Value) -> None:
    """Adds a contribution to the cotangent of a value."""
    assert cotangent.type == value.type, f"cotangent {cotangent.type} of {value!r}"
    known = cotangents.get(value)
    cotangents[value] = cotangent if known is None else fn.add(b, known, cotangent)
