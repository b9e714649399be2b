"""The base of layers on images: single images and batches, labels and masks that go with them, ranges of factors.

A layer draws once per image (`get_random_transformation`) and applies what it drew (`transform_images`). Both are
written with `graphc.ops`, so they run inside a compiled step as well as on arrays; by default they augment, and inside
a model they do so only while it is training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc import config, ops, random
from graphc.layers.layer import Layer
from graphc.random import SeedGenerator

Transformation = dict[str, Any] | None
Range = tuple[float, float]


class ImageLayer(Layer):
    """A layer on images (height, width, channels) or batches of them, as floats; a dict may hold labels and masks too.

    The dict's keys: "images", "labels", "segmentation_masks". Channels come first if `data_format` says so.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.built = True

    # ---- what subclasses say

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        """What is drawn for a batch of images; None if nothing is."""
        return None

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """The images (n, height, width, channels) under a transformation."""
        raise NotImplementedError(f"{type(self).__name__} must implement `transform_images`")

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        return labels

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return segmentation_masks

    # ---- calling

    def call(self, data: Any, training: bool = True) -> Any:
        parts = dict(data) if isinstance(data, Mapping) else {"images": data}
        if "bounding_boxes" in parts:
            raise NotImplementedError(f"{type(self).__name__}: bounding boxes are not supported; transform them apart")
        single = _is_single(parts["images"])
        if single:
            parts = {name: ops.expand_dims(part, 0) for name, part in parts.items()}
        parts["images"] = ops.convert_to_tensor(parts["images"])
        transformation = self.get_random_transformation(parts["images"], training=training)
        parts = {name: self._transform(name, part, transformation, training) for name, part in parts.items()}
        if single:
            parts = {name: ops.squeeze(part, 0) for name, part in parts.items()}
        return parts if isinstance(data, Mapping) else parts["images"]

    def _transform(self, name: str, part: Any, transformation: Any, training: bool) -> Any:
        if name not in ("images", "labels", "segmentation_masks"):
            return part
        return getattr(self, f"transform_{name}")(part, transformation, training=training)

    # ---- for subclasses

    @property
    def height_axis(self) -> int:
        return -3 if self.data_format == "channels_last" else -2

    @property
    def width_axis(self) -> int:
        return self.height_axis + 1

    @property
    def channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else -3

    def _size(self, images: Any) -> tuple[int, int]:
        """Height and width of images, which must be known."""
        shape = ops.shape(images)
        return int(shape[self.height_axis]), int(shape[self.width_axis])

    def _floats(self, images: Any) -> Any:
        return ops.cast(images, self.compute_dtype)

    def _rescaled(self, images: Any, old: Sequence[float], new: Sequence[float]) -> Any:
        """Images whose values lie in the range `old`, in the range `new`."""
        if tuple(old) == tuple(new):
            return images
        images = (self._floats(images) - float(old[0])) / float(old[1] - old[0])
        return images * float(new[1] - new[0]) + float(new[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class RandomImageLayer(ImageLayer):
    """An image layer with a source of random numbers."""

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def _uniform(self, shape: Any, low: float = 0.0, high: float = 1.0, seed: Any = None, dtype: Any = None) -> Any:
        """Draws from this layer's generator (or the one passed along, `seed`)."""
        return random.uniform(shape, low, high, dtype, self.generator if seed is None else seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def _is_single(images: Any) -> bool:
    rank = len(ops.shape(images))
    if rank not in (3, 4):
        raise ValueError(
            "Expected image tensor to have rank 3 (single image) or 4 (batch of images). Received: "
            f"data.shape={ops.shape(images)}"
        )
    return rank == 3


def per_image(values: Any) -> Any:
    """(n,) as (n, 1, 1, 1)."""
    return ops.reshape(values, (ops.shape(values)[0], 1, 1, 1))


def factor_range(factor: Any, bounds: Range = (-1, 1), name: str = "factor") -> Range:
    """(lower, upper) of a number f, which stands for -f to f within the bounds, or of a pair. ValueError otherwise."""
    message = (
        f"The `{name}` argument should be a number (or a list of two numbers) in the range [{bounds[0]}, {bounds[1]}]. "
        f"Received: {name}={factor}"
    )
    low, high = bounds
    if isinstance(factor, (tuple, list)):
        if len(factor) != 2 or factor[0] > high or factor[1] < low:
            raise ValueError(message)
        lower, upper = sorted(factor)
        return lower, upper
    if not isinstance(factor, (int, float)) or not low <= factor <= high:
        raise ValueError(message)
    return max(-abs(factor), low), abs(factor)


def value_pair(value_range: Any) -> list[float]:
    """The lowest and highest value of pixels. ValueError in Keras's words unless it is a pair."""
    if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
        raise ValueError(
            f"The `value_range` argument should be a list of two numbers. Received: value_range={value_range}"
        )
    return sorted(value_range)
