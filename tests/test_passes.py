"""Passes: golden files, and laws that hold for every pass on every net.

A golden file is `// RUN: pass, pass`, a graph, `// ----` and the graph after these passes. Write what is expected with
`pytest tests/test_passes.py --update-golden` and read the difference.
"""

from __future__ import annotations

import importlib
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from nets import NETS, cnn, mlp

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import REGISTRY, Role
from graphc.ir.parse import parse_graph, read_graph
from graphc.ir.remarks import collect_remarks, remark
from graphc.ir.rewrite import rewrite
from graphc.ir.structure import structural_key
from graphc.ir.text import print_graph
from graphc.ir.types import DType, Rows, TensorType
from graphc.ir.verify import VerifyError
from graphc.primitives import functions as fn
from passes.autodiff import gradients
from passes.canonicalize import canonicalize
from passes.cse import cse
from passes.dce import dce
from passes.fold import fold
from passes.manager import Pass, PassError, pass_name, run_passes
from passes.simplify import simplify
from passes.validate import first_difference, random_inputs, results_of

GOLDEN = sorted((Path(__file__).parent / "passes").glob("*.graph"))
SEPARATOR = "// ----\n"
PASSES: tuple[Pass, ...] = (canonicalize, simplify, fold, cse, dce)


def joint(graph: Graph) -> Graph:
    """The first output's gradients in all parameters."""
    return gradients(graph, graph.outputs[0], graph.inputs_of(Role.PARAM))


def find_pass(name: str) -> Pass:
    if name == "joint":
        return joint
    if name == "fuse":
        return importlib.import_module("passes.fusion").fuse  # type: ignore[no-any-return]
    return next(step for step in PASSES if pass_name(step) == name)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path, update_golden: bool) -> None:
    before, _, expected = path.read_text().partition(SEPARATOR)
    names = before.splitlines()[0].removeprefix("// RUN: ").split(", ")
    graph = parse_graph(before, REGISTRY)
    # the joint graph has more results than the graph it is made of
    after = run_passes(graph, [find_pass(name) for name in names], verify=1 if "joint" in names else 2)
    text = print_graph(after)
    if update_golden:
        path.write_text(f"{before}{SEPARATOR}{text}")
        return
    assert text == expected
    assert structural_key(parse_graph(text, REGISTRY)) == structural_key(after)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("order", list(itertools.permutations(range(len(PASSES)), 3))[::4])
def test_any_order_of_passes_keeps_the_numbers(net: Callable[[], Graph], order: tuple[int, ...]) -> None:
    graph = joint(net())
    steps = [PASSES[i] for i in order]
    after = run_passes(graph, steps, verify=2)
    arrays = random_inputs(graph, seed=3)
    assert first_difference(graph, results_of(graph, arrays), results_of(after, arrays)) == ""


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("step", PASSES, ids=pass_name)
def test_unchanged_means_the_same_object(net: Callable[[], Graph], step: Pass) -> None:
    once = step(joint(net()))
    assert step(once) is once


def test_all_passes_make_the_joint_graph_smaller() -> None:
    graph = joint(cnn())
    assert len(run_passes(graph, PASSES).nodes) <= 0.75 * len(graph.nodes)


def test_canonical_form_before_autodiff_keeps_gradients() -> None:
    for net in NETS:
        graph = net()
        arrays = random_inputs(graph)
        late, early = joint(graph), joint(canonicalize(graph))
        assert first_difference(late, results_of(late, arrays), results_of(early, arrays)) == ""


# ---- the manager


def lose_a_type(graph: Graph) -> Graph:
    """A broken pass: it changes the type of the node called %3 alone."""
    nodes = [replace(n, types=(TensorType((1,)),)) if "3" in n.names else n for n in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


def negate(graph: Graph) -> Graph:
    """A wrong pass: it exchanges the first two operands of every subtraction."""
    return rewrite(graph, lambda b, n: [b.add(n.op, *reversed(n.inputs))] if n.op.mnemonic == "sub" else None)


def test_invalid_graph_names_pass_node_layer_and_command(tmp_path: Path) -> None:
    graph = mlp()
    with pytest.raises(PassError) as raised:
        run_passes(graph, [cse, lose_a_type], dump=tmp_path)
    message = str(raised.value)
    last = max(tmp_path.glob("*.graph"))
    assert message.startswith("pass lose_a_type made a wrong graph: ")
    assert "%3" in message and message.endswith(f"to repeat it: python -m graphc opt {last} -p lose_a_type")
    assert raised.value.__notes__[0].startswith("the graph after lose_a_type:\ngraph @mlp")


def test_level_two_finds_changed_numbers() -> None:
    assert run_passes(mlp(), [negate], verify=1) is not None
    with pytest.raises(PassError, match=r"pass negate made a wrong graph: %\d+ : f64\[\]: 1 of 1 elements differ"):
        run_passes(mlp(), [negate], verify=2)


def test_a_failing_pass_carries_its_graph() -> None:
    def fails(graph: Graph) -> Graph:
        raise KeyError("x")

    with pytest.raises(KeyError) as raised:
        run_passes(mlp(), [fails])
    assert raised.value.__notes__[0].startswith("in pass fails; to repeat it, set GRAPHC_DUMP")
    assert raised.value.__notes__[1].startswith("the graph before fails:\ngraph @mlp")


def test_invalid_input_is_refused() -> None:
    with pytest.raises(VerifyError):
        run_passes(lose_a_type(mlp()), [])


def test_dump_numbers_graphs_and_lists_passes(tmp_path: Path) -> None:
    def speaks(graph: Graph) -> Graph:
        remark("speaks", graph.nodes[0], "left as it is")
        return graph

    graph = joint(mlp())
    run_passes(graph, [partial(canonicalize), speaks], dump=tmp_path)
    after = run_passes(graph, [dce], dump=tmp_path)
    files = [path.name for path in sorted(tmp_path.glob("*.graph"))]
    assert files == ["00-input.graph", "01-canonicalize.graph", "02-input.graph", "03-dce.graph"]
    assert structural_key(read_graph(tmp_path / files[3], REGISTRY), interface=True) == structural_key(
        after, interface=True
    )
    lines = (tmp_path / "index.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["01-canonicalize", "--", "speaks:", "03-dce"]
    assert lines[1].endswith("unchanged") and lines[2].endswith("%0 (layer hidden): left as it is")
    assert f"{len(graph.nodes)} -> {len(after.nodes)} nodes" in lines[3]


def test_remarks_reach_all_collectors() -> None:
    node = mlp().nodes[0]
    with collect_remarks() as outer, collect_remarks() as inner:
        remark("p", node, "m")
    assert [str(found) for found in inner] == ["p: %0 (layer hidden): m"] and outer == inner
    remark("p", node, "nobody listens")


# ---- laws of single passes


def test_fold_keeps_to_its_budgets() -> None:
    text = "graph @g {\n%a = constant() {array=[1.0, 2.0]} : f32[2]\n%b = neg(%a) : f32[2]\nreturn %b\n}"
    graph = parse_graph(text, REGISTRY)
    assert fold(graph, largest=7) is graph and fold(graph, total=15) is graph
    assert [node.op.mnemonic for node in dce(fold(graph)).nodes] == ["constant"]


def test_random_graphs_of_elementwise_and_moves_keep_their_numbers() -> None:
    for seed in range(40):
        graph = random_graph(random.Random(seed))
        after = run_passes(graph, PASSES, verify=2)
        for inputs in (1, 2):
            arrays = random_inputs(graph, inputs)
            assert first_difference(graph, results_of(graph, arrays), results_of(after, arrays)) == "", seed


def random_graph(pick: random.Random) -> Graph:
    """A chain of moves, reductions and arithmetic over a batch of rows."""
    b = Builder("random")
    values = [b.input("x", TensorType((Rows(3), 2, 4), DType.F64)), b.input("v", TensorType((4,), DType.F64))]
    for _ in range(pick.randrange(5, 25)):
        x = pick.choice(values)
        axes = [d for d in range(x.type.rank) if pick.random() < 0.4]
        match pick.randrange(7):
            case 0:
                values.append(fn.transpose(b, x, pick.sample(range(x.type.rank), x.type.rank)))
            case 1:
                values.append(fn.sum(b, x, axes, keepdims=pick.random() < 0.5))
            case 2:
                values.append(fn.max(b, x, axes, keepdims=pick.random() < 0.5))
            case 3:
                shape = (*(2, 3)[: pick.randrange(3)], *x.shape)
                values.append(fn.broadcast_to(b, x, shape) if len(shape) < 6 else x)
            case 4:
                values.append(pick.choice([fn.neg, fn.square, fn.tanh, fn.abs, fn.stop_gradient])(b, x))
            case 5:
                op = pick.choice([fn.add, fn.sub, fn.mul, fn.maximum, fn.div])
                others: list[fn.Operand] = [v for v in values if v.shape == x.shape]
                values.append(op(b, x, pick.choice([*others, 0.0, 1.0, 0.5, -1.0])))
            case 6:
                rank = x.type.rank
                if rank and not x.type.has_rows:
                    values.append(fn.reshape(b, x, (-1,)))
                elif rank > 1 and not any(isinstance(d, Rows) for d in x.shape[1:]):
                    values.append(fn.reshape(b, x, (*x.shape[:1], 1, -1)))
    return b.build(tuple(dict.fromkeys(values[-4:])))


def test_validation_sees_small_differences() -> None:
    graph = mlp()
    result = (np.array(1.0), np.ones((5, 3)))
    assert first_difference(graph, result, (np.array(1.0 + 1e-9), np.ones((5, 3)))) == ""
    other = np.ones((5, 3))
    other[4, 1] = np.nan
    assert "1 of 15 elements differ; at (4, 1)" in first_difference(graph, result, (result[0], other))
