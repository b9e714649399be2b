"""`graphc.check` and `graphc.gradcheck`: what was compiled beside the interpreter, gradients beside differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import tree
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Array, Role
from graphc.ir.types import Rows
from graphc.models.model import Model
from graphc.models.trace import output_value
from graphc.tracing import Tracer, tracing


def check(
    model_or_graph: Any, *, batch_size: int | None = None, mode: str | None = None, like: Any = None, seed: int = 0
) -> Any:
    """Compares every pass, every kernel and whole runs, short batches among them, with the numpy interpreter on random
    data. Returns a report; `graphc.insight.check.CheckFailure` (an AssertionError) names the first that differs.

    mode: "train" for a compiled model and "infer" for others, unless given; like as for `compile`. Seconds for a small
    model, minutes for a large one; small batches suffice. TypeError for anything but a model or a graph.
    """
    from graphc.insight.check import check_graph

    if isinstance(model_or_graph, Graph):
        return check_graph(model_or_graph, seed=seed)
    if isinstance(model_or_graph, Model):
        step = model_or_graph.traced(mode, batch_size, like=like)
        weights = {v.name: step.bindings[v.name] for v in step.graph.inputs_of(Role.PARAM)}
        return check_graph(step.graph, weights, seed=seed)
    raise TypeError(f"check: wanted a Model or a Graph, got {type(model_or_graph).__name__}")


def gradcheck(
    layer_or_fn: Callable[..., Any],
    *inputs: Any,
    directions: int = 2,
    rtol: float = 1e-5,
    seed: int = 0,
) -> Any:
    """Compares the gradients of a layer or of a function of tensors with central differences in float64.

    inputs: arrays, or shapes (tuples of ints) for arrays of normal random numbers; the first axis of all counts rows.
    Gradients of all float inputs and, for a layer, of its trainable weights are checked along `directions` random
    directions each. Returns the slopes; `graphc.insight.slopes.GradientError` (an AssertionError) names the first
    input or weight whose gradient is off by more than `rtol`. A function that is not smooth (relu) can fail by chance
    where it bends: take another seed. ValueError if nothing of it can be differentiated.
    """
    from graphc.insight.slopes import check_gradients

    rng = np.random.default_rng(seed)
    arrays = [_array(given, rng) for given in inputs]
    name = getattr(layer_or_fn, "name", None) or getattr(layer_or_fn, "__name__", None)
    tracer = Tracer(Builder(str(name or "function")))
    with tracing(tracer):
        tensors = [tracer.input(f"input{i}", _shape(array), array.dtype) for i, array in enumerate(arrays)]
        outputs = tree.flatten(layer_or_fn(*tensors))
        weights = getattr(layer_or_fn, "trainable_variables", [])
        names = [tracer.read(variable).value.name for variable in weights]
        tracer.finish()
    graph = tracer.builder.build([output_value(output) for output in outputs])
    known = {**tracer.bindings, **{f"input{i}": array for i, array in enumerate(arrays)}}
    names += [f"input{i}" for i, array in enumerate(arrays) if array.dtype.kind == "f"]
    return check_gradients(graph, known, names, directions=directions, rtol=rtol, seed=seed)


def _array(given: Any, rng: np.random.Generator) -> Array:
    if isinstance(given, tuple) and all(isinstance(size, int) for size in given):
        return rng.standard_normal(given).astype(np.float32)
    array = np.asarray(given)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _shape(array: Array) -> tuple[int, ...]:
    return (Rows(array.shape[0]), *array.shape[1:]) if array.ndim else ()
