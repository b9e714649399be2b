"""Rules that move broadcasts, transposes and reshapes behind elementwise ops, so that chains of them stay together.

op(move(x), move(y)) = move(op(x, y)): exact, as an elementwise op does not care where its elements lie. Behind a
broadcast the op also computes less.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.builder import Builder
from graphc.ir.op import REGISTRY, Elementwise, Node, Op, Value
from graphc.ir.types import Shape
from graphc.primitives import functions as fn
from graphc.primitives.shape import Broadcast, Reshape, Transpose
from passes.rules import Rules, broadcast_in_any_order


def broadcast_outward(b: Builder, node: Node) -> Value | None:
    """Where all operands are broadcasts: computes in the space of the one with most axes, if it has all axes of the
    others."""
    ops = [value.op for value in node.inputs]
    if not all(isinstance(op, Broadcast) for op in ops):
        return None
    axes = [op.axes for op in ops if isinstance(op, Broadcast)]
    widest = max(axes, key=len)
    if any(axis not in widest for own in axes for axis in own):
        return None
    shape = tuple(node.types[0].shape[axis] for axis in widest)
    sources = [value.node.inputs[0] for value in node.inputs]
    moved = [fn.broadcast(b, v, shape, list(map(widest.index, own))) for v, own in zip(sources, axes, strict=True)]
    return fn.broadcast(b, b.add(node.op, *moved), node.types[0].shape, widest)


def transpose_outward(b: Builder, node: Node) -> Value | None:
    """Where operands are transposes of one permutation, or broadcasts, which can be built in any order of axes."""
    perms = {value.op.perm for value in node.inputs if isinstance(value.op, Transpose)}
    if len(perms) != 1:
        return None
    (perm,) = perms
    shape = tuple(node.types[0].shape[perm.index(d)] for d in range(len(perm)))
    moved = _moved(b, node, Transpose, shape, dict(enumerate(perm)))
    return fn.transpose(b, b.add(node.op, *moved), perm) if moved else None


def reshape_outward(b: Builder, node: Node) -> Value | None:
    """Where operands are reshapes of one shape, or broadcasts along axes that the reshape leaves as they are."""
    shapes = {value.node.inputs[0].shape for value in node.inputs if isinstance(value.op, Reshape)}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    moved = _moved(b, node, Reshape, shape, unchanged_axes(node.types[0].shape, shape))
    return b.add(Reshape(node.types[0].shape), b.add(node.op, *moved)) if moved else None


def _moved(b: Builder, node: Node, move: type[Op], shape: Shape, axis_map: dict[int, int]) -> list[Value]:
    """The operands in front of the move, all of `shape`; none if one of them is neither moved nor a broadcast.

    `axis_map` says for axes behind the move which axis in front of it they are.
    """
    if not all(isinstance(value.op, move) or _can_move(value, axis_map) for value in node.inputs):
        return []
    return [
        v.node.inputs[0] if isinstance(v.op, move) else _broadcast_in_front(b, v, shape, axis_map) for v in node.inputs
    ]


def _can_move(value: Value, axis_map: dict[int, int]) -> bool:
    return isinstance(value.op, Broadcast) and all(axis in axis_map for axis in value.op.axes)


def _broadcast_in_front(b: Builder, value: Value, shape: Shape, axis_map: dict[int, int]) -> Value:
    assert isinstance(value.op, Broadcast)
    return broadcast_in_any_order(b, value.node.inputs[0], shape, [axis_map[axis] for axis in value.op.axes])


def unchanged_axes(shape: Shape, other: Shape) -> dict[int, int]:
    """Axes of a shape that a reshape to another shape leaves as they are, with their place there."""
    found: dict[int, int] = {}
    i = j = 0
    while i < len(shape) and j < len(other):
        if shape[i] == other[j]:
            found[i] = j
            i, j = i + 1, j + 1
        else:
            i, j = _skip_group(shape, other, i, j)
    return found


def _skip_group(shape: Sequence[int], other: Sequence[int], i: int, j: int) -> tuple[int, int]:
    """The axes behind the smallest groups from i and j on that hold equally many elements."""
    left, right = int(shape[i]), int(other[j])
    i, j = i + 1, j + 1
    while left != right:
        if left < right and i < len(shape):
            left, i = left * int(shape[i]), i + 1
        elif right < left and j < len(other):
            right, j = right * int(other[j]), j + 1
        else:
            return len(shape), len(other)
    return i, j


OUTWARD: Rules = {
    op: (broadcast_outward, transpose_outward, reshape_outward)
    for op in REGISTRY.values()
    if issubclass(op, Elementwise)
}
