"""Fusion: the laws of bodies on random graphs, and what must become one kernel."""

from __future__ import annotations

import random

import numpy as np
import pytest
from graphs import adam, random_graph, sgd
from nets import NETS, cross_entropy, dense

from graphc.ir.builder import Builder
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.interpret import evaluate
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Array, Contraction, Node, Reduction, Role, Value, View
from graphc.ir.remarks import collect_remarks
from graphc.ir.types import DType, Rows, TensorType
from graphc.ir.verify import verify
from graphc.ir.view import dot, is_convex, joins
from graphc.primitives import functions as fn
from graphc.primitives.source import Constant
from passes.acyclic import Dag
from passes.autodiff import gradients
from passes.canonicalize import canonicalize
from passes.cse import cse
from passes.dce import dce
from passes.fusion import fuse
from passes.unit_axes import drop_unit_axes
from passes.validate import first_difference, random_inputs, results_of

N = Rows(6)


def tensor(b: Builder, name: str, *shape: int, role: str = Role.INPUT, dtype: DType = DType.F32) -> Value:
    return b.input(name, TensorType(shape, dtype), role)


def fused(graph: Graph) -> Graph:
    """The graph after fusion, checked against the laws and the numbers of the graph before."""
    after = fuse(graph)
    verify(after)
    check_groups(after)
    arrays = random_inputs(graph)
    assert first_difference(graph, results_of(graph, arrays), results_of(after, arrays)) == ""
    return after


def kernels(graph: Graph) -> list[Fused]:
    return [node.op for node in graph.nodes if isinstance(node.op, Fused)]


def maker(graph: Graph, value: Value) -> Fused:
    """The kernel that computes a value of the fused graph."""
    assert isinstance(value.op, Fused)
    return value.op


def mnemonics(kernel: Fused) -> list[str]:
    """The ops of a kernel without views, constants and indices."""
    return [n.op.mnemonic for n in kernel.body.nodes if n.inputs and not isinstance(n.op, View)]


# ---- the laws of a body, checked without the code that keeps them


def check_groups(graph: Graph) -> None:
    """Only kernels, loops of kernels, reshapes and constant arrays; every body keeps the laws of its form."""
    for node in graph.nodes:
        assert isinstance(node.op, Fused | Loop | Alias | Constant), node
        if isinstance(node.op, Fused):
            check_body(node.op.body)
        if isinstance(node.op, Loop):
            check_groups(node.op.body)


def check_body(body: Graph) -> None:
    main = [node for node in body.nodes if not is_map(node)]
    assert not any(isinstance(node.op, Alias) for node in body.nodes)
    assert all_needed(body)
    shapes = {value.shape for value in body.outputs}
    if not main:
        assert len(shapes) == 1
    elif all(isinstance(node.op, Reduction) and node.op.mnemonic != "cum_sum" for node in main):
        check_reductions(body, main, shapes)
    else:
        assert len(main) == 1 and shapes == {main[0].types[0].shape}
    check_own_element(body, main)


def check_reductions(body: Graph, main: list[Node], shapes: set[tuple[int, ...]]) -> None:
    """One full space, one kept space; results in the kept space, or in both when rows are reduced."""
    (full,), (kept,) = ({n.inputs[0].shape for n in main}, {n.types[0].shape for n in main})
    assert shapes <= {kept, full}
    chained = any(a is not b and a in below(body, b) for a in main for b in main)
    if chained or full in shapes:
        assert full[: len(kept)] == kept


def is_map(node: Node) -> bool:
    nests = node.op.nest(*(value.type for value in node.inputs))
    return len(nests) == 1 and nests[0].is_map


def below(body: Graph, node: Node) -> set[Node]:
    """The nodes that need this one."""
    found = {node}
    for other in body.nodes:
        if any(value.node in found for value in other.inputs):
            found.add(other)
    return found - {node}


def all_needed(body: Graph) -> bool:
    needed = {value.node for value in body.outputs}
    for node in reversed(body.nodes):
        if node in needed:
            needed |= {value.node for value in node.inputs}
    return all(node in needed for node in (*body.nodes, *(value.node for value in body.inputs)))


def check_own_element(body: Graph, main: list[Node]) -> None:
    """A change in one element of a main node's result changes results only at that element (or row)."""
    known = evaluate(body, dict(zip(body.inputs, random_inputs(body), strict=True)))
    for node in main:
        at = tuple(dim // 2 for dim in map(int, node.types[0].shape))
        changed = dict(known)
        for value in node.outputs:
            changed[value] = known[value].copy()
            changed[value][at] += 1
        again(body, node, changed)
        for value in body.outputs:
            same = np.array(np.isclose(known[value], changed[value], rtol=0, atol=0, equal_nan=True))
            same[at] = True
            assert same.all(), f"%{value.name} reads %{node.names[0]} at other elements"


def again(body: Graph, changed: Node, arrays: dict[Value, Array]) -> None:
    """Evaluates what depends on a node whose results are given."""
    later = below(body, changed)
    with np.errstate(all="ignore"):
        for node in body.nodes:
            if node in later:
                arrays.update(zip(node.outputs, node.op.eval(*(arrays[v] for v in node.inputs)), strict=True))


# ---- on random graphs and nets


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    graph = random_graph(seed, size=10 + seed)
    if seed % 2:
        graph = dce(cse(drop_unit_axes(canonicalize(graph))))
    fused(graph)


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_training_steps_of_nets(net) -> None:  # type: ignore[no-untyped-def]
    graph = net()
    after = fused(adam(graph, graph.outputs[0]))
    assert len(after.nodes) * 3 < len(dce(adam(graph, graph.outputs[0])).nodes)


@pytest.mark.parametrize("seed", range(10))
def test_every_operand_from_memory_has_a_reason(seed: int) -> None:
    with collect_remarks() as remarks:
        after = fuse(random_graph(seed, size=25))
    reasons = {(r.node, r.message.split(":")[0]) for r in remarks if r.message.startswith("not fused with")}
    for node in after.nodes:
        inside = (node, *(node.op.body.nodes if isinstance(node.op, Fused) else ()))
        names = {", ".join(f"%{name}" for name in inner.names) for inner in inside}
        for value in node.inputs:
            if value.node in after.nodes and not isinstance(value.op, Constant):
                assert any((name, f"not fused with %{value.name}") in reasons for name in names), (node, value)


def test_fusing_twice_changes_nothing() -> None:
    after = fuse(random_graph(3))
    assert fuse(after) is after


# ---- what must be one kernel


def test_cross_entropy_with_its_gradient_is_one_row_kernel() -> None:
    b = Builder()
    logits = tensor(b, "logits", N, 10)
    labels = tensor(b, "labels", N, dtype=DType.I32)
    hot = fn.one_hot(b, labels, 10)
    loss = fn.neg(b, fn.sum(b, fn.mul(b, hot, fn.log_softmax(b, logits)), -1))
    total = fn.mean(b, loss)
    joint = gradients(b.build((total, loss)), total, (logits,))
    after = fused(dce(cse(drop_unit_axes(joint))))
    total, loss, gradient = after.outputs
    assert loss.node is gradient.node
    assert [k.label.split("_")[0] for k in kernels(after)] == ["max", "sum"]


def test_layer_norm_is_one_row_kernel() -> None:
    b = Builder()
    x = tensor(b, "x", N, 24)
    scale = tensor(b, "scale", 24, role=Role.PARAM)
    centred = fn.sub(b, x, fn.mean(b, x, -1, keepdims=True))
    deviation = fn.rsqrt(b, fn.add(b, fn.mean(b, fn.square(b, centred), -1, keepdims=True), 1e-3))
    graph = drop_unit_axes(b.build((fn.mul(b, fn.mul(b, centred, deviation), scale),)))
    assert len(fused(graph).nodes) == 1


def test_long_rows_are_two_kernels() -> None:
    b = Builder()
    x = tensor(b, "x", 2, 20_000)
    after = fused(b.build((fn.sub(b, x, fn.broadcast(b, fn.max(b, x, 1), x.shape, (0,))),)))
    assert [mnemonics(k) for k in kernels(after)] == [["max"], ["sub"]]


def test_adam_step_of_a_weight_is_one_kernel_with_three_results() -> None:
    b = Builder()
    w = tensor(b, "w", 330, 17, role=Role.PARAM)
    x = tensor(b, "x", 330, 17)
    loss = fn.sum(b, fn.mul(b, fn.tanh(b, w), x))
    after = fused(dce(adam(b.build((loss,)), loss)))
    new = {state.name: value for state, value in after.updates}
    assert new["w"].node is new["w.m"].node is new["w.v"].node
    assert len(kernels(after)) == 3  # the loss, the rate, the step


def test_conv_bias_relu_is_one_kernel_named_by_its_ops() -> None:
    b = Builder()
    x, w = tensor(b, "x", N, 11, 9, 3), tensor(b, "w", 3, 3, 3, 20, role=Role.PARAM)
    y = fn.relu(b, fn.add(b, fn.conv(b, x, w), tensor(b, "bias", 20, role=Role.PARAM)))
    (kernel,) = kernels(fused(b.build((y,))))
    assert kernel.label == "conv_add_relu.0"


def test_residual_joins_the_later_convolution() -> None:
    b = Builder()
    x = tensor(b, "x", N, 8, 8, 32)
    weights = [tensor(b, f"w{i}", 1, 1, 32, 32, role=Role.PARAM) for i in range(2)]
    h = fn.relu(b, fn.conv(b, x, weights[0]))
    y = fn.relu(b, fn.add(b, h, fn.conv(b, h, weights[1])))
    assert [mnemonics(k) for k in kernels(fused(b.build((y,))))] == [["conv", "relu"], ["conv", "add", "relu"]]


def test_bias_gradient_runs_the_update_of_the_bias() -> None:
    b = Builder()
    y = fn.square(b, dense(b, tensor(b, "x", N, 31), "dense", 64))
    loss = fn.mean(b, y)
    after = fused(dce(sgd(b.build((loss,)), loss)))
    new = {state.name: value for state, value in after.updates}
    assert mnemonics(maker(after, new["dense/bias"]))[-3:] == ["sum", "mul", "sub"]
    assert mnemonics(maker(after, new["dense/kernel"])) == ["dot", "mul", "sub"]


def test_the_update_in_the_filter_gradient_runs_after_the_input_gradient() -> None:
    b = Builder()
    hidden = dense(b, tensor(b, "x", N, 31), "first", 40)
    loss = fn.mean(b, fn.square(b, dense(b, hidden, "second", 50)))
    after = fused(dce(sgd(b.build((loss,)), loss)))
    kernel = next(state for state, _ in after.updates if state.name == "second/kernel")
    new = dict(after.updates)[kernel]
    readers = [i for i, node in enumerate(after.nodes) if kernel in node.inputs]
    assert len(readers) == 3 and after.nodes[readers[-1]] is new.node


def test_siblings_share_their_reading() -> None:
    b = Builder()
    x, y = tensor(b, "x", 300, 40), tensor(b, "y", 300, 40)
    graph = b.build((fn.sum(b, x, 0), fn.sum(b, fn.square(b, x), 0), fn.add(b, x, y), fn.exp(b, y)))
    assert sorted(len(k.body.outputs) for k in kernels(fused(graph))) == [2, 2]


# ---- recomputing and not recomputing


def test_cheap_maps_are_computed_by_every_reader() -> None:
    b = Builder()
    x, w = tensor(b, "x", 64, 65), tensor(b, "w", 65, 66, role=Role.PARAM)
    y = fn.mul(b, x, 2.0)
    after = fused(b.build((fn.sum(b, y, 0), fn.max(b, fn.add(b, y, 1.0)), fn.matmul(b, x, w))))
    assert all(value.shape != (64, 65) for node in after.nodes for value in node.outputs)


def test_random_bits_are_stored_as_a_mask() -> None:
    b = Builder()
    x = tensor(b, "x", N, 64, dtype=DType.F32)
    key = tensor(b, "key", 2, role=Role.STATE, dtype=DType.U32)
    keep = fn.lt(b, fn.random_uniform(b, key, x.shape), 0.5)
    y = fn.select(b, keep, x, 0.0)
    loss = fn.sum(b, fn.square(b, fn.matmul(b, y, tensor(b, "w", 64, 48, role=Role.PARAM))))
    after = fused(dce(gradients(b.build((loss,)), loss, (x,))))
    assert sum(mnemonics(k).count("random_bits") for k in kernels(after)) == 1
    assert any(v.dtype is DType.BOOL for node in after.nodes for v in node.outputs)


def test_work_on_an_operand_of_a_contraction_is_not_repeated() -> None:
    b = Builder()
    x, w = tensor(b, "x", 40, 65), tensor(b, "w", 65, 128, role=Role.PARAM)
    after = fused(b.build((fn.matmul(b, fn.exp(b, fn.transpose(b, x)), fn.slice_axis(b, w, 0, 0, 40)),)))
    assert [mnemonics(k) for k in kernels(after)] == [["exp"], ["dot"]]


def test_an_expensive_scalar_is_not_repeated_for_every_element() -> None:
    b = Builder()
    x, s = tensor(b, "x", 1000, 100), tensor(b, "s")
    after = fused(b.build((fn.mul(b, x, fn.exp(b, s)),)))
    assert [mnemonics(k) for k in kernels(after)] == [["exp"], ["mul"]]


def test_reductions_of_different_axes_are_not_mixed() -> None:
    b = Builder()
    x = tensor(b, "x", 30, 40)
    assert len(kernels(fused(b.build((fn.sum(b, x, 0), fn.sum(b, x, 1)))))) == 2


# ---- order and results


def test_checks_come_first_and_pure_updates_last() -> None:
    b = Builder()
    x, w = tensor(b, "x", N, 40), tensor(b, "w", 40, 50, role=Role.PARAM)
    count = tensor(b, "count", role=Role.STATE)
    average = tensor(b, "average", 40, 50, role=Role.STATE)
    b.update(count, fn.add(b, count, 1.0))
    b.update(average, fn.add(b, fn.mul(b, average, 0.9), fn.mul(b, w, 0.1)))
    y = fn.matmul(b, x, w)
    b.check(fn.sum(b, fn.cast(b, fn.is_nan(b, x), DType.I32)), "not a number")
    after = fused(b.build((y,)))
    place = {node: i for i, node in enumerate(after.nodes)}
    assert place[after.checks[0].value.node] == 0
    assert place[after.outputs[0].node] == 1
    assert {place[new.node] for _, new in after.updates} == {2, 3}


def test_a_check_and_an_update_are_not_one_kernel() -> None:
    b = Builder()
    labels = tensor(b, "labels", N, dtype=DType.I32)
    total = tensor(b, "total", role=Role.STATE, dtype=DType.I32)
    b.update(total, fn.add(b, total, fn.sum(b, labels)))
    b.check(fn.sum(b, fn.cast(b, fn.lt(b, labels, 0), DType.I32)), "labels are negative")
    with collect_remarks() as remarks:
        after = fused(b.build(()))
    assert [mnemonics(k)[0] for k in kernels(after)] == ["lt", "sum"]
    assert not any("[cycle]" in r.message for r in remarks)


def test_results_are_values_of_their_own() -> None:
    b = Builder()
    x, s = tensor(b, "x", 5, 7), tensor(b, "s", 5, 7, role=Role.STATE)
    y = fn.exp(b, x)
    b.update(s, y)
    constant = fn.constant(b, np.arange(3.0, dtype=np.float32))
    after = fused(b.build((x, y, fn.reshape(b, y, (35,)), s, constant)))
    made = after.outputs + tuple(new for _, new in after.updates)
    assert len(set(made)) == 6 and all(isinstance(v.op, Fused) for v in made)


def test_kernels_that_compute_the_same_are_one() -> None:
    b = Builder()
    x = tensor(b, "x", 20, 20)
    for i in range(3):
        x = fn.tanh(b, fn.matmul(b, x, tensor(b, f"w{i}", 20, 20, role=Role.PARAM)))
    assert len(set(kernels(fused(b.build((x,)))))) == 1


def test_a_kernel_comes_from_the_layer_of_its_anchor() -> None:
    b = Builder()
    y = dense(b, tensor(b, "x", N, 8), "hidden", 40)
    with b.layer("activation"):
        y = fn.relu(b, y)
    (node,) = fused(b.build((y,))).nodes
    assert node.loc.layer == "hidden"


def test_cross_entropy_of_a_net_stays_out_of_the_dense_layer() -> None:
    b = Builder()
    logits = dense(b, tensor(b, "x", N, 20), "logits", 30)
    loss = cross_entropy(b, logits, tensor(b, "labels", N, dtype=DType.I32))
    after = fused(drop_unit_axes(b.build((loss,))))
    (anchor,) = [k for k in kernels(after) if any(isinstance(n.op, Contraction) for n in k.body.nodes)]
    assert mnemonics(anchor) == ["dot", "add"]


# ---- the order kept while merging, against networkx


@pytest.mark.parametrize("seed", range(20))
def test_merges_keep_a_topological_order(seed: int) -> None:
    rng = random.Random(seed)
    count = 25
    dag = Dag(count)
    edges = {(a, b) for a, b in (sorted(rng.sample(range(count), 2)) for _ in range(40)) if dag.add_edge(a, b)}
    group = list(range(count))
    for _ in range(18):
        a, b = rng.sample(sorted(set(group)), 2)
        if dag.detour(a, b) is None:
            dag.merge(a, b)
            group = [a if g == b else g for g in group]
        assert all(group[x] == group[y] or dag.place[group[x]] < dag.place[group[y]] for x, y in edges)


def test_detours_are_what_networkx_calls_not_convex() -> None:
    for seed in range(10):
        graph = random_graph(seed, size=25)
        number = {node: i for i, node in enumerate(graph.nodes)}
        dag = Dag(len(graph.nodes))
        for node in graph.nodes:
            for value in node.inputs:
                if value.node in number:
                    dag.add_edge(number[value.node], number[node])
        for a, b in zip(graph.nodes, graph.nodes[3:], strict=False):
            assert (dag.detour(number[a], number[b]) is None) == is_convex(graph, (a, b))


def test_an_edge_against_the_order_is_refused_only_if_it_closes_a_cycle() -> None:
    dag = Dag(4)
    assert dag.add_edge(0, 1) and dag.add_edge(3, 0)
    assert not dag.add_edge(1, 3)
    assert dag.reaches(3, 1) and not dag.reaches(1, 3)
    assert dag.place[3] < dag.place[0] < dag.place[1]


def test_joins_and_pictures() -> None:
    b = Builder("picture")
    x = tensor(b, "x", 5)
    a, c = fn.exp(b, x), fn.neg(b, x)
    y = fn.add(b, a, c)
    graph = b.build((y,))
    assert joins(graph) == {x.node: y.node, a.node: y.node, c.node: y.node, y.node: None}
    text = dot(fuse(graph))
    assert text.startswith('digraph "picture" {') and "@exp_neg_add.0\\nexp, neg, add" in text
