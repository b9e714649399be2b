"""Common subexpression elimination."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Value
from graphc.ir.rewrite import rewrite
from graphc.ir.structure import node_key
from passes.loops import in_bodies


@in_bodies
def cse(graph: Graph) -> Graph:
    """Computes equal nodes once: the first one stays and the others' results become its results.

    Random bits of one key are equal too: they are a function of the key.
    """
    first: dict[Hashable, Node] = {}

    def rule(b: Builder, node: Node) -> Sequence[Value] | None:
        known = first.setdefault(node_key(node), node)
        return None if known is node else known.outputs

    return rewrite(graph, rule)
