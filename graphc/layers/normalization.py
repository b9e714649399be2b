"""Normalisation layers."""

from __future__ import annotations

from typing import Any

from graphc import constraints, initializers, ops, regularizers
from graphc.layers.core import serialized_weight_options
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer


class BatchNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, per index of `axis`.

    Training uses the batch's mean and biased variance and moves the moving statistics towards them by 1 - momentum;
    inference, and a layer with trainable=False, uses the moving statistics.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.synchronized = synchronized
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        size = input_shape[self.axis]
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                (size,), self.gamma_initializer, name="gamma", regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )  # fmt: skip
        if self.center:
            self.beta = self.add_weight(
                (size,), self.beta_initializer, name="beta", regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )  # fmt: skip
        self.moving_mean = self.add_weight((size,), self.moving_mean_initializer, name="moving_mean", trainable=False)
        self.moving_variance = self.add_weight(
            (size,), self.moving_variance_initializer, name="moving_variance", trainable=False
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = self._batch_statistics(inputs, mask)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + ops.stop_gradient(batch) * (1.0 - self.momentum))
        axis = self.axis % len(inputs.shape)
        return ops.batch_normalization(inputs, mean, variance, axis, self.beta, self.gamma, self.epsilon)

    def _batch_statistics(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        rank = len(inputs.shape)
        axes = [axis for axis in range(rank) if axis != self.axis % rank]
        if mask is None:
            moments: tuple[Any, Any] = ops.moments(inputs, axes)
            return moments
        weights = ops.expand_dims(ops.cast(mask, inputs.dtype), list(range(len(mask.shape), rank)))
        weights = weights + ops.zeros_like(inputs)
        total = ops.sum(weights, axes)
        wide = [1] * rank
        wide[self.axis] = -1
        mean = ops.sum(inputs * weights, axes) / total
        spread = ops.square(inputs - ops.reshape(mean, wide)) * weights
        return mean, ops.sum(spread, axes) / total

    def get_config(self) -> dict[str, Any]:
        options = serialized_weight_options(self, "beta", "gamma")
        moving = {
            name: initializers.serialize(getattr(self, name))
            for name in ("moving_mean_initializer", "moving_variance_initializer")
        }
        plain = ("axis", "momentum", "epsilon", "center", "scale", "synchronized")
        return {**super().get_config(), **{name: getattr(self, name) for name in plain}, **options, **moving}


class LayerNormalization(Layer):
    """Every sample normalised over `axis` to mean 0 and variance 1, then scaled by gamma and moved by beta."""

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(f"Expected an int or a list/tuple of ints for the argument 'axis', but received: {axis!r}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        shape = tuple(input_shape[axis] for axis in axes)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, name="gamma", regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )  # fmt: skip
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, name="beta", regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        return ops.layer_normalization(inputs, self.gamma, self.beta, self.axis, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("axis", "epsilon", "center", "scale")}
        return {**super().get_config(), **plain, **serialized_weight_options(self, "beta", "gamma")}
