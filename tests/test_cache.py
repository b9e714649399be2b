"""The persistent cache: nothing that lies in it can do harm, and what it gives is what would have been compiled."""

from __future__ import annotations

import logging
import os
import random
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh import run_fresh, start_fresh
from graphs import random_graph, sgd
from nets import F32, NETS, mlp

from graphc.compiler import compile_graph
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.types import DType, Rows, TensorType
from graphc.options import CompileOptions
from graphc.primitives import functions as fn
from graphc.runtime.cache import MAGIC, SUFFIX, Cache, Refused, entry_name, packed, unpacked
from graphc.runtime.executable import Executable
from graphc.runtime.image import Image
from passes.validate import random_inputs

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the cache wants files that have an owner")

KEY = b"what was compiled, in full"
PAYLOAD = bytes(range(256)) * 3


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache" / "graphc")


def folder_of(cache: Cache) -> Path:
    assert cache.folder is not None
    return cache.folder


def file_of(cache: Cache, key: bytes = KEY) -> Path:
    return folder_of(cache) / entry_name(key)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Entries


def test_what_is_stored_is_loaded(cache: Cache) -> None:
    assert cache.load(KEY) is None
    cache.store(KEY, PAYLOAD)
    cache.store(b"other", b"")
    assert cache.load(KEY) == PAYLOAD
    assert cache.load(b"other") == b""
    cache.store(KEY, b"newer")
    assert cache.load(KEY) == b"newer"


def test_only_the_user_can_see_it(cache: Cache) -> None:
    before = os.umask(0)
    try:
        cache.store(KEY, PAYLOAD)
    finally:
        os.umask(before)
    for path in (folder_of(cache), folder_of(cache).parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder_of(cache).iterdir()] == [0o600]


def test_every_truncation_is_refused() -> None:
    data = packed(KEY, PAYLOAD)
    for length in range(len(data)):
        with pytest.raises(Refused):
            unpacked(data[:length], KEY)
    with pytest.raises(Refused):
        unpacked(data + b"\0", KEY)
    assert unpacked(data, KEY) == PAYLOAD


def test_every_flipped_bit_is_refused() -> None:
    data = packed(KEY, PAYLOAD)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused):
            unpacked(bytes(flipped), KEY)


def test_random_bytes_are_refused() -> None:
    rng = random.Random(1)
    for length in range(0, 400, 7):
        for head in (b"", MAGIC, packed(KEY, PAYLOAD)[:40]):
            with pytest.raises(Refused):
                unpacked(head + rng.randbytes(length), KEY)


def exchanged(path: Path) -> None:
    path.write_bytes(packed(b"something else", PAYLOAD))


def linked(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        exchanged,
        linked,
        as_pipe,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.chmod(0o622),
    ],
    ids=["exchanged", "symlink", "pipe", "empty", "short", "open to others"],
)
def test_a_wrong_entry_is_deleted_with_one_warning(
    cache: Cache, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], object]
) -> None:
    cache.store(KEY, PAYLOAD)
    spoil(file_of(cache))
    assert cache.load(KEY) is None
    assert not os.path.lexists(file_of(cache))
    assert cache.load(KEY) is None
    (message,) = warnings(caplog)
    assert str(file_of(cache)) in message and "compiled anew" in message
    cache.store(KEY, PAYLOAD)
    assert cache.load(KEY) == PAYLOAD


def test_least_recently_used_entries_go_first(tmp_path: Path) -> None:
    size = len(packed(b"0", PAYLOAD))
    cache = Cache(tmp_path / "small", limit=3 * size + 10)
    for i, key in enumerate((b"0", b"1", b"2")):
        cache.store(key, PAYLOAD)
        os.utime(file_of(cache, key), (i, i))
    assert cache.load(b"0") == PAYLOAD  # now the most recent
    cache.store(b"3", PAYLOAD)
    assert [cache.load(key) is not None for key in (b"0", b"1", b"2", b"3")] == [True, False, True, True]
    assert sum(entry.nbytes for entry in cache.entries()) <= cache.limit
    cache.store(b"huge", bytes(cache.limit))
    assert cache.load(b"huge") is None and len(cache.entries()) == 3


def test_clear_deletes_entries_only(cache: Cache) -> None:
    assert (cache.entries(), cache.clear()) == ([], [])
    cache.store(KEY, PAYLOAD)
    (folder_of(cache) / "notes.txt").write_text("mine")
    (folder_of(cache) / f".{entry_name(KEY)}.0123").write_bytes(b"half")
    assert [entry.name for entry in cache.clear()] == [entry_name(KEY)]
    assert [path.name for path in folder_of(cache).iterdir()] == ["notes.txt"]


def test_what_killed_writers_left_goes_after_a_while(cache: Cache) -> None:
    cache.store(KEY, PAYLOAD)
    old, new = (folder_of(cache) / f".{entry_name(KEY)}.{name}" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    cache.store(b"other", PAYLOAD)
    assert not old.exists() and new.exists()


# Folders


def given_link(folder: Path) -> None:
    (folder.parent / "real").mkdir(0o700)
    folder.symlink_to(folder.parent / "real")


@pytest.mark.parametrize(
    "make",
    [
        given_link,
        lambda path: path.mkdir(0o755),
        lambda path: path.mkdir(0o770),
        lambda path: path.write_text("a file"),
    ],
    ids=["symlink", "readable", "group", "file"],
)
def test_a_folder_that_is_not_safe_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], object]
) -> None:
    cache = Cache(tmp_path / "cache")
    make(folder_of(cache))
    for _ in range(3):
        cache.store(KEY, PAYLOAD)
        assert cache.load(KEY) is None
    assert len(warnings(caplog)) == 1 and str(cache.folder) in warnings(caplog)[0]
    assert not list(tmp_path.rglob(f"*{SUFFIX}*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path / "cache")
    cache.store(KEY, PAYLOAD)
    os.chown(folder_of(cache), 12345, 12345)
    assert cache.load(KEY) is None
    assert "it belongs to user 12345" in warnings(caplog)[0]


def test_no_folder_at_all(caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(None)
    cache.store(KEY, PAYLOAD)
    assert (cache.load(KEY), cache.entries(), cache.clear()) == (None, [], [])
    assert len(warnings(caplog)) == 1 and "GRAPHC_CACHE_DIR" in warnings(caplog)[0]


# Writers that fail

LIMITED = """
    import resource, sys
    from pathlib import Path
    from graphc.runtime.cache import Cache
    cache = Cache(Path(sys.argv[1]))
    cache.store(b"key", b"old" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    cache.store(b"key", b"new" * 100000)
    cache.store(b"other", b"new" * 100000)
    assert cache.load(b"key") == b"old" * 100 and cache.load(b"other") is None
    print(sorted(path.name.startswith(".") for path in cache.folder.iterdir()))
"""


def test_a_full_disk_leaves_the_old_entry_and_no_debris(tmp_path: Path) -> None:
    assert run_fresh(LIMITED, str(tmp_path / "cache")) == "[False]\n"


ENDLESS = """
    import sys
    from pathlib import Path
    from graphc.runtime.cache import Cache
    cache = Cache(Path(sys.argv[1]))
    print("ready", flush=True)
    for i in range(10**9):
        cache.store(b"key", bytes([i % 256]) * 3000000)
"""


@pytest.mark.parametrize("kills", [5, pytest.param(200, marks=pytest.mark.long)])
def test_a_killed_writer_leaves_old_or_new(tmp_path: Path, caplog: pytest.LogCaptureFixture, kills: int) -> None:
    cache = Cache(tmp_path / "cache")
    cache.store(b"key", bytes(3000000))
    rng = random.Random(7)
    for _ in range(kills):
        with start_fresh(ENDLESS, str(cache.folder)) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
            time.sleep(rng.random() * 0.05)
            writer.send_signal(signal.SIGKILL)
        found = cache.load(b"key")
        assert found is not None and len(found) == 3000000 and len(set(found)) == 1
    assert not warnings(caplog)


RACING = """
    import sys
    from pathlib import Path
    from graphc.runtime.cache import Cache
    cache = Cache(Path(sys.argv[1]), limit=40000)
    for i in range(150):
        key = bytes([i % 7])
        cache.store(key, key * 9000)
        found = cache.load(key)
        assert found is None or found == key * 9000
"""


def test_racing_processes(tmp_path: Path) -> None:
    processes = [start_fresh(RACING, str(tmp_path / "cache")) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


# Images


def with_constants() -> Graph:
    b = Builder("constants")
    x = b.input("x", TensorType((Rows(4), 50), F32))
    table = fn.constant(b, np.linspace(0, 1, 50), F32)
    i = fn.constant(b, np.arange(50) % 3 == 0, DType.BOOL)
    y = fn.select(b, fn.broadcast_to(b, i, x.shape), fn.add(b, x, table), 0.0)
    return b.build((y, table), ("y", "table"))


@pytest.mark.parametrize("make", [with_constants, *NETS])
def test_images_round_trip(make: Callable[[], Graph]) -> None:
    graph = make()
    compilation = compile_graph(graph, CompileOptions(cache=False)).compilation
    image = Image((b"object one", b"", b"\n"), ("a", "b"), compilation.program)
    again = Image.from_bytes(image.to_bytes())
    assert again.program is not None and image.program is not None
    for mine, theirs in zip(again.program.constants, image.program.constants, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    bare = [replace(i, program=replace(i.program, constants=())) for i in (again, image) if i.program]
    assert bare[0] == bare[1]


# Executables


@pytest.fixture(scope="module", autouse=True)
def _pool() -> None:
    """The thread pool's code is an entry too, made once a process: here before, so that tests can count entries."""
    compile_graph(mlp(F32, 5), CompileOptions(cache=False))


def options(folder: Path, **changes: Any) -> CompileOptions:
    return CompileOptions(threads=2, cache_dir=folder, **changes)


def trained(name: str = "mlp") -> Graph:
    graph = mlp(F32, 5)
    return replace(sgd(graph, graph.outputs[0]), name=name)


def steps(exe: Executable) -> list[np.ndarray[Any, Any]]:
    """Everything some steps give and leave behind."""
    rng = np.random.default_rng(3)
    for array in exe.state.values():
        array[...] = rng.normal(size=array.shape)
    results = [exe(rng.normal(size=(5, 7)).astype(np.float32), np.arange(5, dtype=np.int32) % 3) for _ in range(3)]
    return [*(array for result in results for array in result), *exe.state.values()]


def assert_equal_steps(got: Executable, wanted: Executable) -> None:
    for a, b in zip(steps(got), steps(wanted), strict=True):
        np.testing.assert_array_equal(a, b)


def compiled(caplog: pytest.LogCaptureFixture) -> int:
    """How often native code was generated since the last question."""
    count = sum("native code in" in record.getMessage() for record in caplog.records)
    caplog.clear()
    return count


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "graphc")
    return caplog


def test_the_second_time_nothing_is_compiled(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    first = compile_graph(trained(), options(folder))
    assert compiled(log) == 1
    second = compile_graph(trained(), options(folder))
    assert compiled(log) == 0
    assert_equal_steps(second, first)
    assert str(second.graph("fused")) == str(first.graph("fused"))
    assert second.kernel(second.kernels[0]).asm == first.kernel(first.kernels[0]).asm
    assert second.dump(tmp_path / "dump").name == "001-mlp-train"


def test_another_graph_name_cpu_or_threads(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    compile_graph(trained(), options(folder))
    compile_graph(trained("other"), options(folder))
    graph = mlp(F32, 5)
    compile_graph(sgd(graph, graph.outputs[0], rate=0.2), options(folder))
    graph = mlp(F32, 6)
    compile_graph(sgd(graph, graph.outputs[0]), options(folder))
    assert compiled(log) == 4
    compile_graph(trained(), replace(options(folder), threads=1))
    assert compiled(log) == 0, "code does not depend on the thread count"
    compile_graph(trained(), options(folder, cpu="x86-64-v3"))
    assert compiled(log) == 1


def test_without_cache_and_where_passes_are_watched(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    compile_graph(trained(), options(folder))
    for changes in ({"cache": False}, {"verify": 2}, {"dump": tmp_path / "dump"}):
        compiled(log)
        compile_graph(trained(), options(folder, **changes))
        assert compiled(log) == 1, changes


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


@pytest.mark.parametrize("flips", [24, pytest.param(1000, marks=pytest.mark.long)])
def test_damaged_entries_heal(tmp_path: Path, log: pytest.LogCaptureFixture, flips: int) -> None:
    """Flipped bits, cut ends and random bytes: a warning, the right numbers, and a good entry again."""
    folder = tmp_path / "cache"
    wanted = compile_graph(trained(), options(folder))
    (path,) = entries(folder)
    good = path.read_bytes()
    rng = random.Random(11)
    for trial in range(flips):
        bad = bytearray(good)
        if trial % 3 == 0:
            bad = bad[: rng.randrange(len(bad))]
        else:
            for _ in range(trial % 3):
                bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(bad))
        log.clear()
        exe = compile_graph(trained(), options(folder))
        assert len(warnings(log)) == 1 and "compiled anew" in warnings(log)[0]
        if trial % 10 == 0:
            assert_equal_steps(exe, wanted)
    assert path.read_bytes() == good


def test_exchanged_entries_heal(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    wanted = compile_graph(trained(), options(folder))
    mine = set(entries(folder))
    compile_graph(trained("other"), options(folder))
    (one,), (two,) = mine, set(entries(folder)) - mine
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)
    assert_equal_steps(compile_graph(trained(), options(folder)), wanted)
    assert len(warnings(log)) == 1 and "belongs to something else" in warnings(log)[0]
    assert one.read_bytes() == a


def test_an_entry_that_cannot_be_linked_is_compiled_anew(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    """A valid entry under the right key with no code, or no record, in it: a bug of ours, and still no harm."""
    folder = tmp_path / "cache"
    wanted = compile_graph(trained(), options(folder))
    (path,) = entries(folder)
    data = path.read_bytes()
    key_length = int.from_bytes(data[len(MAGIC) + 12 : len(MAGIC) + 20], "little")
    key = data[len(MAGIC) + 20 :][:key_length]
    payload = unpacked(data, key)
    empty = replace(Image.from_bytes(payload), objects=()).to_bytes()
    for bad in (b"{}\n", b"no record", b"[1]\n", empty, payload + b"?"):
        Cache(folder).store(key, bad)
        log.clear()
        exe = compile_graph(trained(), options(folder))
        assert len(warnings(log)) == 1 and "compiled anew" in warnings(log)[0], bad[:20]
        assert_equal_steps(exe, wanted)


WARM = """
    import sys
    from pathlib import Path
    import numpy as np
    from nets import F32, mlp
    from graphc.compiler import compile_graph
    from graphc.options import CompileOptions

    before = set(sys.modules)
    exe = compile_graph(mlp(F32, 5), CompileOptions(threads=2, cache_dir=Path(sys.argv[1])))
    loss, _ = exe(np.ones((5, 7), np.float32), np.zeros(5, np.int32))
    ours = [name for name in sys.modules if name.partition(".")[0] in ("passes", "codegen", "networkx")]
    print(float(loss), *sorted(set(ours) - {"passes", "codegen"}))
"""


def test_a_warm_start_imports_neither_passes_nor_code_generator(tmp_path: Path) -> None:
    """Linking alone: the objects of the graph and of the thread pool both come out of the cache."""
    cold, *_ = run_fresh(WARM, str(tmp_path / "cache")).split()
    warm, *modules = run_fresh(WARM, str(tmp_path / "cache")).split()
    assert warm == cold
    assert modules == ["codegen.jit", "codegen.target"]
    assert len(entries(tmp_path / "cache")) == 2


HOMELESS = """
    import logging, sys
    from pathlib import Path
    import numpy as np
    from nets import F32, mlp
    from graphc.compiler import compile_graph
    from graphc.options import compile_options

    for _ in range(2):
        exe = compile_graph(mlp(F32, 5), compile_options(threads=1))
        exe(np.ones((5, 7), np.float32), np.zeros(5, np.int32))
    print("done")
"""


@pytest.mark.parametrize("variables", [{"HOME": "", "XDG_CACHE_HOME": ""}, {"GRAPHC_CACHE_DIR": "/proc/graphc"}])
def test_without_a_usable_home_it_works_with_one_warning(variables: dict[str, str]) -> None:
    process = start_fresh(HOMELESS, **{"GRAPHC_CACHE_DIR": "", "TMPDIR": "/nonexistent", **variables})
    out, errors = process.communicate(timeout=60)
    assert out == "done\n", errors
    assert errors.count("\n") == 1 and "compiled code is not kept in" in errors


@pytest.mark.parametrize("seed", range(3))
def test_random_graphs_from_the_cache(tmp_path: Path, log: pytest.LogCaptureFixture, seed: int) -> None:
    graph = random_graph(seed)
    arrays = dict(zip(graph.inputs, random_inputs(graph, seed), strict=True))
    data = [arrays[value] for value in graph.inputs_of("input")]
    results = []
    for _ in range(2):
        exe = compile_graph(graph, options(tmp_path / "cache"))
        for value in graph.inputs:
            if value.name in exe.state:
                exe.state[value.name][...] = arrays[value]
        results.append([*exe.run(data), *exe.state.values()])
    assert compiled(log) == 1
    for fresh, cached in zip(*results, strict=True):
        np.testing.assert_array_equal(cached, fresh)
