"""Dead code elimination."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Node, Value
from graphc.ir.rewrite import rebuild, replace_results


def dce(graph: Graph) -> Graph:
    """Removes nodes that no output, update or check needs, and of loops the results, carries, operands and nodes that
    are not needed. Inputs stay: they are the caller's."""
    live: set[Value] = set(graph.results)
    kept: list[tuple[Node, _Part | None]] = []
    for node in reversed(graph.nodes):
        if any(value in live for value in node.outputs):
            part = _needed_part(node, live)
            kept.append((node, part))
            live.update(part.inputs if part else node.inputs)
    if any(part for _, part in kept):
        return _with_parts(graph, kept[::-1])
    nodes = tuple(node for node, _ in reversed(kept))
    return graph if len(nodes) == len(graph.nodes) else replace(graph, nodes=nodes)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is needed of a loop: a smaller loop, its operands, and which of its results each old result is."""

    op: Loop
    inputs: tuple[Value, ...]
    results: dict[int, int]


def _with_parts(graph: Graph, kept: list[tuple[Node, _Part | None]]) -> Graph:
    nodes: list[Node] = []
    mapping: dict[Value, Value] = {}
    for old, part in kept:
        inputs = tuple(mapping.get(v, v) for v in (part.inputs if part else old.inputs))
        if part is None:
            new, places = rebuild(old, inputs), {i: i for i in range(len(old.types))}
        else:
            first = {place: i for i, place in reversed(part.results.items())}
            names = tuple(old.names[first[place]] for place in range(len(first)))
            new = Node(part.op, inputs, part.op.infer(*(v.type for v in inputs)), names, old.loc)
            places = part.results
        nodes.append(new)
        mapping.update((Value(old, i), Value(new, place)) for i, place in places.items() if new is not old)
    return replace_results(graph, nodes, mapping)


def _needed_part(node: Node, live: Collection[Value]) -> _Part | None:
    """What of a loop is needed for its live results; None if that is all of it, or if the node is no loop."""
    if not isinstance(op := node.op, Loop):
        return None
    wanted = {i for i, value in enumerate(node.outputs) if value in live}
    stacked = [i for i in sorted(wanted) if i >= op.carries]
    body, carries, used = _needed_body(op, {i for i in wanted if i < op.carries}, stacked)
    if body is op.body and used.issuperset(op.body.inputs):
        return None
    inputs = [i for i, value in enumerate(op.body.inputs) if value in used or i in carries]
    outputs = list(dict.fromkeys(op.body.outputs[i] for i in stacked))
    place = {i: len(carries) + outputs.index(op.body.outputs[i]) for i in stacked}
    place.update((i, number) for number, i in enumerate(carries))
    smaller = replace(
        op,
        body=replace(body, inputs=tuple(op.body.inputs[i] for i in inputs)),
        carries=len(carries),
        sequences=sum(op.carries <= i < op.carries + op.sequences for i in inputs),
    )
    return _Part(smaller, tuple(node.inputs[i] for i in inputs), place)


def _needed_body(op: Loop, carries: set[int], stacked: list[int]) -> tuple[Graph, list[int], set[Value]]:
    """The body for some results, the carries it takes, and the values it reads."""
    while True:
        numbers = sorted(carries)
        outputs = dict.fromkeys(op.body.outputs[i] for i in stacked)
        results = (*(op.following()[i] for i in numbers), *outputs)
        body = dce(op.body if results == op.body.outputs else replace(op.body, outputs=results))
        used = {*body.outputs, *(value for node in body.nodes for value in node.inputs)}
        missing = {i for i, value in enumerate(op.carried()) if value in used} - carries
        if not missing:
            return body, numbers, used
        carries |= missing
