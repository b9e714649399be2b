"""Attention with a softmax over all keys, and its gradient, without ever holding all scores.

Both ops are put in place as loops (`attention_loops`), so the scores of one block live in scratch memory, and memory
grows linearly with the lengths. The backward pass computes them again; of the forward pass it keeps the largest score
and the denominator of every row (Rabe and Staats, 2021; Dao et al., 2022).
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
from graphc.primitives.attention_loops import HIDDEN, attend, attend_backward


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
        return attend(b, q, k, v, seen[0] if seen else None, self.scale, self.causal)

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
        q, k, v, *seen = values[:-4]
        return attend_backward(b, q, k, v, seen[0] if seen else None, values[-4:], self.scale, self.causal)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(op.scale, op.causal), _gradient_types(op, types)) for op, types in Attention.samples()]  # type: ignore[attr-defined]


def _types(times: int, sources: int, heads: int, width: int, values: int, dtype: DType = DType.F32) -> Types:
    n = Rows(6)
    shapes = ((n, times, heads, width), (n, sources, heads, width), (n, sources, heads, values))
    return tuple(TensorType(shape, dtype) for shape in shapes)


def _gradient_types(op: Op, types: Types) -> Types:
    return (*types, *op.infer(*types), types[0].with_shape(types[0].shape[:3]))
