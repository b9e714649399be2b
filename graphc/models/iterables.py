"""Batches from generators, iterables (a `DataLoader` of PyTorch, a `tf.data.Dataset`, ...) and `PyDataset`s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import GeneratorType
from typing import Any

from graphc.models.arrays import Array, Signature, check_lengths, prepared, present, with_class_weights
from graphc.utils.packing import outline
from graphc.utils.py_dataset import PyDataset, ordered_batches


class IterableSource:
    """Batches from a generator, an iterable or a `PyDataset`, each x, (x, y) or (x, y, sample_weight)."""

    shuffle: Any = False

    def __init__(self, data: Any, shuffle: Any = False, class_weight: Mapping[int, float] | None = None) -> None:
        self.data = data
        self.class_weight = class_weight
        self.reorder = bool(shuffle)
        self.num_batches = _length(data)
        self._ahead: list[Any] = []
        self._iterator: Iterator[Any] | None = None
        x, y, weights = self._peek()
        self.x, self.y, self.sample_weight = x, y, weights
        # of the batch given last: the sizes of other axes than the batch may change
        self.signature = Signature.of(x, y, weights)
        self.batch_size = len(present(x)[0])

    def _peek(self) -> tuple[Any, Any, Any]:
        if isinstance(self.data, PyDataset):
            first = self.data[0]
        else:
            self._iterator = iter(self.data)
            first = next(self._iterator, None)
            if first is None:
                raise ValueError("The data has no samples: the generator ended before its first batch")
            self._ahead.append(first)
        return self._unpacked(first)

    def _unpacked(self, batch: Any) -> tuple[Any, Any, Any]:
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if len(parts) > 3:
            raise ValueError(
                "Data is expected to be in format `x`, `(x,)`, `(x, y)`, or `(x, y, sample_weight)`, found: "
                f"{outline(batch)}"
            )
        x, y, weights = (*parts, None, None)[:3]
        y = prepared(y, "y")
        return prepared(x, "x"), y, with_class_weights(y, prepared(weights, "sample_weight"), self.class_weight)

    @property
    def first(self) -> list[Array]:
        return present((self.x, self.y, self.sample_weight))

    def epoch(self) -> Iterator[tuple[list[Array], int]]:
        for batch in self._batches():
            unpacked = self._unpacked(batch)
            found = Signature.of(*unpacked)
            if found.kinds != self.signature.kinds:
                raise ValueError(f"A batch differs from the first one: wanted {self.signature.key}, got {found.key}")
            if found != self.signature:
                self.signature = found
            rows = check_lengths(dict(zip(("x", "y", "sample_weight"), unpacked, strict=True)))
            yield present(unpacked), rows

    def _batches(self) -> Iterable[Any]:
        if isinstance(self.data, PyDataset):
            return ordered_batches(self.data, self.reorder)
        if self._iterator is None:
            self._iterator = iter(self.data)
        ahead, self._ahead = self._ahead, []
        current, self._iterator = self._iterator, None
        # a generator is its own iterator: the next epoch goes on where this one stopped
        if iter(self.data) is self.data:
            self._iterator = current
        # a `yield from` would close the user's generator where an epoch ends before it
        return chain(ahead, current or ())

    def on_epoch_begin(self) -> None:
        if hasattr(self.data, "on_epoch_begin"):
            self.data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        if hasattr(self.data, "on_epoch_end"):
            self.data.on_epoch_end()


def _length(data: Any) -> int | None:
    """The number of batches, None where the data does not know."""
    if isinstance(data, PyDataset):
        return data.num_batches
    try:
        return len(data)
    except TypeError:
        return None


def kind_of(data: Any) -> str:
    """What error messages call this data."""
    if isinstance(data, PyDataset):
        return "PyDataset"
    if isinstance(data, GeneratorType):
        return "generator"
    names = [(base.__module__, base.__name__) for base in type(data).__mro__]
    if any(module.startswith("torch.utils.data") for module, _ in names):
        return "torch DataLoader"
    if any(module.startswith("tensorflow.python") for module, _ in names):
        return "tf.data.Dataset"
    return type(data).__name__
