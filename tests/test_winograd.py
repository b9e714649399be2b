"""Winograd's filtering: what it replaces, how exact it is, and that it shares work between forward and backward."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphc.compiler import compile_graph, gradients
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Role
from graphc.ir.types import DType, Rows, Shape, TensorType
from graphc.options import compile_options
from graphc.primitives import functions as fn
from graphc.primitives.conv import Conv, ConvFilterGrad, ConvInputGrad
from graphc.primitives.sliding import Padding
from passes.manager import run_passes
from passes.pipeline import PIPELINE
from passes.winograd import winograd

SAME: Padding = ((1, 1), (1, 1))
IMAGES: Shape = (Rows(2), 18, 23, 64)
ERROR = 3e-5  # of the largest result, in f32


def convolution(
    kind: str, x: Shape = IMAGES, filters: int = 96, padding: Padding = SAME, dtype: DType = DType.F32
) -> Graph:
    """One convolution, or one of its gradients."""
    how = ((1, 1), padding, (1, 1), 1)
    w = (3, 3, x[3], filters)
    (y,) = Conv(*how).infer(TensorType(x, dtype), TensorType(w, dtype))
    b = Builder(kind)
    if kind == "forward":
        return b.build([b.add(Conv(*how), b.input("x", TensorType(x, dtype)), b.input("w", TensorType(w, dtype)))])
    if kind == "input":
        return b.build([b.add(ConvInputGrad(x, *how), b.input("dy", y), b.input("w", TensorType(w, dtype)))])
    return b.build([b.add(ConvFilterGrad(w, *how), b.input("x", TensorType(x, dtype)), b.input("dy", y))])


def ops_of(graph: Graph) -> Counter[str]:
    return Counter(node.op.mnemonic for node in graph.nodes)


@pytest.mark.parametrize("padding", [SAME, ((0, 0), (0, 0)), ((2, 1), (0, 2))], ids=str)
@pytest.mark.parametrize("kind", ["forward", "input", "filter"])
def test_result_is_that_of_the_direct_convolution(kind: str, padding: Padding) -> None:
    graph = convolution(kind, padding=padding)
    assert "tiles_in" in ops_of(winograd(graph))
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=tuple(map(int, v.shape))).astype(np.float32) for v in graph.inputs]
    (want,) = graph.nodes[0].op.eval(*(a.astype(np.float64) for a in arrays))
    got = compile_graph(graph, compile_options(cache=False))(*arrays)
    assert np.abs(got - want).max() < ERROR * np.abs(want).max()
    exact = compile_graph(graph, compile_options(cache=False, winograd=False))(*arrays)
    assert not np.array_equal(exact, got)
    assert np.abs(exact - want).max() < ERROR / 10 * np.abs(want).max()


def test_a_short_batch_gives_the_same_rows() -> None:
    graph = convolution("forward", (Rows(5), 9, 14, 64))
    rng = np.random.default_rng(4)
    x, w = (rng.normal(size=tuple(map(int, v.shape))).astype(np.float32) for v in graph.inputs)
    run = compile_graph(graph, compile_options(cache=False))
    np.testing.assert_array_equal(run(x[:3], w), run(x, w)[:3])


@pytest.mark.parametrize(
    "graph",
    [
        convolution("forward", filters=16),
        convolution("forward", dtype=DType.F64),
        convolution("forward", (Rows(1), 4, 4, 512), 512),
    ],
    ids=["few channels", "f64", "small image, large filter"],
)
def test_other_convolutions_stay(graph: Graph) -> None:
    assert winograd(graph) is graph


def test_the_filter_gradient_reads_the_tiles_of_the_forward_pass() -> None:
    b = Builder("step")
    x = b.input("x", TensorType((Rows(4), 24, 20, 64)))
    w = b.input("w", TensorType((3, 3, 64, 64)), Role.PARAM)
    y = b.add(Conv((1, 1), SAME, (1, 1)), x, w)
    step = gradients(b.build([fn.mean(b, fn.square(b, y))]), b.nodes[-1].outputs[0], [w, x])
    ops = ops_of(run_passes(step, PIPELINE[:-1]))
    assert ops["tiles_in"] == 3  # x, and dy for each of the two gradients
    assert not ops.keys() & {"conv", "conv_input_grad", "conv_filter_grad"}
