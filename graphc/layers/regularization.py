"""Layers that add noise while training."""

from __future__ import annotations

import math
from typing import Any

from graphc import config, ops, random
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer
from graphc.ops.nn import SELU_ALPHA, SELU_SCALE
from graphc.random import SeedGenerator


class Dropout(Layer):
    """While training, elements are 0 with probability `rate` and the others divided by 1 - rate.

    noise_shape: shape of the mask, broadcast against the inputs (None: the inputs' own size).
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(rate)
        self.seed = seed
        self.noise_shape = noise_shape
        if rate > 0:
            self.seed_generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)
        self.supports_masking = True

    def _mask_shape(self, inputs: Any) -> tuple[int, ...]:
        return noise_sizes(self.noise_shape, inputs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return random.dropout(inputs, self.rate, self._mask_shape(inputs), self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed, "noise_shape": self.noise_shape}


class BaseSpatialDropout(Dropout):
    """Whole channels are dropped."""

    rank = 1

    def __init__(self, rate: float, seed: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = "channels_last"
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _mask_shape(self, inputs: Any) -> tuple[int, ...]:
        ones = (1,) * self.rank
        batch = inputs.shape[0]
        return (
            (batch, *ones, inputs.shape[-1]) if self.data_format == "channels_last" else (batch, inputs.shape[1], *ones)
        )

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": self.dtype}


class SpatialDropout1D(BaseSpatialDropout):
    """Dropout of channels of (n, steps, channels)."""

    rank = 1


class SpatialDropout2D(BaseSpatialDropout):
    """Dropout of channels of images."""

    rank = 2

    def __init__(
        self, rate: float, data_format: str | None = None, seed: Any = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(rate, seed, name, dtype)
        self.data_format = config.standardize_data_format(data_format)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class SpatialDropout3D(SpatialDropout2D):
    """Dropout of channels of volumes."""

    rank = 3


class GaussianNoise(Layer):
    """While training, normal noise of this standard deviation is added."""

    def __init__(self, stddev: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= stddev <= 1:
            raise ValueError(
                "Invalid value received for argument `stddev`. Expected a float value between 0 and 1. Received: "
                f"stddev={stddev}"
            )
        self.stddev = stddev
        self.seed = seed
        if stddev > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        return inputs + random.normal(inputs.shape, 0.0, self.stddev, inputs.dtype, self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(Layer):
    """While training, elements are multiplied by normal noise of mean 1 and variance rate / (1 - rate)."""

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(rate)
        self.seed = seed
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        return inputs * random.normal(inputs.shape, 1.0, stddev, self.compute_dtype, self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class AlphaDropout(Dropout):
    """While training, elements become SELU's lowest value with probability `rate`; mean and variance are then restored.

    noise_shape: shape of the mask, broadcast against the inputs (None: the inputs' own size). Klambauer et al. 2017.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        uniform = random.uniform(self._mask_shape(inputs), seed=self.seed_generator)
        kept = ops.greater_equal(uniform, self.rate)
        lowest = -SELU_ALPHA * SELU_SCALE
        scale = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        return ops.where(kept, inputs, lowest) * scale - scale * lowest * self.rate


def checked_rate(rate: Any) -> float:
    """A share of elements. ValueError in Keras's words otherwise."""
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ValueError(
            f"Invalid value received for argument `rate`. Expected a float value between 0 and 1. Received: rate={rate}"
        )
    return rate


def noise_sizes(noise_shape: Any, inputs: Any) -> tuple[int, ...]:
    """The shape of a mask: None, all or in part, stands for the sizes of the inputs."""
    if noise_shape is None:
        return tuple(inputs.shape)
    return tuple(have if want is None else want for want, have in zip(noise_shape, inputs.shape, strict=True))


class ActivityRegularization(Layer):
    """The input; its L1 and L2 norms are added to the loss."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        from graphc.regularizers import L1L2

        super().__init__(activity_regularizer=L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {**config, "l1": self.l1, "l2": self.l2}
