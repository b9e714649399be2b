"""Canonicalization: one form for what can be written in several ways. Keeps gradients, so it may run before autodiff.

Views and reshapes are merged, removed where they do nothing, and moved behind elementwise ops (`passes.outward`);
sums, dots and pools take in what their operand only moves or repeats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op, Value
from graphc.ir.remarks import remark
from graphc.ir.rewrite import rewrite
from graphc.ir.types import Rows
from graphc.primitives import elementwise as ew
from graphc.primitives import functions as fn
from graphc.primitives.contraction import Dot
from graphc.primitives.conv import Conv
from graphc.primitives.pool import MaxPool, MaxPoolGrad
from graphc.primitives.reduce import Max, Min, Prod, Sum
from graphc.primitives.shape import Broadcast, Concat, Flip, Pad, Reshape, Slice, Transpose
from passes.loops import in_bodies
from passes.outward import OUTWARD
from passes.rules import Rules, apply_rules, broadcast_in_any_order, merge_rules, operand, splat

AxesReduction = Sum | Prod | Max | Min


@in_bodies
def canonicalize(graph: Graph) -> Graph:
    """The graph in canonical form; the values change by rounding at most, where sums are merged."""
    return relu_after_pool(apply_rules(graph, RULES))


def scalar_right(b: Builder, node: Node) -> Value | None:
    """op(constant, x) = op(x, constant) for commutative ops."""
    x, y = node.inputs
    return b.add(node.op, y, x) if splat(x) is not None and splat(y) is None else None


# ---- views and reshapes


def nothing_moved(b: Builder, node: Node) -> Value | None:
    """Views, reshapes, pads and casts that change nothing."""
    (x,) = node.inputs
    if x.type != node.types[0]:
        return None
    match node.op:
        case Transpose(perm=perm):
            same = perm == tuple(range(len(perm)))
        case Flip(axes=axes):
            same = all(x.shape[axis] == 1 for axis in axes)
        case Pad(low=low, high=high):
            same = not any(low) and not any(high)
        case _:
            same = True
    return x if same else None


def merge_reshapes(b: Builder, node: Node) -> Value | None:
    inner = operand(node, Reshape)
    return b.add(node.op, *inner.inputs) if inner else None


def reshape_to_broadcast(b: Builder, node: Node) -> Value | None:
    """A reshape that only adds axes of length 1 is a broadcast, which kernels read through."""
    (x,), shape = node.inputs, node.types[0].shape
    axes = [d for d, dim in enumerate(shape) if dim != 1]
    if [shape[d] for d in axes] != [dim for dim in x.shape if dim != 1] or len(shape) <= x.type.rank:
        return None
    return fn.broadcast(b, x, shape, axes) if len(axes) == x.type.rank else None


def reshape_of_broadcast(b: Builder, node: Node) -> Value | None:
    """A broadcast that only adds axes of length 1 does nothing under a reshape; a scalar is repeated to the new
    shape."""
    inner = operand(node, Broadcast)
    if inner is None:
        return None
    (x,) = inner.inputs
    if x.type.rank == 0:
        return fn.broadcast(b, x, node.types[0].shape, ())
    added = [dim for d, dim in enumerate(inner.types[0].shape) if d not in _broadcast(inner).axes]
    return fn.reshape(b, x, node.types[0].shape) if all(dim == 1 for dim in added) else None


def merge_transposes(b: Builder, node: Node) -> Value | None:
    inner = operand(node, Transpose)
    if inner is None:
        return None
    outer_perm, inner_perm = _transpose(node).perm, _transpose(inner).perm
    return fn.transpose(b, inner.inputs[0], [inner_perm[axis] for axis in outer_perm])


def transpose_of_broadcast(b: Builder, node: Node) -> Value | None:
    inner = operand(node, Broadcast)
    if inner is None:
        return None
    perm = _transpose(node).perm
    axes = [perm.index(axis) for axis in _broadcast(inner).axes]
    return broadcast_in_any_order(b, inner.inputs[0], node.types[0].shape, axes)


def merge_broadcasts(b: Builder, node: Node) -> Value | None:
    if operand(node, Broadcast) is None:
        return None
    return fn.broadcast(b, node.inputs[0], node.types[0].shape, _broadcast(node).axes)


def concat_of_one(b: Builder, node: Node) -> Value | None:
    return node.inputs[0] if len(node.inputs) == 1 else None


def sum_of_pads(b: Builder, node: Node) -> Value | None:
    """Parts that are padded with zeros to lie beside each other and added are joined: the gradient of a split."""
    pads = _addends(node.outputs[0])
    axes = {axis for pad in pads for axis in _padded_axes(pad)}
    if len(pads) < 2 or len(axes) != 1 or not all(_is_zero_pad(pad) for pad in pads):
        return None
    (axis,) = axes
    pads = sorted(pads, key=lambda pad: _pad(pad).low[axis])
    ends = [0, *(_pad(pad).low[axis] + int(pad.inputs[0].shape[axis]) for pad in pads)]
    starts = [_pad(pad).low[axis] for pad in pads]
    return fn.concat(b, [pad.inputs[0] for pad in pads], axis) if [*starts, node.types[0].shape[axis]] == ends else None


def _addends(value: Value) -> list[Node]:
    """The nodes whose results are added to make a value."""
    if not isinstance(value.op, ew.Add):
        return [value.node]
    return [node for x in value.node.inputs for node in _addends(x)]


def _padded_axes(node: Node) -> list[int]:
    if not isinstance(node.op, Pad):
        return []
    return [axis for axis, ends in enumerate(zip(node.op.low, node.op.high, strict=True)) if any(ends)]


def _is_zero_pad(node: Node) -> bool:
    return isinstance(node.op, Pad) and node.op.value == 0 and min((*node.op.low, *node.op.high)) >= 0


# ---- reductions


def reduce_nothing(b: Builder, node: Node) -> Value | None:
    return None if _reduction(node).axes else node.inputs[0]


def merge_reductions(b: Builder, node: Node) -> Value | None:
    """A sum of a sum is one sum over the axes of both; likewise max, min and prod.

    Not where the batch is summed last: a sum within each row is part of that row's kernel, one over everything is not.
    """
    inner = operand(node, type(node.op))
    if inner is None:
        return None
    first = _reduction(inner).axes
    kept = [d for d in range(inner.inputs[0].type.rank) if d not in first]
    sums_rows_last = inner.types[0].has_rows and not node.types[0].has_rows
    if sums_rows_last and (not kept or max(kept) < min(first)):
        return None
    return _reduce(b, node, inner.inputs[0], (*first, *(kept[axis] for axis in _reduction(node).axes)))


def reduce_transpose(b: Builder, node: Node) -> Value | None:
    """The reduction of a transpose reduces the operand's axes, and what is kept is transposed."""
    inner = operand(node, Transpose)
    if inner is None:
        return None
    perm, axes = _transpose(inner).perm, _reduction(node).axes
    kept = [perm[d] for d in range(len(perm)) if d not in axes]
    value = _reduce(b, node, inner.inputs[0], [perm[axis] for axis in axes])
    return fn.transpose(b, value, [sorted(kept).index(axis) for axis in kept])


def reduce_reshape(b: Builder, node: Node) -> Value | None:
    """Over all axes the shape does not matter."""
    inner = operand(node, Reshape)
    if inner is None or node.types[0].rank:
        return None
    return _reduce(b, node, inner.inputs[0], range(inner.inputs[0].type.rank))


def sum_of_broadcast(b: Builder, node: Node) -> Value | None:
    """Axes that only repeat the operand become a factor: their length, at run time for batch rows."""
    inner = operand(node, Broadcast)
    if inner is None:
        return None
    (x,), shape, kept = inner.inputs, inner.types[0].shape, _broadcast(inner).axes
    axes = _reduction(node).axes
    repeated = [axis for axis in axes if axis not in kept]
    # over no elements the sum is zero, which no factor makes of an infinity
    if not repeated or any(shape[axis] == 0 for axis in axes):
        return None
    value = _reduce(b, node, x, [d for d, axis in enumerate(kept) if axis in axes])
    for factor in _factors(b, node, [shape[axis] for axis in repeated]):
        value = fn.mul(b, value, factor)
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    return fn.broadcast(b, value, node.types[0].shape, [rest.index(axis) for axis in kept if axis not in axes])


def sum_of_pool_gradient(b: Builder, node: Node) -> Value | None:
    """A sum over whole images of the gradient of max pooling: every element of dy went to one place in its image."""
    inner = operand(node, MaxPoolGrad)
    axes = _reduction(node).axes
    if inner is None or not set(range(1, inner.types[0].rank - 1)) <= set(axes):
        return None
    return _reduce(b, node, inner.inputs[0], axes)


def _factors(b: Builder, node: Node, dims: Sequence[int]) -> list[Value | int]:
    """The number of elements along dims: a static factor if it is not 1, and the row count if a dim counts rows."""
    static = int(np.prod([dim.per if isinstance(dim, Rows) else dim for dim in dims]))
    rows = [fn.row_count(b, dim.batch, node.types[0].dtype) for dim in dims if isinstance(dim, Rows)]
    return [*([static] if static != 1 else []), *rows]


def _reduce(b: Builder, node: Node, x: Value, axes: Sequence[int]) -> Value:
    return b.add(type(node.op)(tuple(sorted(axes))), x) if axes else x  # type: ignore[call-arg]


# ---- dots and pools


def dot_of_transpose(b: Builder, node: Node) -> Value | None:
    """The transposition of an operand goes into the axes, where the order of its other axes stays."""
    for side in (0, 1):
        inner = operand(node, Transpose, side)
        if inner is None:
            continue
        op, perm = _dot(node), _transpose(inner).perm
        free = [perm[axis] for axis in op.free(side, len(perm))]
        if free == sorted(free):
            operands = [inner.inputs[0] if i == side else value for i, value in enumerate(node.inputs)]
            return b.add(_permuted(op, side, perm), *operands)
    return None


def _permuted(op: Dot, side: int, perm: Sequence[int]) -> Dot:
    def of(pairs: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        moved = tuple(perm[axis] for axis in pairs[side])
        return (moved, pairs[1]) if side == 0 else (pairs[0], moved)

    return Dot(of(op.batch), of(op.contract))


def transpose_of_dot(b: Builder, node: Node) -> Value | None:
    """A transpose that exchanges the axes of lhs with those of rhs exchanges the operands."""
    inner = operand(node, Dot)
    if inner is None:
        return None
    op, (x, y) = _dot(inner), inner.inputs
    lead, left = len(op.batch[0]), len(op.free(0, x.type.rank))
    rank = node.types[0].rank
    swapped = (*range(lead), *range(lead + left, rank), *range(lead, lead + left))
    if _transpose(node).perm != swapped:
        return None
    return b.add(Dot((op.batch[1], op.batch[0]), (op.contract[1], op.contract[0])), y, x)


def pad_into_conv(b: Builder, node: Node) -> Value | None:
    """Zeros around the image become the convolution's own padding, which costs nothing."""
    inner, op = operand(node, Pad), node.op
    assert isinstance(op, Conv)
    if inner is None or not isinstance(inner.op, Pad) or inner.op.value != 0:
        return None
    low, high = inner.op.low, inner.op.high
    if low[0] or high[0] or low[-1] or high[-1] or min(*low, *high) < 0:
        return None
    added = zip(op.padding, low[1:-1], high[1:-1], strict=True)
    padding = tuple((lo + more_low, hi + more_high) for (lo, hi), more_low, more_high in added)
    return b.add(replace(op, padding=padding), inner.inputs[0], node.inputs[1])


def relu_after_pool(graph: Graph) -> Graph:
    """max_pool(relu(x)) = relu(max_pool(x)): less work, and the gradient is the same, as it is zero where the largest
    element is not positive. Only where nothing else reads the relu or the positions."""
    uses = Counter(value.name for node in graph.nodes for value in node.inputs)
    uses.update(value.name for value in graph.results)

    def rule(b: Builder, node: Node) -> Sequence[Value] | None:
        inner = operand(node, ew.Relu) if isinstance(node.op, MaxPool) else None
        if inner is None or uses[inner.names[0]] != 1 or uses[node.names[1]]:
            return None
        remark("canonicalize", inner, f"moved behind the pooling %{node.names[0]}, where there are fewer elements")
        y, position = b.add_all(node.op, *inner.inputs)
        with b.at(inner.loc):
            return b.add(inner.op, y), position

    after = rewrite(graph, rule)
    return graph if after is graph else apply_rules(after, RULES)


# ---- attributes of nodes whose op is known


def _broadcast(node: Node) -> Broadcast:
    assert isinstance(node.op, Broadcast)
    return node.op


def _transpose(node: Node) -> Transpose:
    assert isinstance(node.op, Transpose)
    return node.op


def _pad(node: Node) -> Pad:
    assert isinstance(node.op, Pad)
    return node.op


def _reduction(node: Node) -> AxesReduction:
    assert isinstance(node.op, AxesReduction)
    return node.op


def _dot(node: Node) -> Dot:
    assert isinstance(node.op, Dot)
    return node.op


COMMUTATIVE: tuple[type[Op], ...] = (
    ew.Add, ew.Mul, ew.Maximum, ew.Minimum, ew.Eq, ew.Ne, ew.And, ew.Or, ew.Xor, ew.BitAnd, ew.BitOr, ew.BitXor,
)  # fmt: skip
REDUCTIONS: tuple[type[Op], ...] = (Sum, Prod, Max, Min)
MOVES: Rules = {
    Reshape: (nothing_moved, merge_reshapes, reshape_of_broadcast, reshape_to_broadcast),
    Transpose: (nothing_moved, merge_transposes, transpose_of_broadcast, transpose_of_dot),
    Broadcast: (nothing_moved, merge_broadcasts),
    Slice: (nothing_moved,),
    Flip: (nothing_moved,),
    Pad: (nothing_moved,),
    ew.Cast: (nothing_moved,),
    Concat: (concat_of_one,),
    Dot: (dot_of_transpose,),
}
RULES = merge_rules(
    dict.fromkeys(COMMUTATIVE, (scalar_right,)),
    dict.fromkeys(REDUCTIONS, (reduce_nothing, merge_reductions, reduce_transpose, reduce_reshape)),
    {Sum: (sum_of_broadcast, sum_of_pool_gradient), Conv: (pad_into_conv,), ew.Add: (sum_of_pads,)},
    MOVES,
    OUTWARD,
)
