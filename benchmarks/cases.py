"""The kernels that are compared one by one, as data: what each computes, on which shapes, and how much work that is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np

from benchmarks.architecture import Shape
from benchmarks.materials import Array

Arrays = dict[str, Array]
Unit = Literal["GFLOP/s", "GB/s"]
LAYER_NORM_EPSILON = 1e-3
LEARNING_RATE = 1e-3
_FLOAT = 4  # bytes


@dataclass(frozen=True, slots=True)
class Matmul:
    """a @ b of (m, k) and (k, n); the operand named by `transposed` lies in memory as its transpose."""

    m: int
    k: int
    n: int
    transposed: Literal["", "a", "b"] = ""

    @property
    def shapes(self) -> dict[str, Shape]:
        a, b = (self.m, self.k), (self.k, self.n)
        return {"a": a[::-1] if self.transposed == "a" else a, "b": b[::-1] if self.transposed == "b" else b}

    @property
    def flop(self) -> int:
        return 2 * self.m * self.k * self.n


Part = Literal["forward", "input-gradient", "filter-gradient"]


@dataclass(frozen=True, slots=True)
class Convolution:
    """A square convolution of square images, NHWC and HWIO; depthwise if there is a group per channel.

    forward: relu(x * w + bias). input-gradient: of dy and w. filter-gradient: of x and dy.
    """

    batch: int
    size: int
    channels: int
    filters: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1
    part: Part = "forward"

    @property
    def x(self) -> Shape:
        return (self.batch, self.size, self.size, self.channels)

    @property
    def w(self) -> Shape:
        return (self.kernel, self.kernel, self.channels // self.groups, self.filters)

    @property
    def y(self) -> Shape:
        positions = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        return (self.batch, positions, positions, self.filters)

    @property
    def shapes(self) -> dict[str, Shape]:
        match self.part:
            case "forward":
                return {"x": self.x, "w": self.w, "bias": (self.filters,)}
            case "input-gradient":
                return {"dy": self.y, "w": self.w}
            case "filter-gradient":
                return {"x": self.x, "dy": self.y}

    @property
    def flop(self) -> int:
        """Nominal: the taps that fall on padding are counted, as is usual."""
        return 2 * prod(self.y) * prod(self.w[:-1])

    @property
    def nbytes(self) -> int:
        return _FLOAT * (prod(self.x) + prod(self.y))


@dataclass(frozen=True, slots=True)
class Adam:
    """One update of `count` weights and their two slots, in place."""

    count: int

    @property
    def shapes(self) -> dict[str, Shape]:
        return dict.fromkeys(("w", "g"), (self.count,))

    @property
    def nbytes(self) -> int:
        return 7 * _FLOAT * self.count


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Mean sparse softmax cross-entropy of `logits` and its gradient in them."""

    rows: int
    classes: int

    @property
    def shapes(self) -> dict[str, Shape]:
        return {"logits": (self.rows, self.classes)}

    @property
    def nbytes(self) -> int:
        return 2 * _FLOAT * self.rows * self.classes


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Over the columns, with scale and offset; with `gradients` also those of x, gamma and beta, for a given dy."""

    rows: int
    columns: int
    gradients: bool = False

    @property
    def shapes(self) -> dict[str, Shape]:
        x = (self.rows, self.columns)
        shapes: dict[str, Shape] = {"x": x, "gamma": (self.columns,), "beta": (self.columns,)}
        return {**shapes, "dy": x} if self.gradients else shapes

    @property
    def nbytes(self) -> int:
        return (4 if self.gradients else 2) * _FLOAT * self.rows * self.columns


@dataclass(frozen=True, slots=True)
class ColumnSum:
    """The sum over the rows, as in the gradient of a bias."""

    rows: int
    columns: int

    @property
    def shapes(self) -> dict[str, Shape]:
        return {"x": (self.rows, self.columns)}

    @property
    def nbytes(self) -> int:
        return _FLOAT * self.rows * self.columns


Kernel = Matmul | Convolution | Adam | CrossEntropy | LayerNorm | ColumnSum


@dataclass(frozen=True, slots=True)
class Case:
    """A kernel with its name, `group shape`. Its rate is counted in `unit`; `work` is what one run does, in its 10^9:
    operations where arithmetic is the limit, else the bytes that must be read and written at least.
    """

    group: str
    shape: str
    kernel: Kernel

    @property
    def name(self) -> str:
        return f"{self.group} {self.shape}"

    @property
    def groups(self) -> list[str]:
        """What the kernel counts in: its group, and for a convolution those of all three parts."""
        family = self.group.removesuffix(f"-{self.kernel.part}") if isinstance(self.kernel, Convolution) else self.group
        return list(dict.fromkeys([self.group, family]))

    @property
    def unit(self) -> Unit:
        return self._work[1]

    @property
    def work(self) -> float:
        return self._work[0]

    @property
    def _work(self) -> tuple[float, Unit]:
        match self.kernel:
            case Matmul() | Convolution(groups=1) as kernel:
                return kernel.flop / 1e9, "GFLOP/s"
            case kernel:
                return kernel.nbytes / 1e9, "GB/s"

    def arrays(self) -> Arrays:
        """The operands, standard normal numbers; the same bits each time. Labels are i32."""
        rng = np.random.default_rng(1)
        arrays: Arrays = {name: rng.standard_normal(s, np.float32) for name, s in self.kernel.shapes.items()}
        if isinstance(self.kernel, CrossEntropy):
            arrays["labels"] = rng.integers(0, self.kernel.classes, self.kernel.rows, np.int32)
        return arrays


# The layers of small image networks and of ResNet; the last four go down in resolution.
_CONVOLUTIONS = (
    Convolution(128, 28, 1, 32, padding=0),
    Convolution(128, 13, 32, 64, padding=0),
    Convolution(128, 32, 3, 32),
    Convolution(128, 32, 32, 64),
    Convolution(128, 16, 64, 128),
    Convolution(1, 56, 64, 64),
    Convolution(8, 56, 64, 64),
    Convolution(8, 28, 128, 128),
    Convolution(1, 14, 256, 256),
    Convolution(8, 14, 256, 256),
    Convolution(8, 7, 512, 512),
    Convolution(1, 56, 64, 256, kernel=1, padding=0),
    Convolution(8, 56, 64, 256, kernel=1, padding=0),
    Convolution(1, 224, 3, 64, kernel=7, stride=2, padding=3),
    Convolution(8, 224, 3, 64, kernel=7, stride=2, padding=3),
    Convolution(8, 56, 64, 128, stride=2),
    Convolution(8, 28, 128, 256, stride=2),
    Convolution(8, 14, 256, 512, stride=2),
    Convolution(8, 56, 64, 128, kernel=1, stride=2, padding=0),
)
# Of MobileNetV2.
_DEPTHWISE = (
    Convolution(8, 56, 144, 144, groups=144),
    Convolution(8, 14, 384, 384, groups=384),
    Convolution(8, 112, 96, 96, stride=2, groups=96),
)
_PARTS: tuple[Part, ...] = ("forward", "input-gradient", "filter-gradient")


def _matmuls() -> Iterator[Case]:
    for size in (512, 1024, 2048):
        yield Case("matmul", f"{size} A B", Matmul(size, size, size))
        yield Case("matmul", f"{size} A^T B", Matmul(size, size, size, "a"))
        yield Case("matmul", f"{size} A B^T", Matmul(size, size, size, "b"))


def _convolutions() -> Iterator[Case]:
    for part in _PARTS:
        for layers, group in ((_CONVOLUTIONS, "conv"), (_DEPTHWISE, "depthwise")):
            for layer in layers:
                yield Case(f"{group}-{part}", _shape_text(layer), replace(layer, part=part))


def _shape_text(layer: Convolution) -> str:
    text = "x".join(map(str, layer.x)) + f"->{layer.filters} {layer.kernel}x{layer.kernel}"
    return text + (f" stride {layer.stride}" if layer.stride > 1 else "")


def _others() -> Iterator[Case]:
    yield Case("adam", "10M", Adam(10_000_000))
    for rows, classes in ((128, 10), (16384, 10), (4096, 1000)):
        yield Case("cross-entropy", f"{rows}x{classes}", CrossEntropy(rows, classes))
    yield Case("layer-norm", "4096x768", LayerNorm(4096, 768))
    yield Case("layer-norm-gradients", "4096x768", LayerNorm(4096, 768, gradients=True))
    for rows, columns in ((4096, 1024), (200_704, 64)):
        yield Case("column-sum", f"{rows}x{columns}", ColumnSum(rows, columns))


CASES: dict[str, Case] = {case.name: case for case in (*_matmuls(), *_convolutions(), *_others())}
