"""Arrays as batches for training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config, tree
from graphc.utils.packing import outline

Array = NDArray[Any]
DEFAULT_BATCH = 32

# Kinds that graphs read as they are; others are converted once.
_NATIVE = {"float32", "float64", "int8", "int32", "int64", "uint8", "uint32", "uint64", "bool"}
_CONVERTED = {"float16": "float32", "int16": "int32", "uint16": "int32"}


@dataclass(frozen=True)
class Signature:
    """Structure of (x, y, sample_weight), and shape without batch and dtype of every array in it.

    key: all of it. kinds: structure, ranks and dtypes.
    """

    structure: Any
    arrays: tuple[tuple[tuple[int, ...], str], ...]
    key: str
    kinds: str

    @classmethod
    def of(cls, x: Any, y: Any, sample_weight: Any) -> Signature:
        """The signature of a batch. None stands for what is missing."""
        structure = tree.map_structure(lambda leaf: None if leaf is None else 0, (x, y, sample_weight))
        arrays = tuple((leaf.shape[1:], leaf.dtype.name) for leaf in present((x, y, sample_weight)))
        kinds = [(len(shape), dtype) for shape, dtype in arrays]
        return cls(structure, arrays, f"{structure}{arrays}", f"{structure}{kinds}")

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signature) and self.key == other.key


def present(structure: Any) -> list[Any]:
    """The leaves that are not None."""
    return [leaf for leaf in tree.flatten(structure) if leaf is not None]


def feedable(array: Any, what: str) -> Array:
    """An array in a dtype and layout graphs read: floats in floatx, C-contiguous, native byte order."""
    found = np.asarray(array)
    name = found.dtype.newbyteorder("=").name
    if found.dtype.kind == "f":
        name = config.floatx()
    name = _CONVERTED.get(name, name)
    if name not in _NATIVE:
        raise TypeError(f"{what}: dtype {found.dtype} cannot be used; convert the data to numbers first")
    return np.ascontiguousarray(found, name).reshape(found.shape)


def prepared(data: Any, what: str) -> Any:
    """A structure of arrays ready to be fed; lists of numbers become arrays, None stays."""
    if isinstance(data, (list, tuple)) and not any(hasattr(item, "shape") or item is None for item in data):
        raise ValueError(f"Unrecognized data type: {what}={outline(data)} (of type {type(data)})")
    return tree.map_structure(lambda leaf: leaf if leaf is None else feedable(_values(leaf), what), data)


def _values(leaf: Any) -> Any:
    return leaf.to_numpy() if hasattr(leaf, "to_numpy") else leaf


def checked_batch_size(batch_size: Any) -> int | None:
    """A positive whole number or None. ValueError otherwise."""
    if batch_size is None:
        return None
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive whole number. Received: batch_size={batch_size!r}")
    return int(batch_size)


class ArraySource:
    """Arrays cut into batches, in a new random order every epoch if `shuffle`."""

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        shuffle: Any = False,
        steps: int | None = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.x, self.y = prepared(x, "x"), prepared(y, "y")
        weights = prepared(sample_weight, "sample_weight")
        self.sample_weight = with_class_weights(self.y, weights, class_weight)
        self._fit_weights_to_labels()
        self.flat: list[Array] = present((self.x, self.y, self.sample_weight))
        self.size = check_lengths({"x": self.x, "y": self.y, "sample_weight": self.sample_weight})
        if batch_size is None:
            batch_size = -(-self.size // steps) if steps else DEFAULT_BATCH
        self.batch_size = max(batch_size, 1)
        self.shuffle = shuffle
        self.num_batches = -(-self.size // self.batch_size)
        self.signature = Signature.of(self.x, self.y, self.sample_weight)
        self._staging: list[Array] = []

    def _fit_weights_to_labels(self) -> None:
        """One array of weights serves all outputs."""
        count = len(present(self.y))
        if isinstance(self.sample_weight, np.ndarray) and count > 1:
            self.sample_weight = tree.map_structure(lambda _: self.sample_weight, self.y)

    @property
    def first(self) -> list[Array]:
        """The first batch, without shuffling."""
        return [array[: self.batch_size] for array in self.flat]

    def draw_order(self) -> Array:
        """The order of the samples in an epoch."""
        if self.shuffle == "batch":
            starts = np.random.permutation(self.num_batches) * self.batch_size
            return np.concatenate([np.arange(s, min(s + self.batch_size, self.size)) for s in starts])
        return np.random.permutation(self.size)

    def epoch(self) -> Iterator[tuple[list[Array], int]]:
        """(arrays, rows) for every batch. The arrays are reused: they hold until the next batch is asked for."""
        edges = range(0, self.size, self.batch_size)
        if not self.shuffle:
            for start in edges:
                stop = min(start + self.batch_size, self.size)
                yield [array[start:stop] for array in self.flat], stop - start
            return
        order = self.draw_order()
        if not self._staging:
            self._staging = [np.empty((self.batch_size, *array.shape[1:]), array.dtype) for array in self.flat]
        for start in edges:
            chosen = order[start : start + self.batch_size]
            rows = len(chosen)
            batch = self._staging if rows == self.batch_size else [buffer[:rows] for buffer in self._staging]
            for array, out in zip(self.flat, batch, strict=True):
                # "clip" never clips here: it lets numpy write into `out` without a buffer of its own
                np.take(array, chosen, axis=0, out=out, mode="clip")
            yield batch, rows

    def on_epoch_begin(self) -> None:
        """Nothing to prepare."""

    on_epoch_end = on_epoch_begin


def is_arrays(x: Any) -> bool:
    """Whether x is an array or a structure of arrays (and not something that yields batches)."""
    leaves = present(x)
    return (bool(leaves) and all(hasattr(leaf, "shape") and hasattr(leaf, "__len__") for leaf in leaves)) or x is None


def check_lengths(parts: Mapping[str, Any]) -> int:
    """The common number of samples. ValueError in Keras's words if arrays differ or there are none."""
    sizes = {name: [len(a) if a.ndim else 0 for a in present(part)] for name, part in parts.items() if present(part)}
    lengths = {size for group in sizes.values() for size in group}
    if len(lengths) > 1:
        listed = "".join(f"'{name}' sizes: {', '.join(map(str, group))}\n" for name, group in sizes.items())
        raise ValueError(
            f"Data cardinality is ambiguous. Make sure all arrays contain the same number of samples.{listed}"
        )
    return lengths.pop() if lengths else 0


def with_class_weights(y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None) -> Any:
    """Sample weights from the weights of the classes (1 for a class not listed)."""
    if class_weight is None:
        return sample_weight
    if sample_weight is not None:
        raise ValueError("You cannot `class_weight` and `sample_weight` at the same time.")
    if tree.is_nested(y) and len(present(y)) != 1:
        raise ValueError("`class_weight` is only supported for Models with a single output.")
    (labels,) = present(y)
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] != 1 else labels[..., 0]
    weights = np.ones(labels.shape, config.floatx())
    rounded = np.round(labels).astype(np.int64)
    for label, weight in class_weight.items():
        weights[rounded == label] = weight
    return weights


def train_validation_split(arrays: Any, validation_split: float) -> tuple[Any, Any]:
    """(training, validation): the last share of the samples validates. ValueError if a part would be empty."""
    parts = present(arrays)
    if not parts or not is_arrays(arrays):
        raise ValueError(
            "Argument `validation_split` is only supported for tensors or NumPy arrays.Found incompatible type in the "
            f"input: {[type(part) for part in parts]}"
        )
    size = len(parts[0])
    at = int(np.floor(size * (1.0 - validation_split)))
    if at in (0, size):
        raise ValueError(
            f"Training data contains {size} samples, which is not sufficient to split it into a validation and "
            "training set "
            f"as specified by `validation_split={validation_split}`. Either provide more data, or a different value "
            "for the "
            "`validation_split` argument."
        )

    def cut(part: slice) -> Any:
        return tree.map_structure(lambda a: None if a is None else _values(a)[part], arrays)

    return cut(slice(0, at)), cut(slice(at, None))
