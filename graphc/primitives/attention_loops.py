"""Attention and its gradient as loops: over blocks of queries, and over blocks of keys.

Every head of every sample is a row of its own, so that a unit of work is one head with scores that fit the cache. A
causal attention is cut into parts, each a loop that leaves out the keys which none of its queries, or the queries which
none of its keys can meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.op import Value
from graphc.ir.types import DType, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.control import Scan, close_body

BLOCK = 64  # queries or keys of a step
LEAST = 16  # fewer are not worth a step
PARTS = 4  # of a causal attention, at most
PART = 2  # blocks of a part, at least
ROWS = ((0,), (0,))  # the batch axes of products

HIDDEN = float(-0.7 * np.finfo(np.float32).max)
"""The score of what is hidden, as in JAX: a row that sees nothing becomes even."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The steps from `first` to `last` in blocks of equal size; the last block is filled up with zeros."""

    first: int
    last: int
    size: int

    @classmethod
    def of(cls, steps: int) -> Blocks:
        if steps <= BLOCK:
            return cls(0, steps, max(steps, 1))
        sizes = [size for size in range(LEAST, BLOCK + 1) if steps % size == 0]
        return cls(0, steps, max(sizes, default=BLOCK))

    @property
    def count(self) -> int:
        return -(-(self.last - self.first) // self.size)

    @property
    def missing(self) -> int:
        """Steps that the last block lacks."""
        return self.first + self.count * self.size - self.last

    def parts(self) -> list[Blocks]:
        """The same blocks as a few runs of nearly equal length."""
        number = max(min(PARTS, self.count // PART), 1)
        bounds = [min(self.first + self.count * i // number * self.size, self.last) for i in range(number)]
        pairs = zip(bounds, [*bounds[1:], self.last], strict=True)
        return [Blocks(first, last, self.size) for first, last in pairs]

    def element(self, x: Value) -> TensorType:
        """What a step sees of x[N, steps, H, ...]: [N * H, size, ...]."""
        n, _, heads, *rest = x.shape
        return x.type.with_shape((n * heads, self.size, *rest))

    def cut(self, b: Builder, x: Value) -> Value:
        """x[N, steps, H, ...] as [count, N * H, size, ...]."""
        n, _, heads, *rest = x.shape
        x = fn.slice_axis(b, x, 1, self.first, self.last - self.first)
        x = fn.pad(b, x, [0] * x.type.rank, [self.missing if d == 1 else 0 for d in range(x.type.rank)])
        x = fn.reshape(b, x, (n, self.count, self.size, heads, *rest))
        x = fn.transpose(b, x, (1, 0, 3, 2, *range(4, 4 + len(rest))))
        return fn.reshape(b, x, (self.count, n * heads, self.size, *rest))

    def joined(self, b: Builder, x: Value, heads: int) -> Value:
        """[count, N * H, size, ...] as [N, steps, H, ...]."""
        _, rows, _, *rest = x.shape
        x = fn.reshape(b, x, (self.count, rows // heads, heads, self.size, *rest))
        x = fn.transpose(b, x, (1, 0, 3, 2, *range(4, 4 + len(rest))))
        x = fn.reshape(b, x, (rows // heads, self.count * self.size, heads, *rest))
        return fn.slice_axis(b, x, 1, 0, self.last - self.first)

    def numbers(self, b: Builder) -> Value:
        """The number of each block's first step."""
        return fn.add(b, fn.mul(b, fn.iota(b, (self.count,), 0), self.size), self.first)


def heads_as_rows(b: Builder, x: Value) -> Value:
    """x[N, steps, H, ...] as [N * H, steps, ...]."""
    n, steps, heads, *rest = x.shape
    x = fn.transpose(b, x, (0, 2, 1, *range(3, 3 + len(rest))))
    return fn.reshape(b, x, (n * heads, steps, *rest))


def for_heads(b: Builder, seen: Value, heads: int) -> Value:
    """seen[N, S] for every head: [N, S, H]."""
    return fn.broadcast(b, seen, (*seen.shape, heads), (0, 1))


@dataclass(frozen=True, slots=True)
class Mask:
    """Which of the scores [rows, query, key] count. `query` and `key` are the numbers of the first of each, in the body
    of a loop; `seen` [rows, key] hides keys, and `keys` those from that number on."""

    causal: bool
    query: Value | int
    key: Value | int
    seen: Value | None = None
    keys: int | None = None

    def of(self, b: Builder, scores: Value) -> Value | None:
        """Where they count; None: everywhere."""
        key = fn.add(b, fn.iota(b, scores.shape, 2), self.key) if self.causal or self.keys is not None else None
        found = []
        if self.causal and key is not None:
            found.append(fn.ge(b, fn.add(b, fn.iota(b, scores.shape, 1), self.query), key))
        if self.keys is not None and key is not None:
            found.append(fn.lt(b, key, self.keys))
        if self.seen is not None:
            found.append(fn.broadcast(b, self.seen, scores.shape, (0, 2)))
        whole = found.pop() if found else None
        for part in found:
            whole = fn.logical_and(b, whole, part)  # type: ignore[arg-type]
        return whole


# ---- forward


def attend(
    b: Builder, q: Value, k: Value, v: Value, seen: Value | None, scale: float, causal: bool
) -> tuple[Value, Value, Value]:
    """Attention's results, from loops over blocks of queries."""
    blocks = Blocks.of(int(q.shape[1]))
    is_cut = causal and seen is None and q.shape[1] == k.shape[1]
    runs = [_attend(b, part, q, k, v, seen, scale, causal, is_cut) for part in (blocks.parts() if is_cut else [blocks])]
    out, top, total = (fn.concat(b, list(values), 1) for values in zip(*runs, strict=True))
    return out, fn.transpose(b, top, (0, 2, 1)), fn.transpose(b, total, (0, 2, 1))


def _attend(
    b: Builder,
    blocks: Blocks,
    q: Value,
    k: Value,
    v: Value,
    seen: Value | None,
    scale: float,
    causal: bool,
    is_cut: bool,
) -> tuple[Value, Value, Value]:
    """(out, top, total) of some queries, [N, queries, H, ...]; of the keys only those up to the last query, if cut."""
    heads = int(q.shape[2])
    if is_cut:
        k, v = (fn.slice_axis(b, x, 1, 0, blocks.last) for x in (k, v))
    keys, values = heads_as_rows(b, k), heads_as_rows(b, v)
    body = Builder("attention")
    block = body.parameter("q", blocks.element(q))
    mask = Mask(causal, body.parameter("first", TensorType((), DType.I32)), 0, _seen_rows(b, seen, heads))
    scores = fn.mul(body, fn.dot(body, block, keys, ((2,), (2,)), ROWS), scale)
    counts = mask.of(body, scores)
    scores = scores if counts is None else fn.select(body, counts, scores, HIDDEN)
    top = fn.max(body, scores, -1)
    weights = fn.exp(body, fn.sub(body, scores, fn.broadcast(body, top, scores.shape, (0, 1))))
    total = fn.sum(body, weights, -1)
    out = fn.dot(body, weights, values, ((2,), (1,)), ROWS)
    out = fn.div(body, out, fn.broadcast(body, total, out.shape, (0, 1)))
    graph, captured = close_body(body, [out, top, total])
    stacked = b.add_all(Scan(graph, blocks.count, 0, 2), blocks.cut(b, q), blocks.numbers(b), *captured)
    out, top, total = (blocks.joined(b, x, heads) for x in stacked)
    return out, top, total


def _seen_rows(b: Builder, seen: Value | None, heads: int) -> Value | None:
    return None if seen is None else heads_as_rows(b, for_heads(b, seen, heads))


# ---- backward


@dataclass(frozen=True, slots=True)
class Known:
    """What the gradient of some queries is made from: q, g [rows, queries, ..], numbers of theirs [rows, queries]."""

    q: Value
    g: Value
    top: Value
    inverse: Value
    delta: Value

    @classmethod
    def of(cls, b: Builder, first: int, q: Value, g: Value, top: Value, total: Value, delta: Value) -> Known:
        """Of the queries from `first` on."""
        count = int(q.shape[1]) - first
        q, g, delta = (heads_as_rows(b, fn.slice_axis(b, x, 1, first, count)) for x in (q, g, delta))
        cut = (fn.slice_axis(b, x, 2, first, count) for x in (top, fn.reciprocal(b, total)))
        top, inverse = (fn.reshape(b, x, q.shape[:2]) for x in cut)
        return cls(q, g, top, inverse, delta)


def attend_backward(
    b: Builder, q: Value, k: Value, v: Value, seen: Value | None, known: Sequence[Value], scale: float, causal: bool
) -> tuple[Value, Value, Value]:
    """(dq, dk, dv), from loops over blocks of keys; `known` are g, top, total and delta."""
    blocks = Blocks.of(int(k.shape[1]))
    is_cut = causal and q.shape[1] == k.shape[1]
    dqs, dks, dvs = [], [], []
    for part in blocks.parts() if is_cut else [blocks]:
        first = part.first if is_cut else 0
        queries = Known.of(b, first, q, *known)
        dq, dk, dv = _backward(b, part, first, queries, k, v, seen, scale, causal)
        n, times, heads, width = q.shape
        dq = fn.transpose(b, fn.reshape(b, dq, (n, heads, int(times) - first, width)), (0, 2, 1, 3))
        dqs.append(fn.pad(b, dq, (0, first, 0, 0), (0, 0, 0, 0)))
        dks.append(dk)
        dvs.append(dv)
    dq = dqs[0]
    for part_of_it in dqs[1:]:
        dq = fn.add(b, dq, part_of_it)
    return dq, fn.concat(b, dks, 1), fn.concat(b, dvs, 1)


def _backward(
    b: Builder,
    blocks: Blocks,
    first: int,
    known: Known,
    k: Value,
    v: Value,
    seen: Value | None,
    scale: float,
    causal: bool,
) -> tuple[Value, Value, Value]:
    """(dq of the queries from `first` on [rows, queries, width], dk and dv of some keys [N, keys, H, ..])."""
    heads = int(k.shape[2])
    wide = None if seen is None else for_heads(b, seen, heads)
    sequences = [blocks.cut(b, k), blocks.cut(b, v), blocks.numbers(b)]
    body = Builder("attention_grad")
    sums = body.parameter("dq", known.q.type)
    keys, values = body.parameter("k", blocks.element(k)), body.parameter("v", blocks.element(v))
    number = body.parameter("first", TensorType((), DType.I32))
    if wide is not None:
        sequences.append(blocks.cut(b, wide))
    is_seen = None if wide is None else body.parameter("seen", blocks.element(wide))
    last = int(k.shape[1]) if blocks.missing else None
    weights, changes = _weights(body, known, keys, values, Mask(causal, first, number, is_seen, last), scale)
    dq = fn.add(body, sums, fn.dot(body, changes, keys, ((2,), (1,)), ROWS))
    dk = fn.dot(body, changes, known.q, ((1,), (1,)), ROWS)
    dv = fn.dot(body, weights, known.g, ((1,), (1,)), ROWS)
    graph, captured = close_body(body, [dq, dk, dv])
    loop = Scan(graph, blocks.count, 1, len(sequences))
    dq, dk, dv = b.add_all(loop, fn.zeros_like(b, known.q), *sequences, *captured)
    return dq, blocks.joined(b, dk, heads), blocks.joined(b, dv, heads)


def _weights(b: Builder, known: Known, keys: Value, values: Value, mask: Mask, scale: float) -> tuple[Value, Value]:
    """The softmax again, and the cotangents of the scores before they were scaled, times the scale."""
    scores = fn.mul(b, fn.dot(b, known.q, keys, ((2,), (2,)), ROWS), scale)
    counts = mask.of(b, scores)
    scores = scores if counts is None else fn.select(b, counts, scores, HIDDEN)
    top, inverse, delta = (fn.broadcast(b, x, scores.shape, (0, 1)) for x in (known.top, known.inverse, known.delta))
    weights = fn.mul(b, fn.exp(b, fn.sub(b, scores, top)), inverse)
    products = fn.sub(b, fn.dot(b, known.g, values, ((2,), (2,)), ROWS), delta)
    changes = fn.mul(b, fn.mul(b, weights, products), scale)
    if counts is not None and mask.seen is not None:  # a row that sees nothing has weights, but no scores to change
        changes = fn.select(b, counts, changes, 0.0)
    return weights, changes
