"""Multi-head attention (Vaswani et al., 2017), and with fewer heads for keys and values than for queries."""

from __future__ import annotations

import math
from typing import Any

from graphc import ops
from graphc.layers.activation import Softmax
from graphc.layers.attention.decoding import current_decoding, with_memory
from graphc.layers.attention.projected import ProjectedAttention, given_masks


class MultiHeadAttention(ProjectedAttention):
    """(n, time, features) of the query and (n, source, features) of value and key to (n, time, output).

    Every head has projections of its own; scores are scaled by 1 / sqrt(key_dim). Masks of query, value and key, an
    `attention_mask` (n, time, source) and `use_causal_mask` combine. `attention_axes`: the axes attended over, all
    between batch and features if None. Returns (output, scores (n, heads, time, source)) with
    `return_attention_scores`.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        _check_sizes(num_heads, key_dim, value_dim)
        weights = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        super().__init__(
            dropout, use_bias, sliding_window, flash_attention, use_gate, seed, weights,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim or key_dim
        if output_shape is not None and not isinstance(output_shape, (int, tuple, list)):
            raise ValueError(
                f"Invalid `output_shape`: {output_shape}. When specified, the `output_shape` should be of type tuple, "
                "list, or int."
            )
        self._output_sizes = (output_shape,) if isinstance(output_shape, int) else output_shape
        if attention_axes is not None and not isinstance(attention_axes, (int, tuple, list)):
            raise ValueError(
                f"`attention_axes` must be an int, list, or tuple.Received: attention_axes={attention_axes}"
            )
        self.attention_axes: Any = (attention_axes,) if isinstance(attention_axes, int) else attention_axes

    # ---- building

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:  # type: ignore[override]
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ValueError(
                "All dimensions of `value` and `key`, except the last one, must be equal. Received: "
                f"value_shape={tuple(value_shape)} and key_shape={tuple(key_shape)}"
            )
        heads = (self.num_heads, self.key_dim)
        self._query_dense = self.projection("query", query_shape, 1, heads)
        self._key_dense = self.projection("key", key_shape, 1, heads)
        wide = (self.num_heads, self.value_dim)
        if self.use_gate:
            self._gate_dense = self.projection("gate", query_shape, 1, wide, "sigmoid")
        self._value_dense = self.projection("value", value_shape, 1, wide)
        rank = len(query_shape) + 1
        axes = range(1, rank - 2) if self.attention_axes is None else self.attention_axes
        self.attention_axes = tuple(axis % (rank - 1) for axis in axes)
        self._equations = attention_equations(rank, self.attention_axes)
        self._softmax = Softmax(axis=tuple(range(-len(self.attention_axes), 0)), dtype=self.dtype_policy)
        self.build_dropout()
        sizes = tuple(self._output_sizes or (query_shape[-1],))
        self._output_dense = self.projection("attention_output", (*query_shape[:-1], *wide), 2, sizes)

    query_dense = property(lambda self: self._query_dense)
    key_dense = property(lambda self: self._key_dense)
    value_dense = property(lambda self: self._value_dense)
    output_dense = property(lambda self: self._output_dense)

    # ---- calling

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        masks = given_masks((query, query_mask), (value, value_mask), (key, key_mask))
        key = value if key is None else key
        is_plain = self.dropout == 0 and not return_attention_scores and len(query.shape) == 3
        is_causal = is_plain and use_causal_mask  # the product with scores knows causality itself
        mask = self.merged_mask(query, value, masks, attention_mask, use_causal_mask and not is_causal)
        gate = self._gate_dense(query) if self.use_gate else None
        q, k, v = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        if current_decoding() is not None:
            only_causal = use_causal_mask and len(query.shape) == 3 and not return_attention_scores
            k, v, mask = with_memory(self, k, v, only_causal, (attention_mask, *masks.values()))
            is_causal = False
        if is_plain:
            scale = 1.0 / math.sqrt(self.key_dim)
            wide = mask if mask is None else ops.expand_dims(mask, 1)
            output, scores = ops.dot_product_attention(q, k, v, mask=wide, scale=scale, is_causal=is_causal), None
        else:
            output, scores = self._attend(q, k, v, mask, training)
        output = self._output_dense(output if gate is None else output * gate)
        return (output, scores) if return_attention_scores else output

    def _attend(self, q: Any, k: Any, v: Any, mask: Any, training: bool | None) -> tuple[Any, Any]:
        """(what the heads found, their scores), with the scores as a tensor that can be dropped or returned."""
        products, combination = self._equations
        scores = ops.einsum(products, k, q * ops.cast(1.0 / math.sqrt(self.key_dim), q.dtype))
        if mask is not None:
            while len(mask.shape) < len(scores.shape):
                mask = ops.expand_dims(mask, -len(self.attention_axes) * 2 - 1)
        scores = self._softmax(scores, mask=mask)
        kept = self._dropout_layer(scores, training=training) if self.dropout > 0 else scores
        return ops.einsum(combination, kept, v), scores

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> Any:
        return (*query_shape[:-1], *(self._output_sizes or (query_shape[-1],)))

    def get_config(self) -> dict[str, Any]:
        own = {"num_heads": self.num_heads, "key_dim": self.key_dim, "value_dim": self.value_dim,
               "output_shape": self._output_sizes, "attention_axes": self.attention_axes}  # fmt: skip
        return {**super().get_config(), **self.shared_options(), **own}


def attention_equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """The einsum equations of the scores (key, query) and of what the scores select (scores, value).

    Operands are (n, other axes.., attended axes.., heads, channels) of this rank; scores (n, other.., heads, time..,
    source..).
    """
    target = "abcdefghijklmnopqrstuvwxyz"[:rank]
    others = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    source = "".join(next(others) if axis in axes else letter for axis, letter in enumerate(target))
    kept = [axis for axis in range(rank - 1) if axis not in axes]
    scores = "".join(target[a] for a in kept) + "".join(target[a] for a in axes) + "".join(source[a] for a in axes)
    return f"{source},{target}->{scores}", f"{scores},{source}->{target}"


def _check_sizes(num_heads: Any, key_dim: Any, value_dim: Any) -> None:
    for name, value in (("num_heads", num_heads), ("key_dim", key_dim)):
        if not isinstance(value, int) or value <= 0:
            raise ValueError(
                f"Received an invalid value for argument `{name}`, expected a positive integer. "
                f"Received: {name}={value}"
            )
    if value_dim is not None and (not isinstance(value_dim, int) or value_dim <= 0):
        raise ValueError(
            "Received an invalid value for argument `value_dim`, expected a positive integer or `None`. Received: "
            f"value_dim={value_dim}"
        )


class GroupedQueryAttention(ProjectedAttention):
    """Attention in which groups of query heads share a head of keys and values (Ainslie et al., 2023).

    (n, time, features) of the query and (n, source, features) of value and key to the query's shape.
    """

    _public_name = "GroupQueryAttention"  # what Keras calls it in files; its variables bear the class's name

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        if num_query_heads % num_key_value_heads:
            raise ValueError("`num_query_heads` must be divisible by `num_key_value_heads`.")
        weights = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        super().__init__(
            dropout, use_bias, sliding_window, flash_attention, use_gate, seed, weights,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.head_dim, self.num_query_heads, self.num_key_value_heads = head_dim, num_query_heads, num_key_value_heads

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:  # type: ignore[override]
        key_shape = value_shape if key_shape is None else key_shape
        many, few = (self.num_query_heads, self.head_dim), (self.num_key_value_heads, self.head_dim)
        self._query_dense = self.projection("query", query_shape, 1, many)
        self._key_dense = self.projection("key", key_shape, 1, few)
        if self.use_gate:
            self._gate_dense = self.projection("gate", query_shape, 1, many, "sigmoid")
        self._value_dense = self.projection("value", value_shape, 1, few)
        self.build_dropout()
        self._output_dense = self.projection("attention_output", (None, None, *many), 2, (query_shape[-1],))

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        masks = given_masks((query, query_mask), (value, value_mask), (key, key_mask))
        key = value if key is None else key
        is_plain = self.dropout == 0 and not return_attention_scores
        is_causal = is_plain and use_causal_mask
        mask = self.merged_mask(query, value, masks, attention_mask, use_causal_mask and not is_causal)
        gate = self._gate_dense(query) if self.use_gate else None
        q, k, v = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        if current_decoding() is not None:
            only_causal = use_causal_mask and not return_attention_scores
            k, v, mask = with_memory(self, k, v, only_causal, (attention_mask, *masks.values()))
            is_causal = False
        mask = mask if mask is None else ops.expand_dims(mask, 1)
        scores = None
        if is_plain:
            output = ops.dot_product_attention(q, k, v, mask=mask, is_causal=is_causal)
        else:
            output, scores = self._attend(q, k, v, mask, training)
        output = self._output_dense(output if gate is None else output * gate)
        return (output, scores) if return_attention_scores else output

    def _attend(self, q: Any, k: Any, v: Any, mask: Any, training: bool | None) -> tuple[Any, Any]:
        repeats = self.num_query_heads // self.num_key_value_heads
        k, v = (ops.repeat(x, repeats, axis=2) for x in (k, v))
        scores = ops.einsum("bquh,bkuh->buqk", q, k) / math.sqrt(self.head_dim)
        scores = Softmax(axis=-1, dtype=self.dtype_policy)(scores, mask=mask)
        kept = self._dropout_layer(scores, training=training) if self.dropout > 0 else scores
        return ops.einsum("buqk,bkuh->bquh", kept, v), scores

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> Any:
        if query_shape[-1] != value_shape[-1]:
            raise ValueError(
                "The last dimension of `query_shape` and `value_shape` must be equal, but are "
                f"{query_shape[-1]}, {value_shape[-1]}. Received: query_shape={query_shape}, value_shape={value_shape}"
            )
        return query_shape

    def get_config(self) -> dict[str, Any]:
        names = ("head_dim", "num_query_heads", "num_key_value_heads")
        return {**super().get_config(), **self.shared_options(), **{name: getattr(self, name) for name in names}}


GroupQueryAttention = GroupedQueryAttention
