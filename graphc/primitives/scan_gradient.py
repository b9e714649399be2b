"""The gradient of a scan: a scan in the other direction, over what the forward one keeps.

The body of the gradient is the pullback of the body. Of the forward values it reads, those that are cheap or the same
in every step are computed again; the others, the *residuals*, are results of the forward scan. Cotangents of constants
are sums over all steps: where a step's part is a product or a sum, its operands are results of the scan, and one large
product or sum is made of them behind it; other parts are added up in a carry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Alias, Node, Source, Value, View
from graphc.ir.rewrite import rebuild, replace_results
from graphc.primitives import functions as fn
from graphc.primitives.backward import Cotangents, accumulate, active_values, pull_back
from graphc.primitives.contraction import Dot
from graphc.primitives.control import Scan
from graphc.primitives.elementwise import Add, Neg, Sub
from graphc.primitives.reduce import Sum
from graphc.primitives.shape import Pad, Reshape

Stacked = Callable[[Value], Value]
Lifted = Callable[[Builder, Stacked], Value]
"""Builds the sum over all steps of a value of the body, given how to get all steps' values of others."""


def scan_vjp(
    op: Scan, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """The cotangents of the operands. A scan that does not keep its residuals runs once more."""
    if not any(cotangents):
        return [None] * len(inputs)
    seeded = [i for i, cotangent in enumerate(cotangents) if cotangent is not None]
    keeping = with_residuals(op, seeded)
    if keeping is not op:
        outputs = b.add_all(keeping, *inputs)
        cotangents = [*cotangents, *[None] * (len(outputs) - len(cotangents))]
    return _Gradient(keeping, b, inputs, outputs, cotangents, _Pullback(keeping, seeded)).build()


def with_residuals(op: Scan, seeded: Collection[int]) -> Scan:
    """The scan with everything its gradient reads among its results, behind those it has; itself if nothing is missing.

    `seeded`: the results that have a cotangent.
    """
    body = keep_residuals(op.body)
    op = op if body is op.body else replace(op, body=body)
    missing = [v for v in _Pullback(op, seeded).residuals() if v not in op.stacked()]
    return replace(op, body=replace(op.body, outputs=(*op.body.outputs, *missing))) if missing else op


def keep_residuals(graph: Graph) -> Graph:
    """The graph with scans that keep what the gradient reads of all their results that somebody uses."""
    used = set(graph.results) | {value for node in graph.nodes for value in node.inputs}
    b = Builder(graph=replace(graph, nodes=()))
    b.reserve(name for node in graph.nodes for name in node.names)
    mapping: dict[Value, Value] = {}
    for old in graph.nodes:
        node = rebuild(old, tuple(mapping.get(v, v) for v in old.inputs))
        if isinstance(node.op, Scan):
            node = _keeping(b, node, [i for i, value in enumerate(old.outputs) if value in used])
        b.nodes.append(node)
        mapping.update((o, n) for o, n in zip(old.outputs, node.outputs, strict=False) if o != n)
    return replace_results(graph, b.nodes, mapping) if mapping else graph


def _keeping(b: Builder, node: Node, seeded: Sequence[int]) -> Node:
    assert isinstance(node.op, Scan)
    op = with_residuals(node.op, seeded)
    if op is node.op:
        return node
    types = op.infer(*(value.type for value in node.inputs))
    added = [b.fresh(f"{node.names[0]}.kept") for _ in types[len(node.types) :]]
    return Node(op, node.inputs, types, (*node.names, *added), node.loc)


class _Pullback:
    """The body of a scan with its pullback behind it, and what that needs."""

    def __init__(self, op: Scan, seeded: Collection[int]) -> None:
        self.op, body = op, op.body
        self.b = Builder(graph=body)
        self.seeds: dict[int, Value] = {}
        self.cotangents: Cotangents = {}
        for i, value in enumerate(body.outputs):
            if value.dtype.is_float and (i < op.carries or i in seeded):
                self.seeds[i] = self.b.parameter(f"d.{value.name}", value.type)
                accumulate(self.b, self.cotangents, value, self.seeds[i])
        wrt = [value for value in body.inputs if value.dtype.is_float]
        pull_back(self.b, body.nodes, self.cotangents, active_values(body.nodes, wrt))
        self.forward = set(body.values())
        self.constant = set(op.constants())
        for node in body.nodes:
            if all(value in self.constant for value in node.inputs):
                self.constant.update(node.outputs)
        self.stacks: dict[Value, None] = {}  # of which the sums of products need all steps
        self.lifted: dict[Value, Lifted] = {}
        self.added: dict[Value, Value] = {}
        for value in op.constants():
            if (cotangent := self.cotangents.get(value)) is not None:
                self._sum(value, cotangent)

    def _sum(self, value: Value, cotangent: Value) -> None:
        before = dict(self.stacks)
        lifted = self._lift(cotangent)
        if lifted is not None:
            self.lifted[value] = lifted
        else:
            self.stacks = before
            self.added[value] = cotangent

    def _lift(self, value: Value) -> Lifted | None:
        """How to sum a value over all steps without adding up step by step; None if there is no way."""
        node = value.node
        if value in self.forward:
            return None
        match node.op:
            case Add() | Sub() | Neg() | Reshape() | View():
                parts = [self._lift(operand) for operand in node.inputs]
                return partial(_apply, node, parts) if all(parts) else None  # type: ignore[arg-type]
            case Pad(value=0):
                part = self._lift(node.inputs[0])
                return partial(_apply, node, [part]) if part else None
            case Sum(axes=axes) if self._stack(node.inputs):
                return lambda b, stacked: fn.sum(b, stacked(node.inputs[0]), (0, *(axis + 1 for axis in axes)))
            case Dot() if self._stack(node.inputs):
                return lambda b, stacked: b.add(_over_steps(node.op), *map(stacked, node.inputs))
        return None

    def _stack(self, values: Iterable[Value]) -> bool:
        """Asks for all steps of some values; not for what is the same in every step."""
        if any(value in self.constant for value in values):
            return False
        self.stacks.update(dict.fromkeys(values))
        return True

    # What crosses from the forward scan to the gradient

    def roots(self) -> list[Value]:
        """What the gradient's body computes, apart from stacks of the forward scan."""
        wanted = [self.cotangents.get(value) for value in (*self.op.carried(), *self.op.sliced())]
        wanted += [*self.added.values(), *(value for value in self.stacks if value not in self.forward)]
        return list(dict.fromkeys(value for value in wanted if value is not None))

    def needed(self) -> tuple[list[Node], list[Value]]:
        """The nodes of the gradient's body in order, and the forward values that it reads."""
        nodes: set[Node] = set()
        reads: dict[Value, None] = {}
        pending = self.roots()
        while pending:
            value = pending.pop()
            if value in self.forward and not self._again(value):
                reads[value] = None
            elif (value.node not in nodes and value.node.inputs) or isinstance(value.op, Source):
                nodes.add(value.node)
                pending += value.node.inputs
        position = {node: i for i, node in enumerate(self.b.nodes)}
        inputs = {value: i for i, value in enumerate(self.op.body.values())}
        return sorted(nodes, key=position.__getitem__), sorted(reads, key=inputs.__getitem__)

    def _again(self, value: Value) -> bool:
        """Whether the gradient computes a forward value itself: it costs nothing, or is the same in every step."""
        is_computed = value not in self.op.body.inputs
        return is_computed and (isinstance(value.op, View | Alias | Source) or value in self.constant)

    def residuals(self) -> list[Value]:
        """The forward values of which all steps are needed, beside what is a sequence already."""
        read = [*self.needed()[1], *(value for value in self.stacks if value in self.forward)]
        known = {*self.op.sliced(), *self.op.constants()}
        return [value for value in dict.fromkeys(read) if value not in known]


def _apply(node: Node, parts: Sequence[Lifted], b: Builder, stacked: Stacked) -> Value:
    return b.add(node.op, *(part(b, stacked) for part in parts))


def _over_steps(op: object) -> Dot:
    """The product summed over the leading axis of both operands too."""
    assert isinstance(op, Dot)
    (left, right), (inner_left, inner_right) = op.batch, op.contract
    return Dot(
        (tuple(a + 1 for a in left), tuple(a + 1 for a in right)),
        ((0, *(a + 1 for a in inner_left)), (0, *(a + 1 for a in inner_right))),
    )


@dataclass
class _Gradient:
    """Builds the gradient of one scan that keeps its residuals."""

    op: Scan
    b: Builder
    inputs: Sequence[Value]
    outputs: Sequence[Value]
    cotangents: Sequence[Value | None]
    pullback: _Pullback
    known: dict[Value, Value] = field(default_factory=dict)  # all steps of a value of the body

    def build(self) -> list[Value | None]:
        op, pullback = self.op, self.pullback
        split = op.carries, op.carries + op.sequences
        self.known.update(zip(op.sliced(), self.inputs[split[0] : split[1]], strict=True))
        self.known.update(zip(op.stacked(), self.outputs[op.carries :], strict=True))
        given = {i: c for i, c in enumerate(self.cotangents) if c is not None}
        self.known.update((seed, given[i]) for i, seed in pullback.seeds.items() if i >= op.carries)
        nodes, reads = pullback.needed()
        carried = [i for i in pullback.seeds if i < op.carries]
        stacked = [i for i in pullback.seeds if i >= op.carries]
        kept = [value for value in reads if value not in op.constants()]
        constants = [value for value in reads if value in op.constants()]
        # all that is stacked by the gradient, once each
        wanted = [pullback.cotangents.get(value) for value in op.sliced()]
        stacks = [v for v in (*wanted, *pullback.stacks) if v is not None and v not in self.known]
        stacks = list(dict.fromkeys(stacks))
        body = _body(op, pullback, nodes, carried, [pullback.seeds[i] for i in stacked], kept, constants, stacks)
        zeros = [fn.zeros_like(self.b, value) for value in self._constants(pullback.added)]
        operands = [
            *(given[i] if i in given else fn.zeros_like(self.b, self.outputs[i]) for i in carried),
            *zeros,
            *(given[i] for i in stacked),
            *(self.known[value] for value in kept),
            *self._constants(constants),
        ]
        counts = len(carried) + len(zeros), len(stacked) + len(kept)
        results = self.b.add_all(Scan(body, op.steps, *counts, not op.reverse), *operands)
        self.known.update(zip(stacks, results[counts[0] :], strict=True))
        sums = dict(zip(pullback.added, results[len(carried) :], strict=False))
        lasts = dict(zip(carried, results, strict=False))
        return [
            *(lasts.get(i) for i in range(op.carries)),
            *(self.known[v] if v is not None else None for v in wanted),
            *(self._constant(value, sums) for value in op.constants()),
        ]

    def _constants(self, values: Iterable[Value]) -> list[Value]:
        """The operands behind constants of the body."""
        place = dict(zip(self.op.constants(), self.inputs[self.op.carries + self.op.sequences :], strict=True))
        return [place[value] for value in values]

    def _constant(self, value: Value, sums: Mapping[Value, Value]) -> Value | None:
        """The cotangent of a constant: what was added up, or the sum over all steps' values."""
        if (lifted := self.pullback.lifted.get(value)) is not None:
            return lifted(self.b, self.known.__getitem__)
        return sums.get(value)


def _body(
    op: Scan,
    pullback: _Pullback,
    nodes: Sequence[Node],
    carried: Sequence[int],
    seeds: Sequence[Value],
    kept: Sequence[Value],
    constants: Sequence[Value],
    stacks: Sequence[Value],
) -> Graph:
    """The gradient's body: carries, sums, cotangents of stacked results, residuals, constants in; the same ones as
    they are before the step, and the stacks, out."""
    b = Builder(f"{op.body.name}.backward")
    b.reserve(name for node in nodes for name in node.names)
    mapping = {pullback.seeds[i]: b.parameter(pullback.seeds[i].name, pullback.seeds[i].type) for i in carried}
    sums = [b.parameter(f"sum.{value.name}", value.type) for value in pullback.added]
    for value in (*seeds, *kept, *constants):
        mapping[value] = b.parameter(value.name, value.type)
    for node in nodes:
        b.nodes.append(rebuild(node, tuple(mapping.get(value, value) for value in node.inputs)))
        mapping.update(zip(node.outputs, b.nodes[-1].outputs, strict=True))
    b.reserve(name for node in b.nodes for name in node.names)
    with b.direction("backward"):
        found = [pullback.cotangents.get(op.carried()[i]) for i in carried]
        before = [
            mapping[v] if v is not None else fn.zeros_like(b, op.carried()[i])
            for i, v in zip(carried, found, strict=True)
        ]
        added = [fn.add(b, total, mapping[v]) for total, v in zip(sums, pullback.added.values(), strict=True)]
    return b.build((*before, *added, *(mapping[value] for value in stacks)))
