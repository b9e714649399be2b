"""Configurations of functional models: layers, the calls that connect them, which tensors are inputs and outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from graphc import tree
from graphc.layers.core import InputLayer
from graphc.operation import Node, OpCall, Operation
from graphc.saving.operations import split_arguments
from graphc.saving.serialization import restore, serialize_keras_object
from graphc.tensor import KerasTensor
from graphc.tracing import map_leaves

Place = list[Any]


# ---- writing


def functional_config(model: Any) -> dict[str, Any]:
    """The config of a functional model, as Keras writes it."""
    numbers = {node: index for op in model.operations for index, node in enumerate(_own_nodes(model, op))}

    def place(tensor: KerasTensor) -> Place:
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        return [history.operation.name, numbers[node], history.tensor_index]

    def end(tensor: KerasTensor) -> Place:
        """Keras counts a model's calls from 1 here (a node of Keras 2 that no longer exists), and only here."""
        name, node, index = place(tensor)
        return [name, node + _is_functional(tensor._keras_history.operation), index]

    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": [_entry(model, operation, place) for operation in model.operations],
        "input_layers": tree.map_structure(end, model.input),
        "output_layers": tree.map_structure(end, model.output),
    }


def _is_functional(operation: Any) -> bool:
    from graphc.models.functional import Functional

    return isinstance(operation, Functional)


def _own_nodes(model: Any, operation: Operation) -> list[Node]:
    return [node for node in operation._inbound_nodes if node in model._graph.depths]


def _entry(model: Any, operation: Operation, place: Callable[[KerasTensor], Place]) -> dict[str, Any]:
    entry: dict[str, Any] = serialize_keras_object(operation)
    entry["name"] = operation.name
    entry["inbound_nodes"] = [_call(node, place) for node in _own_nodes(model, operation) if not node.is_input]
    return entry


def _call(node: Node, place: Callable[[KerasTensor], Place]) -> dict[str, Any]:
    def leaf(tensor: KerasTensor) -> dict[str, Any]:
        config = {"shape": list(tensor.shape), "dtype": tensor.dtype, "keras_history": place(tensor)}
        return {"class_name": "__keras_tensor__", "config": config}

    args, kwargs = list(node.args), node.kwargs
    if isinstance(node.operation, OpCall):
        args, kwargs = split_arguments(node.operation)[0], {}
    args, kwargs = map_leaves(leaf, KerasTensor, (args, kwargs))
    return {"args": serialize_keras_object(args), "kwargs": serialize_keras_object(kwargs)}


# ---- reading


def is_functional_config(config: dict[str, Any]) -> bool:
    return {"name", "layers", "input_layers", "output_layers"} <= set(config)


def is_functional_class(cls: Any) -> bool:
    """Whether the class is made from inputs and outputs, as `Model` is."""
    from graphc.models.functional import Functional
    from graphc.models.model import Model

    if cls in (Model, Functional):
        return True
    names = list(inspect.signature(cls.__init__).parameters)[1:]
    return names == ["inputs", "outputs", "name", "kwargs"] or names == ["args", "kwargs"]


def functional_from_config(cls: type, config: dict[str, Any]) -> Any:
    """The model of a config. ValueError for calls that cannot be connected."""
    rest = dict(config)
    entries = rest.pop("layers")
    ends = rest.pop("input_layers"), rest.pop("output_layers")
    graph = _Restored(entries)
    graph.connect(entries)
    inputs, outputs = (graph.structure(end) for end in ends)
    name, trainable = rest.pop("name", None), rest.pop("trainable", None)
    return cls(inputs=inputs, outputs=outputs, name=name, trainable=trainable, **rest)


class _Restored:
    """The operations of a config, by name, and the calls made of them so far."""

    def __init__(self, entries: Any) -> None:
        self.made: dict[str, Any] = {}
        for entry in entries:
            operation = restore(entry)
            name = entry.get("name", getattr(operation, "name", None))
            if not hasattr(operation, "_inbound_nodes"):
                raise ValueError(f"Layer {name!r} of the configuration is not a layer or an op: {operation!r}")
            self.made[name] = operation
        # an operation that other models use too has nodes already
        self.first = {
            name: 0 if isinstance(made, InputLayer) else len(made._inbound_nodes) for name, made in self.made.items()
        }

    def connect(self, entries: Any) -> None:
        """Make all calls, each as soon as its arguments exist."""
        waiting = {entry["name"]: list(entry["inbound_nodes"]) for entry in entries if entry["inbound_nodes"]}
        while waiting:
            done = sum(self._advance(name, calls) for name, calls in waiting.items())
            if not done:
                raise ValueError(
                    "Invalid Functional model configuration: the following layers depend on each other in a circle, or "
                    f"on one that is missing: {list(waiting)}"
                )
            waiting = {name: calls for name, calls in waiting.items() if calls}

    def _advance(self, name: str, calls: list[Any]) -> int:
        """Make the calls of one operation in order, up to the first whose arguments do not exist yet."""
        done = 0
        while calls:
            try:
                args, kwargs = self._arguments(calls[0])
            except IndexError:
                break
            self.made[name](*args, **kwargs)
            calls.pop(0)
            done += 1
        return done

    def _arguments(self, call: Any) -> tuple[list[Any], dict[str, Any]]:
        if isinstance(call, list):
            return self._arguments_of_keras_2(call)
        args, kwargs = restore(call["args"]), restore(call["kwargs"])
        found: tuple[list[Any], dict[str, Any]] = map_leaves(
            lambda tensor: self.tensor(*tensor._keras_history), KerasTensor, (args, kwargs)
        )
        return found

    def _arguments_of_keras_2(self, call: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Lists of [layer, node, tensor, keywords]."""
        tensors = [self.tensor(*place[:3]) for place in call]
        kwargs = call[0][3] if call and len(call[0]) > 3 else {}
        return [tensors[0] if len(tensors) == 1 else tensors], kwargs

    def tensor(self, name: str, node: int, index: int) -> KerasTensor:
        """IndexError while the call has not been made. ValueError for an unknown layer."""
        operation = self.made.get(name)
        if operation is None:
            raise ValueError(f"Unknown layer: {name!r} is in the configuration's calls but not among its layers")
        if node < 0 or index < 0:
            raise ValueError(f"The configuration asks for call {node} and output {index} of layer {name!r}")
        nodes = operation._inbound_nodes[self.first[name] :]
        found: KerasTensor = nodes[node].outputs[index]
        return found

    def structure(self, places: Any) -> Any:
        """Tensors for the places at the ends of the model."""
        if isinstance(places, dict):
            return {key: self.structure(value) for key, value in places.items()}
        if not isinstance(places, (list, tuple)) or not places:
            raise ValueError(f"Invalid Functional model configuration: inputs or outputs are {places!r}")
        if isinstance(places[0], str):
            name, node, index = places
            return self.tensor(name, node - _is_functional(self.made.get(name)), index)
        return [self.structure(place) for place in places]
