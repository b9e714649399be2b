"""The loop around executables: where batches come from, epoch by epoch, and who hears about them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from graphc.callbacks import ProgbarLogger
from graphc.models.data import Source

# The progress line redraws at most this often.
REDRAW_SECONDS = 0.05


class Feed:
    """Epochs of a source, each of at most `limit` steps; with a limit, an epoch goes on where the last one stopped."""

    def __init__(self, source: Source, limit: int | None) -> None:
        self.source = source
        self.limit = limit
        self.steps = limit if limit is not None else source.num_batches
        self._open: Iterator[Any] | None = None

    def epoch(self) -> Iterator[tuple[list[Any], int]]:
        if self.limit is None:
            self.source.on_epoch_begin()
            yield from self.source.epoch()
            self.source.on_epoch_end()
            return
        for _ in range(self.limit):
            batch = self._next()
            if batch is None:
                warnings.warn(
                    "Your input ran out of data; interrupting training. Make sure that your dataset or generator can "
                    "generate at least `steps_per_epoch * epochs` batches. You may need to use the `.repeat()` "
                    "function when "
                    "building your dataset.",
                    stacklevel=3,
                )
                return
            yield batch

    def _next(self) -> Any:
        """The next batch; arrays and data sets begin again when they end."""
        for _ in range(2):
            if self._open is None:
                self._open = self.source.epoch()
            batch = next(self._open, None)
            if batch is not None:
                return batch
            self._open = None
        return None


class Report:
    """Tells callbacks about finished batches, computing logs only when somebody looks."""

    def __init__(self, progress: Any, phase: str, logs: Callable[[], dict[str, Any]]) -> None:
        self.hook = getattr(progress, f"on_{phase}_batch_end")
        self.listeners = progress.listeners(f"on_{phase}_batch_end")
        self.logs = logs
        # the progress line alone needs no more than its redraws
        self.is_lazy = all(isinstance(listener, ProgbarLogger) for listener in self.listeners)
        self._due = 0.0

    def batch_end(self, index: int) -> None:
        if not self.listeners:
            return
        if self.is_lazy:
            now = time.monotonic()
            if now < self._due:
                return
            self._due = now + REDRAW_SECONDS
        self.hook(index, self.logs())
