"""Convolution layers. Inputs are (n, spatial.., channels), kernels (k.., channels / groups, filters)."""

from __future__ import annotations

from typing import Any

from graphc import activations, config, ops, regularizers
from graphc.layers.core import serialized_weight_options, take_weight_options
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer


class BaseConv(Layer):
    """What convolutions share: window arguments, kernel and bias options."""

    rank = 2
    allow_causal = False
    kernels: tuple[str, ...] = ("kernel",)
    bias: Any = None
    depthwise_initializer: Any
    depthwise_regularizer: Any
    depthwise_constraint: Any
    pointwise_initializer: Any
    pointwise_regularizer: Any
    pointwise_constraint: Any

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        options: dict[str, Any],
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.kernel_size = window_sizes(kernel_size, self.rank, "kernel_size")
        self.strides = window_sizes(strides, self.rank, "strides")
        self.dilation_rate = window_sizes(dilation_rate, self.rank, "dilation_rate")
        self.padding = standardize_padding(padding, self.allow_causal)
        self.data_format = config.standardize_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        take_weight_options(self, options, *self.kernels, "bias")
        self.input_spec = InputSpec(min_ndim=self.rank + 2, max_ndim=self.rank + 2)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "`strides > 1` not supported in conjunction with `dilation_rate > 1`. Received: "
                f"strides={self.strides} and dilation_rate={self.dilation_rate}"
            )

    @property
    def channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, input_shape: Any) -> int:
        """The number of input channels, which the input spec demands from now on."""
        channels = input_shape[self.channel_axis]
        if channels is None:
            raise ValueError(
                f"The channel dimension of the inputs should be defined. The input_shape received is {input_shape}, "
                "where "
                f"axis {self.channel_axis} (0-based) is the channel dimension, which found to be `None`."
            )
        self.input_spec = InputSpec(min_ndim=self.rank + 2, max_ndim=self.rank + 2, axes={self.channel_axis: channels})
        return int(channels)

    def _add(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(
            shape,
            getattr(self, f"{name}_initializer"),
            name=name,
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
        )

    def _check_output(self, input_shape: Any, kernel_shape: tuple[int, ...]) -> None:
        """ValueError if the window does not fit into the input."""
        spatial = input_shape[1:-1] if self.data_format == "channels_last" else input_shape[2:]
        if self.padding != "valid":
            return
        for size, window, dilation in zip(spatial, self.kernel_size, self.dilation_rate, strict=True):
            if size is not None and size < (window - 1) * dilation + 1:
                raise ValueError(
                    "Computed output size would be zero or negative. Received "
                    f"`inputs shape={tuple(input_shape)}`, `kernel shape={kernel_shape}`, "
                    f"`dilation_rate={listed(self.dilation_rate)}`, `strides={self.strides}`, `padding={self.padding}`."
                )

    def _finish(self, x: Any) -> Any:
        if self.use_bias:
            wide = (1,) * (self.rank + 1) + (-1,) if self.data_format == "channels_last" else (1, -1) + (1,) * self.rank
            bias = self.bias if self.data_format == "channels_last" else ops.reshape(self.bias, wide)
            x = ops.add(x, bias)
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            **serialized_weight_options(self, *self.kernels, "bias"),
        }


def checked_filters(filters: Any) -> int:
    """A positive number of filters. ValueError in Keras's words otherwise."""
    if filters is None or filters <= 0:
        raise ValueError(
            f"Invalid value for argument `filters`. Expected a strictly positive value. Received filters={filters}."
        )
    return int(filters)


def window_sizes(value: Any, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """A whole number of at least 1 (or 0) per spatial axis. ValueError in Keras's words otherwise."""
    if isinstance(value, int):
        sizes: tuple[Any, ...] = (value,) * rank
    else:
        try:
            sizes = tuple(value)
        except TypeError:
            sizes = ()
    if len(sizes) != rank or not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"The `{name}` argument must be a tuple of {rank} integers. Received {name}={value}")
    bad = {size for size in sizes if size < least}
    if bad:
        raise ValueError(
            f"The `{name}` argument must be a tuple of {rank} integers. Received {name}={value}, including values "
            f"{bad} that do not satisfy `value {'>' if least else '>='} 0`"
        )
    return sizes


def listed(sizes: Any) -> str:
    """Sizes as Keras prints them: [2 3]."""
    return "[" + " ".join(map(str, sizes)) + "]"


def standardize_padding(value: Any, allow_causal: bool = False) -> str:
    """ "valid", "same" or, where allowed, "causal". ValueError in Keras's words otherwise."""
    padding = str(value).lower()
    allowed = {"valid", "same", "causal"} if allow_causal else {"valid", "same"}
    if padding not in allowed:
        names = "'valid', 'same', 'causal'" if allow_causal else "'valid', 'same'"
        raise ValueError(f"The `padding` argument must be a list/tuple or one of {{{names}}}. Received: {padding}")
    return padding


class Conv(BaseConv):
    """Convolution of any rank; subclasses fix the rank and the defaults."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        options = {name: value for name, value in locals().items() if name.startswith(("kernel_", "bias_"))}
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, options,
            activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = checked_filters(filters)
        if groups <= 0:
            raise ValueError(f"The number of groups must be a positive integer. Received: groups={groups}.")
        if filters % groups:
            raise ValueError(
                "The number of filters must be evenly divisible by the number of groups. Received: "
                f"groups={groups}, filters={filters}."
            )
        self.groups = groups

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                "The number of input channels must be evenly divisible by the number of groups. Received groups="
                f"{self.groups}, but the input has {channels} channels (full input shape is {input_shape})."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self._check_output(input_shape, shape)
        self.kernel = self._add("kernel", shape)
        self.bias = self._add("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Any) -> Any:
        x, padding = self._pad_causal(inputs)
        x = ops.conv(x, self.kernel, self.strides, padding, self.data_format, self.dilation_rate, self.groups)
        return self._finish(x)

    def _pad_causal(self, x: Any) -> tuple[Any, str]:
        if self.padding != "causal":
            return x, self.padding
        before = (self.kernel_size[0] - 1) * self.dilation_rate[0]
        pads = ((0, 0), (before, 0), (0, 0)) if self.data_format == "channels_last" else ((0, 0), (0, 0), (before, 0))
        return ops.pad(x, pads), "valid"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "groups": self.groups}


class Conv1D(Conv):
    """Convolution of (n, steps, channels); padding "causal" looks only back."""

    rank = 1
    allow_causal = True


class Conv2D(Conv):
    """Convolution of (n, height, width, channels)."""

    rank = 2


class Conv3D(Conv):
    """Convolution of (n, depth, height, width, channels)."""

    rank = 3


class DepthwiseConv(BaseConv):
    """Every input channel convolved with its own `depth_multiplier` kernels."""

    kernels = ("depthwise",)

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        options = {name: value for name, value in locals().items() if name.startswith(("depthwise_", "bias_"))}
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, options,
            activity_regularizer, **kwargs,
        )  # fmt: skip
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self._check_output(input_shape, shape)
        self.kernel = self.add_weight(
            shape, self.depthwise_initializer, name="kernel", regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )  # fmt: skip
        self.bias = self._add("bias", (channels * self.depth_multiplier,)) if self.use_bias else None

    def call(self, inputs: Any) -> Any:
        x = ops.depthwise_conv(inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate)
        return self._finish(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "depth_multiplier": self.depth_multiplier}


class DepthwiseConv1D(DepthwiseConv):
    """Every channel of (n, steps, channels) convolved with its own `depth_multiplier` kernels."""

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Every channel of (n, height, width, channels) convolved with its own `depth_multiplier` kernels."""

    rank = 2


class SeparableConv(BaseConv):
    """A depthwise convolution followed by one over channels."""

    kernels = ("depthwise", "pointwise")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        names = ("depthwise_", "pointwise_", "bias_")
        options = {name: value for name, value in locals().items() if name.startswith(names)}
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, options,
            activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = checked_filters(filters)
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self._check_output(input_shape, shape)
        self.depthwise_kernel = self.add_weight(
            shape, self.depthwise_initializer, name="depthwise_kernel",
            regularizer=self.depthwise_regularizer, constraint=self.depthwise_constraint,
        )  # fmt: skip
        self.pointwise_kernel = self.add_weight(
            (1,) * self.rank + (channels * self.depth_multiplier, self.filters), self.pointwise_initializer,
            name="pointwise_kernel", regularizer=self.pointwise_regularizer, constraint=self.pointwise_constraint,
        )  # fmt: skip
        self.bias = self._add("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Any) -> Any:
        x = ops.separable_conv(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.padding, self.data_format,
            self.dilation_rate,
        )  # fmt: skip
        return self._finish(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "depth_multiplier": self.depth_multiplier}


class SeparableConv1D(SeparableConv):
    """A depthwise convolution of (n, steps, channels) followed by one over channels."""

    rank = 1


class SeparableConv2D(SeparableConv):
    """A depthwise convolution of (n, height, width, channels) followed by one over channels."""

    rank = 2


class ConvTranspose(BaseConv):
    """Transposed convolution: (n, spatial.., channels) with a kernel (k.., filters, channels) to more places.

    Without output_padding a size n becomes n * stride (padding "same") or n * stride + max(k - stride, 0) ("valid").
    """

    output_padding: tuple[int, ...] | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        options = {name: value for name, value in locals().items() if name.startswith(("kernel_", "bias_"))}
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, options,
            activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = checked_filters(filters)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = window_sizes(output_padding, self.rank, "output_padding", least=0)
            self._check_output_padding(self.output_padding)

    def _check_output_padding(self, output_padding: tuple[int, ...]) -> None:
        for axis, (more, stride) in enumerate(zip(output_padding, self.strides, strict=True)):
            if more >= stride:
                raise ValueError(
                    f"`output_padding` must be strictly less than `strides` for all dimensions. At dimension {axis}, "
                    f"`output_padding` is {more} but `strides` is {stride}. Received: output_padding={output_padding}, "
                    f"strides={self.strides}"
                )

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.kernel = self._add("kernel", (*self.kernel_size, self.filters, channels))
        self.bias = self._add("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Any) -> Any:
        x = ops.conv_transpose(
            inputs, self.kernel, self.strides, self.padding, self.output_padding, self.data_format, self.dilation_rate
        )
        return self._finish(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "output_padding": self.output_padding}


class Conv1DTranspose(ConvTranspose):
    """Transposed convolution of (n, steps, channels)."""

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed convolution of (n, height, width, channels)."""

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """Transposed convolution of (n, depth, height, width, channels)."""

    rank = 3


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
