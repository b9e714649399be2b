"""Images cut out and resized."""

from __future__ import annotations

from typing import Any

from graphc import ops, random
from graphc.layers.preprocessing.image import ImageLayer, RandomImageLayer


class Resizing(ImageLayer):
    """Images in another size.

    interpolation: "bilinear", "nearest", "bicubic", "lanczos3", "lanczos5". antialias: low-pass before shrinking.
    crop_to_aspect_ratio cuts the largest middle part of the target's proportions out first; pad_to_aspect_ratio keeps
    the image whole and fills up with `fill_value`. Integers come back rounded, in their own dtype.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = height
        self.width = width
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.antialias = bool(antialias)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, images: Any, interpolation: str) -> Any:
        images = ops.convert_to_tensor(images)
        resized = ops.image.resize(
            images, (self.height, self.width), interpolation=interpolation, antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio, pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode, fill_value=self.fill_value, data_format=self.data_format,
        )  # fmt: skip
        return resized if resized.dtype == images.dtype else _saturated(resized, images.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


def _saturated(x: Any, dtype: str) -> Any:
    """Floats as integers, rounded and limited to what the dtype holds."""
    import numpy as np

    limits = np.iinfo(dtype)
    return ops.cast(ops.clip(ops.round(x), float(limits.min), float(limits.max)), dtype)


class CropLayer(ImageLayer):
    """What layers that cut `height` x `width` pixels out of images share."""

    height: int
    width: int

    def _cut(self, images: Any, top: int, left: int) -> Any:
        """The window whose first row and column these are."""
        window = [slice(None)] * len(images.shape)
        window[self.height_axis] = slice(top, top + self.height)
        window[self.width_axis] = slice(left, left + self.width)
        return images[tuple(window)]

    def _middle_resized(self, images: Any, interpolation: str = "bilinear") -> Any:
        """The largest part in the middle that has the target's proportions, in the target's size."""
        high, wide = self._size(images)
        inner_high = max(min(high, int(float(wide * self.height) / self.width)), 1)
        inner_wide = max(min(wide, int(float(high * self.width) / self.height)), 1)
        window = [slice(None)] * len(images.shape)
        top, left = (high - inner_high) // 2, (wide - inner_wide) // 2
        window[self.height_axis] = slice(top, top + inner_high)
        window[self.width_axis] = slice(left, left + inner_wide)
        return ops.image.resize(
            images[tuple(window)], (self.height, self.width), interpolation=interpolation, data_format=self.data_format
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}


class CenterCrop(CropLayer):
    """The middle of images, as floats; images smaller than that are cut to its proportions and resized."""

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = height
        self.width = width

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        images = self._floats(images)
        high, wide = self._size(images)
        if high < self.height or wide < self.width:
            return self._middle_resized(images)
        return self._cut(images, (high - self.height) // 2, (wide - self.width) // 2)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self.transform_images(segmentation_masks)


class RandomCrop(CropLayer, RandomImageLayer):
    """A window at a drawn place, the same for all images of a batch.

    In inference, and for images that are not larger than the window, it is the largest part in the middle that has the
    window's proportions, resized.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        drawn = random.make_default_seed() if seed is None else seed
        super().__init__(seed=seed, data_format=data_format, name=name, **kwargs)
        self.height = height
        self.width = width
        self.seed = drawn

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        high, wide = self._size(data)
        if not training or high <= self.height or wide <= self.width:
            return None
        limits = (float(high - self.height + 1), float(wide - self.width + 1))
        return tuple(ops.cast(self._uniform((), 0.0, limit, seed), "int32") for limit in limits)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._floats(images)
        if transformation is None:
            return self._middle_resized(images)
        for axis, start, size in zip((self.height_axis, self.width_axis), transformation, self._window, strict=True):
            images = ops.take(images, start + ops.arange(size), axis=axis)
        return images

    @property
    def _window(self) -> tuple[int, int]:
        return self.height, self.width

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)
