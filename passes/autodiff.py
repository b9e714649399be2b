"""Reverse-mode differentiation: appends the backward pass to a graph, giving the joint graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Value
from graphc.primitives import functions as fn
from graphc.primitives.backward import active_values, pull_back


def gradients(graph: Graph, loss: Value, wrt: Sequence[Value], leaves: Collection[Value] = ()) -> Graph:
    """The graph with the gradients of `loss` behind its outputs, one per value of `wrt`, named `d.<name>`.

    Each gradient has the type of its value; a value on which the loss does not depend has a zero gradient. New nodes
    carry the layer of the node they differentiate and the direction backward. Cotangents are added in the reverse order
    of the nodes that produce them. `leaves` count as independent of what computes them. ValueError if the loss is not a
    float scalar of the graph or a value of `wrt` is not a float value of it; NotImplementedError names op and layer
    if an op between `wrt` and the loss has no gradient.
    """
    _check(graph, loss, wrt)
    backward = _Backward(graph, wrt, frozenset(leaves))
    backward.run(loss)
    results = [backward.gradient(value) for value in wrt]
    names = graph.output_names or tuple(value.name for value in graph.outputs)
    return backward.b.build((*graph.outputs, *results), (*names, *(f"d.{value.name}" for value in wrt)))


def _check(graph: Graph, loss: Value, wrt: Sequence[Value]) -> None:
    known = set(graph.values())
    for value in (loss, *wrt):
        if value not in known or not value.dtype.is_float:
            raise ValueError(f"gradients: %{value.name} : {value.type} is not a float value of graph @{graph.name}")
    if loss.shape != ():
        raise ValueError(f"gradients: the loss %{loss.name} must be a scalar, got {loss.type}")


class _Backward:
    """One backward pass: the cotangents known so far, and which values depend on `wrt`."""

    def __init__(self, graph: Graph, wrt: Sequence[Value], leaves: frozenset[Value] = frozenset()) -> None:
        self.graph = graph
        self.leaves = leaves
        self.b = Builder(graph=graph)
        self.cotangents: dict[Value, Value] = {}
        self.active = active_values(graph.nodes, wrt)

    def run(self, loss: Value) -> None:
        with self.b.at(replace(loss.node.loc, direction="backward")):
            self.cotangents[loss] = fn.constant(self.b, 1.0, loss.dtype)
        pull_back(self.b, self.graph.nodes, self.cotangents, self.active, self.leaves)

    def gradient(self, value: Value) -> Value:
        """The whole cotangent of a value, zero if the loss does not depend on it."""
        if (known := self.cotangents.get(value)) is not None:
            return known
        with self.b.at(replace(value.node.loc, direction="backward")):
            return fn.zeros_like(self.b, value)
