"""The tuner: choices change schedules and nothing else, what is found is kept, and time is respected."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import graphc
from codegen.choice import MODEL, Choice
from codegen.program import kernel_key
from codegen.target import host_target
from graphc.compiler import apply_passes, compile_graph
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Role
from graphc.ir.types import Rows, TensorType
from graphc.options import CompileOptions
from graphc.primitives import functions as fn
from graphc.runtime.cache import Cache
from graphc.runtime.executable import Executable
from graphc.tuner import Store, tune

PLAIN = CompileOptions(threads=2, cache=False)


def dense(inner: int = 300) -> Graph:
    b = Builder("dense")
    x = b.input("x", TensorType((Rows(70), inner)))
    w = b.input("w", TensorType((inner, 160)), Role.PARAM)
    return b.build([fn.relu(b, fn.matmul(b, x, w))])


@pytest.mark.parametrize(
    ("choice", "sign"),
    [
        (Choice(rows=3, vectors=1), f"n0: {host_target().lanes(4)}, m0: 3"),
        (Choice(packed=True), "n0.l"),
        (Choice(block=64), "blocks={k0: 64}"),
        (Choice(rows=10**6, vectors=7), "tile="),
    ],
    ids=str,
)
def test_a_choice_changes_the_schedule_and_not_the_result(choice: Choice, sign: str) -> None:
    graph = apply_passes(dense())
    (node,) = graph.nodes
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(70, 300)).astype(np.float32), rng.normal(size=(300, 160)).astype(np.float32)
    results = []
    for choices in ({}, {kernel_key(node): choice}):
        exe = compile_graph(graph, PLAIN, pipeline=(), choices=choices)
        exe.state["w"][...] = w
        results.append(exe(x))
    np.testing.assert_allclose(results[1], results[0], rtol=2e-5, atol=2e-5)
    assert any(sign in exe.kernel(name).loops for name in exe.kernels)


def test_what_was_found_is_kept_and_used_by_the_next_graph(tmp_path: Path) -> None:
    store = Store(Cache(tmp_path), b"a processor")
    tried: list[Choice] = []

    def build(alone: Graph, choices: dict[str, Choice]) -> Executable:
        tried.extend(choices.values())
        return compile_graph(alone, PLAIN, watched=True, pipeline=(), choices=choices)

    fused = apply_passes(dense())
    found = tune(fused, host_target(), 60.0, store, build)
    assert list(found) == [kernel_key(fused.nodes[0])]
    assert MODEL in tried and len(set(tried)) > 10
    tried.clear()
    assert tune(fused, host_target(), 60.0, store, build) == found
    assert not tried


def test_without_time_nothing_is_tried(tmp_path: Path) -> None:
    began = time.perf_counter()
    exe = graphc.compile(dense(), tune=0)
    assert exe(np.ones((2, 300), np.float32)).shape == (2, 160)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("payload", [b"\xff", b"[1]", json.dumps({"k": {"rows": "many"}}).encode()], ids=repr)
def test_a_spoilt_store_is_emptied(payload: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path)
    cache.store(b"a processor", payload)
    assert Store(cache, b"a processor").load() == {}
    assert cache.load(b"a processor") is None


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5"])
def test_seconds_must_be_seconds(seconds: object) -> None:
    with pytest.raises(ValueError, match="tune: wanted seconds"):
        replace(PLAIN, tune=seconds)  # type: ignore[arg-type]
