"""Ops that move elements without computing: views (broadcast, transpose, slice, flip), reshape, pad and concat.

An axis that counts batch rows is never cut, padded, reversed or joined: the valid elements of every value are those of
its first rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Nest
from graphc.ir.op import Alias, Array, Op, Types, Value, View
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType, concrete, size_of
from graphc.primitives import functions as fn
from graphc.primitives import sliding


def check_axes(axes: Sequence[int], type: TensorType) -> None:
    """ShapeError unless the axes increase strictly and lie in the operand."""
    if any(not 0 <= axis < type.rank for axis in axes):
        raise ShapeError(f"axes {tuple(axes)} do not exist in {type}, wanted axes from 0 to {type.rank - 1}")
    if any(a >= b for a, b in itertools.pairwise(axes)):
        raise ShapeError(f"axes {tuple(axes)} must increase and not repeat")


def check_one_per_axis(name: str, values: Sequence[int], type: TensorType) -> None:
    """ShapeError unless an attribute has one value per axis of the operand."""
    if len(values) != type.rank:
        raise ShapeError(f"{name} {tuple(values)} has {len(values)} values, {type} wants {type.rank}")


def refuse_rows(type: TensorType, axis: int, what: str) -> None:
    """ShapeError if the axis counts batch rows."""
    if isinstance(type.shape[axis], Rows):
        raise ShapeError(f"axis {axis} of {type} counts batch rows and cannot be {what}")


@dataclass(frozen=True, slots=True)
class Broadcast(View):
    """Repeats the operand: axis axes[d] of the result holds axis d of the operand, all other axes are new."""

    shape: Shape
    axes: tuple[int, ...]

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        check_one_per_axis("axes", self.axes, type)
        result = type.with_shape(self.shape)
        check_axes(self.axes, result)
        for d, axis in enumerate(self.axes):
            if type.shape[d] != self.shape[axis]:
                raise ShapeError(
                    f"axis {d} of {type} is {type.shape[d]}, axis {axis} of {result} is {self.shape[axis]}"
                )
        return (result,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        new = tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)
        return (np.broadcast_to(np.expand_dims(arrays[0], new), concrete(self.shape)).copy(),)

    def source(self, type: TensorType, index: tuple[Affine, ...]) -> tuple[Affine, ...]:
        return tuple(index[axis] for axis in self.axes)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        new = tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)
        return (fn.sum(b, g, new) if g else None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((3, 5, 7), (1,)), (TensorType((5,)),)),
            (cls((3, 5, 7), (0, 2)), (TensorType((3, 7), DType.F64),)),
            (cls((Rows(6), 16), ()), (TensorType(()),)),
            (cls((Rows(6), 16, 2), (0, 1)), (TensorType((Rows(6), 16)),)),
            (cls((3, 1, 37), (0, 2)), (TensorType((3, 37), DType.I32),)),
            (cls((3, 5), (0, 1)), (TensorType((3, 5), DType.BOOL),)),
        ]


@dataclass(frozen=True, slots=True)
class Transpose(View):
    """Axis d of the result is axis perm[d] of the operand."""

    perm: tuple[int, ...]

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        if sorted(self.perm) != list(range(type.rank)):
            raise ShapeError(f"perm {self.perm} is not a permutation of the {type.rank} axes of {type}")
        return (type.with_shape(tuple(type.shape[axis] for axis in self.perm)),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.transpose(arrays[0], self.perm).copy(),)

    def source(self, type: TensorType, index: tuple[Affine, ...]) -> tuple[Affine, ...]:
        return tuple(index[self.perm.index(d)] for d in range(type.rank))

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        inverse = tuple(self.perm.index(d) for d in range(len(self.perm)))
        return (fn.transpose(b, g, inverse) if g else None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((1, 0)), (TensorType((16, 37)),)),
            (cls((2, 0, 1)), (TensorType((3, 5, 7), DType.F64),)),
            (cls((1, 0, 3, 2)), (TensorType((Rows(6), 2, 3, 5), DType.I32),)),
            (cls((0,)), (TensorType((7,)),)),
        ]


@dataclass(frozen=True, slots=True)
class Slice(View):
    """Element i of the result along axis d is element starts[d] + i * strides[d] of the operand, for i < sizes[d]."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        for name in ("starts", "sizes", "strides"):
            check_one_per_axis(name, getattr(self, name), type)
        return (type.with_shape(tuple(self._dim(type, d) for d in range(type.rank))),)

    def _dim(self, type: TensorType, d: int) -> int:
        start, size, stride, dim = self.starts[d], int(self.sizes[d]), self.strides[d], type.shape[d]
        if (start, size, stride) == (0, int(dim), 1):
            return dim
        refuse_rows(type, d, "sliced")
        if start < 0 or size < 0 or stride < 1:
            raise ShapeError(
                f"axis {d}: start {start}, size {size}, stride {stride}; wanted start, size >= 0, stride >= 1"
            )
        last = start + (size - 1) * stride
        if size and last >= dim:
            raise ShapeError(f"axis {d}: the slice reaches element {last}, {type} has {dim}")
        return size

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        parts = zip(self.starts, self.sizes, self.strides, strict=True)
        return (arrays[0][tuple(slice(a, a + (int(n) - 1) * s + 1 if n else a, s) for a, n, s in parts)].copy(),)

    def source(self, type: TensorType, index: tuple[Affine, ...]) -> tuple[Affine, ...]:
        return tuple(i * stride + start for i, start, stride in zip(index, self.starts, self.strides, strict=True))

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        if g is None:
            return (None,)
        spread = fn.dilate(b, g, self.strides)
        shape = inputs[0].shape
        high = tuple(int(n) - a - int(m) for n, a, m in zip(shape, self.starts, spread.shape, strict=True))
        return (fn.pad(b, spread, self.starts, high),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((1, 2), (3, 16), (1, 1)), (TensorType((5, 37)),)),
            (cls((0, 1, 4), (6, 3, 2), (1, 2, 5)), (TensorType((Rows(6), 7, 11), DType.F64),)),
            (cls((2,), (5,), (3,)), (TensorType((17,), DType.I32),)),
            (cls((0, 3), (2, 4), (1, 1)), (TensorType((2, 7)),)),
        ]


@dataclass(frozen=True, slots=True)
class Flip(View):
    """The operand with some axes reversed."""

    axes: tuple[int, ...]

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        check_axes(self.axes, type)
        for axis in self.axes:
            refuse_rows(type, axis, "reversed")
        return (type,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.flip(arrays[0], self.axes).copy(),)

    def source(self, type: TensorType, index: tuple[Affine, ...]) -> tuple[Affine, ...]:
        return tuple(i * -1 + (int(type.shape[d]) - 1) if d in self.axes else i for d, i in enumerate(index))

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (fn.flip(b, g, self.axes) if g else None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((1,)), (TensorType((3, 37)),)),
            (cls((0, 2)), (TensorType((3, 5, 7), DType.F64),)),
            (cls((1,)), (TensorType((Rows(6), 16), DType.I32),)),
        ]


@dataclass(frozen=True, slots=True)
class Reshape(Alias):
    """The same elements in row-major order under another shape.

    Batch rows stay an axis of their own or the outermost factor of one: the elements before the row axis are as many in
    the result as in the operand.
    """

    shape: Shape

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        result = type.with_shape(self.shape)
        if result.size != type.size:
            raise ShapeError(f"{type} has {type.size} elements, {result} has {result.size}")
        if _rows(type) != _rows(result):
            raise ShapeError(f"{type} cannot be {result}: batch rows must stay outermost in their axis")
        return (result,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].reshape(concrete(self.shape)),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (fn.reshape(b, g, inputs[0].shape) if g else None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((15, 7)), (TensorType((3, 5, 7)),)),
            (cls((Rows(6), 37)), (TensorType((Rows(6), 37, 1), DType.F64),)),
            (cls((Rows(6, 5), 3)), (TensorType((Rows(6), 5, 3)),)),
            (cls((2, Rows(6), 5)), (TensorType((2, Rows(6, 5)), DType.I32),)),
            (cls(()), (TensorType((1, 1)),)),
        ]


def _rows(type: TensorType) -> list[tuple[int, int]]:
    """For every row axis the number of elements before it and the batch."""
    return [(size_of(type.shape[:d]), dim.batch) for d, dim in enumerate(type.shape) if isinstance(dim, Rows)]


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """Adds low[d] elements before and high[d] after the operand along axis d, all `value`; negative numbers crop."""

    low: tuple[int, ...]
    high: tuple[int, ...]
    value: float = 0.0

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        check_one_per_axis("low", self.low, type)
        check_one_per_axis("high", self.high, type)
        return (type.with_shape(tuple(self._dim(type, d) for d in range(type.rank))),)

    def _dim(self, type: TensorType, d: int) -> int:
        low, high = self.low[d], self.high[d]
        if low == high == 0:
            return type.shape[d]
        refuse_rows(type, d, "padded")
        size = type.shape[d] + low + high
        if size < 0:
            raise ShapeError(f"axis {d} of {type} cannot be cropped by {-low} and {-high}")
        return size

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        edges = list(zip(self.low, self.high, strict=True))
        inside = tuple(slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in zip(x.shape, edges, strict=True))
        added = [(max(lo, 0), max(hi, 0)) for lo, hi in edges]
        return (np.pad(x[inside], added, constant_values=np.asarray(self.value).astype(x.dtype)),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        if g is None:
            return (None,)
        return (fn.pad(b, g, tuple(-lo for lo in self.low), tuple(-hi for hi in self.high)),)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        (result,) = self.infer(*types)
        axes = nests.axes_of(result.shape)
        index = tuple(Affine.of(axis) - low for axis, low in zip(axes, self.low, strict=True))
        return (Nest(axes, sliding.load(0, types[0], index, axes, self.value)),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((1, 2), (0, 3)), (TensorType((3, 11)),)),
            (cls((0, 2), (0, 1), 1.5), (TensorType((Rows(6), 16), DType.F64),)),
            (cls((-1, 2, 0), (-2, -3, 4), -7.0), (TensorType((5, 7, 3), DType.I32),)),
            (cls((-1,), (-3,)), (TensorType((11,)),)),
        ]


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """The operands joined along one axis; all other dimensions are equal."""

    axis: int

    def infer(self, *types: TensorType) -> Types:
        first = types[0]
        check_axes((self.axis,), first)
        for type in types:
            if type.dtype is not first.dtype:
                raise ShapeError(f"operand dtypes differ: {first} and {type}")
            if self._others(type) != self._others(first):
                raise ShapeError(f"operands differ beside axis {self.axis}: {first} and {type}")
            refuse_rows(type, self.axis, "joined")
        shape = list(first.shape)
        shape[self.axis] = sum(type.shape[self.axis] for type in types)
        return (first.with_shape(tuple(shape)),)

    def _others(self, type: TensorType) -> Shape:
        return type.shape[: self.axis] + type.shape[self.axis + 1 :]

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.concatenate(arrays, self.axis),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        if g is None:
            return (None,) * len(inputs)
        return [
            fn.slice_axis(b, g, self.axis, at, v.shape[self.axis])
            for at, v in zip(self._starts(inputs), inputs, strict=True)
        ]

    def _starts(self, operands: Sequence[Value | TensorType]) -> list[int]:
        sizes = [int(operand.shape[self.axis]) for operand in operands]
        return [sum(sizes[:i]) for i in range(len(sizes))]

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        return tuple(
            self._part(i, type, at) for i, (type, at) in enumerate(zip(types, self._starts(types), strict=True))
        )

    def _part(self, operand: int, type: TensorType, start: int) -> Nest:
        axes = nests.axes_of(type.shape)
        store = tuple(Affine.of(axis) + (start if d == self.axis else 0) for d, axis in enumerate(axes))
        return Nest(axes, nests.load(operand, type, axes), store=store)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(1), (TensorType((3, 5)), TensorType((3, 16)), TensorType((3, 7)))),
            (cls(0), (TensorType((2, 7), DType.F64), TensorType((3, 7), DType.F64))),
            (cls(2), (TensorType((Rows(6), 3, 4)), TensorType((Rows(6), 3, 1)))),
            (cls(0), (TensorType((5,), DType.I32),)),
        ]
