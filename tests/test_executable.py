"""Executables of raw graphs: how they are called, what they refuse, what survives signals, forks and threads."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh import run_fresh
from graphs import sgd
from nets import F32, F64, embedding, mlp, parameter

from graphc.compiler import compile_graph
from graphc.ir.builder import Builder
from graphc.ir.changes import CHANGES
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import REGISTRY, Role, Value
from graphc.ir.parse import read_graph
from graphc.ir.structure import structural_key
from graphc.ir.types import DType, Rows, TensorType
from graphc.options import CompileOptions
from graphc.primitives import functions as fn
from graphc.primitives.shape import Slice
from graphc.runtime.executable import CheckError, Executable
from graphc.runtime.memory import available_bytes

Array = np.ndarray[Any, Any]
PLAIN = CompileOptions(threads=2, cache=False)


def affine(rows: int = 6) -> Graph:
    """x w + b for x of `rows` rows: one output, two weights."""
    b = Builder("affine")
    x = b.input("x", TensorType((Rows(rows), 3), F32))
    w, bias = parameter(b, "w", 3, 4), parameter(b, "bias", 4)
    return b.build((fn.add(b, fn.matmul(b, x, w), bias),), ("y",))


def trained(graph: Graph) -> Graph:
    return sgd(graph, graph.outputs[0])


@pytest.fixture
def exe(rng: np.random.Generator) -> Executable:
    return filled(compile_graph(affine(), PLAIN), rng)


def filled(exe: Executable, rng: np.random.Generator) -> Executable:
    """The executable with random weights."""
    for array in exe.state.values():
        array[...] = rng.normal(size=array.shape)
    return exe


def want(exe: Executable, x: Array) -> Array:
    return x.astype(np.float32) @ exe.state["w"] + exe.state["bias"]


def saved(exe: Executable) -> dict[str, Array]:
    return {name: array.copy() for name, array in exe.state.items()}


def assert_same_state(exe: Executable, before: dict[str, Array]) -> None:
    for name, array in before.items():
        np.testing.assert_array_equal(exe.state[name], array, err_msg=name)


# Calling


def two_outputs() -> Graph:
    b = Builder("pair")
    x, y = (b.input(name, TensorType((5,), F32)) for name in ("x", "y"))
    return b.build((fn.sub(b, x, y), fn.mul(b, x, y)), ("difference", "product"))


HOLDERS = (
    lambda y: y,
    lambda y: y[3:5].T,
    lambda y: [y.reshape(-1)],
    memoryview,
    lambda y: np.frombuffer(y, np.float32),
)


@pytest.mark.parametrize("keep", HOLDERS)
def test_a_large_result_stays_while_a_part_of_it_is_held(keep: Callable[[Array], Any]) -> None:
    """And its memory is used again afterwards, which spares the system's giving out new pages."""
    b = Builder("large")
    x = b.input("x", TensorType((Rows(8), 65536), F32))
    exe = compile_graph(b.build((fn.add(b, x, x),), ("y",)), PLAIN)
    ones = np.ones((8, 65536), np.float32)
    first = exe.run([ones])[0]
    place, part = first.ctypes.data, keep(first)
    del first
    second = exe.run([3 * ones])[0]
    assert (np.asarray(part) == 2).all() and (second == 6).all() and second.ctypes.data != place
    del part, second
    places = {exe.run([ones])[0].ctypes.data for _ in range(5)}
    assert len(places) == 1


def test_one_output_is_an_array(exe: Executable) -> None:
    x = np.ones((6, 3), np.float32)
    np.testing.assert_allclose(exe(x), want(exe, x), rtol=1e-6)


def test_inputs_in_order_or_by_name() -> None:
    exe = compile_graph(two_outputs(), PLAIN)
    x, y = np.arange(5, dtype=np.float32), np.full(5, 3, np.float32)
    for results in (exe(x, y), exe(x, y=y), exe(y=y, x=x)):
        difference, product = results
        np.testing.assert_array_equal(difference, x - 3)
        np.testing.assert_array_equal(product, x * 3)


@pytest.mark.parametrize(
    ("positional", "named", "got"),
    [
        (1, (), "1 by position"),
        (3, (), "3 by position"),
        (1, ("x",), "1 by position, x"),
        (2, ("y",), "2 by position, y"),
        (0, ("x", "z"), "x, z"),
        (0, (), "none"),
    ],
)
def test_other_inputs_are_a_type_error(positional: int, named: tuple[str, ...], got: str) -> None:
    exe = compile_graph(two_outputs(), PLAIN)
    a = np.zeros(5, np.float32)
    with pytest.raises(TypeError, match=rf"^pair takes the inputs x, y; got {got}$"):
        exe(*[a] * positional, **dict.fromkeys(named, a))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros((6, 4), np.float32), ValueError, r"input 'x': expected shape \(6, 3\), got \(6, 4\)"),
        (np.zeros((6, 3, 1), np.float32), ValueError, r"input 'x': expected shape \(6, 3\), got \(6, 3, 1\)"),
        (np.zeros((7, 3), np.float32), ValueError, r"affine: rows must be in 1\.\.6, got 7"),
        (np.zeros((0, 3), np.float32), ValueError, r"affine: rows must be in 1\.\.6, got 0"),
        (np.zeros((2, 4), np.float32), ValueError, r"input 'x': expected shape \(2, 3\), got \(2, 4\)"),
        (np.zeros((6, 3)), TypeError, "input 'x': expected dtype float32, got float64"),
        (np.zeros((2, 3), np.int32), TypeError, "input 'x': expected dtype float32, got int32"),
        (np.full((6, 3), None), TypeError, "input 'x': expected dtype float32, got object"),
        ([[0.0] * 3] * 6, TypeError, "input 'x': expected a numpy array, got list"),
    ],
)  # fmt: skip
def test_bad_inputs_are_refused_and_harmless(exe: Executable, bad: Any, error: type[Exception], message: str) -> None:
    before = saved(exe)
    with pytest.raises(error, match=f"^{message}$"):
        exe(bad)
    assert_same_state(exe, before)
    x = np.ones((6, 3), np.float32)
    np.testing.assert_allclose(exe(x), want(exe, x), rtol=1e-6)


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


def misaligned(x: Array) -> Array:
    return np.frombuffer(b"?" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)


@pytest.mark.parametrize(
    "oddly",
    [
        lambda x: x.astype(">f4"),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
        np.asfortranarray,
        misaligned,
        read_only,
        lambda x: np.broadcast_to(x[:1], x.shape),
    ],
    ids=["big-endian", "strided", "backwards", "column-major", "misaligned", "read-only", "broadcast"],
)
@pytest.mark.parametrize("rows", [6, 4])
def test_odd_arrays(exe: Executable, rng: np.random.Generator, oddly: Callable[[Array], Array], rows: int) -> None:
    x = oddly(rng.normal(size=(rows, 3)).astype(np.float32))
    np.testing.assert_allclose(exe(x), want(exe, x), rtol=1e-5, atol=1e-6)


def test_good_arrays_are_not_copied() -> None:
    b = Builder("total")
    x = b.input("x", TensorType((1 << 20,), F32))
    exe = compile_graph(b.build((fn.sum(b, x),)), PLAIN)
    good = np.ones(1 << 20, np.float32)
    assert exe(good) == 1 << 20
    assert peak_bytes(lambda: exe(good)) < 1 << 16
    assert peak_bytes(lambda: exe(good[::-1])) >= good.nbytes


def peak_bytes(action: Callable[[], object]) -> int:
    """The most memory numpy and Python had more than before at any time of the action."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_states_are_lent_and_updated_in_place(rng: np.random.Generator) -> None:
    w = rng.normal(size=(3, 4)).astype(np.float32)
    graph = affine()
    b = Builder(graph=graph)
    b.update(graph.inputs[1], fn.mul(b, graph.inputs[1], 2.0))
    before = w.copy()
    exe = compile_graph(b.build(graph.outputs, graph.output_names), PLAIN, bind={"w": w})
    exe(np.ones((6, 3), np.float32))
    assert exe.state["w"] is w
    np.testing.assert_array_equal(w, before * 2)


@pytest.mark.parametrize("bad", [np.zeros((3, 5), np.float32), np.zeros((3, 4)), np.zeros((4, 3), np.float32).T])
def test_states_of_another_type_are_refused(bad: Array) -> None:
    with pytest.raises(ValueError, match=r"state 'w': expected a writable C-contiguous float32\[3, 4\], got"):
        compile_graph(affine(), PLAIN, bind={"w": bad})


def results_that_nobody_computes(b: Builder) -> list[Value]:
    x = b.input("x", TensorType((Rows(4), 6), F32))
    w = parameter(b, "w", 2)
    total = fn.sum(b, x, 1)
    c = fn.constant(b, np.arange(3, dtype=np.float32), F32)
    return [x, w, c, total, total, fn.reshape(b, x, (x.shape[0], 2, 3)), fn.reshape(b, w, (2, 1))]


@pytest.mark.parametrize("rows", [4, 3])
def test_outputs_may_be_anything(rng: np.random.Generator, rows: int) -> None:
    """Inputs, weights, constants, one value twice and the same memory under two types, alone and together."""
    for picked in [*([i] for i in range(7)), [3, 4], [0, 0, 5], [1, 6, 2], list(range(7))]:
        b = Builder("anything")
        values = results_that_nobody_computes(b)
        graph = b.build([values[i] for i in picked], [f"o{i}" for i in range(len(picked))])
        exe = filled(compile_graph(graph, PLAIN), rng)
        x = rng.normal(size=(rows, 6)).astype(np.float32)
        w = exe.state["w"]
        wanted = [x, w, np.arange(3), x.sum(1), x.sum(1), x.reshape(rows, 2, 3), w.reshape(2, 1)]
        for i, got in zip(picked, exe.run([x], rows), strict=True):
            np.testing.assert_allclose(got, wanted[i], rtol=1e-5)
            assert not np.shares_memory(got, x) and not np.shares_memory(got, w)


# Rows


@pytest.mark.parametrize("rows", [1, 2, 4, 5])
def test_a_short_batch_is_a_batch_of_that_size(rng: np.random.Generator, rows: int) -> None:
    """A training step on fewer rows than compiled is the step of a graph with that many rows: means and all."""
    exe = filled(compile_graph(trained(mlp(F64, 5)), PLAIN), rng)
    exe(rng.normal(size=(5, 7)), np.array([0, 1, 2, 0, 1], np.int32))  # rows past the last are not zero any more
    x, labels = rng.normal(size=(rows, 7)), rng.integers(0, 3, rows).astype(np.int32)
    graph = trained(mlp(F64, rows))
    data: dict[str, Array] = {"x": x, "labels": labels, **saved(exe)}
    wanted = interpret(graph, {value: data[value.name] for value in graph.inputs})
    loss, logits = exe(x, labels)
    np.testing.assert_allclose(loss, wanted[0], rtol=1e-12)
    np.testing.assert_allclose(logits, wanted[1], rtol=1e-10)
    for (state, _), new in zip(graph.updates, wanted[2:], strict=True):
        np.testing.assert_allclose(exe.state[state.name], new, rtol=1e-10, atol=1e-12)


def test_inputs_must_agree_on_the_rows() -> None:
    exe = compile_graph(mlp(F64, 5), PLAIN)
    with pytest.raises(ValueError, match=r"^input 'labels': expected shape \(3,\), got \(4,\)$"):
        exe(np.zeros((3, 7)), np.zeros(4, np.int32))


# Checks


def test_a_failed_check_stops_every_update(rng: np.random.Generator) -> None:
    exe = filled(compile_graph(trained(embedding(F64, 3)), PLAIN), rng)
    before = saved(exe)
    for bad in (-1, 6, 2**31 - 1, -(2**31)):
        ids = np.zeros((3, 4), np.int32)
        ids[2, 3] = bad
        with pytest.raises(CheckError, match=r"^an id lies out of \[0, 6\)$"):
            exe(ids)
        assert_same_state(exe, before)
    exe(np.zeros((3, 4), np.int32))
    assert (exe.state["table"][0] != before["table"][0]).all()


# Memory


def test_an_arena_that_cannot_be_had_is_a_memory_error() -> None:
    b = Builder("vast")
    x, y = b.input("x", TensorType((1 << 21, 1), F32)), b.input("y", TensorType((1, 1 << 21), F32))
    product = fn.matmul(b, x, y)
    vast = b.build((fn.sum(b, fn.exp(b, product), 0), fn.sum(b, product, 1)))
    with pytest.raises(MemoryError, match=r"^vast needs [\d,]{18,} bytes, [\d,]+ are available; a smaller batch"):
        compile_graph(vast, PLAIN)


def test_memory_that_is_promised_but_not_there_counts_as_missing(tmp_path: Path) -> None:
    meminfo, root = tmp_path / "meminfo", tmp_path / "cgroup"
    root.mkdir()
    meminfo.write_text("MemTotal:       8000 kB\nMemAvailable:   3000 kB\nSwapFree:        500 kB\n")
    assert available_bytes(meminfo, root) == 3500 * 1024
    (root / "memory.max").write_text("max\n")
    assert available_bytes(meminfo, root) == 3500 * 1024
    (root / "memory.max").write_text("1000000\n")
    assert available_bytes(meminfo, root) == 1000000
    assert available_bytes(tmp_path / "none", root) == 1000000


@pytest.mark.parametrize("dtype", [DType.I8, DType.U8])
def test_offsets_have_64_bits(dtype: DType) -> None:
    """Elements behind 2^31 and 2^32 of arrays of which only these are ever touched."""
    size, rows = (1 << 32) + 8, (1 << 26) + 1
    b = Builder("far")
    x, table = b.input("x", TensorType((size,), dtype)), b.input("table", TensorType((rows, 64), dtype))
    ids = b.input("ids", TensorType((3,), DType.I32))
    ends = [b.add(Slice((start,), (3,), (1,)), x) for start in ((1 << 31) - 1, size - 3)]
    exe = compile_graph(b.build((*ends, fn.gather(b, table, ids))), PLAIN)
    line, block = np.zeros(size, dtype.numpy), np.zeros((rows, 64), dtype.numpy)
    line[(1 << 31) - 1 :][:3] = 1, 2, 3
    line[-3:] = 4, 5, 6
    block[rows - 1], block[rows // 2] = 7, 8
    middle, end, found = exe(line, block, np.array([rows - 1, 0, rows // 2], np.int32))
    np.testing.assert_array_equal(middle, [1, 2, 3])
    np.testing.assert_array_equal(end, [4, 5, 6])
    np.testing.assert_array_equal(found, np.repeat([[7], [0], [8]], 64, axis=1))


# Threads, forks, signals


def test_threads_may_share_an_executable(rng: np.random.Generator) -> None:
    exe = filled(compile_graph(mlp(F64, 5), PLAIN), rng)
    calls = [(rng.normal(size=(n, 7)), rng.integers(0, 3, n).astype(np.int32)) for n in rng.integers(1, 6, 200)]
    serial = [exe(*call) for call in calls]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda call: exe(*call), calls))
    for alone, shared in zip(serial, together, strict=True):
        for a, b in zip(alone, shared, strict=True):
            np.testing.assert_array_equal(a, b)


FORK = """
    import os, threading
    import numpy as np
    from nets import F64, mlp
    from graphc.compiler import compile_graph
    from graphc.options import CompileOptions

    exe = compile_graph(mlp(F64, 5), CompileOptions(threads=2, cache=False))
    x, labels = np.ones((5, 7)), np.zeros(5, np.int32)
    wanted = exe(x, labels)[1]
    busy = True

    def predict():
        while busy:
            exe(x, labels)

    def fork_and_predict():
        for _ in range(20):
            if (child := os.fork()) == 0:
                same = all(np.array_equal(exe(x, labels)[1], wanted) for _ in range(20))
                os._exit(0 if same else 1)
            assert os.waitpid(child, 0)[1] == 0

    fork_and_predict()
    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    forker = threading.Thread(target=fork_and_predict)
    forker.start()
    forker.join()
    busy = False
    for thread in threads:
        thread.join()
    assert np.array_equal(exe(x, labels)[1], wanted)
    print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_children_predict() -> None:
    """After use, and from a thread while others are inside the executable."""
    assert run_fresh(FORK).endswith("done\n")


INTERRUPT = """
    import os, signal, sys, threading, time
    import numpy as np
    from graphs import sgd
    from nets import F32, parameter
    from graphc.compiler import compile_graph
    from graphc.ir.builder import Builder
    from graphc.ir.types import TensorType
    from graphc.options import CompileOptions
    from graphc.primitives import functions as fn

    b = Builder("long")
    x = b.input("x", TensorType((768, 768), F32))
    w = parameter(b, "w", 768, 768)
    y = x
    for _ in range(30):
        y = fn.matmul(b, y, w)
    graph = b.build((fn.mean(b, y),))
    graph = sgd(graph, graph.outputs[0], 0.5)
    exe = compile_graph(graph, CompileOptions(threads=1, cache=False))
    x, start = np.ones((768, 768), np.float32), np.eye(768, dtype=np.float32) * 0.9
    exe.state["w"][...] = start
    began = time.perf_counter()
    exe(x)
    seconds = time.perf_counter() - began
    updated = exe.state["w"].copy()
    delays, kept = [], 0
    for i in range(8):
        exe.state["w"][...] = start
        sent = []

        def interrupt():
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(seconds * (i + 1) / 9, interrupt)
        timer.start()
        try:
            exe(x)
            timer.join()
            time.sleep(0.01)
        except KeyboardInterrupt:
            delays.append(time.perf_counter() - sent[0])
        now = exe.state["w"]
        assert np.array_equal(now, start) or np.array_equal(now, updated), "half an update"
        kept += np.array_equal(now, start)
    exe.state["w"][...] = start
    exe(x)
    assert np.array_equal(exe.state["w"], updated)
    print(seconds, kept, *delays)
"""


def test_ctrl_c_in_a_long_step() -> None:
    """The call ends early, the weights are as before it or as after it, and the next step is right."""
    seconds, kept, *delays = map(float, run_fresh(INTERRUPT).split())
    assert kept >= 4, "the step went on to its update"
    assert len(delays) >= 4
    # a phase is finished first; 2 s allow for a loaded machine
    assert sorted(delays)[len(delays) // 2] < min(2.0, 0.5 * seconds)


ENGINES = """
    import gc, sys
    import numpy as np
    from nets import F32, dense
    from graphs import sgd
    from graphc.compiler import compile_graph
    from graphc.ir.builder import Builder
    from graphc.ir.types import Rows, TensorType
    from graphc.options import CompileOptions
    from graphc.primitives import functions as fn

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    def mappings():
        with open("/proc/self/maps") as file:
            return sum(1 for _ in file)

    def cycle():
        b = Builder("small")
        x = b.input("x", TensorType((Rows(5), 7)))
        graph = b.build((fn.mean(b, dense(b, x, "dense", 3)),))
        exe = compile_graph(sgd(graph, graph.outputs[0]), CompileOptions(threads=2, cache=False))
        exe(np.ones((5, 7), np.float32))

    for _ in range(20):
        cycle()
    gc.collect()
    before = resident(), mappings()
    gc.disable()  # native code must not wait for the collector, which does not see its size
    for _ in range(10):
        cycle()
    print(mappings() - before[1])
    gc.enable()
    for _ in range(int(sys.argv[1])):
        cycle()
    gc.collect()
    print(resident() - before[0], mappings() - before[1])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("compiles", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_native_code_is_freed_with_its_executable(compiles: int) -> None:
    uncollected, growth, mappings = map(int, run_fresh(ENGINES, str(compiles)).split())
    assert uncollected < 10 and mappings < 10
    assert growth < 4 << 20, f"{growth} bytes more after {compiles} compilations"


# Inspection


def test_stages() -> None:
    graph = trained(mlp(F32, 5))
    exe = compile_graph(graph, PLAIN)
    assert exe.graph("source") is graph is exe.graph(0)
    assert exe.graph("fuse") is exe.graph("fused") is exe.graph(-1)
    assert str(exe.graph("fused")).startswith("graph @mlp (n = 5) {\n")
    assert "fused @" in str(exe.graph("planned"))
    with pytest.raises(
        ValueError, match=r"^no stage 'melted'; the stages are source, expand, canonicalize, .*fuse.*, planned "
    ):
        exe.graph("melted")
    with pytest.raises(ValueError, match="no stage 99"):
        exe.graph(99)


def test_kernels_as_text() -> None:
    exe = compile_graph(trained(mlp(F32, 5)), PLAIN)
    assert any("dot" in name.computes and "hidden" in name.computes for name in exe.kernels)
    for name in exe.kernels:
        kernel = exe.kernel(name)
        assert kernel.loops.startswith(f"kernel @{name}(")
        assert f"@{name}(" in kernel.llvm
        assert f"{name}:" in kernel.asm
        assert kernel.computes == name.computes and name.computes in repr(kernel)
    with pytest.raises(ValueError, match=rf"^no kernel 'none'; the kernels are {exe.kernels[0]}"):
        exe.kernel("none")


def test_memory_plan_as_text() -> None:
    plan = compile_graph(trained(mlp(F32, 5)), PLAIN).memory_plan
    lines = str(plan).splitlines()
    assert lines[0].split() == ["buffer", "place", "bytes", "offset", "first", "last"]
    assert lines[-1].startswith(f"arena {plan.arena_bytes} bytes; ")
    assert f"without sharing {plan.unplanned_bytes}" in lines[-1]


def assert_is_dump(folder: Path, exe: Executable) -> None:
    graphs = sorted(folder.glob("*.graph"))
    assert [path.name for path in graphs[:1]] == ["00-input.graph"]
    assert graphs[-1].name.endswith("-planned.graph") and graphs[-2].name.endswith("-fuse.graph")
    for path, stage in ((graphs[0], "source"), (graphs[-2], "fused"), (graphs[-1], "planned")):
        assert structural_key(read_graph(path, REGISTRY)) == structural_key(exe.graph(stage))
    assert "  // output %" in graphs[-1].read_text()
    index = (folder / "index.txt").read_text()
    assert all(f"kernel {name}: {name.computes}\n" in index for name in exe.kernels)
    assert " ms  " in index and " -> " in index
    assert (folder / "memory.txt").read_text() == f"{exe.memory_plan}\n"
    for name in exe.kernels:
        assert (folder / "kernels" / f"{name}.ll").read_text() == exe.kernel(name).llvm
        assert exe.kernel(name).loops in (folder / "kernels" / f"{name}.loops").read_text()
        assert (folder / "kernels" / f"{name}.s").read_text() == exe.kernel(name).asm


def test_dump(tmp_path: Path) -> None:
    exe = compile_graph(trained(mlp(F32, 5)), PLAIN)
    first, second = exe.dump(tmp_path / "a"), exe.dump(str(tmp_path / "a"))
    assert (first, second) == (tmp_path / "a" / "001-mlp-train", tmp_path / "a" / "002-mlp-train")
    assert_is_dump(first, exe)
    assert_is_dump(second, exe)


def test_dump_asked_for_when_compiling(tmp_path: Path) -> None:
    options = CompileOptions(threads=2, dump=tmp_path)
    graphs = [affine(), trained(mlp(F32, 5)), replace(affine(), name="../../etc/pass wd")]
    exes = [compile_graph(graph, options) for graph in graphs]
    folders = sorted(tmp_path.iterdir())
    assert [folder.name[:12] for folder in folders] == ["001-affine-i", "002-mlp-trai", "003-_._.._et"]
    for folder, exe in zip(folders, exes, strict=True):
        assert_is_dump(folder, exe)


def test_an_executable_says_what_it_is(exe: Executable) -> None:
    assert repr(exe) == "<executable affine(x: f32[n,3]) -> y: f32[n,4]; weights and states: 2>"


def weights_only_graph() -> Graph:
    """y = x * exp(w)[0], with exp(w) in a kernel of its own."""
    b = Builder("prepared")
    x = b.input("x", TensorType((Rows(4), 70)))
    w = b.input("w", TensorType((70, 90)), Role.PARAM)
    return b.build([fn.matmul(b, x, fn.cumsum(b, fn.exp(b, w), 0))])


def test_what_depends_on_weights_alone_is_computed_again_only_after_a_change() -> None:
    exe = compile_graph(weights_only_graph(), PLAIN, watched=True)
    assert 0 < exe.program.prepared < len(exe.program.phases)
    x = np.random.default_rng(0).normal(size=(4, 70)).astype(np.float32)
    exe.state["w"][...] = 0.01
    CHANGES.note()
    first = exe(x)
    exe.state["w"][...] = 0.02
    np.testing.assert_array_equal(exe(x), first)  # nobody noted the change
    CHANGES.note()
    assert not np.allclose(exe(x), first)
    with exe.recording() as recorder:
        exe(x)
    assert not recorder.runs().ticks[0, : exe.program.prepared].any()


def test_without_a_promise_weights_may_change_at_any_time() -> None:
    exe = compile_graph(weights_only_graph(), PLAIN)
    x = np.ones((2, 70), np.float32)
    exe.state["w"][...] = 0.5
    first = exe(x)
    exe.state["w"][...] = 0.25
    assert not np.allclose(exe(x), first)
