"""Augmentation by operations drawn from a list (Cubuk et al., "RandAugment", 2019)."""

from __future__ import annotations

from typing import Any

from graphc import ops, random
from graphc.layers.preprocessing.color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
)
from graphc.layers.preprocessing.geometry import RandomRotation, RandomShear, RandomTranslation
from graphc.layers.preprocessing.image import RandomImageLayer, Transformation, factor_range
from graphc.layers.preprocessing.levels import AutoContrast, Equalization, Solarization


class RandAugment(RandomImageLayer):
    """`num_ops` times one of eleven operations, drawn for the whole batch, with its strength drawn for each image.

    factor: the strength of all operations, from 0 to 1.
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = value_range
        self.num_ops = num_ops
        self.factor = factor_range(factor, (0, 1))
        self.interpolation = interpolation
        self._steps = self._operations(seed, data_format)

    def _operations(self, seed: int | None, data_format: str | None) -> list[Any]:
        strength = self.factor
        moved: dict[str, Any] = {"interpolation": self.interpolation, "seed": seed, "data_format": data_format}
        colored: dict[str, Any] = {"value_range": self.value_range, "data_format": data_format}
        return [
            RandomShear(strength, strength, **moved),
            RandomTranslation(strength, strength, **moved),
            RandomRotation(strength, **moved),
            RandomBrightness(strength, seed=seed, **colored),
            RandomColorDegeneration(strength, seed=seed, **colored),
            RandomContrast(strength, seed=seed, **colored),
            RandomSharpness(strength, seed=seed, **colored),
            RandomPosterization(max(1, int(8 * strength[1])), seed=seed, **colored),
            Solarization(strength, strength, seed=seed, **colored),
            AutoContrast(**colored),
            Equalization(**colored),
        ]

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        if not training:
            return None
        chosen = random.randint((self.num_ops,), 0, len(self._steps), seed=self.generator)
        drawn = [step.get_random_transformation(data, seed=self.generator) for step in self._steps]
        return {"chosen": chosen, "drawn": drawn}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._floats(images)
        if not training:
            return images
        for turn in range(self.num_ops):
            index = transformation["chosen"][turn]
            for number, (step, drawn) in enumerate(zip(self._steps, transformation["drawn"], strict=True)):
                images = ops.where(ops.equal(index, number), step.transform_images(images, drawn), images)
        return images

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "num_ops": self.num_ops,
            "factor": self.factor,
            "interpolation": self.interpolation,
        }
