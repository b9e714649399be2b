"""Names of kernels for perf and gdb."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from nets import F32, cnn

from graphc.compiler import compile_graph
from graphc.options import CompileOptions
from graphc.runtime.executable import Executable
from graphc.runtime.symbols import functions


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Executable:
    monkeypatch.setenv("GRAPHC_SYMBOLS", str(tmp_path / "symbols"))
    return compile_graph(cnn(F32), CompileOptions(threads=1, cache=False))


def test_perf_finds_every_kernel_by_address(published: Executable) -> None:
    text = Path(f"/tmp/perf-{os.getpid()}.map").read_text()
    entries = {name: (int(start, 16), int(size, 16)) for start, size, name in map(str.split, text.splitlines())}
    by_kernel = {int(phase["kernel"]) for phase in published._phases}
    assert set(map(str, published.kernels)) <= set(entries)
    assert by_kernel <= {start for start, _ in entries.values()}
    assert all(entries[name][1] > 16 for name in published.kernels)


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_gdb_names_an_address_inside_a_kernel(published: Executable, tmp_path: Path) -> None:
    address = int(published._phases[0]["kernel"]) + 4
    command = [
        "gdb",
        "--batch",
        "-nx",
        "-x",
        str(tmp_path / "symbols" / "symbols.gdb"),
        "-ex",
        f"info symbol {address:#x}",
    ]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, input="y\n").stdout
    name = published.program.phases[0].symbol.split(".")[0]  # gdb leaves out what looks like the number of a clone
    assert f"{name} + 4 in section" in printed


def test_what_is_no_object_has_no_functions() -> None:
    assert functions(b"\xcf\xfa\xed\xfe" + b"\0" * 100) == []
