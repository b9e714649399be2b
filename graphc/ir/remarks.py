"""Remarks: what a pass did to a node and why, or why it did not. Kept only while somebody collects them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from graphc.ir.op import Node


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence of a pass about a node: the node's names, its layer and the sentence. `loop` is the first name of
    the outermost loop whose body has the node, if one has."""

    passed_by: str
    node: str
    layer: str
    message: str
    loop: str = ""

    def __str__(self) -> str:
        layer = f" (layer {self.layer})" if self.layer else ""
        loop = f" in the loop %{self.loop}" if self.loop else ""
        return f"{self.passed_by}: {self.node}{loop}{layer}: {self.message}"


_collectors: ContextVar[tuple[list[Remark], ...]] = ContextVar("collectors", default=())
_loop: ContextVar[str] = ContextVar("loop", default="")


def remark(passed_by: str, node: Node, message: str) -> None:
    """Leaves a remark of a pass about a node."""
    if collectors := _collectors.get():
        names = ", ".join(f"%{name}" for name in node.names)
        for collector in collectors:
            collector.append(Remark(passed_by, names, node.loc.layer, message, _loop.get()))


@contextlib.contextmanager
def inside(loop: Node) -> Iterator[None]:
    """Remarks left inside the block are about nodes of a loop's body."""
    token = _loop.set(_loop.get() or loop.names[0])
    try:
        yield
    finally:
        _loop.reset(token)


@contextlib.contextmanager
def collect_remarks() -> Iterator[list[Remark]]:
    """The remarks left inside the block, in order; a collector further out gets them too."""
    found: list[Remark] = []
    token = _collectors.set((*_collectors.get(), found))
    try:
        yield found
    finally:
        _collectors.reset(token)
