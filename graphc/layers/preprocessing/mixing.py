"""Images of a batch mixed with one another: for the data, before it goes into a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config, random
from graphc.layers.layer import Layer
from graphc.layers.preprocessing.image import factor_range
from graphc.random import SeedGenerator
from graphc.tensor import KerasTensor, Tensor
from graphc.tracing import contains

Array = NDArray[Any]


class MixingLayer(Layer):
    """A layer on a dict of arrays "images" (n, height, width, channels) and "labels" (n, classes), or on images alone.

    It computes at once; rows of a batch cannot meet inside a compiled model, whose batches may be short.
    """

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.seed = seed
        self.generator = SeedGenerator(seed)
        self.built = True

    def __call__(self, data: Any, training: bool = True, **_: Any) -> Any:
        if contains(KerasTensor, data) or contains(Tensor, data):
            raise TypeError(
                f"{type(self).__name__} (layer {self.name}) mixes the rows of a batch and cannot be part of a compiled "
                "model. Call it on the batches in the generator that feeds `fit`."
            )
        return self.call(data, training=training)

    def call(self, data: Any, training: bool = True) -> Any:
        parts = dict(data) if isinstance(data, Mapping) else {"images": data}
        images = np.asarray(parts["images"], self.compute_dtype)
        if not training or images.ndim == 3:
            return {**parts, "images": images} if isinstance(data, Mapping) else images
        order, mask, share = self._drawn(images)
        parts["images"] = _mixed(images, mask, order)
        if "segmentation_masks" in parts:
            parts["segmentation_masks"] = _mixed(np.asarray(parts["segmentation_masks"]), mask, order)
        if "labels" in parts:
            labels = np.asarray(parts["labels"], self.compute_dtype)
            parts["labels"] = _mixed(labels, share.reshape(-1, *(1,) * (labels.ndim - 1)), order)
        return parts if isinstance(data, Mapping) else parts["images"]

    def _drawn(self, images: Array) -> tuple[Array, Array, Array]:
        """(with which row each is mixed, how much of its own every pixel keeps, how much of its label)."""
        raise NotImplementedError(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format, "seed": self.seed}


def _mixed(x: Array, kept: Array, order: Array) -> Array:
    return np.asarray(kept * x + (1 - kept) * x[order], x.dtype)


class MixUp(MixingLayer):
    """Every image and label averaged with another of the batch, by weights of the distribution Beta(alpha, alpha)."""

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.alpha = alpha

    def _drawn(self, images: Array) -> tuple[Array, Array, Array]:
        order = random.shuffle(np.arange(len(images)), seed=self.generator)
        share = random.beta((len(images),), self.alpha, self.alpha, seed=self.generator)
        return order, share.reshape(-1, 1, 1, 1), share

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class CutMix(MixingLayer):
    """A box of every image replaced by that of another one of the batch; labels are averaged by area."""

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))

    def _drawn(self, images: Array) -> tuple[Array, Array, Array]:
        first = 1 if self.data_format == "channels_last" else 2
        count, (height, width) = len(images), images.shape[first : first + 2]
        alpha = random.uniform((), *self.factor, seed=self.generator) + 1e-6
        sides = np.sqrt(1 - random.beta((count,), alpha, alpha, seed=self.generator))
        (left, right), (top, bottom) = (self._span(sides, size) for size in (width, height))
        x, y = np.arange(width)[None, None, :], np.arange(height)[None, :, None]
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        kept = np.expand_dims(~inside, -1 if first == 1 else 1).astype(images.dtype)
        share = 1 - ((right - left) * (bottom - top)).reshape(-1) / (width * height)
        return random.shuffle(np.arange(count), seed=self.generator), kept, share

    def _span(self, sides: Array, length: int) -> tuple[Array, Array]:
        covered = sides * length
        start = random.uniform((len(sides),), seed=self.generator) * (length - covered)
        return start.reshape(-1, 1, 1), (start + covered).reshape(-1, 1, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}
