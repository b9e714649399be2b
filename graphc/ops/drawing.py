"""Random numbers inside of graphs, bit by bit those of JAX: what `graphc.random` is written with there."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import config
from graphc.ir.types import DType
from graphc.ops.arithmetic import bitwise_or, bitwise_xor, left_shift, right_shift
from graphc.ops.dispatch import builder, convert, op
from graphc.ops.elementwise import add, cast, mod, multiply
from graphc.ops.indexing import take_along_axis
from graphc.ops.shapes import stack
from graphc.ops.sorting import argsort
from graphc.primitives import functions as fn
from graphc.primitives.random import PARITY, ROTATIONS
from graphc.tensor import Tensor

__all__ = ["random_bits", "random_integers", "random_order", "random_split", "random_uniform"]


@op
def random_uniform(key: Any, shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None) -> Any:
    """Floats of [minval, maxval) from a key (uint32[2])."""
    kind = DType.of(config.standardize_dtype(dtype))
    return Tensor(fn.random_uniform(builder(), convert(key).value, tuple(shape), kind)) * (maxval - minval) + minval


@op
def random_bits(key: Any, shape: Any) -> Any:
    """uint32 of 32 random bits each."""
    return Tensor(fn.random_bits(builder(), convert(key).value, tuple(shape)))


@op
def random_split(key: Any, count: int = 2) -> Any:
    """`count` independent keys made from one: Threefry of the counters 0, 1, ..., both words kept."""
    key = convert(key, "uint32")
    words = (key[0], key[1], bitwise_xor(bitwise_xor(key[0], key[1]), np.uint32(PARITY)))
    x, y = add(np.zeros(count, np.uint32), words[0]), add(np.arange(count, dtype=np.uint32), words[1])
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = add(x, y)
            y = bitwise_xor(_rotated(y, rotation), x)
        x, y = add(x, words[(group + 1) % 3]), add(add(y, words[(group + 2) % 3]), np.uint32(group + 1))
    return list(stack([x, y], -1))


def _rotated(x: Any, by: int) -> Any:
    return bitwise_or(left_shift(x, np.uint32(by)), right_shift(x, np.uint32(32 - by)))


@op
def random_integers(key: Any, shape: Any, minval: int, maxval: int, dtype: Any = "int32") -> Any:
    """Integers of [minval, maxval), of dtypes of at most 32 bits; always minval if there are none."""
    span = max(maxval - minval, 1)
    high, low = (random_bits(half, shape) for half in random_split(key))
    # 2^32 modulo the span: with it the 64 bits of both words are reduced in 32
    weight = ((1 << 16) % span) ** 2 % (1 << 32) % span
    divisor = np.uint32(span % (1 << 32))
    offset = (
        low
        if span == 1 << 32
        else mod(add(multiply(mod(high, divisor), np.uint32(weight)), mod(low, divisor)), divisor)
    )
    return cast(add(offset, np.uint32(minval % (1 << 32))), dtype)


@op
def random_order(key: Any, x: Any, axis: int, rounds: int) -> Any:
    """x with every line along the axis in a random order of its own."""
    x = convert(x)
    for _ in range(rounds):
        key, drawn = random_split(key)
        x = take_along_axis(x, argsort(random_bits(drawn, x.shape), axis), axis)
    return x
