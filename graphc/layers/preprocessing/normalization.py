"""Features moved to mean 0 and variance 1 by statistics learnt once from the data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config, ops
from graphc.layers.preprocessing.feature import FeatureLayer, first_part
from graphc.utils.py_dataset import PyDataset

Array = NDArray[Any]
Shape = tuple[Any, ...]


class Normalization(FeatureLayer):
    """(x - mean) / max(sqrt(variance), epsilon()), one mean and variance per index of `axis`; `invert`: the inverse.

    axis: the axes that keep statistics of their own; None: one mean and variance for all. `adapt` learns them, or
    `mean` and `variance` give them.
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        _check_statistics(self.axis, mean, variance)
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self.supports_masking = True

    def build(self, input_shape: Shape | None) -> None:
        if input_shape is None:
            return
        self._build_input_shape = tuple(input_shape)
        self._keep_axis = self._kept(self._build_input_shape)
        self._statistics_shape = tuple(
            size if d in self._keep_axis else 1 for d, size in enumerate(self._build_input_shape)
        )
        if self.input_mean is not None:
            return
        sizes = tuple(input_shape[d] for d in self._keep_axis)
        self.adapt_mean = self.add_weight(sizes, "zeros", name="mean", trainable=False)
        self.adapt_variance = self.add_weight(sizes, "ones", name="variance", trainable=False)
        self.count = self.add_weight((), "zeros", dtype="int32", name="count", trainable=False)

    def _kept(self, shape: Shape) -> tuple[int, ...]:
        rank = len(shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ValueError(
                f"All `axis` values must be in the range [-ndim, ndim). Received inputs with ndim={rank}, while "
                f"axis={self.axis}"
            )
        kept = tuple(sorted(axis % rank for axis in self.axis))
        for axis in kept:
            if shape[axis] is None:
                raise ValueError(
                    f"All `axis` values to be kept must have a known shape. Received axis={self.axis}, "
                    f"inputs.shape={shape}, with unknown axis at index {axis}"
                )
        return kept

    def adapt(self, data: Any) -> None:
        """Learn mean and variance of an array, a `PyDataset` or an iterable of batches (of x, or of (x, y))."""
        if self.input_mean is not None:
            raise ValueError("Cannot `adapt` a Normalization layer that was given `mean` and `variance`.")
        batches = _batches(data)
        first = next(batches, None)
        if first is None:
            raise ValueError(
                "adapt() received an empty iterable (no batches). Expected at least one batch. Pass a non-empty "
                "iterable of arrays, e.g. layer.adapt([x]) or layer.adapt(list_of_batches)."
            )
        if not self.built:
            self.build(first.shape)
        mean, variance = self._merged(first, batches)
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def _merged(self, first: Array, others: Iterable[Array]) -> tuple[Array, Array]:
        """Mean and variance of all batches, each weighted by how many values it has."""
        mean, variance, count = self._moments(first)
        for batch in others:
            next_mean, next_variance, size = self._moments(batch)
            count += size
            new, old = size / count, 1 - size / count
            merged = mean * old + next_mean * new
            variance = (variance + (mean - merged) ** 2) * old + (next_variance + (next_mean - merged) ** 2) * new
            mean = merged
        return mean, variance

    def _moments(self, batch: Array) -> tuple[Array, Array, int]:
        wanted = self._build_input_shape
        if len(batch.shape) != len(wanted) or any(batch.shape[d] != wanted[d] for d in self._keep_axis):
            raise ValueError(
                f"The layer was built with input_shape={wanted}, but adapt() is being called with data with an "
                f"incompatible shape, data.shape={batch.shape}"
            )
        axes = tuple(d for d in range(batch.ndim) if d not in self._keep_axis)
        count = math.prod(batch.shape[d] for d in axes)
        return np.mean(batch, axes), np.var(batch, axes), count

    @property
    def mean(self) -> Any:
        """The mean, in a shape that meets the inputs; None before the layer is built."""
        return self._statistic(self.input_mean, "adapt_mean")

    @property
    def variance(self) -> Any:
        return self._statistic(self.input_variance, "adapt_variance")

    def _statistic(self, given: Any, weight: str) -> Any:
        if not self.built:
            return None
        if given is None:
            return ops.reshape(getattr(self, weight), self._statistics_shape)
        given = np.asarray(given, np.float32)
        wide = [1] * len(self._statistics_shape)
        for axis, size in zip(reversed(self._keep_axis), reversed(given.shape), strict=False):
            wide[axis] = size
        return given.reshape(wide)

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)
        mean = ops.cast(self.mean, self.compute_dtype)
        deviation = ops.maximum(ops.sqrt(ops.cast(self.variance, self.compute_dtype)), config.epsilon())
        return mean + x * deviation if self.invert else (x - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        given = {"mean": self.input_mean, "variance": self.input_variance}
        plain = {name: None if value is None else np.asarray(value).tolist() for name, value in given.items()}
        return {**super().get_config(), "axis": self.axis, "invert": self.invert, **plain}


def _check_statistics(axis: tuple[int, ...], mean: Any, variance: Any) -> None:
    if (mean is None) != (variance is None):
        raise ValueError(
            "When setting values directly, both `mean` and `variance` must be set. Received: "
            f"mean={mean} and variance={variance}"
        )
    if mean is None:
        return
    if np.shape(mean) != np.shape(variance):
        raise ValueError(
            "When setting values directly, `mean` and `variance` must have the same shape. Received: mean shape "
            f"{np.shape(mean)} and variance shape {np.shape(variance)}"
        )
    if np.ndim(mean) > len(axis):
        raise ValueError(
            f"The rank of `mean` must be less than or equal to the number of axes ({len(axis)}). Received: mean shape "
            f"{np.shape(mean)} for axis {axis}"
        )


def _batches(data: Any) -> Any:
    if isinstance(data, np.ndarray) or hasattr(data, "__array__"):
        return iter([np.asarray(data)])
    if isinstance(data, PyDataset):
        return (np.asarray(first_part(data[index])) for index in range(data.num_batches or 0))
    if not isinstance(data, Iterable):
        raise TypeError(
            f"Unsupported data type: {type(data)}. `adapt` supports arrays, `keras.utils.PyDataset`, and iterables of "
            "batches (e.g. list, generator)."
        )
    return (_shaped(first_part(batch)) for batch in data)


def _shaped(batch: Any) -> Array:
    if not hasattr(batch, "shape"):
        raise TypeError(
            "adapt() expects an iterable that yields arrays with a `.shape` attribute. Got an element of type "
            f"{type(batch).__name__}."
        )
    return np.asarray(batch)
