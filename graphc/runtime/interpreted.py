"""Executables that interpret their graph with numpy: for debugging (`run_eagerly=True`) and as the oracle of tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Role
from graphc.ir.resize import with_rows
from graphc.ir.types import concrete
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
