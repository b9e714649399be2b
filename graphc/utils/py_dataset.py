"""`PyDataset`: batches computed by the user's own class."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future


class PyDataset:
    """Base class of data sets whose `__getitem__(index)` returns a whole batch and `__len__` the number of batches.

    workers: more than 1 computes batches ahead on so many threads, at most max_queue_size of them.
    use_multiprocessing: accepted; the workers are threads all the same.
    `on_epoch_begin` and `on_epoch_end` may be overridden to change the data between epochs.
    """

    # Class attributes too, so that a subclass whose constructor does not call this one still has them.
    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """The batch at `index`: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must implement `__getitem__(index)`, which returns a batch")

    def __iter__(self) -> Iterator[Any]:
        try:
            batches = self.num_batches
        except NotImplementedError:
            batches = None
        for index in itertools.count() if batches is None else range(batches):
            yield self[index]

    @property
    def num_batches(self) -> int | None:
        """Number of batches of an epoch: `len(self)` unless overridden; None means endless."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            "You need to implement the `num_batches` property:\n\n@property\ndef num_batches(self):\n  return ..."
        )

    def on_epoch_begin(self) -> None:
        """Called before every epoch."""

    def on_epoch_end(self) -> None:
        """Called after every epoch."""


def ordered_batches(data: PyDataset, shuffle: bool) -> Iterator[Any]:
    """The batches of an epoch in order, or in random order if there is an end; computed ahead by the workers."""
    count = data.num_batches
    order: Iterable[int] = itertools.count() if count is None else range(count)
    if shuffle and count is not None:
        order = list(order)
        random.shuffle(order)
    if data.workers <= 1:
        yield from map(data.__getitem__, order)
        return
    from concurrent.futures import ThreadPoolExecutor  # most data sets have no workers

    with ThreadPoolExecutor(data.workers) as pool:
        indices, running = iter(order), deque["Future[Any]"]()
        for index in itertools.islice(indices, max(data.max_queue_size, 1)):
            running.append(pool.submit(data.__getitem__, index))
        try:
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(data.__getitem__, index) for index in itertools.islice(indices, 1))
        finally:
            for future in running:
                future.cancel()


Sequence = PyDataset
