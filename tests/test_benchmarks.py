"""The benchmarks: workloads as designed, an honest record, systems that must agree, a page that is written in place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import materials, report
from benchmarks.__main__ import main
from benchmarks.agreement import Disagreement, deviations, require_agreement, require_epoch_agreement
from benchmarks.architecture import summarize, without_dropout
from benchmarks.child import Child, WorkerFailed
from benchmarks.plot import svg
from benchmarks.race import Plan, Row, entry, race
from benchmarks.systems import OURS, SYSTEMS, environment
from benchmarks.table import table
from benchmarks.workloads import WORKLOADS

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
    "W8-ae": 282.1,
    "W8-logreg": 4.014,
}
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
    return entry(WORKLOADS[workload], threads, rows, roof_gflops=200.0)


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
    with Child(SYSTEMS["numpy"], workload, tmp_path / "m.npz", 1, tmp_path, tmp_path) as child:
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
