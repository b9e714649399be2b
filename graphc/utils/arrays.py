"""Preparing arrays for training: one-hot labels, norms, padded sequences, splits."""

from __future__ import annotations

import random as python_random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphc import tree

Array = NDArray[Any]


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Array:
    """One-hot vectors: labels (..., ) or (..., 1) of 0 .. num_classes - 1 become float64 (..., num_classes).

    num_classes: None is the largest label + 1. Raises ValueError for a label outside the range.
    """
    labels = np.asarray(x).astype(np.int64)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    flat = labels.reshape(-1)
    if not num_classes and flat.size == 0:
        raise ValueError("to_categorical: no labels to take the number of classes from; pass num_classes")
    classes = int(num_classes or flat.max() + 1)
    wrong = flat[(flat < 0) | (flat >= classes)]
    if wrong.size:
        raise ValueError(f"to_categorical: label {wrong[0]} is outside [0, {classes}); check labels and num_classes")
    encoded = np.zeros((flat.size, classes))
    encoded[np.arange(flat.size), flat] = 1
    return encoded.reshape(*shape, classes)


def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> Array:
    """`x` divided by its norm (of the given order) along `axis`; vectors of norm 0 stay 0.

    A single vector (n,) gives (1, n), as in Keras.
    """
    values = np.atleast_2d(np.asarray(x))
    norm = np.linalg.norm(values, order, axis, keepdims=True)
    norm[norm == 0] = 1
    scaled: Array = values / norm
    return scaled


def pad_sequences(
    sequences: Sequence[Any] | Array,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """An array (len(sequences), maxlen, ...) of sequences cut and padded to the same length.

    maxlen: None is the longest one. padding, truncating: "pre" or "post", the side where `value` is put and where
    elements are dropped. dtype: `object` for strings. Raises ValueError for an element that is not a sequence and for
    elements of unequal shape.
    """
    for name, side in (("Truncating", truncating), ("Padding", padding)):
        if side not in ("pre", "post"):
            raise ValueError(f'{name} type "{side}" not understood')
    if not hasattr(sequences, "__len__"):
        raise ValueError("`sequences` must be iterable.")
    lengths = [_length(sequence) for sequence in sequences]
    steps = max(lengths, default=0) if maxlen is None else maxlen
    shape = next((np.asarray(sequence).shape[1:] for sequence in sequences if len(sequence)), ())
    is_text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and dtype is not object and not is_text:
        raise ValueError(
            f"`dtype` {dtype} is not compatible with `value`'s type: {type(value)}\n"
            "You should set `dtype=object` for variable length strings."
        )
    padded = np.full((len(lengths), steps, *shape), value, dtype)
    for row, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        kept = min(length, steps)
        elements = np.asarray(sequence[length - kept :] if truncating == "pre" else sequence[:kept], dtype)
        if kept and elements.shape[1:] != shape:
            raise ValueError(
                f"Shape of sample {elements.shape[1:]} of sequence at position {row} is different from expected shape "
                f"{shape}"
            )
        if kept:
            start = steps - kept if padding == "pre" else 0
            padded[row, start : start + kept] = elements
    return padded


def _length(sequence: Any) -> int:
    try:
        return len(sequence)
    except TypeError:
        raise ValueError(f"`sequences` must be a list of iterables. Found non-iterable: {sequence!s}") from None


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Split an array, or a structure of arrays with the same first dimension, into two along that dimension.

    left_size, right_size: number of samples (int) or fraction of them (float); one may be None: the rest.
    shuffle: draw the samples in the order Python's `random` seeded with `seed` gives.
    Both results have the structure of `dataset`. Raises TypeError for anything but arrays, ValueError for sizes.
    """
    arrays = tree.map_structure(_checked_array, dataset)
    lengths = {len(array) for array in tree.flatten(arrays)}
    if len(lengths) != 1:
        raise ValueError(f"split_dataset: wanted arrays of one length, got lengths {sorted(lengths)}")
    total = lengths.pop()
    order = list(range(total))
    if shuffle:
        python_random.Random(python_random.randint(0, 10**6) if seed is None else seed).shuffle(order)
    left, right = _split_sizes(left_size, right_size, total)
    return _taken(arrays, order[:left]), _taken(arrays, order[total - right :])


def _checked_array(values: Any) -> Array:
    array = np.asarray(values) if isinstance(values, np.ndarray) or hasattr(values, "__array__") else None
    if array is None or array.ndim == 0:
        raise TypeError(
            f"split_dataset: wanted an array or a tuple, list or dict of arrays, got {values!r} of type {type(values)}"
        )
    return array


def _taken(arrays: Any, indices: list[int]) -> Any:
    return tree.map_structure(lambda array: array[indices], arrays)


def _split_sizes(left: float | None, right: float | None, total: int) -> tuple[int, int]:
    if left is None and right is None:
        raise ValueError(
            "At least one of the `left_size` or `right_size` must be specified. "
            "Received: left_size=None and right_size=None"
        )
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ValueError("The sum of `left_size` and `right_size` is greater than 1. It must be at most 1.")
    left_count, right_count = _count("left_size", left, total), _count("right_size", right, total)
    if left_count is None or right_count is None:
        rest = total - (left_count or right_count or 0)
        left_count, right_count = left_count or rest, right_count or rest
    if left_count + right_count > total:
        raise ValueError(
            f"The sum of `left_size` and `right_size` should be smaller than the {total} samples there are. "
            f"Received: left_size={left} and right_size={right}"
        )
    return left_count, right_count


def _count(name: str, size: float | None, total: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        raise TypeError(f"Invalid `{name}` type. Expected: int or float or None, received: {type(size)}")
    if not 0 < size < (total if isinstance(size, int) else 1):
        raise ValueError(
            f"`{name}` should be either a positive integer smaller than {total}, or a float within the range `[0, 1]`. "
            f"Received: {name}={size}"
        )
    return round(size * total) if isinstance(size, float) else size
