"""Normalisation layers."""

from __future__ import annotations

from typing import Any

from graphc import config, initializers, ops
from graphc.layers.core import serialized_weight_options, take_weight_options
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer


class ScaledNormalization(Layer):
    """What normalisations share: epsilon, and weights gamma (unless scale is False) and beta (unless center is)."""

    gamma: Any
    beta: Any

    def __init__(self, epsilon: float, center: bool, scale: bool, options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.gamma = self.beta = None
        take_weight_options(self, options, "beta", "gamma")
        self.supports_masking = True

    def _add_scaling(self, shape: tuple[int, ...]) -> None:
        for name, wanted in (("gamma", self.scale), ("beta", self.center)):
            if wanted:
                weight = self.add_weight(
                    shape, getattr(self, f"{name}_initializer"), name=name, autocast=False,
                    regularizer=getattr(self, f"{name}_regularizer"), constraint=getattr(self, f"{name}_constraint"),
                )  # fmt: skip
                setattr(self, name, weight)

    def get_config(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("epsilon", "center", "scale")}
        return {**super().get_config(), **plain, **serialized_weight_options(self, "beta", "gamma")}


def weight_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """The options of gamma and beta among a constructor's arguments."""
    return {name: value for name, value in arguments.items() if name.startswith(("beta_", "gamma_"))}


def wide(x: Any) -> Any:
    """Statistics are taken in float32 at least."""
    return x if x.dtype in ("float32", "float64") else ops.cast(x, "float32")


class BatchNormalization(ScaledNormalization):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, per index of `axis`.

    Training uses the batch's mean and biased variance and moves the moving statistics towards them by 1 - momentum;
    inference, and a layer with trainable=False, uses the moving statistics. renorm: training corrects the batch's
    statistics towards moving ones of their own (Ioffe 2017), within the limits "rmin", "rmax" and "dmax" of
    renorm_clipping.
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
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(float(epsilon), center, scale, weight_options(locals()), **kwargs)
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm = renorm
        self.renorm_clipping = _checked_clipping(renorm_clipping or {}) if renorm else renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized

    def build(self, input_shape: Any) -> None:
        size = input_shape[self.axis]
        self._add_scaling((size,))
        self.moving_mean = self._add_state("moving_mean", size, self.moving_mean_initializer)
        self.moving_variance = self._add_state("moving_variance", size, self.moving_variance_initializer)
        if self.renorm:
            self.moving_stddev = self._add_state("moving_stddev", size, self._first_deviation)
            self.renorm_mean = self._add_state("renorm_mean", size, self.moving_mean_initializer)
            self.renorm_stddev = self._add_state("renorm_stddev", size, self._first_deviation)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})

    def _add_state(self, name: str, size: int, initializer: Any) -> Any:
        return self.add_weight((size,), initializer, name=name, trainable=False, autocast=False)

    def _first_deviation(self, shape: Any, dtype: Any = None) -> Any:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
            raise ValueError(
                "The mask provided should be one dimension less than the inputs. Received: "
                f"mask.shape={ops.shown(mask.shape)}, inputs.shape={ops.shown(inputs.shape)}"
            )
        x = wide(inputs)
        mean, variance = self.moving_mean, self.moving_variance
        gamma, beta = self.gamma, self.beta
        if training and self.trainable:
            mean, variance = self._batch_statistics(x, mask)
            if self.renorm:
                gamma, beta = self._renormalized(mean, variance)
            else:
                _move(self.moving_mean, mean, self.momentum)
                _move(self.moving_variance, variance, self.momentum)
        axis = self.axis % len(x.shape)
        return ops.cast(ops.batch_normalization(x, mean, variance, axis, beta, gamma, self.epsilon), self.compute_dtype)

    def _batch_statistics(self, x: Any, mask: Any) -> tuple[Any, Any]:
        rank = len(x.shape)
        axes = [axis for axis in range(rank) if axis != self.axis % rank]
        if mask is None:
            moments: tuple[Any, Any] = ops.moments(x, axes)
            return moments
        valid = ops.broadcast_to(ops.expand_dims(ops.cast(mask, "bool"), -1), ops.shape(x))
        count = ops.sum(ops.cast(valid, x.dtype), axes, keepdims=True) + config.epsilon()
        mean = ops.sum(ops.where(valid, x, 0.0), axes, keepdims=True) / count
        spread = ops.where(valid, ops.square(x - mean), 0.0)
        return ops.squeeze(mean, axes), ops.squeeze(ops.sum(spread, axes, keepdims=True) / count, axes)

    def _renormalized(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """gamma and beta that move the batch's statistics to the moving ones; moves those."""
        deviation = ops.sqrt(variance + self.epsilon)
        wanted = ops.maximum(self.renorm_stddev, self.epsilon**0.5)
        limits = self.renorm_clipping or {}
        ratio, shift = deviation / wanted, (mean - self.renorm_mean) / wanted
        if limits.get("rmin") is not None:
            ratio = ops.maximum(ratio, limits["rmin"])
        if limits.get("rmax") is not None:
            ratio = ops.minimum(ratio, limits["rmax"])
        if limits.get("dmax") is not None:
            shift = ops.clip(shift, -limits["dmax"], limits["dmax"])
        ratio, shift = ops.stop_gradient(ratio), ops.stop_gradient(shift)
        _move(self.renorm_mean, mean, self.renorm_momentum)
        _move(self.renorm_stddev, deviation, self.renorm_momentum)
        _move(self.moving_mean, mean, self.momentum)
        _move(self.moving_stddev, deviation, self.momentum)
        self.moving_variance.assign(ops.relu(ops.square(self.moving_stddev) - self.epsilon))
        gamma = ratio if self.gamma is None else ratio * self.gamma
        beta = shift if self.gamma is None else shift * self.gamma
        return gamma, beta if self.beta is None else beta + self.beta

    def get_config(self) -> dict[str, Any]:
        names = ("axis", "momentum", "renorm", "renorm_clipping", "renorm_momentum", "synchronized")
        moving = ("moving_mean_initializer", "moving_variance_initializer")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            **{name: initializers.serialize(getattr(self, name)) for name in moving},
        }


def _move(moving: Any, batch: Any, momentum: float) -> None:
    moving.assign(moving * momentum + ops.stop_gradient(batch) * (1.0 - momentum))


def _checked_clipping(limits: dict[str, float]) -> dict[str, float]:
    known = ["rmax", "rmin", "dmax"]
    if set(limits) - set(known):
        raise ValueError(f"Received invalid keys for `renorm_clipping` argument: {limits}. Supported values: {known}.")
    least, most, shift = (limits.get(name) for name in ("rmin", "rmax", "dmax"))
    if least is not None and most is not None and most < least:
        raise ValueError(
            f"rmax should be greater than rmin in the `renorm_clipping` argument. Received: rmax={most}, rmin={least}."
        )
    if shift is not None and shift < 0:
        raise ValueError(f"dmax should be non-negative in the `renorm_clipping` argument. Received: dmax={shift}.")
    return limits


class LayerNormalization(ScaledNormalization):
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
        if kwargs.pop("rms_scaling", False):
            raise NotImplementedError("LayerNormalization: rms_scaling=True is not supported; use RMSNormalization")
        super().__init__(epsilon, center, scale, weight_options(locals()), **kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(f"Expected an int or a list/tuple of ints for the argument 'axis', but received: {axis!r}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis

    def build(self, input_shape: Any) -> None:
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        self._add_scaling(tuple(input_shape[axis] for axis in axes))

    def call(self, inputs: Any) -> Any:
        outputs = ops.layer_normalization(wide(inputs), self.gamma, self.beta, self.axis, self.epsilon)
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "rms_scaling": False}


class GroupNormalization(ScaledNormalization):
    """The channels on `axis` in equal groups; in every sample each group is normalised, then scaled and moved.

    groups: -1 for groups of one channel (instance normalisation). Wu and He 2018.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
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
        super().__init__(epsilon, center, scale, weight_options(locals()), **kwargs)
        if not isinstance(groups, int) or (groups <= 0 and groups != -1):
            raise ValueError(
                "Received an invalid value for argument `groups`, expected a positive integer (or `-1` for instance "
                f"normalization). Received: groups={groups}"
            )
        self.groups = groups
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        size = input_shape[self.axis]
        if size is None:
            raise ValueError(
                f"Axis {self.axis} of input tensor should have a defined dimension but the layer received an input "
                f"with shape {input_shape}."
            )
        self.groups = size if self.groups == -1 else self.groups
        if size < self.groups:
            raise ValueError(f"Number of groups ({self.groups}) cannot be more than the number of channels ({size}).")
        if size % self.groups:
            raise ValueError(f"Number of groups ({self.groups}) must be a multiple of the number of channels ({size}).")
        self._add_scaling((size,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})

    def call(self, inputs: Any) -> Any:
        axis = self.axis % len(inputs.shape)
        split = (self.groups, int(inputs.shape[axis]) // self.groups)
        sizes = (*inputs.shape[:axis], *split, *inputs.shape[axis + 1 :])
        x = ops.reshape(wide(inputs), sizes)
        own = [1] * len(sizes)
        own[axis : axis + 2] = split
        mean, variance = ops.moments(x, [d for d in range(1, len(sizes)) if d != axis], keepdims=True)
        inverse = ops.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            inverse = inverse * ops.reshape(self.gamma, own)
        shift = -mean * inverse
        if self.beta is not None:
            shift = shift + ops.reshape(self.beta, own)
        return ops.cast(ops.reshape(x * inverse + shift, inputs.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}


class RMSNormalization(Layer):
    """x / sqrt(mean(x^2) + epsilon) over `axis`, times a learned scale (Zhang and Sennrich 2019)."""

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        self.axis = sorted(self.axis) if isinstance(self.axis, (list, tuple)) else [self.axis]
        self.scale = self.add_weight(tuple(input_shape[axis] for axis in self.axis), "ones", name="scale")

    def call(self, inputs: Any) -> Any:
        rank = len(inputs.shape)
        axes = [axis % rank for axis in self.axis]
        x = wide(inputs)
        inverse = ops.rsqrt(ops.mean(ops.square(x), axis=axes, keepdims=True) + self.epsilon)
        sizes = [int(dim) if axis in axes else 1 for axis, dim in enumerate(x.shape)]
        return ops.cast(x * inverse * ops.reshape(self.scale, sizes), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class UnitNormalization(Layer):
    """Every sample divided by its Euclidean norm along `axis`."""

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(
                f"Invalid value for `axis` argument: expected an int or a list/tuple of ints. Received: axis={axis}"
            )
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        squares = ops.sum(ops.square(inputs), axis=self.axis, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squares, 1e-24))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
