"""Reductions over axes, argmax and cumulative sums. The result drops the reduced axes.

A reduction over the axis that counts batch rows runs to the runtime rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Nest
from graphc.ir.op import Array, Op, Reduction, Types, Value
from graphc.ir.types import DType, Rows, ShapeError, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.shape import check_axes, refuse_rows


class AxesReduction(Reduction, abstract=True):
    """A reduction over several axes, in increasing order, to the operand's dtype; numbers only."""

    axes: tuple[int, ...]
    combine: ClassVar[str]

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        check_axes(self.axes, type)
        check_number(type)
        return (type.with_shape(tuple(dim for d, dim in enumerate(type.shape) if d not in self.axes)),)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        (type,) = types
        axes = nests.axes_of(type.shape)
        kept = tuple(axis for d, axis in enumerate(axes) if d not in self.axes)
        reduced = tuple(axes[d] for d in self.axes)
        return (Nest(kept, nests.load(0, type, axes), reduced, self.combine if reduced else ""),)

    def spread(self, b: Builder, value: Value, operand: Value) -> Value:
        """A result-shaped value repeated over the reduced axes."""
        kept = tuple(d for d in range(operand.type.rank) if d not in self.axes)
        return fn.broadcast(b, value, operand.shape, kept)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        make: Any = cls
        return [
            (make((1,)), (TensorType((3, 37)),)),
            (make((0,)), (TensorType((5, 16)),)),
            (make((0, 2)), (TensorType((Rows(6), 5, 7), DType.F64),)),
            (make((1, 2)), (TensorType((Rows(6), 2, 3)),)),
            (make((0, 1)), (TensorType((3, 5), DType.I32),)),
            (make(()), (TensorType((7,)),)),
        ]


def check_number(type: TensorType) -> None:
    """ShapeError for bools, which have no sum or order."""
    if type.dtype is DType.BOOL:
        raise ShapeError(f"operand is {type}, wanted numbers; cast it first")


@dataclass(frozen=True, slots=True)
class Sum(AxesReduction):
    """The sum over axes; integers wrap around."""

    axes: tuple[int, ...]
    combine = "add"

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(np.sum(arrays[0], self.axes, arrays[0].dtype)),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (self.spread(b, g, inputs[0]) if g else None,)


@dataclass(frozen=True, slots=True)
class Prod(AxesReduction):
    """The product over axes; integers wrap around."""

    axes: tuple[int, ...]
    combine = "mul"

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(np.prod(arrays[0], self.axes, arrays[0].dtype)),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        """The product of all other elements: with one zero only that zero has a gradient, with more nothing has."""
        (g,), (x,) = cotangents, inputs
        if g is None:
            return (None,)
        is_zero = fn.eq(b, x, 0)
        zeros = fn.sum(b, fn.cast(b, is_zero, x.dtype), self.axes)
        safe = fn.select(b, is_zero, 1, x)
        product = fn.mul(b, g, fn.prod(b, safe, self.axes))
        at_zero = fn.select(b, fn.eq(b, zeros, 1), product, 0)
        elsewhere = fn.select(b, fn.eq(b, zeros, 0), product, 0)
        dx = fn.select(b, is_zero, self.spread(b, at_zero, x), fn.div(b, self.spread(b, elsewhere, x), safe))
        return (dx,)


class ExtremumReduction(AxesReduction, abstract=True):
    """The largest or smallest element over axes; NaN if one is NaN. Equal extremes share the cotangent equally."""

    compute: ClassVar[Callable[..., Any]]

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(self.compute(arrays[0], axis=self.axes)),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,), (x,), (y,) = cotangents, inputs, outputs
        if g is None:
            return (None,)
        is_extreme = fn.eq(b, x, self.spread(b, y, x))
        count = fn.sum(b, fn.cast(b, is_extreme, x.dtype), self.axes)
        return (fn.select(b, is_extreme, self.spread(b, fn.div(b, g, count), x), 0),)


@dataclass(frozen=True, slots=True)
class Max(ExtremumReduction):
    """The largest element over axes."""

    axes: tuple[int, ...]
    combine = "max"
    compute = staticmethod(np.max)


@dataclass(frozen=True, slots=True)
class Min(ExtremumReduction):
    """The smallest element over axes."""

    axes: tuple[int, ...]
    combine = "min"
    compute = staticmethod(np.min)


class PositionReduction(Reduction, abstract=True):
    """The index, as i32, of the first largest or smallest element along one axis."""

    axis: int
    combine: ClassVar[str]
    compute: ClassVar[Callable[..., Any]]

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        check_axes((self.axis,), type)
        check_number(type)
        return (TensorType(type.shape[: self.axis] + type.shape[self.axis + 1 :], DType.I32),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(self.compute(arrays[0], axis=self.axis), np.int32),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        return (None,)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        axes = nests.axes_of(types[0].shape)
        kept = axes[: self.axis] + axes[self.axis + 1 :]
        return (Nest(kept, nests.load(0, types[0], axes), (axes[self.axis],), self.combine),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        make: Any = cls
        return [
            (make(1), (TensorType((3, 37)),)),
            (make(0), (TensorType((5, 16), DType.F64),)),
            (make(2), (TensorType((Rows(6), 3, 7)),)),
            (make(0), (TensorType((11,), DType.I32),)),
        ]


@dataclass(frozen=True, slots=True)
class ArgMax(PositionReduction):
    """The index of the first largest element along `axis`."""

    axis: int
    combine = "argmax"
    compute = staticmethod(np.argmax)


@dataclass(frozen=True, slots=True)
class ArgMin(PositionReduction):
    """The index of the first smallest element along `axis`."""

    axis: int
    combine = "argmin"
    compute = staticmethod(np.argmin)


@dataclass(frozen=True, slots=True)
class CumSum(Reduction):
    """Element i along `axis` is the sum of the elements up to i, or from i on with `reverse`; integers wrap around."""

    axis: int
    reverse: bool = False

    def infer(self, *types: TensorType) -> Types:
        (type,) = types
        check_axes((self.axis,), type)
        check_number(type)
        refuse_rows(type, self.axis, "summed up element by element")
        return (type,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        if self.reverse:
            return (np.flip(np.cumsum(np.flip(x, self.axis), self.axis, x.dtype), self.axis).copy(),)
        return (np.cumsum(x, self.axis, x.dtype),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (fn.cumsum(b, g, self.axis, reverse=not self.reverse) if g else None,)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        (type,) = types
        axes = nests.axes_of(type.shape)
        step = Affine.of(axes[self.axis])
        at = step * -1 + (int(type.shape[self.axis]) - 1) if self.reverse else step
        index = tuple(at if d == self.axis else Affine.of(axis) for d, axis in enumerate(axes))
        kept = axes[: self.axis] + axes[self.axis + 1 :]
        body = nests.load(0, type, index)
        return (Nest(kept, body, (axes[self.axis],), "add", store=index, running=True),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(1), (TensorType((3, 37)),)),
            (cls(0, reverse=True), (TensorType((5, 16)),)),
            (cls(1, reverse=True), (TensorType((Rows(6), 7), DType.F64),)),
            (cls(0), (TensorType((11,), DType.I32),)),
        ]
