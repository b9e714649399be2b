"""Joining and cutting along the batch axis, whose length is known only when the graph runs.

A joined axis keeps the rows of one sample together: of a and b it holds a0, b0, a1, b1, ... Tensors joined alike
therefore belong together row by row, and cutting gives back what was joined; no op sees the order otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.ir.types import Rows
from graphc.ops.dispatch import builder
from graphc.primitives import functions as fn
from graphc.tensor import Tensor


def counts_rows(x: Tensor, axis: int) -> bool:
    """Whether this axis counts rows of the batch."""
    return isinstance(x.shape[axis], Rows)


def join_rows(parts: Sequence[Tensor]) -> Tensor:
    """Tensors joined along their first axes, which count rows of one batch."""
    grouped = [fn.reshape(builder(), part.value, _grouped(part)) for part in parts]
    joined = fn.concat(builder(), grouped, 1)
    return _flattened(joined)


def split_rows(x: Tensor, sections: int) -> list[Tensor]:
    """The parts of equal size that were joined along the first axis. ValueError if that many were not."""
    per = _grouped(x)[1]
    if per % sections:
        raise ValueError(
            f"split: the first axis of {x!r} has {per} rows for each row of the batch, which cannot be divided into "
            f"{sections} equal parts"
        )
    return [_part(x, at, per // sections) for at in range(0, per, per // sections)]


def slice_rows(x: Tensor, key: Any) -> Tensor | None:
    """x[start:stop] along the first axis for bounds that count rows themselves, as `ops.shape(a)[0]`; else None."""
    bounds = [bound for bound in (key.start, key.stop) if bound]
    if key.step not in (None, 1) or not bounds or not all(isinstance(bound, Rows) for bound in bounds):
        return None
    per = _grouped(x)[1]
    start = key.start.per if key.start else 0
    stop = key.stop.per if key.stop else per
    return _part(x, start, min(stop, per) - start) if start < min(stop, per) else None


def _grouped(x: Tensor) -> tuple[int, ...]:
    """The shape with the rows of each sample on an axis of their own."""
    count = x.shape[0]
    assert isinstance(count, Rows)
    return (Rows(count.batch), count.per, *x.shape[1:])


def _flattened(value: Any) -> Tensor:
    rows, per, *rest = value.shape
    return Tensor(fn.reshape(builder(), value, (rows * per, *rest)))


def _part(x: Tensor, start: int, size: int) -> Tensor:
    grouped = fn.reshape(builder(), x.value, _grouped(x))
    return _flattened(fn.slice_axis(builder(), grouped, 1, start, size))
