"""Algebraic simplification after autodiff. Exact: values keep their bits, NaN and the sign of zero included.

Nothing is reassociated and no function is replaced by another one that rounds differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op, Value
from graphc.ir.types import DType
from graphc.primitives import elementwise as ew
from graphc.primitives import functions as fn
from passes.loops import in_bodies
from passes.rules import Rule, Rules, apply_rules, is_splat, merge_rules, operand, splat, splat_like


@in_bodies
def simplify(graph: Graph) -> Graph:
    """Removes arithmetic that does nothing. Stop-gradients go too, so the backward pass must be there already."""
    return apply_rules(graph, RULES)


def drop(b: Builder, node: Node) -> Value | None:
    return node.inputs[0]


def right_is(number: float) -> Rule:
    """The left operand, where every element of the right one is this number."""

    def rule(b: Builder, node: Node) -> Value | None:
        return node.inputs[0] if is_splat(node.inputs[1], number) else None

    return rule


def integer_plus_zero(b: Builder, node: Node) -> Value | None:
    x, y = node.inputs
    return x if x.dtype.is_integer and is_splat(y, 0) else None


def integer_times_zero(b: Builder, node: Node) -> Value | None:
    x, y = node.inputs
    return y if x.dtype.is_integer and is_splat(y, 0) else None


def times_minus_one(b: Builder, node: Node) -> Value | None:
    x, y = node.inputs
    return fn.neg(b, x) if x.dtype.is_float and is_splat(y, -1) else None


def divide_by_power_of_two(b: Builder, node: Node) -> Value | None:
    """A product with the reciprocal, where that is exact and a normal number."""
    x, y = node.inputs
    number = splat(y)
    if not number or not math.isfinite(number) or abs(math.frexp(number)[0]) != 0.5:
        return None
    reciprocal = 1 / number
    tiny, huge = float(np.finfo(x.dtype.numpy).tiny), float(np.finfo(x.dtype.numpy).max)
    return fn.mul(b, x, splat_like(b, x, reciprocal)) if tiny <= abs(reciprocal) <= huge else None


def power(b: Builder, node: Node) -> Value | None:
    x, y = node.inputs
    if is_splat(y, 2):
        return fn.square(b, x)
    return splat_like(b, x, 1) if splat(y) == 0 else None


def add_negated(b: Builder, node: Node) -> Value | None:
    """x + -y = x - y and -x + y = y - x."""
    x, y = node.inputs
    if (inner := operand(node, ew.Neg, 1)) is not None:
        return fn.sub(b, x, inner.inputs[0])
    inner = operand(node, ew.Neg, 0)
    return fn.sub(b, y, inner.inputs[0]) if inner else None


def subtract_negated(b: Builder, node: Node) -> Value | None:
    inner = operand(node, ew.Neg, 1)
    return fn.add(b, node.inputs[0], inner.inputs[0]) if inner else None


def same_twice(b: Builder, node: Node) -> Value | None:
    """op(x, x) = x."""
    return node.inputs[0] if node.inputs[0] == node.inputs[1] else None


def twice(op: type[Op], *, gives: Callable[[Node], Value | None]) -> Rule:
    """What op(op(x)) is, given the inner node."""

    def rule(b: Builder, node: Node) -> Value | None:
        inner = operand(node, op)
        return gives(inner) if inner else None

    return rule


def _inside(inner: Node) -> Value:
    return inner.inputs[0]


def _itself(inner: Node) -> Value:
    return inner.outputs[0]


def sign_lost(b: Builder, node: Node) -> Value | None:
    """The sign of the operand does not matter."""
    inner = operand(node, ew.Neg) or operand(node, ew.Abs)
    # the lowest integer is its own negative: its bits are the same, and so are those of the result
    return b.add(node.op, inner.inputs[0]) if inner else None


def select_known(b: Builder, node: Node) -> Value | None:
    """A constant condition, equal choices, or a negated condition."""
    condition, x, y = node.inputs
    known = splat(condition)
    if known is not None or x == y:
        return y if known is not None and not known else x
    inner = operand(node, ew.Not)
    return b.add(node.op, inner.inputs[0], y, x) if inner else None


def cast_of_cast(b: Builder, node: Node) -> Value | None:
    """One cast where the inner one keeps every value and the outer one gives a float, or the first dtype again."""
    inner = operand(node, ew.Cast)
    if inner is None:
        return None
    (x,), dtype = inner.inputs, node.types[0].dtype
    exact = _keeps_values(x.dtype, inner.types[0].dtype)
    return fn.cast(b, x, dtype) if exact and (dtype.is_float or dtype is x.dtype) else None


def _keeps_values(source: DType, target: DType) -> bool:
    if target is DType.BOOL:
        return source is DType.BOOL
    # numpy calls 64-bit integers safe in f64, which holds 53 bits
    return bool(np.can_cast(source.numpy, target.numpy, "safe")) and not (source.is_integer and source.size == 8)


RULES: Rules = merge_rules(
    {
        ew.StopGradient: (drop,),
        # -0.0 is the neutral element: 0.0 makes 0.0 of -0.0
        ew.Add: (right_is(-0.0), integer_plus_zero, add_negated),
        ew.Sub: (right_is(0.0), subtract_negated),
        ew.Mul: (right_is(1), times_minus_one, integer_times_zero),
        ew.Div: (right_is(1), divide_by_power_of_two),
        ew.Pow: (right_is(1), power),
        ew.Neg: (twice(ew.Neg, gives=_inside),),
        ew.Not: (twice(ew.Not, gives=_inside),),
        ew.BitNot: (twice(ew.BitNot, gives=_inside),),
        ew.Relu: (twice(ew.Relu, gives=_itself),),
        ew.Abs: (twice(ew.Abs, gives=_itself), sign_lost),
        ew.Square: (sign_lost,),
        ew.Select: (select_known,),
        ew.Cast: (cast_of_cast,),
    },
    dict.fromkeys((ew.Maximum, ew.Minimum, ew.And, ew.Or, ew.BitAnd, ew.BitOr), (same_twice,)),
)
