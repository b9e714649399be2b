"""The order of kernels: operands first, then as the graph was written, so that lifetimes stay short."""

from __future__ import annotations

import heapq

from passes.grouping import Groups
from passes.laws import Form

LAST = 1 << 60  # behind every position of a graph


def kernel_order(groups: Groups) -> list[int]:
    """The groups in order of execution.

    Among groups whose operands are ready the one that stood first in the graph runs first; an anchor or reduction with
    an epilogue counts where its main node stood, so that its operands die early. What feeds checks runs before all else
    that may wait, kernels that only compute next states run at the end.
    """
    first, last = _checked(groups), _updating(groups)
    key = {g: _position(groups, g) + (LAST if g in last else 0) - (LAST if g in first else 0) for g in groups.members}
    waiting = {group: len(groups.dag.before[group]) for group in groups.members}
    ready = [(key[group], group) for group, count in waiting.items() if not count]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, group = heapq.heappop(ready)
        order.append(group)
        for later in groups.dag.after[group]:
            waiting[later] -= 1
            if not waiting[later]:
                heapq.heappush(ready, (key[later], later))
    assert len(order) == len(groups.members), "the groups form a cycle"
    return order


def _position(groups: Groups, group: int) -> int:
    members = groups.members[group]
    main = [f for f in members if f.kind.is_anchor] or [members[-1]] if members else []
    return max((f.position for f in main), default=0)


def _checked(groups: Groups) -> set[int]:
    """The groups that checks need."""
    found: set[int] = set()
    pending = [g for c in groups.graph.checks if (g := groups.group_of(c.value)) is not None]
    while pending:
        group = pending.pop()
        if group not in found:
            found.add(group)
            pending += groups.dag.before[group]
    return found


def _updating(groups: Groups) -> set[int]:
    """The map kernels whose results are next states and nothing else."""
    states = {new for _, new in groups.graph.updates}
    return {
        group
        for group in groups.members
        if not groups.is_fixed(group)
        and groups.plan(group).form is Form.MAP
        and all(v in states and not groups.readers.get(v) for v in groups.plan(group).outputs)
    }
