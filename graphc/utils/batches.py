"""Batches made while they are asked for, with the chaining methods scripts know from `tf.data`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from graphc import tree


class Batches:
    """Batches (x, or (x, y)) that can be iterated over again and again; what `fit` and `predict` take.

    epoch: starts a new pass. count: the number of elements of a pass, None if it is not known.
    Every method returns a new object and leaves this one as it is.
    """

    class_names: list[str] | None = None
    file_paths: list[str] | None = None

    def __init__(self, epoch: Callable[[], Iterable[Any]], count: int | None = None) -> None:
        self._epoch = epoch
        self._count = count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._epoch())

    def __len__(self) -> int:
        if self._count is None:
            raise TypeError("The number of batches is not known")
        return self._count

    def _counted(self, change: Callable[[int], int]) -> int | None:
        return None if self._count is None else change(self._count)

    def map(self, function: Callable[..., Any], *_: Any, **__: Any) -> Batches:
        """`function(x, y)` (or `function(x)`) of every element."""
        return Batches(lambda: (function(*e) if isinstance(e, tuple) else function(e) for e in self), self._count)

    def take(self, count: int) -> Batches:
        """The first `count` elements."""
        return Batches(lambda: itertools.islice(self, count), self._counted(lambda known: min(known, count)))

    def skip(self, count: int) -> Batches:
        """All but the first `count` elements."""
        return Batches(lambda: itertools.islice(self, count, None), self._counted(lambda known: max(known - count, 0)))

    def shuffle(self, buffer_size: int, seed: int | None = None, *_: Any, **__: Any) -> Batches:
        """In random order: the next element is one of the `buffer_size` that come next."""
        generator = random.Random(seed)
        return Batches(lambda: _mixed(self, buffer_size, generator), self._count)

    def cache(self, *_: Any) -> Batches:
        """Kept in memory after the first whole pass."""
        kept: list[Any] = []

        def epoch() -> Iterator[Any]:
            if kept:
                yield from kept
                return
            seen = []
            for element in self:
                seen.append(element)
                yield element
            kept.extend(seen)

        return Batches(epoch, self._count)

    def prefetch(self, *_: Any) -> Batches:
        """The same: elements are made when they are asked for."""
        return self

    def repeat(self, count: int | None = None) -> Batches:
        """The elements `count` times over, or without end."""
        total = None if count is None else self._counted(lambda known: known * count)
        times = itertools.count() if count is None else range(count)
        return Batches(lambda: itertools.chain.from_iterable(self for _ in times), total)

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Batches:
        """Elements stacked, `batch_size` at a time."""
        short = 0 if drop_remainder else batch_size - 1
        count = self._counted(lambda known: (known + short) // batch_size)
        return Batches(lambda: _stacked(self, batch_size, drop_remainder), count)

    def unbatch(self) -> Batches:
        """The rows of every element."""
        return Batches(lambda: (_row(element, index) for element in self for index in range(_rows(element))))


def _mixed(elements: Iterable[Any], buffer_size: int, generator: random.Random) -> Iterator[Any]:
    buffer: list[Any] = []
    for element in elements:
        buffer.append(element)
        if len(buffer) >= buffer_size:
            yield _drawn(buffer, generator)
    while buffer:
        yield _drawn(buffer, generator)


def _drawn(buffer: list[Any], generator: random.Random) -> Any:
    index = generator.randrange(len(buffer))
    buffer[index], buffer[-1] = buffer[-1], buffer[index]
    return buffer.pop()


def _stacked(elements: Iterable[Any], size: int, drop_remainder: bool) -> Iterator[Any]:
    rest = iter(elements)
    while group := list(itertools.islice(rest, size)):
        if len(group) == size or not drop_remainder:
            yield tree.map_structure(lambda *rows: np.stack(rows), *group)


def _rows(element: Any) -> int:
    return len(tree.flatten(element)[0])


def _row(element: Any, index: int) -> Any:
    return tree.map_structure(lambda array: array[index], element)
