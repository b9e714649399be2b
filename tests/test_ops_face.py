"""`graphc.ops` is `keras.ops`: every case gives what Keras recorded, on arrays, on KerasTensors and in graphs.

Values are compared with `data/ops_reference.npz`, which real Keras wrote (`ops_reference.py`).
"""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ops_reference
import pytest
from ops_cases import CASES, Array, Case
from ops_reference import REFERENCE, call, unpack

import graphc
from graphc import ops
from graphc.compiler import compile_graph
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Value
from graphc.ir.types import Rows
from graphc.names import keras_names
from graphc.tensor import KerasTensor, Tensor
from graphc.tracing import Tracer, map_leaves, tracing
from passes.autodiff import gradients

# Names of priority A: what users expect whole.
NAMES = [
    "array", "convert_to_tensor", "convert_to_numpy", "cast", "shape", "zeros", "ones", "full", "eye", "arange",
    "linspace", "zeros_like", "ones_like", "full_like", "reshape", "expand_dims", "squeeze", "transpose",
    "moveaxis", "swapaxes", "concatenate", "stack", "unstack", "split", "tile", "repeat", "broadcast_to", "flip",
    "roll", "pad", "ravel", "add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "mod", "power",
    "negative", "abs", "absolute", "sign", "square", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p",
    "log2", "log10", "sin", "cos", "tan", "tanh", "sinh", "cosh", "arcsin", "arccos", "arctan", "arctan2", "floor",
    "ceil", "round", "trunc", "clip", "maximum", "minimum", "erf", "equal", "not_equal", "greater", "greater_equal",
    "less", "less_equal", "logical_and", "logical_or", "logical_not", "logical_xor", "where", "isnan", "isinf",
    "isfinite", "any", "all", "isclose", "sum", "mean", "max", "min", "prod", "var", "std", "argmax", "argmin",
    "cumsum", "cumprod", "logsumexp", "norm", "average", "count_nonzero", "amax", "amin", "matmul", "dot", "einsum",
    "tensordot", "outer", "inner", "take", "take_along_axis", "get_item", "one_hot", "top_k", "sort", "argsort",
    "scatter", "scatter_update", "slice", "slice_update", "tril", "triu", "diag", "relu", "softmax", "log_softmax",
    "sigmoid", "log_sigmoid", "silu", "gelu", "elu", "selu", "softplus", "softsign", "leaky_relu", "relu6",
    "hard_sigmoid", "hard_silu", "conv", "conv_transpose", "depthwise_conv", "separable_conv", "max_pool",
    "average_pool", "batch_normalization", "layer_normalization", "rms_normalization", "normalize", "moments",
    "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "dot_product_attention",
    "multi_hot", "stop_gradient", "cond", "while_loop", "scan", "fori_loop", "map", "vectorized_map",
]  # fmt: skip
# Ops that have another way for arrays, so that only a traced graph shows what they are in a model.
TRACED = [
    "angle", "argsort", "bincount", "cholesky", "conj", "conjugate", "det", "digitize", "fft", "fft2", "gcd",
    "ifft2", "imag", "inv", "irfft", "isin", "lcm", "logdet", "median", "nanmedian", "nanpercentile", "nanquantile",
    "norm", "percentile", "qr", "quantile", "real", "rfft", "scatter_update", "searchsorted", "segment_max",
    "segment_min", "segment_prod", "slogdet", "solve", "solve_triangular", "sort", "top_k", "view",
]  # fmt: skip
# Cases that are run as machine code too: one of every new way of computing.
NATIVE = [
    "argsort#1", "bitwise_right_shift#0", "cbrt#0", "correlate#1", "cumprod#0", "det#0", "dot_product_attention#3",
    "einsum#13", "erfc#0", "fold#0", "hypot#12", "image.affine_transform#8", "image.resize#12", "kron#0",
    "nanquantile#1", "nextafter#0", "saturate_cast#2", "scatter_update#2", "segment_max#0", "slice_update#1",
    "sort#1", "stft#0", "take_along_axis#0",
]  # fmt: skip
# Keras on JAX works in 32 bits; so do these tests
WANTED = unpack(REFERENCE)
BY_NAME = {
    name: list(cases) for name, cases in itertools.groupby(sorted(CASES, key=lambda c: c.name), lambda c: c.name)
}
BY_KEY = {case.key: case for case in CASES}
# Shapes that follow from values, which only arrays have
UNTRACEABLE = {"bincount#0", "ctc_decode#2", "eigh#0", "lstsq#0", "lu_factor#0", "matrix_rank#0", "nonzero#0", "pinv#0",
               "svd#0", "unique#0", "unique#1", "repeat#2"} | {f"norm#{i}" for i in (11, 12, 17, 18, 19, 20)}  # fmt: skip


def assert_equal(found: Sequence[Array], case: Case, least: float = 0.0) -> None:
    wanted = WANTED[case.key]
    assert len(found) == len(wanted), case.key
    tolerance = max(case.tolerance, least)
    for got, want in zip(found, wanted, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype), case.key
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=case.key)


def trace(function: Callable[..., Any], args: Any, kwargs: Any, rows: bool = False) -> tuple[Graph, list[Value]]:
    """(the graph of a call, its inputs, one for each array); rows: the first axis of every array counts batch rows."""
    tracer = Tracer(Builder("case"))
    inputs: list[Value] = []

    def feed(array: Array) -> Tensor:
        shape = (Rows(array.shape[0]), *array.shape[1:]) if rows else array.shape
        inputs.append(tracer.input("x", shape, array.dtype).value)
        return Tensor(inputs[-1])

    with tracing(tracer):
        result = function(*map_leaves(feed, np.ndarray, args), **map_leaves(feed, np.ndarray, kwargs))
        outputs: list[Tensor] = []
        map_leaves(outputs.append, Tensor, result)
    return tracer.builder.build([tensor.value for tensor in outputs]), inputs


def arrays_of(case: Case) -> list[Array]:
    found: list[Array] = []
    map_leaves(found.append, np.ndarray, (case.args, case.kwargs))
    return found


def function_of(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = functools.reduce(getattr, name.split("."), ops)  # type: ignore[assignment]
    return found


# ---- names


def test_every_name_of_priority_a_is_there() -> None:
    assert [name for name in NAMES if not callable(getattr(ops, name, None))] == []


def test_every_public_name_of_keras_is_there() -> None:
    for module, place in {
        "keras.ops": ops, "keras.ops.numpy": ops.numpy, "keras.ops.nn": ops.nn, "keras.ops.image": ops.image,
        "keras.ops.linalg": ops.linalg, "keras.random": graphc.random, "keras.tree": graphc.tree,
        "keras.backend": graphc.backend, "keras.config": graphc.config,
    }.items():  # fmt: skip
        missing = [name for name in sorted(keras_names()[module]) if not hasattr(place, name)]
        assert missing == [], module


def test_nodes_have_the_names_of_their_functions() -> None:
    x = KerasTensor((None, 3))
    calls = [ops.where(x > 0, x, 0.0), ops.convert_to_tensor(x, "int32"), ops.argsort(x), ops.conj(x)]
    functions = [call._keras_history.operation.function.__name__ for call in calls]
    assert functions == ["where", "cast", "argsort", "conjugate"]


def test_lists_have_the_dtypes_of_their_numbers() -> None:
    assert ops.sort([3, 1, 2]).dtype == ops.unique([3, 1]).dtype == "int32"
    assert ops.sort([3.5, 1]).dtype == ops.median([3, 1]).dtype == ops.inv([[2.0]]).dtype == "float32"
    assert ops.sort(np.array([3, 1])).dtype == "int64"


def test_both_forms_of_a_name_are_one_function() -> None:
    assert ops.nn.relu is ops.relu and ops.numpy.add is ops.add and ops.linalg.norm is ops.norm
    assert ops.nn.conv is ops.conv and ops.numpy.sort is ops.sort and callable(ops.image.resize)


def test_the_reference_has_all_cases() -> None:
    """Keras refuses some integers; everything else was recorded, and nothing is left over from before."""
    missing = {case.key for case in CASES} - set(WANTED)
    assert missing == {"round#2", "rsqrt#1", *(f"sigmoid#{i}" for i in range(1, 5))}
    assert set(WANTED) <= set(BY_KEY)


@pytest.mark.long
def test_keras_gives_the_reference_still(tmp_path: Path) -> None:
    """The stored results are those of the Keras that is installed; it needs some two minutes."""
    found = tmp_path / "found.npz"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, ops_reference.__file__, str(found)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"Keras on JAX did not run; pip install -e .[test] brings it\n{done.stderr}"
    results = unpack(found)
    assert list(results) == list(WANTED)
    for key, arrays in results.items():
        assert_equal(arrays, BY_KEY[key])


# ---- against Keras


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", list(BY_NAME))
def test_arrays_give_what_keras_gives(name: str) -> None:
    for case in BY_NAME[name]:
        if case.key in WANTED:
            assert_equal(call(graphc, case), case)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_symbolic_tensors_have_the_shapes_and_dtypes_of_keras(name: str) -> None:
    for case in BY_NAME[name]:
        if case.key not in WANTED or case.key in UNTRACEABLE or not arrays_of(case) or name == "size":
            continue

        def symbol(array: Array) -> KerasTensor:
            return KerasTensor(array.shape, array.dtype.name)

        args, kwargs = (map_leaves(symbol, np.ndarray, part) for part in (case.args, case.kwargs))
        found: list[KerasTensor] = []
        map_leaves(found.append, KerasTensor, function_of(name)(*args, **kwargs))
        assert [(t.shape, t.dtype) for t in found] == [(w.shape, w.dtype.name) for w in WANTED[case.key]], case.key


@pytest.mark.parametrize("name", TRACED)
def test_graphs_give_what_keras_gives(name: str) -> None:
    ran = 0
    for case in BY_NAME[name]:
        if case.key in UNTRACEABLE or not arrays_of(case):
            continue
        graph, inputs = trace(function_of(name), case.args, case.kwargs)
        assert_equal(interpret(graph, dict(zip(inputs, arrays_of(case), strict=True))), case, 1e-5)
        ran += 1
    assert ran


@pytest.mark.parametrize("key", NATIVE)
def test_machine_code_gives_what_keras_gives(key: str) -> None:
    case = BY_KEY[key]
    graph, _ = trace(function_of(case.name), case.args, case.kwargs)
    assert_equal(compile_graph(graph).run(arrays_of(case)), case, 1e-5)


@pytest.mark.parametrize("key", sorted(UNTRACEABLE))
def test_what_depends_on_values_is_refused_in_graphs(key: str) -> None:
    case = BY_KEY[key]
    args, kwargs = (
        map_leaves(lambda a: KerasTensor(a.shape, a.dtype.name), np.ndarray, part) for part in (case.args, case.kwargs)
    )
    with pytest.raises(NotImplementedError, match=case.name):
        function_of(case.name)(*args, **kwargs)


# ---- long axes and short batches


def test_long_axes_are_sorted_by_a_network(rng: np.random.Generator) -> None:
    """Stable, with NaN last, and with keys of every sign."""
    x = rng.integers(-500, 500, (2, 1100)).astype("float32")
    x[0, 7], x[1, 9], x[1, 11], x[0, 20] = np.nan, -np.inf, np.inf, -0.0
    for array in (x, rng.integers(0, 2**32, (2, 1100), dtype="uint32"), rng.integers(-9, 9, (2, 1100), dtype="int32")):
        graph, inputs = trace(ops.argsort, (array,), {})
        assert "sum" not in {node.op.mnemonic for node in graph.nodes}
        (order,) = interpret(graph, dict(zip(inputs, [array], strict=True)))
        np.testing.assert_array_equal(order, np.argsort(array, -1, kind="stable"))


def test_orders_of_64_bits(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 70))
    x[1, 3] = np.nan
    for array in (x, np.nan_to_num(x * 1e15).astype("int64"), rng.integers(0, 2**64, (3, 70), dtype="uint64")):
        graph, inputs = trace(ops.sort, (array,), {})
        (found,) = interpret(graph, dict(zip(inputs, [array], strict=True)))
        np.testing.assert_array_equal(found, np.sort(array, -1))


SHORT: list[tuple[str, Callable[..., Any], list[Array]]] = [
    ("sort", ops.sort, [np.random.default_rng(1).normal(size=(5, 7)).astype("float32")]),
    ("quantile", lambda x: ops.quantile(x, 0.3, axis=1), [np.random.default_rng(2).normal(size=(5, 7)).astype("float32")]),
    (
        "take_along_axis",
        lambda x, i: ops.take_along_axis(x, i, 1),
        [
            np.random.default_rng(3).normal(size=(5, 7, 2)).astype("float32"),
            np.random.default_rng(3).integers(0, 7, (5, 3, 2)).astype("int32"),
        ],
    ),
    (
        "affine_transform",
        lambda x, t: ops.image.affine_transform(x, t, fill_mode="reflect"),
        [
            np.random.default_rng(4).normal(size=(5, 6, 7, 2)).astype("float32"),
            np.tile(np.array([0.9, 0.2, 0.5, -0.2, 1.1, 1, 0, 0], "float32"), (5, 1)),
        ],
    ),
    ("segment_sum", lambda x: ops.segment_sum(x, ops.cast(x[:, 0] > 0, "int32"), 3), [np.ones((5, 4), "float32")]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arrays"), [row[1:] for row in SHORT], ids=[row[0] for row in SHORT])
def test_short_batches(function: Callable[..., Any], arrays: list[Array]) -> None:
    """Three of five rows give what three rows alone give."""
    graph, _ = trace(function, tuple(arrays), {}, rows=True)
    few = [array[:3] for array in arrays]
    (found,) = compile_graph(graph).run(few, rows=3)
    np.testing.assert_allclose(found, function(*few), rtol=1e-5, atol=1e-6)


# ---- gradients


def spread(*dims: int, low: float = -2.0, high: float = 2.0) -> Array:
    return np.asarray(np.random.default_rng(sum(dims)).uniform(low, high, dims))


LINE, TABLE, MATRIX = spread(7), spread(3, 5), spread(4, 4) + 4 * np.eye(4)
POSITIVE = MATRIX @ MATRIX.T
PLACES = np.array([[0, 1], [2, 3]], "int32")
DIFFERENTIABLE: dict[str, tuple[Callable[..., Any], list[Array]]] = {
    "adaptive_average_pool": (lambda x: ops.adaptive_average_pool(x, 3), [spread(2, 7, 4)]),
    "adaptive_max_pool": (lambda x: ops.adaptive_max_pool(x, 3), [spread(2, 7, 4)]),
    "affine_transform": (
        lambda x, t: ops.image.affine_transform(x, t),
        [spread(2, 5, 6, 3), np.array([0.9317, 0.2113, 0.5371, -0.2339, 1.1303, 0.7193, 0, 0])],
    ),
    "cbrt": (ops.cbrt, [spread(7, low=0.3)]),
    "cholesky": (ops.cholesky, [POSITIVE]),
    "correlate": (lambda x, y: ops.correlate(x, y, "full"), [LINE, spread(3)]),
    "cross": (ops.cross, [spread(4, 3), spread(5, 3)[:4]]),
    "ctc_loss": (
        lambda x: ops.ctc_loss(np.array([[1, 2, 2]], "int32"), x, np.array([3], "int32"), np.array([6], "int32")),
        [spread(1, 7, 4)],
    ),
    "cumprod": (lambda x: ops.cumprod(x, 1), [TABLE]),
    "det": (ops.det, [MATRIX]),
    "dot_product_attention": (ops.dot_product_attention, [spread(2, 3, 2, 4), spread(2, 5, 2, 4), spread(2, 5, 2, 6)]),
    "einsum": (lambda x, y, z: ops.einsum("ab,bcd,dd->ca", x, y, z), [TABLE, spread(5, 2, 4), MATRIX]),
    "erfc": (ops.erfc, [spread(7, low=-3, high=3)]),
    "fold": (lambda x: ops.fold(x, (5, 4), 2), [spread(1, 12, 12)]),
    "gaussian_blur": (lambda x: ops.image.gaussian_blur(x, (3, 5)), [spread(2, 5, 6, 3)]),
    "hypot": (ops.hypot, [LINE, spread(7, low=3, high=5)]),
    "i0": (ops.i0, [spread(7, low=0.5, high=12)]),
    "inv": (ops.inv, [MATRIX]),
    "irfft": (lambda x, y: ops.irfft((x, y)), [spread(2, 5), spread(2, 5)]),
    "kron": (ops.kron, [spread(2, 3), spread(4, 2)]),
    "logaddexp": (ops.logaddexp, [LINE, spread(7, low=3, high=5)]),
    "map_coordinates": (lambda x: ops.image.map_coordinates(x, spread(2, 6), 1, "mirror"), [TABLE]),
    "median": (lambda x: ops.median(x, 1), [TABLE]),
    "nanvar": (lambda x: ops.nanvar(x, 1), [TABLE]),
    "norm": (lambda x: ops.norm(x, 3, axis=1), [TABLE]),
    "qr": (ops.qr, [spread(4, 3)]),
    "quantile": (lambda x: ops.quantile(x, [0.21, 0.83], axis=0), [TABLE]),
    "resize": (lambda x: ops.image.resize(x, (4, 9), "bicubic", antialias=True), [spread(2, 5, 6, 3)]),
    "rgb_to_hsv": (ops.image.rgb_to_hsv, [spread(2, 3, 3, low=0.1, high=0.9)]),
    "rms_normalization": (ops.rms_normalization, [TABLE, spread(5)]),
    "roll": (lambda x: ops.roll(x, (1, 2), (0, 1)), [TABLE]),
    "scatter_update": (lambda x, u: ops.scatter_update(x, PLACES, u), [TABLE, spread(2)]),
    "segment_max": (lambda x: ops.segment_max(x, np.array([0, 1, 0], "int32"), 2), [TABLE]),
    "slice_update": (lambda x, u: ops.slice_update(x, (1, 2), u), [TABLE, spread(2, 3)]),
    "slogdet": (lambda x: ops.slogdet(x)[1], [MATRIX]),
    "solve": (ops.solve, [MATRIX, spread(4, 2)]),
    "sort": (ops.sort, [TABLE]),
    "sparsemax": (ops.sparsemax, [TABLE]),
    "ssim": (lambda x, y: ops.image.ssim(x, y, filter_size=3), [spread(1, 5, 6, 2), spread(1, 6, 6, 2)[:, :5]]),
    "stft": (lambda x: ops.stft(x, 4, 2, 5), [spread(2, 11)]),
    "take_along_axis": (lambda x: ops.take_along_axis(x, np.array([[1, 1, 0, 2, 1]], "int32"), 0), [TABLE]),
    "trace": (ops.trace, [TABLE]),
    "unfold": (lambda x: ops.unfold(x, 2, stride=2, padding=1), [spread(2, 3, 5, 4)]),
    "vector index": (lambda x: x[np.array([0, 2]), np.array([[1], [3]])], [TABLE]),
}


@pytest.mark.parametrize("name", list(DIFFERENTIABLE))
def test_gradients_are_central_differences(name: str) -> None:
    """In double precision, along one random direction, of a random projection of the results."""
    function, arrays = DIFFERENTIABLE[name]
    rng = np.random.default_rng(len(name))

    def projected(*tensors: Any) -> Any:
        results = function(*tensors)
        parts = results if isinstance(results, (list, tuple)) else [results]
        return sum(ops.sum(part * np.random.default_rng(5).normal(size=tuple(part.shape))) for part in parts)

    graph, inputs = trace(projected, tuple(arrays), {})
    joint = gradients(graph, graph.outputs[0], inputs)
    _, *slopes = interpret(joint, dict(zip(inputs, arrays, strict=True)))
    way = [rng.normal(size=array.shape) for array in arrays]
    step = 1e-5

    def value(side: float) -> float:
        moved = [array + side * step * d for array, d in zip(arrays, way, strict=True)]
        return float(interpret(graph, dict(zip(inputs, moved, strict=True)))[0])

    want = (value(1) - value(-1)) / (2 * step)
    got = sum(float(np.sum(slope * d)) for slope, d in zip(slopes, way, strict=True))
    assert abs(got - want) <= 1e-6 * max(abs(want), 1.0)
    assert abs(want) > 1e-3, "the test must be able to tell"


# ---- what has no reference


def test_sparsemax_is_the_nearest_distribution() -> None:
    """Keras 3.15 sums up cumulative sums and gets zeros; this is the definition."""
    x = spread(4, 6).astype("float32")
    found = ops.sparsemax(x)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)
    # the nearest point moves every kept element down by the same amount
    for line, result in zip(x, found, strict=True):
        kept = result > 0
        gap = (line - result)[kept]
        np.testing.assert_allclose(gap, gap[0], rtol=1e-5)
        assert np.all(line[~kept] <= gap[0] + 1e-6) and not kept.all()


def test_random_numbers_of_graphs_are_those_of_arrays() -> None:
    x = np.arange(21, dtype="float32").reshape(3, 7)
    draws: tuple[Callable[[Any], Any], ...] = (
        lambda x: graphc.random.randint((3, 7), -5, 17, seed=11) + ops.cast(x * 0, "int32"),
        lambda x: graphc.random.randint((3, 7), 0, 200, "uint8", seed=12) + ops.cast(x * 0, "uint8"),
        lambda x: graphc.random.shuffle(x, 1, seed=13),
        lambda x: graphc.random.categorical(x / 10, 40, seed=14),
    )
    for draw in draws:
        graph, inputs = trace(draw, (x,), {})
        (found,) = interpret(graph, {inputs[0]: x})
        np.testing.assert_array_equal(found, draw(x))


def test_rare_distributions() -> None:
    random = graphc.random
    assert abs(float(np.mean(random.gamma((4000,), 3.0, seed=1))) - 3.0) < 0.1
    assert abs(float(np.mean(random.beta((4000,), 2.0, 6.0, seed=2))) - 0.25) < 0.02
    counts = random.binomial((4000,), 10, 0.3, seed=3)
    assert abs(float(np.mean(counts)) - 3.0) < 0.1 and counts.dtype == np.float32 and counts.max() <= 10
    np.testing.assert_array_equal(random.gamma((5,), 2.0, seed=7), random.gamma((5,), 2.0, seed=7))


def test_functions_of_functions() -> None:
    x = spread(3, 9).astype("float32")
    np.testing.assert_allclose(
        ops.associative_scan(lambda a, b: a + b, x, axis=1), np.cumsum(x, 1), rtol=1e-4, atol=1e-5
    )
    backwards = ops.associative_scan(ops.maximum, x, reverse=True, axis=1)
    np.testing.assert_array_equal(backwards, np.maximum.accumulate(x[:, ::-1], 1)[:, ::-1])
    steps = ops.vectorize(lambda a, b: ops.where(a > b, a - b, a + b))
    np.testing.assert_allclose(steps(x, np.float32(0.5)), np.where(x > 0.5, x - np.float32(0.5), x + np.float32(0.5)))
    identity = ops.custom_gradient(lambda a: (a * 2, lambda upstream: upstream))
    np.testing.assert_array_equal(identity(x), x * 2)
    with pytest.raises(NotImplementedError, match="custom_gradient: <lambda> cannot be part of a graph"):
        identity(KerasTensor((3,)))
    assert ops.dtype(x) == "float32" and ops.dtype(3) == "int32"


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: ops.sort(KerasTensor((None, 3)), axis=0), "sorting along the batch axis is not possible"),
        (lambda: ops.top_k(KerasTensor((2, 3)), 4), "wanted k from 0 to 3, the size of the last axis. Received: k=4"),
        (lambda: ops.quantile(KerasTensor((2, 3)), 0.5, method="magic"), "method 'magic' is unknown"),
        (lambda: ops.einsum("ij,jk->ik", np.ones((2, 3))), "names 2 operands, got 1"),
        (lambda: ops.solve(KerasTensor((2, 3)), KerasTensor((2,))), "solve: wanted square matrices"),
        (lambda: ops.segment_sum(np.ones(3), np.zeros(3, "int32")), "`num_segments` must be set"),
        (lambda: ops.image.resize(np.ones((2, 3)), (4, 5)), "Invalid images rank"),
        (lambda: ops.image.resize(np.ones((2, 3, 1)), (4, 5), "cubic"), "Invalid value for argument `interpolation`"),
        (lambda: ops.image.pad_images(np.ones((2, 3, 1)), 1, 1), "Must specify exactly two of top_padding"),
        (lambda: ops.image.crop_images(np.ones((2, 3, 1)), 1, 1, 2, 1), "target_height must be >= 0"),
        (lambda: ops.pad(np.ones(3), 1, mode="magic"), "mode 'magic' is unknown"),
        (lambda: ops.bitwise_and(np.ones(3, "float32"), 1), "wanted integers or bools"),
        (lambda: ops.rearrange(np.ones((4, 3)), "(a b) c -> a c"), "both sides of .* must have the same names"),
        (lambda: graphc.config.set_backend("jax"), "there is no backend 'jax'"),
    ],
)
def test_errors_say_what_is_wrong(use: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use()
