"""Recomputation: a training step that keeps fewer values of the forward pass and computes the others again when the
backward pass needs them. Less memory for more arithmetic; the same numbers, but for what fusion rounds otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from graphc.ir.graph import Graph
from graphc.ir.op import Alias, Contraction, Node, Parameter, Reduction, Source, Value, Window

CHEAP = 1
LEVELS = (CHEAP, 2, 4, 8, 16)
"""What is tried in turn: CHEAP keeps results of contractions, windows and reductions, of which maps are computed again;
a greater number cuts the forward pass into so many segments and keeps what passes from one to the next."""


def recompute(graph: Graph, level: int) -> Graph:
    """The graph in which backward nodes read copies of forward nodes, made just before they are needed, in place of
    values kept from the forward pass. The same graph if it has no backward nodes or nothing is read there.

    To be run right before fusion: common subexpressions must not be joined again.
    """
    kept = _dear(graph) if level == CHEAP else _borders(graph, level)
    copier = _Copier(graph, kept)
    nodes = [new for node in graph.nodes for new in copier.nodes_for(node)]
    return copier.rebuilt(nodes) if copier.copies else graph


def _is_forward(node: Node) -> bool:
    return node.loc.direction == "forward"


def _dear(graph: Graph) -> set[Value]:
    """Results of everything that is more than a map."""
    dear = (Contraction, Window, Reduction)
    return {value for node in graph.nodes if isinstance(node.op, dear) or len(node.types) > 1 for value in node.outputs}


def _borders(graph: Graph, count: int) -> set[Value]:
    """The values that pass between segments of the forward nodes, which hold about as many bytes each."""
    forward = [node for node in graph.nodes if _is_forward(node)]
    total = sum(type.nbytes for node in forward for type in node.types) or 1
    segment: dict[Node, int] = {}
    passed = 0
    for node in forward:
        segment[node] = min(count - 1, passed * count // total)
        passed += sum(type.nbytes for type in node.types)
    borders = {v for node in forward for v in node.inputs if segment.get(v.node, segment[node]) != segment[node]}
    last = {value for node in forward if segment[node] == count - 1 for value in node.outputs}
    return {root for value in (*borders, *last, *graph.results) for root in _chain(value)}


def _chain(value: Value) -> Iterator[Value]:
    """The value and, for another name of the same memory, what it names."""
    yield value
    while isinstance(value.op, Alias):
        value = value.node.inputs[0]
        yield value


class _Copier:
    """Copies forward nodes for the backward ones that read them, each once, with all that is not kept before them."""

    def __init__(self, graph: Graph, kept: set[Value]) -> None:
        self.graph, self.kept = graph, kept
        self.copies: dict[Node, Node] = {}
        self.replaced: dict[Node, Node] = {}
        self.names = {value.name for value in graph.values()}

    def nodes_for(self, node: Node) -> Iterator[Node]:
        """The copies a node needs first, then the node itself or what replaces it."""
        if _is_forward(node):
            yield node
            return
        inputs = []
        for value in node.inputs:
            if _is_forward(value.node):
                yield from self._copied(value)
                inputs.append(self._copy_of(value))
            else:
                inputs.append(self._current(value))
        if tuple(inputs) == node.inputs:
            yield node
            return
        self.replaced[node] = Node(node.op, tuple(inputs), node.types, node.names, node.loc)
        yield self.replaced[node]

    def _copied(self, value: Value) -> Iterator[Node]:
        """The copies that must be made for a forward value, operands first."""
        pending = [value]
        while pending:
            wanted = pending[-1]
            if not self._is_copied(wanted) or wanted.node in self.copies:
                pending.pop()
                continue
            missing = [v for v in wanted.node.inputs if self._is_copied(v) and v.node not in self.copies]
            if missing:
                pending.extend(missing)
                continue
            yield self._make(wanted.node)

    def _is_copied(self, value: Value) -> bool:
        """Whether a forward value is computed again: not kept, and more than a number, an input or a name."""
        node = value.node
        if isinstance(node.op, Parameter | Source) or not any(output not in self.kept for output in node.outputs):
            return False
        return value not in self.kept or isinstance(node.op, Alias)

    def _make(self, node: Node) -> Node:
        inputs = tuple(map(self._copy_of, node.inputs))
        names = tuple(self._fresh(name) for name in node.names)
        self.copies[node] = Node(node.op, inputs, node.types, names, node.loc)
        return self.copies[node]

    def _copy_of(self, value: Value) -> Value:
        if self._is_copied(value) and value.node in self.copies:
            return Value(self.copies[value.node], value.index)
        return value

    def _fresh(self, name: str) -> str:
        number = 0
        while (fresh := f"{name}.again{number or ''}") in self.names:
            number += 1
        self.names.add(fresh)
        return fresh

    def _current(self, value: Value) -> Value:
        return Value(self.replaced.get(value.node, value.node), value.index)

    def rebuilt(self, nodes: list[Node]) -> Graph:
        """The graph of these nodes."""
        graph, new = self.graph, self._current
        return replace(
            graph,
            nodes=tuple(nodes),
            outputs=tuple(map(new, graph.outputs)),
            updates=tuple((state, new(value)) for state, value in graph.updates),
            checks=tuple(replace(check, value=new(check.value)) for check in graph.checks),
        )
