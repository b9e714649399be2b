"""The numpy interpreter: what a graph means. The oracle of every test; it shares no code with the compiler."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.op import Array, Value
from graphc.ir.types import concrete


def evaluate(graph: Graph, arrays: Mapping[Value, Array]) -> dict[Value, Array]:
    """The array of every value, for arrays of all inputs (rows at the compiled maximum)."""
    known = {value: _conform(value, np.asarray(arrays[value])) for value in graph.inputs}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            results = node.op.eval(*(known[value] for value in node.inputs))
            known.update(zip(node.outputs, results, strict=True))
    return known


def interpret(graph: Graph, arrays: Mapping[Value, Array]) -> tuple[Array, ...]:
    """The arrays of `graph.results`: outputs, then next states, then checks."""
    known = evaluate(graph, arrays)
    return tuple(known[value] for value in graph.results)


def _conform(value: Value, array: Array) -> Array:
    """The array itself if it has the value's type; ValueError otherwise."""
    if array.shape != concrete(value.shape) or array.dtype != value.dtype.numpy:
        raise ValueError(f"input %{value.name}: wanted {value.type}, got {array.dtype}{list(array.shape)}")
    return array
