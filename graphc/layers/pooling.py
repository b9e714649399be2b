"""Pooling layers over (n, spatial.., channels)."""

from __future__ import annotations

from typing import Any

from graphc import config, ops
from graphc.layers.convolutional import listed, standardize_padding, window_sizes
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer


class BasePooling(Layer):
    """Windows of `pool_size`, `strides` apart (None: side by side)."""

    rank = 2

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = window_sizes(pool_size, self.rank, "pool_size")
        self.strides = window_sizes(pool_size if strides is None else strides, self.rank, "strides")
        self.padding = standardize_padding(padding)
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Any) -> None:
        spatial = input_shape[1:-1] if self.data_format == "channels_last" else input_shape[2:]
        for size, window in zip(spatial, self.pool_size, strict=True):
            if self.padding == "valid" and size is not None and size < window:
                raise ValueError(
                    "Computed output size would be zero or negative. Received: "
                    f"`inputs.shape={listed(input_shape)}`, `pool_size={listed(self.pool_size)}`, "
                    f"`strides={self.strides}`, `padding={self.padding}`."
                )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }


class MaxPooling(BasePooling):
    """The largest element of every window; padding never wins."""

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None,
                 name: str | None = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, inputs: Any) -> Any:
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class AveragePooling(BasePooling):
    """The mean of every window; padding does not count."""

    def call(self, inputs: Any) -> Any:
        return ops.average_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(MaxPooling):
    rank = 1


class MaxPooling2D(MaxPooling):
    rank = 2


class MaxPooling3D(MaxPooling):
    rank = 3


class AveragePooling1D(AveragePooling):
    rank = 1


class AveragePooling2D(AveragePooling):
    rank = 2


class AveragePooling3D(AveragePooling):
    rank = 3


class GlobalPooling(Layer):
    """Over all spatial axes: (n, spatial.., channels) to (n, channels)."""

    rank = 2

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _axes(self) -> list[int]:
        first = 1 if self.data_format == "channels_last" else 2
        return list(range(first, first + self.rank))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format, "keepdims": self.keepdims}


class GlobalMaxPooling(GlobalPooling):
    def call(self, inputs: Any) -> Any:
        return ops.max(inputs, axis=self._axes, keepdims=self.keepdims)


class GlobalAveragePooling(GlobalPooling):
    def call(self, inputs: Any) -> Any:
        return ops.mean(inputs, axis=self._axes, keepdims=self.keepdims)


class GlobalMaxPooling1D(GlobalMaxPooling):
    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    rank = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    rank = 3


class GlobalAveragePooling1D(GlobalAveragePooling):
    """The mean over steps; with a mask, over the steps it lets through."""

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        axis = self._axes[0]
        weights = ops.expand_dims(ops.cast(mask, inputs.dtype), 2 if axis == 1 else 1)
        total = ops.sum(inputs * weights, axis=axis, keepdims=self.keepdims)
        return total / ops.sum(weights, axis=axis, keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None


class GlobalAveragePooling2D(GlobalAveragePooling):
    rank = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    rank = 3


class AdaptivePooling(Layer):
    """Windows that divide every spatial axis into `output_size` parts, as equal as whole elements allow."""

    rank = 2

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = (output_size,) * self.rank if isinstance(output_size, int) else output_size
        if not isinstance(sizes, (tuple, list)) or len(sizes) != self.rank:
            raise TypeError(
                f"`output_size` must be an integer or a tuple of {self.rank} integers. Received: {output_size} of type "
                f"{type(output_size)}"
            )
        self.output_size = tuple(sizes)
        self.data_format = config.standardize_data_format(data_format)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": self.output_size, "data_format": self.data_format}


class AdaptiveAveragePooling(AdaptivePooling):
    def call(self, inputs: Any) -> Any:
        return ops.adaptive_average_pool(inputs, self.output_size, self.data_format)


class AdaptiveMaxPooling(AdaptivePooling):
    def call(self, inputs: Any) -> Any:
        return ops.adaptive_max_pool(inputs, self.output_size, self.data_format)


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    rank = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    rank = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    rank = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    rank = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    rank = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
