"""Attention that holds no scores: what it computes, its gradient, its loops, and the memory they need."""

from __future__ import annotations

import numpy as np
import pytest
from test_scan import check_short, data, options, run

from codegen.program import build_program
from codegen.target import host_target
from graphc import ops
from graphc.compiler import compile_graph, gradients
from graphc.ir.builder import Builder
from graphc.ir.cost import graph_work
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Array
from graphc.ir.program import Program
from graphc.ir.types import DType, Rows, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.attention import Attention
from graphc.primitives.attention_loops import Blocks
from graphc.runtime.interpreted import InterpretedExecutable
from passes.manager import run_passes
from passes.memory import plan_memory
from passes.pipeline import PIPELINE


def by_hand(q: Array, k: Array, v: Array, seen: Array | None, causal: bool) -> Array:
    """Attention as Keras has it on JAX: rows that see nothing are even."""
    scores = np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(q.shape[-1])
    counts = np.ones(scores.shape, bool) if seen is None else np.broadcast_to(seen, scores.shape)
    counts = counts & np.tri(q.shape[1], k.shape[1], dtype=bool) if causal else counts
    scores = np.where(counts, scores, -0.7 * np.finfo("float32").max)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    found: Array = np.einsum("bhts,bshd->bthd", weights / weights.sum(-1, keepdims=True), v)
    return found


def attention(
    shape: tuple[int, int, int, int, int],
    *,
    causal: bool = False,
    seen: bool = False,
    rows: int = 3,
    dtype: DType = DType.F32,
) -> Graph:
    """The loss sum(out * g), of queries, keys, heads, width and width of values as given."""
    times, sources, heads, width, wide = shape
    n, b = Rows(rows), Builder("attention")
    sizes = {"q": (times, width), "k": (sources, width), "v": (sources, wide), "g": (times, wide)}
    q, k, v, g = (b.input(name, TensorType((n, s, heads, w), dtype)) for name, (s, w) in sizes.items())
    masks = [b.input("seen", TensorType((n, sources), DType.BOOL))] if seen else []
    out = b.add_all(Attention(width**-0.5, causal), q, k, v, *masks)[0]
    return b.build([fn.sum(b, fn.mul(b, out, g)), fn.mul(b, out, 1.0)])


def step(graph: Graph) -> Graph:
    """The loss, and the gradients of q, k and v."""
    return gradients(graph, graph.outputs[0], list(graph.inputs[:3]))


def arrays_for(graph: Graph) -> list[Array]:
    """Data with masks that hide something, and everything from the second sample."""
    arrays = data(graph)
    for array in arrays:
        if array.dtype == bool:
            array[:] = np.random.default_rng(1).random(array.shape) > 0.4
            array[1] = False
    return arrays


def program(graph: Graph) -> Program:
    return build_program(plan_memory(run_passes(graph, PIPELINE)), host_target())[0]


def loops(graph: Graph) -> list[Loop]:
    return [node.op for node in run_passes(graph, PIPELINE).nodes if isinstance(node.op, Loop)]


# ---- meaning


@pytest.mark.parametrize(("times", "sources"), [(130, 130), (97, 211), (1, 16500)])
@pytest.mark.parametrize("causal", [False, True])
def test_ops_give_what_scores_by_hand_give(times: int, sources: int, causal: bool, rng: np.random.Generator) -> None:
    q, k, v = (rng.normal(size=(2, s, 3, w)).astype("float32") for s, w in ((times, 8), (sources, 8), (sources, 5)))
    some = rng.random((2, 1, 1, sources)) > 0.4
    for mask in (None, some, some[0, 0, 0], np.zeros_like(some)):
        found = ops.dot_product_attention(q, k, v, mask=mask, is_causal=causal)
        np.testing.assert_allclose(found, by_hand(q, k, v, mask, causal), rtol=1e-4, atol=2e-6)


CASES = [
    ((131, 131, 2, 8, 5), {"causal": True}),  # no divisor: the last block is filled up
    ((256, 256, 1, 16, 16), {"causal": True}),  # several parts
    ((70, 150, 2, 4, 3), {"causal": True, "seen": True}),
    ((67, 131, 3, 4, 5), {"seen": True}),
    ((1, 129, 2, 4, 5), {}),
]


@pytest.mark.parametrize(("shape", "kinds"), CASES)
def test_native_code_and_its_gradient_are_those_of_the_op(shape: tuple[int, ...], kinds: dict[str, bool]) -> None:
    graph = step(attention(shape, **kinds))  # type: ignore[arg-type]
    run(graph, arrays_for(graph))
    check_short(graph, 2)


@pytest.mark.parametrize("seen", [False, True])
def test_gradients_are_the_differences(seen: bool, rng: np.random.Generator) -> None:
    graph = attention((7, 9, 2, 3, 4), causal=True, seen=seen, dtype=DType.F64)
    joint = step(graph)
    arrays = arrays_for(graph)
    found = compile_graph(joint, options()).run(arrays)[-3:]
    loss = InterpretedExecutable(graph)
    for number, gradient in enumerate(found):
        direction = rng.normal(size=gradient.shape)
        moved = [[a + sign * 1e-5 * direction if i == number else a for i, a in enumerate(arrays)] for sign in (1, -1)]
        above, below = (float(loss.run(at)[0]) for at in moved)
        slope = (above - below) / 2e-5
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-6, atol=1e-8)


def test_threads_change_no_bit() -> None:
    graph = step(attention((192, 192, 3, 8, 8), causal=True))
    arrays = data(graph)
    first, *others = (compile_graph(graph, options(threads=threads)).run(arrays) for threads in (1, 2, 3))
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


# ---- loops


def test_every_head_is_a_unit_of_work() -> None:
    """So that one sample occupies all threads."""
    graph = attention((512, 512, 4, 64, 64), rows=1)
    phases = program(graph).phases
    assert [phase.units for phase in phases if phase.symbol.startswith("scan")] == [4]


@pytest.mark.parametrize(("rows", "heads"), [(1, 1), (3, 1)])
def test_where_heads_are_few_their_steps_are_units(rows: int, heads: int) -> None:
    """Of the loop that carries nothing, the forward one."""
    graph = attention((512, 512, heads, 64, 64), rows=rows, seen=True)
    (units,) = [phase.units for phase in program(graph).phases if phase.symbol.startswith("scan")]
    assert units >= 4
    run(graph, arrays_for(graph) if rows > 1 else data(graph), threads=2)
    check_short(graph, max(rows - 1, 1))


def test_what_lies_ahead_is_left_out() -> None:
    def work(causal: bool) -> float:
        graph = step(attention((1024, 1024, 1, 64, 64), causal=causal))
        return graph_work(run_passes(graph, PIPELINE)).flops

    assert work(True) < 0.66 * work(False)


def test_parts_are_all_blocks_in_order() -> None:
    for steps in (1, 63, 64, 128, 131, 512, 1000, 4096):
        blocks = Blocks.of(steps)
        parts = blocks.parts()
        assert sum(part.count for part in parts) == blocks.count
        assert [part.first for part in parts[1:]] == [part.last for part in parts[:-1]]
        assert (parts[0].first, parts[-1].last) == (0, steps)
        assert all(not part.missing for part in parts[:-1])


# ---- memory


def needed(length: int, kinds: dict[str, bool], *, training: bool) -> int:
    graph = attention((length, length, 2, 64, 64), rows=2, **kinds)  # type: ignore[arg-type]
    made = program(step(graph) if training else graph)
    return made.arena_bytes + made.scratch_bytes


@pytest.mark.parametrize(
    ("kinds", "training"), [({}, False), ({}, True), ({"causal": True}, True), ({"seen": True}, True)]
)
def test_memory_grows_linearly_with_the_length(kinds: dict[str, bool], training: bool) -> None:
    sizes = [needed(length, kinds, training=training) for length in (128, 512, 4096)]
    assert sizes[1] < 4.4 * sizes[0] and sizes[2] < 8.4 * sizes[1]
    assert sizes[-1] < 16 * 4096 * (2 * 2 * 64) * 4  # a few arrays like q, where scores would take 268 MB
