"""Random graphs and training steps for the tests of fusion and memory planning."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Role, Value
from graphc.ir.types import DType, Rows, TensorType
from graphc.primitives import functions as fn
from passes.autodiff import gradients

Step = Callable[[Builder, random.Random, list[Value]], Value]

N, C, D = Rows(6), 5, 7  # all different, and none a multiple of a vector


def random_graph(seed: int, size: int = 30) -> Graph:
    """About `size` nodes of every kind over f64, with residual reads, several outputs, updates and a check."""
    rng = random.Random(seed)
    b = Builder("random")
    x = b.input("x", TensorType((N, C), DType.F64))
    labels = b.input("labels", TensorType((N,), DType.I32))
    states = [b.input(f"s{i}", TensorType((C,) if i % 2 else (C, C), DType.F64), Role.STATE) for i in range(4)]
    values = [x, *states]
    while len(b.nodes) < size:
        values.append(rng.choice(STEPS)(b, rng, values))
    outputs = rng.sample(values, 3)
    for state in rng.sample(states, 3):
        same = [v for v in values if v.type == state.type]
        b.update(state, rng.choice(same))
    if rng.random() < 0.5:
        outputs[1] = outputs[0]
    b.check(fn.sum(b, fn.cast(b, fn.lt(b, labels, 0), DType.I32)), "labels are negative")
    return b.build(outputs, ("a", "b", "c"))


def _pick(rng: random.Random, values: list[Value], rank: int | None = None) -> Value:
    """A value, of recent ones rather than old ones."""
    fitting = [v for v in values if rank is None or v.type.rank == rank]
    return fitting[max(rng.randrange(len(fitting)), rng.randrange(len(fitting)))]


def _unary(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    function = rng.choice((fn.tanh, fn.relu, fn.neg, fn.sigmoid, fn.stop_gradient, fn.square))
    return function(b, fn.tanh(b, _pick(rng, values)))


def _binary(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    x = _pick(rng, values)
    same = [v for v in values if v.type == x.type]
    return rng.choice((fn.add, fn.mul, fn.sub, fn.maximum))(b, x, rng.choice(same))


def _masked(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    x = _pick(rng, values)
    same = [v for v in values if v.type == x.type]
    return fn.select(b, fn.gt(b, rng.choice(same), 0.1), x, 0.0)


def _bias(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    return fn.add(b, _pick(rng, values, 2), _pick(rng, [v for v in values if v.shape == (C,)]))


def _reduce(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    x = _pick(rng, values, 2)
    axis = rng.choice((0, 1))
    total = rng.choice((fn.sum, fn.mean, fn.max))(b, x, axis)
    return fn.sub(b, x, fn.broadcast(b, total, x.shape, (1 - axis,))) if rng.random() < 0.7 or axis else total


def _softmax(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    return rng.choice((fn.softmax, fn.log_softmax))(b, _pick(rng, values, 2))


def _total(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    x = _pick(rng, values, 2)
    return fn.mul(b, x, fn.tanh(b, fn.mean(b, x)))


def _dot(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    x, w = _pick(rng, values, 2), _pick(rng, [v for v in values if v.shape == (C, C)])
    return fn.tanh(b, fn.matmul(b, x, fn.transpose(b, w) if rng.random() < 0.5 else w))


def _normal(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    """x^T x over the rows: C x C."""
    x = _pick(rng, values, 2)
    return fn.tanh(b, fn.dot(b, x, x, ((0,), (0,))))


def _view(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    x = _pick(rng, values, 2)
    match rng.randrange(4):
        case 0:
            return fn.flip(b, x, (1,))
        case 1:
            return fn.pad(b, fn.slice_axis(b, x, 1, 1, C - 1), (0, 1), (0, 0))
        case 2:
            return fn.concat(b, [fn.slice_axis(b, x, 1, 2, C - 2), fn.slice_axis(b, x, 1, 0, 2)], 1)
    return fn.reshape(b, fn.neg(b, fn.expand_dims(b, x, 1)), x.shape)


def _ordered(b: Builder, rng: random.Random, values: list[Value]) -> Value:
    """Cumulative sum, or a scatter of gathered rows."""
    if rng.random() < 0.5:
        return fn.tanh(b, fn.cumsum(b, _pick(rng, values, 2), 1))
    table = _pick(rng, [v for v in values if v.shape == (C, C)])
    ids = fn.constant(b, np.array([3, 0, 3, 1], np.int32))
    return fn.tanh(b, fn.scatter_add(b, table.shape, ids, fn.gather(b, table, ids)))


STEPS: tuple[Step, ...] = (
    *(_unary, _unary, _binary, _binary, _masked, _bias, _bias, _reduce, _reduce, _softmax, _total),
    *(_dot, _normal, _view, _view, _ordered),
)


def adam(graph: Graph, loss: Value) -> Graph:
    """The joint graph of a loss: gradients of all parameters and one step of Adam; outputs as before."""
    parameters = graph.inputs_of(Role.PARAM)
    joint = gradients(graph, loss, parameters)
    b = Builder(graph=joint)
    with b.direction("update"):
        steps = b.input("adam/steps", TensorType((), DType.I64), Role.STATE)
        count = fn.add(b, steps, 1)
        b.update(steps, count)
        power = fn.cast(b, count, loss.dtype)
        rate = fn.div(b, fn.sqrt(b, fn.sub(b, 1.0, fn.exp(b, fn.mul(b, power, -0.001)))), fn.exp(b, fn.neg(b, power)))
        for value, gradient in zip(parameters, joint.outputs[len(graph.outputs) :], strict=True):
            _adam_step(b, value, gradient, rate)
    return b.build(joint.outputs[: len(graph.outputs)], graph.output_names)


def _adam_step(b: Builder, value: Value, gradient: Value, rate: Value) -> None:
    m = b.input(f"{value.name}.m", value.type, Role.STATE)
    v = b.input(f"{value.name}.v", value.type, Role.STATE)
    m_next = fn.add(b, m, fn.mul(b, fn.sub(b, gradient, m), 0.1))
    v_next = fn.add(b, v, fn.mul(b, fn.sub(b, fn.square(b, gradient), v), 0.001))
    b.update(m, m_next)
    b.update(v, v_next)
    b.update(value, fn.sub(b, value, fn.div(b, fn.mul(b, m_next, rate), fn.add(b, fn.sqrt(b, v_next), 1e-7))))


def sgd(graph: Graph, loss: Value, rate: float = 0.1) -> Graph:
    """The joint graph of a loss with one step of gradient descent; outputs as before."""
    parameters = graph.inputs_of(Role.PARAM)
    joint = gradients(graph, loss, parameters)
    b = Builder(graph=joint)
    with b.direction("update"):
        for value, gradient in zip(parameters, joint.outputs[len(graph.outputs) :], strict=True):
            b.update(value, fn.sub(b, value, fn.mul(b, gradient, rate)))
    return b.build(joint.outputs[: len(graph.outputs)], graph.output_names)
