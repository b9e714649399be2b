"""A directed acyclic graph whose nodes can be merged, with a topological order kept up to date.

Merging two nodes is allowed when no path leads from one to the other through a third: the groups stay convex. The test
searches only between the two in the order (Pearce and Kelly, A dynamic topological sort algorithm, 2006), so a sweep of
local merges over thousands of nodes is near-linear, where reachability sets would have to be updated on every merge.
"""

from __future__ import annotations

from collections.abc import Sequence


class Dag:
    """Nodes 0 .. count-1, in topological order at the start."""

    def __init__(self, count: int) -> None:
        self.after: list[set[int]] = [set() for _ in range(count)]
        self.before: list[set[int]] = [set() for _ in range(count)]
        self.place = list(range(count))

    def add_edge(self, a: int, b: int) -> bool:
        """a before b. False, and no edge, if b already comes before a by a path."""
        if a == b or b in self.after[a]:
            return True
        if self.place[a] > self.place[b]:
            later = self._reach(b, self.after, self.place[a], 1)
            if a in later:
                return False
            earlier = self._reach(a, self.before, self.place[b], -1)
            self._reorder([*self._sorted(earlier), a], [b, *self._sorted(later)])
        self.after[a].add(b)
        self.before[b].add(a)
        return True

    def detour(self, a: int, b: int) -> int | None:
        """A node on a path from a to b or b to a that is neither; None if they may be merged."""
        first, last = self._in_order(a, b)
        return next(iter(self._between(first, last) & self.before[last]), None)

    def reaches(self, a: int, b: int) -> bool:
        """Whether a path leads from a to b (a node reaches itself)."""
        return a == b or b in self._reach(a, self.after, self.place[b], 1)

    def merge(self, a: int, b: int) -> None:
        """b becomes part of a. They must have no detour."""
        first, last = self._in_order(a, b)
        later = self._between(first, last)
        earlier = self._reach(last, self.before, self.place[first], -1, skip=first)
        self._reorder([*self._sorted(earlier), first], [last, *self._sorted(later)])
        for neighbours, back in ((self.after, self.before), (self.before, self.after)):
            neighbours[a] |= neighbours[b]
            neighbours[a] -= {a, b}
            for other in neighbours[b]:
                back[other].discard(b)
                if other != a:
                    back[other].add(a)
            neighbours[b] = set()

    def detach(self, node: int) -> None:
        """Removes all edges of a node that is no longer needed."""
        for other in self.after[node]:
            self.before[other].discard(node)
        for other in self.before[node]:
            self.after[other].discard(node)
        self.after[node], self.before[node] = set(), set()

    def _in_order(self, a: int, b: int) -> tuple[int, int]:
        return (a, b) if self.place[a] < self.place[b] else (b, a)

    def _between(self, first: int, last: int) -> set[int]:
        """What first reaches before the place of last."""
        return self._reach(first, self.after, self.place[last], 1, skip=last)

    def _reach(self, start: int, edges: list[set[int]], limit: int, sign: int, skip: int = -1) -> set[int]:
        """The nodes reached from start along edges whose place is not beyond the limit, without start and skip."""
        found: set[int] = set()
        stack = [start]
        while stack:
            for node in edges[stack.pop()]:
                if node not in found and node != skip and sign * (limit - self.place[node]) >= 0:
                    found.add(node)
                    stack.append(node)
        return found

    def _sorted(self, nodes: set[int]) -> list[int]:
        return sorted(nodes, key=self.place.__getitem__)

    def _reorder(self, earlier: Sequence[int], later: Sequence[int]) -> None:
        """Gives the places of these nodes to `earlier`, then `later`."""
        nodes = [*earlier, *later]
        for node, place in zip(nodes, sorted(self.place[n] for n in nodes), strict=True):
            self.place[node] = place
