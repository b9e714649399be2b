"""Activation functions by name: `keras.activations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc import ops
from graphc.ops import (
    celu,
    elu,
    exp,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from graphc.saving.registry import get_registered_object, unknown_name

__all__ = ["deserialize", "get", "linear", "relu", "serialize"]


def linear(x: Any) -> Any:
    """The identity."""
    return x


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """max(x, 0), with a slope below the threshold and a limit above if they are given."""
    if not negative_slope and not threshold:
        rectified = ops.relu(x)
        return rectified if max_value is None else ops.minimum(rectified, float(max_value))
    below = negative_slope * (x - threshold)
    above = x if max_value is None else ops.minimum(x, float(max_value))
    return (
        ops.where(ops.greater_equal(x, threshold), above, below)
        if threshold
        else ops.maximum(above, 0.0) + ops.minimum(below, 0.0)
    )


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function at x, exact unless `approximate`."""
    return ops.gelu(x, approximate)


def mish(x: Any) -> Any:
    """x * tanh(softplus(x))."""
    return x * tanh(softplus(x))


exponential = exp
swish, hard_swish = silu, hard_silu
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "celu": celu,
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "sparsemax": sparsemax,
    "squareplus": squareplus,
    "swish": silu,
    "tanh": tanh,
    "tanh_shrink": tanh_shrink,
    "threshold": threshold,
}
_NAMES = {function: name for name, function in reversed(_FUNCTIONS.items()) if name not in ("swish", "hard_swish")}


def serialize(activation: Any) -> Any:
    """The name of an activation function, or the config of a layer used as one."""
    if activation in _NAMES:
        return _NAMES[activation]
    from graphc.saving.registry import get_registered_name, serialize_object

    if hasattr(activation, "get_config"):
        return serialize_object(activation, "keras.layers")
    return {"module": "builtins", "class_name": "function", "config": activation.__name__,
            "registered_name": get_registered_name(activation)}  # fmt: skip


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation of a name or config. ValueError for an unknown name, with the nearest known one."""
    if isinstance(config, Mapping) and config.get("class_name") != "function":
        from graphc import layers

        return layers.deserialize(config, custom_objects)
    name = config["config"] if isinstance(config, Mapping) else config
    found = get_registered_object(name, custom_objects, _FUNCTIONS)
    if found is None:
        raise ValueError(unknown_name("activation function", name, _FUNCTIONS))
    return found


def get(identifier: Any) -> Any:
    """The function a name, config or callable stands for; None is `linear`."""
    if identifier is None:
        return linear
    if isinstance(identifier, (str, Mapping)):
        return deserialize(identifier)
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not interpret activation function identifier: {identifier}")
