"""Unit axes: computes without axes of length 1 where they were only put in for broadcasting (keepdims)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Elementwise, Node, Value
from graphc.ir.rewrite import rewrite
from graphc.ir.types import Shape
from graphc.primitives import functions as fn
from graphc.primitives.reduce import Max, Min, Prod, Sum
from graphc.primitives.shape import Broadcast, Reshape
from passes.loops import in_bodies


@in_bodies
def drop_unit_axes(graph: Graph) -> Graph:
    """Moves axes of length 1 behind elementwise nodes, reductions and reshapes, as broadcasts.

    `log(sum(x, keepdims=True))` becomes a broadcast of `log(sum(x))`: the values of a row are then values of one space,
    and no reshape stands between them. Only where no operand must be reshaped for it. The same graph when nothing
    moves.
    """
    return rewrite(graph, _rule)


def _rule(b: Builder, node: Node) -> Sequence[Value] | None:
    shapes = [value.shape for value in (*node.inputs, *node.outputs)]
    if not any(map(_has_unit_axes, shapes)) or not all(map(_has_core, node.inputs)):
        return None
    match node.op:
        case Elementwise():
            result = b.add(node.op, *(_core(b, v) for v in node.inputs))
        case Reshape():
            return _reshape(b, node)
        case Sum() | Prod() | Max() | Min():
            result = _reduce(b, node.op, node.inputs[0])
        case _:
            return None
    return (_expand(b, result, node.types[0].shape),)


def _reshape(b: Builder, node: Node) -> Sequence[Value] | None:
    """A view if only unit axes come or go; else from below a view that only adds such axes."""
    (value,), shape = node.inputs, node.types[0].shape
    if _squeezed(shape) == _squeezed(value.shape):
        return (_expand(b, _core(b, value), shape),)
    if isinstance(value.op, Broadcast) and value.node.inputs[0].type.size == value.type.size:
        return (fn.reshape(b, value.node.inputs[0], shape),)
    return None


def _expand(b: Builder, value: Value, shape: Shape) -> Value:
    return fn.broadcast(b, value, shape, [d for d, dim in enumerate(shape) if dim != 1])


def _reduce(b: Builder, op: Sum | Prod | Max | Min, value: Value) -> Value:
    """The reduction over those of the axes that are longer than 1."""
    kept = [d for d, dim in enumerate(value.shape) if dim != 1]
    inner = tuple(kept.index(axis) for axis in op.axes if axis in kept)
    core = _core(b, value)
    return b.add(replace(op, axes=inner), core) if inner else core


def _has_unit_axes(shape: Shape) -> bool:
    return any(dim == 1 for dim in shape)


def _squeezed(shape: Shape) -> Shape:
    return tuple(dim for dim in shape if dim != 1)


def _has_core(value: Value) -> bool:
    """Whether the value without its unit axes exists behind views."""
    if not _has_unit_axes(value.shape):
        return True
    return isinstance(value.op, Broadcast) and _has_core(value.node.inputs[0])


def _core(b: Builder, value: Value) -> Value:
    """The value without its unit axes."""
    if not _has_unit_axes(value.shape):
        return value
    assert isinstance(value.op, Broadcast)
    operand, op = value.node.inputs[0], value.op
    kept = [d for d, dim in enumerate(value.shape) if dim != 1]
    axes = [kept.index(axis) for axis, dim in zip(op.axes, operand.shape, strict=True) if dim != 1]
    return fn.broadcast(b, _core(b, operand), _squeezed(value.shape), axes)
