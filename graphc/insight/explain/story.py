"""What every pass did to a graph: which nodes came, went and changed, and what the pass said about it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Graph
from graphc.ir.op import Node, Op
from graphc.ir.remarks import Remark, collect_remarks
from graphc.ir.text import op_text
from passes.manager import Pass, pass_name, run_passes
from passes.memory import plan_memory
from passes.pipeline import PIPELINE


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


def tell(graph: Graph, pipeline: Sequence[Pass] = PIPELINE, verify: int = 0) -> list[Chapter]:
    """The source and every pass in order, then memory planning, which only remarks."""
    chapters = [Chapter("source", graph, 0.0, (), ())]
    for step in pipeline:
        began = time.perf_counter()
        with collect_remarks() as remarks:
            after = run_passes(graph, [step], verify=verify)
        seconds = time.perf_counter() - began
        changes = () if after is graph else tuple(_changes(graph, after))
        chapters.append(Chapter(pass_name(step), after, seconds, changes, tuple(remarks)))
        graph = after
    with collect_remarks() as remarks:
        began = time.perf_counter()
        plan_memory(graph)
    chapters.append(Chapter("plan_memory", graph, time.perf_counter() - began, (), tuple(remarks)))
    return chapters


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
