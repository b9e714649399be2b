"""Attention layers: native as the interpreter, against attention written out in numpy, masks, empty inputs, bad input.

What single layers compute is compared with Keras's own results in `test_keras.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n

_rng = np.random.default_rng(12)
X = _rng.normal(size=(3, 7, 4)).astype("float32")
VALUE = _rng.normal(size=(3, 5, 4)).astype("float32")


def block(causal: bool, steps: int, width: int = 6, **options: Any) -> Any:
    """A transformer block over word numbers, and a guess for every step."""
    k.utils.set_random_seed(2)
    ids = k.Input((steps,), dtype="int32")
    x = n.Embedding(11, width)(ids)
    a = n.LayerNormalization()(x)
    x = n.Add()([x, n.MultiHeadAttention(2, 3)(a, a, use_causal_mask=causal)])
    a = n.Dense(4 * width, activation="gelu")(n.LayerNormalization()(x))
    x = n.Add()([x, n.Dense(width)(a)])
    model = k.Model(ids, n.Dense(11)(x))
    loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(k.optimizers.Adam(0.01), loss, **options)
    return model


@pytest.mark.parametrize(("causal", "steps"), [(True, 5), (False, 5), (True, 70)])
def test_native_training_of_a_block_equals_the_interpreter(causal: bool, steps: int) -> None:
    """70 steps are more than one block of queries; the last batch has one row."""
    k.config.set_floatx("float64")
    ids = np.random.default_rng(0).integers(0, 11, (5, steps + 1)).astype("int32")
    models = [block(causal, steps, run_eagerly=eager) for eager in (False, True)]
    for model in models:
        model.fit(ids[:, :-1], ids[:, 1:], batch_size=4, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def heads_by_hand(layer: Any, query: Any, value: Any, seen: Any) -> Any:
    """Multi-head attention from a layer's weights; seen: where (n, time, source) may be looked at."""
    wq, bq, wk, bk, wv, bv, wo, bo = (w.astype("float64") for w in layer.get_weights())
    q = np.einsum("ntd,dhc->nthc", query, wq) + bq
    key, v = (np.einsum("nsd,dhc->nshc", value, w) + b for w, b in ((wk, bk), (wv, bv)))
    scores = np.einsum("nthc,nshc->nhts", q, key) / np.sqrt(q.shape[-1])
    scores = np.where(seen[:, None], scores, -1e30)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("nhts,nshc,hcd->ntd", weights, v, wo) + bo


@pytest.mark.parametrize("which", ["none", "value_mask", "attention_mask", "causal", "all"])
def test_multi_head_attention_is_what_it_is_named_after(which: str) -> None:
    layer = n.MultiHeadAttention(2, 5, value_dim=3, bias_initializer="he_uniform")
    source = X if which in ("causal", "all") else VALUE
    times, sources = X.shape[1], source.shape[1]
    seen, masks = np.ones((3, times, sources), bool), dict[str, Any]()
    if which in ("value_mask", "all"):
        masks["value_mask"] = np.arange(sources) < np.array([[2], [sources], [4]])
        seen &= masks["value_mask"][:, None]
    if which in ("attention_mask", "all"):
        allowed = _rng.random((3, times, sources)) < 0.6
        allowed[..., 0] = True
        masks["attention_mask"] = allowed
        seen &= allowed
    if which in ("causal", "all"):
        seen &= np.tri(times, dtype=bool)
        masks["use_causal_mask"] = True
    got = layer(X, source, **masks)
    np.testing.assert_allclose(got, heads_by_hand(layer, X, source, seen), rtol=1e-4, atol=1e-5)


def test_scores_that_are_returned_are_those_that_are_used() -> None:
    layer = n.MultiHeadAttention(2, 3)
    plain = layer(X, VALUE)
    output, scores = layer(X, VALUE, return_attention_scores=True)
    assert scores.shape == (3, 2, 7, 5)
    np.testing.assert_allclose(np.asarray(scores).sum(-1), np.ones((3, 2, 7)), rtol=1e-5)
    np.testing.assert_allclose(output, plain, rtol=1e-4, atol=1e-6)


def test_grouped_heads_are_heads_that_share_keys_and_values() -> None:
    few = n.GroupQueryAttention(3, 4, 2)
    got = few(X, VALUE)
    many = n.GroupQueryAttention(3, 4, 4)
    many.build(X.shape, VALUE.shape)
    weights = few.get_weights()
    for i in (2, 3, 4, 5):  # kernel and bias of key and value, heads along the last axis but one
        weights[i] = np.repeat(weights[i], 2, axis=-2)
    many.set_weights(weights)
    np.testing.assert_allclose(many(X, VALUE), got, rtol=1e-5, atol=1e-6)


def test_masks_of_embeddings_reach_attention() -> None:
    ids = np.array([[3, 4, 5, 0, 0], [1, 2, 0, 0, 0]], "int32")
    inputs = k.Input((5,), dtype="int32")
    x = n.Embedding(6, 4, mask_zero=True)(inputs)
    model = k.Model(inputs, n.GlobalAveragePooling1D()(n.MultiHeadAttention(2, 3)(x, x)))
    short = k.Input((3,), dtype="int32")
    shared = k.Model(short, model.layers[-1](model.layers[2](*[model.layers[1](short)] * 2)))
    np.testing.assert_allclose(
        model.predict(ids, verbose=0), shared.predict(ids[:, :3], verbose=0), rtol=1e-5, atol=1e-6
    )


def test_one_step_and_no_step() -> None:
    layer = n.MultiHeadAttention(2, 3)
    assert layer(X[:, :0], VALUE).shape == (3, 0, 4)
    (only,) = (np.asarray(layer(X[:, :1], VALUE[:, :1])),)
    np.testing.assert_allclose(only, heads_by_hand(layer, X[:, :1], VALUE[:, :1], np.ones((3, 1, 1), bool)), atol=1e-5)
    with pytest.raises(ValueError, match=r"a value of shape \(3, 0, 4\) has no steps"):
        layer(X, VALUE[:, :0])


WRONG = np.ones((3, 6), bool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(X, VALUE, query_mask=WRONG), r"`query_mask` has the shape \(3, 6\), wanted \(batch, 7\)"),
        (lambda m: m(X, VALUE, value_mask=WRONG), r"`value_mask` has the shape \(3, 6\), wanted \(batch, 5\)"),
        (lambda m: m(X, VALUE, key_mask=WRONG), r"`key_mask` has the shape \(3, 6\), wanted \(batch, 5\)"),
        (
            lambda m: m(X, VALUE, attention_mask=np.ones((3, 5, 7))),
            r"Layer 'heads': `attention_mask` has the shape \(3, 5, 7\), wanted \(batch, 7, 5\)",
        ),
        (lambda m: n.Attention()([X, VALUE], mask=[None, WRONG]), r"`value_mask` has the shape \(3, 6\)"),
        (lambda m: n.AdditiveAttention()([X, VALUE], mask=[WRONG, None]), r"`query_mask` has the shape \(3, 6\)"),
        (lambda m: n.Attention()(X), "must be called on a list of inputs"),
        (lambda m: n.MultiHeadAttention(0, 3), "`num_heads`, expected a positive integer"),
        (lambda m: n.GroupQueryAttention(3, 4, 3), "must be divisible by"),
        (lambda m: m(X, VALUE, VALUE[:, :4]), "except the last one, must be equal"),
    ],
)
def test_errors_of_attention_layers(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(n.MultiHeadAttention(2, 3, name="heads"))
