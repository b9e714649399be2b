"""Operations and nodes: the record of a functional model, which tensors were made by which operation from which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphc import naming
from graphc.tensor import KerasTensor
from graphc.tracing import infer_spec, map_leaves


class KerasHistory(NamedTuple):
    """Where a KerasTensor comes from."""

    operation: Any
    node_index: int
    tensor_index: int


class Node:
    """One call of an operation on KerasTensors. A node without arguments is an input of a model."""

    def __init__(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.input_tensors = keras_tensors((args, kwargs))
        self.outputs = keras_tensors(outputs)
        index = len(operation._inbound_nodes)
        for position, tensor in enumerate(self.outputs):
            tensor._keras_history = KerasHistory(operation, index, position)
        operation._inbound_nodes.append(self)

    @property
    def is_input(self) -> bool:
        return not self.input_tensors

    @property
    def parent_nodes(self) -> list[Node]:
        """The nodes that make the arguments, once each, in the order of the arguments."""
        histories = (tensor._keras_history for tensor in self.input_tensors)
        return list(dict.fromkeys(h.operation._inbound_nodes[h.node_index] for h in histories))


class Operation:
    """What has a name and can be called on KerasTensors: a layer, a model or an op."""

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = naming.auto_name(type(self).__name__)
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                "Argument `name` must be a string and cannot contain character `/`. "
                f"Received: name={name} (of type {type(name)})"
            )
        self.name = name
        self._inbound_nodes: list[Node] = []
        # what the last call on tensors returned, for operations that are not part of a functional model
        self._called_shapes: list[tuple[int | None, ...]] = []

    @property
    def kind(self) -> str:
        """The class name, as `summary()` shows it."""
        return type(self).__name__

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The KerasTensors a call with these arguments returns."""
        return infer_spec(self.call, args, kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not have a `call()` method implemented.")

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Record a call on KerasTensors and return its KerasTensors."""
        outputs = self.compute_output_spec(*args, **kwargs)
        # a layer may hand its input through; the node needs outputs of its own
        known = {id(tensor) for tensor in keras_tensors((args, kwargs))}
        outputs = map_leaves(lambda t: _copy(t) if id(t) in known else t, KerasTensor, outputs)
        Node(self, args, kwargs, outputs)
        return outputs


class OpCall(Operation):
    """One use of a `graphc.ops` function inside a functional model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        super().__init__(naming.auto_name(function.__name__))

    @property
    def kind(self) -> str:
        return "".join(word.capitalize() for word in self.function.__name__.split("_"))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    __call__ = Operation.symbolic_call


def keras_tensors(structure: Any) -> list[KerasTensor]:
    """All KerasTensors in a structure, from left to right."""
    found: list[KerasTensor] = []
    map_leaves(found.append, KerasTensor, structure)
    return found


def _copy(tensor: KerasTensor) -> KerasTensor:
    copy = KerasTensor((), tensor.dtype)
    copy.dims = tensor.dims
    return copy


def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """The inputs of the functional model that a tensor is computed from, once each, in the order they are met."""
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        history = one._keras_history
        node = history.operation._inbound_nodes[history.node_index] if history else None
        if node is None or node.is_input:
            found.update((id(source), source) for source in (node.outputs if node else [one]))
        else:
            waiting.extend(reversed(node.input_tensors))
    return list(found.values())
