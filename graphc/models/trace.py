"""Traces a model into the graphs that are compiled: the training step, the evaluation step, the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import compiler, ops, tree
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Array, Role, Value
from graphc.ir.types import Rows, concrete
from graphc.models.data import Signature
from graphc.tensor import Tensor
from graphc.tracing import Bound, Tracer, map_leaves, tracing


@dataclass(frozen=True)
class Step:
    """A traced graph with the arrays of its variables and the structure of its outputs.

    `forward` is the graph as it was traced, which explains failed checks.
    """

    graph: Graph
    bindings: Mapping[str, Array]
    outputs: Any
    forward: Graph
    bounds: tuple[Bound, ...]

    def check_data(self, arrays: list[Array]) -> None:
        """ValueError with value and row if labels or ids among these arrays (of any length) are out of range."""
        inputs = [value for value in self.forward.inputs if self.forward.role(value) == Role.INPUT]
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
        for value in self.forward.inputs:
            known[value] = self.bindings.get(value.name)
            if self.forward.role(value) == Role.INPUT:
                known[value] = _padded(next(data), value)
        return bound.describe(self.forward, known, len(arrays[0]))


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
    """The forward pass in inference mode."""
    tracer = Tracer(Builder(f"{model.name}_predict"))
    with tracing(tracer):
        x, _, _ = declare_inputs(tracer, signature, batch)
        y_pred = model(x, training=False)
        tracer.finish()
    flat = [ops_value(leaf) for leaf in tree.flatten(y_pred)]
    structure = map_leaves(lambda _: None, Tensor, y_pred)
    graph = tracer.builder.build(flat)
    return Step(graph, tracer.bindings, structure, graph, tuple(tracer.bounds))


def ops_value(tensor: Any) -> Value:
    """The graph value of an output. TypeError if a model returns something that is not computed."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"The model returned {tensor!r} (of type {type(tensor)}); outputs must be tensors")
    return tensor.value


def trace_loss(model: Any, tracer: Tracer, signature: Signature, batch: int, training: bool) -> Any:
    """Forward pass, loss and metric updates; returns the loss."""
    x, y, sample_weight = declare_inputs(tracer, signature, batch)
    y_pred = model(x, training=training)
    loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
    rows = ops.shape(next(leaf for leaf in tree.flatten(x) if leaf is not None))[0]
    model.loss_tracker.update_state(loss, sample_weight=rows)
    model.compute_metrics(x, y, y_pred, sample_weight)
    return loss


def trace_test(model: Any, signature: Signature, batch: int) -> Step:
    """The forward pass in inference mode, with loss and metrics."""
    tracer = Tracer(Builder(f"{model.name}_test"))
    with tracing(tracer):
        trace_loss(model, tracer, signature, batch, training=False)
        tracer.finish()
    graph = tracer.builder.build(())
    return Step(graph, tracer.bindings, (), graph, tuple(tracer.bounds))


def trace_train(model: Any, signature: Signature, batch: int) -> Step:
    """One training step: forward, loss, metrics, gradients, optimizer update."""
    tracer = Tracer(Builder(f"{model.name}_train"))
    with tracing(tracer):
        loss = trace_loss(model, tracer, signature, batch, training=True)
        variables = model.trainable_variables
        for variable in variables:
            tracer.read(variable)
        tracer.finish()
    forward = tracer.builder.build([loss.value])
    prepared = compiler.prepare_forward(forward)
    joint = compiler.gradients(prepared, prepared.outputs[0], [tracer.inputs[v] for v in variables])
    grads = [Tensor(value) for value in joint.outputs[1:]]
    tracer.resume(Builder(graph=joint))
    with tracing(tracer), tracer.builder.direction("update"):
        model.optimizer.apply(grads, variables)
        tracer.finish()
    graph = tracer.builder.build(())
    return Step(graph, tracer.bindings, (), forward, tuple(tracer.bounds))
