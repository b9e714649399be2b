"""Text step by step: the same logits as at once, draws by their odds, and models it cannot be done with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n
from graphc.generation import Decoder, PositionEmbedding, generate

WORDS, STEPS = 11, 9


def attention(grouped: bool, **options: Any) -> Any:
    return n.GroupQueryAttention(3, 4, 2, **options) if grouped else n.MultiHeadAttention(2, 3, value_dim=5, **options)


def gpt(grouped: bool = False, dropout: float = 0.0, blocks: int = 1, **call: Any) -> Any:
    k.utils.set_random_seed(5)
    ids = k.Input((STEPS,), dtype="int32")
    x = PositionEmbedding(STEPS + 2, "he_uniform")(n.Embedding(WORDS, 6, embeddings_initializer="he_uniform")(ids))
    for _ in range(blocks):
        a = n.LayerNormalization()(x)
        x = x + attention(grouped, dropout=dropout)(a, a, **{"use_causal_mask": True, **call})
        x = x + n.Dense(6)(n.Dense(13, activation="gelu")(n.LayerNormalization()(x)))
    return k.Model(ids, n.Dense(WORDS)(n.LayerNormalization()(x)), name="gpt")


TEXTS = np.random.default_rng(3).integers(0, WORDS, (2, STEPS)).astype("int32")


@pytest.mark.parametrize(("grouped", "dropout"), [(False, 0.0), (True, 0.0), (False, 0.1)])
def test_logits_step_by_step_are_those_of_the_whole_text(grouped: bool, dropout: float) -> None:
    model = gpt(grouped, dropout, blocks=1 if dropout else 2)
    decoder = Decoder(model, batch_size=2)
    for _ in range(2):  # the second time over what is left of the first
        got = np.stack([decoder.step(TEXTS[:, i])[0].copy() for i in range(STEPS)], axis=1)
        np.testing.assert_allclose(got, model.predict(TEXTS, verbose=0), rtol=1e-4, atol=1e-5)
        decoder.position = 0


def test_weights_that_change_are_those_it_reads() -> None:
    model = gpt()
    decoder = Decoder(model)
    before = decoder.step(TEXTS[:1, 0])[0].copy()
    model.compile("sgd", k.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(TEXTS, np.roll(TEXTS, -1, 1), verbose=0)
    decoder.reset()
    after = decoder.step(TEXTS[:1, 0])[0]
    np.testing.assert_allclose(after, model.predict(TEXTS[:1], verbose=0)[:, 0], rtol=1e-4, atol=1e-5)
    assert np.abs(after - before).max() > 1e-4


@pytest.mark.parametrize(("grouped", "block"), [(False, 4), (True, 8), (False, 2)])
def test_prompts_are_read_in_blocks(grouped: bool, block: int) -> None:
    """Of which the last is not full, and one reaches beyond the longest text."""
    model = gpt(grouped, blocks=2)
    decoder = Decoder(model, batch_size=2, block=block)
    decoder.reset()
    wanted = model.predict(TEXTS, verbose=0)
    for read in range(1, STEPS):
        decoder.position = 0  # over what is left of the one before
        decoder.read(TEXTS[:, :read])
        assert decoder.position == read
        got = np.stack([decoder.step(TEXTS[:, i])[0].copy() for i in range(read, STEPS)], axis=1)
        np.testing.assert_allclose(got, wanted[:, read:], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="holds texts of 9 steps, these would be 10"):
        decoder.read(TEXTS[:, :1])


def test_a_layer_that_is_called_twice_remembers_twice() -> None:
    k.utils.set_random_seed(6)
    ids, shared = k.Input((STEPS,), dtype="int32"), n.MultiHeadAttention(2, 3)
    x = PositionEmbedding(STEPS, "he_uniform")(n.Embedding(WORDS, 6, embeddings_initializer="he_uniform")(ids))
    for _ in range(2):
        x = x + shared(x, x, use_causal_mask=True)
    model = k.Model(ids, n.Dense(WORDS)(x))
    decoder = Decoder(model, batch_size=2, block=5)
    decoder.read(TEXTS[:, :7])
    np.testing.assert_allclose(
        decoder.step(TEXTS[:, 7])[0], model.predict(TEXTS, verbose=0)[:, 7], rtol=1e-4, atol=1e-5
    )


def test_blocks_change_neither_words_nor_draws() -> None:
    model = gpt()
    one, other = (Decoder(model, 2, block=block) for block in (None, 3))
    for temperature in (0.0, 2.0):
        texts = [made.generate(TEXTS[:, :5], 4, temperature, seed=3) for made in (one, other)]
        np.testing.assert_array_equal(texts[0], texts[1])
        np.testing.assert_array_equal(texts[0][:, :5], TEXTS[:, :5])


def test_the_most_likely_words_follow_at_temperature_zero() -> None:
    model = gpt()
    text = generate(model, TEXTS[0, :3], 4, temperature=0)
    np.testing.assert_array_equal(text[:3], TEXTS[0, :3])
    for i in range(3, 7):
        padded = np.concatenate([text[:i], np.zeros(STEPS - i, "int32")])[None]
        assert text[i] == model.predict(padded, verbose=0)[0, i - 1].argmax()


def test_seeds_repeat_and_rows_are_drawn_for_themselves() -> None:
    decoder = Decoder(gpt(), batch_size=2)
    prompt = np.tile(TEXTS[:1, :2], (2, 1))
    one, again, other = (decoder.generate(prompt, 7, temperature=2.0, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and (one[0] != one[1]).any() and one.shape == (2, STEPS)


def test_draws_follow_the_odds_and_only_the_most_likely_with_top_k() -> None:
    """4000 draws of each word, five standard deviations."""
    rows = 4000
    model = k.Sequential([k.Input((3,), dtype="int32"), n.Embedding(4, 4, name="table")])
    model.layers[0].set_weights([np.log(np.tile([0.1, 0.2, 0.3, 0.4], (4, 1)))])
    for top_k, temperature, odds in (
        (None, 1.0, np.array([0.1, 0.2, 0.3, 0.4])),
        (2, 1.0, np.array([0, 0, 3, 4]) / 7),
        (None, 0.5, np.array([1, 4, 9, 16]) / 30),
    ):
        drawn = Decoder(model, rows, top_k=top_k).generate(np.zeros((rows, 1)), 1, temperature, seed=7)[:, 1]
        counts = np.bincount(drawn, minlength=4)
        spread = 5 * np.sqrt(rows * odds * (1 - odds))
        assert (np.abs(counts - rows * odds) <= spread).all(), counts


def recurrent() -> Any:
    model = k.Sequential(
        [k.Input((STEPS,), dtype="int32"), n.Embedding(WORDS, 4), n.LSTM(WORDS, return_sequences=True)]
    )
    model.name = "lstm"
    return model


def seeing_all() -> Any:
    ids = k.Input((STEPS,), dtype="int32")
    x = n.Embedding(WORDS, 4)(ids)
    return k.Model(ids, n.Dense(WORDS)(x + n.Dense(4)(n.GlobalAveragePooling1D(keepdims=True)(x))), name="mean")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: generate(gpt(use_causal_mask=False), [1], 2), "cannot go step by step: text is generated with"),
        (lambda: generate(recurrent(), [1], 2), "lstm cannot be generated from: its logits step by step differ by"),
        (lambda: generate(seeing_all(), [1], 2), "mean cannot be generated from"),
        (lambda: generate(k.Sequential([k.Input((3, 4)), n.Dense(2)]), [1], 2), r"one input \(n, time\) with a fixed"),
        (lambda: generate(gpt(), [1, 2], STEPS), "a prompt of 2 steps and 9 more are longer than the 9 of gpt"),
        (
            lambda: generate(gpt(), [[1], [WORDS]], 1),
            r"embedding id 11 is out of range \[0, 11\) \(row 1, position 0\)",
        ),
        (lambda: generate(gpt(), [], 2), "wanted a prompt"),
        (lambda: Decoder(gpt(), length=STEPS + 1), "length=10, but gpt takes texts of 1 to 9 steps"),
        (lambda: Decoder(gpt(), block=STEPS), "wanted a block of 2 to 8 steps, got 9"),
        (
            lambda: Decoder(gpt(), 2, block=3).generate([[1, 2, 3, 4], [5, 6, WORDS, 8]], 1),
            r"embedding id 11 is out of range \[0, 11\) \(row 1, position 2\)",
        ),
        (lambda: PositionEmbedding(3)(np.zeros((1, 4, 2), "float32")), "has 3 positions, the input has 4 steps"),
    ],
)
def test_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_with_positions_is_saved_and_loaded(tmp_path: Any) -> None:
    model = gpt()
    model.save(tmp_path / "gpt.keras")
    again = k.models.load_model(tmp_path / "gpt.keras")
    np.testing.assert_array_equal(generate(again, [1, 2], 5, seed=3), generate(model, [1, 2], 5, seed=3))
