"""Ops that make values from nothing: constants, iota and the runtime row count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Const, Nest, Position
from graphc.ir.op import Array, Op, Source, Types, Value
from graphc.ir.text import content_hash
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType, concrete


@dataclass(frozen=True, eq=False)
class Constant(Source):
    """A numpy array, copied and read-only. Constants are equal when shape, dtype and bytes are."""

    array: Array

    def __post_init__(self) -> None:
        array = np.array(self.array, order="C", copy=True)
        array.flags.writeable = False
        object.__setattr__(self, "array", array)

    @cached_property
    def digest(self) -> str:
        """The hash of dtype, shape and bytes."""
        return content_hash(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def splat(self) -> float | None:
        """The number that every element is, to the bit; None if they differ or there are none."""
        if not self.array.size or self.array.tobytes() != self.array.flat[0].tobytes() * self.array.size:
            return None
        number: float = self.array.flat[0].item()
        return number

    def infer(self, *types: TensorType) -> Types:
        return (TensorType(self.array.shape, DType.of(self.array.dtype)),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (self.array,)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        return ()

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        """Scalars and splats only: any other constant is a buffer of the program."""
        number = self.splat
        if number is None:
            raise NotImplementedError("constant: only a splat has a nest; any other constant is a buffer")
        (result,) = self.infer()
        return (Nest(nests.axes_of(result.shape), Const(number, result.dtype)),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(np.array(2.5, np.float32)), ()),
            (cls(np.full((3, 5), -1.25)), ()),
            (cls(np.arange(14, dtype=np.int32).reshape(2, 7)), ()),
            (cls(np.array([True, False, True])), ()),
        ]


@dataclass(frozen=True, slots=True)
class Iota(Source):
    """Each element is its own index along `axis`, in `dtype`."""

    shape: Shape
    axis: int
    dtype: DType = DType.I32

    def infer(self, *types: TensorType) -> Types:
        result = TensorType(self.shape, self.dtype)
        if not 0 <= self.axis < result.rank:
            raise ShapeError(f"axis {self.axis} does not exist in {result}, wanted an axis from 0 to {result.rank - 1}")
        if self.dtype is DType.BOOL:
            raise ShapeError("dtype is bool, wanted a number")
        return (result,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.indices(concrete(self.shape))[self.axis].astype(self.dtype.numpy),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        return ()

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        axes = nests.axes_of(self.shape)
        return (Nest(axes, Position(Affine.of(axes[self.axis]), self.dtype)),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls((17,), 0), ()),
            (cls((3, 16), 1, DType.F32), ()),
            (cls((Rows(6), 5), 0, DType.I64), ()),
            (cls((2, 3, 5), 1, DType.F64), ()),
        ]


@dataclass(frozen=True, slots=True)
class RowCount(Source):
    """The number of batch rows of the running call, at most `batch`, as a scalar."""

    batch: int
    dtype: DType = DType.F32
    counts_rows: ClassVar[bool] = True

    def infer(self, *types: TensorType) -> Types:
        return (TensorType((), self.dtype),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.array(self.batch, self.dtype.numpy),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        return ()

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        return (Nest((), nests.RowCount(self.dtype)),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(6), ()), (cls(11, DType.F64), ()), (cls(7, DType.I32), ())]
