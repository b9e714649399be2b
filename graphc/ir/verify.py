"""The verifier: the laws every graph keeps. Run after each pass; facts that ops know are asked from `infer`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from graphc.ir.composite import Composite
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Parameter, Role, Value
from graphc.ir.structure import structural_key
from graphc.ir.text import attribute_text, attributes
from graphc.ir.types import DType, Rows, ShapeError, TensorType


class VerifyError(ValueError):
    """A graph that breaks a law. `node` is the node that does, if it is one."""

    def __init__(self, message: str, node: Node | None = None) -> None:
        layer = f" (layer {node.loc.layer})" if node is not None and node.loc.layer else ""
        super().__init__(f"{node!r}{layer}: {message}" if node is not None else message)
        self.node = node


def verify(graph: Graph, good: set[Node] | None = None) -> None:
    """VerifyError if the graph breaks a law; the message names node, layer, what was found and what is wanted.

    What concerns a node alone is not asked again of nodes that are `good`, and all of this graph will be.
    """
    _Verifier(graph, set() if good is None else good).run()


@dataclass
class _Verifier:
    graph: Graph
    good: set[Node]
    known: set[Value] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    bodies: dict[str, Graph] = field(default_factory=dict)  # a fused body by its label
    batch: int | None = None

    def run(self) -> None:
        for value in self.graph.inputs:
            self._input(value)
        for node in self.graph.nodes:
            self._node(node)
        self._outputs()
        self._updates()
        self._checks()

    def _input(self, value: Value) -> None:
        node = value.node
        if not isinstance(node.op, Parameter) or node.inputs or len(node.types) != 1:
            raise VerifyError("a graph input must be a parameter node of one result", node)
        if node.op.role not in Role.ALL:
            raise VerifyError(f"role {node.op.role!r} is unknown; roles: {', '.join(Role.ALL)}", node)
        self._define(node)

    def _node(self, node: Node) -> None:
        if isinstance(node.op, Parameter):
            raise VerifyError("a parameter must be a graph input", node)
        for value in node.inputs:
            if value not in self.known:
                raise _undefined(value, f"operand of %{', %'.join(node.names)}")
        self._attributes(node)
        if node not in self.good:
            self._types(node)
            self.good.add(node)
        if isinstance(node.op, Composite):
            self._body(node, node.op)
        self._define(node)

    def _attributes(self, node: Node) -> None:
        for name, value in attributes(node.op):
            if isinstance(value, Graph):
                continue
            try:
                if node not in self.good:
                    attribute_text(value)
            except TypeError as error:
                raise VerifyError(f"attribute {name}: {error}", node) from None
            for rows in _rows_of(value):
                self._rows(rows, node)

    def _types(self, node: Node) -> None:
        try:
            inferred = node.op.infer(*(value.type for value in node.inputs))
        except (ShapeError, TypeError, ValueError, IndexError) as error:
            operands = _list(value.type for value in node.inputs)
            raise VerifyError(f"does not take its operands ({operands}): {error}", node) from None
        if inferred != node.types:
            raise VerifyError(f"has the types {_list(node.types)}, its op gives {_list(inferred)}", node)

    def _body(self, node: Node, op: Composite) -> None:
        body = op.body
        if isinstance(op, Fused) and any(isinstance(inner.op, Composite) for inner in body.nodes):
            raise VerifyError(f"@{op.label}: nothing with a body is inside a fused node", node)
        if body.updates or body.checks or body.output_names:
            raise VerifyError(f"@{op.title}: a body has no updates, checks or output names", node)
        inner = _Verifier(body, self.good, bodies=self.bodies)
        inner.run()
        if inner.batch is not None:
            self._batch(inner.batch, node)
        if isinstance(op, Fused):
            known = self.bodies.setdefault(op.label, body)
            if known is not body and structural_key(known) != structural_key(body):
                raise VerifyError(f"@{op.label} is the label of another body too", node)

    def _define(self, node: Node) -> None:
        """Names, types and identity of a node's results."""
        if len(node.names) != len(node.types):
            raise VerifyError(f"has {len(node.types)} results and {len(node.names)} names", node)
        for value in node.outputs:
            if value in self.known:
                raise VerifyError("is in the graph twice", node)
            if not isinstance(value.name, str) or value.name in self.names:
                raise VerifyError(f"the name %{value.name} is taken", node)
            self._type(value.type, node)
            self.known.add(value)
            self.names.add(value.name)

    def _type(self, type: TensorType, node: Node) -> None:
        if not isinstance(type.dtype, DType) or not all(isinstance(dim, int) for dim in type.shape):
            raise VerifyError(f"{type} is not made of a dtype and whole numbers", node)
        for dim in type.shape:
            if isinstance(dim, Rows):
                self._rows(dim, node)

    def _rows(self, rows: Rows, node: Node) -> None:
        if rows.batch < 1 or rows.per < 1:
            raise VerifyError(f"has rows of a batch of {rows.batch}, wanted at least 1", node)
        self._batch(rows.batch, node)

    def _batch(self, batch: int, node: Node) -> None:
        if self.batch is None:
            self.batch = batch
        if batch != self.batch:
            raise VerifyError(f"has rows of a batch of {batch} in a graph of {self.batch}", node)

    def _outputs(self) -> None:
        names = self.graph.output_names
        for value in self.graph.outputs:
            if value not in self.known:
                raise _undefined(value, "output")
        if names and len(names) != len(self.graph.outputs):
            raise VerifyError(f"{len(self.graph.outputs)} outputs have {len(names)} names")
        if len(set(names)) != len(names):
            raise VerifyError(f"output names repeat: {', '.join(names)}")

    def _updates(self) -> None:
        states = [state for state, _ in self.graph.updates]
        if len(set(states)) != len(states):
            raise VerifyError("an input is updated twice")
        inputs = set(self.graph.inputs)
        for state, new in self.graph.updates:
            if new not in self.known:
                raise _undefined(new, f"update of {state!r}")
            if state not in inputs or self.graph.role(state) == Role.INPUT:
                raise VerifyError(f"update of {state!r}: only a param or state of this graph can be updated")
            if state.type != new.type:
                raise VerifyError(f"update of {state!r}: the next value is {new.type}")

    def _checks(self) -> None:
        for check in self.graph.checks:
            if check.value not in self.known:
                raise _undefined(check.value, "check")
            if check.value.type != TensorType((), DType.I32):
                raise VerifyError(f"check {check.message!r}: wanted an i32 scalar, got {check.value!r}")


def _undefined(value: Value, what: str) -> VerifyError:
    names = ", ".join(f"%{name}" for name in value.node.names)
    return VerifyError(f"{what}: result {value.index} of {value.op.mnemonic} ({names}) is not defined before")


def _rows_of(value: object) -> Iterator[Rows]:
    if isinstance(value, Rows):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _rows_of(item)


def _list(types: Iterator[TensorType] | tuple[TensorType, ...]) -> str:
    return ", ".join(map(str, types))
