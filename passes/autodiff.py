"""Reverse-mode differentiation: appends the backward pass to a graph, giving the joint graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Value
from graphc.primitives import functions as fn


def gradients(graph: Graph, loss: Value, wrt: Sequence[Value]) -> Graph:
    """The graph with the gradients of `loss` behind its outputs, one per value of `wrt`, named `d.<name>`.

    Each gradient has the type of its value; a value on which the loss does not depend has a zero gradient. New nodes
    carry the layer of the node they differentiate and the direction backward. Cotangents are added in the reverse order
    of the nodes that produce them. ValueError if the loss is not a float scalar of the graph or a value of `wrt` is not
    a float value of it; NotImplementedError names op and layer if an op between `wrt` and the loss has no gradient.
    """
    _check(graph, loss, wrt)
    backward = _Backward(graph, wrt)
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

    def __init__(self, graph: Graph, wrt: Sequence[Value]) -> None:
        self.graph = graph
        self.b = Builder(graph=graph)
        self.cotangents: dict[Value, Value] = {}
        self.active = _active(graph, wrt)

    def run(self, loss: Value) -> None:
        with self.b.at(replace(loss.node.loc, direction="backward")):
            self.cotangents[loss] = fn.constant(self.b, 1.0, loss.dtype)
        for node in reversed(self.graph.nodes):
            if any(v in self.cotangents for v in node.outputs) and any(v in self.active for v in node.inputs):
                with self.b.at(replace(node.loc, direction="backward")):
                    self._pull_back(node)

    def _pull_back(self, node: Node) -> None:
        """Adds what the node's results contribute to the cotangents of its operands."""
        known = [self.cotangents.get(value) for value in node.outputs]
        for value, cotangent in zip(node.inputs, self._vjp(node, known), strict=True):
            if cotangent is not None and value in self.active:
                self._accumulate(value, cotangent)

    def _vjp(self, node: Node, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        try:
            return node.op.vjp(self.b, node.inputs, node.outputs, cotangents)
        except NotImplementedError as error:
            layer = f" (layer {node.loc.layer})" if node.loc.layer else ""
            raise NotImplementedError(f"%{node.names[0]}{layer}: {error}; the loss depends on it") from error

    def _accumulate(self, value: Value, cotangent: Value) -> None:
        assert cotangent.type == value.type, f"cotangent {cotangent.type} of {value!r}"
        known = self.cotangents.get(value)
        self.cotangents[value] = cotangent if known is None else fn.add(self.b, known, cotangent)

    def gradient(self, value: Value) -> Value:
        """The whole cotangent of a value, zero if the loss does not depend on it."""
        if (known := self.cotangents.get(value)) is not None:
            return known
        with self.b.at(replace(value.node.loc, direction="backward")):
            return fn.zeros_like(self.b, value)


def _active(graph: Graph, wrt: Sequence[Value]) -> set[Value]:
    """The float values that depend on `wrt`, `wrt` included."""
    active = set(wrt)
    for node in graph.nodes:
        if any(value in active for value in node.inputs):
            active.update(value for value in node.outputs if value.dtype.is_float)
    return active
