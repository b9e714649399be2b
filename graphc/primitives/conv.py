"""Convolution of any spatial rank, with strides, padding, dilation and groups, and its two gradients.

Channels are last: x[N, spatial.., C], w[k.., C / groups, F], y[N, outputs.., F]. Group j convolves channels
[j * C / groups, (j + 1) * C / groups) into filters [j * F / groups, (j + 1) * F / groups). As in all of deep learning
the kernel is not flipped: y[o] = sum over k of x[o * stride + k * dilation - lo] * w[k].

The three ops are each other's gradients, so any derivative of a convolution is a convolution again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Axis, Const, Nest
from graphc.ir.op import Array, Contraction, Op, Types, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType
from graphc.primitives import sliding
from graphc.primitives.sliding import Padding, Window


class Convolution(Contraction, abstract=True):
    """What the three share: the attributes, and the checks of x against w."""

    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int

    def windows(self, x: Shape, w: Shape) -> tuple[Window, ...]:
        """The windows along the spatial axes, for the shapes of x and w."""
        return sliding.windows_of(x[1:-1], w[:-2], self.strides, self.padding, self.dilation)

    def check(self, x: TensorType, w: TensorType) -> TensorType:
        """The type of y. ShapeError if x and w do not fit."""
        if x.rank != w.rank or x.rank < 3:
            raise ShapeError(
                f"ranks differ or are below 3: x is {x}, w is {w}; wanted x[N, spatial.., C], w[k.., C, F]"
            )
        if x.dtype is not w.dtype or not x.dtype.is_float:
            raise ShapeError(f"operand dtypes: x is {x}, w is {w}; wanted one float dtype")
        if x.shape[-1] != w.shape[-2] * self.groups or w.shape[-1] % self.groups:
            wanted = f"w wants {w.shape[-2]} for each of {self.groups} groups that divide {w.shape[-1]} filters"
            raise ShapeError(f"channels differ: {x} has {x.shape[-1]}, {w}: {wanted}")
        outputs = tuple(w.outputs for w in self.windows(x.shape, w.shape))
        return TensorType((x.shape[0], *outputs, w.shape[-1]), x.dtype)

    def channels(self, w: Shape) -> tuple[tuple[Axis, ...], Axis, Axis, Affine, Affine]:
        """(group axis or none, c axis, f axis, channel of x, filter of w) for w's shape."""
        c, f = Axis("c", w[-2]), Axis("f", w[-1] // self.groups)
        if self.groups == 1:
            return (), c, f, Affine.of(c), Affine.of(f)
        g = Axis("g", self.groups)
        return (g,), c, f, Affine.of(g) * c.extent + c, Affine.of(g) * f.extent + f

    def by_group(self, array: Array, axis: int) -> list[Array]:
        return np.split(array, self.groups, axis)


def taps_of(windows: Sequence[Window]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(w.size) for w in windows)))


@dataclass(frozen=True, slots=True)
class Conv(Convolution):
    """y = x * w: operands x[N, spatial.., C] and w[k.., C / groups, F]."""

    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int = 1

    def infer(self, *types: TensorType) -> Types:
        return (self.check(*types),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        x, w = arrays
        windows = self.windows(x.shape, w.shape)
        view, rank = sliding.gather_windows(x, windows), len(windows)
        # view[N, o.., C, k..] against w[k.., C, F]
        over = (list(range(rank + 1, 2 * rank + 2)), [rank, *range(rank)])
        pairs = zip(self.by_group(view, rank + 1), self.by_group(w, -1), strict=True)
        return (np.concatenate([np.tensordot(v, k, over) for v, k in pairs], -1),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,), (x, w) = cotangents, inputs
        if g is None:
            return (None, None)
        how = (self.strides, self.padding, self.dilation, self.groups)
        return b.add(ConvInputGrad(x.shape, *how), g, w), b.add(ConvFilterGrad(w.shape, *how), x, g)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        x, w = types
        windows = self.windows(x.shape, w.shape)
        n = Axis("n", x.shape[0])
        outs = [Axis(f"o{i}", window.outputs) for i, window in enumerate(windows)]
        taps = [Axis(f"k{i}", window.size) for i, window in enumerate(windows)]
        group, c, f, channel, filter = self.channels(w.shape)
        axes, inner = (n, *outs, *group, f), (*taps, c)
        at = (Affine.of(n), *(w.read(o, k) for w, o, k in zip(windows, outs, taps, strict=True)), channel)
        left = sliding.load(0, x, at, axes + inner)
        right = sliding.load(1, w, (*map(Affine.of, (*taps, c)), filter), axes + inner)
        store = sliding.store_at((*map(Affine.of, (n, *outs)), filter), axes)
        return (Nest(axes, left * right, inner, "add", store),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(op, (x, w)) for op, x, w in _samples()]


@dataclass(frozen=True, slots=True)
class ConvInputGrad(Convolution):
    """The gradient of Conv in x, which has `shape`: operands dy[N, outputs.., F] and w. Also transposed convolution."""

    shape: Shape
    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int = 1

    def infer(self, *types: TensorType) -> Types:
        dy, w = types
        result = dy.with_shape(self.shape)
        wanted = self.check(result, w)
        if dy != wanted:
            raise ShapeError(f"dy is {dy}, a convolution of {result} with {w} gives {wanted}")
        return (result,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        dy, w = arrays
        windows = self.windows(self.shape, w.shape)
        dx = np.zeros((dy.shape[0], *sliding.padded_extents(windows), int(self.shape[-1])), dy.dtype)
        for tap in taps_of(windows):
            pairs = zip(self.by_group(dy, -1), self.by_group(w[tap], -1), strict=True)
            dx[(slice(None), *sliding.touched(windows, tap))] += np.concatenate([d @ k.T for d, k in pairs], -1)
        return (sliding.without_padding(dx, windows),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,), (dy, w) = cotangents, inputs
        if g is None:
            return (None, None)
        how = (self.strides, self.padding, self.dilation, self.groups)
        return b.add(Conv(*how), g, w), b.add(ConvFilterGrad(w.shape, *how), g, dy)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        """One nest per residue of the input position modulo the strides: each has its own taps and is affine."""
        dy, w = types
        choices = [sliding.phases(along, str(d)) for d, along in enumerate(self.windows(self.shape, w.shape))]
        return tuple(self._part(parts, dy, w) for parts in itertools.product(*choices))

    def _part(self, parts: tuple[sliding.Part, ...], dy: TensorType, w: TensorType) -> Nest:
        n = Axis("n", self.shape[0])
        group, c, f, channel, filter = self.channels(w.shape)
        axes = (n, *(axis for part in parts for axis in part.axes), *group, c)
        store = sliding.store_at((Affine.of(n), *(part.at for part in parts), channel), axes)
        if any(part.untouched for part in parts):
            return Nest(axes, Const(0.0, dy.dtype), store=store)
        inner = (*(axis for part in parts for axis in part.taps), f)
        left = sliding.load(0, dy, (Affine.of(n), *(part.output for part in parts), filter), axes + inner)
        right = sliding.load(1, w, (*(part.tap for part in parts), Affine.of(c), filter), axes + inner)
        return Nest(axes, left * right, inner, "add", store)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(x.shape, op.strides, op.padding, op.dilation, op.groups), (op.check(x, w), w))
            for op, x, w in _samples()
        ]


@dataclass(frozen=True, slots=True)
class ConvFilterGrad(Convolution):
    """The gradient of Conv in w, which has `shape`: operands x and dy[N, outputs.., F]."""

    shape: Shape
    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int = 1

    def infer(self, *types: TensorType) -> Types:
        x, dy = types
        result = x.with_shape(self.shape)
        wanted = self.check(x, result)
        if dy != wanted:
            raise ShapeError(f"dy is {dy}, a convolution of {x} with {result} gives {wanted}")
        return (result,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        x, dy = arrays
        windows = self.windows(x.shape, self.shape)
        view, rank = sliding.gather_windows(x, windows), len(windows)
        outer = list(range(rank + 1))
        pairs = zip(self.by_group(view, rank + 1), self.by_group(dy, -1), strict=True)
        # over N and o..: [C, k.., F], and the channels go behind the taps
        return (np.concatenate([np.moveaxis(np.tensordot(v, d, (outer, outer)), 0, rank) for v, d in pairs], -1),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (g,), (x, dy) = cotangents, inputs
        if g is None:
            return (None, None)
        how = (self.strides, self.padding, self.dilation, self.groups)
        return b.add(ConvInputGrad(x.shape, *how), dy, g), b.add(Conv(*how), x, g)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        x, dy = types
        windows = self.windows(x.shape, self.shape)
        n = Axis("n", x.shape[0])
        outs = [Axis(f"o{i}", window.outputs) for i, window in enumerate(windows)]
        taps = [Axis(f"k{i}", window.size) for i, window in enumerate(windows)]
        group, c, f, channel, filter = self.channels(self.shape)
        axes, inner = (*taps, c, *group, f), (n, *outs)
        at = (Affine.of(n), *(w.read(o, k) for w, o, k in zip(windows, outs, taps, strict=True)), channel)
        left = sliding.load(0, x, at, axes + inner)
        right = sliding.load(1, dy, (*map(Affine.of, (n, *outs)), filter), axes + inner)
        store = sliding.store_at((*map(Affine.of, (*taps, c)), filter), axes)
        return (Nest(axes, left * right, inner, "add", store),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            (cls(w.shape, op.strides, op.padding, op.dilation, op.groups), (x, op.check(x, w)))
            for op, x, w in _samples()
        ]


def _samples() -> list[tuple[Conv, TensorType, TensorType]]:
    """Convolutions that cover every attribute, with the types of x and w."""

    def case(x: Shape, w: Shape, strides: tuple[int, ...], padding: Padding, dilation: tuple[int, ...], groups: int = 1,
             dtype: DType = DType.F32) -> tuple[Conv, TensorType, TensorType]:  # fmt: skip
        return Conv(strides, padding, dilation, groups), TensorType(x, dtype), TensorType(w, dtype)

    none = (0, 0)
    return [
        case((Rows(2), 7, 9, 5), (3, 2, 5, 16), (1, 1), (none, none), (1, 1)),
        case((Rows(2), 6, 5, 4), (3, 2, 4, 7), (1, 1), ((1, 1), (1, 0)), (1, 1)),
        case((Rows(2), 7, 8, 5), (3, 2, 5, 6), (2, 3), ((1, 1), (0, 1)), (1, 1)),
        case((2, 9, 10, 4), (3, 2, 4, 5), (1, 1), ((2, 1), none), (2, 3)),
        case((2, 9, 8, 4), (3, 2, 4, 5), (2, 3), ((2, 1), (1, 0)), (2, 2)),
        case((4, 11, 7, 2), (1, 1, 2, 8), (2, 3), (none, none), (1, 1)),
        case((2, 6, 5, 12), (3, 2, 4, 9), (2, 1), ((1, 0), none), (1, 1), 3),
        case((2, 7, 5, 6), (3, 2, 1, 6), (1, 2), ((1, 1), (0, 1)), (1, 1), 6),
        case((2, 6, 5, 3), (2, 4, 1, 6), (1, 1), (none, (1, 1)), (1, 1), 3, DType.F64),
        case((3, 17, 5), (4, 5, 7), (3,), ((2, 1),), (1,)),
        case((2, 11, 3), (4, 3, 5), (1,), ((4, 0),), (2,), 1, DType.F64),
        case((2, 4, 8, 10, 7), (2, 3, 1, 7, 9), (1, 2, 2), (none, (1, 1), none), (1, 1, 1)),
    ]
