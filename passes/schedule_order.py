"""The order of kernels: as the graph was written, what a kernel needs just before it, so that lifetimes stay short."""

from __future__ import annotations

from passes.facts import Kind
from passes.grouping import Groups
from passes.laws import Form

LAST = 1 << 60  # behind every position of a graph


def kernel_order(groups: Groups) -> list[int]:
    """The groups in order of execution.

    A kernel runs where its anchor or last reduction stood in the graph (a map kernel: its last node), and what it needs
    no later. What feeds checks runs before all else, map kernels that only compute next states run at the end.
    """
    order = sorted(groups.members, key=groups.dag.place.__getitem__)
    wish = {group: _wish(groups, group) for group in order}
    for group in reversed(order):
        wish[group] = min([wish[group], *(wish[later] for later in groups.dag.after[group])])
    return sorted(order, key=lambda group: (wish[group], groups.dag.place[group]))


def _wish(groups: Groups, group: int) -> int:
    """The place that suits a group for itself."""
    members = groups.members[group]
    main = [f.position for f in members if f.kind is not Kind.MAP] or [f.position for f in members]
    position = max(main, default=0)
    if any(value in groups.checks for f in members for value in f.outputs):
        return position - LAST
    return position + LAST if _only_updates(groups, group) else position


def _only_updates(groups: Groups, group: int) -> bool:
    """A map kernel whose results are next states."""
    if groups.is_fixed(group):
        return False
    plan = groups.plan(group)
    return plan.form is Form.MAP and all(value.node in groups.updated for value in plan.outputs)
