"""Offsets: packs buffers with lifetimes into one arena, biggest first, each into the tightest gap free long enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.ir.plan import ALIGNMENT

MANY = 1000  # buffers from which one order must do


def aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def alive_at_once(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> int:
    """The most bytes alive at one time: no offsets can need less."""
    change = np.zeros(max(lasts, default=0) + 2, np.int64)
    np.add.at(change, firsts, list(map(aligned, sizes)))
    np.subtract.at(change, np.asarray(lasts, np.int64) + 1, list(map(aligned, sizes)))
    return int(np.cumsum(change).max())


def pack(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> tuple[list[int], int]:
    """Offsets (multiples of ALIGNMENT) and the bytes of the arena.

    Buffers whose lifetimes (both ends included) meet never overlap. Greedy by size, best fit, which on networks mostly
    reaches the bound set by what is alive at once; where it does not, greedy by size times lifetime and by lifetime are
    tried too. What is placed is kept sorted by offset in one array, so that a search is a few vector operations and
    thousands of buffers take milliseconds.
    """
    bound = alive_at_once(sizes, firsts, lasts)
    orders: tuple[Callable[[int], object], ...] = (
        lambda i: (-sizes[i], firsts[i], i),
        lambda i: (-sizes[i] * (lasts[i] - firsts[i] + 1), firsts[i], i),
        lambda i: (firsts[i] - lasts[i], -sizes[i], i),
    )
    best: tuple[list[int], int] = [], -1
    for order in orders if len(sizes) <= MANY else orders[:1]:
        offsets, total = _greedy(sizes, firsts, lasts, sorted(range(len(sizes)), key=order))  # type: ignore[arg-type]
        if best[1] < 0 or total < best[1]:
            best = offsets, total
        if total == bound:
            break
    return best


def _greedy(
    sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int], order: Sequence[int]
) -> tuple[list[int], int]:
    offsets = [0] * len(sizes)
    placed = _Placed(len(sizes))
    for i in order:
        offsets[i] = placed.put(aligned(sizes[i]), firsts[i], lasts[i])
    return offsets, placed.top


class _Placed:
    """The placed buffers by offset: rows of start, end, first, last."""

    def __init__(self, capacity: int) -> None:
        self.table = np.zeros((4, capacity + 1), np.int64)
        self.count = 0
        self.top = 0

    def put(self, size: int, first: int, last: int) -> int:
        """Places a buffer and returns its offset."""
        start = self._gap(size, first, last) if size else 0
        if size:
            self._insert(start, start + size, first, last)
            self.top = max(self.top, start + size)
        return start

    def _gap(self, size: int, first: int, last: int) -> int:
        """The start of the smallest gap of at least `size` between the buffers alive at the same time."""
        start, end, begins, ends = self.table[:, : self.count]
        alive = np.flatnonzero((begins <= last) & (ends >= first))
        if not alive.size:
            return 0
        reached = np.maximum.accumulate(end[alive])
        floor = np.concatenate(([0], reached[:-1]))
        room = start[alive] - floor
        fits = np.flatnonzero(room >= size)
        return int(floor[fits[np.argmin(room[fits])]] if fits.size else reached[-1])

    def _insert(self, start: int, end: int, first: int, last: int) -> None:
        at, count = int(np.searchsorted(self.table[0, : self.count], start)), self.count
        self.table[:, at + 1 : count + 1] = self.table[:, at:count].copy()
        self.table[:, at] = start, end, first, last
        self.count = count + 1
