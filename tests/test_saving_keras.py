"""Files between graphc and Keras 3.15 on JAX: each loads what the other saved, weights, optimizer state and all.

Keras runs once, in a process of its own, on those models of `saving_models.py` that are asked for: a few of them
unless long tests are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saving_models
from saving_models import MODELS, NOT_IN_H5, TOLERANCES, findings, predictions, trained

import graphc

SECONDS = 600.0  # Keras needs about 40 for all on a machine of its own
QUICK = {"dense", "normalizations", "several_ends", "nested", "ops", "masked", "custom", "subclassed"}
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in MODELS]
Results = dict[str, Any]


@pytest.fixture(scope="module")
def exchange(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, Results]:
    """The folder of all files, what Keras's side found, and what graphc's models gave after they were saved."""
    folder = tmp_path_factory.mktemp("exchange")
    (folder / "ours").mkdir()
    ours: Results = {}
    chosen = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    names = list(dict.fromkeys(spec.params["name"] for spec in chosen if spec is not None))
    for name in names:
        made, x, y = trained(graphc, name)
        made.save(folder / f"ours/{name}.keras")
        if name not in NOT_IN_H5:
            made.save(folder / f"ours/{name}.h5")
        ours[name] = findings(graphc, made, x, y)
    done = subprocess.run(
        [sys.executable, saving_models.__file__, str(folder), *names],
        env={
            **os.environ,
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "KERAS_HOME": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"Keras on JAX could not load or save\n{done.stderr}"
    with np.load(folder / "keras.npz") as archive:
        return folder, dict(archive), ours


def assert_same(name: str, got: Results, wanted: Results) -> None:
    """Outputs to 1e-6, optimizer slots bit by bit, weights after further training to rounding."""
    assert list(got) == list(wanted)
    for key, value in got.items():
        if key.startswith("slot"):
            np.testing.assert_array_equal(value, wanted[key], err_msg=key)
        else:
            tolerance = TOLERANCES.get(name, 1e-6 if key.startswith("output") else 2e-5)
            np.testing.assert_allclose(value, wanted[key], rtol=tolerance, atol=tolerance, err_msg=key)


def of(results: Results, start: str) -> Results:
    return {key.removeprefix(start): value for key, value in results.items() if key.startswith(start)}


@pytest.mark.parametrize("name", NAMES)
def test_keras_goes_on_with_a_model_of_graphc(name: str, exchange: tuple[Path, Results, Results]) -> None:
    _, keras_results, ours = exchange
    assert_same(name, of(keras_results, f"ours/{name}/"), ours[name])
    if name not in NOT_IN_H5:
        assert_same(name, {"output": keras_results[f"h5/{name}"]}, {"output": ours[name]["output0"]})


@pytest.mark.parametrize("name", NAMES)
def test_graphc_goes_on_with_a_model_of_keras(name: str, exchange: tuple[Path, Results, Results]) -> None:
    folder, keras_results, _ = exchange
    made, x, y = trained(graphc, name)
    wanted = of(keras_results, f"theirs/{name}/")
    loaded = graphc.models.load_model(folder / f"theirs/{name}.keras")
    assert_same(name, findings(graphc, loaded, x, y), wanted)
    made.load_weights(folder / f"theirs/{name}.weights.h5")
    assert_same(name, {"output": predictions(graphc, made, x)[0]}, {"output": wanted["output0"]})
    if name not in NOT_IN_H5:
        old = graphc.models.load_model(folder / f"theirs/{name}.h5")
        assert_same(name, {"output": predictions(graphc, old, x)[0]}, {"output": wanted["output0"]})
        for index, variable in enumerate(old.optimizer.variables):
            np.testing.assert_array_equal(variable, wanted[f"slot{index}"])
