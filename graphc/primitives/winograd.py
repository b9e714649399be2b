"""Winograd's minimal filtering in two dimensions: convolutions with fewer multiplications (Lavin and Gray, 2015).

A 3x3 convolution of a tile of 6x6 inputs gives 4x4 outputs. As polynomials, tile and filter are evaluated at six points
(0, 1, -1, 2, -2 and infinity, along both axes), multiplied point by point, and interpolated: 36 products instead of
144. Over all channels the products are 36 matrix products. The same points serve the gradient in the filter, where the
filter is a 4x4 tile of the output's gradient and the 3x3 results are summed over all tiles.

These ops are the linear maps before and after. `passes.winograd` puts them in place of convolutions when gradients have
been taken, so they have none of their own.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.nest import Affine, Axis, Const, Expr, Nest, load
from graphc.ir.op import Array, Op, Types
from graphc.ir.types import DType, Rows, ShapeError, TensorType

Matrix = tuple[tuple[float, ...], ...]

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and infinity
TILE = len(POINTS) + 1  # elements of an input tile along an axis
STEP = 4  # and of the outputs it gives


def input_matrix() -> Matrix:
    """Input tile (6) -> values at the points: row i is the polynomial that vanishes at all other points."""
    rows = [np.poly([p for p in POINTS if p != point])[::-1] for point in POINTS]
    rows.append(np.poly(POINTS)[::-1])
    return tuple(tuple(map(float, np.pad(row, (0, TILE - len(row))))) for row in rows)


def filter_matrix(taps: int, flip: bool = False) -> Matrix:
    """Filter of `taps` elements, or the reversed filter -> values at the points, with the interpolation's divisors."""
    rows = [[p**k / _divisor(p) for k in range(taps)] for p in POINTS]
    rows.append([float(k == taps - 1) for k in range(taps)])
    return tuple(tuple(row[::-1] if flip else row) for row in rows)


def output_matrix(outputs: int) -> Matrix:
    """Products at the points -> `outputs` results."""
    return tuple((*(p**k for p in POINTS), float(k == outputs - 1)) for k in range(outputs))


def _divisor(point: float) -> float:
    return float(np.prod([point - other for other in POINTS if other != point]))


MAPS: dict[str, Callable[[], Matrix]] = {
    "input": input_matrix,
    "filter": lambda: filter_matrix(3),
    "flipped": lambda: filter_matrix(3, flip=True),
    "gradient": lambda: filter_matrix(4),
    "output": lambda: output_matrix(4),
    "taps": lambda: output_matrix(3),
}
"""input: 6 -> 6. filter, flipped (the filter reversed): 3 -> 6. gradient: 4 -> 6. output: 6 -> 4. taps: 6 -> 3."""


@functools.cache
def matrix_of(map: str) -> Matrix:
    """The matrix of one of the `MAPS`."""
    return MAPS[map]()


class Transform(Op, abstract=True):
    """What the three share: tile -> M tile M^T for the matrix M that `map` names, one nest per element of the result.

    A tile of p x p elements is an axis of p * p. The nests run over the same axes and share subexpressions.
    """

    map: str

    @property
    def matrix(self) -> Matrix:
        return matrix_of(self.map)

    def check(self, x: TensorType, rank: int) -> None:
        if self.map not in MAPS:
            raise ShapeError(f"no map is called {self.map!r}: there are {', '.join(MAPS)}")
        if x.rank < rank or not x.dtype.is_float:
            raise ShapeError(f"operand is {x}, wanted floats of rank {rank}")

    def transformed(self, element: Callable[[int], Expr]) -> list[Expr]:
        """The elements of the transformed tile, from those of the tile."""
        size = len(self.matrix[0])
        columns = [_products(self.matrix, [element(a * size + b) for a in range(size)]) for b in range(size)]
        rows = [_products(self.matrix, [column[i] for column in columns]) for i in range(len(self.matrix))]
        return [value for row in rows for value in row]

    def apply(self, tiles: Array) -> Array:
        """The transformation of the leading axis."""
        m = np.asarray(self.matrix, tiles.dtype)
        size, rest = m.shape[1], tiles.shape[1:]
        found = np.einsum("ia,jb,ab...->ij...", m, m, tiles.reshape(size, size, *rest))
        return np.ascontiguousarray(found.reshape(-1, *rest))


def _products(matrix: Matrix, xs: Sequence[Expr]) -> list[Expr]:
    """matrix @ xs, as the sum or difference of an even and an odd part: rows of opposite points share both."""
    return [_row(row, xs) for row in matrix]


def _row(row: Sequence[float], xs: Sequence[Expr]) -> Expr:
    even, odd = _part(row[0::2], xs[0::2]), _part(row[1::2], xs[1::2])
    if even is None or odd is None:
        return _signed(even or odd or (Const(0.0, xs[0].dtype), 1.0))
    if even[1] == odd[1]:
        return _signed((even[0] + odd[0], even[1]))
    return even[0] - odd[0] if even[1] > 0 else odd[0] - even[0]


def _part(row: Sequence[float], xs: Sequence[Expr]) -> tuple[Expr, float] | None:
    """(sum, sign): the products of a part of a row with the sign of its first one taken out."""
    terms = [(x, c) for x, c in zip(xs, row, strict=True) if c]
    if not terms:
        return None
    sign = 1.0 if terms[0][1] > 0 else -1.0
    total: Expr | None = None
    for x, c in terms:
        scaled = x if abs(c) == 1 else x * abs(c)
        total = scaled if total is None else total + scaled if c * sign > 0 else total - scaled
    assert total is not None
    return total, sign


def _signed(part: tuple[Expr, float]) -> Expr:
    return part[0] if part[1] > 0 else -part[0]


@dataclass(frozen=True, slots=True)
class TransformTiles(Transform):
    """x[q * q, rest..] -> y[p * p, rest..]."""

    map: str

    def infer(self, *types: TensorType) -> Types:
        (x,) = types
        self.check(x, 1)
        p, q = len(self.matrix), len(self.matrix[0])
        if x.shape[0] != q * q:
            raise ShapeError(f"operand is {x}, wanted {q} * {q} elements along axis 0")
        return (x.with_shape((p * p, *x.shape[1:])),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (self.apply(arrays[0]),)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        (x,) = types
        axes = tuple(Axis(f"i{d}", dim) for d, dim in enumerate(x.shape[1:]))
        tile = self.transformed(lambda number: load(0, x, (number, *axes)))
        return tuple(Nest(axes, value, store=(Affine.of(i), *map(Affine.of, axes))) for i, value in enumerate(tile))

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls("filter"), (TensorType((9, 5, 17)),)),
            (cls("flipped"), (TensorType((9, 7), DType.F64),)),
            (cls("taps"), (TensorType((36, 5, 19)),)),
        ]


@dataclass(frozen=True, slots=True)
class TilesIn(Transform):
    """x[N, H, W, C] -> y[p * p, N, th, tw, C]: every 4 elements a tile of q x q, transformed.

    Tile (r, s) begins at (4 r - low[0], 4 s - low[1]); outside x are zeros. `tiles` is (th, tw).
    """

    map: str
    low: tuple[int, int]
    tiles: tuple[int, int]

    def infer(self, *types: TensorType) -> Types:
        (x,) = types
        self.check(x, 4)
        if x.rank != 4:
            raise ShapeError(f"operand is {x}, wanted x[N, H, W, C]")
        return (x.with_shape((len(self.matrix) ** 2, x.shape[0], *self.tiles, x.shape[3])),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        q = len(self.matrix[0])
        spans = [(t - 1) * STEP + q for t in self.tiles]
        padded = np.zeros((len(x), *spans, x.shape[3]), x.dtype)
        ends = [min(n + lo, span) for n, lo, span in zip(x.shape[1:3], self.low, spans, strict=True)]
        kept = x[:, : ends[0] - self.low[0], : ends[1] - self.low[1]]
        padded[:, self.low[0] : ends[0], self.low[1] : ends[1]] = kept
        stops = [(t - 1) * STEP + 1 for t in self.tiles]
        tiles = [padded[:, a : a + stops[0] : STEP, b : b + stops[1] : STEP] for a in range(q) for b in range(q)]
        return (self.apply(np.asarray(tiles)),)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        (x,) = types
        axes = n, r, s, c = (Axis("n", x.shape[0]), *map(Axis, "rs", self.tiles), Axis("c", x.shape[3]))
        q = len(self.matrix[0])

        def element(number: int) -> Expr:
            a, b = divmod(number, q)
            return load(
                0, x, (n, Affine.of(r) * STEP + a - self.low[0], Affine.of(s) * STEP + b - self.low[1], c), fill=0.0
            )

        return tuple(
            Nest(axes, value, store=(Affine.of(i), *map(Affine.of, axes)))
            for i, value in enumerate(self.transformed(element))
        )

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls("input", (1, 1), (2, 3)), (TensorType((Rows(2), 8, 12, 17)),)),
            (cls("input", (0, 2), (1, 4)), (TensorType((Rows(2), 6, 15, 5)),)),
            (cls("gradient", (0, 0), (2, 3)), (TensorType((Rows(2), 7, 10, 4), DType.F64),)),
        ]


@dataclass(frozen=True, slots=True)
class TilesOut(Transform):
    """x[q * q, N, th, tw, C] -> y[N, H, W, C]: tiles transformed to p x p lie side by side.

    What goes beyond `size` = (H, W) is cut off.
    """

    map: str
    size: tuple[int, int]

    def infer(self, *types: TensorType) -> Types:
        (x,) = types
        self.check(x, 5)
        p, q = len(self.matrix), len(self.matrix[0])
        if x.shape[0] != q * q or x.rank != 5:
            raise ShapeError(f"operand is {x}, wanted x[{q * q}, N, tiles, tiles, C]")
        if any(not (t - 1) * p < n <= t * p for t, n in zip(x.shape[2:4], self.size, strict=True)):
            raise ShapeError(f"{x.shape[2]} x {x.shape[3]} tiles of {p} x {p} do not just cover {self.size}")
        return (x.with_shape((x.shape[1], *self.size, x.shape[4])),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        p = len(self.matrix)
        _, n, th, tw, c = arrays[0].shape
        tiles = self.apply(arrays[0]).reshape(p, p, n, th, tw, c)
        whole = tiles.transpose(2, 3, 0, 4, 1, 5).reshape(n, th * p, tw * p, c)
        return (np.ascontiguousarray(whole[:, : self.size[0], : self.size[1]]),)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        """The nests of whole tiles, then those of the tiles that are cut at the edges."""
        spans = itertools.product(*map(self._spans, self.size))
        return tuple(nest for down, across in spans for nest in self._nests(types[0], down, across))

    def _spans(self, size: int) -> list[Span]:
        p = len(self.matrix)
        whole, rest = divmod(size, p)
        return [span for span in (Span(0, whole, p), Span(whole, 1, rest)) if span.count and span.kept]

    def _nests(self, x: TensorType, down: Span, across: Span) -> Iterator[Nest]:
        p = len(self.matrix)
        axes = n, r, s, c = Axis("n", x.shape[1]), Axis("r", down.count), Axis("s", across.count), Axis("c", x.shape[4])
        row, column = Affine.of(r) + down.first, Affine.of(s) + across.first
        tile = self.transformed(lambda number: load(0, x, (number, n, row, column, c)))
        for i, j in itertools.product(range(down.kept), range(across.kept)):
            store = (Affine.of(n), row * p + i, column * p + j, Affine.of(c))
            yield Nest(axes, tile[i * p + j], store=store)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        def tiles(*shape: int, dtype: DType = DType.F32) -> Types:
            return (TensorType((36, Rows(6), *shape), dtype),)

        return [
            (cls("output", (12, 16)), tiles(3, 4, 17)),
            (cls("output", (7, 13)), tiles(2, 4, 5)),
            (cls("output", (3, 8)), tiles(1, 2, 4, dtype=DType.F64)),
        ]


@dataclass(frozen=True, slots=True)
class Span:
    """Tiles along an axis: the first, how many, and how many elements of each are kept."""

    first: int
    count: int
    kept: int
