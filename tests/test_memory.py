"""Memory planning: no two live values share memory, nothing is overwritten that is still read, and what is shared."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from graphs import adam, random_graph
from nets import NETS

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Alias, Array, Role, Value
from graphc.ir.plan import ALIGNMENT, MemoryPlan, format_plan
from graphc.ir.types import DType, Rows, TensorType, concrete
from graphc.primitives import functions as fn
from passes.dce import dce
from passes.fusion import fuse
from passes.inplace import reusable_operands
from passes.memory import plan_memory
from passes.offsets import aligned, pack
from passes.validate import first_difference, random_inputs, results_of

N = Rows(6)


def tensor(b: Builder, name: str, *shape: int, role: str = Role.INPUT) -> Value:
    return b.input(name, TensorType(shape), role)


def run_in_memory(plan: MemoryPlan, arrays: dict[Value, Array]) -> tuple[Array, ...]:
    """Interprets the graph with every value in the memory the plan gives it; results as `graph.results`."""
    arena = np.full(plan.arena_bytes, 0xA5, np.uint8)
    own = {i: np.zeros(b.nbytes, np.uint8) for i, b in enumerate(plan.buffers) if b.place != "arena"}

    def view(value: Value) -> Array:
        number = plan.buffer_of[value]
        buffer = plan.buffers[number]
        memory = own[number] if number in own else arena[buffer.offset : buffer.offset + buffer.nbytes]
        return memory[: value.type.nbytes].view(value.dtype.numpy).reshape(concrete(value.shape))

    for value, array in arrays.items():
        view(value)[...] = array
    with np.errstate(all="ignore"):
        for node in plan.graph.nodes:
            operands = [view(value).copy() for value in node.inputs]
            if not isinstance(node.op, Alias):
                for value, result in zip(node.outputs, node.op.eval(*operands), strict=True):
                    view(value)[...] = result
    for state, new in plan.copies:
        view(state)[...] = view(new)
    outputs = [view(v).copy() for v in plan.graph.outputs]
    states = [view(state).copy() for state, _ in plan.graph.updates]
    return (*outputs, *states, *(view(c.value).copy() for c in plan.graph.checks))


def check_plan(graph: Graph, plan: MemoryPlan) -> None:
    """Alive at once means apart in memory; the numbers are the interpreter's."""
    arena = [b for b in plan.buffers if b.place == "arena"]
    for i, a in enumerate(arena):
        assert a.offset % ALIGNMENT == 0 and a.offset + a.nbytes <= plan.arena_bytes
        for b in arena[i + 1 :]:
            if a.first <= b.last and b.first <= a.last and a.nbytes and b.nbytes:
                assert a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset, (a, b)
    assert plan.live_bound <= plan.arena_bytes <= plan.unplanned_bytes
    arrays = random_inputs(graph)
    got = run_in_memory(plan, dict(zip(graph.inputs, arrays, strict=True)))
    assert first_difference(graph, results_of(graph, arrays), got) == ""


@pytest.mark.parametrize("arena", [True, False], ids=["shared", "separate"])
@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int, arena: bool) -> None:
    graph = fuse(random_graph(seed, size=10 + seed))
    check_plan(graph, plan_memory(graph, arena=arena))


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_training_steps_of_nets(net) -> None:  # type: ignore[no-untyped-def]
    graph = net()
    graph = fuse(dce(adam(graph, graph.outputs[0])))
    plan = plan_memory(graph)
    check_plan(graph, plan)
    assert plan.copies == ()


def test_separate_buffers_share_nothing() -> None:
    graph = fuse(random_graph(7))
    plan = plan_memory(graph, arena=False)
    assert plan.arena_bytes == plan.unplanned_bytes
    assert plan.copies == graph.updates


def test_a_map_takes_the_memory_of_a_dying_operand() -> None:
    b = Builder()
    x, w = tensor(b, "x", N, 40), tensor(b, "w", 40, 40, role=Role.PARAM)
    y = fn.matmul(b, x, w)
    total = fn.broadcast(b, fn.tanh(b, fn.sum(b, y)), y.shape, ())
    z = fn.exp(b, fn.mul(b, y, total))
    graph = fuse(b.build((fn.matmul(b, z, w),)))
    plan = plan_memory(graph)
    assert plan.buffer_of[graph.nodes[0].outputs[0]] == plan.buffer_of[graph.nodes[-2].outputs[0]]


def test_a_contraction_does_not_overwrite_what_it_multiplies() -> None:
    b = Builder()
    w = tensor(b, "w", 40, 40, role=Role.PARAM)
    x = fn.matmul(b, w, w)
    y = fn.add(b, fn.matmul(b, x, w), x)
    graph = fuse(b.build((fn.matmul(b, y, w),)))
    assert len({plan_memory(graph).buffer_of[v] for node in graph.nodes for v in node.outputs}) == 3


def test_an_epilogue_takes_the_memory_of_the_residual() -> None:
    b = Builder()
    x, w = tensor(b, "x", N, 40), tensor(b, "w", 40, 40, role=Role.PARAM)
    first = fn.matmul(b, x, w)
    y = fn.add(b, fn.matmul(b, fn.matmul(b, first, w), w), first)
    graph = fuse(b.build((fn.matmul(b, y, w),)))
    plan = plan_memory(graph)
    assert plan.buffer_of[graph.nodes[0].outputs[0]] == plan.buffer_of[graph.nodes[2].outputs[0]]


def test_transposed_and_copied_operands_are_not_reusable() -> None:
    b = Builder()
    x, y = tensor(b, "x", 9, 9), tensor(b, "y", 9, 9)
    (node,) = fuse(b.build((fn.add(b, fn.transpose(b, x), y),))).nodes
    assert [v.name for v in reusable_operands(node)] == ["y"]
    b = Builder()
    x = tensor(b, "x", 9, 9)
    (node,) = fuse(b.build((fn.exp(b, x), x))).nodes
    assert reusable_operands(node) == ()


def test_rows_are_reusable_after_the_last_pass() -> None:
    b = Builder()
    (node,) = fuse(b.build((fn.softmax(b, tensor(b, "x", N, 10)),))).nodes
    assert [v.name for v in reusable_operands(node)] == ["x"]


def test_updates_are_made_in_place_or_copied() -> None:
    b = Builder()
    s, t = tensor(b, "s", 9, 9, role=Role.STATE), tensor(b, "t", 9, 9, role=Role.STATE)
    b.update(s, fn.add(b, s, 1.0))
    b.update(t, fn.transpose(b, t))
    graph = fuse(b.build(()))
    plan = plan_memory(graph)
    check_plan(graph, plan)
    assert [state.name for state, _ in plan.copies] == ["t"]
    assert plan.buffer_of[dict(graph.updates)[graph.inputs[0]]] == plan.buffer_of[graph.inputs[0]]


def test_states_that_exchange_values() -> None:
    b = Builder()
    s, t = tensor(b, "s", 9, role=Role.STATE), tensor(b, "t", 9, role=Role.STATE)
    b.update(s, t)
    b.update(t, s)
    graph = fuse(b.build(()))
    check_plan(graph, plan_memory(graph))


def test_an_update_before_a_check_is_copied_at_the_end() -> None:
    b = Builder()
    s = tensor(b, "s", 9, role=Role.STATE)
    new = fn.add(b, s, 1.0)
    b.update(s, new)
    b.check(fn.cast(b, fn.sum(b, fn.matmul(b, new, new)), DType.I32), "too big")
    graph = fuse(b.build(()))
    assert plan_memory(graph).copies == graph.updates


def test_reshaped_readers_of_a_state_come_before_its_update() -> None:
    b = Builder()
    s, x = tensor(b, "s", 6, 8, role=Role.STATE), tensor(b, "x", 12)
    b.update(s, fn.mul(b, s, 0.5))
    graph = fuse(b.build((fn.matmul(b, fn.reshape(b, s, (4, 12)), x),)))
    plan = plan_memory(graph)
    check_plan(graph, plan)
    assert plan.copies == ()


def test_outputs_that_share_memory_are_refused() -> None:
    b = Builder()
    y = fn.exp(b, tensor(b, "x", 3))
    with pytest.raises(ValueError, match="output %0 is no result of its own; run fuse before"):
        plan_memory(b.build((y, y)))


def test_the_table_names_places_and_totals() -> None:
    b = Builder()
    x, w = tensor(b, "x", 4, 4), tensor(b, "w", 4, 4, role=Role.PARAM)
    y = b.build((fn.matmul(b, fn.matmul(b, x, w), w),))
    lines = format_plan(plan_memory(fuse(y))).splitlines()
    assert lines[0].split() == ["buffer", "place", "bytes", "offset", "first", "last"]
    assert lines[3].split() == ["%0", "arena", "64", "0", "0", "1"]
    assert lines[-1] == "arena 64 bytes; alive at once 64; without sharing 64"


def test_offsets_of_thousands_of_buffers_are_quick_and_tight() -> None:
    rng = random.Random(5)
    firsts = [rng.randrange(1000) for _ in range(3000)]
    lasts = [first + rng.randrange(1, 40) for first in firsts]
    sizes = [rng.choice((64, 1000, 5000, 100_000)) for _ in firsts]
    started = time.process_time()
    offsets, total = pack(sizes, firsts, lasts)
    assert time.process_time() - started < 1.0  # measured: 0.06 s
    alive = [sum(aligned(s) for s, f, e in zip(sizes, firsts, lasts, strict=True) if f <= t <= e) for t in range(1040)]
    assert max(alive) <= total <= 1.15 * max(alive)
    assert len(offsets) == 3000


@pytest.mark.parametrize("rows", [1 << 60, 1 << 62, (1 << 63) + 1, (1 << 64) + 8, (1 << 126) + 3])
def test_sizes_beyond_64_bits_are_refused_and_not_wrapped(rows: int) -> None:
    """The last ones are a few bytes in arithmetic of 64 bits."""
    b = Builder("beyond")
    x = tensor(b, "x", 8)
    wide = fn.sum(b, fn.exp(b, fn.broadcast(b, x, (rows, 8), (1,))), 1)
    graph = b.build([fn.sum(b, fn.cumsum(b, wide, 0), 0)])
    with pytest.raises(MemoryError, match=r"^beyond needs [\d,]{25,} bytes: no machine has as many"):
        plan_memory(graph)
