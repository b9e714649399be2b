"""Training under graphc is training under Keras 3 on JAX: the same initial weights, losses, histories and masks.

Keras runs the same programs at the same time, once, in a process of its own. Where it is not installed these tests
fail: `pip install -e .[test]` brings it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_curves
import keras_programs
import numpy as np
import pytest
from keras_cases.compare import differences
from keras_cases.draw import find
from keras_cases.graphc_side import GraphcSide
from keras_cases.run import TABLES, outcomes
from keras_cases.without import MISSING, WITHOUT_CASE
from numpy.typing import NDArray

import graphc
from graphc.names import keras_names, keras_names_text

Results = dict[str, NDArray[Any]]
TESTS = Path(__file__).parent

SECONDS = 3600.0  # Keras needs about 20, and as much for every configuration per class


def from_keras(factory: pytest.TempPathFactory, name: str, *commands: list[str]) -> list[dict[str, NDArray[Any]]]:
    """What commands that run under Keras write to the file named last, one file each; they run at the same time.

    The workers of one test run share the processes of Keras.
    """
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    paths = [folder / f"{name}_{i}.npz" for i in range(len(commands))]
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not paths[-1].exists():
            run_keras([[*command, str(path)] for command, path in zip(commands, paths, strict=True)], folder)
    return [dict(np.load(path)) for path in paths]


def run_keras(commands: list[list[str]], home: Path) -> None:
    # little is run and much compiled
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "KERAS_HOME": str(home), "PYTHONPATH": str(TESTS)}
    running = []
    for command in commands:
        special = {"JAX_ENABLE_X64": "1"} if "float64" in command else {}
        special |= {"XLA_FLAGS": quick} if "keras_cases" in command else {}
        variables = {**os.environ, **environment, **special}
        running.append(subprocess.Popen([sys.executable, *command], env=variables, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, f"Keras on JAX did not run; pip install -e .[test] brings it\n{errors}"


@pytest.fixture(scope="session")
def keras_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[Any]]:
    """What Keras gives for `program/result`."""
    return from_keras(tmp_path_factory, "programs", [keras_programs.__file__])[0]


@pytest.fixture(scope="session")
def keras_cases(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[dict[str, Results]]:
    """What Keras gives for each case, `kind.Class#number`: computed in float32, and in float64."""
    count = str(request.config.getoption("--keras-cases"))
    commands = [["-m", "keras_cases", floatx, count] for floatx in ("float32", "float64")]
    return [_by_case(results) for results in from_keras(tmp_path_factory, "cases", *commands)]


def _by_case(results: Results) -> dict[str, Results]:
    found: dict[str, Results] = {}
    for key, value in results.items():
        place, _, result = key.partition("/")
        found.setdefault(place, {})[result] = value
    return found


CASES = [(kind, name) for kind, table in TABLES.items() for name in table]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}.{name}" for kind, name in CASES])
def test_random_configurations_give_what_keras_gives(
    kind: str, name: str, keras_cases: list[dict[str, Results]], request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    """Configuration, weights, results, gradients and ten steps, as near to float64 as Keras's own float32 is."""
    side, wrong, compared = GraphcSide(), [], 0
    count = request.config.getoption("--keras-cases")
    for number in range(count):
        place = f"{kind}.{name}#{number}"
        single, double = (results.get(place, {}) for results in keras_cases)
        assert "error" not in single, f"{place}: the case is wrong, Keras refuses it: {single['error']}"
        got = outcomes(side, kind, name, number)
        compared += len(got)
        wrong += [f"{place}: {line}" for line in differences(got, single, double)]
    record_property("keras cases", count)
    record_property("keras numbers", compared)
    assert not wrong, "\n".join(wrong)


def test_the_list_of_names_is_that_of_keras(keras_cases: list[dict[str, Results]]) -> None:
    """`python -m keras_cases.names` (in tests/, with KERAS_BACKEND=jax) writes it anew."""
    assert keras_names_text() == str(keras_cases[0]["names"]["text"])


@pytest.mark.parametrize("kind", list(TABLES))
def test_every_class_of_keras_has_a_case_or_a_reason(kind: str) -> None:
    """Aliases aside: a name that Keras binds to the same class twice needs one case."""
    module, reasons = find(graphc, kind), WITHOUT_CASE.get(kind, {})
    public = {name for name in keras_names()[f"keras.{kind}"] if name not in ("get", "serialize", "deserialize")}
    wanted = public if kind == "activations" else {name for name in public if name[0].isupper()}
    known = set(TABLES[kind]) | set(reasons)
    objects = {id(getattr(module, name)) for name in known if hasattr(module, name)}
    open_names = {name for name in wanted - known if id(getattr(module, name, None)) not in objects}
    assert not open_names, "these have neither a case nor a reason"
    assert not set(reasons) & set(TABLES[kind]), "these have both a case and a reason"
    assert not [name for name, why in reasons.items() if why == MISSING and hasattr(module, name)], (
        "they need a case now"
    )
    assert not set(reasons) - wanted, "these reasons are for nothing that Keras has"


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


@pytest.mark.long
@pytest.mark.parametrize("name", list(keras_curves.MODELS))
def test_learning_curves_of_50_epochs_overlap(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rounding differs and grows, so single epochs may part; the curves, smoothed over five epochs, may not."""
    known = from_keras(tmp_path_factory, "curves", [keras_curves.__file__, "50"])[0]
    found = keras_curves.curves(graphc, name, 50)
    for key, got in found.items():
        wanted = known[f"{name}/{key}"]
        np.testing.assert_allclose(got[:3], wanted[:3], rtol=5e-3, err_msg=key)
        # an accuracy moves in steps of one row of the 360
        rtol, atol = (0.1, 2e-3) if "accuracy" not in key else (0.01, 3 / 360)
        np.testing.assert_allclose(_smoothed(got), _smoothed(wanted), rtol=rtol, atol=atol, err_msg=key)


def _smoothed(values: NDArray[Any]) -> NDArray[Any]:
    return np.convolve(values, np.ones(5) / 5, "valid")
