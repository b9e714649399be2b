"""Recurrent layers: native as the interpreter, short and empty sequences, masks, states that are kept, bad input.

What single layers compute is compared with Keras's own results in `test_keras.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n

LAYERS = [n.SimpleRNN, n.LSTM, n.GRU]
_rng = np.random.default_rng(11)
X = _rng.normal(size=(7, 5, 4)).astype("float32")
IDS = _rng.integers(1, 9, (7, 5)).astype("int32")
LABELS = _rng.integers(0, 3, 7)


@pytest.fixture
def float64() -> None:
    k.config.set_floatx("float64")


def reader(*layers: Any, ids: int = 9, **options: Any) -> Any:
    """A classifier of sequences of five word numbers."""
    k.utils.set_random_seed(1)
    inputs = k.Input((5,), dtype="int32")
    x = n.Embedding(ids, 4, mask_zero=True)(inputs)
    for layer in layers:
        x = layer()(x)
    model = k.Model(inputs, n.Dense(3, activation="softmax")(x))
    model.compile(k.optimizers.Adam(0.05), "sparse_categorical_crossentropy", **options)
    return model


STACKS: dict[str, list[Callable[[], Any]]] = {
    "lstm": [lambda: n.LSTM(6, return_sequences=True), lambda: n.LSTM(5, go_backwards=True)],
    "gru both ways": [lambda: n.Bidirectional(n.GRU(3, return_sequences=True)), lambda: n.GRU(5, reset_after=False)],
    "stacked cells": [lambda: n.RNN([n.SimpleRNNCell(3), n.LSTMCell(5)])],
}


@pytest.mark.parametrize("name", list(STACKS))
def test_native_training_equals_the_interpreter(name: str, float64: None) -> None:
    """With padding, and with a last batch of three rows."""
    ids = np.where(np.arange(5) < 1 + np.arange(7)[:, None] % 5, IDS, 0)
    native, interpreted = reader(*STACKS[name]), reader(*STACKS[name], run_eagerly=True)
    for model in (native, interpreted):
        model.fit(ids, LABELS, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(native.get_weights(), interpreted.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_sequence_of_one_step_is_a_call_of_the_cell(layer: Any) -> None:
    made = layer(6, return_state=True)
    output, *states = made(X[:, :1])
    zeros = [np.zeros((7, 6), "float32") for _ in states]
    wanted, after = made.cell(X[:, 0], zeros)
    for got, want in zip([output, *states], [wanted, *after], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_sequence_of_no_steps_gives_the_initial_state(layer: Any) -> None:
    first = [np.full((7, 6), 0.5 + i, "float32") for i in range(1 + (layer is n.LSTM))]
    output, *states = layer(6, return_state=True)(X[:, :0], initial_state=first)
    for got, want in zip([output, *states], [first[0], *first], strict=True):
        np.testing.assert_array_equal(got, want)
    assert layer(6, return_sequences=True)(X[:, :0]).shape == (7, 0, 6)


def test_training_on_sequences_of_no_steps_moves_what_follows_only() -> None:
    model = k.Sequential([k.Input((0, 4)), n.LSTM(6, dropout=0.2), n.Dense(3)])
    model.compile(k.optimizers.SGD(0.1), "mse")
    before = model.get_weights()
    model.fit(X[:, :0], np.ones((7, 3)), batch_size=4, verbose=0)
    moved = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, False, False, False, True]  # of what meets a state of zeros, the bias


@pytest.mark.parametrize("layer", LAYERS)
def test_going_backwards_is_going_forwards_over_what_is_turned_round(layer: Any) -> None:
    ahead, back = layer(6, return_sequences=True), layer(6, return_sequences=True, go_backwards=True)
    wanted = ahead(X[:, ::-1].copy())
    back.build(X.shape)
    back.set_weights(ahead.get_weights())
    np.testing.assert_allclose(back(X), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_padding_behind_a_sequence_changes_nothing(layer: Any) -> None:
    made = layer(6, return_sequences=True, return_state=True)
    wanted, *ends = made(X[:, :3])
    mask = np.broadcast_to(np.arange(5) < 3, (7, 5))
    got, *states = made(X, mask=mask)
    np.testing.assert_allclose(got[:, :3], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got[:, 4], got[:, 2])
    for state, end in zip(states, ends, strict=True):
        np.testing.assert_allclose(state, end, rtol=1e-5, atol=1e-6)


def test_a_row_without_any_step_keeps_its_first_state() -> None:
    mask = np.ones((7, 5), bool)
    mask[2] = False
    np.testing.assert_array_equal(n.LSTM(6)(X, mask=mask)[2], np.zeros(6))


# ---- states that are kept


@pytest.mark.parametrize("layer", LAYERS)
def test_a_stateful_layer_goes_on_where_the_last_batch_ended(layer: Any) -> None:
    whole = layer(6)
    wanted = whole(X)
    inputs = k.Input(batch_shape=(7, 2, 4))
    kept = layer(6, stateful=True)
    model = k.Model(inputs, kept(inputs))
    kept.set_weights(whole.get_weights())
    first = model.predict(X[:, :2], verbose=0)
    model.predict(X[:, 2:4], verbose=0)
    last = layer(6)  # takes the fifth step
    last.build(X.shape)
    last.set_weights(whole.get_weights())
    states = [np.asarray(state) for state in k.tree.flatten(kept.states)]
    np.testing.assert_allclose(last(X[:, 4:], initial_state=states), wanted, rtol=1e-4, atol=1e-6)
    kept.reset_state()
    np.testing.assert_array_equal(model.predict(X[:, :2], verbose=0), first)


def test_a_stateful_layer_refuses_another_batch() -> None:
    model = k.Sequential([k.Input(batch_shape=(4, 5, 4)), n.GRU(6, stateful=True, name="kept")])
    with pytest.raises(ValueError, match=r"(?s)Expected batch size: 4.*Received batch size: 3"):
        model.predict(X[:3], verbose=0)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="layer kept is stateful: every batch needs 4 rows"):
        model.fit(X, np.zeros((7, 6)), batch_size=4, verbose=0)


def test_a_stateful_layer_needs_a_known_batch() -> None:
    with pytest.raises(ValueError, match="the batch size must be static"):
        n.LSTM(6, stateful=True)(k.Input((5, 4)))


# ---- bad input


@pytest.mark.parametrize("mask", [np.ones((7, 4), bool), np.ones((7, 5, 2), bool), np.ones(7, bool)])
def test_masks_of_other_shapes_are_refused(mask: Any) -> None:
    with pytest.raises(ValueError, match=r"Layer 'read' was given a mask of shape \(7,.*wanted \(batch, steps\)"):
        n.LSTM(6, name="read")(X, mask=mask)


def test_ids_out_of_range_are_named_and_nothing_is_updated() -> None:
    model = reader(lambda: n.LSTM(6))
    bad = IDS.copy()
    bad[5, 3] = 9
    message = r"embedding id 9 is out of range \[0, 9\) \(row 5, position 3\)"
    before = model.get_weights()
    runs: list[Callable[[], Any]] = [lambda: model.predict(bad, verbose=0), lambda: model.fit(bad, LABELS, verbose=0)]
    for run in runs:
        with pytest.raises(ValueError, match=message):
            run()
    with pytest.raises(ValueError, match=r"embedding id -1 is out of range .* \(row 5, position 3\)"):
        model.train_on_batch(np.where(bad == 9, -1, bad), LABELS)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: n.LSTM(6)(X[:, 0]), "expected ndim=3, found ndim=2"),
        (lambda: n.LSTM(6, name="read")(X, initial_state=[X[:, 0]]), "Layer 'read' has 2 states, but `initial_state` has 1"),
        (lambda: n.GRU(6)(X, initial_state=[X[:, 0]]), "has 4"),
        (lambda: n.LSTM(0), "expected a positive integer, got 0"),
        (lambda: n.RNN(3), "should have a `call` method"),
        (lambda: n.Bidirectional(n.LSTM(3), merge_mode="max"), "Invalid merge mode"),
        (lambda: n.Bidirectional(n.LSTM(3), backward_layer=n.LSTM(3)), "different `go_backwards` value"),
    ],
)  # fmt: skip
def test_errors_of_recurrent_layers(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
