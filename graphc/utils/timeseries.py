"""Windows of a time series as batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.utils.batches import Batches


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Batches:
    """Batches of windows (n, sequence_length, ...) of `data` (steps, ...), with their targets unless these are None.

    Window i takes every `sampling_rate`-th step from i * `sequence_stride` on; its target is `targets` there.
    start_index, end_index: only steps from start_index up to, without, end_index are used. shuffle: in an order drawn
    every pass. batch_size None: single windows. format: no matter.
    """
    _check(len(data), start_index, end_index, sampling_rate, sequence_stride)
    first, stop = start_index or 0, len(data) if end_index is None else end_index
    series = np.asarray(data)[first:stop]
    labels = None if targets is None else np.asarray(targets)[first:stop]
    count = len(series) - (sequence_length - 1) * sampling_rate
    starts = np.arange(0, count if targets is None else min(count, len(targets)), sequence_stride)
    steps = np.arange(sequence_length) * sampling_rate
    generator = np.random.RandomState(np.random.randint(10**6) if seed is None else seed)

    def epoch() -> Iterator[Any]:
        order = generator.permutation(starts) if shuffle else starts
        for at in range(0, len(order), batch_size or 1):
            chosen = order[at : at + batch_size] if batch_size else order[at]
            windows = series[np.add.outer(chosen, steps)]
            yield windows if labels is None else (windows, labels[chosen])

    return Batches(epoch, -(-len(starts) // (batch_size or 1)))


def _check(size: int, start: int | None, end: int | None, sampling_rate: int, stride: int) -> None:
    if start and not 0 <= start < size:
        raise ValueError(
            f"`start_index` must be 0 or greater and lower than the length of the data, {size}. Received: "
            f"start_index={start}"
        )
    if end is not None and not (start or 0) < end < size:
        raise ValueError(
            f"`end_index` must be higher than `start_index` and lower than the length of the data, {size}. Received: "
            f"start_index={start}, and end_index={end}"
        )
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", stride)):
        if not 0 < value < size:
            raise ValueError(
                f"`{name}` must be higher than 0 and lower than the length of the data, {size}. Received: "
                f"{name}={value}"
            )
