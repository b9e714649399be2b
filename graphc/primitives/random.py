"""Random bits, a pure function of a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.nest import Affine, Const, Nest, Position
from graphc.ir.op import Array, Op, Source, Types, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType, concrete, size_of

KEY = TensorType((2,), DType.U32)
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def threefry(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)."""
    words = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY))
    x, y = high + words[0], low + words[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = (y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))
            y = y ^ x
        x, y = x + words[(group + 1) % 3], y + words[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


@dataclass(frozen=True, slots=True)
class RandomBits(Source):
    """u32 bits of `shape` under a key u32[2]: element i, row-major, is both words of the encrypted counter
    (i >> 32, i & 0xffffffff) xor-ed, as in JAX. Rows do not depend on the number of rows."""

    shape: Shape

    def infer(self, *types: TensorType) -> Types:
        if types != (KEY,):
            raise ShapeError(f"key is {', '.join(map(str, types))}, wanted {KEY}")
        if size_of(self.shape) > 2**32:
            raise ShapeError(f"shape {self.shape} has more than 2^32 elements")
        return (TensorType(self.shape, DType.U32),)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        counter = np.arange(size_of(self.shape), dtype=np.uint64)
        with np.errstate(over="ignore"):
            words = threefry(arrays[0], (counter >> np.uint64(32)).astype(np.uint32), counter.astype(np.uint32))
        return ((words[0] ^ words[1]).reshape(concrete(self.shape)),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        return (None,)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        axes = nests.axes_of(self.shape)
        counter = Affine()
        for axis in axes:
            counter = counter * int(axis.extent) + axis
        key = [nests.load(0, types[0], (word,)) for word in (0, 1)]
        return (Nest(axes, nests.apply("threefry", *key, Const(0, DType.U32), Position(counter, DType.U32))),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [(cls(shape), (KEY,)) for shape in ((37,), (Rows(6), 16), (3, 5, 7), ())]
