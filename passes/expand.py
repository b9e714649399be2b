"""Expansion: ops that stand for a graph of others (gelu; attention, a loop over blocks) become that graph."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Expanded, Node, Value
from graphc.ir.rewrite import rewrite
from passes.loops import in_bodies


@in_bodies
def expand(graph: Graph) -> Graph:
    """The graph with every `Expanded` op replaced by what it stands for."""

    def rule(b: Builder, node: Node) -> Sequence[Value] | None:
        return node.op.expand(b, *node.inputs) if isinstance(node.op, Expanded) else None

    return rewrite(graph, rule)
