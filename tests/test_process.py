"""What graphc does to the process it runs in, and what the distribution says about itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fresh import ROOT, run_fresh

import graphc

STEP = """
    import numpy as np
    from graphs import sgd
    from nets import F32, mlp
    from graphc.compiler import compile_graph
    from graphc.options import CompileOptions

    graph = mlp(F32, 5)
    exe = compile_graph(sgd(graph, graph.outputs[0]), CompileOptions(threads=2, cache=False))
    for _ in range(3):
        exe(np.ones((5, 7), np.float32), np.zeros(5, np.int32))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_page_becomes_writable_and_executable() -> None:
    """Importing llvmlite makes one such page itself (libffi's closures); graphc adds none."""
    maps = """
    def unsafe():
        with open("/proc/self/maps") as file:
            return sum("w" in line.split()[1] and "x" in line.split()[1] for line in file)
    """
    out = run_fresh(f"{maps}\n    import llvmlite.binding\n    before = unsafe()\n{STEP}\n    print(unsafe() - before)")
    assert out.split()[-1] == "0"


def test_a_step_in_development_mode_leaves_no_warning() -> None:
    """`-X dev` reports unclosed files, misuse of memory and bad exits; threads are joined before the interpreter ends."""
    script = "import sys; sys.path[:0] = ['.', 'tests']\n" + "\n".join(line[4:] for line in STEP.splitlines())
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- the distribution


def project() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def test_the_version_is_the_one_of_the_distribution() -> None:
    assert project()["version"] == graphc.__version__


def test_no_console_script_is_installed() -> None:
    assert "scripts" not in project()


@pytest.mark.parametrize("package", ["graphc", "passes", "codegen"])
def test_every_folder_with_code_is_a_typed_package(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_changes_have_a_heading_for_the_version_or_what_comes_next() -> None:
    text = Path(ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in text or f"## [{graphc.__version__}]" in text
