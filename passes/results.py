"""Results of their own: all results of a graph become computed values, outputs and next states no two the same."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Alias, Value
from graphc.primitives.shape import Broadcast
from graphc.primitives.source import Constant
from passes.facts import is_input, root
from passes.loops import change_bodies, with_own_results


def own_results(graph: Graph) -> Graph:
    """The graph with a copy for every output or next state whose memory is an input's, a constant's or another
    result's, and for every check that no node computes.

    Then a result can be computed where it is wanted: in the caller's array or in the state's own memory. The same graph
    when all results are their own. The same for the bodies of loops, where a stacked result may be what is carried.
    """
    graph = change_bodies(graph, lambda op: with_own_results(op, own_results))
    b = Builder(graph=graph)
    taken: set[Value] = set()
    outputs = tuple(_own(b, value, taken) for value in graph.outputs)
    updates = tuple((state, _own(b, new, taken)) for state, new in graph.updates)
    checks = tuple(replace(check, value=_computed(b, check.value)) for check in graph.checks)
    if len(b.nodes) == len(graph.nodes):
        return graph
    return replace(graph, nodes=tuple(b.nodes), outputs=outputs, updates=updates, checks=checks)


def _own(b: Builder, value: Value, taken: set[Value]) -> Value:
    memory = root(value)
    if is_input(memory) or isinstance(memory.op, Constant) or memory in taken:
        value = memory = _copy(b, value)
    taken.add(memory)
    return value


def _computed(b: Builder, value: Value) -> Value:
    return _copy(b, value) if is_input(value) or isinstance(value.op, Alias | Constant) else value


def _copy(b: Builder, value: Value) -> Value:
    with b.at(value.node.loc):
        return b.add(Broadcast(value.shape, tuple(range(value.type.rank))), value, name=value.name)
