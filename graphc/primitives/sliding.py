"""Index arithmetic of sliding windows, for convolution and pooling: sizes, guards, and the parts of an input axis.

Along one spatial axis output o reads the input positions o * stride + k * dilation - lo for the taps k < size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphc.ir import nest as nests
from graphc.ir.nest import Affine, Axis, Index, Load
from graphc.ir.op import Array
from graphc.ir.types import ShapeError, TensorType

Padding = tuple[tuple[int, int], ...]
ZERO = Affine()


@dataclass(frozen=True, slots=True)
class Window:
    """The window along one spatial axis of an input of `extent` elements."""

    extent: int
    size: int
    stride: int = 1
    lo: int = 0
    hi: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        if self.size < 1 or self.stride < 1 or self.dilation < 1:
            got = f"size {self.size}, stride {self.stride}, dilation {self.dilation}"
            raise ShapeError(f"window of {got}: wanted at least 1 each")
        if self.lo < 0 or self.hi < 0:
            raise ShapeError(f"padding ({self.lo}, {self.hi}) must not be negative")
        if self.span > self.extent + self.lo + self.hi:
            raise ShapeError(
                f"window spans {self.span} elements, the padded input has {self.extent + self.lo + self.hi}"
            )

    @property
    def span(self) -> int:
        """Input elements from the first tap to the last."""
        return (self.size - 1) * self.dilation + 1

    @property
    def outputs(self) -> int:
        return (self.extent + self.lo + self.hi - self.span) // self.stride + 1

    @property
    def tiles(self) -> bool:
        """Windows neither overlap nor leave the input."""
        covered = (self.outputs - 1) * self.stride + self.size
        return self.dilation == 1 and self.stride >= self.size and self.lo == 0 and covered <= self.extent

    def read(self, output: Affine | Axis, tap: Affine | Axis) -> Affine:
        """The input position of a tap of an output."""
        return Affine.of(output) * self.stride + Affine.of(tap) * self.dilation - self.lo

    def taps(self, position: int) -> range:
        """The taps that can touch an input position: k * dilation = position + lo modulo the stride."""
        period = self.stride // math.gcd(self.stride, self.dilation)
        hits = (k for k in range(min(period, self.size)) if (position + self.lo - k * self.dilation) % self.stride == 0)
        return range(next(hits, self.size), self.size, period)


@dataclass(frozen=True, slots=True)
class Part:
    """Some positions of one input axis with the outputs and taps that touch them.

    For every point of `axes` and `taps`, output `output` reads position `at` with its tap `tap` (where that output
    exists). Nothing touches the positions of an `untouched` part.
    """

    axes: tuple[Axis, ...]
    at: Affine
    taps: tuple[Axis, ...] = ()
    output: Affine = ZERO
    tap: Affine = ZERO
    untouched: bool = False


def parts(window: Window, name: str) -> list[Part]:
    """Disjoint parts that cover the input axis; axis names end in `name`."""
    return tiles(window, name) if window.tiles else phases(window, name)


def phases(window: Window, name: str) -> list[Part]:
    """One part per residue of the position modulo the stride: there the taps are an arithmetic progression.

    With position q * stride + r and tap first + t * period, the output is q + (r + lo - first * dilation) / stride
    - t * period * dilation / stride, and both divisions are exact.
    """
    return [_phase(window, name, r) for r in range(min(window.stride, window.extent))]


def _phase(window: Window, name: str, residue: int) -> Part:
    q = Axis(f"q{name}", -(-(window.extent - residue) // window.stride))
    at = Affine.of(q) * window.stride + residue
    taps = window.taps(residue)
    if not taps:
        return Part((q,), at, untouched=True)
    first = (residue + window.lo - taps.start * window.dilation) // window.stride
    if len(taps) == 1:
        return Part((q,), at, (), Affine.of(q) + first, Affine.of(taps.start))
    t = Axis(f"t{name}", len(taps))
    output = Affine.of(q) + first - Affine.of(t) * (taps.step * window.dilation // window.stride)
    return Part((q,), at, (t,), output, Affine.of(t) * taps.step + taps.start)


def tiles(window: Window, name: str) -> list[Part]:
    """For windows that tile the input: the windows, the gaps between them and the rest behind the last."""
    o, k = Axis(f"o{name}", window.outputs), Axis(f"k{name}", window.size)
    found = [Part((o, k), window.read(o, k), (), Affine.of(o), Affine.of(k))]
    gap = Axis(f"k{name}", window.stride - window.size)
    if gap.extent and window.outputs > 1:
        before = Axis(f"o{name}", window.outputs - 1)
        found.append(Part((before, gap), window.read(before, gap) + window.size, untouched=True))
    covered = (window.outputs - 1) * window.stride + window.size
    if covered < window.extent:
        rest = Axis(f"k{name}", window.extent - covered)
        found.append(Part((rest,), Affine.of(rest) + covered, untouched=True))
    return found


def windows_of(
    extents: Sequence[int], sizes: Sequence[int], strides: Sequence[int], padding: Padding, dilation: Sequence[int]
) -> tuple[Window, ...]:
    """The windows of all spatial axes. ShapeError if an attribute does not have one value per spatial axis."""
    named = {"window": sizes, "strides": strides, "padding": padding, "dilation": dilation}
    for name, values in named.items():
        if len(values) != len(extents):
            raise ShapeError(f"{name} {values} has {len(values)} values, wanted {len(extents)}, one per spatial axis")
    rows = zip(extents, sizes, strides, padding, dilation, strict=True)
    return tuple(Window(int(n), k, s, lo, hi, d) for n, k, s, (lo, hi), d in rows)


def load(operand: int, type: TensorType, index: Sequence[Index], axes: Iterable[Axis], fill: float = 0.0) -> Load:
    """A load that is guarded only if some point of the axes lies outside the operand."""
    extents = {axis.name: int(axis.extent) for axis in axes}
    pairs = zip(index, type.shape, strict=True)
    if all(_is_inside(i, int(dim), extents) for i, dim in pairs if isinstance(i, Affine)):
        return nests.load(operand, type, tuple(index))
    return nests.load(operand, type, tuple(index), fill=fill)


def _is_inside(index: Affine, dim: int, extents: dict[str, int]) -> bool:
    ends = [coefficient * (extents[name] - 1) for name, coefficient in index.terms]
    lowest, highest = (index.constant + sum(pick(end, 0) for end in ends) for pick in (min, max))
    return lowest >= 0 and highest < dim


def store_at(index: Sequence[Affine], axes: Sequence[Axis]) -> tuple[Index, ...] | None:
    """The `store` of a nest: None when the index is just the axes in order."""
    target = tuple(index)
    return None if target == tuple(map(Affine.of, axes)) else target


def gather_windows(x: Array, windows: Sequence[Window], fill: float = 0.0) -> Array:
    """The numpy view [N, o.., C, k..] of all windows of x[N, spatial.., C]."""
    x = np.pad(x, ((0, 0), *((w.lo, w.hi) for w in windows), (0, 0)), constant_values=fill)
    view = sliding_window_view(x, [w.span for w in windows], tuple(range(1, len(windows) + 1)))
    outputs = tuple(slice(None, (w.outputs - 1) * w.stride + 1, w.stride) for w in windows)
    result: Array = view[(slice(None), *outputs, slice(None), *(slice(None, None, w.dilation) for w in windows))]
    return result


def touched(windows: Sequence[Window], taps: Sequence[int]) -> tuple[slice, ...]:
    """Where one tap of all outputs lies in the padded spatial axes."""
    return tuple(
        slice(k * w.dilation, k * w.dilation + (w.outputs - 1) * w.stride + 1, w.stride)
        for w, k in zip(windows, taps, strict=True)
    )


def padded_extents(windows: Sequence[Window]) -> list[int]:
    return [w.extent + w.lo + w.hi for w in windows]


def without_padding(x: Array, windows: Sequence[Window]) -> Array:
    """x[N, padded.., C] without its padding."""
    return x[(slice(None), *(slice(w.lo, w.lo + w.extent) for w in windows), slice(None))].copy()


def same_padding(
    extents: Sequence[int], sizes: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Padding:
    """TensorFlow's "same": ceil(extent / stride) outputs, the odd padding element behind."""
    pairs = []
    for n, k, s, d in zip(extents, sizes, strides, dilation, strict=True):
        outputs = -(-int(n) // s)
        total = max((outputs - 1) * s + (k - 1) * d + 1 - int(n), 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)
