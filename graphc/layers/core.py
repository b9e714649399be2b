"""Dense, Embedding, activations as layers, and small ones: Identity, Lambda, Rescaling, InputLayer."""

from __future__ import annotations

import warnings
from typing import Any

from graphc import activations, config, constraints, initializers, ops, regularizers
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer
from graphc.operation import Node
from graphc.tensor import KerasTensor


class InputLayer(Layer):
    """The start of a functional model: one tensor of a given shape."""

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: Any = None,
        ragged: Any = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        config.standardize_dtype(dtype)  # whose error says more than that of the policy
        super().__init__(name=name, dtype=dtype, **kwargs)
        if input_tensor is not None:
            shape, batch_shape, dtype = None, input_tensor.shape, input_tensor.dtype
        if shape is not None and batch_shape is not None:
            raise ValueError("You cannot pass both `shape` and `batch_shape` at the same time.")
        if shape is None and batch_shape is None:
            raise ValueError("You must pass a `shape` argument.")
        if shape is not None:
            sizes = (shape,) if isinstance(shape, int) else tuple(shape)
            batch_shape = (batch_size, *_checked_sizes(sizes))
        self.batch_shape = tuple(batch_shape)
        self._dtype = config.standardize_dtype(dtype)
        self.built = True
        self.tensor = (
            KerasTensor(self.batch_shape, self._dtype, name=self.name) if input_tensor is None else input_tensor
        )
        Node(self, (), {}, self.tensor)

    @property
    def dtype(self) -> str:
        return self._dtype

    def call(self) -> Any:
        raise NotImplementedError("an InputLayer is not called")

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": False,
        }


def _checked_sizes(sizes: tuple[Any, ...]) -> tuple[int | None, ...]:
    for size in sizes:
        if size is not None and (not isinstance(size, int) or size < 0):
            raise ValueError(
                f"Cannot convert '{sizes}' to a shape. Found invalid dimension '{size}' of type '{type(size)}'."
            )
    return sizes


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: Any = None,
    ragged: Any = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> Any:
    """A KerasTensor to begin a functional model with; `shape` does not contain the batch."""
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)
    return layer.tensor


class Dense(Layer):
    """activation(x @ kernel + bias) on the last axis: (..., in) to (..., units)."""

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        refuse_adapters(self, lora_rank, quantization_config)
        self.units = checked_count("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        self.kernel = self.add_weight(
            (width, self.units), self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, name="bias", regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )  # fmt: skip
        self.input_spec = InputSpec(min_ndim=2, axes={-1: width})

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **serialized_weight_options(self, "kernel", "bias"),
            "quantization_config": None,
        }


def refuse_adapters(layer: Layer, lora_rank: Any, quantization_config: Any) -> None:
    """NotImplementedError for Keras's options that graphc has not."""
    for name, value in (("lora_rank", lora_rank), ("quantization_config", quantization_config)):
        if value is not None:
            raise NotImplementedError(
                f"{type(layer).__name__}: {name}={value!r} is not supported; leave it out (train the full weights)"
            )


def checked_count(layer: str, name: str, value: Any) -> int:
    """A positive whole number. ValueError in Keras's words otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(
            f"Received an invalid value for `{name}`, expected a positive integer. Received: {name}={value}"
        )
    return value


WEIGHT_OPTIONS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}


def take_weight_options(layer: Any, options: dict[str, Any], *weights: str) -> None:
    """Set `<weight>_initializer`, `_regularizer` and `_constraint` of a layer from what its constructor was given."""
    for option, module in WEIGHT_OPTIONS.items():
        for weight in weights:
            setattr(layer, f"{weight}_{option}", module.get(options[f"{weight}_{option}"]))


def serialized_weight_options(layer: Any, *weights: str) -> dict[str, Any]:
    """The config entries `<weight>_initializer`, `_regularizer` and `_constraint` of a layer."""
    return {
        f"{weight}_{option}": module.serialize(getattr(layer, f"{weight}_{option}"))
        for option, module in WEIGHT_OPTIONS.items()
        for weight in weights
    }


class Embedding(Layer):
    """Rows of a table: integers (...) in [0, input_dim) to (..., output_dim)."""

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        length = kwargs.pop("input_length", None)
        if length is not None:
            warnings.warn("Argument `input_length` is deprecated. Just remove it.", stacklevel=2)
        super().__init__(**kwargs)
        refuse_adapters(self, lora_rank, quantization_config)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self._makes_mask = mask_zero
        self.autocast = False
        self._given_weights = weights
        if weights is not None:
            self.build(None)
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim), self.embeddings_initializer, name="embeddings",
            regularizer=self.embeddings_regularizer, constraint=self.embeddings_constraint,
        )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        return ops.embedding_lookup(self.embeddings, inputs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            **serialized_weight_options(self, "embeddings"),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "mask_zero": self.mask_zero,
            "quantization_config": None,
        }


class ReversibleEmbedding(Embedding):
    """An embedding that also leads back: called with reverse=True, (..., output_dim) gives logits (..., input_dim).

    tie_weights: the way back uses the transposed table, otherwise weights of its own. reverse_dtype: dtype of that
    product. logit_soft_cap c: logits become c * tanh(logits / c).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero,
            **kwargs,
        )  # fmt: skip
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            shape = (self.output_dim, self.input_dim)
            self.reverse_embeddings = self.add_weight(shape, self.embeddings_initializer, name="reverse_embeddings")

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if not reverse:
            return super().call(inputs)
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype is not None:
            inputs, kernel = ops.cast(inputs, self.reverse_dtype), ops.cast(kernel, self.reverse_dtype)
        logits = ops.matmul(inputs, kernel)
        cap = self.logit_soft_cap
        return logits if cap is None else ops.tanh(logits / cap) * cap

    def _set_masks(self, arguments: dict[str, Any], outputs: Any, kwargs: dict[str, Any]) -> None:
        if not arguments.get("reverse"):
            super()._set_masks(arguments, outputs, kwargs)

    def get_config(self) -> dict[str, Any]:
        names = ("tie_weights", "reverse_dtype", "logit_soft_cap")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class Masking(Layer):
    """(n, steps, features): steps whose features all equal mask_value become 0 and are masked."""

    _makes_mask = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        valid = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(valid, inputs, ops.zeros_like(inputs))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}


class Identity(Layer):
    """The input."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


class Lambda(Layer):
    """A function as a layer; `arguments` are passed to it as keywords."""

    def __init__(
        self, function: Any, output_shape: Any = None, mask: Any = None, arguments: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.function = function
        self.arguments = dict(arguments or {})
        self._output_shape = output_shape
        self.mask = mask
        self.supports_masking = mask is not None

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        import inspect

        known = inspect.signature(self.function).parameters
        extra = {name: value for name, value in (("mask", mask), ("training", training)) if name in known}
        return self.function(inputs, **{**self.arguments, **extra})

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        from graphc.saving.lambdas import function_config  # saving knows all layers

        config = {**super().get_config(), "function": function_config(self.function, self.name)}
        if self._output_shape is not None:
            config["output_shape"] = function_config(self._output_shape, self.name)
        if self.mask is not None:
            config["mask"] = function_config(self.mask, self.name)
        return {**config, "arguments": self.arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Lambda:
        """ValueError if the function was a Python lambda that is not given as `custom_objects={name of layer: ...}`."""
        from graphc.saving.lambdas import function_from

        old = ("module", "function_type", "output_shape_type", "output_shape_module", "mask")
        given = {key: value for key, value in config.items() if key not in old}
        given["function"] = function_from(given["function"], str(given.get("name")))
        if isinstance(given.get("output_shape"), dict):
            given["output_shape"] = function_from(given["output_shape"], str(given.get("name")))
        if config.get("mask") is not None:
            given["mask"] = function_from(config["mask"], str(given.get("name")))
        return cls(**given)


class Rescaling(Layer):
    """x * scale + offset, as floats."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)
        return x * ops.cast(self.scale, self.compute_dtype) + ops.cast(self.offset, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}
