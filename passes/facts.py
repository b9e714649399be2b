"""What fusion knows of a node: its kind, its space, what it reads at which index, and what a point costs.

All of it follows from the op's class and its nests. *Free* nodes (views, constants, indices) hold no memory of their
own: reads look through them at what lies behind, and every kernel that needs one computes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from graphc.ir.composite import Composite
from graphc.ir.cost import SIMPLE, nest_operations
from graphc.ir.graph import Graph
from graphc.ir.nest import Affine, Apply, Axis, Index, Load, Nest, loads, substitute
from graphc.ir.op import Alias, Contraction, Node, Op, Parameter, Reduction, Source, Types, Value, View, Window
from graphc.ir.types import Shape, size_of
from graphc.primitives.source import Constant

TAPS = 9  # points of a window that may be pooled in registers


class Kind(Enum):
    """How a node can take part in a kernel."""

    MAP = "map"  # one element of the result from single elements of the operands
    REDUCTION = "reduction"
    CONTRACTION = "contraction"
    WINDOW = "window"
    OPAQUE = "opaque"  # several nests, scatter, running result
    ALIAS = "alias"  # no kernel: the operand's memory
    BUFFER = "buffer"  # a constant array
    KERNEL = "kernel"  # fused already, or a loop

    @property
    def is_anchor(self) -> bool:
        """A kernel holds at most one of these, and what follows it lives in its result space."""
        return self in (Kind.CONTRACTION, Kind.WINDOW, Kind.OPAQUE)

    @property
    def is_computed(self) -> bool:
        return self not in (Kind.ALIAS, Kind.BUFFER, Kind.KERNEL)


class Relation(Enum):
    """The index of a read against the reading node's axes."""

    SAME = "same"  # element i for point i
    LEADING = "leading"  # the first axes, in order: one element for a whole row
    START = "start"  # what the result starts as, element by element
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Read:
    """A value, seen through views, and how its index relates to the reader's axes (reduced ones last)."""

    value: Value
    relation: Relation


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """A node as fusion sees it.

    A *free* node has memory of its own only if an alias or the caller needs its bytes. `points` counts the evaluations
    of the nest bodies, each of `flops`. For a reduction `full` is the operand's shape and `reduced` its reduced
    dimensions; for other nodes `full` is the result's shape. `padded`: some load may leave its operand. `tiles`: a
    window whose steps do not overlap, with few points.
    """

    node: Node
    position: int
    kind: Kind
    outputs: tuple[Value, ...]
    free: bool = False
    reads: tuple[Read, ...] = ()
    flops: float = 0.0
    points: int = 0
    full: Shape = ()
    reduced: tuple[int, ...] = ()
    is_cast: bool = False
    scatter: bool = False
    padded: bool = False
    tiles: bool = False

    @property
    def shape(self) -> Shape:
        return self.node.types[0].shape


@dataclass(slots=True, eq=False)
class FactsOf:
    """The facts of all nodes of a graph, with nests cached by (op, operand types)."""

    graph: Graph
    by_node: dict[Node, Facts] = field(default_factory=dict)
    _nests: dict[tuple[Op, Types], tuple[Nest, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for position, node in enumerate(self.graph.nodes):
            self.by_node[node] = self._facts(node, position)

    def nests(self, node: Node) -> tuple[Nest, ...]:
        key = (node.op, tuple(value.type for value in node.inputs))
        if key not in self._nests:
            self._nests[key] = node.op.nest(*key[1])
        return self._nests[key]

    def is_free(self, value: Value) -> bool:
        facts = self.by_node.get(value.node)
        return facts is not None and facts.free

    def _facts(self, node: Node, position: int) -> Facts:
        if (kind := _kind_without_nest(node)) is not None:
            reads = tuple(Read(value, Relation.OTHER) for value in dict.fromkeys(node.inputs))
            return Facts(node, position, kind, node.outputs, reads=reads, full=node.types[0].shape)
        nests = self.nests(node)
        kind = _kind(node, nests)
        flops = max(nest_operations(nest) for nest in nests)
        full, reduced = _space(nests[0]) if kind is Kind.REDUCTION else (node.types[0].shape, ())
        return Facts(
            node,
            position,
            kind,
            node.outputs,
            free=kind is Kind.MAP and isinstance(node.op, View | Source) and flops <= SIMPLE,
            reads=tuple(dict.fromkeys(read for nest in nests for read in self._reads(node, nest, kind))),
            flops=flops,
            points=sum(size_of(tuple(axis.extent for axis in nest.axes + nest.reduce)) for nest in nests),
            full=full,
            reduced=reduced,
            is_cast=kind is Kind.MAP and isinstance(nests[0].body, Apply) and nests[0].body.fn == "cast",
            scatter=any(nest.scatter for nest in nests),
            padded=any(load.guarded for nest in nests for load in loads(nest.body)),
            tiles=kind is Kind.WINDOW and all(map(_tiles, nests)),
        )

    def _reads(self, node: Node, nest: Nest, kind: Kind) -> Iterator[Read]:
        axes = _operand_axes(nest) if kind is Kind.REDUCTION else nest.axes + nest.reduce
        for load in _loads(nest):
            yield from self._resolve(node.inputs[load.operand], None if load.guarded else load.index, axes)
        if nest.start is not None:
            start = node.inputs[nest.start]
            yield from self._resolve(start, None, axes) if self.is_free(start) else (Read(start, Relation.START),)

    def _resolve(self, value: Value, index: tuple[Index, ...] | None, axes: tuple[Axis, ...]) -> Iterator[Read]:
        """The read behind free nodes; an index of None is one that nothing is known about."""
        if not self.is_free(value):
            yield Read(value, _relation(index, axes))
            return
        (nest,) = self.nests(value.node)
        known = index is not None and all(isinstance(i, Affine) for i in index)
        at = {axis.name: i for axis, i in zip(nest.axes, index or (), strict=False) if isinstance(i, Affine)}
        for load in loads(substitute(nest.body, at) if known else nest.body):
            inner = load.index if known and not load.guarded else None
            yield from self._resolve(value.node.inputs[load.operand], inner, axes)


def _kind_without_nest(node: Node) -> Kind | None:
    """The kind of nodes that never become part of a new kernel."""
    match node.op:
        case Alias():
            return Kind.ALIAS
        case Constant(splat=None):
            return Kind.BUFFER
        case Composite():
            return Kind.KERNEL
    return None


def _kind(node: Node, nests: Sequence[Nest]) -> Kind:
    if isinstance(node.op, Contraction):
        return Kind.CONTRACTION
    if isinstance(node.op, Window):
        return Kind.WINDOW
    if len(nests) != 1 or len(node.types) != 1:
        return Kind.OPAQUE
    if nests[0].is_map:
        return Kind.MAP
    simple = nests[0].store is None and not nests[0].running and not nests[0].scatter
    return Kind.REDUCTION if isinstance(node.op, Reduction) and simple and _is_plain(nests[0]) else Kind.OPAQUE


def _is_plain(nest: Nest) -> bool:
    """The body is the operand's element at the kept and reduced axes, each used once."""
    body = nest.body
    if not isinstance(body, Load) or body.guarded:
        return False
    return sorted(map(str, body.index)) == sorted(axis.name for axis in nest.axes + nest.reduce)


def _tiles(nest: Nest) -> bool:
    """Every element is read by one point at most, and each result reads few: a window that steps over itself."""
    taps = {axis.name: axis.extent for axis in nest.reduce}
    load = nest.body
    if not isinstance(load, Load) or load.guarded or nest.store is not None:
        return False
    if not 1 < size_of(tuple(taps.values())) <= TAPS:
        return False
    return all(_steps_apart(index, taps) for index in load.index)


def _steps_apart(index: Index, taps: Mapping[str, int]) -> bool:
    """One kept axis with a step of at least the window's extent, and at most one tap."""
    if not isinstance(index, Affine) or index.constant:
        return False
    inside = [(taps[name], c) for name, c in index.terms if name in taps]
    steps = [c for name, c in index.terms if name not in taps]
    if len(inside) > 1 or len(steps) != 1:
        return False
    extent, coefficient = inside[0] if inside else (1, 1)
    return coefficient == 1 and steps[0] >= extent


def _operand_axes(nest: Nest) -> tuple[Axis, ...]:
    """The axes of a plain reduction in the order of the operand's dimensions."""
    assert isinstance(nest.body, Load)
    by_name = {axis.name: axis for axis in nest.axes + nest.reduce}
    return tuple(by_name[str(index)] for index in nest.body.index)


def _space(nest: Nest) -> tuple[Shape, tuple[int, ...]]:
    """The operand's shape and the reduced dimensions of a plain reduction."""
    axes = _operand_axes(nest)
    return tuple(axis.extent for axis in axes), tuple(d for d, axis in enumerate(axes) if axis in nest.reduce)


def _loads(nest: Nest) -> Iterator[Load]:
    """Every load of the nest, those inside indirect indices of loads and stores included."""
    yield from loads(nest.body)
    for index in nest.target:
        if not isinstance(index, Affine):
            yield from loads(index)


def _relation(index: tuple[Index, ...] | None, axes: tuple[Axis, ...]) -> Relation:
    if index is None or len(index) > len(axes):
        return Relation.OTHER
    if any(i != Affine(((axis.name, 1),)) for i, axis in zip(index, axes, strict=False)):
        return Relation.OTHER
    return Relation.SAME if len(index) == len(axes) else Relation.LEADING


def root(value: Value) -> Value:
    """The value whose memory this one is: itself, or the operand of the reshapes that made it."""
    while isinstance(value.op, Alias):
        value = value.node.inputs[0]
    return value


def is_input(value: Value) -> bool:
    return isinstance(value.op, Parameter)
