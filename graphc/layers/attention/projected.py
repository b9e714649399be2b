"""What attention layers with projections share: their options, the projections, and how masks combine."""

from __future__ import annotations

import string
from typing import Any

from graphc import ops, regularizers
from graphc.layers.core import serialized_weight_options, take_weight_options
from graphc.layers.einsum_dense import EinsumDense
from graphc.layers.layer import Layer
from graphc.layers.regularization import Dropout

WEIGHTS = ("kernel", "bias")


class ProjectedAttention(Layer):
    """Projects query, key and value into heads, attends, and projects what the heads found."""

    def __init__(
        self,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        use_gate: bool,
        seed: Any,
        weights: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if flash_attention:
            raise ValueError(f"{type(self).__name__}: flash_attention is not an option here; pass None")
        if sliding_window is not None and (not isinstance(sliding_window, int) or sliding_window <= 0):
            raise ValueError(
                f"`sliding_window` must be `None` or a positive integer. Received: sliding_window={sliding_window}"
            )
        self.supports_masking = True
        self.dropout, self.use_bias, self.use_gate = dropout, use_bias, use_gate
        self.sliding_window, self.seed = sliding_window, seed
        take_weight_options(self, weights, *WEIGHTS)

    # ---- projections

    def projection(self, name: str, shape: Any, bound: int, sizes: tuple[int, ...], activation: Any = None) -> Any:
        """A dense layer over the last `bound` axes of an input of this shape, into axes of `sizes`."""
        equation, bias_axes, rank = projection_equation(len(shape) - bound, bound, len(sizes))
        options = {f"{w}_{o}": getattr(self, f"{w}_{o}") for w in WEIGHTS for o in ("regularizer", "constraint")}
        for weight in WEIGHTS:  # every projection draws a seed of its own
            values = getattr(self, f"{weight}_initializer")
            options[f"{weight}_initializer"] = type(values).from_config(values.get_config())
        layer = EinsumDense(
            equation,
            output_shape=(None,) * (rank - 1 - len(sizes)) + sizes,
            bias_axes=bias_axes if self.use_bias else None,
            activation=activation,
            name=name,
            activity_regularizer=self.activity_regularizer,
            dtype=self.dtype_policy,
            **options,
        )
        layer.build(tuple(shape))
        layer.supports_masking = True  # masks are merged here, it need not warn of them
        return layer

    def build_dropout(self) -> None:
        self._dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, seed=self.seed)

    # ---- masks

    def compute_mask(self, query: Any, value: Any = None, **masks: Any) -> Any:  # type: ignore[override]
        return mask_of(query)

    def merged_mask(self, query: Any, value: Any, masks: dict[str, Any], attention_mask: Any, causal: bool) -> Any:
        """Where queries may look, broadcast to (n, time, source), or None for everywhere."""
        if value.shape[1] == 0:
            raise ValueError(f"Layer '{self.name}': a value of shape {tuple(value.shape)} has no steps to attend to")
        merged = None
        for which, mask in masks.items():
            if mask is not None:
                steps = step_mask(mask, query if which == "query" else value, f"{which}_mask", self.name)
                merged = _both(merged, ops.expand_dims(steps, -1 if which == "query" else -2))
        if causal:
            merged = _both(merged, causal_mask(query.shape[1], value.shape[1]))
        if self.sliding_window is not None:
            merged = _both(merged, window_mask(query.shape[1], value.shape[1], self.sliding_window))
        if attention_mask is not None:
            _check_mask(attention_mask, query, value, self.name)
            merged = _both(merged, ops.cast(ops.convert_to_tensor(attention_mask), "bool"))
        return merged

    # ---- configuration

    def shared_options(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in ("dropout", "use_bias", "use_gate", "sliding_window", "seed")}
        penalty = {"activity_regularizer": regularizers.serialize(self.activity_regularizer)}
        return {**found, **serialized_weight_options(self, *WEIGHTS), **penalty}


def projection_equation(free: int, bound: int, made: int) -> tuple[str, str, int]:
    """(einsum equation, labels of the bias, rank of the result): kept axes, axes summed over, new axes."""
    letters = string.ascii_lowercase
    kept, summed, new = letters[:free], letters[free : free + bound], letters[free + bound : free + bound + made]
    return f"{kept}{summed},{summed}{new}->{kept}{new}", new, free + made


def causal_mask(times: Any, sources: Any) -> Any:
    """(1, time, source): no query sees what comes after it."""
    rows, columns = ops.arange(int(times)), ops.arange(int(sources))
    return ops.greater_equal(ops.reshape(rows, (1, -1, 1)), ops.reshape(columns, (1, 1, -1)))


def window_mask(times: Any, sources: Any, width: int) -> Any:
    """(1, time, source): every query sees sources less than `width` steps away."""
    rows, columns = ops.arange(int(times)), ops.arange(int(sources))
    distance = ops.abs(ops.reshape(rows, (1, -1, 1)) - ops.reshape(columns, (1, 1, -1)))
    return ops.less(distance, width)


def given_masks(query: tuple[Any, Any], value: tuple[Any, Any], key: tuple[Any, Any]) -> dict[str, Any]:
    """The masks of (input, mask given for it): one that is not given comes with the input, if key is not value."""
    is_own_key = key[0] is not None and key[0] is not value[0]
    found = {name: mask_of(x) if mask is None else mask for name, (x, mask) in {"query": query, "value": value}.items()}
    return {**found, "key": mask_of(key[0]) if key[1] is None and is_own_key else key[1]}


def mask_of(x: Any) -> Any:
    """The mask that came with a tensor, or None."""
    return getattr(x, "_keras_mask", None)


def step_mask(mask: Any, x: Any, argument: str, name: str) -> Any:
    """A mask of the steps of x (n, steps, features), as bool. ValueError if its shape does not fit."""
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    steps, found = x.shape[1], tuple(mask.shape)
    if len(x.shape) == 3 and (len(found) != 2 or found[1] not in (1, steps)):
        raise ValueError(
            f"Layer '{name}': `{argument}` has the shape {found}, wanted (batch, {steps}) for a tensor of shape "
            f"{tuple(x.shape)}"
        )
    return mask


def _both(a: Any, b: Any) -> Any:
    return b if a is None else ops.logical_and(a, b)


def _check_mask(mask: Any, query: Any, value: Any, name: str) -> None:
    times, sources = query.shape[1], value.shape[1]
    if len(query.shape) != 3:
        return
    shape = tuple(mask.shape)
    if len(shape) < 2 or shape[-1] not in (1, sources) or shape[-2] not in (1, times):
        raise ValueError(
            f"Layer '{name}': `attention_mask` has the shape {shape}, wanted (batch, {times}, {sources}) "
            "(batch, query steps, value steps), or sizes of 1 in its place"
        )
