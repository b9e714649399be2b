"""Images whose levels are moved as a whole: solarized, stretched, equalized."""

from __future__ import annotations

from typing import Any

from graphc import ops
from graphc.layers.preprocessing.image import ImageLayer, RandomImageLayer, Transformation, factor_range, value_pair


class Solarization(RandomImageLayer):
    """Pixels at or above a drawn threshold inverted, after a drawn number was added; both in the range 0 to 255."""

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.addition_factor = factor_range(addition_factor, (0, 1), "addition_factor")
        self.threshold_factor = factor_range(threshold_factor, (0, 1), "threshold_factor")
        self.value_range = value_pair(value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        shape = (ops.shape(data)[0], 1, 1, 1)
        ranges = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {
            name: self._uniform(shape, low, high * 255, seed, self.compute_dtype)
            for name, (low, high) in ranges.items()
        }

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._floats(images)
        if not training:
            return images
        moved = self._rescaled(images, self.value_range, (0, 255)) + transformation["additions"]
        moved = ops.clip(moved, 0, 255)
        solar = ops.where(moved < transformation["thresholds"], moved, 255 - moved)
        return self._rescaled(solar, (0, 255), self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "addition_factor": self.addition_factor,
            "threshold_factor": self.threshold_factor,
        }


class AutoContrast(ImageLayer):
    """Every channel of every image stretched to the whole of `value_range`; one of a single value stays as it is."""

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = value_pair(value_range)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        images = self._floats(images)
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        x = self._rescaled(images, self.value_range, (0, 255))
        low, high = (reduce(x, axis=axes, keepdims=True) for reduce in (ops.min, ops.max))
        is_flat = ops.equal(low, high)
        scale = 255.0 / ops.where(is_flat, 1.0, high - low)
        stretched = self._rescaled(ops.clip(x * scale - low * scale, 0.0, 255.0), (0, 255), self.value_range)
        return ops.where(is_flat, images, stretched)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": self.value_range}


class Equalization(ImageLayer):
    """Every channel's levels spread so that all are about equally frequent in the batch, while training.

    bins: the number of levels that are told apart.
    """

    def __init__(
        self, value_range: Any = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.bins = bins
        self.value_range = value_pair(value_range)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        if not training:
            return images
        x = self._rescaled(self._floats(images), self.value_range, (0, 255))
        channels = ops.split(x, int(ops.shape(x)[self.channel_axis]), axis=self.channel_axis)
        even = ops.concatenate([self._equalized(channel) for channel in channels], self.channel_axis)
        return self._rescaled(even, (0, 255), self.value_range)

    def _equalized(self, x: Any) -> Any:
        levels = ops.clip(ops.cast(x * (self.bins - 1) / 255.0, "int32"), 0, self.bins - 1)
        flat = ops.reshape(levels, (-1,))
        counts = ops.segment_sum(ops.ones_like(flat, dtype="float32"), flat, num_segments=self.bins)
        below = ops.cumsum(counts)
        first = ops.min(ops.where(below > 0, below, below[-1]))
        spread = below[-1] - first
        table = ops.round((below - first) * 255.0 / ops.where(ops.equal(spread, 0), 1.0, spread))
        even = ops.take(ops.clip(table, 0, 255), levels, axis=0)
        return ops.where(ops.equal(spread, 0), x, even)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins, "value_range": self.value_range}
