"""Loops in passes: what a pass does to a graph it does to the bodies of its loops too, and how a loop is laid out."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace

from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.nest import Affine, Expr, Load, Nest, Position, RowCount, walk
from graphc.ir.op import Alias, Node, Parameter, Role, Value
from graphc.ir.remarks import inside
from graphc.ir.resize import with_rows
from graphc.ir.rewrite import reading, replace_results
from graphc.ir.types import Rows, TensorType
from graphc.primitives.source import Constant

NewBody = Callable[[Loop], Graph]

BLOCK = 16  # most rows of a block: enough for full register tiles, few enough to stay in the cache next to the core
BLOCK_BYTES = 128 * 1024  # of the largest value of a block whose rows share nothing
LEAST = 4  # and the fewest that are worth a block
BLOCKS = 4  # blocks there should be, where the batch has the rows, or else the steps
LARGE = 256 * 1024  # bytes that a loop computes in all, from which it is worth cutting into parts


def change_bodies(graph: Graph, change: NewBody) -> Graph:
    """The graph with another body in every loop; the same graph if none changed. Equal bodies stay one object."""
    if not any(isinstance(node.op, Loop) for node in graph.nodes):
        return graph
    known: dict[Hashable, Graph] = {}
    nodes: list[Node] = []
    mapping: dict[Value, Value] = {}
    for old in graph.nodes:
        node = reading(old, mapping)
        if isinstance(op := node.op, Loop):
            key = op.body, op.carries, op.sequences
            if key not in known:
                with inside(node):
                    known[key] = change(op)
            node = node if known[key] is op.body else replace(node, op=replace(op, body=known[key]))
        nodes.append(node)
        mapping.update((o, n) for o, n in zip(old.outputs, node.outputs, strict=True) if o != n)
    return replace_results(graph, nodes, mapping) if mapping else graph


def in_bodies(step: Callable[..., Graph]) -> Callable[..., Graph]:
    """The pass for the graph and for the bodies of its loops, inner ones first."""

    @functools.wraps(step)
    def run(graph: Graph, **options: int) -> Graph:
        return step(change_bodies(graph, lambda op: run(op.body, **options)), **options)

    return run


def with_own_results(op: Loop, change: Callable[[Graph], Graph]) -> Graph:
    """The body after a change that makes all results of a graph distinct: what is carried and stacked both may stay one
    value, as the stack is where the next step finds it."""
    following = op.following()
    first = {value: j for j, value in reversed(list(enumerate(op.stacked()))) if value in following}
    shared = {j: following.index(value) for value, j in first.items()}
    own = tuple(value for j, value in enumerate(op.stacked()) if j not in shared)
    before = replace(op.body, outputs=(*following, *own))
    after = change(before)
    if after is before:
        return op.body
    rest = iter(after.outputs[op.carries :])
    stacked = [after.outputs[shared[j]] if j in shared else next(rest) for j in range(len(op.stacked()))]
    return replace(after, outputs=(*after.outputs[: op.carries], *stacked))


# ---- layout


def block_of(op: Loop) -> tuple[int, int]:
    """How many rows go through all steps together, 0 if the rows need each other or there are none; and how many rows
    of the loop a row of the batch is, as when every head of an attention is one.

    A divisor of the rows, so that every block lies inside the arrays. It does not depend on the number of threads.
    """
    if op.body.batch is None or not rows_are_independent(op.body):
        return 0, 1
    per = math.gcd(*_pers(op.body))
    rows = op.body.batch * per
    most = _most_rows(op, rows)
    sizes = [size for size in range(min(LEAST, most), most + 1) if rows % size == 0]
    many = [size for size in sizes if rows // size >= BLOCKS]
    return max(many or sizes, default=rows), per


def parts_of(op: Loop, block: int, per: int) -> int:
    """Into how many units of work the steps of a block are cut where the blocks are few: several only where nothing is
    carried, so that any step may be the first."""
    blocks = int(op.body.batch or 1) * per // block if block else 1
    nbytes = op.steps * sum(value.type.nbytes for node in op.body.nodes for value in node.outputs)
    if op.carries or blocks >= BLOCKS or nbytes < LARGE:
        return 1
    length = math.ceil(op.steps * blocks / BLOCKS)
    return math.ceil(op.steps / length)


def _pers(body: Graph) -> Iterator[int]:
    """How many elements a row of the batch adds, for every value."""
    for value in body.values():
        yield from (dim.per for dim in value.shape if isinstance(dim, Rows))
    for node in body.nodes:
        if isinstance(node.op, Fused):
            yield from _pers(node.op.body)


def _most_rows(op: Loop, rows: int) -> int:
    """As many as fit the cache, where no weight is read again for every block."""
    if not all(value.type.has_rows for value in op.constants()):
        return BLOCK
    nbytes = max((value.type.nbytes // rows for node in op.body.nodes for value in node.outputs), default=1)
    return min(max(BLOCK_BYTES // max(nbytes, 1), 1), BLOCK)


def step_graph(op: Loop, block: int, per: int) -> Graph:
    """The body of a loop as a graph to plan: for one block of rows, of which the batch has `per` in each of its own,
    with constants as weights, every result once."""
    body = with_rows(op.body, block, per) if block else op.body
    mapping: dict[Value, Value] = {}
    inputs = list(body.inputs[: op.carries + op.sequences])
    for value in body.inputs[len(inputs) :]:
        weight = Value(Node(Parameter(Role.PARAM), (), (value.type,), (value.name,), value.node.loc))
        mapping[value] = weight
        inputs.append(weight)
    nodes: list[Node] = []
    for node in body.nodes:
        nodes.append(reading(node, mapping))
        mapping.update((o, n) for o, n in zip(node.outputs, nodes[-1].outputs, strict=True) if o != n)
    outputs = tuple(dict.fromkeys(mapping.get(value, value) for value in body.outputs))
    return Graph(body.name, tuple(inputs), tuple(nodes), outputs)


def rows_are_independent(body: Graph) -> bool:
    """Whether every row of every value depends on the same row of others only, and not on which row it is."""
    if not all(_is_leading(value.type) for value in body.values()):
        return False
    return all(map(_keeps_rows, body.nodes))


def _is_leading(type: TensorType) -> bool:
    """Rows are the first axis or none."""
    return not any(isinstance(dim, Rows) for dim in type.shape[1:])


def _keeps_rows(node: Node) -> bool:
    match node.op:
        case Alias() | Constant():
            return True
        case Fused(body=body):
            return rows_are_independent(body)
        case Loop(body=body):
            return body.batch is None
    types = [value.type for value in node.inputs]
    return all(_nest_keeps_rows(nest, types, node.types[nest.output]) for nest in node.op.nest(*types))


def _nest_keeps_rows(nest: Nest, types: list[TensorType], result: TensorType) -> bool:
    rows = [axis.name for axis in nest.axes if isinstance(axis.extent, Rows)]
    if len(rows) != result.has_rows or any(isinstance(axis.extent, Rows) for axis in nest.reduce):
        return False
    if rows and nest.target[0] != Affine.of(rows[0]):
        return False
    if any(isinstance(i, Affine) and i.coefficient(name) for i in nest.target[1:] for name in rows):
        return False
    parts = [nest.body, *(i for i in nest.target if not isinstance(i, Affine))]
    return all(_reads_own_row(e, types, rows) for part in parts for e in walk(part))


def _reads_own_row(e: Expr, types: list[TensorType], rows: list[str]) -> bool:
    match e:
        case RowCount():
            return False
        case Position(index=index):
            return not any(index.coefficient(name) for name in rows)
        case Load(operand=operand, index=index):
            is_split = types[operand].has_rows
            if is_split and (not rows or index[0] != Affine.of(rows[0])):
                return False
            others = index[1:] if is_split else index
            return not any(isinstance(i, Affine) and i.coefficient(name) for i in others for name in rows)
    return True
