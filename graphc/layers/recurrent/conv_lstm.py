"""LSTM layers whose products are convolutions (Shi et al., 2015)."""

from __future__ import annotations

from typing import Any

from graphc import activations, config, ops
from graphc.layers.convolutional import standardize_padding, window_sizes
from graphc.layers.core import serialized_weight_options, take_weight_options
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer
from graphc.layers.recurrent.cells import WEIGHTS, Dropping, forgetting
from graphc.layers.recurrent.rnn import OwnCell
from graphc.random import SeedGenerator

GATES = 4


class ConvLSTMCell(Layer, Dropping):
    """One step on images (n, spatial.., channels): states h and c are images of `filters` channels."""

    output_is_state = True

    def __init__(self, rank: int, options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank = rank
        self.seed = options["seed"]
        self.seed_generator = SeedGenerator(self.seed)
        self.filters = options["filters"]
        self.kernel_size = window_sizes(options["kernel_size"], rank, "kernel_size")
        self.strides = window_sizes(options["strides"], rank, "strides")
        self.dilation_rate = window_sizes(options["dilation_rate"], rank, "dilation_rate")
        self.padding = standardize_padding(options["padding"])
        self.data_format = config.standardize_data_format(options["data_format"])
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "Specifying `strides > 1` is not compatible with `dilation_rate > 1`. Please provide `strides=1` or "
                f"`dilation_rate=1`. Received: strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        self.activation = activations.get(options["activation"])
        self.recurrent_activation = activations.get(options["recurrent_activation"])
        self.use_bias, self.unit_forget_bias = options["use_bias"], options["unit_forget_bias"]
        take_weight_options(self, options, *WEIGHTS)
        self.dropout = min(1.0, max(0.0, options["dropout"]))
        self.recurrent_dropout = min(1.0, max(0.0, options["recurrent_dropout"]))
        self.mask_count = GATES if self.dropout or self.recurrent_dropout else None
        self.state_size = [-1, -1]  # images, whose size is known when the cell is built

    @property
    def is_last(self) -> bool:
        return self.data_format == "channels_last"

    def build(self, inputs_shape: Any, states_shape: Any = None) -> None:
        spatial = tuple(inputs_shape[1:-1] if self.is_last else inputs_shape[2:])
        channels = inputs_shape[-1 if self.is_last else 1]
        if None in spatial or channels is None:
            raise ValueError(
                "ConvLSTM layers only support static input shapes for the spatial dimension and the channels. Received "
                f"invalid input shape: input_shape={tuple(inputs_shape)}"
            )
        self.image_shape = (*spatial, channels) if self.is_last else (channels, *spatial)
        width = GATES * self.filters
        self.kernel = self._weight("kernel", (*self.kernel_size, channels, width))
        self.recurrent_kernel = self._weight("recurrent_kernel", (*self.kernel_size, self.filters, width), "recurrent")
        self.bias = self._weight("bias", (width,)) if self.use_bias else None

    def _weight(self, name: str, shape: tuple[int, ...], options: str = "") -> Any:
        prefix = options or name
        values = getattr(self, f"{prefix}_initializer")
        if name == "bias" and self.unit_forget_bias:
            values = forgetting(values, self.filters)
        regularizer, constraint = getattr(self, f"{prefix}_regularizer"), getattr(self, f"{prefix}_constraint")
        return self.add_weight(shape, values, name=name, regularizer=regularizer, constraint=constraint)

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros of the shape that the input's convolution has."""
        image = ops.zeros((batch_size, *self.image_shape), dtype=self.compute_dtype)
        kernel = ops.zeros((*self.kernel_size, self.kernel.shape[-2], self.filters), dtype=self.compute_dtype)
        zeros = ops.zeros_like(self._input_conv(image, kernel))
        return [zeros, zeros]

    def _input_conv(self, x: Any, kernel: Any) -> Any:
        return ops.conv(x, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

    def _state_conv(self, h: Any, kernel: Any) -> Any:
        return ops.conv(h, kernel, 1, "same", self.data_format)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        i, f, candidate, o = self._gates(self.dropped(inputs, training), self.dropped_state(h, training))
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(candidate)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]

    def _gates(self, x: Any, h: Any) -> list[Any]:
        """What goes into each gate."""
        if self.mask_count is None:
            z = self._with_bias(self._input_conv(x, self.kernel), self.bias) + self._state_conv(
                h, self.recurrent_kernel
            )
            return list(ops.split(z, GATES, axis=-1 if self.is_last else 1))
        kernels, recurrent = (ops.split(w, GATES, axis=-1) for w in (self.kernel, self.recurrent_kernel))
        biases = [None] * GATES if self.bias is None else ops.split(self.bias, GATES)
        return [
            self._with_bias(self._input_conv(x[g], kernels[g]), biases[g]) + self._state_conv(h[g], recurrent[g])
            for g in range(GATES)
        ]

    def _with_bias(self, x: Any, bias: Any) -> Any:
        if bias is None:
            return x
        return x + (bias if self.is_last else ops.reshape(bias, (1, -1, *([1] * self.rank))))

    def options(self) -> dict[str, Any]:
        """The arguments of the layer, in config form."""
        names = ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "use_bias",
                 "unit_forget_bias", "dropout", "recurrent_dropout", "seed")  # fmt: skip
        found = {name: getattr(self, name) for name in names}
        for name in ("activation", "recurrent_activation"):
            found[name] = activations.serialize(getattr(self, name))
        return {**found, **serialized_weight_options(self, *WEIGHTS)}


class ConvLSTM(OwnCell):
    """A convolutional LSTM over (n, steps, spatial.., channels)."""

    rank = 0

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        given = dict(locals())
        beside = {"dtype": kwargs.get("dtype"), "trainable": kwargs.get("trainable", True)}
        cell = ConvLSTMCell(self.rank, given, name=f"conv_lstm{self.rank}d_cell", **beside)
        super().__init__(
            cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
            stateful=stateful, activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=self.rank + 3)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """The shapes of what `call` returns."""
        return Layer.compute_output_shape(self, sequences_shape)


class ConvLSTM1D(ConvLSTM):
    """See `ConvLSTM`: (n, steps, length, channels)."""

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """See `ConvLSTM`: (n, steps, height, width, channels)."""

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """See `ConvLSTM`: (n, steps, depth, height, width, channels)."""

    rank = 3
