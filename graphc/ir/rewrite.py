"""Rewriting: walk a graph in order and replace nodes; what is not touched stays the same object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op, Value

Rule = Callable[[Builder, Node], Sequence[Value] | None]


def rebuild(node: Node, inputs: tuple[Value, ...], op: Op | None = None) -> Node:
    """The node reading other inputs of the same types (the same node when they are the same)."""
    if inputs == node.inputs and op is None:
        return node
    return Node(op or node.op, inputs, node.types, node.names, node.loc)


def reading(node: Node, mapping: Mapping[Value, Value]) -> Node:
    """The node reading what its operands became (the same node when they are the same)."""
    for value in node.inputs:
        if value in mapping:
            return rebuild(node, tuple(mapping.get(v, v) for v in node.inputs))
    return node


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Asks `rule(b, node)` for every node, which already reads the rewritten values.

    None keeps the node. A sequence of values replaces its results one by one; the rule may have added nodes with `b`
    (they take the node's location). Returns the same graph when nothing was replaced.
    """
    b = Builder(graph=replace(graph, nodes=()))
    b.reserve(name for node in graph.nodes for name in node.names)
    mapping: dict[Value, Value] = {}
    for old in graph.nodes:
        node = reading(old, mapping)
        before = len(b.nodes)
        b.loc = node.loc
        values = rule(b, node)
        if values is not None and len(b.nodes) > before:
            values = _named_as(b, node, values)
        if values is None:
            b.nodes.append(node)
            if node is old:
                continue
            values = node.outputs
        mapping.update((o, n) for o, n in zip(old.outputs, values, strict=True) if o != n)
    return replace_results(graph, b.nodes, mapping) if mapping else graph


def _named_as(b: Builder, old: Node, values: Sequence[Value]) -> Sequence[Value]:
    """If one new node replaces a node, it takes over the names: a dump shows the layer's value under its name."""
    new = b.nodes[-1]
    if tuple(values) != new.outputs or len(new.names) != len(old.names):
        return values
    b.nodes[-1] = replace(new, names=old.names)
    return b.nodes[-1].outputs


def replace_results(graph: Graph, nodes: Sequence[Node], mapping: dict[Value, Value]) -> Graph:
    """The graph with other nodes, its outputs, updates and checks renamed through `mapping`."""

    def new(value: Value) -> Value:
        return mapping.get(value, value)

    return replace(
        graph,
        nodes=tuple(nodes),
        outputs=tuple(map(new, graph.outputs)),
        updates=tuple((state, new(value)) for state, value in graph.updates),
        checks=tuple(replace(check, value=new(check.value)) for check in graph.checks),
    )
