"""The verifier accepts every net and refuses nearly all random single mutations of them, naming the node."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from nets import NETS, mlp

from graphc.ir.builder import Builder
from graphc.ir.fused import Fused
from graphc.ir.graph import Check, Graph
from graphc.ir.op import Loc, Node, Value
from graphc.ir.types import DType, Rows, TensorType
from graphc.ir.verify import VerifyError, verify
from graphc.primitives import functions as fn

Mutation = Callable[[random.Random, Graph], Graph]
WANTED = 0.95
ROUNDS = 250


@pytest.mark.parametrize("net", NETS)
def test_nets_are_valid(net: Callable[[], Graph]) -> None:
    verify(net())


def with_node(graph: Graph, at: int, node: Node) -> Graph:
    """The graph with one node exchanged; the readers of the old one read the new one."""
    old = graph.nodes[at]

    def moved(value: Value) -> Value:
        return Value(new_of[value.node], value.index) if value.node in new_of else value

    new_of = {old: node}
    nodes = [*graph.nodes[:at], node]
    for later in graph.nodes[at + 1 :]:
        new_of[later] = replace(later, inputs=tuple(map(moved, later.inputs)))
        nodes.append(new_of[later])
    updates = tuple((state, moved(value)) for state, value in graph.updates)
    checks = tuple(Check(moved(check.value), check.message) for check in graph.checks)
    return replace(graph, nodes=tuple(nodes), outputs=tuple(map(moved, graph.outputs)), updates=updates, checks=checks)


def a_node(pick: random.Random, graph: Graph) -> tuple[int, Node]:
    at = pick.randrange(len(graph.nodes))
    return at, graph.nodes[at]


def other_dim(pick: random.Random, graph: Graph) -> Graph:
    at, node = a_node(pick, graph)
    (first, *rest) = node.types
    if not first.shape:
        return other_dtype(pick, graph)
    d = pick.randrange(first.rank)
    dim = pick.choice([int(first.shape[d]) + 1, Rows(11), Rows(2, 3)])
    return with_node(
        graph, at, replace(node, types=(first.with_shape((*first.shape[:d], dim, *first.shape[d + 1 :])), *rest))
    )


def lost_rows(pick: random.Random, graph: Graph) -> Graph:
    """A batch dimension becomes a plain number of the same size."""
    rows = [i for i, node in enumerate(graph.nodes) if node.types[0].has_rows]
    at = pick.choice(rows)
    node = graph.nodes[at]
    plain = node.types[0].with_shape(tuple(int(dim) for dim in node.types[0].shape))
    return with_node(graph, at, replace(node, types=(plain, *node.types[1:])))


def other_dtype(pick: random.Random, graph: Graph) -> Graph:
    at, node = a_node(pick, graph)
    dtype = pick.choice([d for d in DType if d is not node.types[0].dtype])
    return with_node(graph, at, replace(node, types=(node.types[0].with_dtype(dtype), *node.types[1:])))


def other_operand(pick: random.Random, graph: Graph) -> Graph:
    """An operand becomes a value of another type."""
    at, node = pick.choice([(i, n) for i, n in enumerate(graph.nodes) if n.inputs])
    i = pick.randrange(len(node.inputs))
    others = [value for value in graph.values() if value.type != node.inputs[i].type]
    return with_node(graph, at, replace(node, inputs=(*node.inputs[:i], pick.choice(others), *node.inputs[i + 1 :])))


def lost_operand(pick: random.Random, graph: Graph) -> Graph:
    at, node = pick.choice([(i, n) for i, n in enumerate(graph.nodes) if n.inputs])
    return with_node(graph, at, replace(node, inputs=node.inputs[:-1]))


def foreign_operand(pick: random.Random, graph: Graph) -> Graph:
    """An operand comes from another graph, with the right type."""
    at, node = pick.choice([(i, n) for i, n in enumerate(graph.nodes) if n.inputs])
    foreign = Builder().input("foreign", node.inputs[0].type)
    return with_node(graph, at, replace(node, inputs=(foreign, *node.inputs[1:])))


def other_index(pick: random.Random, graph: Graph) -> Graph:
    at, node = pick.choice([(i, n) for i, n in enumerate(graph.nodes) if n.inputs])
    return with_node(graph, at, replace(node, inputs=(Value(node.inputs[0].node, 3), *node.inputs[1:])))


def used_before(pick: random.Random, graph: Graph) -> Graph:
    """Two nodes, of which one reads the other, change places."""
    j, node = pick.choice([(j, n) for j, n in enumerate(graph.nodes) if any(v.node in graph.nodes for v in n.inputs)])
    i = graph.nodes.index(next(v.node for v in node.inputs if v.node in graph.nodes))
    nodes = list(graph.nodes)
    nodes[i], nodes[j] = nodes[j], nodes[i]
    return replace(graph, nodes=tuple(nodes))


def lost_node(pick: random.Random, graph: Graph) -> Graph:
    read = {value.node for node in graph.nodes for value in node.inputs} | {value.node for value in graph.results}
    at = pick.choice([i for i, node in enumerate(graph.nodes) if node in read])
    return replace(graph, nodes=graph.nodes[:at] + graph.nodes[at + 1 :])


def doubled_node(pick: random.Random, graph: Graph) -> Graph:
    at, node = a_node(pick, graph)
    return replace(graph, nodes=(*graph.nodes[: at + 1], node, *graph.nodes[at + 1 :]))


def taken_name(pick: random.Random, graph: Graph) -> Graph:
    at, node = a_node(pick, graph)
    taken = pick.choice([v.name for v in graph.values() if v.node is not node])
    return with_node(graph, at, replace(node, names=(taken, *node.names[1:])))


def lost_name(pick: random.Random, graph: Graph) -> Graph:
    at, node = a_node(pick, graph)
    return with_node(graph, at, replace(node, names=node.names[1:]))


def wrong_update(pick: random.Random, graph: Graph) -> Graph:
    state = pick.choice(graph.inputs)
    others = [value for value in graph.values() if value.type != state.type]
    return replace(graph, updates=(*graph.updates, (state, pick.choice(others))))


def wrong_check(pick: random.Random, graph: Graph) -> Graph:
    others = [value for value in graph.values() if value.type != TensorType((), DType.I32)]
    return replace(graph, checks=(Check(pick.choice(others), "message"),))


def wrong_input(pick: random.Random, graph: Graph) -> Graph:
    """A computed value among the inputs, an input twice, or an input that is missing."""
    kind = pick.randrange(3)
    if kind == 0:
        return replace(graph, inputs=(*graph.inputs, graph.nodes[-1].outputs[0]))
    if kind == 1:
        return replace(graph, inputs=(*graph.inputs, pick.choice(graph.inputs)))
    read = [v for v in graph.inputs if any(v in node.inputs for node in graph.nodes)]
    lost = pick.choice(read)
    return replace(graph, inputs=tuple(value for value in graph.inputs if value != lost))


def wrong_names(pick: random.Random, graph: Graph) -> Graph:
    return replace(graph, output_names=("name",) * (len(graph.outputs) + pick.randint(1, 3)))


def wrong_attribute(pick: random.Random, graph: Graph) -> Graph:
    """A dimension or axis of an op's attribute is one more."""
    names = ("shape", "axes")
    fields = [(i, name) for i, node in enumerate(graph.nodes) for name in names if getattr(node.op, name, ())]
    at, name = pick.choice(fields)
    node = graph.nodes[at]
    values = getattr(node.op, name)
    i = pick.randrange(len(values))
    op = replace(node.op, **{name: (*values[:i], int(values[i]) + 1, *values[i + 1 :])})
    return with_node(graph, at, replace(node, op=op))


MUTATIONS: tuple[Mutation, ...] = (
    other_dim, lost_rows, other_dtype, other_operand, lost_operand, foreign_operand, other_index, used_before, lost_node, doubled_node,
    taken_name, lost_name, wrong_update, wrong_check, wrong_input, wrong_names, wrong_attribute,
)  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_random_mutations_are_refused(mutate: Mutation) -> None:
    pick = random.Random(11)
    graphs = [net() for net in NETS]
    refused = 0
    for _ in range(ROUNDS):
        try:
            verify(mutate(pick, pick.choice(graphs)))
        except VerifyError:
            refused += 1
    assert refused >= WANTED * ROUNDS


def test_message_names_node_and_layer() -> None:
    graph = mlp()
    at = next(i for i, node in enumerate(graph.nodes) if node.op.mnemonic == "tanh")
    node = replace(graph.nodes[at], types=(TensorType((3,)),), names=("act",), loc=Loc("hidden"))
    with pytest.raises(VerifyError) as raised:
        verify(with_node(graph, at, node))
    assert str(raised.value).startswith("<%act = tanh(%2)> (layer hidden): has the types f32[3], its op gives f64[n,6]")
    assert raised.value.node is node


def test_fused_bodies_are_verified_and_labels_unique() -> None:
    def kernel(negative: bool, label: str) -> Fused:
        body = Builder(label)
        x = body.input("x", TensorType((2,)))
        return Fused(body.build((fn.neg(body, x) if negative else fn.relu(body, x),)), label)

    b = Builder()
    x = b.input("x", TensorType((2,)))
    verify(b.build((b.add(kernel(True, "k"), b.add(kernel(True, "k"), x)),)))
    body = replace(kernel(True, "j").body, nodes=())
    other = Builder(graph=b.build(()))
    with pytest.raises(VerifyError, match="@k is the label of another body too"):
        verify(other.build((other.add(kernel(False, "k"), x),)))
    with pytest.raises(VerifyError, match="is not defined before"):
        verify(b.build((b.add(Fused(body, "j"), x),)))
