"""What need not be in a loop: parts that are the same in every step, and products of sequences with constants."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Node, Source, Value, View
from graphc.ir.remarks import remark
from graphc.ir.rewrite import rewrite
from graphc.primitives import functions as fn
from graphc.primitives.contraction import Dot
from graphc.primitives.control import Scan
from graphc.primitives.shape import Broadcast
from passes.loops import block_of, in_bodies

PRODUCT_BYTES = 2 * 1024 * 1024  # a product of all steps that is larger does not stay in the cache until it is read
FACTOR_BYTES = 2 * 1024 * 1024  # a constant that is larger does not stay there from step to step
TILE_ROWS = 8  # and with fewer rows in a block a step's product is slow


@in_bodies
def hoist(graph: Graph) -> Graph:
    """Moves out of loops what depends on constants only, and the product of a sequence's elements with a constant,
    which becomes one large product unless that is too large for the cache and a step's product is not slower.

    A sequence that is the same in every step and a carry that no step changes become constants; numbers and broadcasts
    move into the body. The same graph when nothing moves.
    """
    return rewrite(graph, _rule)


def _rule(b: Builder, node: Node) -> Sequence[Value] | None:
    if not isinstance(node.op, Loop) or not node.op.steps:
        return None
    return _Hoist(b, node, node.op).run()


class _Hoist:
    """One loop being taken apart. Values of its old body are looked up *inside*, in the new body, or *outside*."""

    def __init__(self, b: Builder, node: Node, op: Loop) -> None:
        self.outer, self.node, self.op = b, node, op
        self.inner = Builder(op.body.name)
        self.inner.reserve(name for inner in op.body.nodes for name in inner.names)
        self.constants: list[tuple[Value, Value]] = []  # parameter of the new body, operand
        self.sequences: list[tuple[Value, Value]] = []
        self.carries: list[tuple[int, Value, Value]] = []  # number in the old loop first
        self.known_inside: dict[Value, Value] = {}
        self.known_outside: dict[Value, Value] = {}
        self.elements: dict[Value, Value] = {}  # values of the old body that are elements of a value outside
        self.moved: list[str] = []

    def run(self) -> Sequence[Value] | None:
        self._inputs()
        for node in self.op.body.nodes:
            self._node(node)
        following = [self._inside(self.op.following()[i]) for i, *_ in self.carries]
        kept = [(j, v) for j, v in enumerate(self.op.stacked()) if not self._is_free_of_steps(v)]
        stacked = [self._inside(value) for _, value in kept]
        if not self.moved and len(kept) == len(self.op.stacked()):
            return None
        if self.moved:
            remark("hoist", self.node, f"moved out of the loop: {', '.join(self.moved)}")
        return self._results(following, stacked, [j for j, _ in kept])

    def _results(self, following: list[Value], stacked: list[Value], kept: list[int]) -> list[Value]:
        """The new loop, and the old one's results from it or from outside."""
        parameters = [p for _, p, _ in self.carries] + [p for p, _ in (*self.sequences, *self.constants)]
        operands = [x for _, _, x in self.carries] + [x for _, x in (*self.sequences, *self.constants)]
        body = Graph(self.inner.name, tuple(parameters), tuple(self.inner.nodes), (*following, *stacked))
        op = Scan(body, self.op.steps, len(self.carries), len(self.sequences), self.op.reverse)
        unchanged = self.node.inputs[: self.op.carries]
        there = [*(i for i, *_ in self.carries), *(self.op.carries + j for j in kept)]
        names = [self.node.names[i] for i in there]
        found = dict(zip(there, self.outer.add_all(op, *operands, names=names) if there else (), strict=True))
        return [
            found[i] if i in found else unchanged[i] if i < self.op.carries else self._all_steps(value)
            for i, value in enumerate(self.op.body.outputs)
        ]

    # Inputs of the loop

    def _inputs(self) -> None:
        op, operands = self.op, self.node.inputs
        first, last = op.carries, op.carries + op.sequences
        for i, (value, operand) in enumerate(zip(op.carried(), operands[:first], strict=True)):
            if op.following()[i] == value:
                self.known_outside[value] = operand
                self.moved.append(f"%{value.name}, which no step changes")
            else:
                parameter = self.inner.parameter(value.name, value.type)
                self.carries.append((i, parameter, operand))
                self.known_inside[value] = parameter
        for value, operand in zip(op.sliced(), operands[first:last], strict=True):
            self._sequence(value, operand)
        self.known_outside.update(zip(op.constants(), operands[last:], strict=True))
        self.moved += [f"%{v.name}" for v in operands[last:] if isinstance(v.op, Broadcast) or _is_number(v)]

    def _sequence(self, value: Value, operand: Value) -> None:
        if not isinstance(operand.op, Broadcast) or 0 in operand.op.axes:
            self.elements[value] = operand
            return
        axes = tuple(axis - 1 for axis in operand.op.axes)
        self.known_outside[value] = fn.broadcast(self.outer, operand.node.inputs[0], value.shape, axes)
        self.moved.append(f"%{value.name}, the same in every step")

    # Nodes

    def _node(self, node: Node) -> None:
        if all(value in self.known_outside or self._is_constant(value) for value in node.inputs):
            if not isinstance(node.op, View | Alias | Source):
                self._move(node, self.outer.add_all(node.op, *map(self._outside, node.inputs)))
        elif self._is_product(node):
            element, constant = node.inputs
            contract = tuple(axis + 1 for axis in node.op.contract[0]), node.op.contract[1]  # type: ignore[attr-defined]
            product = self.outer.add(Dot(contract=contract), self.elements[element], self._outside(constant))
            self.elements[node.outputs[0]] = product
            self.moved.append(f"the product %{node.names[0]}")
        else:
            self._copy(node)

    def _move(self, node: Node, values: Sequence[Value]) -> None:
        self.known_outside.update(zip(node.outputs, values, strict=True))
        self.moved.append(f"%{node.names[0]}")

    def _is_constant(self, value: Value) -> bool:
        """Whether a value of the old body is the same in every step."""
        if value in self.known_outside:
            return True
        free = isinstance(value.op, View | Alias | Source)
        return free and all(map(self._is_constant, value.node.inputs))

    def _is_product(self, node: Node) -> bool:
        if not isinstance(node.op, Dot) or node.op.batch[0]:
            return False
        if node.inputs[0] not in self.elements or not self._is_constant(node.inputs[1]):
            return False
        is_large = self.op.steps * node.types[0].nbytes > PRODUCT_BYTES
        return not is_large or node.inputs[1].type.nbytes > FACTOR_BYTES or block_of(self.op)[0] < TILE_ROWS

    def _is_free_of_steps(self, value: Value) -> bool:
        return value in self.elements or self._is_constant(value)

    # Looking values up

    def _outside(self, value: Value) -> Value:
        if value not in self.known_outside:
            inputs = [self._outside(v) for v in value.node.inputs]
            values = self.outer.add_all(value.op, *inputs)
            self.known_outside.update(zip(value.node.outputs, values, strict=True))
        return self.known_outside[value]

    def _inside(self, value: Value) -> Value:
        if value not in self.known_inside:
            self._bring_inside(value)
        return self.known_inside[value]

    def _bring_inside(self, value: Value) -> None:
        if value in self.elements:
            self.known_inside[value] = self.inner.parameter(value.name, value.type)
            self.sequences.append((self.known_inside[value], self.elements[value]))
        elif value in self.known_outside:
            self.known_inside[value] = self._constant(value.name, self.known_outside[value])
        else:
            self._copy(value.node)

    def _copy(self, node: Node) -> None:
        copy = Node(node.op, tuple(map(self._inside, node.inputs)), node.types, node.names, node.loc)
        self.inner.nodes.append(copy)
        self.known_inside.update(zip(node.outputs, copy.outputs, strict=True))

    def _constant(self, name: str, operand: Value) -> Value:
        """A constant of the new body; what is a number, repeated or not, is made there."""
        if isinstance(operand.op, Broadcast):
            source = self._constant(name, operand.node.inputs[0])
            return fn.broadcast(self.inner, source, operand.shape, operand.op.axes)
        if _is_number(operand):
            return self.inner.add(operand.op)
        known = next((parameter for parameter, x in self.constants if x == operand), None)
        if known is None:
            known = self.inner.parameter(name, operand.type)
            self.constants.append((known, operand))
        return known

    def _all_steps(self, value: Value) -> Value:
        """All steps' elements of a value that no step computes."""
        if value in self.elements:
            return self.elements[value]
        one = self._outside(value)
        shape = (self.op.steps, *one.shape)
        return fn.broadcast(self.outer, one, shape, range(1, len(shape)))


def _is_number(value: Value) -> bool:
    return isinstance(value.op, Source) and value.type.size == 1
