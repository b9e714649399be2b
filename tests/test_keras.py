"""Training under graphc is training under Keras 3 on JAX: the same initial weights, losses, histories and masks.

Keras runs the same programs at the same time, once, in a process of its own. Where it is not installed these tests
fail: `pip install -e .[test]` brings it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras_programs
import numpy as np
import pytest
from numpy.typing import NDArray

import graphc

SECONDS = 300.0  # Keras needs about 20


@pytest.fixture(scope="session")
def keras_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[Any]]:
    """What Keras gives for `program/result`. The workers of one test run share one process of Keras."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path = folder / "keras_results.npz"
    with (folder / "keras_results.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            run_keras(path)
    with np.load(path) as archive:
        return dict(archive)


def run_keras(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, keras_programs.__file__, str(path)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "KERAS_HOME": str(path.parent)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"Keras on JAX did not run; pip install -e .[test] brings it\n{done.stderr}"


@pytest.mark.parametrize("name", list(keras_programs.PROGRAMS))
def test_program_gives_what_keras_gives(name: str, keras_results: dict[str, NDArray[Any]]) -> None:
    found = keras_programs.results(name, graphc)
    wanted = {key.partition("/")[2]: value for key, value in keras_results.items() if key.startswith(f"{name}/")}
    assert list(found) == list(wanted)
    tolerance = keras_programs.PROGRAMS[name].tolerance
    for key, got in found.items():
        if key.startswith("exact"):
            np.testing.assert_array_equal(got, wanted[key], err_msg=key)
        else:
            np.testing.assert_allclose(got, wanted[key], rtol=tolerance, err_msg=key)


@pytest.mark.parametrize("name", [name for name in keras_programs.PROGRAMS if name.endswith("momentum")])
def test_programs_learn(name: str, keras_results: dict[str, NDArray[Any]]) -> None:
    """Equal losses of models that stand still would say nothing."""
    losses = keras_results[f"{name}/losses"].astype("float64")
    assert losses[-5:].mean() < 0.8 * losses[:5].mean()
