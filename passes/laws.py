"""The laws of fused bodies: which sets of nodes codegen can lower to one kernel, and why others not.

Five forms:
  map     all results have one shape, the iteration space; everything inside is a map, at whatever index it is read.
  anchor  one contraction, window or opaque node; what depends on it are maps in its result space, element by element.
          Its operands may pass through casts (and views); cheap maps too if each element is read only a few times.
  pooled  an anchor's contraction without padding, maps on its results, then a window whose steps do not overlap, and
          maps in the window's result space: the contraction's own results never leave the registers.
  row     reductions over the same trailing axes R of one space K + R, with at most ROW elements; all else lives in K or
          K + R and reads what is inside at its own row: softmax, layer norm, cross-entropy with its gradient.
  column  sibling reductions over the same axes of one space, none depending on another; any maps before them, maps in
          the kept space after them; results in the kept space: bias gradients, batch statistics, scalar losses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from graphc.ir.op import Node, Value
from graphc.ir.types import Shape, size_of
from passes.cost import CHEAP
from passes.facts import Facts, Kind, Relation

ROW = 16384  # elements of a row that stay in cache between the steps over it
ONLY_ROW = 2048  # elements of a row that is the only one: one thread works on it alone
REPEAT = 16  # readings of one operand element up to which a contraction may recompute it
PROLOGUE = 4.0  # operations a point that may be recomputed there
LIMIT = 96  # nodes of a body
POINTERS = 32  # operands and results of a kernel


class Form(Enum):
    MAP = "map"
    ANCHOR = "anchor"
    POOLED = "pooled"
    ROW = "row"
    COLUMN = "column"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nodes do not make one kernel: a word to filter by and a sentence."""

    code: str
    reason: str


ANCHORS = Refusal("anchors", "a kernel computes one contraction, window or opaque node, not two")
MIXED = Refusal("anchors", "a kernel computes a contraction or window, or reductions, not both")
SPACES = Refusal("spaces", "the results would have different shapes")
PROLOGUE_WORK = Refusal("prologue", "work on an operand would be repeated for every tile that reads it")
PROLOGUE_RESULT = Refusal("prologue", "an operand of the main node is needed outside too, and in another space")
INDEX = Refusal("index", "the result is read at other elements than the one just computed")
SCATTER = Refusal("scatter", "a scattered result is complete only at the end")
REDUCTIONS = Refusal("space", "reductions over different spaces or axes")
CHAIN = Refusal("chain", "a reduction needs the finished result of another, and its axes are not a short trailing row")
BIGGER = Refusal("bigger", "a reduced value is used in a bigger space")
OUTSIDE = Refusal("outside", "a value of the bigger space is needed outside the kernel")
SIZE = Refusal("size", f"the kernel would have more than {LIMIT} nodes or {POINTERS} operands and results")

Members = Sequence[Facts]


def form_of(members: Members, outputs: Collection[Value]) -> Form | Refusal:
    """The form of a body of these nodes (in graph order, free nodes left out) with these results."""
    if len(members) > LIMIT:
        return SIZE
    main = [f for f in members if f.kind is not Kind.MAP]
    if len(main) == 2 and _pools(main[0], main[1]):
        return _pooled(members, outputs, main[0], main[1])
    for facts in main[1:]:
        if problem := clash(main[0], facts):
            return problem
    if not main:
        return Form.MAP if len({value.shape for value in outputs}) <= 1 else SPACES
    return _reduction(members, outputs, main) if main[0].kind is Kind.REDUCTION else _anchor(members, outputs, main[0])


def clash(a: Facts | None, b: Facts | None) -> Refusal | None:
    """Why two nodes that are no maps are never in one kernel."""
    if a is None or b is None or _pools(a, b) or _pools(b, a):
        return None
    if a.kind is not Kind.REDUCTION and b.kind is not Kind.REDUCTION:
        return ANCHORS
    if a.kind is not Kind.REDUCTION or b.kind is not Kind.REDUCTION:
        return MIXED
    return REDUCTIONS if (a.full, a.reduced) != (b.full, b.reduced) else None


def _pools(contraction: Facts, window: Facts) -> bool:
    """Whether a window may follow a contraction in one kernel."""
    return (
        contraction.kind is Kind.CONTRACTION and not contraction.padded and window.kind is Kind.WINDOW and window.tiles
    )


def dependents(members: Members, seeds: Collection[Node]) -> set[Node]:
    """The seeds and the members that need them."""
    found = set(seeds)
    for facts in members:
        if any(read.value.node in found for read in facts.reads):
            found.add(facts.node)
    return found


def ancestors(members: Members, seeds: Collection[Node]) -> set[Node]:
    """The members that the seeds need, without the seeds (unless one needs another)."""
    inside, needed = {f.node for f in members}, set(seeds)
    found: set[Node] = set()
    for facts in reversed(members):
        if facts.node in needed:
            new = {read.value.node for read in facts.reads} & inside
            found |= new
            needed |= new
    return found


def _anchor(members: Members, outputs: Collection[Value], anchor: Facts) -> Form | Refusal:
    before = ancestors(members, {anchor.node})
    after = dependents(members, {anchor.node}) - {anchor.node}
    if not _may_precede([f for f in members if f.node in before], anchor):
        return PROLOGUE_WORK
    for facts in members:
        if facts.node in after and (problem := _follows(facts, anchor)):
            return problem
    if any(value.node in before for value in outputs):
        return PROLOGUE_RESULT
    if any(value.shape != anchor.shape for value in outputs):
        return SPACES
    return _not_at_own_element(members, after | {anchor.node}) or Form.ANCHOR


def _pooled(members: Members, outputs: Collection[Value], contraction: Facts, window: Facts) -> Form | Refusal:
    before = ancestors(members, {contraction.node})
    if not _may_precede([f for f in members if f.node in before], contraction):
        return PROLOGUE_WORK
    if any(f.is_cast for f in members if f.node in before):
        return PROLOGUE_WORK  # the tile over the window's taps reads its operands as they are
    after = dependents(members, {window.node}) - {window.node}
    between = dependents(members, {contraction.node}) - {contraction.node, window.node} - after
    if not between <= ancestors(members, {window.node}):
        return ANCHORS
    for facts in members:
        space = window.shape if facts.node in after else contraction.shape if facts.node in between else facts.shape
        if facts.shape != space:
            return SPACES
    if any(value.node in before | between | {contraction.node} or value.shape != window.shape for value in outputs):
        return SPACES
    if sum(read.value.node in between | {contraction.node} for read in window.reads) != 1:
        return ANCHORS
    produced = between | after | {contraction.node, window.node}
    return _not_at_own_element(members, produced) or Form.POOLED


def _may_precede(before: Members, anchor: Facts) -> bool:
    """Whether maps may be computed where the anchor reads them: casts, or little work on elements read seldom."""
    if any(value.dtype.is_half for f in before if f.is_cast for value in f.node.outputs):
        return False  # rounding to a half type is no work to repeat, and its result is half as large
    work = [f for f in before if not f.is_cast]
    if not work:
        return True
    if anchor.kind is Kind.OPAQUE or sum(f.flops for f in work) > PROLOGUE:
        return False
    return anchor.kind is Kind.WINDOW or all(anchor.points <= REPEAT * f.points for f in work)


def _follows(facts: Facts, anchor: Facts) -> Refusal | None:
    if anchor.scatter:
        return SCATTER
    if facts.shape != anchor.shape:
        return SPACES
    return None


def _reduction(members: Members, outputs: Collection[Value], reductions: Members) -> Form | Refusal:
    column = _column(members, outputs, reductions)
    if isinstance(column, Form) or not _is_row(reductions[0]):
        return column
    return _row(members, outputs, reductions[0])


def _is_row(facts: Facts) -> bool:
    """The reduced dimensions are the last ones, and few elements."""
    kept = len(facts.full) - len(facts.reduced)
    longest = ROW if size_of(facts.full[:kept]) > 1 else ONLY_ROW
    return facts.reduced == tuple(range(kept, len(facts.full))) and size_of(facts.full[kept:]) <= longest


def _row(members: Members, outputs: Collection[Value], reduction: Facts) -> Form | Refusal:
    kept, full = reduction.shape, reduction.full
    if any(value.shape not in (kept, full) for value in outputs):
        return SPACES
    after = dependents(members, {f.node for f in members if f.kind is Kind.REDUCTION})
    shapes = {f.node: f.shape for f in members}
    for facts in members:
        if facts.shape not in (kept, full) and (size_of(facts.shape) != 1 or facts.node in after):
            return REDUCTIONS
        for read in facts.reads:
            inside = shapes.get(read.value.node)
            if inside in (kept, full) and read.relation is not _row_relation(inside, facts, kept):
                return INDEX
    return Form.ROW


def _row_relation(inside: Shape, reader: Facts, kept: Shape) -> Relation:
    """How a row may be read: a value of the kept space once a row, others element by element."""
    return Relation.LEADING if inside == kept != reader.full else Relation.SAME


def _column(members: Members, outputs: Collection[Value], reductions: Members) -> Form | Refusal:
    seeds = {f.node for f in reductions}
    kept = reductions[0].shape
    before = ancestors(members, seeds)
    if before & dependents(members, seeds):
        return CHAIN
    after = dependents(members, seeds) - seeds
    for facts in members:
        if facts.node in after and facts.shape != kept:
            return BIGGER
    if any(value.node in before or value.shape != kept for value in outputs):
        return OUTSIDE
    return _not_at_own_element(members, seeds | after) or Form.COLUMN


def _not_at_own_element(members: Members, produced: set[Node]) -> Refusal | None:
    """A refusal if a map reads something produced at another index than its own."""
    for facts in members:
        if facts.kind is Kind.MAP and any(
            read.value.node in produced and read.relation is not Relation.SAME for read in facts.reads
        ):
            return INDEX
    return None


def evaluations(members: Members, outputs: Collection[Value], form: Form) -> dict[Node, int]:
    """How often each member is computed, per result element: a map once for each reader that reads it elsewhere."""
    count: dict[Node, int] = {}
    uses: dict[Node, int] = {f.node: 0 for f in members}
    stored = {value.node for value in outputs}
    kept = next((f.shape for f in members if form is Form.ROW and f.kind is Kind.REDUCTION), None)
    for facts in reversed(members):
        needed = uses[facts.node]
        own = facts.kind is not Kind.MAP or facts.node in stored
        times = count[facts.node] = max(facts.points, needed) if own else needed
        for value, relation in ((read.value, read.relation) for read in facts.reads if read.value.node in uses):
            if relation is Relation.SAME:
                uses[value.node] = max(uses[value.node], times)
            elif value.shape == kept:  # computed once for the row
                uses[value.node] = max(uses[value.node], value.type.size)
            else:
                uses[value.node] += times
    return count


def is_cheap(members: Members) -> bool:
    """Few enough operations that several kernels may compute these maps."""
    return all(f.kind is Kind.MAP for f in members) and sum(f.flops for f in members) <= CHEAP
