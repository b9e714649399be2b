"""Rewriting by rules: tables of small functions by op class, applied until none of them finds anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op, Value
from graphc.ir.rewrite import rewrite
from graphc.primitives import functions as fn
from graphc.primitives.shape import Broadcast, Reshape, Transpose
from graphc.primitives.source import Constant
from passes.dce import dce

Rule = Callable[[Builder, Node], Value | None]
Rules = Mapping[type[Op], Sequence[Rule]]
ROUNDS = 50  # every rule makes the graph smaller or moves a node towards the results: rounds end long before


def apply_rules(graph: Graph, rules: Rules) -> Graph:
    """The graph after rounds of rules, until a round changes nothing. A rule gives the value that replaces the only
    result of a node, or None; the first that gives a value wins. Nodes nobody needs any more are dropped."""

    def rule(b: Builder, node: Node) -> Sequence[Value] | None:
        found = (candidate(b, node) for candidate in rules.get(type(node.op), ()))
        value = next((value for value in found if value is not None), None)
        return None if value is None else (value,)

    for _ in range(ROUNDS):
        after = rewrite(graph, rule)
        if after is graph:
            return graph
        graph = dce(after)
    raise AssertionError(f"the rules did not come to rest in {ROUNDS} rounds")


def merge_rules(*tables: Rules) -> Rules:
    """The rules of all tables by op class, in order."""
    classes = dict.fromkeys(op for table in tables for op in table)
    return {op: tuple(rule for table in tables for rule in table.get(op, ())) for op in classes}


def operand(node: Node, op: type[Op], index: int = 0) -> Node | None:
    """The node that makes an operand, if it is one of this op."""
    made_by = node.inputs[index].node
    return made_by if isinstance(made_by.op, op) else None


def splat(value: Value) -> float | None:
    """The number that every element is, seen through views; None if they differ or are not known."""
    while isinstance(value.op, Broadcast | Reshape | Transpose):
        (value,) = value.node.inputs
    return value.op.splat if isinstance(value.op, Constant) else None


def is_splat(value: Value, number: float) -> bool:
    """Whether every element is this number, the sign of zero included."""
    known = splat(value)
    return known is not None and known == number and math.copysign(1, known) == math.copysign(1, number)


def splat_like(b: Builder, value: Value, number: float) -> Value:
    """The number in the type of a value."""
    return fn.constant(b, number, value.dtype, value.shape)


def broadcast_in_any_order(b: Builder, value: Value, shape: tuple[int, ...], axes: Sequence[int]) -> Value:
    """Axis axes[d] of the result holds axis d of the value, in any order; the other axes are new."""
    order = [int(d) for d in np.argsort(axes)]
    return fn.broadcast(b, fn.transpose(b, value, order), shape, [axes[d] for d in order])
