"""Fused nodes: a group of nodes that becomes one kernel, with the group as its body graph."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Op, Types
from graphc.ir.types import ShapeError, TensorType


@dataclass(frozen=True, eq=False)
class Fused(Op):
    """`fused @label(...)`: computes the body graph in one kernel. The body's inputs are the node's operands in order.

    Laws of a body, kept by `passes.fusion` and relied on by codegen: all reductions and contractions inside have the
    same result shape, the *kept space*; every other node lives in the kept space or in the kept space followed by the
    reduced axes.
    """

    body: Graph
    label: str

    def infer(self, *types: TensorType) -> Types:
        wanted = tuple(value.type for value in self.body.inputs)
        if types != wanted:
            got = ", ".join(map(str, types))
            raise ShapeError(f"@{self.label} takes ({', '.join(map(str, wanted))}), got ({got})")
        return tuple(value.type for value in self.body.outputs)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return interpret(self.body, dict(zip(self.body.inputs, arrays, strict=True)))
