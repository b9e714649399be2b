"""Tracing: running Python code on tensors of a graph under construction.

Three uses: a `Tracer` collects the graph of a model's step; `infer_spec` finds the shapes a function would return;
`run_eagerly` traces a small graph and interprets it at once.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import tree
from graphc.ir.builder import Builder
from graphc.ir.changes import CHANGES
from graphc.ir.graph import Graph
from graphc.ir.interpret import evaluate, interpret
from graphc.ir.op import Array, Node, Parameter, Role, Value
from graphc.ir.types import DType, TensorType
from graphc.primitives.elementwise import Cast
from graphc.primitives.shape import Reshape
from graphc.tensor import KerasTensor, Tensor, active_tracer
from graphc.variables import Variable

# Stand-ins for a dimension of unknown size: a result dimension that differs between them is unknown too.
UNKNOWN_SIZES = (83, 89)


@dataclass(frozen=True, slots=True)
class Bound:
    """Integers in the graph that must lie in [low, high); `message` is that of the graph's check."""

    ids: Value
    low: int
    high: int
    what: str
    message: str

    def describe(self, inputs: Mapping[Value, Array], rows: int | None = None) -> str:
        """The message with the first wrong value and where it is, found by interpreting what leads to the ids."""
        ids = evaluate(_leading_to(self.ids), inputs)[self.ids]
        return self.broken_by(ids[:rows] if ids.ndim else ids) or self.message

    def broken_by(self, ids: Array) -> str | None:
        """The message for ids of which one lies outside, with the first such value and where it is; else None."""
        if not ids.size or (self.low <= ids.min() and ids.max() < self.high):
            return None
        place = tuple(int(index) for index in np.argwhere(~((ids >= self.low) & (ids < self.high)))[0])
        where = f" (row {place[0]}" + "".join(f", position {index}" for index in place[1:]) + ")" if place else ""
        return f"{self.what} {ids[place]} is out of range [{self.low}, {self.high}){where}"

    def source(self) -> Value | None:
        """The graph input that holds the ids, if nothing but casts and reshapes lies between; else None."""
        value = self.ids
        while isinstance(value.op, (Cast, Reshape)):
            value = value.node.inputs[0]
        return value if isinstance(value.op, Parameter) else None


def _leading_to(value: Value) -> Graph:
    """The graph that computes one value."""
    inputs: dict[Value, None] = {}
    nodes: dict[Node, None] = {}
    open_values = [value]
    while open_values:
        last = open_values[-1]
        missing = [v for v in last.node.inputs if v.node not in nodes and v not in inputs]
        if isinstance(last.op, Parameter):
            inputs[last] = None
        elif not missing:
            nodes[last.node] = None
        open_values.extend(missing)
        if not missing:
            open_values.pop()
    return Graph("leading", tuple(inputs), tuple(nodes), (value,))


class Tracer:
    """Builds one graph: the variables it read, the values it left in them, and what layers reported on the way."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.inputs: dict[Variable, Value] = {}
        self.current: dict[Variable, Value] = {}
        self.versions: dict[Variable, list[Value]] = {}
        self.losses: list[tuple[Any, Any]] = []  # layers and what they added to the loss
        self.bounds: list[Bound] = []
        self._names: set[str] = set()
        self._watched: list[weakref.ref[Tensor]] = []

    def input(self, name: str, shape: Any, dtype: Any) -> Tensor:
        """A data input of the graph."""
        return Tensor(self.builder.input(self._unique(name), TensorType(tuple(shape), DType.of(dtype)), Role.INPUT))

    @staticmethod
    def tensor(value: Value) -> Tensor:
        """The tensor of a value of this graph."""
        return Tensor(value)

    def read(self, variable: Variable) -> Tensor:
        """The tensor a variable holds at this point of the step."""
        if variable not in self.current:
            role = Role.STATE if variable.is_state else Role.PARAM
            name = self._unique(variable.path.replace("/", "."))
            kind = TensorType(variable.shape, DType.of(variable.array.dtype))
            self.inputs[variable] = self.current[variable] = self.builder.input(name, kind, role)
            self.versions[variable] = [self.inputs[variable]]
        value = self.current[variable]
        wanted = DType.of(variable.dtype)
        return Tensor(value if value.dtype is wanted else self.builder.add(Cast(wanted), value))

    def assign(self, variable: Variable, value: Any) -> Tensor:
        """From here on the variable holds `value`, and after the run too."""
        self.read(variable)
        new = self.fitting(variable, value)
        self.current[variable] = new.value
        self.versions[variable].append(new.value)
        return Tensor(new.value)

    @staticmethod
    def fitting(variable: Variable, value: Any) -> Tensor:
        """The value in the variable's dtype. ValueError if it has another shape."""
        from graphc import ops  # written with tensors itself

        new: Tensor = ops.cast(ops.convert_to_tensor(value), variable.array.dtype)
        if new.shape != variable.shape:
            raise ValueError(
                "The shape of the target variable and the shape of the target value in `variable.assign(value)` must "
                f"match. variable.shape={variable.shape}, Received: value.shape={new.shape}. "
                f"Target variable: {variable!r}"
            )
        return new

    def bound(self, ids: Tensor, low: int, high: int, what: str) -> None:
        """Refuse, at run time and before any update, ids outside [low, high)."""
        from graphc import ops

        inside = ops.all(ops.logical_and(ops.greater_equal(ids, low), ops.less(ids, high)))
        message = f"{what} is out of range [{low}, {high})"
        self.bounds.append(Bound(ids.value, low, high, what, message))
        self.builder.check(ops.cast(ops.logical_not(inside), "int32").value, message)

    def watch(self, tensor: Tensor) -> None:
        """Remember a tensor of this graph, so that `rewrite` can move it."""
        self._watched.append(weakref.ref(tensor))

    def rewrite(self, change: Callable[[Graph], Graph]) -> None:
        """Go on in a graph that computes the same by other nodes: tensors and variables get their values there."""
        tensors = [tensor for ref in self._watched if (tensor := ref()) is not None]
        versions = [value for values in self.versions.values() for value in values]
        held = [*(tensor.value for tensor in tensors), *versions, *self.current.values()]
        kept = list(dict.fromkeys(value for value in held if not isinstance(value.op, Parameter)))
        self.finish()
        graph = change(self.builder.build(kept))
        moved = dict(zip(kept, graph.outputs, strict=True))
        for tensor in tensors:
            tensor.value = moved.get(tensor.value, tensor.value)
        self.versions = {variable: [moved.get(v, v) for v in values] for variable, values in self.versions.items()}
        self.current = {variable: moved.get(value, value) for variable, value in self.current.items()}
        self.builder.resume(graph)

    def finish(self) -> None:
        """Record the updates of all variables that hold another value now."""
        self.builder.updates.clear()
        for variable, value in self.current.items():
            if value != self.inputs[variable]:
                self.builder.update(self.inputs[variable], value)

    @property
    def bindings(self) -> dict[str, Array]:
        """The array of every variable's graph input, by the input's name."""
        return {value.name: variable.array for variable, value in self.inputs.items()}

    def _unique(self, name: str) -> str:
        unique, number = name, 1
        while unique in self._names:
            unique, number = f"{name}_{number}", number + 1
        self._names.add(unique)
        return unique


@contextlib.contextmanager
def tracing(tracer: Tracer | None) -> Iterator[None]:
    """Inside, ops on tensors build this tracer's graph; None: ops on arrays compute at once."""
    token = active_tracer.set(tracer)
    try:
        yield
    finally:
        active_tracer.reset(token)


def contains(kind: type | tuple[type, ...], structure: Any) -> bool:
    """Whether a leaf of nested lists, tuples and dicts is an instance of `kind`."""
    if isinstance(structure, (list, tuple)):
        return any(contains(kind, child) for child in structure)
    if isinstance(structure, dict):
        return any(contains(kind, child) for child in structure.values())
    return isinstance(structure, kind)


def map_leaves(function: Callable[[Any], Any], kind: type | tuple[type, ...], structure: Any) -> Any:
    """The structure with `function` applied to its leaves of this kind; everything else stays as it is."""
    if isinstance(structure, kind):
        return function(structure)
    if type(structure) in (list, tuple):
        return type(structure)(map_leaves(function, kind, child) for child in structure)
    if isinstance(structure, dict):
        return {key: map_leaves(function, kind, child) for key, child in structure.items()}
    return structure


def infer_spec(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `function` returns for these arguments, as KerasTensors; nothing is computed."""
    specs = [x for x in tree.flatten([list(args), kwargs]) if isinstance(x, KerasTensor)]
    first = _trace_spec(function, args, kwargs, UNKNOWN_SIZES[0])
    if all(None not in spec.dims for spec in specs):
        return map_leaves(lambda t: _spec(t.shape, t.dtype), Tensor, first)
    second = iter(_tensors(_trace_spec(function, args, kwargs, UNKNOWN_SIZES[1])))
    return map_leaves(lambda t: _spec(_merged(t.shape, next(second).shape), t.dtype), Tensor, first)


def _trace_spec(function: Callable[..., Any], args: Any, kwargs: Any, unknown: int) -> Any:
    builder = Builder("spec")

    def stand_in(spec: KerasTensor) -> Tensor:
        shape = tuple(unknown if dim is None else dim for dim in spec.dims)
        value = builder.input(builder.fresh("x") + "_", TensorType(shape, DType.of(spec.dtype)))
        return Tensor(value)

    with tracing(Tracer(builder)):
        traced_args, traced_kwargs = map_leaves(stand_in, KerasTensor, (args, kwargs))
        return function(*traced_args, **traced_kwargs)


def _spec(shape: tuple[int | None, ...], dtype: str) -> KerasTensor:
    spec = KerasTensor((), dtype)
    spec.dims = tuple(shape)
    return spec


def _merged(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int | None, ...]:
    return tuple(a if a == b else None for a, b in zip(first, second, strict=True))


def _tensors(structure: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_leaves(found.append, Tensor, structure)
    return found


def run_eagerly(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`function` on arrays: its graph is traced, interpreted with numpy, and its updates of variables are made."""
    builder = Builder("eager")
    tracer = Tracer(builder)
    arrays: dict[Value, Array] = {}

    def feed(array: Array) -> Tensor:
        tensor = tracer.input("x", array.shape, array.dtype)
        arrays[tensor.value] = array
        return tensor

    with tracing(tracer):
        traced_args, traced_kwargs = map_leaves(feed, np.ndarray, (args, kwargs))
        result = function(*traced_args, **traced_kwargs)
        result = map_leaves(tracer.read, Variable, result)
        tracer.finish()
    outputs = _tensors(result)
    graph = builder.build(tensor.value for tensor in outputs)
    arrays.update((value, variable.array) for variable, value in tracer.inputs.items())
    values = interpret(graph, arrays)
    _raise_failed_check(tracer, graph, arrays, values)
    found = [_own_copy(value, tracer.inputs) for value in values[: len(outputs)]]
    states = {value: variable for variable, value in tracer.inputs.items()}
    for (state, _), new in zip(graph.updates, values[len(outputs) :], strict=False):
        states[state].array[...] = new
    if graph.updates:
        CHANGES.note()
    computed = iter(found)
    return map_leaves(lambda _: next(computed), Tensor, result)


def _own_copy(value: Array, variables: Mapping[Variable, Value]) -> Array:
    """The value; a copy if it lies in the array of a variable, which changes later."""
    return value.copy() if any(np.may_share_memory(value, variable.array) for variable in variables) else value


def _raise_failed_check(tracer: Tracer, graph: Graph, arrays: Mapping[Value, Array], values: tuple[Array, ...]) -> None:
    first = len(values) - len(graph.checks)
    for check, value in zip(graph.checks, values[first:], strict=True):
        if value:
            bound = next(bound for bound in tracer.bounds if bound.message == check.message)
            raise ValueError(bound.describe(arrays))
