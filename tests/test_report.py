"""Reports: what is in the page, and the page in a browser: opened, searched, clicked, with keys, light and dark."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, browser_path
from graphs import sgd
from nets import F32, cnn

import graphc as keras
from graphc.compiler import analyse, compile_graph
from graphc.insight.explain.report import page, write_report
from graphc.insight.explain.story import tell
from graphc.insight.roof import keep_roof
from graphc.ir.cost import Roof
from graphc.ir.graph import Graph
from graphc.options import CompileOptions

PLAIN = CompileOptions(threads=2, cache=False)


def record_of(path: Path) -> dict[str, Any]:
    """The data inside a page."""
    text = path.read_text(encoding="utf-8")
    packed = text.split('id="record">', 1)[1].split("<", 1)[0]
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return found


def step() -> Graph:
    graph = cnn(F32, 4)
    return sgd(graph, graph.outputs[0])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        keep_roof(Roof(100.0, 20.0, "no measurement", "none either"), 2)
        return write_report(tmp_path_factory.mktemp("report") / "cnn.html", compile_graph(step(), PLAIN), runs=3)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a training step with loops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        keep_roof(Roof(100.0, 20.0, "no measurement", "none either"), 2)
        model = keras.Sequential([keras.Input((6, 5)), keras.layers.LSTM(7), keras.layers.Dense(3)])
        model.compile(optimizer="sgd", loss="mse")
        path: Path = model.explain(tmp_path_factory.mktemp("report") / "lstm.html", batch_size=4, runs=3)
        return path


# What is in it


def test_a_report_is_one_file_that_asks_for_nothing(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    head = text.split("<script", 1)[0]
    assert "default-src 'none'" in head and "<link" not in text and "src=" not in head
    assert text.count("MIT License") >= 2 or text.count("Permission is hereby granted") >= 3
    assert report.stat().st_size < 1_500_000


def test_the_record_holds_every_stage_kernel_and_time(report: Path) -> None:
    record = record_of(report)
    exe = compile_graph(step(), PLAIN)
    stages = [stage["name"] for stage in record["stages"]]
    assert stages[0] == "source" and stages[-2:] == ["fuse", "plan_memory"]
    assert {kernel["name"] for kernel in record["kernels"]} == set(exe.kernels)
    for kernel in record["kernels"]:
        assert kernel["loops"].startswith("kernel @") and "define void" in kernel["llvm"] and "ret" in kernel["asm"]
    assert all(step["us"] > 0 and step["share"] is not None for step in record["steps"])
    assert record["memory"]["arena"] == exe.memory_plan.arena_bytes
    assert any("not fused with" in message for _, _, message, _ in record["stages"][stages.index("fuse")]["remarks"])


def test_the_story_of_a_pass_is_what_it_changed() -> None:
    chapters = {chapter.name: chapter for chapter in tell(analyse(step(), PLAIN).stages)}
    marks = {mark for mark, _, _ in chapters["fuse"].changes}
    assert marks == {"-", "~"} or marks == {"+", "-", "~"}
    for chapter in chapters.values():
        names = {name for node in chapter.graph.nodes for name in node.names[:1]}
        assert all((name in names) == (mark != "-") for mark, name, _ in chapter.changes if mark == "+")


def test_loops_show_what_is_in_them(recurrent: Path) -> None:
    record = record_of(recurrent)
    loops = {name: body for name, body in record["bodies"].items() if body["loop"]}
    assert [body["loop"].split(";")[0] for body in loops.values()] == [
        "6 steps, from the first to the last",
        "6 steps, from the last to the first",
    ]
    name, body = next(iter(loops.items()))
    assert any(line.startswith("    ") and "tanh" in line for line, _, _ in body["lines"])
    fuse = next(stage for stage in record["stages"] if stage["name"] == "fuse")
    assert any(loop == name and "fused with" in message for _, _, message, loop in fuse["remarks"])
    assert any(owner == name and f"in %{name}: " in line and "tanh" in line for _, owner, line in fuse["changes"])
    shared = [
        kernel["name"] for kernel in record["kernels"] if kernel["computes"].startswith("what all steps of scan.")
    ]
    assert len(shared) == 1 and any(step["kernels"] == [*shared, "scan.1"] for step in record["steps"])
    inner = [kernel for kernel in record["kernels"] if kernel["computes"].startswith("every step of ")]
    assert inner and all(set(kernel["nodes"]) <= set(loops) and kernel["nodes"] for kernel in inner)


def test_the_kernels_of_a_computation_share_its_time(recurrent: Path) -> None:
    for step in record_of(recurrent)["steps"]:
        assert len(step["parts"]) == len(step["kernels"])
        assert sum(step["parts"]) <= 2 * step["us"] + 0.01 and min(step["parts"]) >= 0


def test_names_of_users_cannot_become_elements() -> None:
    record = {"name": "</title><script>alert(1)</script>", "steps": "</script><b>"}
    text = page(record)
    assert "<script>alert(1)" not in text and "</script><b>" not in text


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = browser_path()
    if path is None:
        pytest.skip("no Chromium is installed, so no report was looked at: apt-get install chromium")
    with Browser(path) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, report: Path) -> Browser:
    browser.complaints.clear()
    browser.open(report)
    return browser


PLACED = "graphState.cy !== null && graphState.busy.hidden"
ASIDE = "document.getElementById('selection').textContent"


def tab(browser: Browser) -> Any:
    return browser.value("document.querySelector('[role=tab][aria-selected=true]').textContent")


def test_it_opens_without_complaint_and_without_network(opened: Browser) -> None:
    assert tab(opened) == "Times"
    for key, name in enumerate(("Times", "Graph", "Passes", "Kernels", "Memory"), start=1):
        opened.press(str(key))
        assert tab(opened) == name
    opened.wait(PLACED)
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "blob:"))] == []


def test_search_selects_a_node_and_shows_it_in_the_graph(opened: Browser) -> None:
    opened.press("/")
    opened.type("conv relu forward")
    assert opened.value("document.querySelectorAll('#found li').length") >= 1
    opened.press("Escape")
    opened.press("/")
    opened.type("conv_filter_grad")
    opened.press("ArrowDown")
    opened.press("ArrowUp")
    opened.press("Enter")
    opened.wait(f"{ASIDE}.includes('conv_filter_grad')")
    opened.press("2")
    opened.wait(PLACED)
    opened.wait("graphState.cy.nodes('.chosen').length > 0")


def test_layer_node_and_kernel_are_marked_together(opened: Browser) -> None:
    opened.press("1")
    opened.click_on("#view-times table a")
    layer = opened.value("state.selected.name")
    assert opened.value("state.selected.kind") == "layer" and layer in opened.value(ASIDE)
    assert opened.value("document.querySelectorAll('#view-times tr.selected').length") >= 2
    assert opened.value("document.querySelectorAll('#view-kernels li.selected').length") >= 1
    opened.press("Escape")
    assert opened.value("state.selected") is None
    opened.press("j")
    opened.press("j")
    first = opened.value("state.record.steps[1].node")
    assert opened.value("state.selected") == {"kind": "node", "name": first}
    opened.press("Enter")
    opened.wait(PLACED)
    assert tab(opened) == "Graph" and opened.value("graphState.cy.nodes('.chosen').length") == 1


def test_a_click_in_the_graph_selects_and_a_double_click_expands(opened: Browser) -> None:
    opened.press("2")
    opened.wait(PLACED)
    before = opened.value("graphState.cy.nodes().length")
    where = (
        "(() => { const n = graphState.cy.nodes('[group = 1]')[0], p = n.renderedPosition(),"
        " r = graphState.host.getBoundingClientRect(); return [r.x + p.x, r.y + p.y]; })()"
    )
    opened.click(*opened.value(where))
    opened.wait("state.selected !== null && state.selected.kind === 'layer'")
    time.sleep(0.4)  # a second click sooner would be a double click
    x, y = opened.value(where)
    opened.click(x, y, count=2)
    opened.wait(f"{PLACED} && graphState.cy.nodes().length > {before}")
    opened.press("e")
    opened.wait(f"{PLACED} && graphState.cy.nodes().length === {before}")


def test_kernels_show_loops_llvm_and_assembly_side_by_side(opened: Browser) -> None:
    opened.press("4")
    opened.click_on("#view-kernels li:nth-child(2)")
    texts = opened.value("[...document.querySelectorAll('#view-kernels pre')].map((e) => e.textContent)")
    name = opened.value("state.selected.name")
    assert len(texts) == 3 and all(name in text for text in texts)


def test_what_is_in_a_loop_is_found_and_leads_to_the_loop(browser: Browser, recurrent: Path) -> None:
    browser.complaints.clear()
    browser.open(recurrent)
    browser.press("/")
    browser.type("= tanh")
    assert browser.value("document.querySelector('#found li').textContent").startswith("in loop")
    browser.press("Enter")
    browser.wait(f"{ASIDE}.includes('every step')")
    loop = browser.value("state.selected.name")
    assert browser.value(f"state.record.bodies[{json.dumps(loop)}].loop").startswith("6 steps")
    times = browser.value("[...document.querySelectorAll('#view-kernels li')].map((e) => e.textContent)")
    assert any(text.endswith("in a loop") for text in times) and browser.complaints == []


def test_passes_filter_their_lines(opened: Browser) -> None:
    opened.press("3")
    count = "document.querySelectorAll('#view-passes .remarks div').length"
    everything = opened.value(count)
    opened.click_on("#view-passes input[type=search]")
    opened.type("not fused")
    assert 0 < opened.value(count) < everything


def test_light_and_dark_are_two_pictures(opened: Browser) -> None:
    pictures = set()
    for _ in range(2):
        opened.press("t")
        for key in "125":
            opened.press(key)
            opened.wait(PLACED if key == "2" else "true")
            pictures.add(opened.screenshot())
    assert len(pictures) == 6 and opened.complaints == []
    assert opened.value("document.querySelectorAll('#view-times canvas, #view-memory canvas').length") >= 2


# Whole models


def mnist_cnn() -> Any:
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_model_explains_itself_in_seconds(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    model = mnist_cnn()
    weights = [array.copy() for array in model.get_weights()]
    began = time.process_time()
    path = model.explain(tmp_path / "mnist.html", batch_size=128, runs=5)
    assert time.process_time() - began < 5 * 2  # of two threads
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    browser.complaints.clear()
    browser.open(path)
    browser.press("2")
    browser.wait(PLACED)
    assert browser.complaints == [] and "conv2d" in browser.value("document.body.textContent")


@pytest.mark.long
def test_resnet50_is_drawn_without_freezing(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_VERIFY", "0")
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=100)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="sparse_categorical_crossentropy")
    path = model.explain(tmp_path / "resnet.html", batch_size=4, runs=2)
    browser.complaints.clear()
    browser.open(path)
    browser.value("window.longest = 0, window.last = performance.now(), (function beat(now) {"
                  " longest = Math.max(longest, now - last); last = now; requestAnimationFrame(beat); })(last), 0")  # fmt: skip
    browser.press("2")
    browser.wait(PLACED, 60)
    assert browser.value("graphState.cy.nodes().length") > 150
    browser.value("document.querySelector('#view-graph select').value = 0, graphState.stage = 0, drawGraph(), 0")
    browser.wait(PLACED, 60)
    assert browser.value("state.graphs[0].count") > 4000 and browser.value("longest") < 3000
    assert browser.value("graphState.cy.nodes().length") < 1000  # the optimizer's nodes are one box
    browser.click_on("#expand-all")
    assert "too many at once" in browser.value("graphState.status.textContent")
    assert browser.complaints == []
