"""Checks of a compilation against the numpy interpreter: every pass, every kernel, the whole step, short batches.

The interpreter is the oracle: it shares no code with passes and kernels. The first stage whose numbers differ is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.compiler import compile_graph
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.interpret import evaluate, interpret
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Array, Node, Parameter, Role, Source, Value
from graphc.ir.structure import structural_key
from graphc.ir.types import DType, Rows, concrete
from graphc.options import CompileOptions, compile_options
from graphc.runtime.executable import CheckError
from graphc.runtime.interpreted import InterpretedExecutable
from passes.manager import Pass, PassError, pass_name, run_passes
from passes.memory import plan_memory
from passes.pipeline import PIPELINE
from passes.validate import first_difference, results_of

LOOSE = 1e-2  # relative, of an element or of the largest
TIPPED = 1e-3  # share of elements that rounding may send another way
SHAKES = 8  # runs of the interpreter on operands that differ by rounding, to find these elements
ROUNDING = 1e-5  # relative, of an operand's element


class CheckFailure(AssertionError):
    """The first stage of a compilation that gives other numbers than the interpreter; `stage` names it."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found right: passes that changed the graph, kernels compared, and the batch sizes of whole runs."""

    name: str
    passes: tuple[str, ...]
    kernels: tuple[str, ...]
    rows: tuple[int, ...]

    def __str__(self) -> str:
        runs = f"runs of {' and '.join(map(str, self.rows))} rows" if self.rows else "whole run"
        return (
            f"{self.name}: {len(self.passes)} passes, {len(self.kernels)} kernels and {runs} "
            "give the interpreter's numbers"
        )

    __repr__ = __str__


def check_graph(
    graph: Graph,
    arrays: Mapping[str, Array] | None = None,
    options: CompileOptions | None = None,
    seed: int = 0,
    pipeline: Sequence[Pass] = PIPELINE,
) -> CheckReport:
    """Compares every pass, every kernel and whole runs of a graph with the interpreter.

    `arrays` gives inputs, weights and states by name; the others are random. CheckFailure names the first stage that
    differs, with the value, the first element and both numbers. The interpreter takes its time: seconds for a small
    network, minutes for a large one.
    """
    options = replace(options or compile_options(), dump=None)
    known = {**{value.name: _drawn(graph, value, seed + i) for i, value in enumerate(graph.inputs)}, **(arrays or {})}
    passes = tuple(_check_passes(graph, known, pipeline))
    planned = plan_memory(run_passes(graph, pipeline, verify=0)).graph
    kernels = tuple(_check_kernels(planned, known, options))
    return CheckReport(graph.name, passes, kernels, tuple(_check_runs(graph, known, options, pipeline)))


def _drawn(graph: Graph, value: Value, seed: int) -> Array:
    """A random array for an input. Integers of a call may be class numbers or ids, slots of an optimizer are positive:
    near zero its update would tell the sign of a gradient's rounding."""
    rng = np.random.default_rng(seed)
    shape, dtype, role = concrete(value.shape), value.dtype, graph.role(value)
    if dtype.is_float:
        normal = rng.standard_normal(shape)
        return np.asarray(np.abs(normal) if role == Role.STATE else normal).astype(dtype.numpy)
    highest = 2**31 if dtype in (DType.U32, DType.U64) and role == Role.STATE else 1
    return np.asarray(rng.integers(0, highest, shape, endpoint=True)).astype(dtype.numpy)


def _ordered(graph: Graph, known: Mapping[str, Array]) -> list[Array]:
    return [np.asarray(known[value.name]) for value in graph.inputs]


# Passes


def _check_passes(graph: Graph, known: Mapping[str, Array], pipeline: Sequence[Pass]) -> Iterator[str]:
    """The names of the passes that changed the graph, each found to keep its numbers."""
    expected = results_of(graph, _ordered(graph, known))
    for step in pipeline:
        name = pass_name(step)
        try:
            after = run_passes(graph, [step], verify=1)
        except PassError as error:
            raise CheckFailure(f"pass {name}", str(error)) from None
        if after is graph:
            continue
        if difference := first_difference(graph, expected, results_of(after, _ordered(after, known))):
            raise CheckFailure(f"pass {name}", difference)
        graph = after
        yield name


# Kernels


def _check_kernels(planned: Graph, known: Mapping[str, Array], options: CompileOptions) -> Iterator[str]:
    """The names of the kernels, each run alone on what the interpreter hands it; those in loops on what their first
    step does."""
    arrays = evaluate(planned, dict(zip(planned.inputs, _ordered(planned, known), strict=True)))
    return _check_nodes(planned, arrays, options, set())


def _check_nodes(
    graph: Graph, arrays: Mapping[Value, Array], options: CompileOptions, done: set[object]
) -> Iterator[str]:
    for node in graph.nodes:
        alone = _alone(node)
        if alone is None or (key := structural_key(alone)) in done:
            continue
        done.add(key)
        operands = [arrays[value] for value in node.inputs]
        if isinstance(op := node.op, Loop) and op.steps:
            first = evaluate(op.body, op.seen(op.order()[0], operands[: op.carries], operands))
            yield from _check_nodes(op.body, first, options, done)
        native = compile_graph(alone, options, pipeline=()).run(operands)
        if difference := _kernel_difference(alone, operands, [arrays[value] for value in node.outputs], native):
            raise CheckFailure(f"kernel {alone.name} ({node.loc}, {node.loc.direction})", difference)
        yield alone.name


def _kernel_difference(
    alone: Graph, operands: Sequence[Array], expected: Sequence[Array], native: Sequence[Array]
) -> str:
    """What differs first, but for few elements of which rounding decides: a comparison with what is all but equal."""
    difference = first_difference(alone, expected, native)
    if not difference:
        return ""
    unsteady = _unsteady(alone, operands, expected)
    if any(np.mean(tipped, dtype=float) > TIPPED for tipped in unsteady if tipped.size):
        return difference
    steady = [np.where(tipped, old, new) for tipped, old, new in zip(unsteady, expected, native, strict=True)]
    return first_difference(alone, expected, steady)


def _unsteady(alone: Graph, operands: Sequence[Array], expected: Sequence[Array]) -> list[Array]:
    """Which elements the interpreter itself finds otherwise when operands differ by rounding."""
    found = [np.zeros(old.shape, bool) for old in expected]
    for seed in range(SHAKES):
        rng = np.random.default_rng(seed)
        shaken = [_shaken(rng, array) for array in operands]
        results = interpret(alone, dict(zip(alone.inputs, shaken, strict=True)))
        for tipped, old, new in zip(found, expected, results, strict=True):
            tipped |= old != new if old.dtype.kind != "f" else ~np.isclose(new, old, LOOSE, LOOSE, equal_nan=True)
    return found


def _shaken(rng: np.random.Generator, array: Array) -> Array:
    if array.dtype.kind != "f":
        return array
    return np.asarray(array * (1 + ROUNDING * rng.standard_normal(array.shape))).astype(array.dtype)


def _alone(node: Node) -> Graph | None:
    """A graph of one node; None for what needs no kernel."""
    if isinstance(node.op, Alias | Source | Parameter):
        return None
    inputs = [Value(Node(Parameter(), (), (v.type,), (f"x{i}",))) for i, v in enumerate(node.inputs)]
    copy = Node(node.op, tuple(inputs), node.types, node.names, node.loc)
    name = node.op.label if isinstance(node.op, Fused) else node.op.mnemonic
    return Graph(name, tuple(inputs), (copy,), copy.outputs)


# Whole runs


def _check_runs(
    graph: Graph, known: Mapping[str, Array], options: CompileOptions, pipeline: Sequence[Pass]
) -> Iterator[int]:
    """The numbers of rows for which a whole run gave the interpreter's outputs, weights and states."""
    for rows in _batches(graph):
        states = [value.name for value in graph.inputs if graph.role(value) != Role.INPUT]
        inputs = [_cut(known[v.name], v, rows) for v in graph.inputs_of(Role.INPUT)]
        oracle = InterpretedExecutable(graph, {name: known[name].copy() for name in states})
        bind = {name: np.array(known[name], order="C") for name in states}
        native = compile_graph(graph, options, bind=bind, pipeline=pipeline)
        expected, got = (_outcome(exe, inputs, rows) for exe in (oracle, native))
        for name, old in expected.items():
            if (difference := _gross_difference(old, got[name])) is not None:
                raise CheckFailure(f"a run of {rows or 1} rows", f"%{name}: {difference}")
        yield rows or 1


def _batches(graph: Graph) -> list[int | None]:
    """The full batch and, where rows are counted, a shorter one."""
    batch = graph.batch
    return [batch] if batch is None or batch < 2 else [batch, (batch + 1) // 2]


def _cut(array: Array, value: Value, rows: int | None) -> Array:
    first = value.shape[0] if value.shape else None
    return array[: rows * first.per] if isinstance(first, Rows) and rows is not None else array


def _outcome(exe: Any, inputs: list[Array], rows: int | None) -> dict[str, Array | str]:
    """Outputs and states after a run by name, or the message of the check that refused it."""
    try:
        outputs = exe.run(inputs, rows)
    except CheckError as error:
        return {"check": error.message}
    return {**{f"output {i}": array for i, array in enumerate(outputs)}, **exe.state}


def _gross_difference(old: Any, new: Any) -> str | None:
    """What differs beyond rounding. Loosely: every kernel was compared alone, and rounding may tip a maximum."""
    if isinstance(old, str) or isinstance(new, str):
        return None if isinstance(new, str) and new == old else f"the interpreter says {old!r}, native code {new!r}"
    finite = np.abs(old[np.isfinite(old)]) if old.dtype.kind == "f" else np.zeros(1)
    close = np.isclose(new, old, LOOSE, LOOSE * float(finite.max(initial=0.0)), equal_nan=True)
    if (wrong := np.mean(~close, dtype=float) if close.size else 0.0) <= TIPPED:
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{wrong:.1%} of the elements differ; at {at} it is {old[at]!r}, native code gave {new[at]!r}"
