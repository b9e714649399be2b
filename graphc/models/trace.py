"""Traces a model into the graphs that are compiled: the training step, the evaluation step, the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import ops, tree
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Array, Role, Value
from graphc.ir.types import Rows, concrete
from graphc.models.arrays import Signature
from graphc.tensor import Tensor
from graphc.tracing import Bound, Tracer, map_leaves, tracing
from graphc.utils.packing import pack_x_y_sample_weight
from graphc.variables import Variable


@dataclass(frozen=True)
class Step:
    """A traced graph with the arrays of its variables and the structure of its outputs.

    `outputs` has anything in the places of the outputs; for a step of the user's own they are its logs by name.
    """

    graph: Graph
    bindings: Mapping[str, Array]
    outputs: Any
    bounds: tuple[Bound, ...]

    def check_data(self, arrays: list[Array]) -> None:
        """ValueError with value and row if labels or ids among these arrays (of any length) are out of range."""
        inputs = self.graph.inputs_of(Role.INPUT)
        for bound in self.bounds:
            source = bound.source()
            if source in inputs and (message := bound.broken_by(arrays[inputs.index(source)])):
                raise ValueError(message)

    def explain(self, message: str, arrays: list[Array]) -> str:
        """The message of a failed check with the value and the row it was found in."""
        bound = next((bound for bound in self.bounds if bound.message == message), None)
        if bound is None:
            return message
        data = iter(arrays)
        known: dict[Value, Any] = {}
        for value in self.graph.inputs:
            known[value] = self.bindings.get(value.name)
            if self.graph.role(value) == Role.INPUT:
                known[value] = _padded(next(data), value)
        return bound.describe(known, len(arrays[0]))


def _padded(array: Array, value: Value) -> Array:
    full = np.zeros(concrete(value.shape), array.dtype)
    full[: len(array)] = array
    return full


def declare_inputs(tracer: Tracer, signature: Signature, batch: int) -> Any:
    """Data inputs for (x, y, sample_weight), in the order of the signature's arrays."""
    arrays = iter(signature.arrays)
    counts = {"x": 0, "y": 0, "sample_weight": 0}

    def declare(part: Any, name: str) -> Any:
        def leaf(present: Any) -> Any:
            if present is None:
                return None
            shape, dtype = next(arrays)
            counts[name] += 1
            return tracer.input(name, (Rows(batch), *shape), dtype)

        return tree.map_structure(leaf, part)

    return tuple(declare(part, name) for part, name in zip(signature.structure, counts, strict=True))


def trace_predict(model: Any, signature: Signature, batch: int) -> Step:
    """The outputs in inference mode."""
    tracer = Tracer(Builder(f"{model.name}_predict"))
    with tracing(tracer):
        outputs = model.predict_step(_declared_batch(tracer, signature, batch))
    return _finished(tracer, outputs)


def trace_test(model: Any, signature: Signature, batch: int) -> Step:
    """The forward pass in inference mode, with loss and metrics."""
    tracer = Tracer(Builder(f"{model.name}_test"))
    with tracing(tracer):
        data = _declared_batch(tracer, signature, batch)
        if model._has_own_logs("test_step"):
            return _finished(tracer, _checked_logs(model.test_step(data), f"{type(model).__name__}.test_step()"))
        model._forward_loss(data, training=False)
    return _finished(tracer, ())


def trace_train(model: Any, signature: Signature, batch: int) -> Step:
    """One training step: forward, loss, metrics, gradients, optimizer update."""
    tracer = Tracer(Builder(f"{model.name}_train"))
    with tracing(tracer):
        data = _declared_batch(tracer, signature, batch)
        if model._has_own_logs("train_step"):
            return _finished(tracer, _checked_logs(model.train_step(data), f"{type(model).__name__}.train_step()"))
        model._train(data)
    return _finished(tracer, ())


TRACERS = {"infer": trace_predict, "evaluate": trace_test, "train": trace_train}


def _declared_batch(tracer: Tracer, signature: Signature, batch: int) -> Any:
    """The batch as a step gets it: x, (x, y) or (x, y, sample_weight)."""
    return pack_x_y_sample_weight(*declare_inputs(tracer, signature, batch))


def _finished(tracer: Tracer, outputs: Any) -> Step:
    """The step that was traced, with these outputs."""
    with tracing(tracer):
        outputs = map_leaves(tracer.read, Variable, outputs)
    tracer.finish()
    graph = tracer.builder.build([output_value(leaf) for leaf in tree.flatten(outputs)])
    structure = map_leaves(lambda _: None, Tensor, outputs)
    return Step(graph, tracer.bindings, structure, tuple(tracer.bounds))


def output_value(tensor: Any) -> Value:
    """The graph value of an output. TypeError if a model returns something that is not computed."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"The model returned {tensor!r} (of type {type(tensor)}); outputs must be tensors")
    return tensor.value


def _checked_logs(logs: Any, what: str) -> dict[str, Any]:
    """The logs of the user's step as tensors, in alphabetical order. TypeError if they are not a dict by name."""
    if not isinstance(logs, Mapping):
        raise TypeError(f"{what} must return a dict of scalars by name, such as {{'loss': loss}}; it returned {logs!r}")
    flat: dict[str, Any] = {}
    for name, value in logs.items():
        flat.update(value if isinstance(value, Mapping) else {name: value})
    return {name: ops.convert_to_tensor(flat[name]) for name in sorted(flat)}
