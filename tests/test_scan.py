"""Loops: what they mean, their gradients, what passes do to them, and the native driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from native import compile_program, poison, prefix
from nets import lstm, parameter
from test_train import sgd, training_step

import graphc as keras
from codegen.program import build_program
from codegen.scan import Driver
from codegen.target import host_target
from graphc import ops
from graphc.compiler import analyse, compile_graph, gradients, prepare_forward
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import REGISTRY, Array, Node, Role, Value
from graphc.ir.parse import parse_graph
from graphc.ir.scan import ParseError
from graphc.ir.structure import structural_key
from graphc.ir.text import print_graph
from graphc.ir.types import DType, Rows, TensorType, concrete
from graphc.options import CompileOptions
from graphc.primitives import functions as fn
from graphc.primitives.control import Scan
from graphc.runtime.interpreted import InterpretedExecutable
from passes.dce import dce
from passes.fusion import fuse
from passes.hoist import hoist
from passes.manager import run_passes
from passes.memory import plan_memory
from passes.pipeline import PIPELINE

F32, I32 = DType.F32, DType.I32
Step = tuple[Sequence[Value], Sequence[Value]]


def loops(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Loop)]


def op_of(node: Node) -> Loop:
    assert isinstance(node.op, Loop)
    return node.op


def products(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op.mnemonic == "dot"]


def options(**changes: Any) -> CompileOptions:
    return CompileOptions(cache=False, verify=1, **changes)


def run(graph: Graph, arrays: Sequence[Array], rows: int | None = None, **changes: Any) -> list[Array]:
    """The outputs of a graph without weights as native code, which must be those of the interpreter."""
    found = compile_graph(graph, options(**changes)).run(arrays, rows)
    for got, want in zip(found, InterpretedExecutable(graph).run(arrays, rows), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    return found


def recurrence(steps: int, rows: int, units: int = 5, reverse: bool = False) -> Graph:
    """h = tanh(x + h w) over a sequence; the last h and all of them."""
    b = Builder("recurrence")
    x, h = b.input("x", TensorType((steps, Rows(rows), units))), b.input("h", TensorType((Rows(rows), units)))
    w = b.input("w", TensorType((units, units)))

    def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> Step:
        new = fn.tanh(b, fn.add(b, parts[0], fn.matmul(b, state[0], w)))
        return (new,), (new,)

    (last,), (every,) = fn.scan(b, step, (h,), (x,), steps, reverse)
    return b.build((last, fn.mul(b, every, 1.0)))


def data(graph: Graph) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=concrete(v.shape)).astype(v.dtype.numpy) for v in graph.inputs]


def check_short(graph: Graph, rows: int) -> None:
    """Native code on guarded memory, with useless rows behind those that count, gives what the interpreter does."""
    program, full = compile_program(graph, host_target()), data(graph)
    arrays = [poison(array, value.type, rows) for array, value in zip(full, graph.inputs, strict=True)]
    valid = [prefix(array, value.type, rows) for array, value in zip(full, graph.inputs, strict=True)]
    wanted = InterpretedExecutable(graph).run(valid, rows)
    for at_start in (False, True):
        for got, want, value in zip(program.run(arrays, rows, at_start), wanted, graph.outputs, strict=True):
            np.testing.assert_allclose(prefix(got, value.type, rows), want, rtol=1e-5, atol=1e-5)


# ---- meaning


def test_scan_is_the_loop_of_numpy(rng: np.random.Generator) -> None:
    xs, h, w = rng.normal(size=(6, 3, 2)), rng.normal(size=(3, 2)), rng.normal(size=(2, 2))
    for reverse in (False, True):
        last, (every, twice) = ops.scan(lambda h, x: ((y := ops.tanh(x + h @ w)), (y, x * 2)), h, xs, reverse=reverse)
        state, wanted = h, np.zeros_like(xs)
        for t in reversed(range(6)) if reverse else range(6):
            wanted[t] = state = np.tanh(xs[t] + state @ w)
        np.testing.assert_allclose(last, state)
        np.testing.assert_allclose(every, wanted)
        np.testing.assert_allclose(twice, xs * 2)


def test_scan_takes_structures_lengths_and_nothing() -> None:
    last, ys = ops.scan(lambda c, x: ({"n": c["n"] + 1, "s": c["s"] + x[0] * x[1]}, None), {"n": 0, "s": 0.0},
                        (np.arange(4, dtype="float32"), np.arange(4, dtype="float32")))  # fmt: skip
    assert (int(last["n"]), float(last["s"]), ys) == (4, 14.0, None)
    last, ys = ops.scan(lambda c, x: (c * 2, c), 1, length=5)
    assert int(last) == 32 and ys.tolist() == [1, 2, 4, 8, 16]
    last, ys = ops.scan(lambda c, x: (c + x, x), np.float32(3), np.zeros((0,), "float32"))
    assert float(last) == 3 and ys.shape == (0,)


def test_a_carry_must_keep_its_type() -> None:
    with pytest.raises(ValueError, match=r"part 0 is i32\[\] before a step and f32\[\] after it"):
        ops.scan(lambda c, x: (c + x, x), 0, np.ones(3, "float32"))
    with pytest.raises(ValueError, match="Got no `xs`"):
        ops.scan(lambda c, x: (c, x), 0)


def test_loops_over_numbers_and_conditions() -> None:
    assert int(ops.fori_loop(2, 6, lambda i, s: s + i, 10)) == 24
    assert [int(v) for v in ops.while_loop(lambda x, y: x < 10, lambda x, y: (x + 3, y + 1), (0, 0))] == [12, 4]
    assert ops.map(lambda x: x * x, np.arange(4)).tolist() == [0, 1, 4, 9]
    branches = [lambda x: x + 1, lambda x: x * 10]
    assert [int(ops.switch(np.int32(i), branches, np.int32(7))) for i in (-5, 0, 1, 9)] == [8, 8, 70, 70]
    assert int(ops.cond(np.array(False), lambda: np.int32(1), lambda: np.int32(2))) == 2


def test_control_flow_in_a_model(rng: np.random.Generator) -> None:
    """The same on tensors of a graph, compiled."""

    def control(x: Any) -> Any:
        count, value = ops.while_loop(lambda i, y: ops.max(y) < 40.0, lambda i, y: (i + 1, y * 2.0), (0, x), 9)
        picked = ops.cond(count > 3, lambda: value + 1.0, lambda: value - 1.0)
        return ops.switch(count, [lambda v: v, lambda v: v, lambda v: v, lambda v: v * 3.0], picked)

    inputs = keras.Input(batch_shape=(2, 3))
    model = keras.Model(inputs, keras.layers.Lambda(control)(inputs))
    for scale in (1.0, 30.0, 1e-3):
        x = (rng.random((2, 3)) * scale + scale).astype("float32")
        count, value = 0, x
        while value.max() < 40 and count < 9:
            count, value = count + 1, value * 2
        wanted = (value + 1 if count > 3 else value - 1) * (3 if count >= 3 else 1)
        np.testing.assert_allclose(model.predict(x, batch_size=2, verbose=0), wanted, rtol=1e-6)


def test_while_loop_in_a_graph_needs_a_bound() -> None:
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="maximum_iterations"):
        ops.while_loop(lambda x: ops.max(x) < 1, lambda x: x + 1, (inputs,))


def test_variables_assigned_in_a_step_are_carried() -> None:
    total = keras.Variable(np.float32(1))
    scale = keras.Variable(np.float32(3))

    def step(carry: Any, x: Any) -> Any:
        total.assign(total + x * scale)
        return carry, total * 1.0

    _, ys = ops.scan(step, 0, np.array([1, 2, 3], "float32"))
    assert ys.tolist() == [4, 10, 19] and float(total) == 19


def test_branches_assign_variables_one_or_the_other() -> None:
    count = keras.Variable(np.int32(5))

    def step(carry: Any, x: Any) -> Any:
        return carry, ops.cond(x > 0, lambda: count.assign(count + 1), lambda: count * 1)

    ops.scan(step, 0, np.array([1, -1, 1, 1], "float32"))
    assert int(count) == 8


def test_ids_out_of_range_inside_a_loop_are_refused() -> None:
    table = keras.layers.Embedding(4, 2)
    table(np.array([0]))
    with pytest.raises(ValueError, match=r"is out of range \[0, 4\)"):
        ops.scan(lambda c, ids: (c, table(ids)), 0, np.array([[1], [2], [7]], "int32"))


# ---- text


def test_text_of_loops_reads_back() -> None:
    for graph in (recurrence(4, 8), fuse(recurrence(4, 8)), training_step(lstm(F32, 8), sgd)):
        text = print_graph(graph)
        read = parse_graph(text, REGISTRY)
        assert print_graph(read) == text and structural_key(read) == structural_key(graph)


def test_errors_of_loops_in_text() -> None:
    text = print_graph(recurrence(4, 8))
    with pytest.raises(ParseError, match="must have 3 steps along its first axis, got f32"):
        parse_graph(text.replace("steps=4", "steps=3"), REGISTRY)
    with pytest.raises(ParseError, match="there is no block scan @other"):
        parse_graph(text.replace("scan @body(", "scan @other("), REGISTRY)
    with pytest.raises(ParseError, match="scan wants the attribute steps"):
        parse_graph(text.replace("steps=4, ", ""), REGISTRY)
    inner = "scan @body() {steps=1, carries=0, sequences=0} : i32[]"
    with pytest.raises(ParseError, match="inside itself"):
        parse_graph(
            f"graph @g {{\n  %a = {inner}\n  return %a\n}}\nscan @body {{\n  %b = {inner}\n  return\n}}", REGISTRY
        )


# ---- gradients


def test_the_gradient_accumulates_in_large_products() -> None:
    """Per step: the recurrent product and its transpose; weights' gradients are products over all steps at once."""
    graph = prepare_forward(lstm(F32, rows=8))
    joint = dce(gradients(graph, graph.outputs[0], graph.inputs_of(Role.PARAM)))
    forward, backward = loops(joint)
    assert [len(products(op_of(node).body)) for node in (forward, backward)] == [1, 1]
    assert op_of(backward).reverse and op_of(backward).carries == 2
    outside = [node for node in products(joint) if node.loc.direction == "backward"]
    over_steps = [node for node in outside if 5 in node.inputs[0].shape and len(node.inputs[0].shape) == 3]
    assert len(over_steps) == 2 and all(node.types[0].shape in ((3, 16), (4, 16)) for node in over_steps)


def test_a_gradient_that_is_no_product_is_carried() -> None:
    b = Builder("scaled")
    x, w = b.input("x", TensorType((4, 3))), parameter(b, "w", 3)
    step_of = lambda b, state, parts: ((fn.add(b, state[0], fn.mul(b, parts[0], fn.sin(b, w))),), ())  # noqa: E731
    (last,), _ = fn.scan(b, step_of, (fn.constant(b, 0.0, F32, (3,)),), (x,), 4)
    graph = b.build((fn.sum(b, fn.square(b, last)),))
    joint = gradients(graph, graph.outputs[0], [w])
    assert op_of(loops(dce(joint))[-1]).carries == 2
    arrays = data(graph)
    total = arrays[0].sum(0)
    wanted = 2 * total**2 * np.sin(arrays[1]) * np.cos(arrays[1])
    states = {"w": arrays[1]}
    got = compile_graph(joint, options(), bind=states).run(arrays[:1])[1]
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


# ---- passes


def test_inference_keeps_nothing_of_the_steps() -> None:
    """Of a loop whose last state is all that is wanted no result of a step is in memory."""
    graph = run_passes(lstm(F32, steps=50), PIPELINE, verify=1)
    (node,) = loops(graph)
    assert [str(type) for type in node.types] == ["f32[n,4]", "f32[n,4]"]
    inputs = 50 * 24 * 16 * 4
    assert plan_memory(graph).arena_bytes < 2 * inputs + 4 * 24 * 4 * 4


def test_training_keeps_what_the_gradient_reads_and_no_more() -> None:
    step = run_passes(training_step(lstm(F32, steps=7), sgd), PIPELINE, verify=1)
    forward, backward = loops(step)
    kept = op_of(forward).stacked()
    assert len(set(kept)) == len(kept) == 7  # four gates, tanh(c), and both states before the step
    assert op_of(backward).sequences == 6  # the state h is read by the product behind the loop alone
    assert len(op_of(backward).stacked()) == 1


def test_dead_results_carries_and_operands_go() -> None:
    b = Builder("dead")
    x, y = b.input("x", TensorType((3, 4))), b.input("y", TensorType((3, 5)))
    first, second = b.input("first", TensorType((4,))), b.input("second", TensorType((5,)))

    def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> Step:
        return (fn.add(b, state[0], parts[0]), fn.mul(b, state[1], parts[1])), (parts[0], fn.exp(b, state[1]))

    (last, _), _ = fn.scan(b, step, (first, second), (x, y), 3)
    (node,) = dce(b.build((last,))).nodes
    assert node.inputs == (first, x) and len(node.types) == 1 and len(op_of(node).body.nodes) == 1


def test_what_no_step_changes_moves_out() -> None:
    b = Builder("same")
    x, w, bias = b.input("x", TensorType((6, Rows(8), 3))), parameter(b, "w", 3, 5), parameter(b, "bias", 5)
    fixed = fn.broadcast_to(b, fn.reshape(b, bias, (1, 1, 5)), (6, Rows(8), 5))
    zero = fn.constant(b, 0.0, F32, (Rows(8), 5))

    def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> Step:
        moved = fn.add(b, fn.mul(b, fn.matmul(b, parts[0], w), fn.exp(b, bias)), parts[1])
        return (fn.add(b, state[0], moved), state[1]), (state[1],)

    (last, same), (every,) = fn.scan(b, step, (zero, bias), (x, fixed), 6)
    before = b.build((last, same, every))
    after = run_passes(before, [hoist, dce], verify=2)
    (node,) = loops(after)
    body = op_of(node).body
    assert not products(body) and all(inner.op.mnemonic != "exp" for inner in body.nodes)
    assert (op_of(node).carries, op_of(node).sequences) == (1, 1) and after.outputs[1] == bias
    assert [n.types[0].shape for n in products(after)] == [(6, 8, 5)] or products(after)[0].types[0].size == 240
    assert hoist(after) is after


def test_a_product_that_leaves_the_cache_stays_in_the_loop() -> None:
    """Where the step's product is as fast: the constant stays in the cache, and blocks of rows fill the tiles."""

    def loop_has_it(steps: int, rows: int, width: int) -> bool:
        b = Builder("recurrence")
        x, w = b.input("x", TensorType((steps, Rows(rows), width))), b.input("w", TensorType((width, 512)))

        def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> Step:
            return (fn.tanh(b, fn.add(b, state[0], fn.matmul(b, parts[0], w))),), ()

        (last,), _ = fn.scan(b, step, (b.input("h", TensorType((Rows(rows), 512))),), (x,), steps)
        (node,) = loops(hoist(b.build((last,))))
        return bool(products(op_of(node).body))

    assert loop_has_it(100, 64, 32)
    assert not loop_has_it(10, 64, 32)  # 1.3 MB
    assert not loop_has_it(400, 16, 32)  # blocks of 4 rows
    assert not loop_has_it(100, 64, 2048)  # 4 MB of weights in every step


# ---- native code


@pytest.mark.parametrize("rows", [1, 3, 8, 20, 24, 37])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_blocks_of_rows_and_short_batches(rows: int, steps: int) -> None:
    for count in sorted({1, rows // 2 + 1, rows}):
        check_short(recurrence(steps, rows, reverse=steps == 5), count)


@pytest.mark.parametrize("has_rows", [False, True])
@pytest.mark.parametrize("steps", [1, 5, 7])
def test_steps_that_carry_nothing_run_side_by_side(has_rows: bool, steps: int) -> None:
    """In four units if there are as many steps; the last may be shorter. With rows that need each other, or without."""
    b = Builder("independent")
    n = Rows(96) if has_rows else 96
    x, w = b.input("x", TensorType((steps, n, 256))), b.input("w", TensorType((256, 256)))

    def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> Step:
        y = fn.tanh(b, fn.matmul(b, fn.mul(b, parts[0], parts[0]), w))
        return (), (fn.sub(b, y, fn.broadcast(b, fn.max(b, y, 0), y.shape, (1,))),)

    _, (every,) = fn.scan(b, step, (), (x,), steps, reverse=steps == 5)
    graph = b.build((fn.mul(b, every, 1.0),))
    (loop,) = plan_memory(fuse(graph)).loops.values()
    assert (loop.block, loop.parts) == (0, {1: 1, 5: 3, 7: 4}[steps])
    first, second = (run(graph, data(graph), threads=threads)[0] for threads in (1, 3))
    np.testing.assert_array_equal(first, second)
    check_short(graph, 50 if has_rows else 1)


def test_rows_are_cut_into_blocks_only_if_they_are_independent() -> None:
    def blocks(graph: Graph) -> list[int]:
        return [loop.block for loop in plan_memory(fuse(graph)).loops.values()]

    assert [blocks(recurrence(3, rows)) for rows in (64, 32, 24, 20, 7)] == [[16], [8], [6], [5], [7]]
    for make in (
        lambda b, x: fn.sub(b, x, fn.mean(b, x, 0)),  # a sum over the rows
        lambda b, x: fn.mul(b, x, fn.row_count(b, 32)),  # their number
        lambda b, x: fn.add(b, x, fn.cast(b, fn.iota(b, x.shape, 0), F32)),  # which row it is
    ):
        b = Builder("mixed")
        x = b.input("x", TensorType((3, Rows(32), 5)))
        state = b.input("state", TensorType((Rows(32), 5)))
        step = lambda b, state, parts, make=make: ((fn.add(b, state[0], make(b, parts[0])),), ())  # noqa: E731
        (last,), _ = fn.scan(b, step, (state,), (x,), 3)
        graph = b.build((last,))
        assert blocks(graph) == [0]
        run(graph, data(graph))
        check_short(graph, rows=9)


def test_constant_arrays_and_packed_weights_in_a_body() -> None:
    """A weight read along its long side is copied once, in front of the loop."""
    b = Builder("packed")
    x, w = b.input("x", TensorType((4, Rows(8), 24))), b.input("w", TensorType((24, 24)))
    h = b.input("h", TensorType((Rows(8), 24)))
    table = np.random.default_rng(1).normal(size=(24,)).astype("float32") * 0.1

    def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> Step:
        turned = fn.einsum(b, state[0], "nk", w, "uk", "nu")
        new = fn.tanh(b, fn.add(b, fn.add(b, parts[0], turned), fn.constant(b, table)))
        return (new,), ()

    (last,), _ = fn.scan(b, step, (h,), (x,), 4)
    graph = b.build((last,))
    run(graph, data(graph))
    for pipeline in (PIPELINE, (fuse,)):
        program, code = build_program(plan_memory(run_passes(graph, pipeline)), host_target())
        phases = [phase.symbol for phase in program.phases if phase.node == last.name]
        assert len(phases) == 2 and isinstance(code.kernels[phases[1]], Driver)


def test_equal_loops_share_their_code() -> None:
    b = Builder("twice")
    w = [b.input(f"w{i}", TensorType((5, 5))) for i in range(2)]
    x, value = b.input("x", TensorType((3, Rows(8), 5))), b.input("h", TensorType((Rows(8), 5)))
    for own in w:
        step = lambda b, s, p, own=own: ((fn.tanh(b, fn.add(b, p[0], fn.matmul(b, s[0], own))),), ())  # noqa: E731
        (value,), _ = fn.scan(b, step, (value,), (x,), 3)
    compiled = analyse(b.build((value,)), options())
    symbols = [phase.symbol for phase in compiled.program.phases]
    assert len(symbols) == 2 and len(set(symbols)) == 1


def test_the_number_of_steps_does_not_change_what_is_compiled() -> None:
    def compiled(steps: int) -> tuple[int, list[int], int]:
        step = analyse(training_step(lstm(F32, steps=steps), sgd), options())
        fused = step.stages[-1][1]
        bodies = [len(op_of(node).body.nodes) for node in loops(fused)]
        return len(fused.nodes), bodies, len("".join(step.code.texts.values()))

    short, long = compiled(10), compiled(1000)
    assert short[:2] == long[:2]
    assert long[2] < 1.2 * short[2]  # sums over many steps are cut into parts: one more kernel


def test_training_is_the_interpreters_step_by_step() -> None:
    graph = training_step(lstm(F32), sgd)
    rng = np.random.default_rng(3)
    states = {v.name: rng.normal(size=v.shape).astype("float32") * 0.4 for v in graph.inputs_of(Role.PARAM)}
    native = compile_graph(graph, options(threads=2), bind={name: array.copy() for name, array in states.items()})
    wanted = InterpretedExecutable(graph, {name: array.copy() for name, array in states.items()})
    losses = []
    for i in range(20):
        rows = 24 if i % 3 else 17
        x = rng.normal(size=(rows, 5, 3)).astype("float32")
        (got,), (want,) = native.run([x], rows), wanted.run([x], rows)
        assert got == pytest.approx(float(want), rel=2e-5)
        losses.append(float(got))
    for name, array in native.state.items():
        np.testing.assert_allclose(array, wanted.state[name], rtol=2e-4, atol=2e-6)
    assert losses[-1] < losses[0] / 2


def test_the_number_of_threads_changes_no_bit() -> None:
    graph = training_step(lstm(F32, rows=64, units=8), sgd)
    rng = np.random.default_rng(4)
    states = {v.name: rng.normal(size=v.shape).astype("float32") for v in graph.inputs_of(Role.PARAM)}
    x = rng.normal(size=(64, 5, 3)).astype("float32")
    found = []
    for threads in (1, 2, 3):
        native = compile_graph(graph, options(threads=threads), bind={n: a.copy() for n, a in states.items()})
        for _ in range(3):
            native.run([x])
        found.append(native.state)
    for other in found[1:]:
        for name, array in found[0].items():
            np.testing.assert_array_equal(array, other[name])


def test_what_has_no_rows_is_carried_by_every_block_for_itself() -> None:
    """Threads are in different steps of the same loop at the same time."""
    steps, rows = 3000, 64
    b = Builder("counter")
    state, count = b.input("state", TensorType((Rows(rows), 3))), b.input("count", TensorType((), I32))

    def step(b: Builder, carries: Sequence[Value], parts: Sequence[Value]) -> Step:
        new = fn.add(b, carries[0], fn.cast(b, carries[1], F32))
        return (new, fn.add(b, carries[1], 1)), (fn.mul(b, carries[1], 2),)

    (total, last), (every,) = fn.scan(b, step, (state, count), (), steps)
    graph = b.build((total, last, fn.add(b, every, 0)))
    assert [loop.block for loop in plan_memory(fuse(graph)).loops.values()] == [16]
    for _ in range(3):
        executable = compile_graph(graph, options(threads=3))
        found = executable.run([np.zeros((rows, 3), "float32"), np.array(0, "int32")])
        assert (found[0] == steps * (steps - 1) / 2).all() and found[1] == steps
        np.testing.assert_array_equal(found[2], 2 * np.arange(steps))


def test_empty_values_in_a_loop() -> None:
    b = Builder("empty")
    x, h = b.input("x", TensorType((3, 4, 0))), b.input("h", TensorType((4, 0)))
    step = lambda b, s, p: ((fn.add(b, s[0], p[0]),), (fn.neg(b, s[0]), fn.sum(b, p[0], 1)))  # noqa: E731
    (last,), (every, sums) = fn.scan(b, step, (h,), (x,), 3)
    graph = b.build((last, every, sums))
    assert [array.shape for array in run(graph, data(graph))] == [(4, 0), (3, 4, 0), (3, 4)]


def test_a_driver_reads_as_a_loop() -> None:
    compiled = analyse(recurrence(7, 32), options())
    (driver,) = (kernel for kernel in compiled.kernels.values() if kernel.name.startswith("scan"))
    assert "blocks of 8 rows" in driver.loops and "for step in 0..7:" in driver.loops
    assert "x[step]" in driver.loops and "call void" in driver.llvm and "call" in driver.asm


def test_a_loop_without_steps_gives_back_what_it_was_given() -> None:
    body = op_of(loops(recurrence(1, 8))[0]).body
    b = Builder("none")
    x, h, w = (b.input(n, TensorType(s)) for n, s in (("x", (0, Rows(8), 5)), ("h", (Rows(8), 5)), ("w", (5, 5))))
    graph = b.build(b.add_all(Scan(body, 0, 1, 1), h, x, w))
    arrays = data(graph)
    last, every = run(graph, arrays)
    np.testing.assert_array_equal(last, arrays[1])
    assert every.shape == (0, 8, 5)
