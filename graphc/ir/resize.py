"""Graphs for another number of batch rows."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op, Parameter, Value
from graphc.ir.types import Rows


def with_rows(graph: Graph, rows: int, per: int = 1) -> Graph:
    """The graph compiled for another number of batch rows: every `Rows` in types and attributes is replaced. With `per`
    a row is that part of an old one; every `Rows` must have a multiple of it."""
    mapping: dict[Value, Value] = {}
    for value in graph.inputs:
        _with_rows_node(value.node, mapping, rows, per)
    nodes = [_with_rows_node(node, mapping, rows, per) for node in graph.nodes]

    def new(value: Value) -> Value:
        return mapping[value]

    return replace(
        graph,
        inputs=tuple(map(new, graph.inputs)),
        nodes=tuple(nodes),
        outputs=tuple(map(new, graph.outputs)),
        updates=tuple((new(state), new(value)) for state, value in graph.updates),
        checks=tuple(replace(check, value=new(check.value)) for check in graph.checks),
    )


def _with_rows_node(node: Node, mapping: dict[Value, Value], rows: int, per: int) -> Node:
    op = node.op if isinstance(node.op, Parameter) else _with_rows_op(node.op, rows, per)
    types = tuple(kind.with_shape(_resized(kind.shape, rows, per)) for kind in node.types)
    made = Node(op, tuple(mapping[value] for value in node.inputs), types, node.names, node.loc)
    mapping.update(zip(node.outputs, made.outputs, strict=True))
    return made


def _with_rows_op(op: Op, rows: int, per: int) -> Op:
    assert is_dataclass(op)
    changed = {f.name: _resized(getattr(op, f.name), rows, per) for f in fields(op) if f.name != "array"}
    if type(op).__name__ == "RowCount":
        changed["batch"] = rows
    return replace(op, **changed)


def _resized(value: Any, rows: int, per: int) -> Any:
    if isinstance(value, Rows):
        return Rows(rows, value.per // per)
    if isinstance(value, Graph):
        return with_rows(value, rows, per)
    return tuple(_resized(item, rows, per) for item in value) if type(value) is tuple else value
