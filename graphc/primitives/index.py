"""Indexed access by row: gather, its gradient scatter-add, and adding to rows of a table. Indices outside are clamped
to the first or last row.

With `batch` leading axes in common, every entry of those has a table and ids of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Expr, Nest
from graphc.ir.op import Array, Op, Revision, Types, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.reduce import check_number
from graphc.primitives.shape import refuse_rows


def check_table(table: TensorType, ids: TensorType, batch: int) -> None:
    """ShapeError unless the table has rows to pick, the ids are integers and the batch axes agree."""
    if table.rank <= batch or not int(table.shape[batch]):
        raise ShapeError(f"table is {table}, wanted at least one row along axis {batch}")
    refuse_rows(table, batch, "indexed")
    if not ids.dtype.is_integer:
        raise ShapeError(f"ids are {ids}, wanted integers")
    if ids.shape[:batch] != table.shape[:batch]:
        raise ShapeError(f"the first {batch} axes differ: table is {table}, ids are {ids}")


def _by_batch(array: Array, batch: int) -> Array:
    """The array with its batch axes merged into one."""
    return array.reshape((int(np.prod(array.shape[:batch], dtype=np.int64)), *array.shape[batch:]))


def row_index(operand: int, ids: TensorType, index: tuple[Affine, ...]) -> Expr:
    return nests.cast(nests.load(operand, ids, index), DType.I64)


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """table[ids] along axis `batch`: operands table[batch.., V, rest..] and integer ids[batch.., any..]; result
    [ids.., rest..]."""

    batch: int = 0

    def infer(self, *types: TensorType) -> Types:
        table, ids = types
        check_table(table, ids, self.batch)
        return (table.with_shape(ids.shape + table.shape[self.batch + 1 :]),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        table, ids = arrays
        rows = np.clip(ids.astype(np.int64), 0, table.shape[self.batch] - 1)
        flat = _by_batch(rows, self.batch)
        of = np.arange(len(flat)).reshape((-1,) + (1,) * (flat.ndim - 1))
        return (_by_batch(table, self.batch)[of, flat].reshape(rows.shape + table.shape[self.batch + 1 :]),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,), (table, ids) = cotangents, inputs
        return (fn.scatter_add(b, table.shape, ids, g, self.batch) if g else None, None)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        table, ids = types
        axes = nests.axes_of(self.infer(*types)[0].shape)
        index = tuple(map(Affine.of, axes))
        row = row_index(1, ids, index[: ids.rank])
        return (Nest(axes, nests.load(0, table, (*index[: self.batch], row, *index[ids.rank :]))),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(), (TensorType((11, 16)), TensorType((Rows(6),), DType.I32))),
            (cls(), (TensorType((3, 5, 7), DType.F64), TensorType((2, 4), DType.I64))),
            (cls(), (TensorType((5,)), TensorType((3,), DType.U8))),
            (cls(), (TensorType((5, 3), DType.I32), TensorType((), DType.I32))),
            (cls(1), (TensorType((Rows(6), 5, 16)), TensorType((Rows(6), 7), DType.I32))),
            (cls(2), (TensorType((2, 3, 5), DType.F64), TensorType((2, 3, 4, 7), DType.U8))),
            (cls(1), (TensorType((3, 11)), TensorType((3,), DType.I64))),
        ]


@dataclass(frozen=True, slots=True)
class ScatterAdd(Op):
    """Zeros of `shape` [batch.., V, rest..], to whose row ids[i] updates[i, rest..] is added for every i, in order.

    Operands: integer ids[batch.., any..], updates[ids.., rest..].
    """

    shape: Shape
    batch: int = 0

    def infer(self, *types: TensorType) -> Types:
        ids, updates = types
        result = updates.with_shape(self.shape)
        check_number(updates)
        check_table(result, ids, self.batch)
        wanted = updates.with_shape(ids.shape + self.shape[self.batch + 1 :])
        if updates != wanted:
            raise ShapeError(f"updates are {updates}, wanted {wanted} for ids {ids} into {result}")
        return (result,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        ids, updates = arrays
        shape = tuple(map(int, self.shape))
        result = _by_batch(np.zeros(shape, updates.dtype), self.batch)
        rows = _by_batch(np.clip(ids.astype(np.int64), 0, shape[self.batch] - 1), self.batch)
        of = np.arange(len(rows)).reshape((-1,) + (1,) * (rows.ndim - 1))
        np.add.at(result, (of, rows), updates.reshape(rows.shape + shape[self.batch + 1 :]))
        return (result.reshape(shape),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (None, fn.gather(b, g, inputs[0], self.batch) if g else None)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        ids, updates = types
        outer, inner = nests.axes_of(self.shape[: self.batch], "b"), nests.axes_of(ids.shape[self.batch :], "k")
        rest = nests.axes_of(self.shape[self.batch + 1 :])
        row = row_index(0, ids, tuple(map(Affine.of, outer + inner)))
        store = (*map(Affine.of, outer), row, *map(Affine.of, rest))
        body = nests.load(1, updates, outer + inner + rest)
        return (Nest(outer + rest, body, inner, "add" if inner else "", store, scatter=True),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((11, 16)), (TensorType((Rows(6),), DType.I32), TensorType((Rows(6), 16)))),
            (cls((3, 5, 7)), (TensorType((2, 4), DType.I64), TensorType((2, 4, 5, 7), DType.F64))),
            (cls((5,)), (TensorType((37,), DType.U8), TensorType((37,)))),
            (cls((5, 3)), (TensorType((), DType.I32), TensorType((3,), DType.I32))),
            (cls((Rows(6), 5, 16), 1), (TensorType((Rows(6), 7), DType.I32), TensorType((Rows(6), 7, 16)))),
            (cls((2, 3, 5), 2), (TensorType((2, 3, 4, 7), DType.U8), TensorType((2, 3, 4, 7), DType.F64))),
            (cls((3, 11), 1), (TensorType((3,), DType.I64), TensorType((3,)))),
        ]


@dataclass(frozen=True, slots=True)
class AddRows(Revision):
    """table[V, rest..] with updates[i, rest..] added to its row ids[i] for every i, in order; other rows keep their
    bits.

    Operands: table, integer ids[any..], updates[ids.., rest..].
    """

    def infer(self, *types: TensorType) -> Types:
        table, ids, updates = types
        if ScatterAdd(table.shape).infer(ids, updates) != (table,):
            raise ShapeError(f"table is {table}, updates are {updates}: wanted one dtype")
        return (table,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        table, ids, updates = arrays
        result = table.copy()
        np.add.at(result, np.clip(ids.astype(np.int64), 0, len(table) - 1), updates)
        return (result,)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (g, None, fn.gather(b, g, inputs[1]) if g else None)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        table, ids, updates = types
        inner, rest = nests.axes_of(ids.shape, "k"), nests.axes_of(table.shape[1:])
        store = (row_index(1, ids, tuple(map(Affine.of, inner))), *map(Affine.of, rest))
        body = nests.load(2, updates, inner + rest)
        return (Nest(rest, body, inner, "add" if inner else "", store, scatter=True, start=0),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(), (types[0].with_shape(op.shape).with_dtype(types[1].dtype), *types))
            for op, types in ScatterAdd.samples()
            if isinstance(op, ScatterAdd) and not op.batch
        ]
