"""Augmentation of colours: every image gets its own draw, and only while training."""

from __future__ import annotations

from typing import Any

from graphc import config, ops, random
from graphc.layers.preprocessing.image import (
    ImageLayer,
    RandomImageLayer,
    Range,
    Transformation,
    factor_range,
    per_image,
    value_pair,
)


class ColorLayer(RandomImageLayer):
    """A layer that changes pixels in the range `value_range` by a drawn factor."""

    bounds: Range = (-1, 1)

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range(factor, self.bounds)
        self.value_range = self._checked_values(value_range)

    def _checked_values(self, value_range: Any) -> Any:
        return value_pair(value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        return {"factor": self._uniform((ops.shape(data)[0],), *self.factor, seed=seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        images = self._floats(images)
        return self._changed(images, per_image(ops.cast(transformation["factor"], self.compute_dtype)))

    def _changed(self, images: Any, factor: Any) -> Any:
        """The images by the factor, which has the shape (n, 1, 1, 1)."""
        raise NotImplementedError(type(self).__name__)

    def _clipped(self, images: Any) -> Any:
        return ops.clip(images, self.value_range[0], self.value_range[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range}


class RandomBrightness(ColorLayer):
    """A number added to all pixels of an image: `factor` times the width of `value_range`, then clipped."""

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(factor, value_range, seed=seed, **kwargs)

    def _changed(self, images: Any, factor: Any) -> Any:
        return self._clipped(images + factor * float(self.value_range[1] - self.value_range[0]))


class RandomContrast(ColorLayer):
    """Pixels moved away from the mean of their channel, or towards it: (x - mean) * (1 + factor) + mean, clipped."""

    bounds = (0, 1)

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(factor, value_range, seed=seed, **kwargs)

    def _checked_values(self, value_range: Any) -> Any:
        return value_range

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        below, above = self.factor
        return {"factor": self._uniform((ops.shape(data)[0],), 1 - below, 1 + above, seed, self.compute_dtype)}

    def _changed(self, images: Any, factor: Any) -> Any:
        mean = ops.mean(ops.mean(images, self.height_axis, keepdims=True), self.width_axis, keepdims=True)
        return self._clipped((images - mean) * factor + mean)


class RandomSaturation(ColorLayer):
    """The saturation of RGB images multiplied: by 1 for a factor of 0.5, by 0 (grey) for 0."""

    def _changed(self, images: Any, factor: Any) -> Any:
        strength = factor / (1 - factor + config.epsilon())
        hue, saturation, value = _channels(ops.image.rgb_to_hsv(images, data_format=self.data_format), self)
        colors = ops.concatenate([hue, self._clipped(saturation * strength), value], self.channel_axis)
        return ops.image.hsv_to_rgb(colors, data_format=self.data_format)


class RandomHue(ColorLayer):
    """The hue of RGB images turned by up to `factor` times half the colour circle."""

    bounds = (0, 1)

    def _checked_values(self, value_range: Any) -> Any:
        return value_range

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        batch = (ops.shape(data)[0],)
        sign = ops.where(self._uniform(batch, seed=seed) > 0.5, -1.0, 1.0)
        return {"factor": sign * self._uniform(batch, *self.factor, seed=seed) * 0.5}

    def _changed(self, images: Any, factor: Any) -> Any:
        unit = self._rescaled(images, self.value_range, (0, 1))
        hue, saturation, value = _channels(ops.image.rgb_to_hsv(unit, data_format=self.data_format), self)
        turned = hue + factor
        turned = ops.where(turned > 1.0, turned - 1.0, turned)
        turned = ops.where(turned < 0.0, turned + 1.0, turned)
        colors = ops.concatenate([turned, saturation, value], self.channel_axis)
        unit = ops.clip(ops.image.hsv_to_rgb(colors, data_format=self.data_format), 0, 1)
        return self._rescaled(unit, (0, 1), self.value_range)


def _channels(images: Any, layer: ImageLayer) -> Any:
    return ops.split(images, 3, axis=layer.channel_axis)


class RandomColorDegeneration(ColorLayer):
    """RGB images mixed with their grey version; a factor of 1 is all grey."""

    def _changed(self, images: Any, factor: Any) -> Any:
        grey = ops.image.rgb_to_grayscale(images, data_format=self.data_format)
        return self._clipped(images + factor * (grey - images))


class RandomSharpness(ColorLayer):
    """Images blurred (factor below 0.5) or sharpened (above), with a 3 x 3 window."""

    bounds = (0, 1)

    def _changed(self, images: Any, factor: Any) -> Any:
        if self.data_format == "channels_first":
            images = ops.swapaxes(images, -3, -1)
        smooth = ops.depthwise_conv(images, self._window(images.shape[-1]), strides=1, padding="same")
        images = self._clipped(images + (1 - factor * 2) * (smooth - images))
        return images if self.data_format == "channels_last" else ops.swapaxes(images, -3, -1)

    def _window(self, channels: int) -> Any:
        side, center = 1 / 13, 5 / 13
        window = [[[[side]] * channels] * 3, [[[side]] * channels, [[center]] * channels, [[side]] * channels]]
        return ops.convert_to_tensor([*window, window[0]], dtype=self.compute_dtype)


class RandomPosterization(RandomImageLayer):
    """Only the `factor` highest of the 8 bits of every pixel are kept."""

    bounds: Range = (1, 8)

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range(factor, self.bounds)
        self.value_range = value_pair(value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        low, high = map(int, self.factor)
        bits: Any = low
        if low != high:
            generator = self.generator if seed is None else seed
            bits = random.randint((ops.shape(data)[0],), low, high, "uint8", generator)
        return {"dropped_bits": 8 - ops.cast(bits, self.compute_dtype) * ops.ones((ops.shape(data)[0],))}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        step = per_image(ops.power(2.0, transformation["dropped_bits"]))
        bytes_ = ops.trunc(self._rescaled(images, self.value_range, (0, 255)))
        return self._rescaled(ops.floor(bytes_ / step) * step, (0, 255), self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range}


class RandomGrayscale(RandomImageLayer):
    """RGB images made grey, each with the probability `factor`; they keep three channels."""

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        if not 0 <= factor <= 1:
            raise ValueError(f"`factor` should be between 0 and 1. Received: factor={factor}")
        self.factor = factor

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        if not training:
            return None
        return per_image(self._uniform((ops.shape(data)[0],), seed=seed) < self.factor)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        images = self._floats(images)
        return ops.where(transformation, ops.image.rgb_to_grayscale(images, data_format=self.data_format), images)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]  # Keras does not save it either
        return {**config, "factor": self.factor}


class RandomInvert(RandomImageLayer):
    """Pixels turned to `value_range[1] - x`, in images chosen with a probability drawn from `factor`."""

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self.value_range = value_range

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        shape = (ops.shape(data)[0],)
        probability = self._uniform(shape, *self.factor, seed=seed)
        return {"apply_inversion": self._uniform(shape, seed=seed) < probability}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        images = self._floats(images)
        return ops.where(per_image(transformation["apply_inversion"]), self.value_range[1] - images, images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range}


class RandomColorJitter(RandomImageLayer):
    """Brightness, contrast, saturation and hue changed, in this order; a factor of None leaves one out."""

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = value_range
        self.factors = {
            "brightness_factor": brightness_factor,
            "contrast_factor": contrast_factor,
            "saturation_factor": saturation_factor,
            "hue_factor": hue_factor,
        }
        kinds = (RandomBrightness, RandomContrast, RandomSaturation, RandomHue)
        self._steps = [
            kind(factor, value_range, seed=seed, data_format=data_format)
            for kind, factor in zip(kinds, self.factors.values(), strict=True)
            if factor is not None
        ]

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        for step in self._steps:
            drawn = step.get_random_transformation(images, seed=self.generator)
            images = step.transform_images(images, drawn)
        return self._floats(images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": self.value_range, **self.factors}
