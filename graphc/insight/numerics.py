"""Watching for NaN and infinity: a variant of a graph that refuses its updates when one appears, and says where first.

Every float value gets a flag that is raised when an element is not finite; all flags together are one check of the
program. So the variant costs a reading of every value, and keeps all of them from being fused away. When the check
fails, nothing was updated, and the same data is run again to find the value, its first bad element and its operands. Of
a loop, whose body has no flags, the interpreter takes the steps again until one of its values is not finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.compiler import compile_graph
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.interpret import evaluate
from graphc.ir.loop import Loop
from graphc.ir.op import Array, Loc, Parameter, Role, Source, Value
from graphc.ir.resize import with_rows
from graphc.ir.types import DType
from graphc.options import CompileOptions
from graphc.primitives import functions as fn
from graphc.runtime.executable import CheckError

MESSAGE = "a value is not finite"


@dataclass(frozen=True, slots=True)
class _Find:
    """A value that is not finite, its array, those of its float operands, and the steps of the loops around it."""

    value: Value
    array: Array
    operands: Mapping[Value, Array]
    steps: tuple[str, ...]
    loc: Loc


class NumericsError(FloatingPointError):
    """NaN or infinity appeared; nothing was updated. `layer`, `op`, `direction`, `value` and `index` say where first:
    the op "input" is data of the call, "param" a weight, "state" a slot. For a value that counts rows, index[0] is
    the row. Of a value inside a loop the message has the step.
    """

    def __init__(self, message: str, found: _Find, index: tuple[int, ...]) -> None:
        super().__init__(message)
        self.value, self.index = found.value.name, index
        self.layer, self.direction = found.loc.layer, found.loc.direction
        self.op = _op_name(found.value)


class GuardedExecutable:
    """An `Executable` of the guarded variant: `run` and calls raise NumericsError; all else is the executable's."""

    def __init__(self, graph: Graph, options: CompileOptions | None, bind: Mapping[str, Array] | None) -> None:
        self._graph, self._options = graph, options
        self.native = compile_graph(guarded(graph), options, bind=bind)

    def __getattr__(self, name: str) -> Any:
        if name == "native":
            raise AttributeError(name)
        return getattr(self.native, name)

    def run(self, inputs: Sequence[Array], rows: int | None = None) -> list[Array]:
        """As `Executable.run`; NumericsError names the first value that is not finite."""
        try:
            return self.native.run(inputs, rows)
        except CheckError as error:
            if error.message != MESSAGE:
                raise
            raise self._located(inputs, rows) from None

    def __call__(self, *arrays: Array, **named: Array) -> Array | list[Array]:
        inputs = self.native._ordered(arrays, named)
        results = self.run(inputs, self.native._rows_in(inputs))
        return results[0] if len(results) == 1 else results

    def _located(self, inputs: Sequence[Array], rows: int | None) -> FloatingPointError:
        graph = self._graph if rows in (None, self._graph.batch) else with_rows(self._graph, rows or 1)
        flagged = self._values(_flags(graph), inputs, rows)
        bad = next((value for value, flag in zip(_candidates(graph), flagged, strict=True) if flag), None)
        if bad is None:
            return FloatingPointError(f"{graph.name}: {MESSAGE}, but not when it was computed again")
        wanted = [bad, *dict.fromkeys(bad.node.inputs)]
        arrays = dict(zip(wanted, self._values(_only(graph, wanted), inputs, rows), strict=True))
        return _error(_inside(_find(bad, arrays), arrays))

    def _values(self, graph: Graph, inputs: Sequence[Array], rows: int | None) -> list[Array]:
        """The results of a graph made of the source, for the same data, weights and states."""
        return compile_graph(graph, self._options, bind=self.native.state).run(inputs, rows)


def guarded(graph: Graph) -> Graph:
    """The graph with one more check, which fails if a float value of it, its inputs included, is not finite."""
    b = Builder(graph=graph)
    raised = [_flag(b, value) for value in _candidates(graph)]
    if not raised:
        return graph
    while len(raised) > 1:
        pairs = zip(raised[::2], raised[1::2], strict=False)
        raised = [*(fn.maximum(b, x, y) for x, y in pairs), *raised[len(raised) // 2 * 2 :]]
    b.check(raised[0], MESSAGE)
    return b.build(graph.outputs, graph.output_names)


def _candidates(graph: Graph) -> list[Value]:
    """The float values that are looked at, in order: inputs and results, but no constants."""
    return [v for v in graph.values() if v.dtype.is_float and v.type.size and not isinstance(v.op, Source)]


def _flag(b: Builder, value: Value) -> Value:
    """1 if an element is not finite, else 0."""
    with b.at(value.node.loc):
        return fn.max(b, fn.cast(b, fn.logical_not(b, fn.is_finite(b, value)), DType.I32))


def _flags(graph: Graph) -> Graph:
    """A graph of nothing but the flags of all these values, in order."""
    b = Builder(graph=replace(graph, updates=(), checks=()))
    return b.build([_flag(b, value) for value in _candidates(graph)])


def _only(graph: Graph, values: Sequence[Value]) -> Graph:
    """A graph with these values as outputs."""
    return Builder(graph=replace(graph, updates=(), checks=())).build(values)


def _find(value: Value, arrays: Mapping[Value, Array], steps: tuple[str, ...] = (), around: Loc | None = None) -> _Find:
    operands = {v: arrays[v] for v in dict.fromkeys(value.node.inputs) if v.dtype.is_float}
    loc = value.node.loc
    return _Find(value, arrays[value], operands, steps, loc if loc.layer or around is None else around)


def _inside(found: _Find, arrays: Mapping[Value, Array]) -> _Find:
    """Where in the body of a loop it was; what was found, if it was in no loop or the interpreter sees nothing."""
    loop = found.value.op
    if not isinstance(loop, Loop):
        return found
    for t, known in _steps(loop, [arrays[value] for value in found.value.node.inputs]):
        for value in _candidates(loop.body):
            if not np.isfinite(known[value]).all():
                steps = (*found.steps, f"step {t} of {loop.steps}")
                return _inside(_find(value, known, steps, found.loc), known)
    return found


def _steps(loop: Loop, arrays: Sequence[Array]) -> Iterator[tuple[int, Mapping[Value, Array]]]:
    """Every step with the arrays of all values in it."""
    carries = list(arrays[: loop.carries])
    for t in loop.order():
        known = evaluate(loop.body, loop.seen(t, carries, arrays))
        yield t, known
        carries = [known[value] for value in loop.following()]


def _error(found: _Find) -> NumericsError:
    value, array = found.value, found.array
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    count = int(np.sum(~np.isfinite(array)))
    what = f"%{value.name} : {value.type} has {array[index]!s} at {index}, and {count} such elements of {array.size}"
    reasons = "; ".join(f"%{v.name} {_range(a)}" for v, a in found.operands.items())
    tail = f"; operands: {reasons}" if reasons else ""
    return NumericsError(f"{_where(found)}: {what}{tail}. Nothing was updated", found, index)


def _where(found: _Find) -> str:
    op = found.value.op
    if isinstance(op, Parameter) and not found.steps:
        return {Role.INPUT: "data", Role.PARAM: "weight", Role.STATE: "state"}[op.role]
    loc = found.loc
    place = f"layer {loc.layer}" if loc.layer else "outside of layers"
    return ", ".join((place, _op_name(found.value), loc.direction, *found.steps))


def _op_name(value: Value) -> str:
    return value.op.role if isinstance(value.op, Parameter) else value.op.mnemonic


def _range(array: Array) -> str:
    finite = array[np.isfinite(array)]
    if not finite.size:
        return "has no finite element"
    return f"from {float(finite.min()):.6g} to {float(finite.max()):.6g}"
