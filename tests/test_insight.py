"""Looking into compilations: counted work, profiles, comparisons, checks, memory, numerics, the machine."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from graphs import sgd
from nets import F32, NETS, cnn, dropout, embedding, mlp, parameter

from graphc.compiler import analyse, compile_graph
from graphc.insight.check import CheckFailure, _kernel_difference, check_graph
from graphc.insight.diff import compare
from graphc.insight.doctor import examine
from graphc.insight.memory import memory_of
from graphc.insight.numerics import GuardedExecutable, NumericsError
from graphc.insight.roof import known_roof, renew_roof
from graphc.ir.builder import Builder
from graphc.ir.cost import LAUNCH, Roof, Work, graph_work, node_work
from graphc.ir.graph import Graph
from graphc.ir.nest import Expr
from graphc.ir.op import REGISTRY, Array, Elementwise, Role, Value
from graphc.ir.types import DType, Rows, TensorType
from graphc.options import CompileOptions, compile_options
from graphc.primitives import functions as fn
from graphc.runtime.executable import CheckError, Executable
from passes.manager import Pass
from passes.pipeline import PIPELINE
from passes.recompute import CHEAP, recompute

PLAIN = CompileOptions(threads=2, cache=False)
ROOF = Roof(gflops=100.0, copy_gb_s=20.0)


def trained(net: Callable[..., Graph], rows: int = 5) -> Graph:
    graph = net(F32, rows)
    return sgd(graph, graph.outputs[0])


def arrays_of(graph: Graph, rng: np.random.Generator) -> dict[str, Array]:
    """Small numbers for weights and data, small ids for integers."""
    found = {}
    for value in graph.inputs:
        shape = tuple(map(int, value.shape))
        numbers = rng.normal(size=shape) * 0.3 if value.dtype.is_float else rng.integers(0, 2, shape)
        found[value.name] = np.asarray(numbers).astype(value.dtype.numpy)
    return found


# Work


def test_work_of_a_matmul_is_two_operations_a_product() -> None:
    b = Builder("product")
    x, w = b.input("x", TensorType((Rows(5), 7))), parameter(b, "w", 7, 3)
    node = fn.matmul(b, x, w).node
    assert node_work(node) == Work(2 * 5 * 7 * 3, 2.0 * 5 * 7 * 3, 4 * (5 * 7 + 7 * 3 + 5 * 3))


def test_work_leaves_out_padding() -> None:
    b = Builder("padded")
    x, w = b.input("x", TensorType((Rows(2), 6, 5, 3))), parameter(b, "w", 3, 3, 3, 4)
    node = fn.conv(b, x, w, padding=((1, 1), (1, 1))).node
    inside = (3 * 6 - 2) * (3 * 5 - 2)  # of 3 * 6 times 3 * 5 positions of the window's elements
    assert node_work(node).flops == 2 * 2 * inside * 3 * 4


def test_work_counts_what_is_read_of_a_table() -> None:
    b = Builder("lookup")
    table, ids = parameter(b, "table", 1000, 8), b.input("ids", TensorType((Rows(3),), DType.I32))
    assert node_work(fn.gather(b, table, ids).node).nbytes == 3 * 8 * 4 + 3 * 4 + 3 * 8 * 4


def test_fused_work_is_that_of_the_body_with_memory_at_the_border(rng: np.random.Generator) -> None:
    source = trained(mlp)
    fused = analyse(source, PLAIN).plan.graph
    assert graph_work(fused).nbytes < graph_work(source).nbytes
    contractions = sum(node_work(n).flops for n in source.nodes if n.op.mnemonic == "dot")
    assert contractions <= graph_work(fused).flops <= graph_work(source).flops * 1.2


def test_the_roof_bounds_by_arithmetic_or_by_bytes() -> None:
    assert ROOF.seconds(Work(10**9, 1e9, 8)) == pytest.approx(0.01 + LAUNCH)
    assert ROOF.seconds(Work(8, 8.0, 10**9)) == pytest.approx(0.05 + LAUNCH)
    assert ROOF.share(Work(10**9, 1e9, 8), 0.02) == pytest.approx(0.5)
    assert ROOF.share(Work(0, 0.0, 10**9), 0.05) == pytest.approx(1.0)


# Profiles


@pytest.fixture
def exe(rng: np.random.Generator) -> Executable:
    graph = trained(cnn, 4)
    known = arrays_of(graph, rng)
    bind = {v.name: known[v.name] for v in graph.inputs if graph.role(v) != Role.INPUT}
    return compile_graph(graph, PLAIN, bind=bind)


def test_a_profile_tells_every_kernel_and_changes_nothing(exe: Executable) -> None:
    before = {name: array.copy() for name, array in exe.state.items()}
    profile = exe.profile(5)
    assert all(np.array_equal(array, before[name]) for name, array in exe.state.items())
    assert len(profile) == 5 and profile.runs.ticks.shape == (5, len(exe.program.phases))
    assert {symbol for kernel in profile.kernels for symbol in kernel.kernels} == set(exe.kernels)
    assert all(kernel.seconds > 0 for kernel in profile.kernels)
    assert 0.2 * profile.seconds < sum(kernel.seconds for kernel in profile.kernels) <= 1.5 * profile.seconds
    by_layer = {layer.layer: layer for layer in profile.layers}
    assert by_layer["conv"].seconds["forward"] > 0 and by_layer["conv"].seconds["backward"] > 0
    assert sum(layer.work.flops for layer in profile.layers) == profile.work.flops


def test_nothing_is_recorded_outside_of_a_recording(exe: Executable, rng: np.random.Generator) -> None:
    arrays = [np.zeros(tuple(map(int, slot.shape)), slot.dtype.numpy) for slot in exe.program.inputs]
    with exe.recording() as recorder:
        exe.run(arrays)
        exe.run([array[:2] for array in arrays], 2)
        with pytest.raises(RuntimeError, match="recorded already"), exe.recording():
            pass
    exe.run(arrays)
    assert len(recorder) == 2 and int(exe._call["cycles"][0]) == 0
    assert len(exe.profiled(recorder)) == 2


def test_profile_as_text_and_beside_a_roof(exe: Executable) -> None:
    profile = exe.profile(2)
    assert "of 100; 20 GB/s at most" in str(profile.against(ROOF)) and "roof" not in str(profile)
    lines = str(profile).splitlines()
    assert lines[0].split()[:2] == ["kernel", "layer"] and "conv backward" in str(profile)
    assert profile.by_layer().splitlines()[0].split() == [
        "layer", "forward", "µs", "backward", "µs", "update", "µs", "MFLOP", "GFLOP/s", "of", "all",
    ]  # fmt: skip


def test_a_trace_has_the_kernels_one_after_the_other(exe: Executable, tmp_path: Path) -> None:
    profile = exe.profile(3)
    events = json.loads(profile.trace(tmp_path / "trace.json").read_text())["traceEvents"]
    runs = [e for e in events if e["ph"] == "X" and e["cat"] == "run"]
    kernels = [e for e in events if e["ph"] == "X" and e["cat"] != "run"]
    working = [phase for phase in exe.program.phases if phase.units]
    assert len(runs) == 3 and len(kernels) == 3 * len(working)
    assert [e["name"] for e in kernels[: len(working)]] == [phase.symbol for phase in working]
    assert all(a["ts"] + a["dur"] <= b["ts"] + 0.01 for a, b in pairwise(kernels))


@pytest.mark.long
def test_recording_costs_less_than_two_percent(rng: np.random.Generator) -> None:
    b = Builder("work")
    x, w = b.input("x", TensorType((Rows(64), 256))), parameter(b, "w", 256, 256)
    for _ in range(8):
        x = fn.tanh(b, fn.matmul(b, x, w))
    exe = compile_graph(b.build((x,)), replace(PLAIN, threads=1))
    arrays = [rng.normal(size=(64, 256)).astype("f")]
    plain, counted = [], []
    for _ in range(300):  # turn about, so that a busy machine disturbs both alike
        exe.run(arrays)
        plain.append(exe._seconds)
        with exe.recording():
            exe.run(arrays)
        counted.append(exe._seconds)
    assert min(counted) < 1.02 * min(plain)


# Comparisons


def test_a_graph_differs_from_itself_in_nothing() -> None:
    found = compare(trained(mlp), trained(mlp), ROOF, options=PLAIN)
    assert found.is_equal and "ops: as before" in str(found) and "kernels: as before" in str(found)


def test_a_comparison_shows_what_came_and_went() -> None:
    forward = mlp(F32)
    text = str(found := compare(forward, trained(mlp), ROOF, ("old", "new"), PLAIN))
    assert not found.is_equal and text.startswith("--- old\n+++ new\n")
    assert re.search(r"^  dot +2 +-> +6 +\+4$", text, re.M)
    assert re.search(r"^\+ +logits +backward +dot_mul_sub +f32\[6,3\]", text, re.M)
    assert re.search(r"^expected µs", text, re.M) and not re.search(r"^- +logits", text, re.M)


# Checks


@pytest.mark.parametrize("net", NETS[:4], ids=lambda net: net.__name__)
def test_right_compilations_pass_the_check(net: Callable[..., Graph]) -> None:
    report = check_graph(trained(net), options=PLAIN)
    assert "fuse" in report.passes and report.kernels and report.rows == (5, 3)


def test_the_check_names_a_wrong_pass() -> None:
    def forget(graph: Graph) -> Graph:
        """Reads the first operand of a subtraction twice."""
        first = next(node for node in graph.nodes if node.op.mnemonic == "sub")
        wrong = replace(first, inputs=(first.inputs[0], first.inputs[0]))
        return _with_node(graph, first, wrong)

    pipeline: tuple[Pass, ...] = (PIPELINE[0], forget, *PIPELINE[1:])
    with pytest.raises(CheckFailure, match=r"^pass forget: %.* elements differ; at ") as caught:
        check_graph(mlp(F32), options=PLAIN, pipeline=pipeline)
    assert caught.value.stage == "pass forget"


def _with_node(graph: Graph, old: object, new: object) -> Graph:
    """The graph with one node replaced, and all that follow read it."""
    mapping: dict[object, object] = {old: new}
    nodes = []
    for node in graph.nodes:
        if node is old:
            node = new  # type: ignore[assignment]
        else:
            inputs = tuple(Value(mapping.get(v.node, v.node), v.index) for v in node.inputs)  # type: ignore[arg-type]
            if inputs != node.inputs:
                mapping[node] = node = replace(node, inputs=inputs)
        nodes.append(node)
    outputs = tuple(Value(mapping.get(v.node, v.node), v.index) for v in graph.outputs)  # type: ignore[arg-type]
    return replace(graph, nodes=tuple(nodes), outputs=outputs)


@dataclass(frozen=True)
class Liar(Elementwise):
    """Its kernel adds two, its meaning one."""

    def element(self, *args: Expr) -> Expr:
        return args[0] + 2.0

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0] + arrays[0].dtype.type(1),)


del REGISTRY[Liar.mnemonic]  # no test of all ops shall meet it


def test_the_check_names_a_wrong_kernel() -> None:
    b = Builder("lies")
    x, w = b.input("x", TensorType((Rows(6), 4))), parameter(b, "w", 4, 3)
    y = fn.matmul(b, x, w)
    with b.layer("liar"):
        y = fn.tanh(b, b.add(Liar(), fn.sum(b, y, 1)))
    with pytest.raises(CheckFailure, match=r"^kernel sum_liar_tanh\.0 \(liar, forward\): .* elements differ"):
        check_graph(b.build((y,)), options=PLAIN)


def test_only_what_rounding_decides_may_be_otherwise() -> None:
    b = Builder("gate")
    x = b.input("x", TensorType((2000,)))
    graph = b.build((fn.gt(b, x, 1.0),))
    array = np.linspace(2.0, 3.0, 2000, dtype=np.float32)
    array[7] = np.nextafter(np.float32(1), np.float32(2))
    right = array > 1
    for at, accepted in ((7, True), (8, False)):
        other = right.copy()
        other[at] = not right[at]
        assert (_kernel_difference(graph, [array], [right], [other]) == "") is accepted


# Memory


def test_memory_is_known_to_the_byte_before_running() -> None:
    graph = trained(mlp)
    use = memory_of(graph, PLAIN)
    exe = compile_graph(graph, PLAIN)
    assert use.parts["arena"] + use.parts["workspace"] == exe.program.arena_bytes
    assert use.parts["weights"] + use.parts["states"] == sum(array.nbytes for array in exe.state.values())
    assert use.parts["inputs"] == 5 * 7 * 4 + 5 * 4 and use.parts["outputs"] == 4 + 5 * 3 * 4
    assert use.total == sum(exe.program.memory_bytes(2).values())
    assert sum(b.nbytes for b in use.alive(use.peak)) <= use.plan.arena_bytes
    assert "the arena is fullest at %" in str(use) and "<svg" in use._repr_html_()


def deep(rows: int = 64, layers: int = 4) -> Graph:
    """Dense layers under squared tanh, whose gradient needs what every layer computed."""
    b = Builder("deep")
    x = b.input("x", TensorType((Rows(rows), 40)))
    for i in range(layers):
        with b.layer(f"dense{i}"):
            x = fn.square(b, fn.tanh(b, fn.matmul(b, x, parameter(b, f"w{i}", 40, 40))))
    graph = b.build((fn.mean(b, fn.square(b, x)),), ("loss",))
    return sgd(graph, graph.outputs[0])


@pytest.mark.parametrize("level", [CHEAP, 3])
def test_values_computed_again_are_the_same(level: int) -> None:
    again = functools.partial(recompute, level=level)
    for graph in (deep(6, 3), trained(dropout)):
        pipeline: tuple[Pass, ...] = (*PIPELINE[:-1], again, PIPELINE[-1])
        check_graph(graph, options=PLAIN, pipeline=pipeline)
    assert recompute(forward := mlp(F32), level) is forward


def test_a_memory_limit_is_kept_or_refused_with_the_number(rng: np.random.Generator) -> None:
    graph = deep()
    free = memory_of(graph, PLAIN).total
    least = int(re.findall(r"([\d,]+) when", _refusal(graph))[0].replace(",", ""))
    assert least < 0.9 * free
    limited = compile_graph(graph, replace(PLAIN, memory_limit=least))
    assert sum(limited.program.memory_bytes(2).values()) == least
    known = arrays_of(graph, rng)
    updated = []
    for options in (PLAIN, replace(PLAIN, memory_limit=least)):
        bind = {v.name: known[v.name].copy() for v in graph.inputs_of(Role.PARAM)}
        compile_graph(graph, options, bind=bind).run([known["x"]])
        updated.append(bind)
    for name, array in updated[0].items():
        np.testing.assert_allclose(array, updated[1][name], rtol=1e-4, atol=1e-6)


def _refusal(graph: Graph) -> str:
    with pytest.raises(
        MemoryError, match="needs .* bytes, and .* when values are computed again; the limit is 1,000"
    ) as e:
        compile_graph(graph, replace(PLAIN, memory_limit=1000))
    return str(e.value)


# Numerics


def guarded(graph: Graph, rng: np.random.Generator) -> tuple[GuardedExecutable, dict[str, Array]]:
    known = arrays_of(graph, rng)
    bind = {v.name: known[v.name] for v in graph.inputs if graph.role(v) != Role.INPUT}
    return GuardedExecutable(graph, PLAIN, bind), known


def test_finite_steps_run_as_ever(rng: np.random.Generator) -> None:
    graph = trained(mlp)
    exe, known = guarded(graph, rng)
    plain = compile_graph(graph, PLAIN, bind={n: a.copy() for n, a in exe.state.items()})
    arrays = [known["x"], known["labels"]]
    np.testing.assert_allclose(exe.run(arrays)[0], plain.run(arrays)[0], rtol=1e-6)
    for name, array in exe.state.items():
        np.testing.assert_allclose(array, plain.state[name], rtol=1e-5, atol=1e-7)


def test_nan_in_the_data_is_named_by_its_place(rng: np.random.Generator) -> None:
    exe, known = guarded(trained(mlp), rng)
    known["x"][3, 2] = np.nan
    weights = {name: array.copy() for name, array in exe.state.items()}
    with pytest.raises(NumericsError, match=r"^data: %x : f32\[n,7\] has nan at \(3, 2\)") as caught:
        exe.run([known["x"], known["labels"]])
    assert (caught.value.op, caught.value.index) == ("input", (3, 2))
    assert all(np.array_equal(array, weights[name]) for name, array in exe.state.items())
    exe.run([known["x"][:3], known["labels"][:3]], 3)  # the row is not computed


def test_the_layer_op_and_direction_are_named(rng: np.random.Generator) -> None:
    b = Builder("roots")
    x = b.input("x", TensorType((Rows(4), 3)))
    with b.layer("scale"):
        y = fn.mul(b, x, parameter(b, "s", 3))
    with b.layer("root"):
        y = fn.sqrt(b, y)
    graph = b.build((fn.mean(b, y),), ("loss",))
    exe, known = guarded(sgd(graph, graph.outputs[0]), rng)
    known["x"][...], exe.state["s"][...] = 1.0, 1.0
    exe.run([known["x"]])
    known["x"][2, 1] = 0.0  # its root is fine, the gradient of it is not
    with pytest.raises(NumericsError, match=r"^layer root, .*, backward: ") as caught:
        exe.run([known["x"]])
    assert (caught.value.layer, caught.value.direction, caught.value.index) == ("root", "backward", (2, 1))
    known["x"][2, 1] = -1.0
    with pytest.raises(NumericsError, match=r"^layer root, sqrt, forward: .* operands: %1 from -[0-9.]+ to ") as caught:
        exe.run([known["x"]])
    assert caught.value.index == (2, 1)


def test_other_checks_stay_what_they_are(rng: np.random.Generator) -> None:
    graph = embedding(F32)
    exe, known = guarded(graph, rng)
    known["ids"][1, 2] = 6
    with pytest.raises(CheckError, match="an id lies out of"):
        exe.run([known["ids"]])


# The machine


def test_the_doctor_tells_processor_versions_and_cache(tmp_path: Path) -> None:
    found = examine(measure=False, options=compile_options(cache_dir=tmp_path / "cache", threads=2, verify=1))
    assert found.sections["processor"]["threads of a call"] == "2"
    assert found.sections["versions"]["numpy"] == np.__version__
    assert found.sections["cache"]["folder"] == str(tmp_path / "cache")
    assert "measured" not in found.sections and found.roof is None
    assert any("interprets every graph" in line for line in examine(False, compile_options(verify=2)).advice)


# Notebooks


def test_everything_has_a_picture_for_notebooks(exe: Executable) -> None:
    for thing in (exe, exe.graph(), exe.memory_plan, exe.kernel(str(exe.kernels[0])), exe.profile(1)):
        text = thing._repr_html_()
        assert text.startswith("<") and "<script" not in text
    b = Builder("<b>&")
    graph = b.build((fn.neg(b, b.input("x", TensorType((2,)))),))
    assert "&lt;b&gt;&amp;" in graph._repr_html_() and "<b>" not in graph._repr_html_()


def test_the_roof_is_kept_and_only_raised(tmp_path: Path) -> None:
    options = replace(PLAIN, cache_dir=tmp_path / "cache", threads=1)
    first = known_roof(options=options)
    assert first.gflops > 0.5 and known_roof(options=options) == first
    again = renew_roof(options=options)
    assert again.gflops >= first.gflops and again.copy_gb_s >= first.copy_gb_s
    assert known_roof(options=options) == again
