"""Layers that move elements without computing."""

from __future__ import annotations

import math
from typing import Any

from graphc import config, ops
from graphc.layers.convolutional import window_sizes
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer


class Flatten(Layer):
    """(n, ...) to (n, product of the rest); (n,) to (n, 1)."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        rank = len(inputs.shape)
        if self.data_format == "channels_first" and rank > 1:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (inputs.shape[0], math.prod(int(dim) for dim in inputs.shape[1:])))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """The elements of each sample in another shape; one size may be -1."""

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(
                "There must be at most one unknown dimension (-1) in `target_shape`. Received: "
                f"target_shape={self.target_shape}."
            )

    def build(self, input_shape: Any) -> None:
        sizes, target = tuple(input_shape[1:]), self.target_shape
        if None in sizes:
            return
        known = math.prod(size for size in target if size != -1)
        if -1 in target and (known == 0 or math.prod(sizes) % known):
            raise ValueError(
                "The total size of the tensor must be unchanged, however, the input size cannot by divided by the "
                "specified "
                f"dimensions in target_shape. Received: input_shape={sizes}, target_shape={target}"
            )
        if -1 not in target and math.prod(sizes) != known:
            raise ValueError(
                f"The total size of the tensor must be unchanged. Received: input_shape={sizes}, target_shape={target}"
            )

    def call(self, inputs: Any) -> Any:
        rest = math.prod(int(dim) for dim in inputs.shape[1:])
        known = math.prod(size for size in self.target_shape if size != -1)
        sizes = (rest // known if size == -1 else size for size in self.target_shape)
        return ops.reshape(inputs, (inputs.shape[0], *sizes))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """The axes of each sample in another order; `dims` counts from 1."""

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "Invalid permutation argument `dims` for Permute Layer. The set of indices in `dims` must be "
                "consecutive and "
                f"start from 1. Received dims={dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, (0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """(batch, features) to (batch, n, features)."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, int):
            raise TypeError(f"Expected an integer value for `n`, got {type(n)}.")
        self.n = n
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        batch, features = inputs.shape
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, features))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


def pairs_of(value: Any, rank: int, name: str) -> tuple[tuple[int, int], ...]:
    """A pair (low, high) per spatial axis, of a number, of one number per axis, or of pairs."""
    if rank == 1:
        value = ((value, value) if isinstance(value, int) else tuple(value),)
    if isinstance(value, int):
        value = ((value, value),) * rank
    if not hasattr(value, "__len__") or len(value) != rank:
        count = {2: "two", 3: "3"}.get(rank, str(rank))
        raise ValueError(f"`{name}` should have {count} elements. Received: {name}={value}.")
    pairs = tuple((side, side) if isinstance(side, int) else tuple(side) for side in value)
    if any(len(side) != 2 or min(side) < 0 for side in pairs):
        raise ValueError(f"`{name}` must hold pairs of numbers that are not negative. Received: {name}={value}.")
    return pairs


class SpatialLayer(Layer):
    """Base of layers that change the sizes of spatial axes."""

    rank = 2

    def __init__(self, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def first_axis(self) -> int:
        """The first spatial axis."""
        return 1 if self.data_format == "channels_last" else 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class ZeroPadding(SpatialLayer):
    """Zeros around the spatial axes."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.padding: Any = pairs_of(padding, self.rank, "padding")

    def call(self, inputs: Any) -> Any:
        pads = [(0, 0)] * (self.rank + 2)
        pads[self.first_axis : self.first_axis + self.rank] = self.padding
        return ops.pad(inputs, pads)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding[0] if self.rank == 1 else self.padding}


class ZeroPadding1D(ZeroPadding):
    """Zeros before and after the steps of (n, steps, channels)."""

    rank = 1


class ZeroPadding2D(ZeroPadding):
    """Zeros around the height and width of images."""

    rank = 2


class ZeroPadding3D(ZeroPadding):
    """Zeros around the depth, height and width of volumes."""

    rank = 3


class Cropping(SpatialLayer):
    """Without the outermost elements along the spatial axes."""

    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.cropping: Any = pairs_of(cropping, self.rank, "cropping")

    def call(self, inputs: Any) -> Any:
        first = self.first_axis
        sizes = inputs.shape[first : first + self.rank]
        if any(int(size) <= low + high for size, (low, high) in zip(sizes, self.cropping, strict=True)):
            raise ValueError(
                "Values in `cropping` argument should be smaller than the corresponding spatial dimension of the "
                f"input. Received: inputs.shape={ops.shown(inputs.shape)}, cropping={self.cropping}"
            )
        inner = [slice(low, int(size) - high) for size, (low, high) in zip(sizes, self.cropping, strict=True)]
        return ops.get_item(inputs, (*([slice(None)] * first), *inner))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cropping": self.cropping}


class Cropping1D(Cropping):
    """Without the first and last steps of (n, steps, channels)."""

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        options = {**super().get_config(), "cropping": self.cropping[0]}
        del options["data_format"]
        return options


class Cropping2D(Cropping):
    """Without the outer rows and columns of images."""

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(Cropping):
    """Without the outermost planes of volumes."""

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class UpSampling(SpatialLayer):
    """Every element repeated along the spatial axes."""

    def __init__(self, size: Any = 2, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.size: Any = window_sizes(size, self.rank, "size")

    def call(self, inputs: Any) -> Any:
        for axis, factor in enumerate(self.size, self.first_axis):
            inputs = ops.repeat(inputs, factor, axis=axis)
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


class UpSampling1D(UpSampling):
    """Every step of (n, steps, channels) repeated."""

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(size, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        options = {**super().get_config(), "size": self.size[0]}
        del options["data_format"]
        return options


class UpSampling2D(UpSampling):
    """Images enlarged by whole factors: pixels repeated ("nearest") or interpolated as `ops.image.resize` does."""

    rank = 2

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        self.interpolation = interpolation.lower()
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        if self.interpolation not in known:
            raise ValueError(
                f"UpSampling2D: wanted an interpolation of {known}. Received: interpolation={interpolation}"
            )

    def call(self, inputs: Any) -> Any:
        if self.interpolation == "nearest":
            return super().call(inputs)
        first = self.first_axis
        sizes = [int(size) * factor for size, factor in zip(inputs.shape[first : first + 2], self.size, strict=True)]
        return ops.image.resize(inputs, sizes, interpolation=self.interpolation, data_format=self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}


class UpSampling3D(UpSampling):
    """Every element of volumes repeated."""

    rank = 3
