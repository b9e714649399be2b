"""Gradients inside a traced step: `graphc.gradients`, and the same with the face of a tape."""

from __future__ import annotations

from typing import Any

from graphc import compiler, ops, tree
from graphc.ir.op import Parameter, Value
from graphc.tensor import Tensor, current_tracer
from graphc.tracing import Tracer, run_eagerly
from graphc.variables import Variable


def gradients(loss: Any, sources: Any) -> Any:
    """d loss / d source for each of `sources` (variables or tensors, in any structure), in that structure.

    loss: a float tensor of the step being traced; the sum of its elements is differentiated. Or a function without
    arguments that returns it, which also works outside of a traced step and then gives arrays. A gradient has shape and
    dtype of its source; it is zero where the loss does not depend on it. Assignments are not differentiated: the
    gradient of a variable is that of all its reads. RuntimeError for a loss that was computed outside of a step.
    """
    tracer = current_tracer()
    if tracer is None:
        if not callable(loss):
            raise RuntimeError(
                "gradients: the loss is a number already, and nothing is known about how it was computed. Call "
                "`graphc.gradients` inside `train_step()`, or pass a function that returns the loss"
            )
        return run_eagerly(lambda: gradients(loss, sources), (), {})
    total = ops.sum(loss() if callable(loss) else loss)
    found = iter(_flat_gradients(tracer, total, tree.flatten(sources)))
    return tree.map_structure(lambda _: next(found), sources)


def _flat_gradients(tracer: Tracer, loss: Tensor, sources: list[Any]) -> list[Tensor]:
    for source in sources:
        if not isinstance(source, (Variable, Tensor)):
            raise TypeError(f"gradients: sources are variables and tensors of this step; received: {source!r}")
        if isinstance(source, Variable):
            tracer.read(source)
    if all(_is_input(tracer, source) for source in sources):
        # what makes the backward graph cheaper, too; it may bypass values in the middle
        tracer.rewrite(compiler.prepare_forward)
    groups = [_values(tracer, source) for source in sources]
    leaves = [value for source in sources if isinstance(source, Variable) for value in _values(tracer, source)]
    reached = _leading_to(loss.value, set(leaves))
    groups = [[value for value in group if value in reached] or group[-1:] for group in groups]
    wanted = list(dict.fromkeys(value for group in groups for value in group))
    graph = tracer.builder.build([])
    joint = compiler.gradients(graph, loss.value, wanted, leaves)
    tracer.builder.resume(joint)
    slopes = dict(zip(wanted, joint.outputs, strict=True))
    return [_total([Tensor(slopes[value]) for value in group]) for group in groups]


def _is_input(tracer: Tracer, source: Any) -> bool:
    return all(isinstance(value.op, Parameter) for value in _values(tracer, source))


def _values(tracer: Tracer, source: Any) -> list[Value]:
    """What stands for a source in the graph: a variable has a value more for every assignment."""
    return tracer.versions[source] if isinstance(source, Variable) else [source.value]


def _leading_to(value: Value, leaves: set[Value]) -> set[Value]:
    """The values that `value` is computed from, looking no further than `leaves`."""
    found, open_values = {value}, [value]
    while open_values:
        last = open_values.pop()
        if last not in leaves:
            new = set(last.node.inputs) - found
            found |= new
            open_values.extend(new)
    return found


def _total(terms: list[Tensor]) -> Tensor:
    return sum(terms[1:], terms[0])


class GradientTape:
    """`graphc.gradients` for steps written around a tape: everything in a traced step is recorded anyway.

    persistent, watch_accessed_variables: accepted; every tape may be asked any number of times.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent

    def __enter__(self) -> GradientTape:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was begun."""

    def watch(self, tensor: Any) -> None:
        """Accepted: gradients can be asked for any tensor."""

    def gradient(self, target: Any, sources: Any) -> Any:
        """See `graphc.gradients`; several targets are added."""
        return gradients(_total([ops.sum(loss) for loss in tree.flatten(target)]), sources)
