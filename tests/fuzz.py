"""What must hold for every graph, however random: `check` compiles it in several ways and compares all of them.

Kernels run one by one on guarded memory; whole programs run with and without fusion and memory sharing, on one thread
and on several, on full and on short batches. The numpy interpreter says what is right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from native import NativeBody, assert_exact_enough, compile_bodies, largest, single_op, widen, widened
from random_graphs import Recipe, build

from codegen.target import host_target
from graphc.compiler import PIPELINE, compile_graph
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.interpret import evaluate
from graphc.ir.op import Alias, Array, Node, Role, Value
from graphc.ir.types import Rows, concrete
from graphc.options import CompileOptions
from graphc.primitives.source import Constant
from graphc.runtime.executable import Executable
from passes.fusion import fuse
from passes.manager import run_passes
from passes.results import own_results

UNFUSED = tuple(step for step in PIPELINE if step is not fuse) + (own_results,)
Arrays = Mapping[str, Array]


# ---- single kernels


def check_kernels(graph: Graph, arrays: Arrays, rows: int | None) -> None:
    """Every kernel of a compiled graph, alone, against the interpreter; rows beyond `rows` hold rubbish."""
    known = evaluate(graph, by_value(graph, arrays))
    nodes = [node for node in graph.nodes if has_kernel(node)]
    graphs = [body_of(node) for node in nodes]
    for node, body in zip(nodes, compile_bodies(graphs, host_target()), strict=True):
        operands = [known[v] for v in node.inputs]
        try:
            check_body(body, operands, graph.batch or 1)
            if rows is not None and graph.batch:
                check_short_body(body, operands, rows)
        except Exception as error:
            error.add_note(f"kernel of %{node.names[0]}")
            raise


def has_kernel(node: Node) -> bool:
    return not isinstance(node.op, Alias) and not (isinstance(node.op, Constant) and node.op.splat is None)


def body_of(node: Node) -> Graph:
    return node.op.body if isinstance(node.op, Fused) else single_op(node.op, tuple(v.type for v in node.inputs))


def check_body(body: NativeBody, operands: Sequence[Array], rows: int) -> None:
    found = body.run(operands, rows)
    for one, other in zip(found, body.run(operands, rows, at_start=True), strict=True):
        np.testing.assert_array_equal(one, other, "arrays at the start of a page")
    assert_agree(body.graph, dict(zip(body.graph.inputs, operands, strict=True)), found)


def check_short_body(body: NativeBody, operands: Sequence[Array], rows: int) -> None:
    """The kernel on a short batch against the same body made for that batch."""
    graph = at_batch(body.graph, rows)
    poisoned = [poison(a, v, rows) for a, v in zip(operands, body.graph.inputs, strict=True)]
    valid = [prefix(a, v, rows) for a, v in zip(operands, body.graph.inputs, strict=True)]
    found = [prefix(a, v, rows) for a, v in zip(body.run(poisoned, rows), body.graph.outputs, strict=True)]
    assert_agree(graph, dict(zip(graph.inputs, valid, strict=True)), found)


def prefix(array: Array, value: Value, rows: int) -> Array:
    """The valid elements for so many rows."""
    return array[(*(slice(rows * dim.per if isinstance(dim, Rows) else None) for dim in value.shape), ...)]


def poison(array: Array, value: Value, rows: int) -> Array:
    """The array with everything but the valid elements made useless."""
    useless = {"f": np.nan, "b": True}.get(array.dtype.kind, 99)
    result = np.full_like(array, useless)
    prefix(result, value, rows)[...] = prefix(array, value, rows)
    return result


# ---- programs


@dataclass(frozen=True, slots=True)
class Run:
    """What a run gave: outputs, and states after it by name."""

    outputs: list[Array]
    states: dict[str, Array]

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield from self.outputs
        yield from self.states.values()


def run_program(executable: Executable, graph: Graph, arrays: Arrays, rows: int | None = None, steps: int = 1) -> Run:
    for name, state in executable.state.items():
        state[...] = arrays[name]
    data = [prefix(arrays[v.name], v, rows) if rows else arrays[v.name] for v in graph.inputs_of(Role.INPUT)]
    for _ in range(steps):
        outputs = executable.run(data, rows)
    return Run([a.copy() for a in outputs], {name: state.copy() for name, state in executable.state.items()})


def check_program(graph: Graph, arrays: Arrays, short: Graph | None, rows: int) -> None:
    """Full and short batches of the fused program, then the other ways to compile and run it."""
    options = CompileOptions(threads=1)
    executable = compile_graph(graph, options)
    once = run_program(executable, graph, arrays)
    assert_agree(graph, by_value(graph, arrays), results(graph, once))
    if short is not None:
        valid = {v.name: prefix(arrays[v.name], v, rows) for v in graph.inputs}
        found = run_program(executable, graph, arrays, rows)
        assert_agree(short, by_value(short, valid), results(graph, found), "short batch")
        assert_equal(once, run_program(executable, graph, arrays), "a full batch after a short one")
    steps = run_program(executable, graph, arrays, steps=3)
    for threads in (2, 3):
        other = compile_graph(graph, replace(options, threads=threads)) if threads == 2 else other_threads(executable, threads)
        assert_equal(steps, run_program(other, graph, arrays, steps=3), f"{threads} threads")
    apart = compile_graph(graph, options, arena=False)
    assert_equal(steps, run_program(apart, graph, arrays, steps=3), "without memory sharing")
    unfused = compile_graph(graph, options, pipeline=UNFUSED, arena=False)
    assert_agree(graph, by_value(graph, arrays), results(graph, run_program(unfused, graph, arrays)), "without fusion")
