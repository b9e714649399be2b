"""The general matrix product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Axis, Nest
from graphc.ir.op import Array, Contraction, Op, Types, Value
from graphc.ir.types import DType, Rows, ShapeError, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.reduce import check_number

Pairs = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Dot(Contraction):
    """Sum over paired axes of the product of lhs and rhs.

    `batch` and `contract` each pair axes of lhs with axes of rhs: batch[0][i] with batch[1][i], and so on. The result
    has the batch axes, then the other axes of lhs, then the other axes of rhs. Operands and result share one dtype.
    """

    batch: Pairs = ((), ())
    contract: Pairs = ((), ())

    def infer(self, *types: TensorType) -> Types:
        lhs, rhs = types
        if lhs.dtype is not rhs.dtype:
            raise ShapeError(f"operand dtypes differ: {lhs} and {rhs}")
        check_number(lhs)
        for side, type in enumerate(types):
            self._check_axes(side, type)
        self._check_pairs("batch", self.batch, lhs, rhs)
        self._check_pairs("inner", self.contract, lhs, rhs)
        return (lhs.with_shape(tuple(axis.extent for axis in self._axes(lhs, rhs)[0])),)

    def _check_axes(self, side: int, type: TensorType) -> None:
        axes = self.batch[side] + self.contract[side]
        if len(set(axes)) != len(axes) or any(not 0 <= axis < type.rank for axis in axes):
            raise ShapeError(f"axes {axes} of {type} must lie from 0 to {type.rank - 1} and not repeat")

    def _check_pairs(self, what: str, pairs: Pairs, lhs: TensorType, rhs: TensorType) -> None:
        if len(pairs[0]) != len(pairs[1]):
            raise ShapeError(f"{what} axes {pairs[0]} and {pairs[1]} do not pair up")
        for a, c in zip(*pairs, strict=True):
            if lhs.shape[a] != rhs.shape[c]:
                raise ShapeError(f"{what} dimensions differ: {lhs} has {lhs.shape[a]}, {rhs} has {rhs.shape[c]}")

    def free(self, side: int, rank: int) -> tuple[int, ...]:
        """The axes of an operand that are neither batch nor contracted."""
        return tuple(axis for axis in range(rank) if axis not in self.batch[side] + self.contract[side])

    def _axes(self, lhs: TensorType, rhs: TensorType) -> tuple[list[Axis], list[Axis]]:
        """The axes of the result, and the contracted axes."""
        batch = [Axis(f"b{i}", lhs.shape[axis]) for i, axis in enumerate(self.batch[0])]
        rows = [Axis(f"m{i}", lhs.shape[axis]) for i, axis in enumerate(self.free(0, lhs.rank))]
        columns = [Axis(f"n{i}", rhs.shape[axis]) for i, axis in enumerate(self.free(1, rhs.rank))]
        inner = [Axis(f"k{i}", lhs.shape[axis]) for i, axis in enumerate(self.contract[0])]
        return batch + rows + columns, inner

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        """Both operands as stacks of matrices, then matmul."""
        lhs, rhs = arrays
        left, right = self.free(0, lhs.ndim), self.free(1, rhs.ndim)
        outer, rows, inner = (tuple(lhs.shape[a] for a in axes) for axes in (self.batch[0], left, self.contract[0]))
        columns = tuple(rhs.shape[axis] for axis in right)
        stack_left = lhs.transpose(self.batch[0] + left + self.contract[0])
        stack_right = rhs.transpose(self.batch[1] + self.contract[1] + right)
        product = np.matmul(
            stack_left.reshape(*outer, math.prod(rows), math.prod(inner)),
            stack_right.reshape(*outer, math.prod(inner), math.prod(columns)),
        )
        return (product.reshape(outer + rows + columns),)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        lhs, rhs = types
        result, inner = self._axes(lhs, rhs)
        at = {axis.name: axis for axis in result + inner}
        body = nests.load(0, lhs, self._index(0, lhs, "m", at)) * nests.load(1, rhs, self._index(1, rhs, "n", at))
        return (Nest(tuple(result), body, tuple(inner), "add" if inner else ""),)

    def _index(self, side: int, type: TensorType, free: str, at: dict[str, Axis]) -> tuple[Axis, ...]:
        groups = {"b": self.batch[side], free: self.free(side, type.rank), "k": self.contract[side]}
        names = {axis: f"{letter}{i}" for letter, axes in groups.items() for i, axis in enumerate(axes)}
        return tuple(at[names[axis]] for axis in range(type.rank))

    def labels(self, lhs: int, rhs: int) -> tuple[str, str, str]:
        """The einsum labels of lhs, rhs and the result, for operands of these ranks."""
        letters = [chr(ord("a") + i) for i in range(lhs)]
        paired = dict(zip(self.batch[1] + self.contract[1], self.batch[0] + self.contract[0], strict=True))
        other = [letters[paired[axis]] if axis in paired else chr(ord("A") + axis) for axis in range(rhs)]
        result = [letters[axis] for axis in self.batch[0] + self.free(0, lhs)] + [other[a] for a in self.free(1, rhs)]
        return "".join(letters), "".join(other), "".join(result)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,), (x, y) = cotangents, inputs
        if g is None:
            return (None, None)
        lhs, rhs, result = self.labels(x.type.rank, y.type.rank)
        return fn.einsum(b, g, result, y, rhs, lhs), fn.einsum(b, x, lhs, g, result, rhs)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        def pair(lhs: tuple[int, ...], rhs: tuple[int, ...], dtype: DType = DType.F32) -> Types:
            return TensorType(lhs, dtype), TensorType(rhs, dtype)

        return [
            (cls(contract=((1,), (0,))), pair((Rows(6), 37), (37, 16))),
            (cls(contract=((1,), (1,))), pair((7, 5), (19, 5))),
            (cls(contract=((0,), (0,))), pair((Rows(6), 3), (Rows(6), 17))),
            (cls(contract=((0,), (1,))), pair((5, 3), (7, 5), DType.F64)),
            (cls(((0,), (0,)), ((2,), (1,))), pair((Rows(6), 3, 5), (Rows(6), 5, 7))),
            (cls(((0, 2), (0, 1)), ((3,), (3,))), pair((2, 5, 3, 7), (2, 3, 11, 7), DType.F64)),
            (cls(contract=((0, 2), (1, 0))), pair((3, 2, 5), (5, 3, 7))),
            (cls(contract=((0,), (0,))), pair((7,), (7,))),
            (cls(), pair((3,), (5,))),
            (cls(contract=((1,), (0,))), pair((3, 5), (5, 2), DType.I32)),
        ]
