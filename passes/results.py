"""Results of their own: every output and next state of a graph becomes a computed value that is no other result."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Value
from graphc.primitives.shape import Broadcast
from graphc.primitives.source import Constant
from passes.facts import is_input, root


def own_results(graph: Graph) -> Graph:
    """The graph with a copy for every output or next state whose memory is an input's, a constant's or another result's.

    Then a result can be computed where it is wanted: in the caller's array or in the state's own memory. The same graph
    when all results are their own.
    """
    b = Builder(graph=graph)
    taken: set[Value] = set()
    outputs = tuple(_own(b, value, taken) for value in graph.outputs)
    updates = tuple((state, _own(b, new, taken)) for state, new in graph.updates)
    if outputs == graph.outputs and updates == graph.updates:
        return graph
    return replace(graph, nodes=tuple(b.nodes), outputs=outputs, updates=updates)


def _own(b: Builder, value: Value, taken: set[Value]) -> Value:
    memory = root(value)
    if is_input(memory) or isinstance(memory.op, Constant) or memory in taken:
        with b.at(value.node.loc):
            value = memory = b.add(Broadcast(value.shape, tuple(range(value.type.rank))), value, name=value.name)
    taken.add(memory)
    return value
