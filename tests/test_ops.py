"""The contract of every op, over the registry and every sample: infer, eval, nest and vjp say the same thing.

`interpret_nests` is the law of what a Nest means, written with index grids: every point of an expression is an element
of an array over the nest's axes. A backend is a function (op, types, arrays, rows) -> results that must agree with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from native import assert_exact_enough, in_f64, largest, poison, prefix, run_op, shrink, single_op

import graphc.primitives  # noqa: F401  (fills the registry)
from codegen.target import named_target
from graphc.ir import nest as nests
from graphc.ir.builder import Builder
from graphc.ir.interpret import interpret
from graphc.ir.loop import Loop
from graphc.ir.nest import Affine, Apply, Const, Expr, Load, Nest, Position
from graphc.ir.op import REGISTRY, Array, Elementwise, Expanded, Op, Types, Value
from graphc.ir.types import DType, Rows, ShapeError, TensorType, concrete
from graphc.primitives import (
    attention,
    contraction,
    control,
    conv,
    elementwise,
    gates,
    index,
    pool,
    random,
    reduce,
    shape,
    source,
    winograd,
)
from graphc.primitives import functions as fn
from graphc.primitives.elementwise import Pointwise
from passes.expand import expand

F32, F64, I32, BOOL, U32 = DType.F32, DType.F64, DType.I32, DType.BOOL, DType.U32
OPS = [op for op in REGISTRY.values() if op.__module__.startswith("graphc.primitives")]
SAMPLES: list[tuple[Op, Types]] = [sample for cls in OPS for sample in cls.samples()]
SHORT = 1  # runtime rows of a short batch, below the batch of every sample


def over(samples: list[tuple[Op, Types]]) -> pytest.MarkDecorator:
    """Runs a test of `op` and `types` for every sample."""
    ids = [f"{op.mnemonic}-{i}-{','.join(map(str, types))}" for i, (op, types) in enumerate(samples)]
    return pytest.mark.parametrize(("op", "types"), samples, ids=ids)


# ---- data


def batch_of(op: Op, types: Types) -> int | None:
    dims = [dim for type in (*types, *op.infer(*types)) for dim in type.shape if isinstance(dim, Rows)]
    return dims[0].batch if dims else getattr(op, "batch", None) if isinstance(op, source.RowCount) else None


def make_data(op: Op, types: Types, seed: int = 0) -> list[Array]:
    """Random operands of which no two elements are equal, in the domain of the op; ids lie inside and outside."""
    rng = np.random.default_rng([seed, *op.mnemonic.encode()])
    low, high = getattr(op, "domain", (-3.0, 12.0))
    return [make_array(rng, type, low, high, isinstance(op, elementwise.Cast)) for type in types]


def make_array(rng: np.random.Generator, type: TensorType, low: float, high: float, positive: bool) -> Array:
    size = concrete(type.shape)
    if type.dtype is BOOL:
        return np.asarray(rng.integers(0, 2, size).astype(bool))
    if type.dtype.is_float:
        return np.asarray(rng.uniform(0.0 if positive else low, high, size).astype(type.dtype.numpy))
    start = math.ceil(low) if type.dtype.is_signed and not positive else max(math.ceil(low), 0)
    return np.asarray(rng.integers(start, math.floor(high) + 1, size).astype(type.dtype.numpy))


# ---- what a nest means

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "floor_div": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "max": np.maximum, "min": np.minimum, "atan2": np.arctan2,
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "square": np.square, "reciprocal": lambda x: 1 / x,
    "sqrt": np.sqrt, "rsqrt": lambda x: x**-0.5, "floor": np.floor, "ceil": np.ceil, "round": np.rint,
    "trunc": np.trunc, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "log2": np.log2,
    "log10": np.log10, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "sigmoid": lambda x: 0.5 + 0.5 * np.tanh(0.5 * x),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "erf": np.vectorize(math.erf, otypes=[float]), "erfinv": lambda x: elementwise.Erfinv().eval(x)[0],
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor, "logical_not": np.logical_not,
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor, "bit_not": np.bitwise_not,
    "shl": np.left_shift, "shr": np.right_shift, "select": np.where, "cast": lambda x: x,
    "threefry": lambda a, b, c, d: np.bitwise_xor(*random.threefry(np.stack([a, b]), c, d)),
}  # fmt: skip
COMBINES: dict[str, Callable[[Array], Array]] = {
    "add": lambda x: np.sum(x, -1, x.dtype), "mul": lambda x: np.prod(x, -1, x.dtype),
    "max": lambda x: np.max(x, -1), "min": lambda x: np.min(x, -1),
    "argmax": lambda x: np.argmax(x, -1), "argmin": lambda x: np.argmin(x, -1),
}  # fmt: skip
Grid = dict[str, Array]


def position(affine: Affine, grid: Grid) -> Array:
    return np.asarray(affine.constant + sum(c * grid[name] for name, c in affine.terms), np.int64)


def compute(expr: Expr, arrays: Sequence[Array], limits: Sequence[Sequence[int]], grid: Grid, rows: int) -> Array:
    """The expression at every point of the grid. A load is within the operand's valid part, guarded or clamped."""
    dtype = expr.dtype.numpy
    match expr:
        case Const(value):
            return np.asarray(value).astype(dtype)
        case Position(affine):
            return position(affine, grid).astype(dtype)
        case nests.RowCount():
            return np.asarray(rows, dtype)
        case Load(operand, where, _, guarded, fill):
            array, limit = arrays[operand], limits[operand]
            inside: Any = True
            at = []
            for i, size in zip(where, limit, strict=True):
                exact = position(i, grid) if isinstance(i, Affine) else compute(i, arrays, limits, grid, rows)
                clamped = np.clip(exact, 0, size - 1)
                if isinstance(i, Affine):
                    inside = inside & (exact == clamped)
                at.append(clamped.astype(np.int64))
            assert guarded or np.all(inside), f"{expr} leaves {array.shape}"
            return np.where(inside, array[tuple(at)], np.asarray(fill).astype(dtype)) if guarded else array[tuple(at)]
        case Apply(fn="bitcast", args=(arg,)):
            return np.asarray(compute(arg, arrays, limits, grid, rows)).view(dtype)
        case Apply(name, args):
            assert len(args) == nests.ARITY[name]
            values = [compute(a, arrays, limits, grid, rows) for a in args]
            return np.asarray(FUNCTIONS[name](*values)).astype(dtype)
    raise AssertionError(expr)


def extent_of(dim: int, rows: int) -> int:
    return rows * dim.per if isinstance(dim, Rows) else dim


def run_nest(nest: Nest, arrays: Sequence[Array], limits: Sequence[Sequence[int]], out: Array, count: Array, rows: int
             ) -> None:  # fmt: skip
    """Stores the nest's results in `out` and counts the stores of every element in `count`."""
    axes = nest.axes + nest.reduce
    extents = [extent_of(axis.extent, rows) for axis in axes]
    inner = tuple(range(len(nest.axes), len(axes)))
    grid = {axis.name: g for axis, g in zip(axes, np.indices(extents), strict=True)}
    body = np.broadcast_to(compute(nest.body, arrays, limits, grid, rows), extents)

    def at(grid: Grid) -> tuple[Array, ...]:
        exact = [
            position(i, grid) if isinstance(i, Affine) else compute(i, arrays, limits, grid, rows) for i in nest.target
        ]
        where = [e if isinstance(i, Affine) else np.clip(e, 0, n - 1)
                 for i, e, n in zip(nest.target, exact, out.shape, strict=True)]  # fmt: skip
        assert all(np.all((w >= 0) & (w < n)) for w, n in zip(where, out.shape, strict=True)), f"{nest} stores outside"
        return tuple(where)

    if nest.scatter:
        out[...] = 0 if nest.start is None else arrays[nest.start]
        np.add.at(out, at(grid), body.astype(out.dtype))
        count += 1
        return
    if nest.running:
        assert nest.combine == "add" and len(inner) == 1
        body = np.cumsum(body, inner[0], body.dtype)
    elif inner:
        kept = extents[: len(nest.axes)]
        body = COMBINES[nest.combine](body.reshape(*kept, -1))
        grid = {axis.name: g for axis, g in zip(nest.axes, np.indices(kept), strict=True)}
    target = at(grid)
    out[target] = body
    np.add.at(count, target, 1)


def interpret_nests(op: Op, types: Types, arrays: Sequence[Array], rows: int) -> list[Array]:
    """The results by the op's nests, which must store every valid element exactly once."""
    if isinstance(op, Expanded):
        graph = expand(single_op(op, types))
        return list(interpret(graph, dict(zip(graph.inputs, arrays, strict=True))))
    if isinstance(op, Loop):
        return interpret_loop(op, arrays, rows)
    results = op.infer(*types)
    outs = [np.zeros(concrete(type.shape), type.dtype.numpy) for type in results]
    counts = [np.zeros(out.shape, int) for out in outs]
    limits = [[extent_of(dim, rows) for dim in type.shape] for type in types]
    with np.errstate(all="ignore"):
        for nest in op.nest(*types):
            run_nest(nest, arrays, limits, outs[nest.output], counts[nest.output], rows)
    for type, count in zip(results, counts, strict=True):
        assert np.all(prefix(count, type, rows) == 1), "an element is not stored exactly once"
    return outs


def interpret_loop(op: Loop, arrays: Sequence[Array], rows: int) -> list[Array]:
    """The results of a loop, the nodes of its body by their nests."""
    first, last = op.carries, op.carries + op.sequences
    state, stacks = (
        list(arrays[:first]),
        [np.zeros((op.steps, *concrete(v.shape)), v.dtype.numpy) for v in op.stacked()],
    )
    for t in op.order():
        known = dict(zip(op.body.inputs, [*state, *(s[t] for s in arrays[first:last]), *arrays[last:]], strict=True))
        for node in op.body.nodes:
            types, operands = tuple(v.type for v in node.inputs), [known[v] for v in node.inputs]
            found = interpret_nests(node.op, types, operands, rows) if has_nest(node.op) else node.op.eval(*operands)
            known.update(zip(node.outputs, found, strict=True))
        state = [known[value] for value in op.following()]
        for stack, value in zip(stacks, op.stacked(), strict=True):
            stack[t] = known[value]
    return [*state, *stacks]


Backend = Callable[[Op, Types, Sequence[Array], int], Sequence[Array]]


def native(name: str) -> Backend:
    """The code of a target, on guarded memory."""
    target = named_target(name)
    return lambda op, types, arrays, rows: run_op(op, types, arrays, rows, target)


TARGETS = [name for name in ("host", "x86-64-v3", "x86-64-v2") if named_target(name).is_host_runnable]
BACKENDS = [pytest.param(interpret_nests, id="nests"), *(pytest.param(native(name), id=name) for name in TARGETS)]


def has_nest(op: Op) -> bool:
    """Reshape is free and a constant that is not a splat is a buffer; all other ops have nests."""
    return not isinstance(op, shape.Reshape) and not (isinstance(op, source.Constant) and op.splat is None)


NATIVE = [(op, types) for op, types in SAMPLES if has_nest(op)]


def assert_agree(op: Op, arrays: Sequence[Array], got: Sequence[Array]) -> None:
    """What a backend found, against numpy in the op's own dtypes and in f64."""
    want, wide = op.eval(*arrays), in_wide(op, arrays)
    scale = largest([*arrays, *want])
    for found, plain, exact in zip(got, want, wide, strict=True):
        assert_exact_enough(found, plain, exact, scale)


def in_wide(op: Op, arrays: Sequence[Array]) -> Sequence[Array]:
    """The results in f64; for ops that look at bits or are data, the results as they are."""
    if isinstance(op, elementwise.Bitcast | source.Constant):
        return op.eval(*arrays)
    wide: Op = in_f64(op)
    return wide.eval(*(a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays))


# ---- the contract


@over(SAMPLES)
def test_eval_has_the_inferred_types(op: Op, types: Types) -> None:
    results = op.eval(*make_data(op, types))
    assert [(r.shape, r.dtype) for r in results] == [(concrete(t.shape), t.dtype.numpy) for t in op.infer(*types)]
    assert all(isinstance(r, np.ndarray) for r in results)


@pytest.mark.parametrize("backend", BACKENDS)
@over(NATIVE)
def test_backend_agrees_with_eval(backend: Backend, op: Op, types: Types) -> None:
    arrays = make_data(op, types)
    assert_agree(op, arrays, backend(op, types, arrays, batch_of(op, types) or 0))


@pytest.mark.parametrize("backend", BACKENDS)
@over([sample for sample in NATIVE if batch_of(*sample)])
def test_backend_agrees_for_a_short_batch(backend: Backend, op: Op, types: Types) -> None:
    """Rows beyond the runtime rows hold rubbish and must not be seen."""
    full = make_data(op, types)
    arrays = [poison(array, type, SHORT) for array, type in zip(full, types, strict=True)]
    valid = [prefix(array, type, SHORT) for array, type in zip(full, types, strict=True)]
    found = zip(backend(op, types, arrays, SHORT), op.infer(*types), strict=True)
    assert_agree(shrink(op, SHORT), valid, [prefix(result, type, SHORT) for result, type in found])


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.mnemonic)
def test_samples_tell_dimensions_apart(cls: type[Op]) -> None:
    """All dimensions of an operand differ, so that no sample passes with two axes exchanged."""
    samples = cls.samples()
    assert samples
    for _, types in samples:
        for type in types:
            dims = [int(dim) for dim in type.shape if dim != 1]
            assert len(set(dims)) == len(dims), f"{cls.mnemonic}: {type}"


def test_every_scalar_function_is_tested() -> None:
    bodies = [nest.body for op, types in NATIVE if not isinstance(op, Loop | Expanded) for nest in op.nest(*types)]
    used = {expr.fn for body in bodies for expr in nests.walk(body) if isinstance(expr, Apply)}
    assert set(nests.ARITY) == used
    assert set(FUNCTIONS) == set(nests.ARITY) - {"bitcast"}


# ---- gradients


def sweep(
    b: Builder, outputs: Sequence[Value], cotangents: Sequence[Value], wrt: Sequence[Value]
) -> list[Value | None]:
    """Reverse accumulation over all nodes of the builder: the cotangents of `wrt`."""
    known: dict[Value, Value] = {}

    def accumulate(value: Value, g: Value) -> None:
        assert g.type == value.type, f"the cotangent of {value.type} is {g.type}"
        known[value] = fn.add(b, known[value], g) if value in known else g

    nodes = list(b.nodes)
    for value, g in zip(outputs, cotangents, strict=True):
        accumulate(value, g)
    for node in reversed(nodes):
        given = [known.get(value) for value in node.outputs]
        if any(given):
            grads = node.op.vjp(b, node.inputs, node.outputs, given)
            for value, grad in zip(node.inputs, grads, strict=True):
                if grad:
                    accumulate(value, grad)
    return [known.get(value) for value in wrt]


Scalar = Callable[[Sequence[Array]], float]


def central_difference(function: Scalar, at: Sequence[Array], along: Sequence[Array], step: float = 1e-6) -> float:
    up, down = (
        [x + s * d if d.dtype.kind == "f" else x for x, d in zip(at, along, strict=True)] for s in (step, -step)
    )
    return (function(up) - function(down)) / (2 * step)


def directions(arrays: Sequence[Array], seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=a.shape)) if a.dtype.kind == "f" else np.zeros_like(a) for a in arrays]


def inner_product(xs: Sequence[Array | None], ys: Sequence[Array]) -> float:
    return float(sum(np.sum(x * y) for x, y in zip(xs, ys, strict=True) if x is not None and x.dtype.kind == "f"))


class Pullback:
    """The op's vjp as a graph: operands and cotangents in, cotangents of the float operands out."""

    def __init__(self, op: Op, types: Types) -> None:
        self.b = Builder()
        self.inputs = [self.b.input(f"x{i}", type) for i, type in enumerate(types)]
        outputs = self.b.add_all(op, *self.inputs)
        self.smooth = [value for value in outputs[: op.differentiable] if value.dtype.is_float]
        self.seeds = [self.b.input(f"g{i}", value.type) for i, value in enumerate(self.smooth)]
        self.grads = sweep(self.b, self.smooth, self.seeds, self.inputs)

    def __call__(self, arrays: Sequence[Array]) -> list[Array | None]:
        """The cotangents for the values of all inputs, seeds last."""
        graph = self.b.build([g for g in self.grads if g is not None])
        found = iter(interpret(graph, dict(zip(self.b.inputs, arrays, strict=True))))
        return [next(found) if g is not None else None for g in self.grads]


def is_smooth(op: Op, types: Types) -> bool:
    """Floats in, floats out, with a derivative that is not wrong on purpose."""
    if type(op).vjp is Op.vjp:  # made by passes, after gradients are taken
        return False
    if isinstance(op, elementwise.StopGradient | elementwise.Bitcast):
        return False
    return any(type.dtype.is_float for type in types) and any(type.dtype.is_float for type in op.infer(*types))


SMOOTH = [(in_f64(op), in_f64(types)) for op, types in SAMPLES if is_smooth(op, types)]


@over(SMOOTH)
def test_vjp_is_the_derivative(op: Op, types: Types) -> None:
    """<g, dy/dx d> by central difference == <vjp(g), d>; a gradient of None means zero."""
    pullback = Pullback(op, types)
    arrays = make_data(op, types)
    seeds = directions([np.zeros(concrete(v.shape)) for v in pullback.smooth], 1)
    along = directions(arrays, 2)

    def function(xs: Sequence[Array]) -> float:
        return inner_product([y for y in op.eval(*xs)[: op.differentiable] if y.dtype.kind == "f"], seeds)

    want = central_difference(function, arrays, along)
    assert inner_product(pullback([*arrays, *seeds]), along) == pytest.approx(want, rel=2e-5, abs=2e-7)


def has_second_derivative(op: Op, types: Types) -> bool:
    pullback = Pullback(op, types)
    return any(pullback.grads) and all(type(node.op).vjp is not Op.vjp for node in pullback.b.nodes)


@over([sample for sample in SMOOTH if has_second_derivative(*sample)])
def test_vjp_is_differentiable_again(op: Op, types: Types) -> None:
    """The derivative of <vjp(g), r> in operands and g, against central difference."""
    pullback = Pullback(op, types)
    grads = [g for g in pullback.grads if g is not None]
    arrays = make_data(op, types) + directions([np.zeros(concrete(v.shape)) for v in pullback.smooth], 1)
    weights = directions([np.zeros(concrete(g.shape)) for g in grads], 3)
    along = directions(arrays, 4)
    want = central_difference(
        lambda xs: inner_product([g for g in pullback(xs) if g is not None], weights), arrays, along
    )
    b = pullback.b
    inputs = list(b.inputs)
    second = sweep(b, grads, [b.input(f"r{i}", g.type) for i, g in enumerate(grads)], inputs)
    results = iter(interpret(b.build([s for s in second if s]), dict(zip(b.inputs, [*arrays, *weights], strict=True))))
    found = [next(results) if s else None for s in second]
    assert inner_product(found, along) == pytest.approx(want, rel=2e-5, abs=2e-6)


def gradient_of(op: Op, *arrays: Array) -> list[Array]:
    """The vjp of ones, where it is not None."""
    types = tuple(TensorType(a.shape, DType.of(a.dtype)) for a in arrays)
    pullback = Pullback(op, types)
    grads = pullback([*arrays, *(np.ones(concrete(v.shape)) for v in pullback.smooth)])
    return [g for g in grads if g is not None]


def test_gradients_at_ties_and_zeros_are_those_of_jax() -> None:
    x = np.array([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    cases: list[tuple[Op, list[list[float]]]] = [
        (reduce.Max((1,)), [[0, 0.5, 0.5], [1 / 3] * 3]),
        (reduce.Prod((1,)), [[4, 2, 2], [0, 0, 0]]),
        (elementwise.Relu(), [[1, 1, 1], [0, 0, 0]]),
        (elementwise.Abs(), [[1, 1, 1], [0, 0, 0]]),
    ]
    for op, want in cases:
        (got,) = gradient_of(op, x)
        np.testing.assert_allclose(got, want)
    (left, right) = gradient_of(elementwise.Maximum(), np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 5.0]))
    np.testing.assert_array_equal(left, [0.5, 1, 0])
    np.testing.assert_array_equal(right, [0.5, 0, 1])
    (dx,) = gradient_of(reduce.Prod((0,)), np.array([0.0, 3.0, 5.0]))
    np.testing.assert_array_equal(dx, [15, 0, 0])
    dx, dy = gradient_of(elementwise.Pow(), np.array([0.0, -2.0, 0.0]), np.array([0.0, 3.0, 2.0]))
    np.testing.assert_array_equal(dx, [0, 12, 0])
    np.testing.assert_array_equal(dy, [0, 0, 0])


def test_relu_and_friends_do_not_keep_their_operand() -> None:
    """Their derivative reads the result only, so the operand's memory is free after the forward pass."""
    for cls in (elementwise.Relu, elementwise.Sigmoid, elementwise.Tanh, elementwise.Exp, elementwise.Sqrt,
                elementwise.Rsqrt):  # fmt: skip
        pullback = Pullback(cls(), (TensorType((3,)),))
        readers = [node for node in pullback.b.nodes if pullback.inputs[0] in node.inputs]
        assert [type(node.op) for node in readers] == [cls]


# ---- special values


def test_nan_and_infinity() -> None:
    x = np.array([np.nan, -np.inf, np.inf, -0.0], np.float32)
    assert np.isnan(elementwise.Relu().eval(x)[0][0])
    assert np.isnan(reduce.Max((0,)).eval(x)[0]) and np.isnan(elementwise.Maximum().eval(x, x)[0][0])
    np.testing.assert_array_equal(elementwise.Sigmoid().eval(x)[0], np.array([np.nan, 0, 1, 0.5], np.float32))
    np.testing.assert_array_equal(elementwise.Softplus().eval(x)[0][1:3], [0, np.inf])


def test_integer_division_by_zero_is_zero() -> None:
    x, zero = np.array([7, -7], np.int32), np.zeros(2, np.int32)
    for op in (elementwise.FloorDiv(), elementwise.Mod()):
        np.testing.assert_array_equal(op.eval(x, zero)[0], zero)


def test_erfinv_inverts_erf() -> None:
    x = np.concatenate([np.linspace(-5, 5, 41), [1e-300, 1e-9]])
    y = np.array([math.erf(v) for v in x])
    inner = np.abs(y) < 1 - 1e-9
    np.testing.assert_allclose(elementwise.Erfinv().eval(y[inner])[0], x[inner], rtol=1e-6)
    np.testing.assert_array_equal(elementwise.Erfinv().eval(np.array([-1.0, 1.0, 2.0]))[0], [-np.inf, np.inf, np.nan])


def test_threefry_known_answers() -> None:
    """The vectors published with Random123 for 20 rounds."""
    for key, counter, want in [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]:
        high, low = np.array([counter], np.uint32).T
        got = random.threefry(np.array(key, np.uint32), high, low)
        assert tuple(int(word[0]) for word in got) == want


def test_max_pool_never_picks_padding() -> None:
    op = pool.MaxPool((2,), (1,), ((1, 1),))
    y, at = op.eval(np.full((1, 2, 1), -np.float32(3e38)))
    np.testing.assert_array_equal(y.ravel(), np.full(3, -np.float32(3e38)))
    np.testing.assert_array_equal(at.ravel(), [1, 0, 0])


def test_constants_compare_by_content() -> None:
    one, same = source.Constant(np.ones(3)), source.Constant(np.ones(3))
    assert one == same and hash(one) == hash(same)
    assert one != source.Constant(np.ones(3, np.float32)) and one != source.Constant(np.ones((3, 1)))
    assert (
        source.Constant(np.array([0.0, -0.0])).splat is None and source.Constant(np.full(3, np.nan)).splat is not None
    )
    assert not one.array.flags.writeable


# ---- rows

N = Rows(6)


def t(*dims: int, dtype: DType = F32) -> TensorType:
    return TensorType(dims, dtype)


@pytest.mark.parametrize(
    ("op", "types", "want"),
    [
        (elementwise.Add(), (t(N, 5), t(N, 5)), "f32[n,5]"),
        (elementwise.Cast(I32), (t(5, N),), "i32[5,n]"),
        (shape.Broadcast((3, N), (1,)), (t(N),), "f32[3,n]"),
        (shape.Transpose((1, 0)), (t(N, 5),), "f32[5,n]"),
        (shape.Slice((0, 1), (6, 2), (1, 1)), (t(N, 5),), "f32[n,2]"),
        (shape.Reshape((Rows(6, 5),)), (t(N, 5),), "f32[5n]"),
        (shape.Pad((0, 1), (0, 0)), (t(N, 5),), "f32[n,6]"),
        (shape.Concat(1), (t(N, 5), t(N, 2)), "f32[n,7]"),
        (reduce.Sum((1,)), (t(N, 5),), "f32[n]"),
        (reduce.Max((0,)), (t(N, 5),), "f32[5]"),
        (reduce.ArgMax(1), (t(N, 5),), "i32[n]"),
        (contraction.Dot(contract=((1,), (0,))), (t(N, 5), t(5, 3)), "f32[n,3]"),
        (contraction.Dot(contract=((0,), (0,))), (t(N, 5), t(N, 3)), "f32[5,3]"),
        (conv.Conv((1,), ((0, 0),), (1,)), (t(N, 5, 2), t(3, 2, 4)), "f32[n,3,4]"),
        (pool.SumPool((2,), (2,), ((0, 0),)), (t(N, 5, 2),), "f32[n,2,2]"),
        (index.Gather(), (t(7, 2), t(N, 3, dtype=I32)), "f32[n,3,2]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rows_survive(op: Op, types: Types, want: str) -> None:
    assert str(op.infer(*types)[0]) == want


# ---- errors

CONV = conv.Conv((1,), ((0, 0),), (1,))
LOOP, LOOP_TYPES = control.Scan.samples()[0]
assert isinstance(LOOP, Loop)
ATTENTION = attention.Attention(0.5)
KEYS = (t(N, 7, 2, 3), t(N, 7, 2, 4))
ERRORS: list[tuple[Op, Types, str]] = [
    *(
        (gate(), (t(3, dtype=DType.I32),), "operand dtype is i32, wanted a float")
        for gate in (gates.Silu, gates.Gelu, gates.GeluTanh)
    ),
    (
        LOOP,
        (LOOP_TYPES[0], LOOP_TYPES[0], LOOP_TYPES[2]),
        "sequence 0 must have 5 steps along its first axis, got f32[n,3]",
    ),
    (
        LOOP,
        (*LOOP_TYPES[:2], TensorType((3, 5))),
        "@recurrent takes (f32[n,3], f32[n,3], f32[3,4]), got (f32[n,3], f32[n,3], f32[3,5])",
    ),
    (replace(LOOP, carries=5), LOOP_TYPES, "has 3 inputs and 3 outputs, too few for 5 carries, 1 sequences"),
    (replace(LOOP, steps=-1), LOOP_TYPES, "steps -1, carries 1 and sequences 1 must be >= 0"),
    (elementwise.Add(), (t(N), t(6)), "operand shapes differ: f32[n] and f32[6]"),
    (elementwise.Add(), (t(3), t(3, dtype=F64)), "operand dtypes differ: f32, f64"),
    (elementwise.Div(), (t(3, dtype=I32), t(3, dtype=I32)), "operand dtype is i32, wanted f32 or f64"),
    (elementwise.And(), (t(3), t(3)), "operand dtype is f32, wanted bool"),
    (elementwise.Select(), (t(3), t(3), t(3)), "condition dtype is f32, wanted bool"),
    (elementwise.Select(), (t(3, dtype=BOOL), t(3), t(3, dtype=I32)), "operand dtypes differ: f32, i32"),
    (elementwise.Bitcast(F64), (t(3),), "sizes differ: f32 has 32 bits, f64 has 64"),
    (shape.Broadcast((3, 5), (0,)), (t(5),), "axis 0 of f32[5] is 5, axis 0 of f32[3,5] is 3"),
    (shape.Broadcast((3, 5), (2,)), (t(5),), "axes (2,) do not exist in f32[3,5], wanted axes from 0 to 1"),
    (shape.Broadcast((3, 5), (1, 0)), (t(5, 3),), "axes (1, 0) must increase and not repeat"),
    (shape.Broadcast((3, 5), ()), (t(5),), "axes () has 0 values, f32[5] wants 1"),
    (shape.Broadcast((3, 6), (1,)), (t(N),), "axis 0 of f32[n] is n, axis 1 of f32[3,6] is 6"),
    (shape.Transpose((0, 0)), (t(3, 5),), "perm (0, 0) is not a permutation of the 2 axes of f32[3,5]"),
    (shape.Slice((2,), (2,), (2,)), (t(4),), "axis 0: the slice reaches element 4, f32[4] has 4"),
    (shape.Slice((-1,), (2,), (1,)), (t(4),), "start -1, size 2, stride 1; wanted start, size >= 0, stride >= 1"),
    (shape.Slice((0,), (3,), (1,)), (t(N),), "axis 0 of f32[n] counts batch rows and cannot be sliced"),
    (shape.Flip((0,)), (t(N),), "axis 0 of f32[n] counts batch rows and cannot be reversed"),
    (shape.Reshape((7,)), (t(3, 5),), "f32[3,5] has 15 elements, f32[7] has 7"),
    (shape.Reshape((5, N)), (t(N, 5),), "f32[n,5] cannot be f32[5,n]: batch rows must stay outermost in their axis"),
    (shape.Reshape((30,)), (t(N, 5),), "f32[n,5] cannot be f32[30]"),
    (shape.Pad((1,), (1, 1)), (t(3, 5),), "low (1,) has 1 values, f32[3,5] wants 2"),
    (shape.Pad((-2,), (-2,)), (t(3),), "axis 0 of f32[3] cannot be cropped by 2 and 2"),
    (shape.Pad((1,), (0,)), (t(N),), "axis 0 of f32[n] counts batch rows and cannot be padded"),
    (shape.Concat(1), (t(3, 5), t(4, 5)), "operands differ beside axis 1: f32[3,5] and f32[4,5]"),
    (shape.Concat(0), (t(3), t(4, dtype=F64)), "operand dtypes differ: f32[3] and f64[4]"),
    (shape.Concat(0), (t(N, 2), t(N, 2)), "axis 0 of f32[n,2] counts batch rows and cannot be joined"),
    (source.Iota((3,), 1), (), "axis 1 does not exist in i32[3], wanted an axis from 0 to 0"),
    (source.Iota((3,), 0, BOOL), (), "dtype is bool, wanted a number"),
    (reduce.Sum((2,)), (t(3, 5),), "axes (2,) do not exist in f32[3,5], wanted axes from 0 to 1"),
    (reduce.Sum((0,)), (t(3, dtype=BOOL),), "operand is bool[3], wanted numbers; cast it first"),
    (reduce.Prod((1, 0)), (t(3, 5),), "axes (1, 0) must increase and not repeat"),
    (reduce.Max((-1,)), (t(3, 5),), "axes (-1,) do not exist in f32[3,5]"),
    (reduce.Min((0,)), (t(),), "axes (0,) do not exist in f32[]"),
    (reduce.ArgMax(1), (t(3),), "axes (1,) do not exist in f32[3]"),
    (reduce.ArgMin(0), (t(3, dtype=BOOL),), "operand is bool[3], wanted numbers"),
    (reduce.CumSum(0), (t(N),), "axis 0 of f32[n] counts batch rows and cannot be summed up element by element"),
    (
        contraction.Dot(contract=((1,), (0,))),
        (t(32, 2704), t(2705, 10)),
        "inner dimensions differ: f32[32,2704] has 2704, f32[2705,10] has 2705",
    ),
    (
        contraction.Dot(contract=((0,), (0,))),
        (t(N, 5), t(6, 5)),
        "inner dimensions differ: f32[n,5] has n, f32[6,5] has 6",
    ),
    (contraction.Dot(((0,), (0,))), (t(2, 5), t(3, 5)), "batch dimensions differ: f32[2,5] has 2, f32[3,5] has 3"),
    (
        contraction.Dot(contract=((2,), (0,))),
        (t(3, 5), t(5, 7)),
        "axes (2,) of f32[3,5] must lie from 0 to 1 and not repeat",
    ),
    (contraction.Dot(contract=((0, 1), (0,))), (t(3, 5), t(3)), "inner axes (0, 1) and (0,) do not pair up"),
    (contraction.Dot(), (t(3), t(5, dtype=F64)), "operand dtypes differ: f32[3] and f64[5]"),
    (CONV, (t(2, 5, 3), t(3, 4, 7)), "channels differ: f32[2,5,3] has 3, f32[3,4,7]: w wants 4 for each of 1 groups"),
    (CONV, (t(2, 5, 5, 3), t(3, 3, 7)), "ranks differ or are below 3: x is f32[2,5,5,3], w is f32[3,3,7]"),
    (CONV, (t(2, 5, 3), t(6, 3, 7)), "window spans 6 elements, the padded input has 5"),
    (
        CONV,
        (t(2, 5, 3, dtype=I32), t(3, 3, 7, dtype=I32)),
        "operand dtypes: x is i32[2,5,3], w is i32[3,3,7]; wanted one",
    ),
    (
        conv.Conv((1, 1), ((0, 0),), (1,)),
        (t(2, 5, 3), t(3, 3, 7)),
        "strides (1, 1) has 2 values, wanted 1, one per spatial",
    ),
    (
        conv.Conv((0,), ((0, 0),), (1,)),
        (t(2, 5, 3), t(3, 3, 7)),
        "window of size 3, stride 0, dilation 1: wanted at least 1",
    ),
    (conv.Conv((1,), ((-1, 0),), (1,)), (t(2, 5, 3), t(3, 3, 7)), "padding (-1, 0) must not be negative"),
    (
        conv.ConvInputGrad((2, 5, 3), (1,), ((0, 0),), (1,)),
        (t(2, 4, 7), t(3, 3, 7)),
        "dy is f32[2,4,7], a convolution of f32[2,5,3] with f32[3,3,7] gives f32[2,3,7]",
    ),
    (
        conv.ConvFilterGrad((3, 3, 7), (1,), ((0, 0),), (1,)),
        (t(2, 5, 3), t(2, 3, 8)),
        "dy is f32[2,3,8], a convolution of f32[2,5,3] with f32[3,3,7] gives f32[2,3,7]",
    ),
    (pool.MaxPool((2,), (2,), ((0, 0),)), (t(2, 5),), "x is f32[2,5], wanted rank 3 or more"),
    (pool.MaxPool((6,), (2,), ((0, 0),)), (t(2, 5, 3),), "window spans 6 elements, the padded input has 5"),
    (
        pool.MaxPoolGrad((2, 5, 3), (2,), (2,), ((0, 0),)),
        (t(2, 2, 3), t(2, 2, 3, dtype=I32)),
        "position is i32[2,2,3], wanted u8[2,2,3]",
    ),
    (
        pool.SumPool((2, 2), (2, 2), ((0, 0),) * 2),
        (t(2, 5, 3),),
        "window (2, 2) has 2 values, wanted 1, one per spatial axis",
    ),
    (pool.SumPool((2,), (2,), ((0, 0),)), (t(2, 5, 3, dtype=I32),), "x is i32[2,5,3], wanted f32 or f64"),
    (
        pool.SumPoolGrad((2, 5, 3), (2,), (2,), ((0, 0),)),
        (t(2, 3, 3),),
        "dy is f32[2,3,3], pooling f32[2,5,3] gives f32[2,2,3]",
    ),
    (index.Gather(), (t(5, 3), t(2)), "ids are f32[2], wanted integers"),
    (index.Gather(), (t(), t(2, dtype=I32)), "table is f32[], wanted at least one row along axis 0"),
    (index.Gather(), (t(N, 3), t(2, dtype=I32)), "axis 0 of f32[n,3] counts batch rows and cannot be indexed"),
    (index.Gather(1), (t(5, 3), t(4, 2, dtype=I32)), "the first 1 axes differ: table is f32[5,3], ids are i32[4,2]"),
    (index.Gather(1), (t(5), t(5, dtype=I32)), "table is f32[5], wanted at least one row along axis 1"),
    (
        index.ScatterAdd((5, 3)),
        (t(2, dtype=I32), t(2, 4)),
        "updates are f32[2,4], wanted f32[2,3] for ids i32[2] into f32[5,3]",
    ),
    (
        index.AddRows(),
        (t(5, 3), t(2, dtype=I32), t(2, 3, dtype=DType.F64)),
        "table is f32[5,3], updates are f64[2,3]: wanted one dtype",
    ),
    (random.RandomBits((3,)), (t(2),), "key is f32[2], wanted u32[2]"),
    (random.RandomBits((2**17, 2**16)), (t(2, dtype=U32),), "shape (131072, 65536) has more than 2^32 elements"),
    (winograd.TransformTiles("filter"), (t(8, 5),), "operand is f32[8,5], wanted 3 * 3 elements along axis 0"),
    (winograd.TilesIn("input", (1, 1), (2, 3)), (t(N, 8, 12),), "operand is f32[n,8,12], wanted"),
    (
        winograd.TilesIn("input", (1, 1), (2, 3)),
        (t(N, 8, 12, 5, 2),),
        "operand is f32[n,8,12,5,2], wanted x[N, H, W, C]",
    ),
    (
        winograd.TilesOut("output", (8, 11)),
        (t(35, N, 2, 3, 5),),
        "operand is f32[35,n,2,3,5], wanted x[36, N, tiles, tiles, C]",
    ),
    (winograd.TilesOut("output", (8, 13)), (t(36, N, 2, 3, 5),), "2 x 3 tiles of 4 x 4 do not just cover (8, 13)"),
    (ATTENTION, (t(N, 5, 2), *KEYS), "q is f32[n,5,2], wanted floats [N, steps, heads, width] of one dtype"),
    (ATTENTION, (t(N, 5, 2, 4), *KEYS), "they do not fit together"),
    (ATTENTION, (t(N, 5, 2, 3), *KEYS, t(N, 6)), "seen is f32[n,6], wanted bool[n,7]"),
    (
        attention.AttentionGrad(0.5),
        (t(N, 5, 2, 3), *KEYS, t(N, 5, 2, 3), t(N, 2, 5), t(N, 2, 5), t(N, 5, 2)),
        "g, top, total and delta are f32[n,5,2,3], f32[n,2,5], f32[n,2,5], f32[n,5,2]; wanted",
    ),
]


@pytest.mark.parametrize(("op", "types", "text"), ERRORS, ids=lambda v: v.mnemonic if isinstance(v, Op) else "")
def test_wrong_operands_are_refused(op: Op, types: Types, text: str) -> None:
    b = Builder()
    with b.layer("net/layer1"), pytest.raises(ShapeError) as caught:
        b.add_all(op, *(b.input(f"x{i}", type) for i, type in enumerate(types)))
    assert str(caught.value).startswith(f"{op.mnemonic} (layer net/layer1): ") and text in str(caught.value)


@pytest.mark.parametrize("cls", [c for c in OPS if issubclass(c, Pointwise)], ids=lambda cls: cls.mnemonic)
def test_pointwise_ops_refuse_other_dtypes(cls: type[Pointwise]) -> None:
    count = nests.ARITY.get(cls().kind, 1)
    count = 1 if cls is elementwise.Relu else count
    for dtype in DType:
        types = (TensorType((3,), dtype),) * count
        if dtype in cls.takes:
            assert cls().infer(*types)[0].shape == (3,)
        else:
            with pytest.raises(ShapeError, match=f"operand dtype is {dtype.value}, wanted "):
                cls().infer(*types)


def test_every_op_that_can_refuse_has_an_error_test() -> None:
    cannot = {source.Constant, source.RowCount, elementwise.Cast}
    tested = {type(op) for op, _, _ in ERRORS}
    assert {cls for cls in OPS if not issubclass(cls, Pointwise)} - cannot <= tested
    assert issubclass(elementwise.Cast, Elementwise)
