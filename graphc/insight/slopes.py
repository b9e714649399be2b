"""Gradients beside finite differences: a graph in double precision, moved a little along random directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from graphc.compiler import gradients
from graphc.ir.builder import Builder
from graphc.ir.composite import Composite
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Node, Op, Parameter, Value
from graphc.ir.types import DType, Rows, ShapeError
from graphc.primitives import functions as fn
from graphc.primitives.elementwise import Cast

STEP = 1e-6  # of a direction of length about one an element


class GradientError(AssertionError):
    """A gradient that is not the slope of what was computed; `name` is the input or weight it belongs to."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Slope:
    """The derivative along one random direction of one input or weight: by the gradient, and measured."""

    name: str
    gradient: float
    measured: float

    @property
    def error(self) -> float:
        """Relative to the larger of both."""
        largest = max(abs(self.gradient), abs(self.measured))
        return abs(self.gradient - self.measured) / largest if largest > 1e-9 else 0.0

    def __str__(self) -> str:
        return f"{self.name}: gradient {self.gradient:.9g}, measured {self.measured:.9g}, error {self.error:.1e}"


def check_gradients(
    graph: Graph, arrays: Mapping[str, Array], names: Sequence[str], *, directions: int, rtol: float, seed: int
) -> list[Slope]:
    """Slopes of all outputs of a graph together along random directions of inputs by name.

    The outputs are summed with random weights, gradients are made by the compiler's own pass, and all of it is
    interpreted in float64. GradientError names the first input whose gradient is off by more than `rtol`.
    """
    rng = np.random.default_rng(seed)
    wide = widened(_summed(graph, rng))
    wrt = [value for value in wide.inputs if value.name in names]
    joint = gradients(wide, wide.outputs[0], wrt)
    known = {value: _wide(arrays[value.name]) for value in joint.inputs}
    slopes = interpret(joint, known)[1 : 1 + len(wrt)]
    found = []
    for value, slope in zip(wrt, slopes, strict=True):
        for _ in range(directions):
            direction = rng.standard_normal(slope.shape)
            ahead, behind = (
                float(interpret(wide, {**_inputs(wide, known), value: known[value] + sign * STEP * direction})[0])
                for sign in (1, -1)
            )
            found.append(Slope(value.name, float(np.sum(slope * direction)), (ahead - behind) / (2 * STEP)))
            if found[-1].error > rtol:
                raise GradientError(value.name, f"the gradient of {found[-1]}, wanted at most {rtol:.1e}")
    return found


def _inputs(graph: Graph, known: Mapping[Value, Array]) -> dict[Value, Array]:
    by_name = {value.name: array for value, array in known.items()}
    return {value: by_name[value.name] for value in graph.inputs}


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _summed(graph: Graph, rng: np.random.Generator) -> Graph:
    """The graph with one output: all float outputs times random numbers, added up."""
    b = Builder(graph=replace(graph, updates=(), checks=()))
    terms = []
    for value in graph.outputs:
        if value.dtype.is_float:
            terms.append(fn.sum(b, fn.mul(b, value, _numbers(b, value, rng))))
    if not terms:
        raise ValueError(f"{graph.name}: no output is of a float dtype, so there is nothing to differentiate")
    total = terms[0]
    for term in terms[1:]:
        total = fn.add(b, total, fn.cast(b, term, total.dtype))
    return b.build([total], ["sum"])


def _numbers(b: Builder, value: Value, rng: np.random.Generator) -> Value:
    """Random numbers of a value's shape: all distinct, but for the rows, of which a constant cannot have any."""
    counted = [axis for axis, dim in enumerate(value.shape) if isinstance(dim, Rows)]
    axes = range(counted[-1] + 1 if counted else 0, value.type.rank)
    numbers = rng.uniform(0.5, 1.5, tuple(int(value.shape[axis]) for axis in axes))
    return fn.broadcast(b, fn.constant(b, numbers, value.dtype), value.shape, tuple(axes))


def widened(graph: Graph) -> Graph:
    """The same graph in float64 wherever it is float32."""
    mapping: dict[Value, Value] = {}
    for value in graph.inputs:
        mapping[value] = Value(replace(value.node, types=tuple(map(_wide_type, value.node.types))))
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += _widened_node(node, mapping)
    inputs, outputs = (tuple(mapping[value] for value in values) for values in (graph.inputs, graph.outputs))
    return replace(graph, inputs=inputs, nodes=tuple(nodes), outputs=outputs, updates=(), checks=())


def _wide_type(type: Any) -> Any:
    return replace(type, dtype=DType.F64) if type.dtype is DType.F32 else type


def _widened_node(node: Node, mapping: dict[Value, Value]) -> list[Node]:
    """The node in float64; one that is bound to float32 (bits of a number) as it is, between casts."""
    inputs = tuple(mapping[value] for value in node.inputs)
    op = _widened_op(node.op)
    try:
        types = op.infer(*(value.type for value in inputs))
        made = [Node(op, inputs, types, node.names, node.loc)]
        results = made[0].outputs
    except ShapeError:
        made = _between_casts(node, inputs)
        results = tuple(last.outputs[0] for last in made[-len(node.types) :])
    mapping.update(zip(node.outputs, results, strict=True))
    return made


def _widened_op(op: Op) -> Op:
    """The op with float64 for float32 in its attributes, bodies and constants included."""
    if isinstance(op, Parameter):
        return op
    changed: dict[str, Any] = {}
    for field in fields(op):
        value = getattr(op, field.name)
        if value is DType.F32:
            changed[field.name] = DType.F64
        elif isinstance(value, np.ndarray) and value.dtype == np.float32:
            changed[field.name] = value.astype(np.float64)
        elif isinstance(value, Graph) and isinstance(op, Composite):
            changed[field.name] = widened(value)
    return replace(op, **changed) if changed else op


def _between_casts(node: Node, inputs: Sequence[Value]) -> list[Node]:
    made: list[Node] = []

    def cast(value: Value, dtype: DType, name: str) -> Value:
        made.append(Node(Cast(dtype), (value,), (replace(value.type, dtype=dtype),), (name,), node.loc))
        return made[-1].outputs[0]

    pairs = zip(inputs, node.inputs, strict=True)
    narrow = [
        cast(new, old.dtype, f"{node.names[0]}.narrow{i}") if new.dtype is not old.dtype else new
        for i, (new, old) in enumerate(pairs)
    ]
    names = tuple(f"{name}.f32" for name in node.names)
    made.append(Node(node.op, tuple(narrow), node.types, names, node.loc))
    for value, name in zip(made[-1].outputs, node.names, strict=True):
        cast(value, DType.F64 if value.dtype is DType.F32 else value.dtype, name)
    return made
