"""Augmentation of geometry: images flipped, turned, zoomed, moved and sheared, each by its own draw."""

from __future__ import annotations

import math
from typing import Any

from graphc import ops
from graphc.layers.preprocessing.image import RandomImageLayer, Range, Transformation, factor_range

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")
FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(RandomImageLayer):
    """Every second image, on average, mirrored left to right ("horizontal"), upside down ("vertical") or both."""

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        if mode not in FLIPS:
            raise ValueError(f"RandomFlip: wanted `mode` to be one of {FLIPS}. Received: mode={mode!r}")
        self.mode = mode

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        return {"flips": self._uniform((ops.shape(data)[0], 1, 1, 1), seed=seed) <= 0.5}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._floats(images)
        if not training:
            return images
        axes = {"horizontal": self.width_axis, "vertical": self.height_axis}
        turned = [axis for name, axis in axes.items() if name in self.mode.split("_and_")]
        return ops.where(transformation["flips"], ops.flip(images, axis=turned), images)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


class AffineLayer(RandomImageLayer):
    """A layer that samples images at drawn places: output pixel (x, y) is the input at (a0 x + a1 y + a2, ...).

    interpolation: "nearest" or "bilinear". fill_mode: what lies outside of the image: "reflect" (d c b a | a b c d |
    d c b a), "wrap", "nearest", or "constant", which is `fill_value`.
    """

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        _check_known("fill_mode", fill_mode, FILL_MODES)
        _check_known("interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.interpolation = interpolation

    def _matrix(self, batch: Any, height: int, width: int, seed: Any) -> Any:
        """The drawn transforms (n, 8) of images of this size."""
        raise NotImplementedError(type(self).__name__)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        return {"matrix": self._matrix(ops.shape(data)[0], *self._size(data), seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._floats(images)
        return self._sampled(images, transformation, self.interpolation) if training else images

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._sampled(segmentation_masks, transformation, "nearest") if training else segmentation_masks

    def _sampled(self, images: Any, transformation: Any, interpolation: str) -> Any:
        return ops.image.affine_transform(
            images, transformation["matrix"], interpolation=interpolation, fill_mode=self.fill_mode,
            fill_value=self.fill_value, data_format=self.data_format,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "interpolation": self.interpolation,
        }


def _check_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise NotImplementedError(f"Unknown `{name}` {value}. Expected of one {known}.")


def _rows(*columns: Any, batch: Any) -> Any:
    """Transforms (n, 8) of their first six columns, numbers or tensors (n,); the last two, for perspective, are 0."""
    wide = [ops.broadcast_to(ops.convert_to_tensor(column, "float32"), (batch,)) for column in (*columns, 0.0, 0.0)]
    return ops.stack(wide, axis=1)


class RandomRotation(AffineLayer):
    """Images turned around their middle by a share of the full circle drawn from `factor` (0.5: up to 180 degrees)."""

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = factor_range(factor)

    def _matrix(self, batch: Any, height: int, width: int, seed: Any) -> Any:
        low, high = self.factor
        angle = self._uniform((batch,), low * 360.0, high * 360.0, seed) * (math.pi / 180.0)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x, y = 0.5 * (width - 1), 0.5 * (height - 1)
        return _rows(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos, batch=batch)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def symmetric_range(name: str, factor: Any, lowest: float, is_lowest_allowed: bool = True) -> Range:
    """(lower, upper) of a number f, which stands for -f to f, or of a pair, all from `lowest` to 1. Else ValueError."""
    numbers = tuple(factor) if isinstance(factor, (tuple, list)) else (abs(factor), factor)
    allowed = (lowest < f or (is_lowest_allowed and f == lowest) for f in numbers)
    if len(numbers) != 2 or max(numbers) > 1 or not all(allowed):
        raise ValueError(
            "The `factor` argument should be a number (or a list of two numbers) in the range "
            f"{'[' if is_lowest_allowed else '('}{lowest}, 1.0]. Received: {name}={factor}"
        )
    if not isinstance(factor, (tuple, list)):
        numbers = (-abs(factor), abs(factor))
    return min(numbers), max(numbers)


class SizedAffineLayer(AffineLayer):
    """An affine layer with a factor for the height and one for the width."""

    # the smallest factor, and whether it is allowed itself
    lowest, is_lowest_allowed = -1.0, False

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor
        self._height_range = self._checked_range("height_factor", height_factor)
        self._width_range = None if width_factor is None else self._checked_range("width_factor", width_factor)

    def _checked_range(self, name: str, factor: Any) -> Range:
        return symmetric_range(name, factor, self.lowest, self.is_lowest_allowed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomZoom(SizedAffineLayer):
    """Images zoomed about their middle: a factor of 0.2 draws a part of 0.8 to 1.2 of the image; > 1 zooms out.

    Without `width_factor` both sides are zoomed alike.
    """

    def _matrix(self, batch: Any, height: int, width: int, seed: Any) -> Any:
        tall = self._draw(batch, self._height_range, seed)
        wide = tall if self._width_range is None else self._draw(batch, self._width_range, seed)
        left, top = (width - 1) / 2 * (1 - wide), (height - 1) / 2 * (1 - tall)
        return _rows(wide, 0.0, left, 0.0, tall, top, batch=batch)

    def _draw(self, batch: Any, limits: Range, seed: Any) -> Any:
        return self._uniform((batch,), 1.0 + limits[0], 1.0 + limits[1], seed)


class RandomTranslation(SizedAffineLayer):
    """Images moved down and to the right by drawn shares of their height and width (up and left if negative)."""

    is_lowest_allowed = True

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height_factor, width_factor, fill_mode, interpolation, seed, fill_value, data_format, **kwargs)

    def _matrix(self, batch: Any, height: int, width: int, seed: Any) -> Any:
        assert self._width_range is not None
        down = self._uniform((batch,), *self._height_range, seed=seed) * float(height)
        right = self._uniform((batch,), *self._width_range, seed=seed) * float(width)
        return _rows(1.0, 0.0, -right, 0.0, 1.0, -down, batch=batch)


class RandomShear(AffineLayer):
    """Rows moved sideways in proportion to their height (`x_factor`), columns up or down (`y_factor`)."""

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        # the config holds the pair a number stands for, from below 0
        self.x_factor, self.y_factor = (
            symmetric_range(name, factor, -1.0 if isinstance(factor, (tuple, list)) else 0.0)
            for name, factor in (("x_factor", x_factor), ("y_factor", y_factor))
        )

    def _matrix(self, batch: Any, height: int, width: int, seed: Any) -> Any:
        shape, dtype = (batch,), self.compute_dtype
        sign = ops.where(self._uniform(shape, seed=seed, dtype=dtype) > 0.5, -1.0, 1.0)
        y = self._uniform(shape, *self.y_factor, seed=seed, dtype=dtype) * sign
        x = self._uniform(shape, *self.x_factor, seed=seed, dtype=dtype) * sign
        return _rows(1.0, x, 0.0, y, 1.0, 0.0, batch=batch)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "x_factor": self.x_factor, "y_factor": self.y_factor}
