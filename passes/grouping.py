"""Groups of nodes on their way to kernels: who holds which node, what a group must store, and merging two groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Graph
from graphc.ir.op import Node, Value
from passes.acyclic import Dag
from passes.cost import RATE, kernel_seconds
from passes.facts import Facts, FactsOf, Kind, Relation, root
from passes.laws import POINTERS, SIZE, Form, Refusal, ancestors, evaluations, form_of

FIXED = {
    Kind.ALIAS: Refusal("alias", "a reshape has no kernel: it is its operand's memory under another shape"),
    Kind.BUFFER: Refusal("buffer", "a constant array has no kernel"),
    Kind.KERNEL: Refusal("kernel", "the node is a kernel already"),
}
HAZARD = Refusal("hazard", "the kernel would overwrite a state in place that it reads at other elements")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set of nodes is as one kernel."""

    members: tuple[Facts, ...]
    outputs: tuple[Value, ...]
    form: Form
    seconds: float
    nbytes: int


class Groups:
    """The partition of a graph's live nodes. Every group is convex: `dag` orders the groups, with edges for operands and
    for hazards (a state's readers come before its update in place, checks before every update).

    A group *holds* its members: nodes that are at `home` there, and copies of cheap nodes at home elsewhere. Free nodes
    belong to no group unless their bytes are `wanted` by the caller, an alias or a finished kernel.
    """

    def __init__(self, graph: Graph, facts: FactsOf) -> None:
        self.graph = graph
        live = _live(graph)
        found = [facts.by_node[node] for node in graph.nodes if node in live]
        self.wanted = set(graph.results)
        self.wanted |= {r.value for f in found if not f.kind.is_computed for r in f.reads}
        self.nodes = [f for f in found if not f.free or f.node.outputs[0] in self.wanted]
        self.home: dict[Node, int] = {f.node: i for i, f in enumerate(self.nodes)}
        self.held: dict[Node, set[int]] = {f.node: {i} for i, f in enumerate(self.nodes)}
        self.members: dict[int, tuple[Facts, ...]] = {i: (f,) for i, f in enumerate(self.nodes)}
        self.readers: dict[Value, list[Facts]] = {}
        for f in self.nodes:
            for value in dict.fromkeys(read.value for read in f.reads):
                self.readers.setdefault(value, []).append(f)
        self.dag = Dag(len(self.nodes))
        self.updated: dict[Node, list[Value]] = {}
        self.updater: dict[Value, Node] = {}
        self._plans: dict[int, Plan | Refusal] = {}
        self._add_edges()

    def _add_edges(self) -> None:
        for facts in self.nodes:
            for read in facts.reads:
                if read.value.node in self.home:
                    self.dag.add_edge(self.home[read.value.node], self.home[facts.node])
        checks = [self.home[n] for c in self.graph.checks if (n := root(c.value).node) in self.home]
        for state, new in self.graph.updates:
            updater = root(new).node
            self.updated.setdefault(updater, []).append(state)
            self.updater[state] = updater
            for earlier in [*self.readers_of_memory(state), *checks]:
                self.dag.add_edge(earlier, self.home[updater])  # refused where the update cannot be in place anyway

    def readers_of_memory(self, state: Value) -> list[int]:
        """The groups that read a state's array, also under another shape."""
        values = [value for value in self.readers if root(value) == state]
        return [g for v in values for f in self.readers[v] if f.kind is not Kind.ALIAS for g in self.held[f.node]]

    def group_of(self, value: Value) -> int | None:
        return self.home.get(value.node)

    def plan_kind(self, value: Value) -> Kind:
        """The kind of the main node of the group that computes a value."""
        kinds = {f.kind for f in self.members[self.home[value.node]]}
        return next((k for k in kinds if k.is_anchor), Kind.REDUCTION if Kind.REDUCTION in kinds else Kind.MAP)

    def operands(self, group: int) -> set[Value]:
        """The values that a group reads from memory."""
        inside = {f.node for f in self.members[group]}
        return {r.value for f in self.members[group] for r in f.reads if r.value.node not in inside}

    def is_fixed(self, group: int) -> bool:
        """Whether the group never takes part in a merge: its node has no kernel, or it is empty."""
        members = self.members[group]
        return not members or not members[0].kind.is_computed

    def plan(self, group: int) -> Plan:
        """What the group is now."""
        plan = self.current(group)
        assert isinstance(plan, Plan), f"a group became illegal: {plan}"
        return plan

    def current(self, group: int) -> Plan | Refusal:
        """What the group is now, or why it is no kernel (after a change that must be taken back)."""
        if group not in self._plans:
            self._plans[group] = self.plan_of(self.members[group], {group})
        return self._plans[group]

    def plan_of(self, members: Sequence[Facts], groups: set[int]) -> Plan | Refusal:
        """What these nodes would be if they were the members of the groups."""
        outputs = tuple(v for f in members for v in f.node.outputs if self._is_output(v, groups))
        inside = {f.node for f in members}
        operands = {r.value for f in members for r in f.reads if r.value.node not in inside}
        if len(operands) + len(outputs) > POINTERS and len(members) > 1:
            return SIZE
        form = form_of(members, outputs)
        if isinstance(form, Refusal):
            return form
        if self._overwrites_early(members, form):
            return HAZARD
        nbytes = sum(v.type.nbytes for v in outputs) + _bytes_read(members, operands)
        return Plan(tuple(members), outputs, form, _seconds(members, outputs, form, nbytes), nbytes)

    def _is_output(self, value: Value, groups: set[int]) -> bool:
        """Whether a value that these groups hold must be stored by them."""
        if self.home[value.node] not in groups:
            return False
        holders = self.held[value.node] | groups
        return value in self.wanted or any(not self.held[r.node] <= holders for r in self.readers.get(value, ()))

    def _overwrites_early(self, members: Sequence[Facts], form: Form) -> bool:
        """Whether an update made here in place would hit a state that is read here at other elements."""
        states = {state for f in members for state in self.updated.get(f.node, ())}
        if not states or len(members) == 1:
            return False
        early = ancestors(members, {f.node for f in members if f.kind is not Kind.MAP})
        return any(
            f.kind is not Kind.MAP or f.node in early or form is Form.ROW or read.relation is not Relation.SAME
            for f in members
            for read in f.reads
            if root(read.value) in states
        )

    def union(self, a: int, b: int) -> Plan | Refusal:
        """What both groups would be as one kernel, or why they cannot or should not be."""
        for group in (a, b):
            if self.is_fixed(group):
                return FIXED[self.members[group][0].kind]
        plan = self.plan_of(_merged(self.members[a], self.members[b]), {a, b})
        if isinstance(plan, Refusal):
            return plan
        if (between := self.dag.detour(a, b)) is not None:
            name = self.members[between][0].node.names[0]
            return Refusal("cycle", f"%{name} lies between: it needs one and is needed by the other")
        apart = self.plan(a).seconds + self.plan(b).seconds
        if plan.seconds > apart:
            return Refusal("cost", f"apart {apart * 1e6:.1f} us, as one kernel {plan.seconds * 1e6:.1f} us (estimated)")
        return plan

    def refusal(self, a: int, b: int) -> Refusal:
        """Why two groups are not one."""
        plan = self.union(a, b)
        return plan if isinstance(plan, Refusal) else Refusal("order", "other merges came first")

    def merge(self, a: int, b: int) -> int | None:
        """Merges two groups if that is legal and pays; the merged group, or None."""
        plan = self.union(a, b)
        if isinstance(plan, Refusal):
            return None
        if len(self.members[a]) < len(self.members[b]):
            a, b = b, a
        self.dag.merge(a, b)
        for facts in self.members.pop(b):
            if self.home[facts.node] == b:
                self.home[facts.node] = a
            self.held[facts.node] = self.held[facts.node] - {b} | {a}
        self.members[a], self._plans[a] = plan.members, plan
        return a

    def replace_members(self, group: int, members: Iterable[Facts]) -> None:
        """Gives the group other members: copies of nodes at home elsewhere come, unused ones go."""
        new = tuple(sorted(members, key=lambda f: f.position))
        for facts in self.members[group]:
            self.held[facts.node].discard(group)
        for facts in new:
            self.held[facts.node].add(group)
        self.members[group] = new
        self._plans.pop(group, None)
        for value in self.operands(group):
            if value.node in self.home:
                self.dag.add_edge(self.home[value.node], group)
            if root(value) in self.updater:
                self.dag.add_edge(group, self.home[self.updater[root(value)]])

    def drop_unused(self, group: int) -> None:
        """Keeps the members that the group's results need."""
        members = self.members[group]
        needed = {f.node for f in members if any(self._is_output(v, {group}) for v in f.node.outputs)}
        needed |= ancestors(members, needed)
        self.replace_members(group, [f for f in members if f.node in needed])


def _live(graph: Graph) -> set[Node]:
    live = {value.node for value in graph.results}
    for node in reversed(graph.nodes):
        if node in live:
            live.update(value.node for value in node.inputs)
    return live


def _merged(a: Sequence[Facts], b: Sequence[Facts]) -> tuple[Facts, ...]:
    both = {f.position: f for f in (*a, *b)}
    return tuple(both[position] for position in sorted(both))


def _bytes_read(members: Sequence[Facts], operands: set[Value]) -> int:
    """Every operand once, but no more than is asked for."""
    asked = dict.fromkeys(operands, 0)
    for facts in members:
        for read in facts.reads:
            if read.value in asked:
                asked[read.value] = max(asked[read.value], facts.points * read.value.dtype.size)
    return sum(min(value.type.nbytes, nbytes) for value, nbytes in asked.items())


def _seconds(members: Sequence[Facts], outputs: Sequence[Value], form: Form, nbytes: int) -> float:
    """The roofline; work that is repeated comes on top, because it delays the loads it waits for."""
    counts = evaluations(members, outputs, form)
    once = sum(min(counts[f.node], f.points) * f.flops for f in members)
    again = sum(max(counts[f.node] - f.points, 0) * f.flops for f in members)
    return kernel_seconds(nbytes, once) + again / RATE
