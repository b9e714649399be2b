"""Training step by step: native steps equal the interpreter's, whatever the threads; updates happen all at once or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from nets import cnn, dense, dropout, embedding, mlp

from graphc.compiler import compile_graph, gradients, prepare_forward
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Role, Value
from graphc.ir.types import DType, Rows, TensorType, concrete
from graphc.options import CompileOptions
from graphc.primitives import functions as fn
from graphc.runtime.executable import CheckError, Executable

F32, F64, I32 = DType.F32, DType.F64, DType.I32
ONE_THREAD = CompileOptions(threads=1, cache=False)
STEPS = 50
Update = Callable[[Builder, Value, Value], None]


def sgd(b: Builder, weight: Value, slope: Value) -> None:
    b.update(weight, fn.sub(b, weight, fn.mul(b, slope, 0.2)))


def momentum(b: Builder, weight: Value, slope: Value) -> None:
    speed = b.input(f"{weight.name}/momentum", weight.type, Role.STATE)
    new = fn.sub(b, fn.mul(b, speed, 0.9), fn.mul(b, slope, 0.05))
    b.update(speed, new)
    b.update(weight, fn.add(b, weight, new))


def adam(b: Builder, weight: Value, slope: Value) -> None:
    first, second = (b.input(f"{weight.name}/{name}", weight.type, Role.STATE) for name in ("m", "v"))
    m = fn.add(b, first, fn.mul(b, fn.sub(b, slope, first), 0.1))
    v = fn.add(b, second, fn.mul(b, fn.sub(b, fn.square(b, slope), second), 0.001))
    b.update(first, m)
    b.update(second, v)
    b.update(weight, fn.sub(b, weight, fn.div(b, fn.mul(b, m, 0.01), fn.add(b, fn.sqrt(b, v), 1e-3))))


def training_step(forward: Graph, update: Update) -> Graph:
    """The loss (the first output) with gradients in all weights, and their updates."""
    forward = prepare_forward(forward)
    weights = forward.inputs_of(Role.PARAM)
    joint = gradients(forward, forward.outputs[0], weights)
    b = Builder(graph=joint)
    with b.direction("update"):
        for weight, slope in zip(weights, joint.outputs[len(forward.outputs) :], strict=True):
            update(b, weight, slope)
    return b.build(joint.outputs[: len(forward.outputs)])


def initial_states(graph: Graph, rng: np.random.Generator) -> dict[str, Array]:
    """Small random weights, zero moments, a fixed key."""
    states: dict[str, Array] = {}
    for value in graph.inputs:
        size = concrete(value.shape)
        if graph.role(value) == Role.PARAM:
            states[value.name] = (rng.standard_normal(size) * 0.3).astype(value.dtype.numpy)
        elif graph.role(value) == Role.STATE:
            states[value.name] = np.full(size, 5 if value.dtype is DType.U32 else 0, value.dtype.numpy)
    return states


def batch(graph: Graph, rng: np.random.Generator, classes: int = 3) -> list[Array]:
    def make(value: Value) -> Array:
        size = concrete(value.shape)
        if value.dtype.is_float:
            return np.asarray(rng.standard_normal(size), value.dtype.numpy)
        return np.asarray(rng.integers(0, classes, size), value.dtype.numpy)

    return [make(v) for v in graph.inputs_of(Role.INPUT)]


def interpreted_step(
    graph: Graph, states: Mapping[str, Array], data: Sequence[Array]
) -> tuple[list[Array], dict[str, Array]]:
    """Outputs, and the states afterwards."""
    inputs = dict(zip(graph.inputs_of(Role.INPUT), data, strict=True))
    known = {v: states[v.name] for v in graph.inputs if v.name in states} | inputs
    results = interpret(graph, known)
    count = len(graph.outputs)
    new = {state.name: array for (state, _), array in zip(graph.updates, results[count:], strict=False)}
    return list(results[:count]), {**states, **new}


def start(graph: Graph, states: Mapping[str, Array], options: CompileOptions = ONE_THREAD) -> Executable:
    return compile_graph(graph, options, bind={name: array.copy() for name, array in states.items()})


NETS: dict[str, tuple[Callable[[], Graph], Update]] = {
    "mlp-sgd": (lambda: mlp(F64, 17), sgd),
    "mlp-adam": (lambda: mlp(F64, 33), adam),
    "cnn-momentum": (lambda: cnn(F64, 5), momentum),
    "dropout-sgd": (lambda: dropout(F64, 9), sgd),
    "embedding-adam": (lambda: embedding(F64, 7), adam),
}


@pytest.mark.parametrize("name", NETS)
def test_fifty_steps_equal_the_interpreter(name: str, rng: np.random.Generator) -> None:
    net, update = NETS[name]
    graph = training_step(net(), update)
    states = initial_states(graph, rng)
    executable = start(graph, states)
    losses = []
    for step in range(STEPS):
        data = batch(graph, np.random.default_rng(step % 3))
        want, states = interpreted_step(graph, states, data)
        for got, exact in zip(executable.run(data), want, strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-10, atol=1e-10)
        losses.append(float(want[0]))
        for state, array in executable.state.items():
            np.testing.assert_allclose(array, states[state], rtol=1e-10, atol=1e-10, err_msg=f"{state}, step {step}")
    assert np.mean(losses[-3:]) < np.mean(losses[:3]), "nothing was learnt"


def wide_net() -> Graph:
    """Enough work that every phase has several chunks: convolution, pooling, a wide dense layer."""
    b = Builder("wide")
    x = b.input("x", TensorType((Rows(64), 20, 20, 3), F32))
    w = b.input("w", TensorType((3, 3, 3, 24), F32), Role.PARAM)
    bias = b.input("bias", TensorType((24,), F32), Role.PARAM)
    y = fn.max_pool(b, fn.relu(b, fn.add(b, fn.conv(b, x, w), bias)), (2, 2))
    y = fn.relu(b, dense(b, fn.reshape(b, y, (Rows(64), 81 * 24)), "hidden", 130))
    return b.build([fn.mean(b, fn.square(b, dense(b, y, "out", 7)))])


def test_any_number_of_threads_gives_the_same_bits(rng: np.random.Generator) -> None:
    graph = training_step(wide_net(), momentum)
    states = initial_states(graph, rng)
    data = batch(graph, rng)
    executables = [start(graph, states, CompileOptions(threads=n, cache=False)) for n in (1, 2, 3, 2)]
    assert sum(-(-phase.units // phase.grain) > 1 for phase in executables[0].program.phases) >= 3
    for rows in (64, 64, 13, 64):
        short = [array[:rows] for array in data]
        first, *others = [executable.run(short, rows) for executable in executables]
        for other in others:
            np.testing.assert_array_equal(first[0], other[0])
    for executable in executables[1:]:
        for name, array in executables[0].state.items():
            np.testing.assert_array_equal(array, executable.state[name], name)


# ---- updates happen all at once

Hazard = Callable[[Builder, Value, Value, Value], Sequence[Value]]


def swapped(b: Builder, x: Value, u: Value, v: Value) -> Sequence[Value]:
    b.update(u, v)
    b.update(v, u)
    return [fn.add(b, u, x)]


def one_from_the_other(b: Builder, x: Value, u: Value, v: Value) -> Sequence[Value]:
    new = fn.add(b, u, x)
    b.update(u, new)
    b.update(v, fn.mul(b, new, u))
    return [fn.sub(b, new, v)]


def read_after(b: Builder, x: Value, u: Value, v: Value) -> Sequence[Value]:
    """The new value is computed first, the old one is read by a later contraction and by the output."""
    b.update(u, fn.mul(b, u, 0.5))
    b.update(v, fn.add(b, fn.matmul(b, u, fn.exp(b, v)), x))
    return [fn.matmul(b, x, u), u]


def transposed(b: Builder, x: Value, u: Value, v: Value) -> Sequence[Value]:
    b.update(u, fn.transpose(b, u))
    b.update(v, fn.flip(b, fn.add(b, v, x), 1))
    return [fn.sum(b, u, 1)]


def same_for_both(b: Builder, x: Value, u: Value, v: Value) -> Sequence[Value]:
    new = fn.add(b, fn.mul(b, u, v), x)
    b.update(u, new)
    b.update(v, new)
    return [new, new]


def from_outside(b: Builder, x: Value, u: Value, v: Value) -> Sequence[Value]:
    b.update(u, x)
    b.update(v, fn.constant(b, 2.5, F64, v.shape))
    return [fn.matmul(b, u, v)]


def through_a_product(b: Builder, x: Value, u: Value, v: Value) -> Sequence[Value]:
    b.update(u, fn.matmul(b, u, x))
    b.update(v, fn.softmax(b, fn.add(b, v, u)))
    return [fn.sum(b, v)]


HAZARDS: tuple[Hazard, ...] = (
    swapped, one_from_the_other, read_after, transposed, same_for_both, from_outside, through_a_product,
)  # fmt: skip


@pytest.mark.parametrize("arena", [True, False], ids=["shared", "apart"])
@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.__name__)
def test_updates_read_the_states_of_before(hazard: Hazard, arena: bool, rng: np.random.Generator) -> None:
    b = Builder(hazard.__name__)
    square = TensorType((9, 9), F64)
    x, u, v = b.input("x", square), b.input("u", square, Role.STATE), b.input("v", square, Role.PARAM)
    graph = b.build(hazard(b, x, u, v))
    states = {name: rng.standard_normal((9, 9)) for name in ("u", "v")}
    executable = compile_graph(graph, ONE_THREAD, bind={n: a.copy() for n, a in states.items()}, arena=arena)
    data = [rng.standard_normal((9, 9)) * 0.1]
    for _ in range(3):
        want, states = interpreted_step(graph, states, data)
        for got, exact in zip(executable.run(data), want, strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-12, atol=1e-12)
        for name, array in executable.state.items():
            np.testing.assert_allclose(array, states[name], rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failed_check_leaves_every_weight_as_it_was(threads: int, rng: np.random.Generator) -> None:
    graph = training_step(embedding(F64, 7), adam)
    states = initial_states(graph, rng)
    executable = start(graph, states, CompileOptions(threads=threads, cache=False))
    data = batch(graph, rng)
    executable.run(data)
    before = {name: array.copy() for name, array in executable.state.items()}
    for wrong in (-1, 6, 2**31 - 1):
        outside = data[0].copy()
        outside[3, 2] = wrong
        with pytest.raises(CheckError, match="an id lies out of"):
            executable.run([outside])
        for name, array in executable.state.items():
            np.testing.assert_array_equal(array, before[name])
    want, after = interpreted_step(graph, before, data)
    np.testing.assert_allclose(executable.run(data)[0], want[0], rtol=1e-10)
    for name, array in executable.state.items():
        np.testing.assert_allclose(array, after[name], rtol=1e-10, atol=1e-12)
