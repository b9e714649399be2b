"""Parts of images covered."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import ops, random
from graphc.layers.preprocessing.image import ImageLayer, RandomImageLayer, Transformation, factor_range, per_image


def drawn_span(layer: RandomImageLayer, length: int, share: Any, seed: Any) -> tuple[Any, Any]:
    """(start, end) of spans that cover the drawn shares (n,) of an axis of this length."""
    covered = share * length
    start = layer._uniform(ops.shape(share), seed=seed, dtype=layer.compute_dtype) * (length - covered)
    return start, start + covered


def box_mask(layer: ImageLayer, height: int, width: int, x: tuple[Any, Any], y: tuple[Any, Any]) -> Any:
    """Whether a pixel lies in the box of its image; (n, height, width, 1), or channels first."""
    rows = np.arange(height, dtype=np.float32)[None, :, None, None]
    columns = np.arange(width, dtype=np.float32)[None, None, :, None]
    inside = ops.logical_and(
        ops.logical_and(columns >= per_image(x[0]), columns < per_image(x[1])),
        ops.logical_and(rows >= per_image(y[0]), rows < per_image(y[1])),
    )
    return inside if layer.data_format == "channels_last" else ops.moveaxis(inside, -1, 1)


class RandomErasing(RandomImageLayer):
    """A box of an image filled, with a probability drawn from `factor`.

    scale: (least, most) share of the image's area. fill_value: number, three numbers (one a channel), or None for
    normal noise times value_range[1]; clipped to `value_range`.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range(factor, (0, 1))
        self.scale = factor_range(scale, (0, 1), "scale")
        if isinstance(fill_value, (tuple, list)) and len(fill_value) != 3:
            raise ValueError("The `fill_value` argument should be a number (or a list of three numbers) ")
        self.fill_value = fill_value
        self.value_range = value_range

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        shape, (height, width) = ops.shape(data), self._size(data)
        sides = ops.sqrt(self._uniform((shape[0], 2), *self.scale, seed=seed, dtype=self.compute_dtype))
        x = drawn_span(self, width, sides[:, 0], seed)
        y = drawn_span(self, height, sides[:, 1], seed)
        probability = self._uniform((shape[0],), *self.factor, seed=seed)
        chosen = self._uniform((shape[0],), seed=seed) < probability
        mask = ops.logical_and(box_mask(self, height, width, x, y), per_image(chosen))
        return {"batch_masks": mask, "fill_value": self._fill(shape, seed)}

    def _fill(self, shape: Any, seed: Any) -> Any:
        if self.fill_value is None:
            noise = random.normal(shape, dtype=self.compute_dtype, seed=self.generator if seed is None else seed)
            fill = noise * self.value_range[1]
        else:
            fill = ops.convert_to_tensor(np.asarray(self.fill_value, np.float32))
            if fill.ndim and self.data_format == "channels_first":
                fill = ops.reshape(fill, (3, 1, 1))
        return ops.clip(fill, self.value_range[0], self.value_range[1])

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._floats(images)
        if not training:
            return images
        return ops.where(transformation["batch_masks"], transformation["fill_value"], images)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "scale": self.scale,
            "fill_value": self.fill_value,
            "value_range": self.value_range,
        }
