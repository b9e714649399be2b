"""Composite ops: ops with a graph of their own as body. A fused node is one, a loop another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphc.ir.graph import Graph
from graphc.ir.op import Op, Types
from graphc.ir.types import ShapeError


class Composite(Op, abstract=True):
    """Base of the ops that have a field `body`: a graph without updates, checks and output names."""

    body: Graph

    @property
    def title(self) -> str:
        """What the body is called in texts, where no other body has that name."""
        return self.body.name

    def check_operands(self, types: Types) -> None:
        """ShapeError unless the operands have the types of the body's inputs as a step sees them."""
        wanted = tuple(value.type for value in self.body.inputs)
        if types != wanted:
            got = ", ".join(map(str, types))
            raise ShapeError(f"@{self.title} takes ({', '.join(map(str, wanted))}), got ({got})")


BODY_FIELDS = ("body", "label")
"""Fields of a composite op that its text shows as `@label` and the block below."""


def body_labels(graph: Graph) -> dict[Graph, str]:
    """The bodies inside a graph, those inside bodies too, outer ones first, each with a label for texts.

    Fused bodies keep their labels, of which several bodies may share one; every other body gets one of its own.
    """
    ops = list(_composites(graph, set()))
    labels = {op.body: op.title for op in ops if _keeps_label(op)}
    taken = set(labels.values())
    found: dict[Graph, str] = {}
    for op in ops:
        if op.body not in found:
            found[op.body] = labels.get(op.body) or _free(op.title, taken)
            taken.add(found[op.body])
    return found


def _keeps_label(op: Any) -> bool:
    return hasattr(op, "label")


def _free(name: str, taken: set[str]) -> str:
    number, label = 0, name
    while label in taken:
        number += 1
        label = f"{name}.{number}"
    return label


def _composites(graph: Graph, seen: set[Graph]) -> Iterator[Composite]:
    for node in graph.nodes:
        if isinstance(node.op, Composite) and node.op.body not in seen:
            seen.add(node.op.body)
            yield node.op
            yield from _composites(node.op.body, seen)
