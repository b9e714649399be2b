"""Fusion: groups nodes into kernels, so that what one computes and the next reads stays in registers.

Every computed node ends in a `Fused` node; beside them only reshapes (no kernel) and constant arrays remain. The laws
of a body are in `laws.py`, the roofline that decides in `cost.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.composite import body_labels
from graphc.ir.graph import Graph
from graphc.ir.op import Source, Value
from graphc.ir.remarks import remark
from passes.bodies import emit
from passes.facts import Facts, FactsOf, Kind, root
from passes.grouping import Groups, Plan
from passes.laws import Form, Refusal, is_cheap
from passes.loops import change_bodies, with_own_results
from passes.results import own_results

SMALL = 16384  # bytes up to which a kernel costs mostly its launch
SHARED = 0.25  # part of a kernel's traffic that a sibling must read too to be worth joining
HOSTS = 8  # siblings a group is compared with


def fuse(graph: Graph) -> Graph:
    """The graph with every computed node in a kernel: a `Fused` node whose body keeps the laws.

    Results become values of their own (an output that is an input, another output or a state is copied). Leaves a
    remark for every kernel, and for every operand that stays in memory between two kernels with the reason. Nodes that
    no result needs are left out. The same graph when nothing is left to fuse.
    """
    return _fuse(graph, set(body_labels(graph).values()))


def _fuse(graph: Graph, labels: set[str]) -> Graph:
    graph = change_bodies(graph, lambda op: with_own_results(op, lambda body: _fuse(body, labels)))
    owned = own_results(graph)
    facts = FactsOf(owned)
    if not any(f.kind.is_computed for f in facts.by_node.values()):
        return graph
    groups = Groups(owned, facts)
    join_producers(groups)
    recompute_cheap(groups)
    join_siblings(groups)
    join_producers(groups)
    _leave_remarks(groups)
    return emit(groups, facts, labels)


def join_producers(groups: Groups) -> None:
    """Merges the groups of nodes with those of their operands, where that pays, until nothing changes."""
    computed = [facts for facts in groups.nodes if facts.kind.is_computed]
    while sum(_join_producers(groups, facts) for facts in computed):
        pass


def _join_producers(groups: Groups, facts: Facts) -> int:
    """Merges one node with its operands, counting: anchors first (the last of several), then reductions, then maps."""
    producers = dict.fromkeys(r.value.node for r in facts.reads if groups.group_of(r.value) is not None)
    merged = 0
    for node in sorted(producers, key=groups.preference) if len(producers) > 1 else producers:
        mine, other = groups.home[facts.node], groups.home[node]
        if mine not in groups.held[node] and facts in groups.members[mine]:
            merged += groups.merge(other, mine) is not None
    return merged


def recompute_cheap(groups: Groups) -> None:
    """Lets every reader compute a cheap map itself where that moves fewer bytes than storing it once.

    From the last node to the first, so that a chain of cheap maps is taken back step by step to what is stored anyway.
    """
    for facts in reversed(groups.nodes):
        if facts.kind is Kind.MAP and not facts.free and facts.outputs[0] not in groups.wanted:
            _recompute(groups, facts)


def _recompute(groups: Groups, facts: Facts) -> None:
    home, value = groups.home[facts.node], facts.outputs[0]
    if value not in groups.plan(home).outputs:
        return
    chain = _chain(groups, facts)
    readers = {g for r in groups.readers[value] for g in groups.held[r.node]} - groups.held[facts.node]
    if not is_cheap(chain) or not all(_may_hold(groups, group, chain) for group in readers):
        return
    before = sum(groups.plan(g).seconds for g in {home, *readers})
    undo = {g: groups.members[g] for g in {home, *readers}}
    for group in readers:
        groups.replace_members(group, {*groups.members[group], *chain})
    groups.drop_unused(home)
    plans = [groups.current(g) for g in undo if groups.members[g]]
    if any(isinstance(p, Refusal) for p in plans) or sum(p.seconds for p in plans if isinstance(p, Plan)) >= before:
        for group, members in undo.items():
            groups.replace_members(group, members)
    else:
        groups.settle(chain, home)


def _chain(groups: Groups, facts: Facts) -> list[Facts]:
    """The node and what it needs inside its group that is not stored by it."""
    home = groups.home[facts.node]
    stored = set(groups.plan(home).outputs)
    inside = {f.node: f for f in groups.members[home]}
    chain, pending = [], [facts]
    while pending:
        chain.append(pending.pop())
        for value in dict.fromkeys(read.value for read in chain[-1].reads):
            if value.node in inside and value not in stored and inside[value.node] not in (*chain, *pending):
                pending.append(inside[value.node])
    return chain


def _may_hold(groups: Groups, group: int, chain: Sequence[Facts]) -> bool:
    """Whether a group may compute these nodes too: it is a kernel, and no state they read is updated before it."""
    if groups.is_fixed(group):
        return False
    read = {root(r.value) for f in chain for r in f.reads}
    updaters = {groups.home[groups.updater[state]] for state in read if state in groups.updater}
    return not any(groups.dag.reaches(updater, group) for updater in updaters)


def join_siblings(groups: Groups) -> None:
    """Merges kernels of one form and space that read the same array, and small ones to save their launch."""
    by_space: dict[object, list[int]] = {}
    for group in sorted(groups.members, key=lambda g: groups.dag.place[g]):
        if not groups.is_fixed(group) and (space := _space(groups, group)) is not None:
            hosts = by_space.setdefault(space, [])
            if not any(_join(groups, host, group, hosts) for host in hosts[-HOSTS:]):
                hosts.append(group)


def _space(groups: Groups, group: int) -> object | None:
    """What siblings have in common; None for groups without siblings."""
    plan = groups.plan(group)
    if plan.form in (Form.ANCHOR, Form.POOLED):
        return None
    if plan.form is Form.MAP:
        return plan.form, plan.outputs[0].shape
    first = next(f for f in plan.members if f.kind is Kind.REDUCTION)
    return first.full, first.reduced


def _join(groups: Groups, host: int, group: int, hosts: list[int]) -> bool:
    """Merges two siblings if they share enough; the merged group takes the host's place in the list."""
    a, b = groups.plan(host), groups.plan(group)
    shared = groups.operands(host) & groups.operands(group)
    if max(a.nbytes, b.nbytes) > SMALL and sum(v.type.nbytes for v in shared) < SHARED * min(a.nbytes, b.nbytes):
        return False
    merged = groups.merge(host, group)
    if merged is None:
        return False
    hosts[hosts.index(host)] = merged
    return True


def _leave_remarks(groups: Groups) -> None:
    for group, members in groups.members.items():
        if not groups.is_fixed(group):
            plan = groups.plan(group)
            names = ", ".join(f"%{f.node.names[0]}" for f in members[:-1])
            what = f"fused with {names}" if names else "a kernel of its own"
            remark("fuse", members[-1].node, f"{what}: {plan.form.value} kernel, {plan.nbytes} bytes read and written")
    reasons: dict[tuple[int, int], Refusal] = {}
    for facts in groups.nodes:
        for value in dict.fromkeys(read.value for read in facts.reads):
            _remark_unfused(groups, value, facts, reasons)


def _remark_unfused(groups: Groups, value: Value, reader: Facts, reasons: dict[tuple[int, int], Refusal]) -> None:
    """Why a computed operand comes from another kernel, if it does."""
    producer = groups.group_of(value)
    if producer is None or isinstance(value.op, Source):
        return
    for group in sorted(groups.held[reader.node] - groups.held[value.node]):
        if (producer, group) not in reasons:
            reasons[producer, group] = groups.refusal(producer, group)
        why = reasons[producer, group]
        remark("fuse", reader.node, f"not fused with %{value.name}: {why.reason} [{why.code}]")
