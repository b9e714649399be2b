"""The numpy interpreter: what a graph means. The oracle of every test; it shares no code with the compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.op import Array, Node, Value
from graphc.ir.types import concrete


def evaluate(graph: Graph, arrays: Mapping[Value, Array]) -> dict[Value, Array]:
    """The array of every value, for arrays of all inputs (rows at the compiled maximum)."""
    known = {value: _conform(value, np.asarray(arrays[value])) for value in graph.inputs}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            known.update(zip(node.outputs, eval_node(node, [known[value] for value in node.inputs]), strict=True))
    return known


def eval_node(node: Node, arrays: Sequence[Array]) -> Sequence[Array]:
    """The results of a node for arrays of its operands. Half types are computed in float32 and rounded."""
    halves = any(type.dtype.is_half for type in (*node.types, *(value.type for value in node.inputs)))
    if not halves or hasattr(node.op, "body"):
        return node.op.eval(*arrays)
    wide = [array.astype(v.dtype.computed.numpy) for v, array in zip(node.inputs, arrays, strict=True)]
    results = node.op.eval(*wide)
    return tuple(np.asarray(r).astype(t.dtype.numpy) for r, t in zip(results, node.types, strict=True))


def interpret(graph: Graph, arrays: Mapping[Value, Array]) -> tuple[Array, ...]:
    """The arrays of `graph.results`: outputs, then next states, then checks."""
    known = evaluate(graph, arrays)
    return tuple(known[value] for value in graph.results)


def _conform(value: Value, array: Array) -> Array:
    """The array itself if it has the value's type; ValueError otherwise."""
    if array.shape != concrete(value.shape) or array.dtype != value.dtype.numpy:
        raise ValueError(f"input %{value.name}: wanted {value.type}, got {array.dtype}{list(array.shape)}")
    return array
