"""Counts the changes of arrays that executables borrow: weights and states.

What an executable has computed from weights alone it keeps until the count has moved. Whoever writes into a borrowed
array notes it; a run that updates weights or states does so by itself.
"""

from __future__ import annotations

import threading


class Changes:
    """A number that grows by one with every change, whichever thread makes it."""

    __slots__ = ("_lock", "count")

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def note(self) -> None:
        with self._lock:
            self.count += 1


CHANGES = Changes()
