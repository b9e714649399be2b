"""Scripts run in a fresh Python process, for what a test must not do to its own: signals, forks, limits, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 120.0


def run_fresh(script: str, *arguments: str, **variables: str) -> str:
    """What a script prints, with these environment variables; AssertionError with its errors if it fails."""
    done = start_fresh(script, *arguments, **variables)
    out, errors = done.communicate(timeout=SECONDS)
    assert done.returncode == 0, f"exit {done.returncode}\n{out}\n{errors}"
    return out


def start_fresh(script: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """The process of a script. It sees graphc and the tests' own modules."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, "PYTHONPATH": path, "GRAPHC_VERIFY": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
