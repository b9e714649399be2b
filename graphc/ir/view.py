"""Graphs as networkx sees them: convexity, dominators, and pictures for Graphviz. The only file that imports networkx.

Importing networkx takes 0.1 s, so it happens on first use; a compilation does not need it (the hot convexity test of
fusion is `passes.acyclic`, which is tested against this file).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Parameter, Value

if TYPE_CHECKING:
    import networkx as nx

RESULTS = "results"  # the vertex behind everything a run must produce


def digraph(graph: Graph) -> nx.MultiDiGraph:
    """Inputs and nodes as vertices; an edge per operand, with the value as attribute `value`."""
    import networkx as nx

    picture: Any = nx.MultiDiGraph(name=graph.name)
    picture.add_nodes_from(value.node for value in graph.inputs)
    for node in graph.nodes:
        picture.add_node(node)
        picture.add_edges_from((value.node, node, {"value": value}) for value in node.inputs)
    return picture


def is_convex(graph: Graph, nodes: Collection[Node]) -> bool:
    """No path leaves the nodes and comes back: they can run as one kernel."""
    import networkx as nx

    whole, group = nx.DiGraph(digraph(graph)), set(nodes)
    below = set().union(*(nx.descendants(whole, node) for node in group)) - group
    above = set().union(*(nx.ancestors(whole, node) for node in group)) - group
    return not below & above


def joins(graph: Graph) -> dict[Node, Node | None]:
    """For every node that a result needs the nearest node through which all its uses pass; None if there is none.

    That is its immediate post-dominator: a value whose uses join early can stay inside one kernel.
    """
    import networkx as nx

    backward: Any = nx.DiGraph(digraph(graph)).reverse()
    backward.add_edges_from((RESULTS, value.node) for value in graph.results)
    found: dict[Any, Any] = nx.immediate_dominators(backward, RESULTS)
    return {node: None if at == RESULTS else at for node, at in found.items() if node != RESULTS}


def dot(graph: Graph) -> str:
    """The graph in Graphviz's language: boxes for kernels, ellipses for inputs, edges with name and type."""
    results = set(graph.results)
    lines = [f'digraph "{_quoted(graph.name)}" {{', "  node [fontname=monospace, fontsize=10];"]
    vertices = [value.node for value in graph.inputs] + list(graph.nodes)
    number = {node: f"n{i}" for i, node in enumerate(vertices)}
    for node in vertices:
        bold = ", penwidth=2" if any(value in results for value in node.outputs) else ""
        shape = "ellipse" if isinstance(node.op, Parameter) else "box"
        lines.append(f'  {number[node]} [shape={shape}{bold}, label="{_label(node)}"];')
    for source, target, value in digraph(graph).edges(data="value"):
        lines.append(f'  {number[source]} -> {number[target]} [label="{_quoted(_typed(value))}"];')
    return "\n".join([*lines, "}"])


def _label(node: Node) -> str:
    """Name and kernel, and for a kernel the ops inside."""
    if isinstance(node.op, Parameter):
        return _quoted(f"%{node.names[0]} : {node.types[0]}")
    if not isinstance(node.op, Fused):
        return _quoted(node.op.mnemonic)
    inside = [inner.op.mnemonic for inner in node.op.body.nodes]
    return _quoted(f"@{node.op.label}") + "\\n" + _quoted(", ".join(inside))


def _typed(value: Value) -> str:
    return f"%{value.name} : {value.type}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
