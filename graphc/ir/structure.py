"""Structural keys: two nodes or graphs of equal key compute the same; names and locations do not count."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op, Value
from graphc.ir.text import attribute_text, attributes, content_hash
from graphc.ir.types import Rows, TensorType


def op_key(op: Op) -> str:
    """Equal for ops of one kind with equal attributes, bit by bit (0.0 is not -0.0); constants by content."""
    parts = [op.mnemonic, *(f"{name}={_attribute_key(value)}" for name, value in attributes(op) if name != "label")]
    return " ".join(parts)


def node_key(node: Node) -> Hashable:
    """Equal for nodes that apply equal ops to the same values."""
    return op_key(node.op), node.inputs, tuple(map(type_key, node.types))


def type_key(type: TensorType) -> str:
    """The type as text, with the batch if it has rows."""
    batch = next((dim.batch for dim in type.shape if isinstance(dim, Rows)), None)
    return str(type) if batch is None else f"{type} n={batch}"


def structural_key(graph: Graph, interface: bool = False) -> str:
    """A SHA-256 in hex, equal for graphs of equal structure: roles, types, ops, operands, outputs, updates and checks.

    With `interface` also the names of the inputs and outputs and the messages of the checks: what a caller sees.
    """
    digest = hashlib.sha256()
    for line in _lines(graph, interface):
        digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def _lines(graph: Graph, interface: bool) -> Iterator[str]:
    numbers = {value: number for number, value in enumerate(graph.values())}
    for value in graph.inputs:
        yield f"{graph.role(value)} {type_key(value.type)}"
    for node in graph.nodes:
        yield f"{op_key(node.op)} {_numbers(numbers, node.inputs)} {list(map(type_key, node.types))}"
    yield f"outputs {_numbers(numbers, graph.outputs)}"
    yield f"updates {[_numbers(numbers, update) for update in graph.updates]}"
    yield f"checks {_numbers(numbers, tuple(check.value for check in graph.checks))}"
    if interface:
        names = [value.name for value in graph.inputs]
        yield repr((names, graph.output_names, [check.message for check in graph.checks]))


def _numbers(numbers: Mapping[Value, int], values: tuple[Value, ...]) -> list[int]:
    return [numbers[value] for value in values]


def _attribute_key(value: object) -> str:
    if isinstance(value, np.ndarray):
        return content_hash(value)
    return structural_key(value) if isinstance(value, Graph) else attribute_text(value)
