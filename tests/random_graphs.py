"""Random valid graphs, made from recipes: a recipe is a list of numbers, so it can be repeated, shortened and rebuilt
at another batch or in another dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.compiler import gradients
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Array, Role, Value
from graphc.ir.types import DType, Rows, ShapeError, TensorType, concrete
from graphc.primitives import functions as fn
from graphc.primitives import reduce, shape
from graphc.primitives.conv import Conv

DIMS = (1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 255)
INTEGERS = (DType.I8, DType.U8, DType.I32, DType.U32, DType.I64)
MOST = 20_000  # elements of a value
MOST_PRODUCTS = 2_000_000  # multiply-adds of a contraction
ROWS_COUNT_AS = 16  # in size limits, so that no decision depends on the batch


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a random graph is made from. `moves` are the seeds of single steps; any of them can be left out."""

    seed: int
    moves: tuple[int, ...]
    dtype: DType = DType.F32
    batch: int = 0  # 0: nothing counts rows
    trains: bool = False

    @classmethod
    def random(cls, seed: int) -> Recipe:
        rng = np.random.default_rng(seed)
        count = int(rng.integers(2, 16) if rng.random() < 0.8 else rng.integers(16, 36))
        return cls(
            seed,
            tuple(int(s) for s in rng.integers(0, 2**32, count)),
            DType.F64 if rng.random() < 0.5 else DType.F32,
            int(rng.choice(DIMS[:14])) if rng.random() < 0.6 else 0,
            rng.random() < 0.5,
        )


@dataclass(slots=True)
class Inputs:
    """How the graph's inputs are filled: floats by their spread, integers by their range."""

    spread: dict[str, float] = field(default_factory=dict)
    between: dict[str, tuple[int, int]] = field(default_factory=dict)

    def arrays(self, graph: Graph, seed: int) -> dict[str, Array]:
        """Data by input name. The rows of a smaller batch are the first rows of a larger one."""
        return {v.name: self._array(v, [seed, *v.name.encode()]) for v in graph.inputs}

    def _array(self, value: Value, seed: Sequence[int]) -> Array:
        rng, size, dtype = np.random.default_rng(seed), concrete(value.shape), value.dtype
        if dtype is DType.BOOL:
            return np.asarray(rng.random(size) < 0.5)
        if dtype.is_float:
            return np.asarray(rng.standard_normal(size) * self.spread.get(value.name, 1.0), np.float32).astype(
                dtype.numpy
            )
        low, high = self.between.get(value.name, (0, 100))
        return np.asarray(low + np.floor(rng.random(size) * (high - low)), np.int64).astype(dtype.numpy)


def build(recipe: Recipe) -> tuple[Graph, Inputs]:
    """The recipe's graph: with `trains`, a training step with gradients and updates of all its weights."""
    maker = _Maker(recipe)
    for seed in recipe.moves:
        maker.move(seed)
    return (maker.training_step() if recipe.trains else maker.graph()), maker.inputs


class _Maker:
    """A pool of values that grows with every move. Decisions depend on the moves' seeds, never on the batch."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.b, self.inputs = recipe, Builder(f"random{recipe.seed}"), Inputs()
        self.float = recipe.dtype
        self.rng = np.random.default_rng([recipe.seed, 1])
        self.rows = Rows(recipe.batch) if recipe.batch else None
        self.count = 0
        self.pool: list[Value] = []
        self.smooth: set[Value] = set()  # floats that rounding may have changed: no jumps may depend on them in f32
        self.weights: list[Value] = []
        for _ in range(2):
            self.pool.append(self.data())

    # Choices

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def whole(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, fits: Callable[[Value], bool] = lambda v: True) -> Value:
        """A value of the pool, the younger the likelier."""
        found = [v for v in self.pool if fits(v)]
        if not found:
            raise ShapeError("nothing fits")
        return found[max(self.whole(0, len(found) - 1), self.whole(0, len(found) - 1))]

    def a_float(self, least_rank: int = 0) -> Value:
        return self.pick(lambda v: v.dtype is self.float and v.type.rank >= least_rank)

    def dims(self, rank: int, room: int = MOST) -> tuple[int, ...]:
        """Random dims that fit in `room` elements, in random order."""
        found: list[int] = []
        for _ in range(rank):
            fitting = [d for d in DIMS if d <= room]
            found.append(int(self.rng.choice(fitting)))
            room //= found[-1]
        if self.chance(0.01) and found:
            found[self.whole(0, rank - 1)] = 0
        return tuple(int(d) for d in self.rng.permutation(found))

    def static_axes(self, value: Value) -> list[int]:
        return [d for d, dim in enumerate(value.shape) if not isinstance(dim, Rows)]

    def some_axes(self, value: Value) -> tuple[int, ...]:
        chosen = tuple(d for d in range(value.type.rank) if self.chance(0.5))
        return chosen or tuple(range(value.type.rank))[-1:]

    # Inputs

    def data(self, dtype: DType | None = None) -> Value:
        lead = (self.rows,) if self.rows else ()
        if self.chance(0.35):  # an image or a sequence
            sizes: tuple[int, ...] = self.dims(self.whole(2, 3), 1200)
            sizes = sizes if lead else (self.whole(1, 3), *sizes)
        else:
            sizes = self.dims(self.whole(0, 3), 1200)
        return self.input("x", (*lead, *sizes), dtype or self.float)

    def input(self, prefix: str, sizes: tuple[int, ...], dtype: DType, role: str = Role.INPUT) -> Value:
        self.count += 1
        return self.b.input(f"{prefix}{self.count}", TensorType(sizes, dtype), role)

    def weight(self, *sizes: int, fan_in: int = 1) -> Value:
        value = self.input("w", sizes, self.float, Role.PARAM)
        self.inputs.spread[value.name] = 1 / math.sqrt(max(fan_in, 1))
        self.weights.append(value)
        return value

    def integers(self) -> Value:
        dtype = INTEGERS[self.whole(0, len(INTEGERS) - 1)]
        value = self.data(dtype)
        signed = dtype.is_signed and self.chance(0.7)
        self.inputs.between[value.name] = (-40 if signed else 0, 120)
        return value

    # Moves

    def move(self, seed: int) -> None:
        """One random step; a step that fits nowhere changes nothing."""
        self.rng = np.random.default_rng(seed)
        make = MOVES[int(self.rng.choice(len(MOVES), p=_SHARES))][0]
        b, before = self.b, (len(self.b.nodes), len(self.b.inputs), len(self.weights), len(self.b.updates))
        try:
            made = make(self)
        except ShapeError:
            made = None
        if made is None or any(_counted(v) > 4 * MOST for n in b.nodes[before[0] :] for v in n.outputs):
            grown: tuple[list[Any], ...] = (b.nodes, b.inputs, self.weights, b.updates)
            for entries, count in zip(grown, before, strict=True):
                del entries[count:]
            return
        for node in b.nodes[before[0] :]:
            rounded = any(v in self.smooth for v in node.inputs) or not isinstance(node.op, _EXACT)
            self.smooth.update(v for v in node.outputs if v.dtype.is_float and rounded)
        self.pool.append(made)

    def unary(self) -> Value:
        x, b = self.a_float(), self.b
        return _UNARY[self.whole(0, len(_UNARY) - 1)](b, x)

    def binary(self) -> Value:
        x = self.a_float()
        y = self.partner(x)
        if self.chance(0.5):
            x, y = y, x
        return _BINARY[self.whole(0, len(_BINARY) - 1)](self.b, x, y)

    def partner(self, x: Value) -> Value:
        """A value that broadcasts with x: one of the pool (a residual), a weight, or a part of x's axes."""
        mates = [v for v in self.pool if v.dtype is x.dtype and v.shape == x.shape and v is not x]
        if mates and self.chance(0.5):
            return mates[self.whole(0, len(mates) - 1)]
        fitting = [v for v in self.pool if v.dtype is x.dtype and _broadcasts(v, x)]
        if fitting and self.chance(0.6):
            return fitting[self.whole(0, len(fitting) - 1)]
        sizes = [1 if isinstance(d, Rows) or self.chance(0.3) else int(d) for d in x.shape]
        return self.weight(*sizes[self.whole(0, len(sizes)) :])

    def choose(self) -> Value:
        x = self.exact_float()
        y, b = self.partner(x), self.b
        if y in self.smooth and self.float is DType.F32:
            y = fn.constant(b, 0.25, x.dtype)
        test = (fn.lt, fn.le, fn.gt, fn.ge, fn.eq, fn.ne)[self.whole(0, 5)](b, x, y)
        if self.chance(0.3):
            return test
        x, y = fn.operands(b, x, y)
        return fn.select(b, test, fn.mul(b, x, 0.5), y)

    def exact_float(self) -> Value:
        return self.pick(lambda v: v.dtype is self.float and (self.float is DType.F64 or v not in self.smooth))

    def boolean(self) -> Value:
        x = self.pick(lambda v: v.dtype is DType.BOOL)
        way = self.whole(0, 3)
        if way == 0:
            return fn.logical_not(self.b, x)
        if way == 1:
            y = self.pick(lambda v: v.dtype is DType.BOOL and _broadcasts(v, x))
            return (fn.logical_and, fn.logical_or, fn.logical_xor, fn.eq)[self.whole(0, 3)](self.b, x, y)
        return fn.cast(self.b, x, self.float if way == 2 else DType.I32)

    def integer(self) -> Value:
        if self.chance(0.3) or not any(v.dtype.is_integer for v in self.pool):
            return self.integers()
        x, b = self.pick(lambda v: v.dtype.is_integer), self.b
        way = self.whole(0, 5)
        if way == 0:
            return fn.mul(b, fn.cast(b, x, self.float), 0.05)
        if way == 1:
            return fn.cast(b, x, INTEGERS[self.whole(0, len(INTEGERS) - 1)])
        if way == 2:
            return (fn.abs, fn.bit_not, fn.sign)[self.whole(0, 2)](b, x)
        if way == 3:
            axes = self.some_axes(x)
            return (fn.sum, fn.prod, fn.max, fn.min)[self.whole(0, 3)](b, _nonempty(x), axes)
        if way == 4:
            return (fn.argmax, fn.argmin)[self.whole(0, 1)](
                b, _nonempty(x), self.whole(0, x.type.rank - 1) if x.type.rank else 0
            )
        same = [v for v in self.pool if v.dtype is x.dtype and _broadcasts(v, x)]
        y = same[self.whole(0, len(same) - 1)]
        return _INTEGER[self.whole(0, len(_INTEGER) - 1)](b, x, y)

    def view(self) -> Value:
        x = self.pick(lambda v: v.type.rank >= 1)
        return (self.permuted, self.sliced, self.flipped, self.padded, self.joined, self.reshaped, self.spread)[
            self.whole(0, 6)
        ](x)

    def permuted(self, x: Value) -> Value:
        return fn.transpose(self.b, x, [int(d) for d in self.rng.permutation(x.type.rank)])

    def sliced(self, x: Value) -> Value:
        axis = int(self.rng.choice(self.static_axes(x) or [0]))
        dim = x.shape[axis]
        stride = self.whole(1, 3)
        size = self.whole(1, max((int(dim) - 1) // stride + 1, 1))
        start = self.whole(0, max(int(dim) - 1 - (size - 1) * stride, 0))
        return fn.slice_axis(self.b, x, axis, start, size, stride)

    def flipped(self, x: Value) -> Value:
        return fn.flip(self.b, x, [int(self.rng.choice(self.static_axes(x) or [0]))])

    def padded(self, x: Value) -> Value:
        fixed = self.static_axes(x)
        low = [self.whole(-1, 3) if d in fixed and self.chance(0.5) else 0 for d in range(x.type.rank)]
        high = [self.whole(-1, 2) if d in fixed and self.chance(0.5) else 0 for d in range(x.type.rank)]
        return fn.pad(self.b, x, low, high, 0 if x.dtype is DType.BOOL or self.chance(0.6) else 2)

    def joined(self, x: Value) -> Value:
        axis = int(self.rng.choice(self.static_axes(x) or [0]))
        alike = [v for v in self.pool if v.dtype is x.dtype and _differ_only(v, x, axis)]
        parts = [x] + [alike[self.whole(0, len(alike) - 1)] for _ in range(self.whole(1, 2))]
        return fn.concat(self.b, parts, axis)

    def reshaped(self, x: Value) -> Value:
        axis = self.whole(0, x.type.rank - 1)
        dim = x.shape[axis]
        if self.chance(0.5) and axis + 1 < x.type.rank and not isinstance(x.shape[axis + 1], Rows):
            merged = dim * int(x.shape[axis + 1])
            return self.b.add(shape.Reshape((*x.shape[:axis], merged, *x.shape[axis + 2 :])), x)
        per = dim.per if isinstance(dim, Rows) else int(dim)
        factors = [f for f in range(1, per + 1) if per % f == 0] or [1]
        inner = int(self.rng.choice(factors))
        outer = dim // inner
        return self.b.add(shape.Reshape((*x.shape[:axis], outer, inner, *x.shape[axis + 1 :])), x)

    def spread(self, x: Value) -> Value:
        at = self.whole(0, x.type.rank)
        dims = (*x.shape[:at], int(self.rng.choice(DIMS[:9])), *x.shape[at:])
        return fn.broadcast(self.b, x, dims, [d for d in range(len(dims)) if d != at])

    def reduced(self) -> Value:
        x = _nonempty(self.a_float(1))
        axes, keep, b = self.some_axes(x), self.chance(0.3), self.b
        way = self.whole(0, 7)
        if way <= 1:
            return fn.mul(b, fn.sum(b, x, axes, keep), 1 / math.sqrt(_counted_dims([x.shape[a] for a in axes])))
        if way <= 3:
            return fn.mean(b, x, axes, keep)
        if way == 4:
            return (fn.max, fn.min)[self.whole(0, 1)](b, x, axes, keep)
        if way == 5:
            return fn.prod(b, fn.add(b, fn.mul(b, fn.tanh(b, x), 0.1), 1.0), axes, keep)
        if way == 6:
            return (fn.argmax, fn.argmin)[self.whole(0, 1)](b, self.pick_exact(x), axes[0])
        axis = int(self.rng.choice(self.static_axes(x) or [0]))
        return fn.mul(b, fn.cumsum(b, x, axis, self.chance(0.4)), 0.1)

    def pick_exact(self, x: Value) -> Value:
        if self.float is DType.F32 and x in self.smooth:
            raise ShapeError("a jump on a rounded value")
        return x

    def rowwise(self) -> Value:
        x, b = _nonempty(self.a_float(1)), self.b
        axes = self.some_axes(x) if self.chance(0.4) else (x.type.rank - 1,)
        way = self.whole(0, 4)
        if way == 0:
            return fn.softmax(b, x, axes)
        if way == 1:
            return fn.log_softmax(b, x, axes)
        if way == 2:
            return fn.logsumexp(b, x, axes, self.chance(0.5))
        center = fn.sub(b, x, fn.mean(b, x, axes, keepdims=True))
        variance = fn.mean(b, fn.square(b, center), axes, keepdims=True)
        if way == 3:
            return fn.sqrt(b, fn.add(b, variance, 0.1))
        return fn.mul(b, center, fn.rsqrt(b, fn.add(b, variance, 0.1)))

    def contracted(self) -> Value:
        x, b = self.a_float(1), self.b
        way = self.whole(0, 3)
        if way == 0:
            y = self.pick(lambda v: v.dtype is self.float and v.type.rank >= 1 and v.shape[-1] == x.shape[-1])
            return self._dot(x, y, ((x.type.rank - 1,), (y.type.rank - 1,)))
        if way == 1 and x.type.rank >= 2:  # batched, with itself: every position against every other
            return self._dot(x, x, ((x.type.rank - 1,), (x.type.rank - 1,)), ((0,), (0,)))
        if way == 2:
            axes = tuple(d for d in self.some_axes(x) if not isinstance(x.shape[d], Rows))[:2]
            if not axes:
                raise ShapeError("only rows")
            w = self.weight(
                *(int(x.shape[a]) for a in axes),
                int(self.rng.choice(DIMS[:13])),
                fan_in=math.prod(int(x.shape[a]) for a in axes),
            )
            return self._dot(x, w, (axes, tuple(range(len(axes)))))
        inner = x.shape[-1]
        if isinstance(inner, Rows):
            raise ShapeError("rows are not contracted with a weight")
        w = self.weight(int(inner), int(self.rng.choice(DIMS)), fan_in=int(inner))
        y = fn.matmul(b, x, w)
        return fn.relu(b, fn.add(b, y, self.weight(int(y.shape[-1])))) if self.chance(0.5) else y

    def _dot(
        self, x: Value, y: Value, inner: tuple[tuple[int, ...], tuple[int, ...]],
        batch: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
    ) -> Value:  # fmt: skip
        products = _counted(x) * _counted(y) / max(_counted_dims([y.shape[a] for a in (*inner[1], *batch[1])]), 1)
        if products > MOST_PRODUCTS:
            raise ShapeError("too much work")
        value = fn.dot(self.b, x, y, inner, batch)
        return (
            fn.mul(self.b, value, 1 / math.sqrt(max(_counted_dims([x.shape[a] for a in inner[0]]), 1)))
            if x is y
            else value
        )

    def image(self) -> Value:
        """A value laid out as [N, spatial.., channels]."""
        return self.pick(
            lambda v: (
                v.dtype is self.float and 3 <= v.type.rank <= 5 and not any(isinstance(d, Rows) for d in v.shape[1:])
            )
        )

    def convolved(self) -> Value:
        x, b = self.image(), self.b
        spatial, channels = x.shape[1:-1], int(x.shape[-1])
        groups = (
            int(self.rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
            if self.chance(0.3) and channels
            else 1
        )
        kernel = tuple(self.whole(1, min(4, max(int(d), 1))) for d in spatial)
        filters = groups * (self.whole(1, 3) if groups > 4 else int(self.rng.choice(DIMS[:11])))
        if _counted(x) * math.prod(kernel) * filters / groups > MOST_PRODUCTS:
            raise ShapeError("too much work")
        strides = tuple(self.whole(1, 2) if self.chance(0.4) else 1 for _ in spatial)
        dilation = tuple(self.whole(1, 2) if self.chance(0.2) else 1 for _ in spatial)
        padding = tuple((self.whole(0, k - 1), self.whole(0, k - 1)) if self.chance(0.6) else (0, 0) for k in kernel)
        w = self.weight(*kernel, channels // groups, filters, fan_in=math.prod(kernel) * channels // groups)
        y = b.add(Conv(strides, padding, dilation, groups), x, w)
        if self.chance(0.6):
            y = fn.add(b, y, self.weight(filters))
        return fn.relu(b, y) if self.chance(0.5) else y

    def pooled(self) -> Value:
        x, b = self.image(), self.b
        sizes = tuple(self.whole(1, min(3, max(int(d), 1))) for d in x.shape[1:-1])
        strides = tuple(self.whole(1, s) for s in sizes) if self.chance(0.4) else sizes
        padding = tuple((self.whole(0, s - 1), self.whole(0, s - 1)) if self.chance(0.4) else (0, 0) for s in sizes)
        if self.chance(0.5):
            return fn.avg_pool(b, x, sizes, strides, padding)
        return fn.max_pool(b, self.pick_exact(x) if self.chance(0.5) else x, sizes, strides, padding)

    def looked_up(self) -> Value:
        b = self.b
        ids = self.data(DType.I32) if self.chance(0.7) else self.pick(lambda v: v.dtype is DType.I32)
        if self.chance(0.25):
            depth = int(self.rng.choice(DIMS[:9]))
            self.inputs.between.setdefault(ids.name, (-1, depth + 1))
            return fn.one_hot(b, ids, depth, self.float)
        if self.chance(0.6):
            table = self.weight(*self.dims(self.whole(1, 2), 600)) if self.chance(0.6) else self.a_float(1)
            if isinstance(table.shape[0], Rows):
                raise ShapeError("rows are no table")
            self.inputs.between.setdefault(ids.name, (-2, int(table.shape[0]) + 2))
            return fn.gather(b, table, ids)
        updates = self.pick(lambda v: v.dtype is self.float and v.shape[: ids.type.rank] == ids.shape)
        size = int(self.rng.choice(DIMS[:9]))
        self.inputs.between.setdefault(ids.name, (-1, size + 1))
        return fn.mul(b, fn.scatter_add(b, (size, *updates.shape[ids.type.rank :]), ids, updates), 0.2)

    def made(self) -> Value:
        """Values from nothing: positions, random numbers, constants, the row count."""
        b, way = self.b, self.whole(0, 3)
        sizes = self.a_float().shape
        if way == 0 and sizes:
            return fn.mul(b, fn.iota(b, sizes, self.whole(0, len(sizes) - 1), self.float), 0.01)
        if way == 1 and not any(isinstance(d, Rows) for d in sizes[1:]):  # else the bits depend on the batch
            key = self.input("key", (2,), DType.U32, Role.STATE)
            if self.recipe.trains:
                b.update(key, fn.add(b, key, 1))
            return fn.random_uniform(b, key, sizes, self.float)
        if way == 2 and self.rows:
            return fn.mul(b, fn.row_count(b, self.rows.batch, self.float), 0.01)
        array = self.rng.standard_normal(self.dims(self.whole(0, 2), 600)).astype(np.float32).astype(self.float.numpy)
        return fn.constant(b, array)

    def looped(self) -> Value:
        """A loop over an axis of a value, with a step of a few random nodes; all steps or the last state."""
        x = self.pick(lambda v: v.dtype is self.float and any(0 < v.shape[d] <= 17 for d in self.static_axes(v)))
        axis = int(self.rng.choice([d for d in self.static_axes(x) if 0 < x.shape[d] <= 17]))
        front = fn.transpose(self.b, x, [axis, *(d for d in range(x.type.rank) if d != axis)])
        shape, reverse, steps = front.shape[1:], self.chance(0.3), int(x.shape[axis])
        start = fn.broadcast_to(self.b, self.weight(*([1] * len(shape))), shape)
        other = self.partner(start)
        turns = [self.whole(0, 5) for _ in range(self.whole(1, 3))]
        weight = None
        if shape and not isinstance(shape[-1], Rows) and shape[-1] <= 65:
            weight = self.weight(int(shape[-1]), int(shape[-1]), fan_in=int(shape[-1]))

        def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> tuple[list[Value], list[Value]]:
            new = fn.add(b, fn.mul(b, state[0], 0.5), parts[0])
            for turn in turns:
                new = self.turned(b, new, other, weight, turn)
            new = fn.mul(b, fn.tanh(b, new), 0.9)
            return [new], [fn.sub(b, new, state[0])]

        (last,), (every,) = fn.scan(self.b, step, [start], [front], steps, reverse)
        return every if self.chance(0.5) else last

    def turned(self, b: Builder, x: Value, other: Value, weight: Value | None, turn: int) -> Value:
        """One more node on the state of a loop, as the number says; it may mix the rows."""
        if turn == 0 and weight is not None:
            return fn.tanh(b, fn.matmul(b, x, weight) if x.type.rank > 1 else fn.einsum(b, x, "k", weight, "kn", "n"))
        if turn == 1 and x.type.rank:
            return fn.sub(b, x, fn.mean(b, x, -1, keepdims=True)) if x.shape[-1] else x
        if turn == 2 and x.type.rank and x.type.size:
            return fn.add(b, x, fn.tanh(b, fn.mean(b, x, 0, keepdims=True)))
        if turn == 3 and x.type.rank and not isinstance(x.shape[-1], Rows):
            return fn.flip(b, x, [-1])
        return fn.mul(b, x, fn.sigmoid(b, other)) if turn == 4 else fn.sin(b, x)

    # Graphs

    def graph(self) -> Graph:
        """The last values of the pool, and some others, as outputs."""
        self.rng = np.random.default_rng([self.recipe.seed, 2])
        computed = [v for v in self.pool if v.node in set(self.b.nodes)]
        chosen = [v for v in computed if self.chance(0.3)] + computed[-1:]
        return self.b.build(list(dict.fromkeys(chosen)) or [fn.neg(self.b, self.pool[0])])

    def training_step(self) -> Graph:
        """Loss of what was made last, gradients of all weights, plain or momentum updates."""
        b, self.rng = self.b, np.random.default_rng([self.recipe.seed, 3])
        floats = [v for v in self.pool if v.dtype is self.float and v.type.size]
        if not self.weights or not floats:
            return self.graph()
        ends = list(dict.fromkeys([v for v in floats if self.chance(0.2)][-3:] + floats[-1:]))
        loss = fn.mean(b, fn.square(b, ends[0]))
        for value in ends[1:]:
            loss = fn.add(b, loss, fn.mean(b, fn.tanh(b, value)))
        joint = gradients(b.build([loss], ["loss"]), loss, self.weights)
        self.b = b = Builder(graph=joint)
        with b.direction("update"):
            for weight, slope in zip(self.weights, joint.outputs[1:], strict=True):
                self._update(weight, slope)
        return replace(b.build(joint.outputs[:1] if self.chance(0.7) else joint.outputs), output_names=())

    def _update(self, weight: Value, slope: Value) -> None:
        b = self.b
        if self.chance(0.4):
            speed = self.input("speed", weight.shape, weight.dtype, Role.STATE)
            slope = fn.add(b, fn.mul(b, speed, 0.9), slope)
            b.update(speed, slope)
        b.update(weight, fn.sub(b, weight, fn.mul(b, slope, 0.1)))


_EXACT = (
    shape.Transpose
    | shape.Slice
    | shape.Flip
    | shape.Pad
    | shape.Concat
    | shape.Reshape
    | shape.Broadcast
    | reduce.Max
    | reduce.Min
)

_UNARY: tuple[Callable[[Builder, Value], Value], ...] = (
    fn.neg, fn.abs, fn.relu, fn.tanh, fn.sigmoid, fn.softplus, fn.erf, fn.sin, fn.cos, fn.atan, fn.stop_gradient,
    lambda b, x: fn.exp(b, fn.mul(b, fn.tanh(b, x), 2.0)),
    lambda b, x: fn.mul(b, fn.square(b, x), 0.5),
    lambda b, x: fn.log1p(b, fn.abs(b, x)),
    lambda b, x: fn.sqrt(b, fn.add(b, fn.square(b, x), 0.5)),
    lambda b, x: fn.rsqrt(b, fn.add(b, fn.square(b, x), 0.5)),
    lambda b, x: fn.reciprocal(b, fn.add(b, fn.abs(b, x), 0.5)),
    lambda b, x: fn.log(b, fn.add(b, fn.abs(b, x), 0.5)),
    lambda b, x: fn.mul(b, x, fn.sigmoid(b, x)),
)  # fmt: skip
_BINARY: tuple[Callable[[Builder, Value, Value], Value], ...] = (
    fn.add, fn.add, fn.sub, fn.mul, fn.mul, fn.maximum, fn.minimum,
    lambda b, x, y: fn.div(b, x, fn.add(b, fn.square(b, y), 0.5)),
    lambda b, x, y: fn.pow(b, fn.add(b, fn.abs(b, x), 0.5), fn.tanh(b, y)),
    lambda b, x, y: fn.atan2(b, x, fn.add(b, fn.abs(b, y), 0.5)),
)  # fmt: skip
_INTEGER: tuple[Callable[[Builder, Value, Value], Value], ...] = (
    fn.add, fn.sub, fn.mul, fn.maximum, fn.minimum, fn.floor_div, fn.mod, fn.bit_and, fn.bit_or, fn.bit_xor, fn.lt, fn.eq, fn.ge,
)  # fmt: skip

MOVES: tuple[tuple[Callable[[_Maker], Value], float], ...] = (
    (_Maker.unary, 4), (_Maker.binary, 5), (_Maker.choose, 1.5), (_Maker.boolean, 0.7), (_Maker.integer, 1.5), (_Maker.view, 4),
    (_Maker.reduced, 3), (_Maker.rowwise, 2), (_Maker.contracted, 3), (_Maker.convolved, 2), (_Maker.pooled, 1.5),
    (_Maker.looked_up, 1.2), (_Maker.made, 1), (_Maker.looped, 1.2), (lambda maker: maker.data(), 0.7),
)  # fmt: skip
_SHARES = np.array([share for _, share in MOVES]) / sum(share for _, share in MOVES)


def _counted_dims(dims: Sequence[int]) -> int:
    return math.prod(ROWS_COUNT_AS * dim.per if isinstance(dim, Rows) else int(dim) for dim in dims)


def _counted(value: Value) -> int:
    return _counted_dims(value.shape)


def _nonempty(x: Value) -> Value:
    if 0 in x.shape:
        raise ShapeError("empty")
    return x


def _broadcasts(y: Value, x: Value) -> bool:
    lead = x.type.rank - y.type.rank
    return lead >= 0 and all(d == 1 or d == x.shape[lead + i] for i, d in enumerate(y.shape))


def _differ_only(y: Value, x: Value, axis: int) -> bool:
    return y.type.rank == x.type.rank and all(
        d == axis or a == b for d, (a, b) in enumerate(zip(x.shape, y.shape, strict=True))
    )
