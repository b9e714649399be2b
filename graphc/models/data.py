"""Where batches come from: arrays cut into batches, or whatever gives batches itself.

A source gives (arrays, rows): flat lists of arrays in the order x.., y.., sample_weight.. ready for an executable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.models.arrays import ArraySource, checked_batch_size, is_arrays
from graphc.models.iterables import IterableSource, kind_of
from graphc.utils.packing import outline
from graphc.utils.py_dataset import PyDataset

Source = ArraySource | IterableSource


def source_of(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: Any = False,
    steps: int | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> Source:
    """The source of what the user passed as `x` (and `y`, ...)."""
    if is_arrays(x):
        return ArraySource(x, y, sample_weight, checked_batch_size(batch_size), shuffle, steps, class_weight)
    if (not hasattr(x, "__iter__") and not isinstance(x, PyDataset)) or isinstance(x, (list, tuple, dict, str)):
        raise ValueError(f"Unrecognized data type: x={outline(x)} (of type {type(x)})")
    for name, meaning, value in (("y", "the targets", y), ("sample_weights", "the sample weights", sample_weight)):
        if value is not None:
            raise ValueError(
                f"When providing `x` as a {kind_of(x)}, `{name}` should not be passed. Instead, {meaning} should be "
                f"included as part of the {kind_of(x)}."
            )
    return IterableSource(x, shuffle, class_weight)
