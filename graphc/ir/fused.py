"""Fused nodes: a group of nodes that becomes one kernel, with the group as its body graph."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.composite import Composite
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Types
from graphc.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Fused(Composite):
    """`fused @label(...)`: computes the body graph in one kernel. The body's inputs are the node's operands in order.

    Laws of a body, kept by `passes.laws` and relied on by codegen. Maps may be inlined wherever they are read; beside
    them a body has one of: nothing (results of one shape); one contraction, window or node of several nests (results in
    its space, read element by element); sibling reductions over the same axes of one space (results in the kept space);
    reductions over the trailing axes of one space, which may need each other (results in the kept space or the whole).
    """

    body: Graph
    label: str

    @property
    def title(self) -> str:
        return self.label

    def infer(self, *types: TensorType) -> Types:
        self.check_operands(types)
        return tuple(value.type for value in self.body.outputs)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return interpret(self.body, dict(zip(self.body.inputs, arrays, strict=True)))
