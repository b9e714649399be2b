"""What must hold for every graph, however random: `check` compiles it in several ways and compares all of them.

Kernels run one by one on guarded memory; whole programs run with and without fusion and memory sharing, on one thread
and on several, on full and on short batches. The numpy interpreter says what is right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
from native import (
    NativeBody,
    NativeProgram,
    assert_exact_enough,
    at_batch,
    compile_bodies,
    compile_program,
    largest,
    poison,
    prefix,
    single_op,
    widen,
    widened,
)
from random_graphs import Recipe, build

from codegen import lower, schedule
from codegen.target import Target, host_target, named_target
from graphc.compiler import compile_graph
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.interpret import evaluate, interpret
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Array, Node, Role
from graphc.options import CompileOptions
from graphc.primitives.source import Constant
from graphc.runtime.executable import Executable
from passes.fusion import fuse
from passes.manager import run_passes
from passes.pipeline import PIPELINE
from passes.results import own_results

UNFUSED = (*(step for step in PIPELINE if step is not fuse), own_results)
ONE_THREAD = CompileOptions(threads=1, cache=False)
OTHER = named_target("x86-64-v3") if named_target("x86-64-v3").is_host_runnable else None  # for every third seed
SHAKES = 8  # interpretations with changed inputs that tell how much a graph magnifies rounding
Arrays = Mapping[str, Array]


@contextmanager
def small_caches() -> Iterator[None]:
    """Schedules as for a machine so small that reductions of a few points are split, blocked and walked in panels."""
    limits = [(schedule, "FOOTPRINT_BYTES", 2048), (schedule, "BLOCK_BYTES", 512), (schedule, "BLOCK_POINTS", 3),
              (schedule, "PANEL_BYTES", 512), (lower, "SPLIT_PRODUCTS", 500), (lower, "SPLIT_POINTS", 100)]  # fmt: skip
    usual = [getattr(module, name) for module, name, _ in limits]
    try:
        for module, name, small in limits:
            setattr(module, name, small)
        yield
    finally:
        for (module, name, _), value in zip(limits, usual, strict=True):
            setattr(module, name, value)


def check(recipe: Recipe) -> None:
    """All promises, for the graph of a recipe and data from its seed; every second seed is for small caches."""
    with small_caches() if recipe.seed % 2 else nullcontext():
        check_graph(recipe)


def check_graph(recipe: Recipe) -> None:
    graph, inputs = build(recipe)
    arrays = inputs.arrays(graph, recipe.seed)
    rows = 1 + recipe.seed % (recipe.batch - 1) if recipe.batch > 1 else 0
    check_kernels(run_passes(graph, PIPELINE), arrays, rows, OTHER if recipe.seed % 3 == 0 else None)
    check_program(graph, arrays, rows)


# ---- single kernels


def check_kernels(graph: Graph, arrays: Arrays, rows: int, target: Target | None = None) -> None:
    """Every kernel of a compiled graph, alone, against the interpreter; rows beyond `rows` (0: none) hold rubbish."""
    known = evaluate(graph, {v: arrays[v.name] for v in graph.inputs})
    nodes = [node for node in graph.nodes if has_kernel(node)]
    for node, body in compiled(nodes, target or host_target()).items():
        operands = [known[v] for v in node.inputs]
        try:
            check_body(body, operands, graph.batch or 1)
            if rows and body.graph.batch:
                check_short_body(body, operands, rows)
        except Exception as error:
            error.add_note(f"in the kernel of %{node.names[0]}, {node.op.mnemonic}")
            raise


def compiled(nodes: Sequence[Node], target: Target) -> dict[Node, NativeBody | NativeProgram]:
    single = [node for node in nodes if not isinstance(node.op, Loop)]
    bodies = dict(zip(single, compile_bodies([body_of(node) for node in single], target), strict=True))
    return bodies | {node: compile_program(body_of(node), target) for node in nodes if isinstance(node.op, Loop)}


def has_kernel(node: Node) -> bool:
    return not isinstance(node.op, Alias) and not (isinstance(node.op, Constant) and node.op.splat is None)


def body_of(node: Node) -> Graph:
    return node.op.body if isinstance(node.op, Fused) else single_op(node.op, tuple(v.type for v in node.inputs))


def check_body(body: NativeBody | NativeProgram, operands: Sequence[Array], rows: int) -> None:
    found = body.run(operands, rows)
    assert_equal(found, body.run(operands, rows, at_start=True), "memory and chunks the other way round")
    assert_agree(body.graph, operands, found)


def check_short_body(body: NativeBody | NativeProgram, operands: Sequence[Array], rows: int) -> None:
    """The kernel on a short batch against the same body made for that batch."""
    inputs, outputs = body.graph.inputs, body.graph.outputs
    valid = [prefix(a, v.type, rows) for a, v in zip(operands, inputs, strict=True)]
    found = body.run([poison(a, v.type, rows) for a, v in zip(operands, inputs, strict=True)], rows)
    assert_agree(
        at_batch(body.graph, rows), valid, [prefix(a, v.type, rows) for a, v in zip(found, outputs, strict=True)]
    )


# ---- programs


def check_program(graph: Graph, arrays: Arrays, rows: int) -> None:
    """Full and short batches of the fused program, then the other ways to compile and run it."""
    executable = compile_graph(graph, ONE_THREAD)
    full = run_program(executable, graph, arrays)
    operands = [arrays[v.name] for v in graph.inputs]
    assert_agree(graph, operands, full)
    if rows:
        valid = [prefix(arrays[v.name], v.type, rows) for v in graph.inputs]
        assert_agree(at_batch(graph, rows), valid, run_program(executable, graph, arrays, rows))
        assert_equal(full, run_program(executable, graph, arrays), "a full batch after a short one")
    steps = run_program(executable, graph, arrays, steps=3)
    apart = compile_graph(graph, replace(ONE_THREAD, threads=2), arena=False)
    assert_equal(steps, run_program(apart, graph, arrays, steps=3), "two threads, no memory shared")
    unfused = compile_graph(graph, replace(ONE_THREAD, threads=3), pipeline=UNFUSED)
    assert_agree(graph, operands, run_program(unfused, graph, arrays))


def run_program(executable: Executable, graph: Graph, arrays: Arrays, rows: int = 0, steps: int = 1) -> list[Array]:
    """The graph's outputs, then the next states, after some steps from the given states."""
    for name, state in executable.state.items():
        state[...] = arrays[name]
    data = [prefix(arrays[v.name], v.type, rows) if rows else arrays[v.name] for v in graph.inputs_of(Role.INPUT)]
    for _ in range(steps):
        outputs = executable.run(data, rows or None)
    if rows:  # an executable cuts rows at the first axis only
        outputs = [prefix(a, v.type, rows) for a, v in zip(outputs, graph.outputs, strict=True)]
    return [*outputs, *(executable.state[state.name].copy() for state, _ in graph.updates)]


# ---- comparisons


def assert_equal(one: Sequence[Array], other: Sequence[Array], what: str) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b, what)


def assert_agree(graph: Graph, operands: Sequence[Array], found: Sequence[Array]) -> None:
    """Results against the interpreter: within the tolerance, or within what rounding the operands differently does."""
    known = evaluate(graph, dict(zip(graph.inputs, operands, strict=True)))
    plain = [known[v] for v in graph.results]
    in_wide = widened(graph)
    exact = interpret(in_wide, dict(zip(in_wide.inputs, map(widen, operands), strict=True)))
    scale = largest([*known.values()])
    noise: list[float] = []
    for number, (got, want, wide) in enumerate(zip(found, plain, exact, strict=True)):
        try:
            assert_exact_enough(got, want, wide, scale)
        except AssertionError as error:
            noise = noise or _noise(in_wide, operands, exact)
            if not distance(got, wide) <= 4 * noise[number]:
                error.add_note(
                    f"result {number} of {len(found)}; rounding the operands changes it by {noise[number]:.2g}"
                )
                raise


def _noise(graph: Graph, operands: Sequence[Array], exact: Sequence[Array]) -> list[float]:
    """How far the results of a wide graph move when its operands are rounded differently."""
    worst = [0.0] * len(exact)
    for seed in range(SHAKES):
        rng = np.random.default_rng(seed)
        moved = interpret(graph, dict(zip(graph.inputs, (_shaken(a, rng) for a in operands), strict=True)))
        worst = [max(w, distance(m, e)) for w, m, e in zip(worst, moved, exact, strict=True)]
    return worst


def _shaken(array: Array, rng: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    return np.asarray(widen(array) * (1 + np.finfo(array.dtype).eps * rng.uniform(-4, 4, array.shape)))


def distance(a: Array, b: Array) -> float:
    """The largest difference, infinite where only one is a number."""
    if a.shape != b.shape:
        return np.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        return float(np.nan_to_num(np.abs(a - b)[~same], nan=np.inf).max(initial=0.0))


# ---- reduction


def reduce(recipe: Recipe, fails: Callable[[Recipe], bool], seconds: float) -> Recipe:
    """A shorter recipe that still fails: moves are left out, half of them at first, one at last."""
    until = time.monotonic() + seconds
    size = max(len(recipe.moves) // 2, 1)
    while size:
        for smaller in _without(recipe, size):
            if time.monotonic() > until:
                return recipe
            if fails(smaller):
                recipe = smaller
                break
        else:
            size //= 2
    return recipe


def _without(recipe: Recipe, size: int) -> Iterator[Recipe]:
    if size == 1 and recipe.trains:
        yield replace(recipe, trains=False)
    for start in range(0, len(recipe.moves), size):
        yield replace(recipe, moves=recipe.moves[:start] + recipe.moves[start + size :])


def fails(recipe: Recipe) -> bool:
    try:
        check(recipe)
    except Exception:
        return True
    return False
