"""The drawing of what was compiled: a box per kernel with its layer, what it computes and what it results in."""

from __future__ import annotations

from typing import Any

from graphc.ir.composite import Composite
from graphc.ir.graph import Graph
from graphc.ir.op import Alias, Node, Role, Source, Value, View
from graphc.utils.diagram import Box, Diagram

MOST_OPS = 6


def compiled_graph(thing: Any) -> Graph | None:
    """The graph of kernels of an executable, a graph itself, or None for anything else."""
    if isinstance(thing, Graph):
        return thing
    return thing.graph("fused") if hasattr(thing, "kernels") and hasattr(thing, "program") else None


def compiled_diagram(graph: Graph, horizontal: bool) -> Diagram:
    """Data inputs and kernels, with the arrows along which values pass; weights, states and constants are left out."""
    shown = [value.node for value in graph.inputs_of(Role.INPUT)]
    shown += [node for node in graph.nodes if not isinstance(node.op, Source | Alias)]
    place = {node: i for i, node in enumerate(shown)}
    arrows = {(place[source], place[node]): None for node in shown for source in _sources(node) if source in place}
    return Diagram([_box(node) for node in shown], list(arrows), horizontal)


def _sources(node: Node) -> list[Node]:
    return [_named(value).node for value in node.inputs]


def _named(value: Value) -> Value:
    """The value whose memory this is another name of."""
    while isinstance(value.op, Alias):
        value = value.node.inputs[0]
    return value


def _box(node: Node) -> Box:
    types = ", ".join(map(str, node.types))
    if not node.inputs:
        return Box(f"%{node.names[0]}", [(types,)])
    title = f"@{node.op.title}" if isinstance(node.op, Composite) else node.op.mnemonic
    place = f"{node.loc.layer} {node.loc.direction}".strip()
    return Box(title, [(place,), (_work(node),), (types,)])


def _work(node: Node) -> str:
    """The ops of a kernel, without constants and what only places an operand."""
    inner = node.op.body.nodes if isinstance(node.op, Composite) else (node,)
    names = list(dict.fromkeys(n.op.mnemonic for n in inner if n.inputs and not isinstance(n.op, View | Alias)))
    return " + ".join(names[:MOST_OPS]) + (f" + {len(names) - MOST_OPS} more" if len(names) > MOST_OPS else "")
