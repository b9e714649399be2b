"""The graph: inputs with roles, nodes in execution order, outputs, state updates and checks. Immutable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graphc.ir.op import Node, Parameter, Role, Value
from graphc.ir.types import Rows, TensorType


@dataclass(frozen=True, slots=True)
class Check:
    """An i32 scalar that must be zero: otherwise no update is made and the call raises with `message`."""

    value: Value
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A static computation.

    `nodes` are in execution order and hold everything but the inputs. `updates` are (state, next) pairs: after a run
    the state or parameter input holds `next`. All checks are looked at before the first update takes effect.
    """

    name: str
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    updates: tuple[tuple[Value, Value], ...] = ()
    checks: tuple[Check, ...] = ()
    output_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The text of `graphc.ir.text`."""
        from graphc.ir.text import print_graph  # the printer knows graphs

        return print_graph(self)

    def _repr_html_(self) -> str:
        from graphc.ir.picture import graph_html  # the picture knows graphs

        return graph_html(self)

    def __repr__(self) -> str:
        return f"<graph @{self.name}: {len(self.inputs)} inputs, {len(self.nodes)} nodes, {len(self.outputs)} outputs>"

    @property
    def results(self) -> tuple[Value, ...]:
        """Everything a run must produce: outputs, next states, checks."""
        return self.outputs + tuple(new for _, new in self.updates) + tuple(c.value for c in self.checks)

    @property
    def batch(self) -> int | None:
        """The compiled maximum of rows, or None when no dimension counts rows."""
        dims = (d for v in self.values() for d in v.shape if isinstance(d, Rows))
        return next((d.batch for d in dims), None)

    def values(self) -> Iterator[Value]:
        """Inputs, then every node's results in order."""
        yield from self.inputs
        for node in self.nodes:
            yield from node.outputs

    def role(self, value: Value) -> str | None:
        """The role of an input, None for a computed value."""
        return value.op.role if isinstance(value.op, Parameter) else None

    def fixed(self) -> frozenset[Value]:
        """Weights and states that no run changes, and what is computed from nothing but these: it need be done once.

        Nodes whose results are the graph's stay out, and those that depend on the number of rows.
        """
        changed = {state for state, _ in self.updates}
        found = {v for v in self.inputs if self.role(v) != Role.INPUT and v not in changed}
        results = set(self.results)
        for node in self.nodes:
            if found.issuperset(node.inputs) and results.isdisjoint(node.outputs) and not depends_on_rows(node):
                found.update(node.outputs)
        return frozenset(found)

    def inputs_of(self, role: str) -> tuple[Value, ...]:
        return tuple(v for v in self.inputs if self.role(v) == role)

    def users(self) -> dict[Value, list[Node]]:
        """For every value the nodes that read it, in order, once each."""
        found: dict[Value, list[Node]] = {value: [] for value in self.values()}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                found[value].append(node)
        return found


def depends_on_rows(node: Node) -> bool:
    """Whether the runtime number of rows can be told from the results."""
    body = getattr(node.op, "body", None)
    if isinstance(body, Graph):
        return any(map(depends_on_rows, body.nodes))
    return node.op.counts_rows or any(isinstance(dim, Rows) for type in node.types for dim in type.shape)


def types_of(values: Iterable[Value]) -> tuple[TensorType, ...]:
    return tuple(value.type for value in values)
