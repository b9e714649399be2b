"""The epoch that a system without a `fit` of its own is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def epoch(step: Callable[[Any], Any], rows: int, batch: int, rng: np.random.Generator) -> float:
    """One shuffled pass over `rows` samples, the short last batch included; the mean loss over the samples.

    step: takes the batch's row numbers and returns its loss, which is only read when the epoch is over.
    """
    order = rng.permutation(rows)
    batches = [order[start : start + batch] for start in range(0, rows, batch)]
    losses = [step(batch_rows) for batch_rows in batches]
    weights = [len(batch_rows) for batch_rows in batches]
    return float(np.average([float(loss) for loss in losses], weights=weights))
