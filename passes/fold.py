"""Constant folding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.interpret import eval_node
from graphc.ir.op import Node, Value
from graphc.ir.rewrite import rewrite
from graphc.primitives.shape import Broadcast
from graphc.primitives.source import Constant
from passes.loops import in_bodies

LARGEST = 1 << 16  # bytes of one folded result
TOTAL = 1 << 26  # bytes of all folded results of one run, operands' reads included


@in_bodies
def fold(graph: Graph, *, largest: int = LARGEST, total: int = TOTAL) -> Graph:
    """Computes nodes whose operands are all constants, through their numpy meaning.

    Never a value with rows or one that counts them, and nothing above the budgets: `largest` bytes for the results of a
    node, `total` bytes for all work of the run.
    """
    budget = [total]
    return rewrite(graph, partial(_fold, largest, budget))


def _fold(largest: int, budget: list[int], b: Builder, node: Node) -> Sequence[Value] | None:
    arrays = [value.op.array for value in node.inputs if isinstance(value.op, Constant)]
    if not arrays or len(arrays) != len(node.inputs) or _keeps(node):
        return None
    size = sum(type.nbytes for type in node.types)
    work = size + sum(array.nbytes for array in arrays)
    if size > largest or work > budget[0] or any(type.has_rows for type in node.types):
        return None
    budget[0] -= work
    with np.errstate(all="ignore"):
        results = eval_node(node, arrays)
    return [b.add(Constant(array), name=name) for array, name in zip(results, node.names, strict=True)]


def _keeps(node: Node) -> bool:
    """A broadcast costs nothing inside a kernel, its result as a constant would be memory to read."""
    return isinstance(node.op, Broadcast)
