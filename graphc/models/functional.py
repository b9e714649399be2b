"""Functional models: the operations between given input and output KerasTensors."""

from __future__ import annotations

from typing import Any

from graphc import layers, ops, tree
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer, static_shape
from graphc.models.configuration import functional_config, is_functional_class
from graphc.models.model import Model
from graphc.operation import Node, OpCall, Operation
from graphc.tensor import KerasTensor
from graphc.tracing import map_leaves


class FunctionGraph:
    """The nodes that lead from inputs to outputs, in an order in which they can run.

    Operations are sorted by depth (the longest way to an output), deepest first, then by their discovery from the
    outputs; inputs come as deep as the operations that read them.
    """

    def __init__(self, inputs: list[KerasTensor], outputs: list[KerasTensor]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        found: dict[Node, None] = {}
        self._order: dict[Operation, int] = {}
        for tensor in outputs:
            self._visit(tensor, found)
        for tensor in inputs:
            node = node_of(tensor)
            found.setdefault(node)
            self._order.setdefault(node.operation, -1)
        self.depths = self._depths(list(found))
        by_depth = sorted(self.depths, key=lambda node: (-self.depths[node], self._order[node.operation]))
        self.nodes = by_depth
        self.operations: list[Operation] = list(dict.fromkeys(node.operation for node in by_depth))

    def _visit(self, tensor: KerasTensor, found: dict[Node, None]) -> None:
        """Depth first, without recursion: deep models have more layers than Python has stack."""
        stack: list[tuple[KerasTensor, bool]] = [(tensor, False)]
        open_nodes: set[Node] = set()
        while stack:
            current, is_done = stack.pop()
            node = node_of(current)
            if is_done:
                open_nodes.discard(node)
                found.setdefault(node)
                continue
            if node in found or node in open_nodes:
                continue
            open_nodes.add(node)
            self._order.setdefault(node.operation, len(self._order))
            stack.append((current, True))
            if not node.is_input and not any(current is known for known in self.inputs):
                stack.extend((parent, False) for parent in reversed(node.input_tensors))

    def _depths(self, nodes: list[Node]) -> dict[Node, int]:
        depths: dict[Node, int] = {}
        of_operation: dict[Operation, int] = {}
        given = {id(tensor) for tensor in self.inputs}
        for node in reversed(nodes):
            depth = max(depths.get(node, 0), of_operation.get(node.operation, 0))
            depths[node] = of_operation[node.operation] = depth
            if not any(id(tensor) in given for tensor in node.outputs):
                for parent in node.parent_nodes:
                    depths[parent] = max(depth + 1, depths.get(parent, 0))
        return depths

    def run(self, values: dict[int, Any], training: bool | None = None) -> dict[int, Any]:
        """The value of every tensor, for values of the inputs, by id. ValueError for an input that is missing.

        training: what the model is told (None: nothing); it goes before what a layer was told when it was called.
        """
        for node in self.nodes:
            if node.is_input or all(id(tensor) in values for tensor in node.outputs):
                continue
            missing = [tensor for tensor in node.input_tensors if id(tensor) not in values]
            if missing:
                raise ValueError(
                    f"Output tensors cannot be computed: operation {node.operation.name} needs {missing[0]}, which is "
                    "not "
                    "made from the inputs of this model."
                )
            args, kwargs = map_leaves(lambda tensor: values[id(tensor)], KerasTensor, (node.args, node.kwargs))
            if training is not None and kwargs.get("training") is not None:
                kwargs = {**kwargs, "training": training}
            operation = node.operation.call if isinstance(node.operation, OpCall) else node.operation
            results = operation(*args, **kwargs)  # type: ignore[operator]
            for tensor, result in zip(node.outputs, tree.flatten(results), strict=True):
                values[id(tensor)] = result
        return values


def node_of(tensor: KerasTensor) -> Node:
    """The node that makes a tensor. ValueError for a tensor made by no operation."""
    history = tensor._keras_history
    if history is None:
        raise ValueError(f"{tensor!r} does not come from `Input` or a layer, so it cannot be part of a model")
    node: Node = history.operation._inbound_nodes[history.node_index]
    return node


class Functional(Model):
    """A model given by its input and output KerasTensors (nested in lists or dicts as the caller likes)."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return Layer.__new__(cls, *args, **kwargs)

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        for tensor in tree.flatten(inputs):
            if not isinstance(tensor, KerasTensor):
                raise ValueError(
                    f"All `inputs` values must be KerasTensors. Received: inputs={inputs} including invalid value "
                    f"{tensor} of "
                    f"type {type(tensor)}"
                )
        for tensor in tree.flatten(outputs):
            if not isinstance(tensor, KerasTensor):
                raise ValueError(
                    f"All `outputs` values must be KerasTensors. Received: outputs={outputs} including invalid value "
                    f"{tensor} "
                    f"of type {type(tensor)}"
                )
        Model.__init__(self, name=name, **kwargs)
        self._inputs_struct = _plain(inputs)
        self._outputs_struct = _plain(outputs)
        self._graph = FunctionGraph(tree.flatten(inputs), tree.flatten(outputs))
        self._check_inputs_reach()
        _check_unique_names(self._graph.operations)
        self._layers.extend(op for op in self._graph.operations if isinstance(op, Layer))
        self.built = True
        if trainable is not None:
            self.trainable = trainable

    def _check_inputs_reach(self) -> None:
        given = {id(tensor) for tensor in self.inputs}
        for node in self._graph.nodes:
            if node.is_input and not any(id(tensor) in given for tensor in node.outputs):
                raise ValueError(
                    f"Output with path `` is not connected to `inputs`: it needs {node.operation.name}, which is not "
                    "one of them"
                )

    @property
    def inputs(self) -> list[KerasTensor]:
        return self._graph.inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._graph.outputs

    @property
    def input(self) -> Any:
        return self._inputs_struct

    @property
    def output(self) -> Any:
        return self._outputs_struct

    @property
    def operations(self) -> list[Operation]:
        """Layers and ops, in the order they run."""
        return self._graph.operations

    @property
    def input_names(self) -> list[str]:
        return [tensor.name for tensor in self.inputs]

    @property
    def output_names(self) -> list[str]:
        return [tensor._keras_history.operation.name for tensor in self.outputs]

    @property
    def input_shape(self) -> Any:
        return tree.map_structure(lambda tensor: tensor.shape, self._inputs_struct)

    @property
    def output_shape(self) -> Any:
        return tree.map_structure(lambda tensor: tensor.shape, self._outputs_struct)

    @property
    def input_spec(self) -> Any:
        return [InputSpec(shape=(None, *t.shape[1:]), allow_last_axis_squeeze=True, name=t.name) for t in self.inputs]

    @input_spec.setter
    def input_spec(self, _: Any) -> None:
        """The inputs say what fits."""

    def _maybe_build(self, arguments: dict[str, Any]) -> None:
        """Built from the start."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        values = {id(t): v for t, v in zip(self.inputs, self._standardized(inputs), strict=True)}
        values = self._graph.run(values, training)
        return map_leaves(lambda tensor: values[id(tensor)], KerasTensor, self._outputs_struct)

    def _standardized(self, inputs: Any) -> list[Any]:
        """The inputs in order, in the dtype and rank of the model's."""
        if isinstance(inputs, dict) and not isinstance(self._inputs_struct, dict):
            missing = [name for name in self.input_names if name not in inputs]
            if missing:
                got = {name: f"Tensor(shape={tuple(map(int, x.shape))})" for name, x in inputs.items()}
                raise ValueError(
                    f"The structure of `inputs` doesn't match the expected structure.\nExpected: {self.input_names}\n"
                    f"Received: inputs={got}"
                )
            given = [inputs[name] for name in self.input_names]
        else:
            given = tree.flatten(inputs)
        if len(given) != len(self.inputs):
            raise ValueError(
                f'Layer "{self.name}" expects {len(self.inputs)} input(s), but it received {len(given)} input tensors. '
                f"Inputs received: {inputs}"
            )
        return [self._fitted(x, wanted) for x, wanted in zip(given, self.inputs, strict=True)]

    def _fitted(self, x: Any, wanted: KerasTensor) -> Any:
        mask = getattr(x, "_keras_mask", None)
        x = ops.convert_to_tensor(x)
        rank, target = len(x.shape), len(wanted.shape)
        if rank == target + 1 and x.shape[-1] == 1:
            x = ops.squeeze(x, -1)
        elif rank == target - 1 and wanted.shape[-1] == 1:
            x = ops.expand_dims(x, -1)
        elif rank != target:
            raise ValueError(
                f"Invalid input shape for input {x} with name '{wanted.name}'. Expected shape {wanted.shape}, but "
                "input has "
                f"incompatible shape {static_shape(x.shape)}"
            )
        x = ops.cast(x, wanted.dtype)
        if mask is not None:
            x._keras_mask = mask
        return x

    # ---- configuration

    def get_config(self) -> dict[str, Any]:
        """Layers with their calls, and which tensors are inputs and outputs; what the constructor got for a subclass
        with one of its own."""
        if not is_functional_class(type(self)):
            return Model.get_config(self)
        return functional_config(self)


def _plain(structure: Any) -> Any:
    """The structure without containers that belong to others."""
    return tree.map_structure(lambda leaf: leaf, structure)


def _check_unique_names(operations: list[Operation]) -> None:
    seen: dict[str, int] = {}
    for operation in operations:
        seen[operation.name] = seen.get(operation.name, 0) + 1
    for name, count in seen.items():
        if count > 1:
            raise ValueError(
                f'The name "{name}" is used {count} times in the model. All operation names should be unique.'
            )


layers.OBJECTS["Functional"] = Functional
