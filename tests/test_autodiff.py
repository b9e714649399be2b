"""Autodiff: gradients of whole nets against central differences in f64, and the laws of the joint graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from nets import F64, NETS, dense, mlp

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Array, Op, Role, Types, Value
from graphc.ir.text import print_graph
from graphc.ir.types import Rows, TensorType
from graphc.ir.verify import verify
from graphc.primitives import functions as fn
from passes.autodiff import gradients
from passes.validate import random_inputs, results_of

STEP = 1e-6


def directional(graph: Graph, arrays: list[Array], at: int, direction: Array) -> float:
    """The central difference of the first output along a direction of one input."""

    def loss(step: float) -> float:
        moved = [array + step * direction if i == at else array for i, array in enumerate(arrays)]
        return float(results_of(graph, moved)[0])

    return (loss(STEP) - loss(-STEP)) / (2 * STEP)


@pytest.mark.parametrize("net", NETS)
def test_gradients_equal_central_differences(net: Callable[[], Graph], rng: np.random.Generator) -> None:
    graph = net()
    wrt = graph.inputs_of(Role.PARAM)
    joint = gradients(graph, graph.outputs[0], wrt)
    verify(joint)
    arrays = random_inputs(graph)
    results = results_of(joint, arrays)[len(graph.outputs) : len(joint.outputs)]
    for value, gradient in zip(wrt, results, strict=True):
        direction = rng.standard_normal(gradient.shape)
        wanted = directional(graph, arrays, graph.inputs.index(value), np.asarray(direction))
        assert np.sum(gradient * direction) == pytest.approx(wanted, rel=1e-6, abs=1e-8), value


def test_results_follow_the_outputs_under_their_names() -> None:
    graph = mlp()
    wrt = graph.inputs_of(Role.PARAM)
    joint = gradients(graph, graph.outputs[0], wrt)
    assert joint.nodes[: len(graph.nodes)] == graph.nodes and joint.outputs[:2] == graph.outputs
    assert [value.type for value in joint.outputs[2:]] == [value.type for value in wrt]
    assert joint.output_names == ("loss", "logits", *(f"d.{value.name}" for value in wrt))


def test_backward_nodes_know_their_layer() -> None:
    graph = mlp()
    joint = gradients(graph, graph.outputs[0], graph.inputs_of(Role.PARAM))
    new = joint.nodes[len(graph.nodes) :]
    assert {node.loc.direction for node in new} == {"backward"}
    (dot,) = [node for node in new if node.outputs[0] == joint.outputs[2]]
    assert (dot.op.mnemonic, dot.loc.layer) == ("dot", "hidden")


def test_the_joint_graph_is_deterministic() -> None:
    def text() -> str:
        graph = mlp()
        return print_graph(gradients(graph, graph.outputs[0], graph.inputs_of(Role.PARAM)))

    assert text() == text()


def scalar_net() -> tuple[Builder, Value, Value]:
    b = Builder("scalar")
    x = b.input("x", TensorType((3,), F64))
    return b, x, fn.sum(b, fn.mul(b, fn.square(b, x), x))


def test_a_value_used_often_collects_all_cotangents() -> None:
    b, x, loss = scalar_net()
    joint = gradients(b.build((loss,)), loss, (x,))
    array = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(results_of(joint, [array])[1], 3 * array**2)


def test_gradients_of_gradients() -> None:
    b, x, loss = scalar_net()
    first = gradients(b.build((loss,)), loss, (x,))
    again = Builder(graph=first)
    total = fn.sum(again, first.outputs[1])
    second = gradients(again.build((total,)), total, (x,))
    array = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(results_of(second, [array])[1], 6 * array)


def test_gradient_of_an_intermediate_value_and_of_the_loss_itself() -> None:
    b = Builder()
    x = b.input("x", TensorType((2,), F64))
    y = fn.exp(b, x)
    loss = fn.sum(b, fn.square(b, y))
    joint = gradients(b.build((loss,)), loss, (y, loss))
    array = np.array([0.5, -1.0])
    _, dy, dloss = results_of(joint, [array])
    np.testing.assert_allclose(dy, 2 * np.exp(array))
    assert dloss == 1.0


def test_what_the_loss_does_not_read_has_a_zero_gradient() -> None:
    b = Builder()
    x = b.input("x", TensorType((2,), F64))
    unread, stopped = b.input("unread", TensorType((Rows(2), 3), F64)), b.input("stopped", TensorType((2,), F64))
    loss = fn.sum(b, fn.add(b, x, fn.stop_gradient(b, stopped)))
    joint = gradients(b.build((loss,)), loss, (unread, stopped))
    assert [value.type for value in joint.outputs[1:]] == [unread.type, stopped.type]
    assert not any(np.any(array) for array in results_of(joint, random_inputs(joint))[1:])


def test_integers_on_the_way_end_the_gradient() -> None:
    b = Builder()
    x = b.input("x", TensorType((4,), F64))
    counted = fn.cast(b, fn.gt(b, x, 0.0), F64)
    loss = fn.sum(b, fn.mul(b, counted, x))
    array = np.array([1.0, -2.0, 3.0, -4.0])
    np.testing.assert_array_equal(results_of(gradients(b.build((loss,)), loss, (x,)), [array])[1], array > 0)


@dataclass(frozen=True)
class Rounding(Op, abstract=True):  # abstract keeps it out of the registry
    """An op without a gradient."""

    mnemonic = "rounding"

    def infer(self, *types: TensorType) -> Types:
        return types


def test_an_op_without_gradient_is_named_with_its_layer() -> None:
    b = Builder()
    x = b.input("x", TensorType((2, 3), F64))
    y = dense(b, x, "dense", 4)
    with b.layer("rounding"):
        z = b.add(Rounding(), y, name="z")
    loss = fn.sum(b, z)
    graph = b.build((loss,))
    wanted = r"^%z \(layer rounding\): rounding has no gradient; the loss depends on it$"
    with pytest.raises(NotImplementedError, match=wanted):
        gradients(graph, loss, graph.inputs_of(Role.PARAM))
    assert gradients(graph, loss, ()).outputs == (loss,)


def test_losses_that_are_none_are_refused() -> None:
    graph = mlp()
    foreign = Builder().input("foreign", TensorType((), F64))
    with pytest.raises(ValueError, match=r"the loss %\d+ must be a scalar, got f64\[n,3\]"):
        gradients(graph, graph.outputs[1], ())
    with pytest.raises(ValueError, match=r"%foreign : f64\[\] is not a float value of graph @mlp"):
        gradients(graph, foreign, ())
    with pytest.raises(ValueError, match=r"%labels : i32\[n\] is not a float value of graph @mlp"):
        gradients(graph, graph.outputs[0], (graph.inputs[1],))
