"""From groups to a graph of fused nodes: bodies, labels and the order of the kernels."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.op import Loc, Node, Parameter, Value
from graphc.ir.rewrite import rebuild, replace_results
from graphc.ir.structure import structural_key
from passes.facts import Facts, FactsOf, Kind
from passes.grouping import Groups, Plan
from passes.schedule_order import kernel_order

LABEL_NAMES = 4


def emit(groups: Groups, facts: FactsOf, labels: set[str]) -> Graph:
    """The graph of fused nodes, in the order of execution. Adds their labels to those that are taken."""
    emitter = _Emitter(facts, labels)
    for group in kernel_order(groups):
        if not groups.is_fixed(group):
            emitter.fuse(groups.plan(group))
        elif groups.members[group]:
            emitter.keep(groups.members[group][0].node)
    return replace_results(groups.graph, emitter.nodes, emitter.mapping)


@dataclass(slots=True)
class _Emitter:
    facts: FactsOf
    labels: set[str]
    nodes: list[Node] = field(default_factory=list)
    mapping: dict[Value, Value] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    kernels: dict[Hashable, list[tuple[str, Fused]]] = field(default_factory=dict)

    def keep(self, node: Node) -> None:
        new = rebuild(node, tuple(self.mapping.get(v, v) for v in node.inputs))
        self._append(node.outputs, new)

    def fuse(self, plan: Plan) -> None:
        nodes, operands = self._body_nodes(plan)
        op = self._kernel(_body(nodes, operands, plan.outputs), plan)
        inputs = tuple(self.mapping.get(value, value) for value in operands)
        types = tuple(value.type for value in plan.outputs)
        names = tuple(value.name for value in plan.outputs)
        self._append(plan.outputs, Node(op, inputs, types, names, _location(plan)))

    def _append(self, old: Iterable[Value], node: Node) -> None:
        self.nodes.append(node)
        self.mapping.update((o, n) for o, n in zip(old, node.outputs, strict=True) if o != n)

    def _body_nodes(self, plan: Plan) -> tuple[list[Node], list[Value]]:
        """The members and free nodes that the results need, in graph order, and the values they read from outside."""
        inside = {facts.node for facts in plan.members}
        needed: set[Node] = set()
        pending = [value.node for value in plan.outputs]
        while pending:
            node = pending.pop()
            if node not in needed:
                needed.add(node)
                pending += [v.node for v in node.inputs if v.node in inside or self.facts.is_free(v)]
        nodes = sorted(needed, key=lambda node: self.facts.by_node[node].position)
        return nodes, list(dict.fromkeys(v for node in nodes for v in node.inputs if v.node not in needed))

    def _kernel(self, body: Graph, plan: Plan) -> Fused:
        """The fused op for a body; one that computes the same is used again, so that it is compiled once."""
        known = self.kernels.setdefault(_outline(body), [])
        key = structural_key(body) if known else ""
        for i, (known_key, op) in enumerate(known):
            known_key = known_key or structural_key(op.body)
            known[i] = known_key, op
            if known_key == key:
                return op
        op = Fused(body, self._label(plan))
        known.append((key, op))
        return op

    def _label(self, plan: Plan) -> str:
        names = dict.fromkeys(facts.node.op.mnemonic for facts in _main_nodes(plan))
        base = "_".join(list(names)[:LABEL_NAMES])
        number = next(n for n in itertools.count(self.counters.get(base, 0)) if f"{base}.{n}" not in self.labels)
        self.counters[base] = number + 1
        self.labels.add(f"{base}.{number}")
        return f"{base}.{number}"


def _main_nodes(plan: Plan) -> Sequence[Facts]:
    """The nodes that name a kernel: anchor, reductions, maps; free ones only if there are no others."""
    rank = {Kind.REDUCTION: 1, Kind.MAP: 2}
    members = sorted(plan.members, key=lambda f: rank.get(f.kind, 0))
    return [f for f in members if not f.free] or members


def _location(plan: Plan) -> Loc:
    """Where the anchor or the first reduction comes from; for maps the last node, or the last result of the forward
    pass if there is one: a mask that is kept beside it for the gradient does not make a kernel backward."""
    main = _main_nodes(plan)
    loc = (main[-1] if main[0].kind is Kind.MAP else main[0]).node.loc
    forward = [value.node.loc for value in plan.outputs if value.node.loc.direction == "forward"]
    return forward[-1] if forward and loc.direction == "backward" and main[0].kind is Kind.MAP else loc


def _body(nodes: Sequence[Node], operands: Sequence[Value], outputs: Sequence[Value]) -> Graph:
    """The nodes as a graph whose inputs stand for the operands and carry their names."""
    parameters = [Node(Parameter(), (), (v.type,), (v.name,), v.node.loc).outputs[0] for v in operands]
    mapping = dict(zip(operands, parameters, strict=True))
    built: list[Node] = []
    for node in nodes:
        built.append(rebuild(node, tuple(mapping.get(v, v) for v in node.inputs)))
        mapping.update(zip(node.outputs, built[-1].outputs, strict=True))
    return Graph("body", tuple(parameters), tuple(built), tuple(mapping[v] for v in outputs))


def _outline(body: Graph) -> Hashable:
    """Equal for bodies of equal structure, and quick to compare; unequal bodies may share one."""
    return (
        tuple(value.type for value in body.inputs),
        tuple((node.op, node.types) for node in body.nodes),
        len(body.outputs),
    )
