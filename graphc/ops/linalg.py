"""`keras.ops.linalg`: factorisations and equations of matrices in the last two axes.

Arrays go to LAPACK by way of numpy. In a graph, matrices of at most 64 rows are worked on row by row with ordinary ops,
which have gradients; what needs iteration (eigenvalues, singular values) is not available there.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.ops.contractions import matmul
from graphc.ops.dispatch import arrays_only, convert, float_type, op, op_with
from graphc.ops.elementwise import (
    absolute,
    cast,
    divide,
    equal,
    greater,
    greater_equal,
    log,
    multiply,
    negative,
    not_equal,
    power,
    sign,
    sqrt,
    square,
    subtract,
    where,
)
from graphc.ops.reductions import argmax, max, min, sum
from graphc.ops.shapes import (
    arange,
    broadcast_to,
    concatenate,
    expand_dims,
    reshape,
    squeeze,
    swapaxes,
    tril,
    triu,
)
from graphc.tensor import Tensor

__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "logdet", "lstsq", "lu_factor", "matrix_rank",
    "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd",
]  # fmt: skip

LARGEST = 64  # rows of a matrix that a graph takes apart
_ITERATES = "its algorithm iterates until it converges, which a static graph cannot express"


def _matrix(name: str, x: Any, square_wanted: bool = True) -> Tensor:
    """The operand as floats, checked."""
    a: Tensor = convert(x, float_type(x))
    if a.ndim < 2 or (square_wanted and int(a.shape[-1]) != int(a.shape[-2])):
        wanted = "square matrices" if square_wanted else "matrices"
        raise ValueError(f"{name}: wanted {wanted} in the last two axes. Received: a.shape={a.shape}")
    if int(a.shape[-2]) > LARGEST:
        raise NotImplementedError(
            f"{name} of {a.shape[-2]} rows inside a graph; at most {LARGEST} are supported. Call it on arrays, outside"
        )
    return a


def _floats(x: Any) -> Array:
    array = np.asarray(x)
    return array if array.dtype.kind in "fc" else array.astype(float_type(array))


def _column(a: Any, k: int) -> Any:
    """Column k of the matrices, keeping its axis."""
    return a[..., k : k + 1]


# ---- equations


def _eliminated(a: Any, b: Any) -> tuple[Any, Any]:
    """(the solution x of a x = b, the determinant of a), by Gauss-Jordan elimination with row pivoting."""
    size = int(a.shape[-1])
    rows = reshape(arange(size), (size, 1))
    determinant: Any = None
    for k in range(size):
        column = _column(a, k)
        best = expand_dims(argmax(where(greater_equal(rows, k), absolute(column), -1.0), axis=-2), -2)
        is_best, is_here = equal(rows, best), equal(rows, k)
        a, b = (_swapped(x, is_best, is_here, k) for x in (a, b))
        pivot = a[..., k : k + 1, k : k + 1]
        factor = where(is_here, 0.0, divide(_column(a, k), pivot))
        signed = where(equal(best, k), pivot, negative(pivot))
        determinant = signed if determinant is None else multiply(determinant, signed)
        a, b = (subtract(x, multiply(factor, x[..., k : k + 1, :])) for x in (a, b))
    diagonal = sum(where(equal(rows, reshape(arange(size), (1, size))), a, 0.0), axis=-1, keepdims=True)
    return divide(b, diagonal), squeeze(determinant, (-2, -1))


def _swapped(x: Any, is_best: Any, is_here: Any, k: int) -> Any:
    """x with row k and the row at `is_best` exchanged."""
    best = sum(where(is_best, x, 0.0), axis=-2, keepdims=True)
    return where(is_here, best, where(is_best, x[..., k : k + 1, :], x))


def _solve_arrays(a: Any, b: Any) -> Array:
    a, b = _floats(a), _floats(b)
    if b.ndim == a.ndim - 1:
        return np.asarray(np.linalg.solve(a, b[..., None])[..., 0])
    return np.asarray(np.linalg.solve(a, b))


@op_with(_solve_arrays)
def solve(a: Any, b: Any) -> Any:
    """x with a x = b, for a[.., n, n] and b[.., n] or b[.., n, m]."""
    a = _matrix("solve", a)
    b = convert(b, float_type(a, b))
    vector = b.ndim == a.ndim - 1
    solution, _ = _eliminated(a, expand_dims(b, -1) if vector else b)
    return squeeze(solution, -1) if vector else solution


@op_with(lambda a: np.linalg.inv(_floats(a)))
def inv(x: Any) -> Any:
    """The inverse of matrices [.., n, n]."""
    x = _matrix("inv", x)
    size = int(x.shape[-1])
    one = broadcast_to(np.eye(size, dtype=x.dtype), (*x.shape[:-2], size, size))
    return _eliminated(x, one)[0]


@op_with(lambda a: np.asarray(np.linalg.det(_floats(a))))
def det(x: Any) -> Any:
    """The determinant of matrices [.., n, n]."""
    x = _matrix("det", x)
    return _eliminated(x, x)[1]


@op_with(lambda x: tuple(map(np.asarray, np.linalg.slogdet(_floats(x)))))
def slogdet(x: Any) -> Any:
    """(sign, log of the absolute value) of the determinant."""
    determinant = det(x)
    return sign(determinant), log(absolute(determinant))


@op_with(lambda x: np.asarray(np.linalg.slogdet(_floats(x))[1]))
def logdet(x: Any) -> Any:
    """The logarithm of the absolute value of the determinant."""
    return slogdet(x)[1]


def _triangular_arrays(a: Any, b: Any, lower: bool = False) -> Array:
    a, b = _floats(a), _floats(b)
    vector = b.ndim == a.ndim - 1
    right = b[..., None] if vector else b
    size = a.shape[-1]
    solution = np.zeros(np.broadcast_shapes(a.shape[:-2], right.shape[:-2]) + right.shape[-2:], right.dtype)
    for k in range(size) if lower else reversed(range(size)):
        known = a[..., k : k + 1, :] @ solution
        solution[..., k : k + 1, :] = (right[..., k : k + 1, :] - known) / a[..., k : k + 1, k : k + 1]
    return solution[..., 0] if vector else solution


@op_with(_triangular_arrays)
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """x with a x = b, where only the upper (or lower) triangle of a counts."""
    a = convert(a, float_type(a))
    return solve(tril(a) if lower else triu(a), b)


# ---- factorisations


def _cholesky_arrays(x: Any, upper: bool = False) -> Array:
    x = _floats(x)
    try:
        factor = np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / 2)
    except np.linalg.LinAlgError:
        raise ValueError(
            "Cholesky decomposition failed. The input might not be a valid positive definite matrix."
        ) from None
    return np.asarray(np.swapaxes(factor, -1, -2) if upper else factor)


@op_with(_cholesky_arrays)
def cholesky(x: Any, upper: bool = False) -> Any:
    """The lower triangle L with x = L L^T of positive definite matrices (upper: L^T); NaN where there is none."""
    x = _matrix("cholesky", x)
    x = divide(x + swapaxes(x, -1, -2), 2.0)
    size = int(x.shape[-1])
    rows = reshape(arange(size), (size, 1))
    columns: list[Any] = []
    for k in range(size):
        left = _column(x, k)
        for done in columns:
            left = subtract(left, multiply(done, done[..., k : k + 1, :]))
        columns.append(where(greater_equal(rows, k), divide(left, sqrt(left[..., k : k + 1, :])), 0.0))
    factor = concatenate(columns, -1)
    return swapaxes(factor, -1, -2) if upper else factor


@op
def cholesky_inverse(x: Any, upper: bool = False) -> Any:
    """The inverse of the matrix whose Cholesky factor is given."""
    x = convert(x, float_type(x))
    half = solve_triangular(x, np.eye(int(x.shape[-1]), dtype=x.dtype), lower=not upper)
    turned = swapaxes(half, -1, -2)
    return matmul(half, turned) if upper else matmul(turned, half)


def _qr_arrays(x: Any, mode: str = "reduced") -> tuple[Array, Array]:
    _check_mode(mode)
    q, r = np.linalg.qr(_floats(x), "complete" if mode == "complete" else "reduced")
    return np.asarray(q), np.asarray(r)


def _check_mode(mode: str) -> None:
    if mode not in ("reduced", "complete"):
        raise ValueError(
            f"`mode` argument value not supported. Expected one of {{'reduced', 'complete'}}. Received: mode={mode}"
        )


@op_with(_qr_arrays)
def qr(x: Any, mode: str = "reduced") -> Any:
    """(q, r) with x = q r, q orthogonal and r upper triangular, by Householder's reflections."""
    _check_mode(mode)
    r = _matrix("qr", x, square_wanted=False)
    size, width = int(r.shape[-2]), int(r.shape[-1])
    rows = reshape(arange(size), (size, 1))
    q: Any = broadcast_to(np.eye(size, dtype=r.dtype), (*r.shape[:-2], size, size))
    for k in range(builtins.min(size - 1, width)):
        mirror = _reflection(where(greater_equal(rows, k), _column(r, k), 0.0), rows, k)
        r = subtract(r, multiply(mirror, sum(multiply(mirror, r), axis=-2, keepdims=True)))
        q = subtract(q, matmul(matmul(q, mirror), swapaxes(mirror, -1, -2)))
    kept = size if mode == "complete" else builtins.min(size, width)
    return q[..., :kept], triu(r)[..., :kept, :]


def _reflection(column: Any, rows: Any, k: int) -> Any:
    """v with (1 - v v^T) column = a multiple of the k-th unit vector; zero if it is one already."""
    head = column[..., k : k + 1, :]
    below = sum(where(greater(rows, k), square(column), 0.0), axis=-2, keepdims=True)
    needed = greater(below, 0)
    length = sqrt(where(needed, below + square(head), 1.0))
    away = where(greater_equal(head, 0), length, negative(length))
    v = where(equal(rows, k), column + away, column)
    scale = sqrt(where(needed, divide(sum(square(v), axis=-2, keepdims=True), 2.0), 1.0))
    return where(needed, divide(v, scale), 0.0)


@arrays_only("its row exchanges are found by comparing values")
def lu_factor(x: Any) -> tuple[Array, Array]:
    """(lu, pivots): L below the diagonal, U from it on, and the row exchanged with each row (int32)."""
    lu = _floats(x).copy()
    flat = lu.reshape(-1, *lu.shape[-2:])
    steps = builtins.min(*lu.shape[-2:])
    pivots = np.zeros((len(flat), steps), np.int32)
    for matrix, order in zip(flat, pivots, strict=True):
        for k in range(steps):
            order[k] = best = k + int(np.argmax(np.abs(matrix[k:, k])))
            matrix[[k, best]] = matrix[[best, k]]
            matrix[k + 1 :, k] /= matrix[k, k]
            matrix[k + 1 :, k + 1 :] -= np.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])
    return flat.reshape(lu.shape), pivots.reshape(*lu.shape[:-2], steps)


@arrays_only(_ITERATES)
def eig(x: Any) -> tuple[Array, Array]:
    """(eigenvalues, eigenvectors as columns) of square matrices; complex."""
    values, vectors = np.linalg.eig(_floats(x))
    return tuple(np.asarray(v, np.result_type(v.dtype, np.complex64)) for v in (values, vectors))  # type: ignore[return-value]


@arrays_only(_ITERATES)
def eigh(x: Any) -> tuple[Array, Array]:
    """(eigenvalues in ascending order, eigenvectors as columns) of symmetric matrices."""
    x = _floats(x)
    values, vectors = np.linalg.eigh((x + np.swapaxes(x, -1, -2)) / 2)
    return values, vectors


@arrays_only(_ITERATES)
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(u, s, v^T) with x = u s v^T, singular values descending; s alone without compute_uv."""
    if not compute_uv:
        return np.linalg.svd(_floats(x), compute_uv=False)
    return tuple(np.linalg.svd(_floats(x), full_matrices))


@arrays_only(_ITERATES)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Array:
    """The x of the smallest norm that makes |a x - b| smallest."""
    return np.asarray(np.linalg.lstsq(_floats(a), _floats(b), rcond)[0])


@arrays_only(_ITERATES)
def pinv(x: Any, rcond: float | None = None) -> Array:
    """The Moore-Penrose inverse; singular values below rcond times the largest count as zero."""
    x = _floats(x)
    _check_rank(x)
    limit = 10.0 * builtins.max(*x.shape[-2:]) * float(np.finfo(x.dtype).eps) if rcond is None else rcond
    return np.asarray(np.linalg.pinv(x, limit))


@arrays_only(_ITERATES)
def matrix_rank(x: Any, tol: float | None = None) -> Array:
    """The number of singular values above tol (int32)."""
    x = _floats(x)
    _check_rank(x)
    return np.asarray(np.linalg.matrix_rank(x, tol), np.int32)


def _check_rank(x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"Expected input to have rank >= 2. Received input with shape {x.shape}.")


def jvp(fun: Any, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """Forward-mode derivatives are not implemented: graphs have reverse-mode gradients only."""
    raise NotImplementedError("jvp: graphc differentiates backwards only; use training or a loss whose gradient it is")


# ---- norms


def _norm_arrays(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    axes = tuple(axis) if isinstance(axis, list) else axis
    return np.asarray(np.linalg.norm(_floats(x), None if ord == "euclidean" else ord, axes, keepdims))


@op_with(_norm_arrays)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A norm of vectors (one axis) or matrices (two axes).

    ord: vectors take None (Euclidean), 0, any number, inf and -inf; matrices "fro", 1, -1, inf, -inf, and, on arrays
    only, "nuc", 2 and -2. Without axis and ord it is the Euclidean norm of all elements.
    """
    x = convert(x, float_type(x))
    if axis is None and ord is None:
        return sqrt(sum(square(x), None, keepdims))
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(f"norm: wanted one axis or two. Received: axis={axis}, x.shape={x.shape}")


def _vector_norm(x: Any, ord: Any, axis: int, keepdims: bool) -> Any:
    if ord in (None, 2, "euclidean"):
        return sqrt(sum(square(x), axis, keepdims))
    if isinstance(ord, str):
        raise ValueError(f"Invalid order '{ord}' for vector norm.")
    size = absolute(x)
    if math.isinf(ord):
        return (max if ord > 0 else min)(size, axis, keepdims)
    if ord == 0:
        return sum(cast(not_equal(x, 0), x.dtype), axis, keepdims)
    if ord == 1:
        return sum(size, axis, keepdims)
    return power(sum(power(size, float(ord)), axis, keepdims), 1.0 / ord)


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    row, column = (axis % x.ndim for axis in axes)
    if ord in (None, "fro"):
        return sqrt(sum(square(x), (row, column), keepdims))
    if ord in (1, -1) or (not isinstance(ord, str) and math.isinf(ord)):
        first, second = (row, column) if abs(ord) == 1 else (column, row)
        largest = max if ord > 0 else min
        return (
            largest(sum(absolute(x), first, True), second, True)
            if keepdims
            else largest(sum(absolute(x), first), second - (second > first))
        )
    if ord in ("nuc", 2, -2):
        raise NotImplementedError(f"norm: ord={ord!r} of matrices needs singular values; {_ITERATES}")
    raise ValueError(f"Invalid order '{ord}' for matrix norm.")
