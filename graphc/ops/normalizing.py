"""Normalisation, attention, embeddings, and other parts of layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc import config
from graphc.ops.activations import softmax
from graphc.ops.contractions import einsum
from graphc.ops.dispatch import arrays_only, builder, convert, float_type, limits_of, op, result_type, tracer
from graphc.ops.elementwise import (
    abs,
    add,
    cast,
    divide,
    log10,
    logical_and,
    maximum,
    multiply,
    negative,
    rsqrt,
    square,
    subtract,
    where,
)
from graphc.ops.linalg import norm
from graphc.ops.reductions import mean, sum
from graphc.ops.shapes import expand_dims, repeat, reshape, squeeze
from graphc.primitives import functions as fn
from graphc.primitives.attention import Attention
from graphc.tensor import Tensor

__all__ = [
    "batch_normalization", "bias_add", "dot_product_attention", "embedding_lookup",
    "layer_normalization", "moments", "normalize", "polar", "psnr", "rms_normalization",
]  # fmt: skip

SHORT = 128 * 128  # scores of a head up to which holding all of them is as fast as any loop


@op
def bias_add(x: Any, bias: Any) -> Any:
    return add(x, bias)


@op
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """(mean, biased variance) over the axes."""
    x = convert(x, float_type(x))
    centre = mean(x, axes, keepdims=True)
    spread = mean(square(x - centre), axes, keepdims)
    return (centre if keepdims else squeeze(centre, tuple(axes))), spread


@op
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with statistics along one axis."""
    x = convert(x)
    wide = [1] * x.ndim
    wide[axis] = int(x.shape[axis])
    inverse = rsqrt(add(variance, epsilon))
    inverse = inverse if scale is None else inverse * scale
    shift = negative(multiply(mean, inverse))
    shift = shift if offset is None else shift + offset
    return x * reshape(inverse, wide) + reshape(shift, wide)


@op
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None, **kwargs: Any
) -> Any:
    """Normalised to mean 0 and variance 1 along the axes, then scaled and shifted."""
    x = convert(x, float_type(x))
    axes = tuple(a % x.ndim for a in (axis if isinstance(axis, (list, tuple)) else (axis,)))
    wide = [int(dim) if d in axes else 1 for d, dim in enumerate(x.shape)]
    centre, variance = moments(x, axes, keepdims=True)
    inverse = rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    if gamma is not None:
        inverse = inverse * reshape(gamma, wide)
    shift = negative(centre) * inverse
    if beta is not None:
        shift = shift + reshape(beta, wide)
    return x * inverse + shift


@op
def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """Divided by the norm of this order along the axis."""
    x = convert(x, float_type(x))
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"Argument `order` must be an int >= 1. Received: order={order}")
    small = config.epsilon() if epsilon is None else epsilon
    if order != 2:
        return divide(x, maximum(norm(x, order, axis, keepdims=True), small))
    return x * rsqrt(maximum(sum(square(x), axis, keepdims=True), small**2))


@op
def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> Any:
    """Divided by the root of the mean square along the axes, then scaled."""
    x = convert(x, float_type(x))
    small = config.epsilon() if epsilon is None else epsilon
    inverse = rsqrt(mean(square(x), axis, keepdims=True) + small)
    y = x * inverse
    return y if scale is None else y * convert(scale, x.dtype)


@op
def psnr(x1: Any, x2: Any, max_val: float) -> Any:
    """The peak signal-to-noise ratio in decibels: 20 log10(max_val) - 10 log10(mean square error)."""
    x1, x2 = convert(x1), convert(x2)
    if [int(d) for d in x1.shape] != [int(d) for d in x2.shape]:
        raise ValueError(f"Input shapes {x1.shape} and {x2.shape} must match for PSNR calculation.")
    error = mean(square(subtract(x1, x2)))
    return 20.0 * log10(convert(max_val, error.dtype)) - 10.0 * log10(error)


@op
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """softmax(query key^T * scale + bias) value, for query[n, time, heads, depth] and key, value[n, source, heads, ..].

    key and value may have fewer heads, each for a group of the query's. bias and mask (False: do not look) broadcast
    to [n, heads, time, source]. flash_attention=True is refused: there is one implementation. Long sequences are
    attended to block by block without holding all scores, unless there is a bias, a soft cap, a mask that differs from
    query to query (is_causal does not count) or a dtype of half precision.
    """
    kind = result_type(query, key, value)
    q, k, v = (convert(x, kind) for x in (query, key, value))
    if not q.ndim == k.ndim == v.ndim == 4:
        raise ValueError(
            f"`dot_product_attention` only supports 4D inputs. Received: query.shape={q.shape}, key.shape={k.shape}, "
            f"value.shape={v.shape}."
        )
    if flash_attention:
        raise ValueError("dot_product_attention: flash attention is not available; pass flash_attention=None")
    heads, groups = int(q.shape[2]), int(k.shape[2])
    if heads % groups:
        raise ValueError(f"dot_product_attention: {groups} heads of the key do not divide {heads} of the query")
    if heads != groups:
        k, v = (repeat(x, heads // groups, 2) for x in (k, v))
    scale = 1.0 / math.sqrt(int(q.shape[-1])) if scale is None else scale
    if bias is None and attn_logits_soft_cap is None and _suits_loops(q, k, mask, scale):
        return _attend(q, k, v, mask, float(scale), is_causal)
    logits = einsum("bthd,bshd->bhts", q, k) * scale
    if bias is not None:
        logits = logits + convert(bias, kind)
    if attn_logits_soft_cap is not None:
        logits = divide(logits, abs(logits) / attn_logits_soft_cap + 1.0)
    seen = _seen(mask, is_causal, int(q.shape[1]), int(k.shape[1]))
    if seen is not None:
        # as in JAX: rows that see nothing become even, not NaN
        logits = where(seen, logits, -0.7 * float(limits_of(kind).max))
    return einsum("bhts,bshd->bthd", softmax(logits, -1), v)


def _suits_loops(q: Any, k: Any, mask: Any, scale: Any) -> bool:
    """Whether the op `Attention` can do it and the scores are many; a mask may hide sources, but from all queries."""
    if q.dtype not in ("float32", "float64") or not isinstance(scale, int | float):
        return False
    hides_sources = mask is None or [int(d) for d in _wide(mask).shape[1:]] == [1, 1, int(k.shape[1])]
    return hides_sources and int(q.shape[1]) * int(k.shape[1]) > SHORT


def _attend(q: Any, k: Any, v: Any, mask: Any, scale: float, is_causal: bool) -> Tensor:
    values = [q.value, k.value, v.value]
    if mask is not None:
        wide = _wide(mask)
        flat = reshape(wide, (wide.shape[0], wide.shape[-1]))
        values.append(fn.broadcast_to(builder(), flat.value, k.value.shape[:2]))
    return Tensor(builder().add_all(Attention(scale, bool(is_causal)), *values)[0])


def _wide(mask: Any) -> Any:
    """A mask as [n, heads, time, source], with 1 where it does not matter."""
    seen = convert(mask, "bool")
    while seen.ndim < 4:
        seen = expand_dims(seen, 1 if seen.ndim == 3 else 0)
    return seen


def _seen(mask: Any, is_causal: bool, times: int, sources: int) -> Any:
    """Where queries may look, broadcast to [n, heads, time, source]; None: everywhere."""
    seen = None if mask is None else _wide(mask)
    past = convert(np.tri(times, sources, dtype=bool)) if is_causal else None
    return past if seen is None else seen if past is None else logical_and(seen, past)


@arrays_only("tensors of a graph are real")
def polar(abs_: Any, angle: Any) -> Any:
    """The complex numbers of these absolute values and angles."""
    size, turn = np.asarray(abs_), np.asarray(angle)
    return (size * np.cos(turn) + 1j * size * np.sin(turn)).astype(np.result_type(size.dtype, np.complex64))


@op
def embedding_lookup(table: Any, ids: Any) -> Any:
    """Rows of the table; an id outside it is refused when the graph runs."""
    table, ids = convert(table), convert(ids)
    ids = ids if ids.dtype.startswith(("int", "uint")) else cast(ids, "int32")
    tracer().bound(ids, 0, int(table.shape[0]), "embedding id")
    return Tensor(fn.gather(builder(), table.value, cast(ids, "int32").value))
