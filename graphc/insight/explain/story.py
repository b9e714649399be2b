"""What every pass did to a graph: which nodes came, went and changed, and what the pass said about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op
from graphc.ir.remarks import Remark, collect_remarks
from graphc.ir.text import op_text
from passes.memory import plan_memory
from passes.pipeline import PASSES


@dataclass(frozen=True, slots=True)
class Chapter:
    """A stage: the graph after a pass, its time, and the differences by lines (mark, node name, text).

    Marks: "+" the node is new, "-" it is gone, "~" it computes its result in another way than before.
    """

    name: str
    graph: Graph
    seconds: float
    changes: tuple[tuple[str, str, str], ...]
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


def _changes(before: Graph, after: Graph) -> Iterator[tuple[str, str, str]]:
    """By the names of nodes, which passes keep: in the order of the new graph, then what is gone."""
    old, new = ({node.names[0]: node_line(node) for node in graph.nodes} for graph in (before, after))
    for name, line in new.items():
        if name not in old:
            yield "+", name, line
        elif old[name] != line:
            yield "-", name, old[name]
            yield "~", name, line
    for name, line in old.items():
        if name not in new:
            yield "-", name, line
