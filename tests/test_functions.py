"""The node-building functions against numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir.builder import Builder
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Value
from graphc.ir.types import DType, Rows, ShapeError, TensorType
from graphc.primitives import functions as fn

N = Rows(6)


def run(build: Callable[..., Value], *arrays: Array) -> Array:
    """The value of a function built over inputs that hold these arrays."""
    b = Builder()
    inputs = [b.input(f"x{i}", TensorType(a.shape, DType.of(a.dtype))) for i, a in enumerate(arrays)]
    (result,) = interpret(b.build([build(b, *inputs)]), dict(zip(inputs, arrays, strict=True)))
    return result


def normal(*dims: int, dtype: str = "float64") -> Array:
    return np.asarray(np.random.default_rng(dims).normal(size=dims).astype(dtype))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((5,), (5,)),
        ((3, 5), (5,)),
        ((5,), (5, 7)),
        ((3, 5), (5, 7)),
        ((2, 3, 5), (5, 7)),
        ((3, 5), (2, 5, 7)),
        ((2, 3, 5), (2, 5, 7)),
        ((2, 1, 3, 5), (4, 5, 7)),
        ((1, 3, 5), (2, 5, 7)),
        ((1, 3, 5), (1, 5, 7)),
        ((5,), (2, 5, 7)),
    ],
)
def test_matmul_is_numpys(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    left, right = normal(*x), normal(*y)
    np.testing.assert_allclose(run(fn.matmul, left, right), left @ right, rtol=1e-12)


def test_binary_functions_broadcast_like_numpy() -> None:
    for x, y in [((3, 1), (1, 5)), ((5,), (3, 5)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((1,), (3, 5))]:
        left, right = normal(*x), normal(*y)
        np.testing.assert_array_equal(run(fn.add, left, right), left + right)
    with pytest.raises(ShapeError, match=r"operands do not broadcast: f64\[3\] and f64\[5\], 3 meets 5|5 meets 3"):
        run(fn.add, normal(3), normal(5))


def test_a_number_takes_the_dtype_of_the_value() -> None:
    for dtype in ("float32", "float64", "int32", "uint8"):
        assert run(lambda b, x: fn.mul(b, 2, x), np.ones(3, dtype)).dtype == dtype
    with pytest.raises(ShapeError, match=r"0\.5 is not i32"):
        run(lambda b, x: fn.mul(b, x, 0.5), np.ones(3, np.int32))


def test_reductions_keep_dims_and_take_negative_axes() -> None:
    x = normal(3, 1, 5)
    for axes in (None, 0, -1, (0, 2), (1,), (0, 1)):
        for keepdims in (False, True):
            got = run(lambda b, v, a=axes, k=keepdims: fn.mean(b, v, a, k), x)
            np.testing.assert_allclose(got, x.mean(axes, keepdims=keepdims), rtol=1e-12)


def test_mean_over_rows_divides_by_the_runtime_rows() -> None:
    b = Builder()
    x = b.input("x", TensorType((N, 5)))
    fn.mean(b, x, (0, 1))
    assert [node.op.mnemonic for node in b.nodes] == ["row_count", "constant", "mul", "sum", "div"]


def test_softmax_family() -> None:
    x = normal(3, 5) * 100
    powers = np.exp(x - x.max(1, keepdims=True))
    want = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(run(fn.softmax, x), want, rtol=1e-12)
    np.testing.assert_allclose(run(fn.log_softmax, x), np.log(want), rtol=1e-9)
    np.testing.assert_allclose(run(lambda b, v: fn.logsumexp(b, v, 1), x), x.max(1) + np.log(powers.sum(1)), rtol=1e-12)
    assert run(fn.logsumexp, np.full(3, -np.inf)) == -np.inf


def test_softmax_has_no_reshape_in_the_way() -> None:
    """Kept dimensions are views, which fuse; a reshape would cut the kernel in two."""
    b = Builder()
    fn.softmax(b, b.input("x", TensorType((N, 5))))
    assert "reshape" not in {node.op.mnemonic for node in b.nodes}


def test_reshape_finds_the_rows() -> None:
    b = Builder()
    x = b.input("x", TensorType((N, 5, 4)))
    for target, want in [((-1, 20), "f32[n,20]"), ((6, -1), "f32[n,20]"), ((-1,), "f32[20n]"), ((30, 4), "f32[5n,4]"),
                         ((1, N, 20), "f32[1,n,20]")]:  # fmt: skip
        assert str(fn.reshape(b, x, target).type) == want
    with pytest.raises(ShapeError, match="120 elements, which do not fit"):
        fn.reshape(b, x, (-1, 7))


def test_one_hot_of_ids_outside_is_zero() -> None:
    ids = np.array([[0, 3], [-1, 2]], np.int32)
    np.testing.assert_array_equal(run(lambda b, v: fn.one_hot(b, v, 3), ids), (ids[..., None] == np.arange(3)) * 1.0)


def test_avg_pool_with_padding_counts_real_elements() -> None:
    x = np.ones((2, 5, 7, 3), np.float32)
    for strides, padding in [((1, 1), "same"), ((2, 3), "same"), ((2, 2), "valid")]:
        y = run(lambda b, v, s=strides, p=padding: fn.avg_pool(b, v, (3, 2), s, p), x)
        np.testing.assert_allclose(y, np.ones_like(y), rtol=1e-6)
        assert y.dtype == np.float32


def test_same_padding_is_tensorflows() -> None:
    for size, stride in [(7, 1), (7, 2), (8, 3), (5, 5)]:
        y = run(lambda b, x, w, s=stride: fn.conv(b, x, w, (s,), "same"), normal(2, size, 3), normal(4, 3, 5))
        assert y.shape == (2, -(-size // stride), 5)
    with pytest.raises(ValueError, match="padding 'full' is unknown"):
        run(lambda b, x, w: fn.conv(b, x, w, padding="full"), normal(2, 7, 3), normal(4, 3, 5))


def test_random_uniform_is_in_range_and_uniform() -> None:
    key = np.array([7, 0], np.uint32)
    for dtype in (DType.F32, DType.F64):
        x = run(lambda b, k, d=dtype: fn.random_uniform(b, k, (100, 101), d), key)
        assert x.dtype == dtype.numpy and x.min() >= 0 and x.max() < 1
        assert abs(x.mean() - 0.5) < 0.01 and abs(x.var() - 1 / 12) < 0.002


def test_concat_stack_and_dilate() -> None:
    x, y = normal(3, 5), normal(3, 5)
    np.testing.assert_array_equal(run(lambda b, u, v: fn.stack(b, [u, v], -1), x, y), np.stack([x, y], -1))
    want = np.zeros((5, 13))
    want[::2, ::3] = x
    np.testing.assert_array_equal(run(lambda b, v: fn.dilate(b, v, (2, 3)), x), want)
