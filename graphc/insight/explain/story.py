"""What every pass did to a graph: which nodes came, went and changed, and what the pass said about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Node, Op
from graphc.ir.remarks import Remark, collect_remarks
from graphc.ir.text import op_text
from passes.memory import plan_memory
from passes.pipeline import PASSES

Change = tuple[str, str, str]
"""A mark, the name of a node (of the loop, for those in its body) and a line. Marks: "+" the node is new, "-" it is
gone, "~" it computes its result in another way than before."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A stage: the graph after a pass, its time, and the differences by lines."""

    name: str
    graph: Graph
    seconds: float
    changes: tuple[Change, ...]
    remarks: tuple[Remark, ...]


def tell(stages: Sequence[tuple[str, Graph]]) -> list[Chapter]:
    """The source and what became of it after every pass, by name as a compilation keeps them, then memory planning,
    which only remarks. Every pass is run once more, for its time and its remarks."""
    chapters = [Chapter("source", stages[0][1], 0.0, (), ())]
    for (_, before), (name, after) in pairwise(stages):
        seconds, remarks = _again(PASSES[name], before) if name in PASSES else (0.0, ())
        changes = () if after is before else tuple(_changes(before, after))
        chapters.append(Chapter(name, after, seconds, changes, remarks))
    last = stages[-1][1]
    seconds, remarks = _again(plan_memory, last)
    return [*chapters, Chapter("plan_memory", last, seconds, (), remarks)]


def _again(step: Callable[[Graph], object], graph: Graph) -> tuple[float, tuple[Remark, ...]]:
    """How long a pass takes on a graph, and what it says."""
    began = time.perf_counter()
    with collect_remarks() as remarks:
        step(graph)
    return time.perf_counter() - began, tuple(remarks)


def node_line(node: Node) -> str:
    """A node as it stands in a graph's text, without its place."""
    left = ", ".join(f"%{name}" for name in node.names)
    right = ", ".join(f"%{value.name}" for value in node.inputs)
    return f"{left} = {_short(node.op)}({right}) : {', '.join(map(str, node.types))}"


def _short(op: Op) -> str:
    label = getattr(op, "label", None)
    return f"fused @{label}" if label is not None else op_text(op)


def _changes(before: Graph, after: Graph, within: str = "", owner: str = "") -> Iterator[Change]:
    """By the names of nodes, which passes keep: in the order of the new graph, then what is gone. `within` is put in
    front of the lines of a loop's body; they go by the name of the loop, the `owner`."""
    old, new = ({node.names[0]: node for node in graph.nodes} for graph in (before, after))
    for name, node in new.items():
        line, was = node_line(node), node_line(old[name]) if name in old else None
        if was is None:
            yield "+", owner or name, within + line
        elif was != line:
            yield "-", owner or name, within + was
            yield "~", owner or name, within + line
        if isinstance(node.op, Loop):
            previous = getattr(old[name].op, "body", _NOTHING) if name in old else _NOTHING
            yield from _changes(previous, node.op.body, f"{within}in %{name}: ", owner or name)
    for name, node in old.items():
        if name not in new:
            yield "-", owner or name, within + node_line(node)


_NOTHING = Graph("", (), (), ())
