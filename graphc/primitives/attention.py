"""Attention with a softmax over all keys, and its gradient, without ever holding all scores.

Both ops are put in place as loops over blocks of queries (`expand`): the scores of one block live in scratch memory, so
memory grows linearly with the lengths. The backward pass computes them again; of the forward pass it keeps the largest
score and the denominator of every row (Rabe and Staats, 2021; Dao et al., 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.op import Array, Expanded, Op, Types, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.control import Scan, close_body

BLOCK = 64  # queries of a step
LEAST = 16  # fewer are not worth a step


class Attending(Expanded, abstract=True):
    """What both share. A query sees the sources of which `seen` is true, and with `causal` none behind itself."""

    scale: float
    causal: bool
    domain: ClassVar[tuple[float, float]] = (0.5, 2.0)  # of samples: exp of scores stays small

    def check(self, q: TensorType, k: TensorType, v: TensorType, seen: Sequence[TensorType]) -> None:
        for name, type in (("q", q), ("k", k), ("v", v)):
            if type.rank != 4 or not type.dtype.is_float or type.dtype is not q.dtype:
                raise ShapeError(f"{name} is {type}, wanted floats [N, steps, heads, width] of one dtype")
        if k.shape[:3] != v.shape[:3] or (q.shape[0], *q.shape[2:]) != (k.shape[0], *k.shape[2:]):
            raise ShapeError(f"q is {q}, k is {k}, v is {v}: they do not fit together")
        if seen and seen[0] != TensorType(k.shape[:2], DType.BOOL):
            raise ShapeError(f"seen is {seen[0]}, wanted {TensorType(k.shape[:2], DType.BOOL)}")

    def hidden(self, shape: Shape, seen: Array | None) -> Array:
        """Where [N, heads, time, source] must not be seen."""
        _, _, times, sources = shape
        later = np.arange(sources) > np.arange(times)[:, None] if self.causal else np.zeros((times, sources), bool)
        return later[None, None] if seen is None else later[None, None] | ~seen[:, None, None, :]

    def scores_of(self, q: Array, k: Array, seen: Array | None) -> Array:
        scores = np.einsum("nthd,nshd->nhts", q, k) * q.dtype.type(self.scale)
        hidden: Array = np.where(self.hidden(scores.shape, seen), q.dtype.type(HIDDEN), scores)
        return hidden

    def masked(self, b: Builder, scores: Value, first: Value, seen: Value | None) -> Value:
        """The scores [N, heads, block, source] of the queries from `first` on, hidden ones as far away as can be."""
        if self.causal:
            time = fn.add(b, fn.iota(b, scores.shape, 2), fn.broadcast_to(b, first, scores.shape))
            scores = fn.select(b, fn.ge(b, time, fn.iota(b, scores.shape, 3)), scores, HIDDEN)
        if seen is None:
            return scores
        return fn.select(b, fn.broadcast(b, seen, scores.shape, (0, 3)), scores, HIDDEN)


HIDDEN = float(-0.7 * np.finfo(np.float32).max)
"""The score of what is hidden, as in JAX: a row that sees nothing becomes even."""


@dataclass(frozen=True, slots=True)
class Attention(Attending):
    """out[N, T, H, E] = softmax(q k^T * scale) v for every head; top and total[N, H, T] are the softmax's largest score
    and its denominator. Operands: q[N, T, H, D], k[N, S, H, D], v[N, S, H, E] and maybe seen[N, S] of bool."""

    scale: float
    causal: bool = False
    differentiable: ClassVar[int | None] = 1

    def infer(self, *types: TensorType) -> Types:
        q, k, v, *seen = types
        self.check(q, k, v, seen)
        row = q.with_shape((q.shape[0], q.shape[2], q.shape[1]))
        return q.with_shape((*q.shape[:3], v.shape[3])), row, row

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        q, k, v, *seen = arrays
        scores = self.scores_of(q, k, seen[0] if seen else None)
        top = scores.max(-1, keepdims=True)
        weights = np.exp(scores - top)
        total = weights.sum(-1, keepdims=True)
        out = np.einsum("nhts,nshe->nthe", weights / total, v)
        return np.ascontiguousarray(out), top[..., 0], total[..., 0]

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        g, *others = cotangents
        assert not any(others), "only what was attended to is differentiated"
        if g is None:
            return [None] * len(inputs)
        q, k, v, *seen = inputs
        delta = fn.sum(b, fn.mul(b, g, outputs[0]), -1)  # what every score gets taken off
        grads = b.add_all(AttentionGrad(self.scale, self.causal), q, k, v, *seen, g, *outputs[1:], delta)
        return [*grads, *(None for _ in seen)]

    def expand(self, b: Builder, *values: Value) -> Sequence[Value]:
        q, k, v, *seen = values
        blocks = Blocks.of(q.shape)
        body = Builder("attention")
        block = body.parameter("q", blocks.element(q))
        first = body.parameter("first", TensorType((), DType.I32))
        keys, sources = _heads_first(b, k, turned=True), _heads_first(b, v)
        scores = fn.mul(body, fn.dot(body, block, keys, ((3,), (2,)), ((0, 1), (0, 1))), self.scale)
        scores = self.masked(body, scores, first, seen[0] if seen else None)
        top = fn.max(body, scores, -1)
        weights = fn.exp(body, fn.sub(body, scores, fn.broadcast(body, top, scores.shape, (0, 1, 2))))
        total = fn.sum(body, weights, -1)
        out = fn.dot(body, weights, sources, ((3,), (2,)), ((0, 1), (0, 1)))
        out = fn.div(body, out, fn.broadcast(body, total, out.shape, (0, 1, 2)))
        graph, captured = close_body(body, [out, top, total])
        stacked = b.add_all(Scan(graph, blocks.count, 0, 2), blocks.cut(b, q), blocks.firsts(b), *captured)
        return blocks.joined(b, stacked[0]), *(blocks.joined_rows(b, row) for row in stacked[1:])

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(0.5), _types(7, 9, 3, 4, 5)),
            (cls(0.3, causal=True), _types(11, 11, 3, 4, 5)[:3]),
            (cls(0.3, causal=True), (*_types(8, 9, 3, 4, 5), TensorType((Rows(6), 9), DType.BOOL))),
            (cls(0.2), _types(1, 2, 3, 4, 5, DType.F64)),
        ]


@dataclass(frozen=True, slots=True)
class AttentionGrad(Attending):
    """(dq, dk, dv) of Attention from q, k, v, maybe seen, the cotangent g of out, top, total, and delta[N, T, H] =
    g . out."""

    scale: float
    causal: bool = False

    def infer(self, *types: TensorType) -> Types:
        q, k, v, *seen, g, top, total, delta = types
        self.check(q, k, v, seen)
        wanted = *Attention(self.scale, self.causal).infer(q, k, v, *seen), q.with_shape(q.shape[:3])
        if (g, top, total, delta) != wanted:
            raise ShapeError(f"g, top, total and delta are {g}, {top}, {total}, {delta}; wanted {wanted}")
        return q, k, v

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        q, k, v, *seen, g, top, total, delta = arrays
        weights = np.exp(self.scores_of(q, k, seen[0] if seen else None) - top[..., None]) / total[..., None]
        dv = np.einsum("nhts,nthe->nshe", weights, g)
        products = np.einsum("nthe,nshe->nhts", g, v) - delta.transpose(0, 2, 1)[..., None]
        shape = weights.shape
        ds = np.where(self.hidden(shape, seen[0] if seen else None), q.dtype.type(0), weights * products)
        ds = ds * q.dtype.type(self.scale)
        dq, dk = np.einsum("nhts,nshd->nthd", ds, k), np.einsum("nhts,nthd->nshd", ds, q)
        return tuple(np.ascontiguousarray(x) for x in (dq, dk, dv))

    def expand(self, b: Builder, *values: Value) -> Sequence[Value]:
        q, k, v, *seen, g, top, total, delta = values
        blocks = Blocks.of(q.shape)
        body = Builder("attention_grad")
        heads_k, heads_v = _heads_first(b, k), _heads_first(b, v)
        dk, dv = (body.parameter(name, x.type) for name, x in (("dk", heads_k), ("dv", heads_v)))
        block, cotangent = body.parameter("q", blocks.element(q)), body.parameter("g", blocks.element(g))
        first = body.parameter("first", TensorType((), DType.I32))
        rows = blocks.row_element(q)
        known = tuple(body.parameter(name, rows) for name in ("top", "total", "delta"))
        dq, new_k, new_v = self._step(
            body, block, cotangent, first, known, (dk, dv), (b, k, v, heads_k), seen[0] if seen else None
        )
        graph, captured = close_body(body, [new_k, new_v, dq])
        zeros = [fn.zeros_like(b, heads_k), fn.zeros_like(b, heads_v)]
        parts = [blocks.cut(b, q), blocks.cut(b, g), blocks.firsts(b)]
        parts += [blocks.cut_rows(b, row) for row in (top, total, fn.transpose(b, delta, (0, 2, 1)))]
        last_k, last_v, stacked = b.add_all(Scan(graph, blocks.count, 2, len(parts)), *zeros, *parts, *captured)
        back = (0, 2, 1, 3)
        return blocks.joined(b, stacked), fn.transpose(b, last_k, back), fn.transpose(b, last_v, back)

    def _step(
        self,
        body: Builder,
        block: Value,
        cotangent: Value,
        first: Value,
        known: tuple[Value, ...],
        sums: tuple[Value, Value],
        around: tuple[Builder, Value, Value, Value],
        seen: Value | None,
    ) -> tuple[Value, Value, Value]:
        """(dq of the block, dk so far, dv so far)."""
        b, k, v, heads_k = around
        top, total, delta = known
        batch = ((0, 1), (0, 1))
        keys, sources = _heads_first(b, k, turned=True), _heads_first(b, v, turned=True)
        scores = fn.mul(body, fn.dot(body, block, keys, ((3,), (2,)), batch), self.scale)
        scores = self.masked(body, scores, first, seen)
        weights = fn.exp(body, fn.sub(body, scores, fn.broadcast(body, top, scores.shape, (0, 1, 2))))
        weights = fn.div(body, weights, fn.broadcast(body, total, scores.shape, (0, 1, 2)))
        products = fn.dot(body, cotangent, sources, ((3,), (2,)), batch)
        products = fn.sub(body, products, fn.broadcast(body, delta, products.shape, (0, 1, 2)))
        ds = fn.mul(body, fn.mul(body, weights, products), self.scale)
        if seen is not None:  # a row that sees nothing has weights, but no scores to change
            ds = fn.select(body, fn.broadcast(body, seen, ds.shape, (0, 3)), ds, 0.0)
        dq = fn.dot(body, ds, heads_k, ((3,), (2,)), batch)
        dk = fn.add(body, sums[0], fn.dot(body, ds, block, ((2,), (2,)), batch))
        dv = fn.add(body, sums[1], fn.dot(body, weights, cotangent, ((2,), (2,)), batch))
        return dq, dk, dv

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(op.scale, op.causal), _gradient_types(op, types)) for op, types in Attention.samples()]  # type: ignore[attr-defined]


def _types(times: int, sources: int, heads: int, width: int, values: int, dtype: DType = DType.F32) -> Types:
    n = Rows(6)
    shapes = ((n, times, heads, width), (n, sources, heads, width), (n, sources, heads, values))
    return tuple(TensorType(shape, dtype) for shape in shapes)


def _gradient_types(op: Op, types: Types) -> Types:
    return (*types, *op.infer(*types), types[0].with_shape(types[0].shape[:3]))


def _heads_first(b: Builder, x: Value, turned: bool = False) -> Value:
    """x[N, S, heads, width] as [N, heads, S, width], or as [N, heads, width, S]."""
    return fn.transpose(b, x, (0, 2, 3, 1) if turned else (0, 2, 1, 3))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Queries in blocks of equal size; the last is filled up with zeros."""

    times: int
    size: int

    @classmethod
    def of(cls, shape: Shape) -> Blocks:
        times = int(shape[1])
        if times <= BLOCK:
            return cls(times, max(times, 1))
        sizes = [size for size in range(LEAST, BLOCK + 1) if times % size == 0]
        return cls(times, max(sizes, default=BLOCK))

    @property
    def count(self) -> int:
        return -(-self.times // self.size)

    def element(self, x: Value) -> TensorType:
        """What a step sees of x[N, T, heads, width]: [N, heads, size, width]."""
        n, _, heads, width = x.shape
        return x.type.with_shape((n, heads, self.size, width))

    def row_element(self, x: Value) -> TensorType:
        """What a step sees of numbers [N, heads, T]: [N, heads, size]."""
        return x.type.with_shape((x.shape[0], x.shape[2], self.size))

    def cut(self, b: Builder, x: Value) -> Value:
        """x[N, T, heads, width] as [count, N, heads, size, width]."""
        n, _, heads, width = x.shape
        x = self._padded(b, x, 1)
        return fn.transpose(b, fn.reshape(b, x, (n, self.count, self.size, heads, width)), (1, 0, 3, 2, 4))

    def cut_rows(self, b: Builder, x: Value) -> Value:
        """x[N, heads, T] as [count, N, heads, size]."""
        n, heads, _ = x.shape
        x = self._padded(b, x, 2)
        return fn.transpose(b, fn.reshape(b, x, (n, heads, self.count, self.size)), (2, 0, 1, 3))

    def _padded(self, b: Builder, x: Value, axis: int) -> Value:
        missing = self.count * self.size - self.times
        high = [missing if d == axis else 0 for d in range(x.type.rank)]
        return fn.pad(b, x, [0] * x.type.rank, high) if missing else x

    def firsts(self, b: Builder) -> Value:
        """The number of each block's first query."""
        return fn.mul(b, fn.iota(b, (self.count,), 0), self.size)

    def joined(self, b: Builder, x: Value) -> Value:
        """[count, N, heads, size, width] as [N, T, heads, width]."""
        _, n, heads, _, width = x.shape
        whole = fn.reshape(b, fn.transpose(b, x, (1, 0, 3, 2, 4)), (n, self.count * self.size, heads, width))
        return whole if whole.shape[1] == self.times else fn.slice_axis(b, whole, 1, 0, self.times)

    def joined_rows(self, b: Builder, x: Value) -> Value:
        """[count, N, heads, size] as [N, heads, T]."""
        _, n, heads, _ = x.shape
        whole = fn.reshape(b, fn.transpose(b, x, (1, 2, 0, 3)), (n, heads, self.count * self.size))
        return whole if whole.shape[2] == self.times else fn.slice_axis(b, whole, 2, 0, self.times)
