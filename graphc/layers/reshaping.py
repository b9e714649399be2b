"""Layers that move elements without computing."""

from __future__ import annotations

import math
from typing import Any

from graphc import config, ops
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


def pairs_of(value: Any, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)) of a number, a pair or a pair of pairs."""
    if isinstance(value, int):
        return ((value, value), (value, value))
    if not hasattr(value, "__len__") or len(value) != 2:
        raise ValueError(f"`{name}` should have two elements. Received: {name}={value}.")
    both = [(side, side) if isinstance(side, int) else tuple(side) for side in value]
    if any(len(side) != 2 or min(side) < 0 for side in both):
        raise ValueError(f"`{name}` must hold pairs of numbers that are not negative. Received: {name}={value}.")
    return both[0], both[1]


class ZeroPadding2D(Layer):
    """Zeros around the height and width of an image."""

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.padding = pairs_of(padding, "padding")
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        none = (0, 0)
        last = self.data_format == "channels_last"
        return ops.pad(inputs, (none, *self.padding, none) if last else (none, none, *self.padding))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding, "data_format": self.data_format}


class Cropping2D(Layer):
    """Without the outer rows and columns of an image."""

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.cropping = pairs_of(cropping, "cropping")
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        first = 1 if self.data_format == "channels_last" else 2
        sizes = inputs.shape[first : first + 2]
        if any(int(size) <= low + high for size, (low, high) in zip(sizes, self.cropping, strict=True)):
            raise ValueError(
                "Values in `cropping` argument should be smaller than the corresponding spatial dimension of the "
                "input. "
                f"Received: input shape {tuple(map(int, sizes))}, cropping={self.cropping}"
            )
        inner = [slice(low, int(size) - high) for size, (low, high) in zip(sizes, self.cropping, strict=True)]
        return ops.get_item(inputs, (*([slice(None)] * first), *inner))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cropping": self.cropping, "data_format": self.data_format}


class UpSampling2D(Layer):
    """Every pixel repeated (interpolation "nearest")."""

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if interpolation != "nearest":
            raise NotImplementedError(
                f"UpSampling2D: interpolation={interpolation!r} is not supported yet; use 'nearest'"
            )
        self.interpolation = interpolation
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        first = 1 if self.data_format == "channels_last" else 2
        return ops.repeat(ops.repeat(inputs, self.size[0], axis=first), self.size[1], axis=first + 1)

    def get_config(self) -> dict[str, Any]:
        options = {"size": self.size, "data_format": self.data_format, "interpolation": self.interpolation}
        return {**super().get_config(), **options}
