"""Work: what nodes compute and move, counted from their nests; and the roofs of a machine that bound its time.

The one place where operations are counted: fusion decides by it, profiles and comparisons show it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.nest import Affine, Apply, Expr, Load, Nest, children, loads, walk
from graphc.ir.op import Alias, Node, Op, Parameter, Types, Value

LAUNCH = 1e-6  # seconds to hand a kernel to the threads

SIMPLE = 1.0
OPERATIONS = {
    "div": 4.0, "floor_div": 6.0, "mod": 6.0, "reciprocal": 4.0, "sqrt": 4.0, "rsqrt": 8.0,
    "exp": 10.0, "expm1": 12.0, "log": 15.0, "log1p": 18.0, "log2": 15.0, "log10": 15.0, "pow": 30.0,
    "sin": 15.0, "cos": 15.0, "tan": 20.0, "sinh": 15.0, "cosh": 15.0, "tanh": 15.0,
    "asin": 20.0, "acos": 20.0, "atan": 20.0, "atan2": 25.0, "asinh": 25.0, "acosh": 25.0, "atanh": 20.0,
    "sigmoid": 12.0, "softplus": 25.0, "erf": 16.0, "erfinv": 20.0, "threefry": 80.0,
}  # fmt: skip
"""What a scalar function costs in additions; all others count SIMPLE."""
INDIRECT = 4.0  # a load whose index is computed

_UNCOUNTED = frozenset({"select", "cast", "bitcast"})  # of floating point, but no arithmetic
_ARITHMETIC = frozenset({"add", "mul", "max", "min"})  # ways to combine that compute a number, not a position


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done at the compiled maximum of rows.

    flops: floating-point operations outside of padding: a multiply-add counts two, every function (exp, max, ...) one.
    operations: the same weighted by what they cost, integers and comparisons included. nbytes: operands read once, as
    far as they are read, and results written once.
    """

    flops: int = 0
    operations: float = 0.0
    nbytes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.operations + other.operations, self.nbytes + other.nbytes)

    @property
    def intensity(self) -> float:
        """Floating-point operations a byte."""
        return self.flops / self.nbytes if self.nbytes else 0.0


@dataclass(frozen=True, slots=True)
class Roof:
    """The most a machine does. gflops: float32 GFLOP/s, measured as `arithmetic` says. copy_gb_s: bytes read plus bytes
    written, in 10^9 a second, measured as `copying` says.
    """

    gflops: float
    copy_gb_s: float
    arithmetic: str = ""
    copying: str = ""

    def seconds(self, work: Work) -> float:
        """The least time for this work as one kernel."""
        return LAUNCH + max(work.operations / self.gflops, work.nbytes / self.copy_gb_s) / 1e9

    def share(self, work: Work, seconds: float) -> float:
        """How much of the roof above this work was reached in so many seconds: 1.0 is all of it."""
        bound = max(work.flops / self.gflops, work.nbytes / self.copy_gb_s) / 1e9
        return bound / seconds if seconds > 0 else 0.0


def total(works: Iterable[Work]) -> Work:
    """All of it together."""
    return sum(works, Work())


def node_work(node: Node) -> Work:
    """The work of one node; of a fused node that of its body, with memory touched at its border only."""
    if isinstance(node.op, Parameter | Alias) or not node.inputs:
        return Work()
    if isinstance(node.op, Loop):
        return _loop_work(node, node.op)
    inner = node.op.body.nodes if isinstance(node.op, Fused) else (node,)
    border = dict(zip(node.op.body.inputs, node.inputs, strict=True)) if isinstance(node.op, Fused) else None
    flops, operations = 0, 0.0
    read: dict[Value, int] = {}
    added: dict[Value, int] = {}
    for each in inner:
        types = tuple(value.type for value in each.inputs)
        nests = _nests(each.op, types)
        for nest in nests:
            share = inside(nest, types)
            flops += round(share * nest_flops(nest))
            operations += share * points(nest) * nest_operations(nest)
            if nest.start is not None:  # in place: what nothing is added to is not written
                value = each.outputs[nest.output]
                added[value] = points(nest) * value.dtype.size
        for number, value in enumerate(each.inputs):
            source = value if border is None else border.get(value)
            if source is not None:
                read[source] = read.get(source, 0) + _touched(nests, number) * source.dtype.size
    nbytes = sum(min(value.type.nbytes, touched) for value, touched in read.items())
    results = node.op.body.outputs if isinstance(node.op, Fused) else node.outputs
    nbytes += sum(min(value.type.nbytes, added.get(value, value.type.nbytes)) for value in results)
    return Work(flops, operations, nbytes)


def _loop_work(node: Node, loop: Loop) -> Work:
    """All steps of the body, whose memory is touched at the loop's border only."""
    step = graph_work(loop.body)
    nbytes = sum(value.type.nbytes for value in dict.fromkeys(node.inputs)) + sum(type.nbytes for type in node.types)
    return Work(loop.steps * step.flops, loop.steps * step.operations, nbytes)


def graph_work(graph: Graph) -> Work:
    """The work of all nodes, each as a kernel of its own."""
    return total(map(node_work, graph.nodes))


def _nests(op: Op, types: Types) -> tuple[Nest, ...]:
    """The algorithm of a node inside a kernel; what only renames memory or makes a number has none that counts."""
    return () if isinstance(op, Parameter | Alias) else op.nest(*types)


def _touched(nests: Iterable[Nest], operand: int) -> int:
    """How many elements of an operand are loaded, counting those loaded repeatedly as often."""
    return sum(
        points(nest) * (sum(load.operand == operand for load in loads(nest.body)) + (nest.start == operand))
        for nest in nests
    )


def points(nest: Nest) -> int:
    """How often the body is evaluated."""
    return math.prod(int(axis.extent) for axis in (*nest.axes, *nest.reduce))


def inside(nest: Nest, types: Types) -> float:
    """The share of a reduction's points at which no guarded load is in the padding: the rest adds nothing."""
    share = 1.0
    for load in loads(nest.body) if nest.reduce else ():
        for dim in load.guarded:
            if isinstance(index := load.index[dim], Affine):
                share *= _share_within(index, nest, int(types[load.operand].shape[dim]))
    return share


def _share_within(index: Affine, nest: Nest, size: int) -> float:
    """How often an index lies in 0..size over all points."""
    extents = {axis.name: int(axis.extent) for axis in (*nest.axes, *nest.reduce)}
    positions = np.array([index.constant])
    for name, coefficient in index.terms:
        positions = np.add.outer(positions, coefficient * np.arange(extents[name])).ravel()
    return float(np.mean((positions >= 0) & (positions < size))) if positions.size else 1.0


def nest_flops(nest: Nest) -> int:
    """Floating-point operations of a whole nest, padding included."""
    arithmetic = sum(isinstance(e, Apply) and e.dtype.is_float and e.fn not in _UNCOUNTED for e in walk(nest.body))
    accumulates = nest.body.dtype.is_float and nest.combine in _ARITHMETIC
    return points(nest) * (arithmetic + accumulates)


def nest_operations(nest: Nest) -> float:
    """Weighted operations of one evaluation of the nest's body, its accumulation included."""
    return expr_operations(nest.body) + (SIMPLE if nest.reduce else 0.0)


def expr_operations(expr: Expr) -> float:
    """Weighted operations of one evaluation of an expression."""
    inner = sum(map(expr_operations, children(expr)))
    match expr:
        case Apply(fn=fn):
            return inner + OPERATIONS.get(fn, SIMPLE)
        case Load(index=index) if not all(isinstance(i, Affine) for i in index):
            return inner + INDIRECT
    return inner
