"""Winograd's filtering in place of 3x3 convolutions and their gradients, where it is faster.

A convolution becomes the transformed input (36 matrices of tiles by channels) times the transformed filter (36 matrices
of channels by filters), transformed back: a quarter of the multiplications, more memory traffic. The gradients go the
same way; a filter's gradient reads the transformed input that the forward pass made. Results differ from the direct
convolution's by rounding: about 1e-6 of the largest sum in f32, some ten times a direct convolution's own error. Other
dtypes and small convolutions stay direct.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Parameter, Role, Value
from graphc.ir.remarks import remark
from graphc.ir.rewrite import rewrite
from graphc.ir.types import DType, Shape
from graphc.primitives import functions as fn
from graphc.primitives.conv import Conv, ConvFilterGrad, ConvInputGrad, Convolution
from graphc.primitives.winograd import STEP, TilesIn, TilesOut, TransformTiles

POINTS = 36  # products of a tile
OUTPUTS = STEP * STEP  # and what they give
CHANNELS = 32  # with fewer input or output channels there is less to gain
RATE = 250e9  # operations per second of a matrix product (two cores)
BANDWIDTH = 50e9  # bytes per second between kernels, through a cache that all cores share
CACHE = 24 << 20  # bytes that it holds
BEYOND = 20e9  # bytes per second between kernels where it does not hold them
FILTER_BYTES = 16 << 20  # a transformed filter larger than this costs more memory than it is worth
PANEL = 32  # filters side by side in the transformed filter: two vectors of AVX-512, four of AVX2
GAIN = 1.15  # by how much it must be faster in the model


def winograd(graph: Graph) -> Graph:
    """Replaces the 3x3 convolutions of f32 for which the model says that it pays."""
    kept = set(graph.inputs_of(Role.PARAM)) - {state for state, _ in graph.updates}

    def rule(b: Builder, node: Node) -> Sequence[Value] | None:
        if not isinstance(node.op, Convolution) or not _is_plain(node):
            return None
        x, _, y = _shapes(node)
        is_kept = isinstance(node.inputs[1].op, Parameter) and node.inputs[1] in kept
        if not _pays(x, y, is_kept):
            return None
        remark("winograd", node, "36 products a tile of 16 results in place of 144")
        return (_replacement(b, node),)

    return rewrite(graph, rule)


def _is_plain(node: Node) -> bool:
    op = node.op
    assert isinstance(op, Convolution)
    x, w, _ = _shapes(node)
    return (
        len(x) == 4
        and w[:2] == (3, 3)
        and op.strides == op.dilation == (1, 1)
        and op.groups == 1
        and all(low <= 2 and high <= 2 for low, high in op.padding)
        and node.types[0].dtype is DType.F32
        and min(int(d) for d in w[2:]) >= CHANNELS
    )


def _shapes(node: Node) -> tuple[Shape, Shape, Shape]:
    """The shapes of x, w and y of the convolution that the node is or is a gradient of."""
    (first, second), result = node.inputs, node.types[0].shape
    match node.op:
        case ConvInputGrad():
            return result, second.shape, first.shape
        case ConvFilterGrad():
            return first.shape, result, second.shape
    return first.shape, second.shape, result


def _pays(x: Shape, y: Shape, is_kept: bool) -> bool:
    n, channels, filters = int(x[0]), int(x[3]), int(y[3])
    if 4 * POINTS * channels * filters > FILTER_BYTES:
        return False
    tiles = n * _tiles(y[1]) * _tiles(y[2])
    direct = 2.0 * 9 * n * y[1] * y[2] * channels * filters / RATE
    moved = POINTS * (2 * tiles * (channels + filters) + (1 if is_kept else 2) * channels * filters)
    products = 2.0 * POINTS * tiles * channels * filters / RATE
    bandwidth = BANDWIDTH if 4 * POINTS * tiles * (channels + filters) <= CACHE else BEYOND
    return direct > GAIN * (products + 4.0 * moved / bandwidth)


def _tiles(size: int) -> int:
    return math.ceil(size / STEP)


def _replacement(b: Builder, node: Node) -> Value:
    op, (first, second) = node.op, node.inputs
    assert isinstance(op, Convolution)
    low = (op.padding[0][0], op.padding[1][0])
    if isinstance(op, ConvFilterGrad):
        return _filter_gradient(b, first, second, low)
    filters = fn.reshape(b, second, (9, *second.shape[2:]))
    if isinstance(op, Conv):
        filters = b.add(TransformTiles("filter"), _in_panels(b, filters, 2))
        return _filtered(b, first, filters, low, node.types[0].shape)
    filters = b.add(TransformTiles("flipped"), _in_panels(b, filters, 1))
    return _filtered(b, first, filters, (2 - low[0], 2 - low[1]), node.types[0].shape)


def _filtered(b: Builder, x: Value, w: Value, low: tuple[int, int], result: Shape) -> Value:
    """The convolution of x[N, H, W, C] with a transformed filter w[36, panels, C, panel]."""
    tiles = b.add(TilesIn("input", low, (_tiles(result[1]), _tiles(result[2]))), x)
    products = fn.dot(b, tiles, w, ((4,), (2,)), ((0,), (0,)))
    products = fn.reshape(b, products, (*products.shape[:4], result[3]))
    return b.add(TilesOut("output", (result[1], result[2])), products)


def _in_panels(b: Builder, w: Value, axis: int) -> Value:
    """w[9, C, F] as [9, panels, other axis, panel] for panels of `axis`: the products read each from end to end."""
    count, panel = divmod(w.shape[axis], PANEL)
    count, panel = (1, w.shape[axis]) if panel else (count, PANEL)
    shape = [*w.shape[:axis], count, panel, *w.shape[axis + 1 :]]
    return fn.transpose(b, fn.reshape(b, w, shape), (0, 1, 3, 2) if axis == 1 else (0, 2, 1, 3))


def _filter_gradient(b: Builder, x: Value, dy: Value, low: tuple[int, int]) -> Value:
    """[3, 3, C, F] from x[N, H, W, C] and dy: the sum over tiles is inside the products."""
    count = (_tiles(dy.shape[1]), _tiles(dy.shape[2]))
    tiles, gradients = b.add(TilesIn("input", low, count), x), b.add(TilesIn("gradient", (0, 0), count), dy)
    products = fn.dot(b, tiles, gradients, ((1, 2, 3), (1, 2, 3)), ((0,), (0,)))
    taps = b.add(TransformTiles("taps"), products)
    return fn.reshape(b, taps, (3, 3, *taps.shape[1:]))
