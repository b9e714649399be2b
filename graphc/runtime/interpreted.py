"""Executables that interpret their graph with numpy: for debugging (`run_eagerly=True`) and as the oracle of tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Node, Op, Parameter, Role, Value
from graphc.ir.types import Rows, concrete
from graphc.runtime.executable import CheckError

Array = np.ndarray[Any, Any]


class InterpretedExecutable:
    """The interface of `Executable` over the numpy interpreter. `state` maps input names to arrays updated in place."""

    def __init__(self, graph: Graph, bind: Mapping[str, Array] | None = None) -> None:
        """`bind` lends arrays for weights and states by name; the others start as zeros."""
        self.source = graph
        states = [value for value in graph.inputs if graph.role(value) != Role.INPUT]
        self.state = {v.name: (bind or {}).get(v.name, np.zeros(concrete(v.shape), v.dtype.numpy)) for v in states}
        self._by_rows: dict[int | None, Graph] = {graph.batch: graph}

    def graph(self, stage: str = "source") -> Graph:
        """The graph that is interpreted; there is only the stage "source"."""
        return self.source

    def run(self, inputs: Sequence[Array], rows: int | None = None) -> list[Array]:
        """One run; CheckError, and no update, if a check of the graph failed."""
        rows = self.source.batch if rows is None else rows
        if rows not in self._by_rows:
            self._by_rows[rows] = with_rows(self.source, rows or 1)
        graph = self._by_rows[rows]
        data = iter(inputs)
        arrays = {v: next(data) if graph.role(v) == Role.INPUT else self.state[v.name] for v in graph.inputs}
        results = interpret(graph, arrays)
        outputs, rest = results[: len(graph.outputs)], results[len(graph.outputs) :]
        for check, value in zip(graph.checks, rest[len(graph.updates) :], strict=True):
            if value:
                raise CheckError(check.message)
        for (state, _), value in zip(graph.updates, rest[: len(graph.updates)], strict=True):
            self.state[state.name][...] = value
        return list(outputs)


def with_rows(graph: Graph, rows: int) -> Graph:
    """The graph compiled for another number of batch rows: every `Rows` in types and attributes is replaced."""
    mapping: dict[Value, Value] = {}
    for value in graph.inputs:
        _with_rows_node(value.node, mapping, rows)
    nodes = [_with_rows_node(node, mapping, rows) for node in graph.nodes]

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


def _with_rows_node(node: Node, mapping: dict[Value, Value], rows: int) -> Node:
    op = node.op if isinstance(node.op, Parameter) else _with_rows_op(node.op, rows)
    types = tuple(kind.with_shape(_resized(kind.shape, rows)) for kind in node.types)
    made = Node(op, tuple(mapping[value] for value in node.inputs), types, node.names, node.loc)
    mapping.update(zip(node.outputs, made.outputs, strict=True))
    return made


def _with_rows_op(op: Op, rows: int) -> Op:
    assert is_dataclass(op)
    changed = {f.name: _resized(getattr(op, f.name), rows) for f in fields(op) if f.name != "array"}
    if type(op).__name__ == "RowCount":
        changed["batch"] = rows
    return replace(op, **changed)


def _resized(value: Any, rows: int) -> Any:
    if isinstance(value, Rows):
        return Rows(rows, value.per)
    return tuple(_resized(item, rows) for item in value) if type(value) is tuple else value
