"""Dead code elimination."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.graph import Graph
from graphc.ir.op import Node


def dce(graph: Graph) -> Graph:
    """Removes nodes that no output, update or check needs. Inputs stay: they are the caller's."""
    live: set[Node] = {value.node for value in graph.results}
    for node in reversed(graph.nodes):
        if node in live:
            live.update(value.node for value in node.inputs)
    kept = tuple(node for node in graph.nodes if node in live)
    return graph if len(kept) == len(graph.nodes) else replace(graph, nodes=kept)
