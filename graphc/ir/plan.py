"""The memory plan: where every value of a graph lives during a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir.columns import aligned_lines
from graphc.ir.graph import Graph
from graphc.ir.op import Node, Value

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory shared by one or more values.

    `place` is "arena" (at `offset`), "input" (the caller's array of a data input, or the array of a weight or state),
    "output" (the caller's result array) or "constant". `first` and `last` are node positions in `graph.nodes`
    (-1 = before the first node, len(nodes) = after the last).
    """

    name: str
    place: str
    nbytes: int
    first: int
    last: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """How a loop runs: `block` rows go through all steps together, each block on its own; 0: all rows step by step.
    A row of the batch is `per` of these rows. The steps are cut into `parts`, which may run side by side.

    `step` is the plan of the body for one block, whose inputs are what is carried, elements of sequences and, as
    weights, constants; `results` gives for every output of the body the output of the plan's graph it is.
    """

    block: int
    per: int
    parts: int
    step: MemoryPlan
    results: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MemoryPlan:
    """Buffers, the buffer of every value, and the sizes the plan is judged by (bytes).

    `copies` are (state, next) updates whose next value could not be computed in the state's own memory: the program
    copies them at the end. All other updates are computed in place. `loops` has the plan of every loop by its node.
    """

    graph: Graph
    buffers: tuple[Buffer, ...]
    buffer_of: Mapping[Value, int]
    copies: tuple[tuple[Value, Value], ...]
    arena_bytes: int
    unplanned_bytes: int
    live_bound: int
    loops: Mapping[Node, LoopPlan] = field(default_factory=dict)

    def buffer(self, value: Value) -> Buffer:
        return self.buffers[self.buffer_of[value]]

    def __str__(self) -> str:
        return format_plan(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from graphc.ir.picture import plan_svg  # the picture knows plans

        return plan_svg(self)


def format_plan(plan: MemoryPlan) -> str:
    """The plan as a table, a line per buffer in order of first use, with the totals below."""
    rows = [("buffer", "place", "bytes", "offset", "first", "last")]
    for buffer in sorted(plan.buffers, key=lambda b: (b.first, b.offset)):
        offset = str(buffer.offset) if buffer.place == "arena" else ""
        rows.append((f"%{buffer.name}", buffer.place, str(buffer.nbytes), offset, str(buffer.first), str(buffer.last)))
    lines = aligned_lines(rows, left=2)
    lines += [f"copy %{new.name} to %{state.name} at the end" for state, new in plan.copies]
    for node, loop in plan.loops.items():
        blocks = f" for blocks of {loop.block} rows" if loop.block else ""
        lines += [f"steps of %{', %'.join(node.names)}{blocks}:", *(f"  {line}" for line in str(loop.step).split("\n"))]
    sizes = f"arena {plan.arena_bytes} bytes; alive at once {plan.live_bound}; without sharing {plan.unplanned_bytes}"
    return "\n".join([*lines, sizes])


def plan_comments(plan: MemoryPlan) -> dict[Node, str]:
    """For every node where its results live, to be printed behind it: `arena 640, 256 bytes, last used by node 7`."""
    return {node: "; ".join(_home(plan.buffer(value)) for value in node.outputs) for node in plan.graph.nodes}


def _home(buffer: Buffer) -> str:
    if buffer.place != "arena":
        return buffer.place if buffer.place == "constant" else f"{buffer.place} %{buffer.name}"
    return f"arena {buffer.offset}, {buffer.nbytes} bytes, last used by node {buffer.last}"
