"""Models from configurations and models like others: `clone_model`, `model_from_json`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from graphc import tree
from graphc.layers.core import Input, InputLayer
from graphc.models.functional import Functional
from graphc.models.model import Model
from graphc.models.saving import own_objects
from graphc.models.sequential import Sequential
from graphc.operation import OpCall
from graphc.saving.registry import CustomObjectScope, scope
from graphc.saving.serialization import deserialize_keras_object, serialize_keras_object
from graphc.tensor import KerasTensor
from graphc.tracing import map_leaves

Copy = Callable[[Any], Any]
M = TypeVar("M", bound=Model)


def model_from_json(json_string: str, custom_objects: Any = None) -> Model:
    """The model of what `to_json` gave, with new weights. ValueError for what is not such a text."""
    model: Model = deserialize_keras_object(json.loads(json_string), custom_objects)
    return model


def model_from_config(config: dict[str, Any], custom_objects: Any = None) -> Model:
    """The model of a serialised config, with new weights."""
    model: Model = deserialize_keras_object(config, custom_objects)
    return model


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Copy | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Any:
    """A model of the same architecture with layers and weights of its own.

    input_tensors: KerasTensors to build it on. clone_function(layer) gives the layer for each layer, by default one of
    the same config; recursive: also for those inside nested models. call_function(layer, *args, **kwargs) calls a layer
    of a functional model. ValueError for arguments the kind of model has no use for.
    """
    copies = kwargs.pop("cache", None)
    if kwargs:
        raise ValueError(f"Unexpected keyword argument(s): {tuple(kwargs)}")
    copy = _remembering(clone_function or _same_config, call_function, recursive, {} if copies is None else copies)
    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError(
                "`call_function` argument is not supported with Sequential models: their layers are only listed, not "
                f"called. Received model of type '{type(model).__name__}'"
            )
        return _clone_sequential(model, input_tensors, copy)
    if isinstance(model, Functional) and (type(model) is Functional or clone_function or input_tensors is not None):
        return _clone_functional(model, input_tensors, copy, call_function)
    if clone_function is not None or call_function is not None or input_tensors is not None:
        raise ValueError(
            "Arguments `clone_function`, `call_function` and `input_tensors` are only supported for Sequential models "
            f"or Functional models. Received model of type '{type(model).__name__}'"
        )
    return deserialize_keras_object(serialize_keras_object(model), own_objects(model))


def _same_config(layer: Any) -> Any:
    with CustomObjectScope({**scope(), **own_objects(layer)}), warnings.catch_warnings():
        # a lambda is handed on as it is
        warnings.filterwarnings("ignore", message=".*holds a Python lambda")
        return type(layer).from_config(layer.get_config())


def _remembering(copy: Copy, call_function: Any, recursive: bool, copies: dict[int, Any]) -> Copy:
    """`copy`, once for each layer: one that occurs twice is one in the clone, too."""

    def copied(layer: Any) -> Any:
        if id(layer) not in copies:
            if recursive and isinstance(layer, (Sequential, Functional)):
                call = None if isinstance(layer, Sequential) else call_function
                copies[id(layer)] = clone_model(layer, None, copy, call, True, cache=copies)
            else:
                copies[id(layer)] = copy(layer)
        return copies[id(layer)]

    return copied


def _clone_sequential(model: Sequential, input_tensors: Any, copy: Copy) -> Sequential:
    first = model._layers[0] if model._layers else None
    layers = [copy(layer) for layer in model.layers]
    if input_tensors is not None:
        tensors = tree.flatten(input_tensors)
        if len(tensors) != 1 or not isinstance(tensors[0], KerasTensor):
            raise ValueError(f"Argument `input_tensors` must contain a single KerasTensor. Received: {input_tensors}")
        layers.insert(0, InputLayer(input_tensor=tensors[0]))
    elif isinstance(first, InputLayer):
        layers.insert(0, InputLayer(batch_shape=first.batch_shape, dtype=first.dtype, name=first.name))
    return _compiled_like(model, Sequential(layers, name=model.name, trainable=model.trainable))


def _clone_functional(model: Functional, input_tensors: Any, copy: Copy, call_function: Any) -> Functional:
    if input_tensors is None:
        inputs = tree.map_structure(lambda t: Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), model.input)
    else:
        wrong = [tensor for tensor in tree.flatten(input_tensors) if not isinstance(tensor, KerasTensor)]
        if wrong:
            raise ValueError(f"All entries in `input_tensors` must be KerasTensors. Received invalid values: {wrong}")
        tree.assert_same_structure(input_tensors, model.input)
        inputs = input_tensors
    call = call_function or (lambda layer, *args, **kwargs: layer(*args, **kwargs))
    values = {id(old): new for old, new in zip(model.inputs, tree.flatten(inputs), strict=True)}
    for node in model._graph.nodes:
        if node.is_input or all(id(tensor) in values for tensor in node.outputs):
            continue
        args, kwargs = map_leaves(lambda tensor: values[id(tensor)], KerasTensor, (node.args, node.kwargs))
        operation = node.operation
        if isinstance(operation, OpCall):
            results = OpCall(operation.function)(*args, **kwargs)
        else:
            results = call(copy(operation), *args, **kwargs)
        values.update((id(old), new) for old, new in zip(node.outputs, tree.flatten(results), strict=True))
    outputs = tree.map_structure(lambda tensor: values[id(tensor)], model.output)
    return _compiled_like(model, Functional(inputs, outputs, name=model.name, trainable=model.trainable))


def _compiled_like(model: Any, clone: M) -> M:
    if model.compiled:
        clone.compile_from_config(model.get_compile_config())
    return clone
