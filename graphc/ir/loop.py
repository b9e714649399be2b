"""Loops: an op that runs its body graph once for every step, with values that are carried from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.composite import Composite
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Types, Value
from graphc.ir.types import ShapeError, TensorType, concrete


@dataclass(frozen=True, eq=False)
class Loop(Composite, abstract=True):
    """`steps` runs of the body, in order, or from the last step to the first with `reverse`.

    Operands, and the body's inputs in the same order: `carries` values that every step replaces, `sequences` of which
    step t sees element t of the leading axis, constants that every step sees whole. Outputs of the body: the carries
    for the next step, then what is stacked. Results: the last carries, then the stacked outputs, element t of step t.
    """

    body: Graph
    steps: int
    carries: int
    sequences: int
    reverse: bool = False

    def carried(self) -> tuple[Value, ...]:
        """The body's inputs for what is carried."""
        return self.body.inputs[: self.carries]

    def sliced(self) -> tuple[Value, ...]:
        """The body's inputs for elements of sequences."""
        return self.body.inputs[self.carries : self.carries + self.sequences]

    def constants(self) -> tuple[Value, ...]:
        """The body's inputs that are the same in every step."""
        return self.body.inputs[self.carries + self.sequences :]

    def following(self) -> tuple[Value, ...]:
        """The body's outputs that the next step gets as carries."""
        return self.body.outputs[: self.carries]

    def stacked(self) -> tuple[Value, ...]:
        """The body's outputs of which all steps' are kept."""
        return self.body.outputs[self.carries :]

    def order(self) -> range:
        """The steps in the order in which they run."""
        return range(self.steps - 1, -1, -1) if self.reverse else range(self.steps)

    def infer(self, *types: TensorType) -> Types:
        self._check_counts()
        split = self.carries, self.carries + self.sequences
        rows = tuple(self._element(i, type) for i, type in enumerate(types[split[0] : split[1]]))
        self.check_operands((*types[: split[0]], *rows, *types[split[1] :]))
        for i, (before, after) in enumerate(zip(self.carried(), self.following(), strict=True)):
            if before.type != after.type:
                raise ShapeError(f"carry {i} is {before.type} before a step and {after.type} after it")
        return (*(v.type for v in self.following()), *(self.sequence_type(v.type) for v in self.stacked()))

    def _check_counts(self) -> None:
        if min(self.steps, self.carries, self.sequences) < 0:
            raise ShapeError(f"steps {self.steps}, carries {self.carries} and sequences {self.sequences} must be >= 0")
        if len(self.body.inputs) < self.carries + self.sequences or len(self.body.outputs) < self.carries:
            has = f"{len(self.body.inputs)} inputs and {len(self.body.outputs)} outputs"
            raise ShapeError(f"@{self.title} has {has}, too few for {self.carries} carries, {self.sequences} sequences")

    def _element(self, number: int, type: TensorType) -> TensorType:
        """The type of one step's element."""
        if not type.rank or type.shape[0] != self.steps:
            raise ShapeError(f"sequence {number} must have {self.steps} steps along its first axis, got {type}")
        return type.with_shape(type.shape[1:])

    def sequence_type(self, element: TensorType) -> TensorType:
        """The type of all steps' elements."""
        return element.with_shape((self.steps, *element.shape))

    def seen(self, t: int, carries: Sequence[Array], arrays: Sequence[Array]) -> dict[Value, Array]:
        """What the body's inputs are in step t, for the carries it gets and the arrays of the loop's operands."""
        split = self.carries, self.carries + self.sequences
        elements = (np.asarray(sequence[t]) for sequence in arrays[split[0] : split[1]])
        return dict(zip(self.body.inputs, (*carries, *elements, *arrays[split[1] :]), strict=True))

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        carries: Sequence[Array] = arrays[: self.carries]
        stacks = [np.zeros((self.steps, *concrete(v.shape)), v.dtype.numpy) for v in self.stacked()]
        for t in self.order():
            results = interpret(self.body, self.seen(t, carries, arrays))
            carries = results[: self.carries]
            for stack, result in zip(stacks, results[self.carries :], strict=True):
                stack[t] = result
        return (*map(np.array, carries), *stacks)
