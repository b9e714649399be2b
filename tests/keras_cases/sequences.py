"""A random configuration of each recurrent and each attention layer, with inputs that fit it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_cases.draw import Case, Draw, New


def recurrent(d: Draw, **options: Any) -> Case:
    """Sequences of five steps or so, now and then with a mask or with dropout."""
    kernels = {
        "kernel_initializer": d.initializer(), "kernel_regularizer": d.regularizer(), "use_bias": d.rng.random() < 0.8,
        "recurrent_regularizer": d.regularizer(), "bias_constraint": d.constraint(),
    }  # fmt: skip
    ways = {
        "return_sequences": d.flag(),
        "go_backwards": d.flag(),
        "units": d.size(),
        "activation": d.one("tanh", "softsign"),
    }
    x = d.floats(*d.sizes(3, 2, 6))
    if d.rng.random() < 0.7:
        return Case([x], {**ways, **kernels, **options}, takes_mask=True)
    rates = {"dropout": d.number_in(0.1, 0.6), "recurrent_dropout": d.one(0.0, 0.3), "seed": d.size(1, 1000)}
    return Case([x], {**ways, **kernels, **options, **rates}, takes_mask=True, is_random=True, steps=2)


def gated(d: Draw, **options: Any) -> Case:
    return recurrent(d, recurrent_activation=d.one("sigmoid", "hard_sigmoid"), **options)


def stacked_cells() -> New:
    below = New("layers.LSTMCell", units=5, recurrent_activation="hard_sigmoid", name="below")
    return New("layers.StackedRNNCells", cells=[below, New("layers.GRUCell", units=3, name="above")], name="cell")


def of_cell(d: Draw) -> Case:
    cell = d.one(
        New("layers.LSTMCell", units=4, name="cell"), New("layers.GRUCell", units=3, reset_after=False, name="cell"),
        New("layers.SimpleRNNCell", units=5, activation="softsign", name="cell"), stacked_cells(),
    )  # fmt: skip
    return Case([d.floats(*d.sizes(3, 2, 6))], {"cell": cell, "return_sequences": d.flag()}, takes_mask=True)


def both_ways(d: Draw) -> Case:
    inner = d.one("layers.LSTM", "layers.GRU", "layers.SimpleRNN")
    layer = New(inner, units=d.size(2, 5), return_sequences=d.flag(), name="inner")
    merge_mode = d.one("concat", "sum", "mul", "ave")
    return Case([d.floats(*d.sizes(3, 2, 6))], {"layer": layer, "merge_mode": merge_mode}, takes_mask=True)


def conv_lstm(d: Draw, rank: int) -> Case:
    options = {
        "filters": d.size(1, 3), "kernel_size": d.size(1, 3), "padding": d.one("valid", "same"), "unit_forget_bias": d.flag(),
        "return_sequences": d.flag(), "go_backwards": d.flag(), "activation": d.one("tanh", "softsign"), "use_bias": d.flag(),
    }  # fmt: skip
    return Case([d.floats(2, 3, *d.sizes(rank, 4, 6), d.size(1, 2))], options)


def dot_attention(d: Draw, **options: Any) -> Case:
    batch, queries, keys, width = d.sizes(4)
    inputs = [d.floats(batch, queries, width), *(d.floats(batch, keys, width) for _ in range(d.size(1, 2)))]
    return Case(inputs, {"use_scale": d.flag(), **options})


def heads(d: Draw, **options: Any) -> Case:
    """Query, value and perhaps key, given one by one."""
    batch, queries, keys, width = d.sizes(4)
    inputs = [d.floats(batch, queries, width), *(d.floats(batch, keys, width) for _ in range(d.size(1, 2)))]
    return Case(inputs, {"use_bias": d.flag(), "kernel_initializer": "he_uniform", **options}, spread=True)


# fmt: off
SEQUENCES: dict[str, Callable[[Draw], Case]] = {
    "AdditiveAttention": dot_attention,
    "Attention": lambda d: dot_attention(d, score_mode=d.one("dot", "concat")),
    "Bidirectional": both_ways,
    "ConvLSTM1D": lambda d: conv_lstm(d, 1),
    "ConvLSTM2D": lambda d: conv_lstm(d, 2),
    "ConvLSTM3D": lambda d: conv_lstm(d, 3),
    "GRU": lambda d: gated(d, reset_after=d.flag()),
    "GroupQueryAttention": lambda d: heads(d, head_dim=d.size(), num_query_heads=4, num_key_value_heads=d.one(1, 2, 4)),
    "LSTM": lambda d: gated(d, unit_forget_bias=d.flag()),
    "MultiHeadAttention": lambda d: heads(
        d, num_heads=d.size(1, 3), key_dim=d.size(), output_shape=d.one(None, 4),
    ),
    "RNN": of_cell,
    "SimpleRNN": recurrent,
}
# fmt: on
