"""The benchmarks: workloads as designed, an honest record, systems that must agree, a page that is written in place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import graphc as keras
from benchmarks import architecture as a
from benchmarks import kernel_table, kernels, materials, report
from benchmarks.__main__ import main
from benchmarks.agreement import (
    Disagreement,
    deviations,
    require_agreement,
    require_epoch_agreement,
    require_same_results,
)
from benchmarks.architecture import summarize, without_dropout
from benchmarks.cases import CASES, Adam, ColumnSum, Convolution, CrossEntropy, Kernel, LayerNorm, Matmul
from benchmarks.child import Child, Place, WorkerFailed
from benchmarks.plot import svg
from benchmarks.race import Plan, Row, entry, race
from benchmarks.runners import graphc_kernels, graphc_runner
from benchmarks.runners.keras_models import compiled_model
from benchmarks.systems import OURS, SYSTEMS, environment
from benchmarks.table import table
from benchmarks.workloads import PROMPT, WORKLOADS, WRITTEN, Network, Workload
from codegen.jit import assembly
from codegen.target import named_target
from graphc.insight.roof import COPY_ROOF, FMA_ROOF, copy_ir, fma_ir, measure_roof
from graphc.ir.cost import Roof

# Counted by hand from the layers' sizes: two per multiply-add, three passes in training less the first input gradient.
MFLOP = {
    "W1-train": 410.8,
    "tiny-train": 0.00848,
    "W2-train": 1824.8,
    "W2-infer-1": 4.882,
    "W2-infer-32": 156.2,
    "W2-infer-1024": 4999.1,
    "W3-train": 632.3,
    "W4-train": 58436,
    "W4-infer-1": 305.5,
    "W4-infer-64": 19554,
    "W5-train": 85187,
    "W5-infer-1": 3628,
    "W5-infer-8": 29025,
    "mobilenet-infer-1": 601.5,
    "W6-lstm": 629.7,
    "W6-rows": 1616,
    "W7-train": 41876,
    "W7-infer-1": 872.4,
    "gpt-train": 145262,
    "gpt-decode": 23.64,
    "W8-ae": 282.1,
    "W8-logreg": 4.014,
}
ROOF = Roof(gflops=200.0, copy_gb_s=50.0, arithmetic=FMA_ROOF, copying=COPY_ROOF)
RESULT_KEYS = {"median_ms", "min_ms", "spread", "first_step_s", "rss_mb"}


@pytest.mark.parametrize("name", MFLOP)
def test_work_of_a_workload(name: str) -> None:
    assert WORKLOADS[name].mflop == pytest.approx(MFLOP[name], rel=1e-3)


# Trainable and moving weights of the published networks: torchvision's resnet18 and mobilenet_v2 with their statistics.
@pytest.mark.parametrize(
    ("name", "count"),
    [("W2-train", 34_826), ("W5-train", 11_689_512 + 9_600), ("mobilenet-infer-1", 3_504_872 + 34_112)],
)
def test_number_of_weights(name: str, count: int) -> None:
    network = WORKLOADS[name].network
    shapes = [s for layer in summarize(network.layers, network.input_shape).weights for s in layer.values()]
    assert sum(int(np.prod(s)) for s in shapes) == count


def test_only_dropout_is_taken_out_for_the_check() -> None:
    layers = WORKLOADS["W3-train"].network.layers
    kept = without_dropout(layers)
    assert len(layers) - len(kept) == 2
    assert summarize(kept, (28, 28, 1)) == summarize(layers, (28, 28, 1))


def test_loss_layers_give_logits_to_a_cross_entropy_only() -> None:
    assert WORKLOADS["W2-train"].network.loss_layers[-1].activation is None  # type: ignore[union-attr]
    assert WORKLOADS["W8-ae"].network.loss_layers[-1].activation == "sigmoid"  # type: ignore[union-attr]
    assert WORKLOADS["W1-train"].network.from_logits and not WORKLOADS["W2-train"].network.from_logits


def test_materials_are_the_same_each_time_and_survive_the_file(tmp_path: Path) -> None:
    made, again = (materials.make(WORKLOADS["W4-infer-1"]) for _ in range(2))
    materials.save(tmp_path / "m.npz", made)
    loaded = materials.load(tmp_path / "m.npz")
    for other in (again, loaded):
        np.testing.assert_array_equal(made.x, other.x)
        np.testing.assert_array_equal(made.y, other.y)
        assert [list(layer) for layer in other.weights] == [list(layer) for layer in made.weights]
        for ours, theirs in zip(made.weights, other.weights, strict=True):
            for name in ours:
                np.testing.assert_array_equal(ours[name], theirs[name])
    assert len(made.weights) == 13 and list(made.weights[1]) == ["gamma", "beta", "moving_mean", "moving_variance"]


# 80 tokens, as many as are read and written, of which each one reads another number of those before.
_TINY_GPT = Network(
    "tiny GPT",
    (PROMPT + WRITTEN,),
    (
        a.Embedding(7, 6),
        a.Positions(),
        a.Residual((a.LayerNorm(), a.SelfAttention(2, causal=True))),
        a.Residual((a.LayerNorm(), a.Dense(10, "gelu"), a.Dense(6))),
        a.LayerNorm(),
        a.Dense(7),
    ),
)


def test_a_text_is_written_from_the_prompt_every_time() -> None:
    workload = Workload("tiny-decode", _TINY_GPT, 1, "generate")
    made = materials.make(workload)
    assert workload.network.caches == [(80, 2, 3)]
    model = compiled_model(keras, workload.network, made.weights)
    text = made.x.copy()
    for last in range(PROMPT - 1, PROMPT + WRITTEN - 1):
        logits = model.predict(text, verbose=0)[0, last]
        text[0, last + 1] = logits.argmax()
    job = graphc_runner.Runner("", 1).build(workload, made)
    assert job.timed is not None and job.timed_steps == WRITTEN
    for _ in range(2):
        np.testing.assert_allclose(np.asarray(job.step())[0], logits, rtol=1e-4, atol=1e-5)
    assert len(set(text[0, PROMPT:])) > 1


def test_who_writes_texts() -> None:
    known = {name for name, system in SYSTEMS.items() if system.knows(WORKLOADS["gpt-decode"])}
    assert known == {OURS, "torch", "torch-compile", "torch-unlocked", "jax"}


def test_fit_says_where_its_data_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz; set GRAPHC_DATA"):
        materials.make(WORKLOADS["W3-fit"])


def test_environment_sets_every_thread_count(tmp_path: Path) -> None:
    variables = environment(SYSTEMS["keras-tf"], 3, tmp_path)
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "GRAPHC_THREADS")
    assert [variables[name] for name in counts] == ["3"] * len(counts)
    assert variables["KERAS_BACKEND"] == "tensorflow"


def test_inference_engines_do_not_train() -> None:
    known = {name for name, system in SYSTEMS.items() if system.knows(WORKLOADS["W5-train"])}
    assert not known & {"ort", "openvino", "numpy"} and {OURS, "torch", "jax", "tf"} <= known
    assert SYSTEMS["ort"].knows(WORKLOADS["W5-infer-1"])


def test_agreement() -> None:
    same = [0.5, -2.0, 1.0]
    require_agreement("infer", {"a": same, "b": [0.5, -2.0001, 1.0], "c": same})
    with pytest.raises(Disagreement, match=r"the outputs differ .* b by 2\.0e-03 \(0\.5 -2\.004 1\)"):
        require_agreement("infer", {"a": same, "b": [0.5, -2.004, 1.0], "c": same})
    with pytest.raises(Disagreement, match="the losses of the first steps"):
        require_agreement("train", {"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [1.0, 1.001]})
    with pytest.raises(Disagreement, match="the logits behind the text"):
        require_agreement("generate", {"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.001]})
    require_epoch_agreement({"a": 0.30, "b": 0.31, "c": 0.29})
    with pytest.raises(Disagreement, match="c by"):
        require_epoch_agreement({"a": 0.30, "b": 0.31, "c": 2.3})


@pytest.mark.parametrize("wrong", [[1.0], [1.0, float("nan")], []])
def test_missing_or_broken_values_never_agree(wrong: list[float]) -> None:
    far = deviations({"a": [1.0, 2.0], "b": wrong, "c": [1.0, 2.0]})
    assert far == {"a": 0.0, "b": float("inf"), "c": 0.0}
    with pytest.raises(Disagreement):
        require_agreement("infer", {"a": [1.0, 2.0], "b": wrong, "c": [1.0, 2.0]})


def measured(workload: str = "W2-train", threads: int = 2, **medians: float) -> dict[str, Any]:
    """An entry whose systems (underscores for hyphens) have samples around the given medians."""
    rows = {
        name.replace("_", "-"): Row(0.25, 100.0, f"{name} 1.0", [ms * k for k in (0.9, 0.95, 1, 1.1, 1.5)])
        for name, ms in medians.items()
    }
    return entry(WORKLOADS[workload], threads, rows, ROOF)


def test_entry_of_the_json_file() -> None:
    made = json.loads(json.dumps(measured(graphc=4.0, torch=20.0, tf=10.0, torch_unlocked=5.0)))
    assert made["workload"] == "W2-train" and made["threads"] == 2
    assert made["best_peer"] == "tf" and made["ratio"] == pytest.approx(2.5)
    assert all(set(result) == RESULT_KEYS for result in made["results"].values())
    wanted = {"median_ms": 4.0, "min_ms": 3.6, "spread": 0.15, "first_step_s": 0.25, "rss_mb": 100.0}
    assert made["results"]["graphc"] == pytest.approx(wanted)


def test_entry_without_us_or_without_peers_has_no_ratio() -> None:
    assert (measured(torch=3.0)["best_peer"], measured(torch=3.0)["ratio"]) == ("torch", None)
    assert (measured(graphc=3.0)["best_peer"], measured(graphc=3.0)["ratio"]) == (None, None)


def test_table_puts_the_fastest_first() -> None:
    made = table(measured(graphc=4.0, torch=20.0, torch_unlocked=2.0))
    assert list(made.columns[0].cells) == ["torch-unlocked *", "graphc", "torch"]
    assert list(made.columns[4].cells)[1] == f"{1824.8 / 4:.1f}"
    assert list(made.columns[8].cells) == ["0.50", "1.00", "5.00"]


def test_tokens_are_counted_a_second() -> None:
    made = measured("gpt-decode", graphc=2.0, torch=5.0)
    assert set(made["results"]["torch"]) == RESULT_KEYS | {"tokens_per_s"} and made["ratio"] == pytest.approx(2.5)
    shown = table(made)
    assert [column.header for column in shown.columns][4:6] == ["tokens/s", "first s"]
    assert list(shown.columns[4].cells) == ["500", "200"]
    text = report.markdown([measured(graphc=1.0), made], "")
    assert "### Generation\n\n| workload | threads | graphc | torch | best peer | ratio | graphc tokens/s |" in text
    assert "| gpt-decode | 2 | 2 ±15% | 5 ±15% | torch | **2.50** | 500 |" in text


def test_race_of_numpy_alone() -> None:
    made = race(WORKLOADS["tiny-train"], [SYSTEMS["numpy"]], Plan(threads=1, rounds=2, seconds=0.01))
    result = made["results"]["numpy"]
    assert set(made["results"]) == {"numpy"} and set(result) == RESULT_KEYS
    assert 0 < result["min_ms"] <= result["median_ms"] < 1000 and 5 < result["rss_mb"] < 1000
    assert made["context"]["versions"] == {"numpy": f"numpy {np.__version__}"} and made["context"]["roof_gflops"] > 0.1


def test_workers_that_die_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    unknown = replace(WORKLOADS["tiny-train"], name="unknown")  # the worker looks it up by name
    with pytest.raises(WorkerFailed, match="no system takes part"):
        race(unknown, [SYSTEMS["numpy"]], Plan(threads=1))
    assert "numpy does not take part: the process ended with status 1" in caplog.text
    assert "KeyError: 'unknown'" in caplog.text


def test_an_error_in_a_worker_is_an_answer_and_not_its_end(tmp_path: Path) -> None:
    workload = WORKLOADS["tiny-train"]
    materials.save(tmp_path / "m.npz", materials.make(workload))
    arguments = (Place(1, tmp_path, tmp_path), "benchmarks.worker", workload.name, str(tmp_path / "m.npz"))
    with Child(SYSTEMS["numpy"], *arguments) as child:
        with pytest.raises(WorkerFailed, match=r"time: .*samples"):
            child.ask("time")
        assert child.ask("start")["loss"] == pytest.approx(child.ask("check")[0])


def test_main_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(WORKLOADS)
    for wrong, text in ((["W9"], "no workload 'W9'"), (["--peers", "torch,caffe"], "no peer 'caffe'")):
        with pytest.raises(SystemExit):
            main(wrong)
        assert text in capsys.readouterr().err


def test_report_replaces_what_is_between_the_markers(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps([measured(graphc=9.0, torch=9.0), measured("W2-infer-1", graphc=0.02, ort=0.03)]))
    new.write_text(json.dumps([measured(graphc=5.0, torch=10.0)]))
    page = tmp_path / "performance.md"
    page.write_text(f"# Title\n\nbefore\n\n{report.BEGIN}\nstale\n{report.END}\n\nafter\n")
    assert report.main([str(old), str(new), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("# Title\n\nbefore\n") and text.endswith("\n\nafter\n") and "stale" not in text
    assert "| W2-train | 2 | 5 ±15% | 10 ±15% | torch | **2.00** | 365 |" in text
    assert "| W2-infer-1 | 2 | 0.02 ±15% | 0.03 ±15% | ort | **1.50** | 244 |" in text
    assert "graphc 1.0, ort 1.0, torch 1.0" in text
    first = text
    report.main([str(old), str(new), "--page", str(page)])
    assert page.read_text() == first


@pytest.mark.parametrize("page", ["", report.BEGIN, report.END + report.BEGIN, report.BEGIN + report.END * 2])
def test_report_refuses_a_page_without_its_markers(page: str) -> None:
    with pytest.raises(ValueError, match="the page needs the lines"):
        report.updated(page, "text")


def test_plot_shows_every_peer_where_its_ratio_belongs() -> None:
    picture = ElementTree.fromstring(svg([measured(graphc=4.0, torch=16.0, jax=1.0)]))
    dots = [e for e in picture.iter() if e.tag.endswith("circle") and len(e)]
    titles = {"".join(dot.itertext()): float(dot.attrib["cx"]) for dot in dots}
    assert set(titles) == {"torch: 4.00", "jax: 0.25"}
    one = next(float(e.attrib["x1"]) for e in picture.iter() if e.attrib.get("stroke") == "black")
    assert titles["torch: 4.00"] - one == pytest.approx(one - titles["jax: 0.25"]) and titles["torch: 4.00"] > one


def test_plot_without_us_is_nothing() -> None:
    assert svg([measured(torch=1.0)]) == ""


# Single kernels


def test_roof_of_this_machine() -> None:
    roof = measure_roof(1)
    assert 0.5 < roof.gflops < 5000 and 0.1 < roof.copy_gb_s < 2000


@pytest.mark.parametrize(
    ("cpu", "mnemonic", "chains"),
    [("x86-64-v3", "vfmadd", 12), ("x86-64-v4", "vfmadd", 24), ("neoverse-n1", "fml", 24)],
)
def test_fma_loop_is_nothing_but_multiply_adds(cpu: str, mnemonic: str, chains: int) -> None:
    target = named_target(cpu)
    loop = _innermost_loop(assembly(fma_ir(target), target))
    assert sum(line.startswith(mnemonic) for line in loop) == chains
    assert not any("(%rsp)" in line or "[sp" in line for line in loop)


@pytest.mark.parametrize(
    ("cpu", "plain", "streaming"), [("x86-64-v3", "vmovaps", "vmovntps"), ("x86-64-v4", "vmovaps", "vmovntps")]
)
def test_copy_loop_stores_as_it_is_told(cpu: str, plain: str, streaming: str) -> None:
    target = named_target(cpu)
    loops = [_innermost_loop(assembly(copy_ir(target, non_temporal), target)) for non_temporal in (False, True)]
    stores = [[line.split()[0] for line in loop if line.endswith("(%rsi)")] for loop in loops]
    assert stores == [[plain] * 4, [streaming] * 4]


def _innermost_loop(text: str) -> list[str]:
    """The instructions from the first label that something jumps back to, up to that jump."""
    lines = [line.strip() for line in text.splitlines()]
    labels = {line.rstrip(":"): number for number, line in enumerate(lines) if line.endswith(":")}
    back = [
        (labels[w], n)
        for n, line in enumerate(lines)
        if (w := line.split()[-1] if line else "") in labels and labels[w] < n and line.startswith(("j", "b", "cb"))
    ]
    start, end = back[0]
    return lines[start + 1 : end]


# Counted by hand: nominal operations, padding included, or the bytes that must be moved.
@pytest.mark.parametrize(
    ("name", "work", "unit"),
    [
        ("matmul 512 A^T B", 0.268435456, "GFLOP/s"),
        ("conv-forward 8x14x14x256->256 3x3", 2 * 8 * 14 * 14 * 256 * 256 * 9 / 1e9, "GFLOP/s"),
        ("conv-filter-gradient 8x56x56x64->128 3x3 stride 2", 2 * 8 * 28 * 28 * 64 * 128 * 9 / 1e9, "GFLOP/s"),
        ("conv-input-gradient 8x224x224x3->64 7x7 stride 2", 2 * 8 * 112 * 112 * 64 * 3 * 49 / 1e9, "GFLOP/s"),
        ("depthwise-forward 8x112x112x96->96 3x3 stride 2", 4 * 8 * 96 * (112**2 + 56**2) / 1e9, "GB/s"),
        ("adam 10M", 0.28, "GB/s"),
        ("layer-norm 4096x768", 8 * 4096 * 768 / 1e9, "GB/s"),
    ],
)
def test_work_of_a_kernel(name: str, work: float, unit: str) -> None:
    assert CASES[name].work == pytest.approx(work) and CASES[name].unit == unit


def test_every_convolution_has_its_two_gradients() -> None:
    shapes = {
        part: [c.shape for c in CASES.values() if c.group == f"conv-{part}"]
        for part in ("forward", "input-gradient", "filter-gradient")
    }
    assert shapes["forward"] == shapes["input-gradient"] == shapes["filter-gradient"] and len(shapes["forward"]) == 19
    assert CASES["conv-input-gradient 8x7x7x512->512 3x3"].groups == ["conv-input-gradient", "conv"]
    assert CASES["adam 10M"].groups == ["adam"]


def test_operands_of_a_kernel_are_the_same_each_time() -> None:
    case = CASES["cross-entropy 128x10"]
    made, again = case.arrays(), case.arrays()
    assert made["labels"].dtype == np.int32 and set(made["labels"]) == set(range(10))
    for name in ("logits", "labels"):
        np.testing.assert_array_equal(made[name], again[name])


def test_kernels_of_graphc_compute_what_they_are_named_after() -> None:
    rng = np.random.default_rng(0)
    runner = graphc_kernels.Runner(1)

    def run(kernel: Kernel, **others: Any) -> tuple[dict[str, Any], list[Any]]:
        arrays = {name: rng.standard_normal(shape, np.float32) for name, shape in kernel.shapes.items()} | others
        job = runner.build(kernel, {name: array.copy() for name, array in arrays.items()})
        return arrays, [np.asarray(array) for array in job.arrays(job.run())]

    for transposed in ("", "a", "b"):
        x, (product,) = run(Matmul(5, 7, 6, transposed))
        wanted = (x["a"].T if transposed == "a" else x["a"]) @ (x["b"].T if transposed == "b" else x["b"])
        np.testing.assert_allclose(product, wanted, rtol=1e-4, atol=1e-5)
    pointwise = Convolution(2, 7, 5, 6, kernel=1, stride=2, padding=0)
    x, (y,) = run(pointwise)
    np.testing.assert_allclose(y, np.maximum(x["x"][:, ::2, ::2] @ x["w"][0, 0] + x["bias"], 0), rtol=1e-4, atol=1e-5)
    x, (dx,) = run(replace(pointwise, part="input-gradient"))
    wanted = np.zeros((2, 7, 7, 5), np.float32)
    wanted[:, ::2, ::2] = x["dy"] @ x["w"][0, 0].T
    np.testing.assert_allclose(dx, wanted, rtol=1e-4, atol=1e-5)
    x, (dw,) = run(replace(pointwise, part="filter-gradient"))
    np.testing.assert_allclose(dw[0, 0], np.einsum("nhwc,nhwf->cf", x["x"][:, ::2, ::2], x["dy"]), rtol=1e-4, atol=1e-4)
    x, (total,) = run(ColumnSum(9, 5))
    np.testing.assert_allclose(total, x["x"].sum(0), rtol=1e-4, atol=1e-5)
    labels = np.array([2, 0, 1, 2], np.int32)
    x, (loss, gradient) = run(CrossEntropy(4, 3), labels=labels)
    odds = np.exp(x["logits"]) / np.exp(x["logits"]).sum(1, keepdims=True)
    np.testing.assert_allclose(loss, -np.log(odds[np.arange(4), labels]).mean(), rtol=1e-5)
    np.testing.assert_allclose(gradient, (odds - np.eye(3)[labels]) / 4, rtol=1e-4, atol=1e-6)
    x, (y, dx, dgamma, dbeta) = run(LayerNorm(4, 9, gradients=True))
    scaled = (x["x"] - x["x"].mean(1, keepdims=True)) / np.sqrt(x["x"].var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, scaled * x["gamma"] + x["beta"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dgamma, (x["dy"] * scaled).sum(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dbeta, x["dy"].sum(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dx.sum(1), np.zeros(4), atol=1e-5)
    x, (w, first, second) = run(Adam(33))
    np.testing.assert_allclose(w, x["w"] - 1e-3 * np.sign(x["g"]), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(first, 0.1 * x["g"], rtol=1e-4)
    np.testing.assert_allclose(second, 0.001 * x["g"] ** 2, rtol=1e-4)


def test_results_of_kernels_must_agree() -> None:
    one, other = np.ones((2, 3)), np.zeros(4)
    require_same_results({"a": [one, other], "b": [one + 1e-6, other]})
    with pytest.raises(Disagreement, match="different shapes"):
        require_same_results({"a": [one], "b": [one.T]})
    with pytest.raises(Disagreement, match=r"the elements of result 1 differ .* c by 1\.0e\+00"):
        require_same_results({"a": [one, other], "b": [one, other], "c": [one, np.array([0.0, 0, 1, 0])]})


def kernel_record(**medians: float) -> dict[str, Any]:
    """A record of two kernels, in both of which the systems have the given medians."""
    samples = {name.replace("_", "-"): [ms * k for k in (0.9, 0.95, 1, 1.1, 1.5)] for name, ms in medians.items()}
    entries = [kernels.entry(CASES[name], samples, ROOF) for name in ("matmul 1024 A B", "adam 10M")]
    means = kernel_table.geometric_means(entries)
    versions = {name: f"{name} 1.0" for name in samples}
    return {
        "threads": 1,
        "context": {"date": "2026-01-01", "machine": "here", "versions": versions},
        "geometric_means": means,
        "kernels": entries,
    }


def test_record_of_kernels() -> None:
    made = json.loads(json.dumps(kernel_record(graphc=10.0, torch=20.0, jax=5.0, torch_unlocked=1.0)))
    product, update = made["kernels"]
    assert (product["best_peer"], product["ratio"], product["roof"], product["roof_is"]) == (
        "jax",
        0.5,
        200.0,
        FMA_ROOF,
    )
    assert (update["unit"], update["roof"]) == ("GB/s", 50.0)
    assert set(product["results"]["graphc"]) == {"median_ms", "min_ms", "spread"}
    assert made["geometric_means"]["all"] == pytest.approx(
        {"torch": 2.0, "torch-unlocked": 0.1, "jax": 0.5, "best peer": 0.5}
    )
    assert list(made["geometric_means"]) == ["matmul", "adam", "all"]


def test_table_of_kernels() -> None:
    product, update, *means = kernel_table.rows(kernel_record(graphc=20.0, torch=40.0))
    assert product == ["matmul 1024 A B", "2e+04", "15%", "107.4 GFLOP/s", "54%", "2.00", "", "", "2.00"]
    assert update[3:5] == ["14 GB/s", "28%"] and means[-1][0] == "geometric mean, all"
    assert kernel_table.rows(kernel_record(torch=40.0))[0][1] == "missing"
    assert all(len(row) == len(kernel_table.HEADER) for row in (product, update, *means))
    assert kernel_table.table(kernel_record(graphc=20.0, torch=40.0)).row_count == 5


def test_report_writes_kernels_between_markers_of_their_own(tmp_path: Path) -> None:
    models, record, page = tmp_path / "models.json", tmp_path / "kernels.json", tmp_path / "performance.md"
    models.write_text(json.dumps([measured(graphc=5.0, torch=10.0)]))
    record.write_text(json.dumps(kernel_record(graphc=20.0, torch=40.0)))
    assert report.main([str(models), "--kernels", str(record), "--page", str(page)]) == 0
    both = page.read_text()
    assert "| adam 10M | 2e+04 | 15% | 14 GB/s | 28% | 2.00 |" in both and "| W2-train | 2 | 5 ±15% |" in both
    record.write_text(json.dumps(kernel_record(graphc=10.0, torch=40.0)))
    report.main(["--kernels", str(record), "--page", str(page)])
    assert "| adam 10M | 1e+04 |" in page.read_text() and "| W2-train | 2 | 5 ±15% |" in page.read_text()
    assert report.updated(page.read_text(), "", report.KERNELS) == report.updated(both, "", report.KERNELS)


def test_kernels_refuses_a_name_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    assert kernels.main(["--only", "winograd"]) == 2
    assert "no kernel has winograd in its name" in caplog.text and "adam 10M" in caplog.text


def test_kernels_race_without_peers(tmp_path: Path) -> None:
    file = tmp_path / "kernels.json"
    assert (
        kernels.main(
            [
                "--only",
                "cross-entropy 128x10",
                "--peers",
                "none",
                "--rounds",
                "1",
                "--seconds",
                "0.01",
                "--json",
                str(file),
            ]
        )
        == 0
    )
    (entry,) = json.loads(file.read_text())["kernels"]
    assert entry["kernel"] == "cross-entropy 128x10" and 0 < entry["results"][OURS]["median_ms"] < 1000
