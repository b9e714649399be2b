"""Sums of products: matrix products, Einstein summation, and what is made of them."""

from __future__ import annotations

import builtins
import string
from collections.abc import Sequence
from typing import Any

from graphc.ops.dispatch import builder, convert, op, result_type
from graphc.ops.elementwise import cast, equal, multiply, sqrt, square, subtract, where
from graphc.ops.reductions import sum
from graphc.ops.shapes import arange, expand_dims, moveaxis, normal_axis, ravel, reshape, squeeze, stack
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = ["cdist", "cross", "dot", "einsum", "inner", "kron", "matmul", "outer", "tensordot", "vdot"]


def _product_type(*xs: Any) -> str:
    """The dtype of a sum of products: that of the operands; int8 is summed up in int32."""
    kind = result_type(*xs)
    return "int32" if kind == "int8" else kind


def _factors(*xs: Any) -> tuple[list[Any], str]:
    """(the operands in a dtype that has sums, the dtype of the result)."""
    kind = _product_type(*xs)
    return [convert(x, "int32" if kind == "bool" else kind) for x in xs], kind


@op
def matmul(x1: Any, x2: Any) -> Any:
    """The matrix product over the last two axes; the others broadcast."""
    (a, b), kind = _factors(x1, x2)
    return cast(Tensor(fn.matmul(builder(), a.value, b.value)), kind)


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """The sum of products over pairs of axes: a number n (last n with first n) or two lists."""
    (a, b), kind = _factors(x1, x2)
    if isinstance(axes, int):
        left, right = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        left, right = _axis_list(axes[0], a.ndim), _axis_list(axes[1], b.ndim)
    return cast(Tensor(fn.dot(builder(), a.value, b.value, contract=(left, right))), kind)


def _axis_list(axes: Any, rank: int) -> tuple[int, ...]:
    given = axes if isinstance(axes, (list, tuple)) else (axes,)
    return tuple(normal_axis(a, rank) for a in given)


@op
def dot(x1: Any, x2: Any) -> Any:
    """numpy's dot: scalars multiply, vectors and matrices contract the last axis with the second last."""
    kind = result_type(x1, x2)
    a, b = convert(x1, kind), convert(x2, kind)
    if a.ndim == 0 or b.ndim == 0:
        return multiply(a, b)
    return tensordot(a, b, ((a.ndim - 1,), (0 if b.ndim == 1 else b.ndim - 2,)))


@op
def outer(x1: Any, x2: Any) -> Any:
    return multiply(reshape(x1, (-1, 1)), reshape(x2, (1, -1)))


@op
def inner(x1: Any, x2: Any) -> Any:
    """The sum of products over the last axes."""
    a, b = convert(x1), convert(x2)
    if a.ndim == 0 or b.ndim == 0:
        return multiply(a, b)
    return tensordot(a, b, ((a.ndim - 1,), (b.ndim - 1,)))


@op
def vdot(x1: Any, x2: Any) -> Any:
    """The sum of the products of all elements."""
    return tensordot(ravel(x1), ravel(x2), 1)


@op
def kron(x1: Any, x2: Any) -> Any:
    """Kronecker's product: every element of x1 times all of x2."""
    a, b = convert(x1), convert(x2)
    rank = builtins.max(a.ndim, b.ndim)
    a, b = (reshape(x, (1,) * (rank - x.ndim) + tuple(x.shape)) for x in (a, b))
    pairs = list(zip(a.shape, b.shape, strict=True))
    wide = multiply(
        reshape(a, [size for n, _ in pairs for size in (n, 1)]), reshape(b, [size for _, n in pairs for size in (1, n)])
    )
    return reshape(wide, [n * m for n, m in pairs])


@op
def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The cross product of vectors of 3 (or 2) along an axis; two vectors of 2 give the third component only."""
    if axis is not None:
        axisa = axisb = axisc = axis
    kind = result_type(x1, x2)
    a, b = moveaxis(convert(x1, kind), axisa, -1), moveaxis(convert(x2, kind), axisb, -1)
    for x in (a, b):
        if int(x.shape[-1]) not in (2, 3):
            raise ValueError(f"cross: wanted vectors of 2 or 3 elements. Received: shapes {a.shape} and {b.shape}")
    if int(a.shape[-1]) == int(b.shape[-1]) == 2:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    (ax, ay, az), (bx, by, bz) = _components(a), _components(b)
    parts = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]
    return moveaxis(stack(parts, -1), -1, axisc)


def _components(x: Any) -> list[Any]:
    parts = [x[..., i] for i in range(int(x.shape[-1]))]
    return parts if len(parts) == 3 else [*parts, parts[0] * 0]


@op
def cdist(x: Any, y: Any) -> Any:
    """The Euclidean distances [.., n, m] between the rows of x[.., n, d] and of y[.., m, d]."""
    x, y = convert(x), convert(y)
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError("`cdist` inputs must have rank >= 2")
    if int(x.shape[-1]) != int(y.shape[-1]):
        raise ValueError("Last dimension of inputs to `cdist` must match")
    return sqrt(sum(square(subtract(expand_dims(x, -2), expand_dims(y, -3))), -1))


# ---- Einstein summation


@op
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """Einstein summation: "ij,jk->ik"; labels may repeat, "..." stands for leading axes that broadcast.

    More than two operands are contracted from left to right.
    """
    xs, kind = _factors(*operands)
    labels, result = _parsed(subscripts, xs)
    pairs = [_without_repeats(x, term) for x, term in zip(xs, labels, strict=True)]
    x, term = pairs[0]
    for i, (other, with_labels) in enumerate(pairs[1:], 1):
        later = result + "".join(labels for _, labels in pairs[i + 1 :])
        x, term = _contracted(x, term, other, with_labels, later)
    x, term = _sum_lonely(x, term, result)
    x = Tensor(fn.transpose(builder(), x.value, tuple(term.index(c) for c in result)))
    return cast(x, kind)


def _parsed(subscripts: str, xs: Sequence[Any]) -> tuple[list[str], str]:
    """(one letter per axis of every operand, the letters of the result); "..." becomes capital-free letters unused."""
    terms, arrow, result = subscripts.replace(" ", "").partition("->")
    labels = terms.split(",")
    if len(labels) != len(xs):
        raise ValueError(f"einsum: {subscripts!r} names {len(labels)} operands, got {len(xs)}")
    free = [c for c in string.ascii_letters if c not in subscripts]
    spans = [x.ndim - len(term.replace("...", "")) for x, term in zip(xs, labels, strict=True)]
    for x, term, span in zip(xs, labels, spans, strict=True):
        if span < 0 or (span and "..." not in term):
            raise ValueError(f"einsum: {term!r} of {subscripts!r} does not fit an operand of shape {x.shape}")
    wide = "".join(free[: builtins.max(spans)])
    exact = [term.replace("...", wide[len(wide) - span :]) for term, span in zip(labels, spans, strict=True)]
    if arrow:
        return exact, result.replace("...", wide)
    once = sorted(c for c in set(terms) - set(".,") if terms.count(c) == 1)
    return exact, wide + "".join(once)


def _without_repeats(x: Any, labels: str) -> tuple[Any, str]:
    """The operand's diagonal over labels that it has twice."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first, second = labels.index(label), labels.rindex(label)
            x = diagonal_of(x, first, second)
            labels = labels[:second] + labels[second + 1 :]
    return x, labels


def diagonal_of(x: Any, first: int, second: int) -> Any:
    """The elements whose indices along two axes of one size are equal; `second` is dropped."""
    index = arange(int(x.shape[first]))
    wide = [1] * x.ndim
    along = [reshape(index, [*wide[:axis], -1, *wide[axis + 1 :]]) for axis in (first, second)]
    return sum(where(equal(*along), x, cast(convert(0), x.dtype)), second)


def _contracted(x: Any, left: str, y: Any, right: str, later: str) -> tuple[Any, str]:
    """The product of two operands, summed over labels that nothing needs later."""
    x, left, y, right = *_without_ones(x, left, y, right), *_without_ones(y, right, x, left)
    x, left = _sum_lonely(x, left, right + later)
    y, right = _sum_lonely(y, right, left + later)
    shared = [c for c in left if c in right]
    batch, inner = [c for c in shared if c in later], [c for c in shared if c not in later]

    def places(labels: list[str]) -> tuple[list[int], list[int]]:
        return [left.index(c) for c in labels], [right.index(c) for c in labels]

    value = fn.dot(builder(), x.value, y.value, contract=places(inner), batch=places(batch))
    return Tensor(value), "".join(batch) + "".join(c for c in left + right if c not in shared)


def _without_ones(x: Any, labels: str, other: Any, others: str) -> tuple[Any, str]:
    """The operand without axes of size 1 that broadcast against the other's."""
    ones = [d for d, c in enumerate(labels) if x.shape[d] == 1 and c in others and other.shape[others.index(c)] != 1]
    kept = "".join(c for d, c in enumerate(labels) if d not in ones)
    return (squeeze(x, ones) if ones else x), kept


def _sum_lonely(x: Any, labels: str, elsewhere: str) -> tuple[Any, str]:
    lonely = [axis for axis, c in enumerate(labels) if c not in elsewhere]
    kept = "".join(c for c in labels if c in elsewhere)
    return (sum(x, lonely) if lonely else x), kept
