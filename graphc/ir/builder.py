"""The Builder: makes nodes, infers their types, names them and remembers which layer they come from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from graphc.ir.graph import Check, Graph
from graphc.ir.op import Loc, Node, Op, Parameter, Role, Value
from graphc.ir.types import ShapeError, TensorType


class Builder:
    """Collects nodes in execution order and turns them into a Graph.

    `Builder(graph=g)` continues an existing graph: its nodes stay as they are, new ones follow.
    """

    def __init__(self, name: str = "graph", graph: Graph | None = None) -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.updates: list[tuple[Value, Value]] = []
        self.checks: list[Check] = []
        self.loc = Loc()
        self._names: set[str] = set()
        self._counters: dict[str, int] = {}
        if graph is not None:
            self.resume(graph)

    def resume(self, graph: Graph) -> None:
        """Go on from this graph instead of what was collected so far; the location stays."""
        self.name = graph.name
        self.inputs, self.nodes = list(graph.inputs), list(graph.nodes)
        self.updates, self.checks = list(graph.updates), list(graph.checks)
        self._names = {value.name for value in graph.values()}
        self._counters = {}

    def input(self, name: str, type: TensorType, role: str = Role.INPUT) -> Value:
        """A new graph input. ValueError if the name is taken or the role unknown."""
        if role not in Role.ALL:
            raise ValueError(f"input %{name}: role {role!r} is unknown; roles: {', '.join(Role.ALL)}")
        if name in self._names:
            raise ValueError(f"input %{name} is declared twice")
        self._names.add(name)
        value = Value(Node(Parameter(role), (), (type,), (name,), self.loc))
        self.inputs.append(value)
        return value

    def parameter(self, hint: str, type: TensorType) -> Value:
        """A new data input named as `fresh` says: an input of a body, which nobody asks for by name."""
        value = Value(Node(Parameter(Role.INPUT), (), (type,), (self.fresh(hint),), self.loc))
        self.inputs.append(value)
        return value

    def add(self, op: Op, *inputs: Value, name: str = "") -> Value:
        """Adds a node of one result and returns it. ShapeError names the op and the layer."""
        (value,) = self.add_all(op, *inputs, names=(name,))
        return value

    def add_all(self, op: Op, *inputs: Value, names: Sequence[str] = ()) -> tuple[Value, ...]:
        """Adds a node and returns all its results."""
        types = self._infer(op, inputs)
        hints = list(names) + [""] * (len(types) - len(names))
        node = Node(op, tuple(inputs), types, tuple(self.fresh(hint) for hint in hints), self.loc)
        self.nodes.append(node)
        return node.outputs

    def _infer(self, op: Op, inputs: Sequence[Value]) -> tuple[TensorType, ...]:
        try:
            return op.infer(*(value.type for value in inputs))
        except ShapeError as error:
            where = f" (layer {self.loc.layer})" if self.loc.layer else ""
            raise ShapeError(f"{op.mnemonic}{where}: {error}") from None

    def fresh(self, hint: str = "") -> str:
        """A name not used yet: the hint itself when free, else the hint (or nothing) with a number."""
        if hint and hint not in self._names:
            self._names.add(hint)
            return hint
        while True:
            number = self._counters.get(hint, 0)
            self._counters[hint] = number + 1
            name = f"{hint}.{number + 1}" if hint else str(number)
            if name not in self._names:
                self._names.add(name)
                return name

    def reserve(self, names: Iterable[str]) -> None:
        """Names that new nodes must not take."""
        self._names.update(names)

    @contextlib.contextmanager
    def at(self, loc: Loc) -> Iterator[None]:
        """Nodes added inside carry this location."""
        saved, self.loc = self.loc, loc
        try:
            yield
        finally:
            self.loc = saved

    def layer(self, path: str) -> contextlib.AbstractContextManager[None]:
        """Nodes added inside come from this layer."""
        return self.at(replace(self.loc, layer=path))

    def direction(self, direction: str) -> contextlib.AbstractContextManager[None]:
        """Nodes added inside belong to this direction: forward, backward or update."""
        return self.at(replace(self.loc, direction=direction))

    def update(self, state: Value, next: Value) -> None:
        """After a run the state or parameter input holds `next`, which has its type."""
        if state.type != next.type:
            raise ShapeError(f"update of %{state.name}: the input is {state.type}, the next value {next.type}")
        if any(state == known for known, _ in self.updates):
            raise ValueError(f"update of %{state.name}: the input is updated twice in one graph")
        self.updates.append((state, next))

    def check(self, value: Value, message: str) -> None:
        """`value` (an i32 scalar) must be zero, else no update is made and the run raises with `message`."""
        self.checks.append(Check(value, message))

    def build(self, outputs: Iterable[Value], output_names: Iterable[str] = ()) -> Graph:
        return Graph(
            self.name,
            tuple(self.inputs),
            tuple(self.nodes),
            tuple(outputs),
            tuple(self.updates),
            tuple(self.checks),
            tuple(output_names),
        )
