"""Pooling over sliding windows of x[N, spatial.., C]: the largest element, the sum, and their gradients."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir import nest as nests
from graphc.ir import op as ops
from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Axis, Const, Expr, Nest, Position
from graphc.ir.op import Array, Op, Types, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType
from graphc.primitives import functions as fn
from graphc.primitives import sliding
from graphc.primitives.sliding import Padding, Window


class Pooling(ops.Window, abstract=True):
    """The attributes and checks of all pooling ops. Taps are numbered row-major within the window."""

    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """The windows along the spatial axes, for the shape of x."""
        return sliding.windows_of(x[1:-1], self.window, self.strides, self.padding, (1,) * len(self.window))

    def check(self, x: TensorType) -> TensorType:
        """The type of the pooled x. ShapeError if x does not fit."""
        if x.rank < 3:
            raise ShapeError(f"x is {x}, wanted rank 3 or more: x[N, spatial.., C]")
        if not x.dtype.is_float:
            raise ShapeError(f"x is {x}, wanted f32 or f64")
        return x.with_shape((x.shape[0], *(w.outputs for w in self.windows(x.shape)), x.shape[-1]))

    @property
    def taps(self) -> list[tuple[int, ...]]:
        return list(itertools.product(*map(range, self.window)))

    @property
    def position_dtype(self) -> DType:
        """u8 if every tap number fits, else i32."""
        return DType.U8 if math.prod(self.window) <= 256 else DType.I32

    def tap_number(self, taps: Sequence[Affine]) -> Affine:
        number = Affine()
        for tap, size in zip(taps, self.window, strict=True):
            number = number * size + tap
        return number

    def reading(self, x: TensorType, fill: float) -> tuple[tuple[Axis, ...], tuple[Axis, ...], Expr]:
        """(axes of the result, axes of the taps, the element of x that a tap reads)."""
        windows = self.windows(x.shape)
        n, c = Axis("n", x.shape[0]), Axis("c", x.shape[-1])
        outs = [Axis(f"o{d}", w.outputs) for d, w in enumerate(windows)]
        taps = tuple(Axis(f"k{d}", w.size) for d, w in enumerate(windows))
        at = (Affine.of(n), *(w.read(o, k) for w, o, k in zip(windows, outs, taps, strict=True)), Affine.of(c))
        axes = (n, *outs, c)
        return axes, taps, sliding.load(0, x, at, axes + taps, fill)


class PoolingGradient(Pooling, abstract=True):
    """The gradient of a pooling op in x, which has `shape`; the first operand is dy."""

    shape: Shape

    def infer(self, *types: TensorType) -> Types:
        result = types[0].with_shape(self.shape)
        wanted = self.check(result)
        if types[0] != wanted:
            raise ShapeError(f"dy is {types[0]}, pooling {result} gives {wanted}")
        return (result,)

    def spread(self, shares: Sequence[Array]) -> Array:
        """The sum over taps of shares[tap][N, o.., C] at the elements that the tap reads."""
        windows = self.windows(self.shape)
        dx = np.zeros((shares[0].shape[0], *sliding.padded_extents(windows), shares[0].shape[-1]), shares[0].dtype)
        for tap, share in zip(self.taps, shares, strict=True):
            dx[(slice(None), *sliding.touched(windows, tap))] += share
        return sliding.without_padding(dx, windows)

    def share(self, types: Types, index: tuple[Affine, ...], tap: Affine, axes: tuple[Axis, ...]) -> Expr:
        """What the output at `index` gives to the element its tap reads."""
        raise NotImplementedError

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        """Windows that tile the input are written window by window; else one nest per residue modulo the strides."""
        choices = [sliding.parts(along, str(d)) for d, along in enumerate(self.windows(self.shape))]
        return tuple(self._part(parts, types) for parts in itertools.product(*choices))

    def _part(self, parts: tuple[sliding.Part, ...], types: Types) -> Nest:
        n, c = Axis("n", self.shape[0]), Axis("c", self.shape[-1])
        outer = [part.axes[0] for part in parts]
        inner = [axis for part in parts for axis in part.axes[1:]]
        axes = (n, *outer, *inner, c)
        store = sliding.store_at((Affine.of(n), *(part.at for part in parts), Affine.of(c)), axes)
        if any(part.untouched for part in parts):
            return Nest(axes, Const(0.0, types[0].dtype), store=store)
        taps = tuple(axis for part in parts for axis in part.taps)
        index = (Affine.of(n), *(part.output for part in parts), Affine.of(c))
        body = self.share(types, index, self.tap_number([part.tap for part in parts]), axes + taps)
        return Nest(axes, body, taps, "add" if taps else "", store)


@dataclass(frozen=True, slots=True)
class MaxPool(Pooling):
    """(y, position): the largest element of every window, and the number of the first tap that holds it.

    Padding never wins. Positions are u8, or i32 if the window has more than 256 taps.
    """

    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def infer(self, *types: TensorType) -> Types:
        y = self.check(*types)
        return y, y.with_dtype(self.position_dtype)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        view = sliding.gather_windows(arrays[0], self.windows(arrays[0].shape), -np.inf)
        flat = view.reshape(*view.shape[: arrays[0].ndim], len(self.taps))
        position = np.argmax(flat, -1)
        y = np.take_along_axis(flat, position[..., None], -1)[..., 0]
        return y, position.astype(self.position_dtype.numpy)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (x,), g = inputs, cotangents[0]
        grad = MaxPoolGrad(x.shape, self.window, self.strides, self.padding)
        return (b.add(grad, g, outputs[1]) if g else None,)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        axes, taps, element = self.reading(types[0], -math.inf)
        return Nest(axes, element, taps, "max"), Nest(axes, element, taps, "argmax", output=1)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(size, strides, padding), (x,)) for x, size, strides, padding in _samples()]


@dataclass(frozen=True, slots=True)
class MaxPoolGrad(PoolingGradient):
    """The gradient of MaxPool in x: operands dy and the positions. Each dy goes to the element that was the largest."""

    shape: Shape
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def infer(self, *types: TensorType) -> Types:
        wanted = types[0].with_dtype(self.position_dtype)
        if types[1] != wanted:
            raise ShapeError(f"position is {types[1]}, wanted {wanted}")
        return PoolingGradient.infer(self, types[0])

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        dy, position = arrays
        zero = dy.dtype.type(0)
        return (self.spread([np.where(position == number, dy, zero) for number in range(len(self.taps))]),)

    def share(self, types: Types, index: tuple[Affine, ...], tap: Affine, axes: tuple[Axis, ...]) -> Expr:
        dy, position = (sliding.load(i, type, index, axes) for i, type in enumerate(types))
        return nests.select(nests.apply("eq", position, Position(tap, self.position_dtype)), dy, 0.0)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        """The cotangent at the largest elements: every tap reads a strided slice of the padded cotangent."""
        (g,), (dy, position) = cotangents, inputs
        if g is None:
            return (None, None)
        windows = self.windows(self.shape)
        padded = fn.pad(b, g, (0, *(w.lo for w in windows), 0), (0, *(w.hi for w in windows), 0))
        total = fn.zeros_like(b, dy)
        for number, tap in enumerate(self.taps):
            part = fn.slice(b, padded, (0, *tap, 0), dy.shape, (1, *self.strides, 1))
            total = fn.select(b, fn.eq(b, position, number), part, total)
        return total, None

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        def types(pool: MaxPool, x: TensorType) -> Types:
            return pool.infer(x)

        return [
            (cls(x.shape, size, strides, padding), types(MaxPool(size, strides, padding), x))
            for x, size, strides, padding in _samples()
        ]


@dataclass(frozen=True, slots=True)
class SumPool(Pooling):
    """The sum of every window; padding counts as zero."""

    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def infer(self, *types: TensorType) -> Types:
        return (self.check(*types),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        view = sliding.gather_windows(x, self.windows(x.shape))
        return (view.sum(tuple(range(x.ndim, view.ndim)), x.dtype),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        grad = SumPoolGrad(inputs[0].shape, self.window, self.strides, self.padding)
        return (b.add(grad, g) if g else None,)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        axes, taps, element = self.reading(types[0], 0.0)
        return (Nest(axes, element, taps, "add"),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(size, strides, padding), (x,)) for x, size, strides, padding in _samples()]


@dataclass(frozen=True, slots=True)
class SumPoolGrad(PoolingGradient):
    """The gradient of SumPool in x: each dy goes to all elements of its window."""

    shape: Shape
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (self.spread([arrays[0]] * len(self.taps)),)

    def share(self, types: Types, index: tuple[Affine, ...], tap: Affine, axes: tuple[Axis, ...]) -> Expr:
        return sliding.load(0, types[0], index, axes)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,) = cotangents
        return (b.add(SumPool(self.window, self.strides, self.padding), g) if g else None,)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(x.shape, size, strides, padding), SumPool(size, strides, padding).infer(x))
            for x, size, strides, padding in _samples()
        ]


def _samples() -> list[tuple[TensorType, tuple[int, ...], tuple[int, ...], Padding]]:
    """(type of x, window, strides, padding): tiling, with a rest, with gaps, overlapping, padded, ranks 1 to 3."""
    none = (0, 0)
    return [
        (TensorType((Rows(2), 6, 8, 16)), (2, 2), (2, 2), (none, none)),
        (TensorType((Rows(2), 7, 15, 6)), (2, 3), (2, 3), (none, none)),
        (TensorType((2, 9, 15, 5)), (2, 1), (3, 4), (none, none)),
        (TensorType((2, 7, 9, 5)), (3, 2), (2, 1), (none, none)),
        (TensorType((2, 6, 9, 5)), (3, 3), (2, 2), ((1, 1), (0, 1))),
        (TensorType((2, 9, 11, 6)), (2, 2), (2, 3), ((1, 0), (1, 0))),
        (TensorType((3, 10, 5)), (2,), (3,), ((0, 1),)),
        (TensorType((3, 11, 5), DType.F64), (3,), (1,), ((1, 1),)),
        (TensorType((7, 4, 5, 6, 8)), (2, 1, 3), (2, 2, 1), (none, none, none)),
        (TensorType((2, 20, 25, 3)), (17, 16), (1, 2), (none, none)),
    ]
