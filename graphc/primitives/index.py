"""Indexed access by row: gather and its gradient, scatter-add. Indices outside are clamped to the first or last row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Expr, Nest
from graphc.ir.op import Array, Op, Types, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.reduce import check_number
from graphc.primitives.shape import refuse_rows


def check_table(table: TensorType, ids: TensorType) -> None:
    """ShapeError unless the table has rows to pick and the ids are integers."""
    if not table.rank or not int(table.shape[0]):
        raise ShapeError(f"table is {table}, wanted at least one row along axis 0")
    refuse_rows(table, 0, "indexed")
    if not ids.dtype.is_integer:
        raise ShapeError(f"ids are {ids}, wanted integers")


def row_index(operand: int, ids: TensorType, index: tuple[Affine, ...]) -> Expr:
    return nests.cast(nests.load(operand, ids, index), DType.I64)


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """table[ids] along axis 0: operands table[V, rest..] and integer ids of any shape; result [ids.., rest..]."""

    def infer(self, *types: TensorType) -> Types:
        table, ids = types
        check_table(table, ids)
        return (table.with_shape(ids.shape + table.shape[1:]),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        table, ids = arrays
        return (np.asarray(table[np.clip(ids.astype(np.int64), 0, table.shape[0] - 1)]),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,), (table, ids) = cotangents, inputs
        return (fn.scatter_add(b, table.shape, ids, g) if g else None, None)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        table, ids = types
        axes = nests.axes_of(self.infer(*types)[0].shape)
        index = tuple(map(Affine.of, axes))
        row = row_index(1, ids, index[: ids.rank])
        return (Nest(axes, nests.load(0, table, (row, *index[ids.rank :]))),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(), (TensorType((11, 16)), TensorType((Rows(6),), DType.I32))),
            (cls(), (TensorType((3, 5, 7), DType.F64), TensorType((2, 4), DType.I64))),
            (cls(), (TensorType((5,)), TensorType((3,), DType.U8))),
            (cls(), (TensorType((5, 3), DType.I32), TensorType((), DType.I32))),
        ]


@dataclass(frozen=True, slots=True)
class ScatterAdd(Op):
    """Zeros of `shape` [V, rest..], to whose row ids[i] updates[i, rest..] is added for every i, in order.

    Operands: integer ids of any shape, updates[ids.., rest..].
    """

    shape: Shape

    def infer(self, *types: TensorType) -> Types:
        ids, updates = types
        result = updates.with_shape(self.shape)
        check_number(updates)
        check_table(result, ids)
        wanted = updates.with_shape(ids.shape + self.shape[1:])
        if updates != wanted:
            raise ShapeError(f"updates are {updates}, wanted {wanted} for ids {ids} into {result}")
        return (result,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        ids, updates = arrays
        result = np.zeros(tuple(map(int, self.shape)), updates.dtype)
        np.add.at(result, np.clip(ids.astype(np.int64), 0, int(self.shape[0]) - 1), updates)
        return (result,)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (None, fn.gather(b, g, inputs[0]) if g else None)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        ids, updates = types
        inner, rest = nests.axes_of(ids.shape, "k"), nests.axes_of(self.shape[1:])
        row = row_index(0, ids, tuple(map(Affine.of, inner)))
        store = (row, *map(Affine.of, rest))
        body = nests.load(1, updates, inner + rest)
        return (Nest(rest, body, inner, "add" if inner else "", store, scatter=True),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((11, 16)), (TensorType((Rows(6),), DType.I32), TensorType((Rows(6), 16)))),
            (cls((3, 5, 7)), (TensorType((2, 4), DType.I64), TensorType((2, 4, 5, 7), DType.F64))),
            (cls((5,)), (TensorType((37,), DType.U8), TensorType((37,)))),
            (cls((5, 3)), (TensorType((), DType.I32), TensorType((3,), DType.I32))),
        ]
