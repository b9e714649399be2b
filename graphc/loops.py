"""Tracing the bodies of loops: a body is a graph of its own, whose constants are what it takes from around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.types import DType, Rows, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.control import Scan, close_body
from graphc.tensor import Tensor
from graphc.tracing import Tracer, tracing
from graphc.variables import Variable

Tensors = list[Tensor]
Step = Callable[[Tensors, Tensors], tuple[Tensors, Tensors]]
"""(carries, elements of the sequences) -> (next carries, results of this step)."""


def run_loop(
    outer: Tracer, step: Step, carries: Tensors, sequences: Tensors, steps: int, reverse: bool = False
) -> tuple[Tensors, Tensors]:
    """The last carries, and the results of all steps along a new first axis.

    What `step` reads of tensors and variables around it is the same in every step; a variable that it assigns is
    carried, and holds its last value behind the loop. ValueError if a carry changes its type, if a sequence has another
    number of steps, or if a layer adds a loss in a step.
    """
    _check_sequences(sequences, steps)
    variables: list[Variable] = []
    while True:
        body = _BodyTracer(outer)
        found = body.trace(step, carries, variables, sequences)
        if set(body.assigned) <= set(variables):
            break
        variables += [variable for variable in body.assigned if variable not in variables]
    after, results = found
    _check_carries(carries, after)
    following = [tensor.value for tensor in after] + [body.current[variable] for variable in variables]
    stacked = [tensor.value for tensor in results]
    watched = [ids.value for ids, *_ in body.limits] + [check.value for check in body.builder.checks]
    graph, captured = close_body(body.builder, [*following, *stacked, *watched])
    operands = [*(t.value for t in carries), *(outer.read(v).value for v in variables), *(t.value for t in sequences)]
    op = Scan(graph, steps, len(following), len(sequences), reverse)
    values = [Tensor(value) for value in outer.builder.add_all(op, *operands, *captured)]
    for variable, value in zip(variables, values[len(carries) :], strict=False):
        outer.assign(variable, value)
    first = len(following) + len(stacked)
    _repeat_checks(outer, body, values[first:], steps)
    return values[: len(carries)], values[len(following) : first]


class _BodyTracer(Tracer):
    """Traces one step. Variables are read around the loop, until the step assigns them."""

    def __init__(self, outer: Tracer) -> None:
        super().__init__(Builder("body"))
        self.outer = outer
        self.builder.loc = outer.builder.loc
        self.assigned: dict[Variable, None] = {}
        self.limits: list[tuple[Tensor, int, int, str]] = []

    def trace(
        self, step: Step, carries: Tensors, variables: Sequence[Variable], sequences: Tensors
    ) -> tuple[Tensors, Tensors]:
        """The tensors of the body that a step gives."""
        with tracing(self):
            own = [self._parameter("carry", tensor.type) for tensor in carries]
            for variable in variables:
                kind = TensorType(variable.shape, DType.of(variable.dtype))
                self.current[variable] = self._parameter(variable.name, kind).value
            parts = [self._parameter("x", tensor.type.with_shape(tensor.shape[1:])) for tensor in sequences]
            found = step(own, parts)
        if self.losses:
            raise ValueError("a layer adds a loss inside a loop; add it once, to what the loop returns")
        return found

    def _parameter(self, name: str, kind: TensorType) -> Tensor:
        return Tensor(self.builder.parameter(name, kind))

    def read(self, variable: Variable) -> Tensor:
        return Tensor(self.current[variable]) if variable in self.current else self.outer.read(variable)

    def assign(self, variable: Variable, value: Any) -> Tensor:
        new = self.fitting(variable, value)
        self.assigned[variable] = None
        self.current[variable] = new.value
        return Tensor(new.value)

    def bound(self, ids: Tensor, low: int, high: int, what: str) -> None:
        self.limits.append((ids, low, high, what))

    def rewrite(self, change: Callable[[Graph], Graph]) -> None:
        raise NotImplementedError("gradients are not taken inside a loop; take them of what the loop returns")


def _check_sequences(sequences: Tensors, steps: int) -> None:
    for tensor in sequences:
        if not tensor.ndim or isinstance(tensor.shape[0], Rows) or tensor.shape[0] != steps:
            raise ValueError(
                f"a loop of {steps} steps runs over the first axis of {tensor!r}, which must have that fixed length; "
                "an axis that counts batch rows cannot be looped over: move the time axis to the front"
            )


def _check_carries(before: Tensors, after: Tensors) -> None:
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.type != new.type:
            raise ValueError(
                f"the carry of a loop must keep its shape and dtype: part {number} is {old.type} before a step and "
                f"{new.type} after it. Start with the type the step gives, or cast inside the step"
            )


def _repeat_checks(outer: Tracer, body: _BodyTracer, values: Tensors, steps: int) -> None:
    """What a step refuses is refused for all steps, behind the loop."""
    if not steps:
        return
    for tensor, (_, low, high, what) in zip(values, body.limits, strict=False):
        outer.bound(tensor, low, high, what)
    for tensor, check in zip(values[len(body.limits) :], body.builder.checks, strict=True):
        outer.builder.check(fn.max(outer.builder, tensor.value), check.message)
