"""Attention without projections: by dot products (Luong et al., 2015) or sums (Bahdanau et al., 2014)."""

from __future__ import annotations

from typing import Any

from graphc import ops, random
from graphc.layers.attention.projected import causal_mask, step_mask
from graphc.layers.layer import Layer
from graphc.random import SeedGenerator

FAR = 1e9  # taken off the score of a position that is masked


class Attention(Layer):
    """Called on [query (n, time, d), value (n, source, e)] or with a key (n, source, d) besides: (n, time, e).

    score_mode "dot": query . key, times a trained scale with `use_scale`; "concat": the sum of tanh(query + key).
    `mask` is [mask of the query, mask of the value]. Returns (output, scores) with `return_attention_scores`.
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                "Invalid value for argument score_mode. Expected one of {'dot', 'concat'}. "
                f"Received: score_mode={score_mode}"
            )
        self.use_scale, self.score_mode, self.dropout, self.seed = use_scale, score_mode, dropout, seed
        if dropout > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        self.concat_score_weight = None
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def scores(self, query: Any, key: Any) -> Any:
        """(n, time, source): how well every query and key go together."""
        if self.score_mode == "dot":
            found = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return found if self.scale is None else found * self.scale
        both = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        both = both if self.scale is None else self.scale * both
        return self.concat_score_weight * ops.sum(ops.tanh(both), axis=-1)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check(inputs, mask)
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        pairs = zip(mask[:2] if mask else (None, None), inputs, ("query_mask", "value_mask"), strict=False)
        query_mask, value_mask = (None if m is None else step_mask(m, x, which, self.name) for m, x, which in pairs)
        scores = self._masked(self.scores(query, key), value_mask, use_causal_mask)
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        output = ops.matmul(weights, value)
        if query_mask is not None:
            output = ops.where(ops.expand_dims(query_mask, -1), output, 0)
        return (output, weights) if return_attention_scores else output

    def _masked(self, scores: Any, value_mask: Any, causal: bool) -> Any:
        seen = None if value_mask is None else ops.expand_dims(value_mask, -2)
        if causal:
            past = causal_mask(scores.shape[-2], scores.shape[-1])
            seen = past if seen is None else ops.logical_and(seen, past)
        far = 65504.0 if scores.dtype == "float16" else FAR
        return scores if seen is None else ops.where(seen, scores, scores - far)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        self._check(inputs, previous_mask)
        return None if previous_mask is None else previous_mask[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def _check(self, inputs: Any, mask: Any) -> None:
        name = type(self).__name__
        if not isinstance(inputs, list):
            raise ValueError(
                f"{name} layer must be called on a list of inputs, namely [query, value] or [query, value, key]. "
                f"Received: inputs={inputs}."
            )
        if len(inputs) not in (2, 3):
            raise ValueError(
                f"{name} layer accepts inputs list of length 2 or 3, namely [query, value] or [query, value, key]. "
                f"Received length: {len(inputs)}."
            )
        if mask is not None and not isinstance(mask, list):
            raise ValueError(
                f"{name} layer mask must be a list, namely [query_mask, value_mask]. Received: mask={mask}."
            )
        if mask is not None and len(mask) not in (2, 3):
            raise ValueError(
                f"{name} layer accepts mask list of length 2 or 3. Received: inputs={inputs}, mask={mask}."
            )

    def get_config(self) -> dict[str, Any]:
        names = ("use_scale", "score_mode", "dropout", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class AdditiveAttention(Attention):
    """As `Attention`, with scores sum(scale * tanh(query + key)) and a trained scale (d,)."""

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self._check(input_shape, None)
        width = input_shape[0][-1]
        self.scale = self.add_weight((width,), "glorot_uniform", name="scale") if self.use_scale else None

    def scores(self, query: Any, key: Any) -> Any:
        found = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(found if self.scale is None else self.scale * found, axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config
