"""Tracing: running Python code on tensors of a graph under construction.

Three uses: a `Tracer` collects the graph of a model's step; `infer_spec` finds the shapes a function would return;
`run_eagerly` traces a small graph and interprets it at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import tree
from graphc.ir.builder import Builder
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Role, Value
from graphc.ir.types import DType, Rows, TensorType
from graphc.tensor import SPEC_BATCH, KerasTensor, Tensor, active_tracer, current_tracer
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


class Tracer:
    """Builds one graph: the variables it read, the values it left in them, and what layers reported on the way."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.inputs: dict[Variable, Value] = {}
        self.current: dict[Variable, Value] = {}
        self.losses: list[Any] = []
        self.bounds: list[Bound] = []
        self._names: set[str] = set()

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
        return Tensor(self.current[variable])

    def assign(self, variable: Variable, value: Any) -> Tensor:
        """From here on the variable holds `value`, and after the run too."""
        from graphc import ops  # written with tensors itself

        self.read(variable)
        new = ops.cast(ops.convert_to_tensor(value), variable.dtype)
        if new.shape != variable.shape:
            raise ValueError(
                "The shape of the target variable and the shape of the target value in `variable.assign(value)` must "
                f"match. variable.shape={variable.shape}, Received: value.shape={new.shape}. "
                f"Target variable: {variable!r}"
            )
        self.current[variable] = new.value
        return Tensor(new.value)

    def bound(self, ids: Tensor, low: int, high: int, what: str) -> None:
        """Refuse, at run time and before any update, ids outside [low, high)."""
        from graphc import ops

        outside = ops.any(ops.logical_or(ops.less(ids, low), ops.greater_equal(ids, high)))
        message = f"{what} is out of range [{low}, {high})"
        self.bounds.append(Bound(ids.value, low, high, what, message))
        self.builder.check(ops.cast(outside, "int32").value, message)

    def resume(self, builder: Builder) -> None:
        """Go on in a builder whose graph was made from this tracer's by passes: the same inputs, new values."""
        states = {value: variable for variable, value in self.inputs.items()}
        self.builder = builder
        self.current = dict(self.inputs)
        self.current.update({states[state]: value for state, value in builder.updates})

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


def contains(kind: type, structure: Any) -> bool:
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
    _raise_failed_check(tracer, graph.checks, values)
    states = {value: variable for variable, value in tracer.inputs.items()}
    for (state, _), new in zip(graph.updates, values[len(outputs) :], strict=False):
        states[state].array[...] = new
    computed = iter(values)
    return map_leaves(lambda _: next(computed), Tensor, result)


def _raise_failed_check(tracer: Tracer, checks: Any, values: tuple[Array, ...]) -> None:
    for check, value in zip(checks, values[len(values) - len(checks) :], strict=True):
        if value:
            raise ValueError(check.message)


__all__ = ["SPEC_BATCH", "Bound", "Rows", "Tracer", "contains", "current_tracer", "infer_spec", "map_leaves",
           "run_eagerly", "tracing"]  # fmt: skip
