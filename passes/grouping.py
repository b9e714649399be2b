"""Groups of nodes on their way to kernels: who holds which node, what a group must store, and merging two groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Graph
from graphc.ir.op import Node, Value
from passes.acyclic import Dag
from passes.cost import RATE, kernel_seconds
from passes.facts import Facts, FactsOf, Kind, root
from passes.inplace import read_elsewhere
from passes.laws import POINTERS, SIZE, Form, Refusal, ancestors, clash, evaluations, form_of

FIXED = {
    Kind.ALIAS: Refusal("alias", "a reshape has no kernel: it is its operand's memory under another shape"),
    Kind.BUFFER: Refusal("buffer", "a constant array has no kernel"),
    Kind.KERNEL: Refusal("kernel", "the node is a kernel already, or a loop"),
}
HAZARD = Refusal("hazard", "the kernel would overwrite a state in place that it reads at other elements")
CHECKED = Refusal("checks", "no state may change before a check is looked at, and both would be in one kernel")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set of nodes is as one kernel; `main` is its anchor or first reduction."""

    members: tuple[Facts, ...]
    outputs: tuple[Value, ...]
    form: Form
    seconds: float
    nbytes: int
    main: Facts | None


class Groups:
    """The partition of a graph's live nodes. Every group is convex: `dag` orders the groups, with edges for operands
    and for hazards (a state's readers come before its update in place, checks before every update).

    A group *holds* its members: nodes that are at `home` there, and copies of cheap nodes at home elsewhere. Free nodes
    belong to no group unless their bytes are `wanted` by the caller, an alias or a finished kernel.
    """

    def __init__(self, graph: Graph, facts: FactsOf) -> None:
        self.graph = graph
        live = _live(graph)
        found = [facts.by_node[node] for node in graph.nodes if node in live]
        self.checks = {check.value for check in graph.checks}
        self.wanted = set(graph.results)
        self.wanted |= {r.value for f in found if not f.kind.is_computed for r in f.reads}
        self.nodes = [f for f in found if not f.free or f.outputs[0] in self.wanted]
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
        self._refused: dict[tuple[int, int], tuple[tuple[tuple[Facts, ...], tuple[Facts, ...]], Refusal]] = {}
        self._add_edges()

    def _add_edges(self) -> None:
        for facts in self.nodes:
            for read in facts.reads:
                if read.value.node in self.home:
                    self.dag.add_edge(self.home[read.value.node], self.home[facts.node])
        checks = [self.home[value.node] for value in self.checks]
        memory_readers: dict[Value, list[int]] = {}
        for value, readers in self.readers.items():
            memory_readers.setdefault(root(value), []).extend(self.home[f.node] for f in readers if f.kind.is_computed)
        for state, new in self.graph.updates:
            updater = root(new).node
            self.updated.setdefault(updater, []).append(state)
            self.updater[state] = updater
            for earlier in (*memory_readers.get(state, ()), *checks):
                self.dag.add_edge(earlier, self.home[updater])  # refused where the update cannot be in place anyway

    def group_of(self, value: Value) -> int | None:
        return self.home.get(value.node)

    def preference(self, node: Node) -> tuple[int, int]:
        """Sorts the groups a node may join by the node they come from: anchors first, the last one of several."""
        group = self.home[node]
        kinds = [f.kind for f in self.members[group]]
        rank = 0 if any(k.is_anchor for k in kinds) else 1 if Kind.REDUCTION in kinds else 2
        return rank, -self.dag.place[group]

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

    def plan_of(self, members: tuple[Facts, ...], groups: set[int]) -> Plan | Refusal:
        """What these nodes would be if they were the members of the groups."""
        inside = {f.node for f in members}
        outputs = tuple(v for f in members for v in f.outputs if self._is_output(v, groups))
        asked = _elements_asked(members, inside)
        if len(asked) + len(outputs) > POINTERS and len(members) > 1:
            return SIZE
        form = form_of(members, outputs)
        if isinstance(form, Refusal):
            return form
        if (
            len(members) > 1
            and not inside.isdisjoint(self.updated)
            and (problem := self._hazard(members, outputs, form))
        ):
            return problem
        nbytes = sum(min(v.type.size, points) * v.dtype.size for v, points in asked.items())
        nbytes += sum(v.type.nbytes for v in outputs)
        main = next((f for f in members if f.kind is not Kind.MAP), None)
        return Plan(members, outputs, form, _seconds(members, outputs, form, nbytes), nbytes, main)

    def _is_output(self, value: Value, groups: set[int]) -> bool:
        """Whether a value that these groups hold must be stored by them."""
        if self.home[value.node] not in groups:
            return False
        if value in self.wanted:
            return True
        holders = self.held[value.node] | groups
        return any(not self.held[r.node] <= holders for r in self.readers.get(value, ()))

    def _hazard(self, members: Sequence[Facts], outputs: Sequence[Value], form: Form) -> Refusal | None:
        """Why the updates among the members could not be made in place."""
        if not self.checks.isdisjoint(value for f in members for value in f.outputs):
            return CHECKED
        states = {state for f in members for state in self.updated.get(f.node, ())}
        elsewhere = {root(value) for value in read_elsewhere(members, outputs, form)}
        return None if states.isdisjoint(elsewhere) else HAZARD

    def union(self, a: int, b: int) -> Plan | Refusal:
        """What both groups would be as one kernel, or why they cannot or should not be."""
        of = self.members[a], self.members[b]
        known, refusal = self._refused.get((a, b), (None, None))
        if refusal is not None and known == of:
            return refusal
        plan = self._union(a, b)
        if isinstance(plan, Refusal):
            self._refused[a, b] = of, plan
        return plan

    def _union(self, a: int, b: int) -> Plan | Refusal:
        for group in (a, b):
            if self.is_fixed(group):
                return FIXED[self.members[group][0].kind]
        mine, other = self.plan(a), self.plan(b)
        plan = clash(mine.main, other.main) or self.plan_of(_merged(mine.members, other.members), {a, b})
        if isinstance(plan, Refusal):
            return plan
        if (between := self.dag.detour(a, b)) is not None:
            return Refusal("cycle", f"{self._name(between)} lies between: it needs one and is needed by the other")
        apart = mine.seconds + other.seconds
        if plan.seconds > apart:
            return Refusal("cost", f"apart {apart * 1e6:.1f} us, as one kernel {plan.seconds * 1e6:.1f} us (estimated)")
        return plan

    def _name(self, group: int) -> str:
        stored = () if self.is_fixed(group) else self.plan(group).outputs
        return f"%{(*stored, *self.members[group][0].outputs)[0].name}"

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
        self._refused.clear()  # other groups may have to store less now
        for value in self.operands(group):
            if value.node in self.home:
                self.dag.add_edge(self.home[value.node], group)
            if root(value) in self.updater:
                self.dag.add_edge(group, self.home[self.updater[root(value)]])

    def drop_unused(self, group: int) -> None:
        """Keeps the members that the group's results need."""
        members = self.members[group]
        needed = {f.node for f in members if any(self._is_output(v, {group}) for v in f.outputs)}
        needed |= ancestors(members, needed)
        self.replace_members(group, [f for f in members if f.node in needed])

    def settle(self, copied: Iterable[Facts], home: int) -> None:
        """Gives copied nodes that left their home another one, and forgets the old one if it is empty."""
        for facts in copied:
            if home not in self.held[facts.node]:
                self.home[facts.node] = min(self.held[facts.node])
        if not self.members[home]:
            self.dag.detach(home)


def _live(graph: Graph) -> set[Node]:
    live = {value.node for value in graph.results}
    for node in reversed(graph.nodes):
        if node in live:
            live.update(value.node for value in node.inputs)
    return live


def _merged(a: Sequence[Facts], b: Sequence[Facts]) -> tuple[Facts, ...]:
    both = {f.position: f for f in (*a, *b)}
    return tuple(both[position] for position in sorted(both))


def _elements_asked(members: Sequence[Facts], inside: set[Node]) -> dict[Value, int]:
    """The operands of a kernel, and of each the most elements that one member asks for."""
    asked: dict[Value, int] = {}
    for facts in members:
        for read in facts.reads:
            if read.value.node not in inside and asked.get(read.value, 0) <= facts.points:
                asked[read.value] = facts.points
    return asked


def _seconds(members: Sequence[Facts], outputs: Sequence[Value], form: Form, nbytes: int) -> float:
    """The roofline; work that is repeated comes on top, because it delays the loads it waits for."""
    counts = evaluations(members, outputs, form)
    once = sum(min(counts[f.node], f.points) * f.flops for f in members)
    again = sum(max(counts[f.node] - f.points, 0) * f.flops for f in members)
    return kernel_seconds(nbytes, once) + again / RATE
