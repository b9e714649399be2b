"""Backups of a training that goes on: weights, optimizer state, random numbers and progress, in one file."""

from __future__ import annotations

import json
import os
import random as python_random
from typing import Any

import numpy as np

from graphc import random
from graphc.saving import hdf5
from graphc.saving.model_files import FilePath, reading, replace_with
from graphc.saving.state import Loading, collect
from graphc.saving.window import whole

_NOTE = "training_metadata"


def save_backup(model: Any, path: FilePath, progress: dict[str, Any]) -> None:
    """Write a `.weights.h5` file that also holds `progress` and the state of all generators of random numbers."""
    note = json.dumps({**progress, "random": random_state()})
    content = hdf5.weights_bytes(collect(model), {_NOTE: note})
    replace_with(path, lambda file: file.write(content))


def load_backup(model: Any, path: FilePath) -> dict[str, Any] | None:
    """Read weights and optimizer state; returns the progress, or None if the file holds none.

    ValueError, before anything is changed, if the file is damaged or another model's.
    """
    with open(path, "rb") as opened, reading(os.fspath(path)), hdf5.Hdf5File(whole(opened), os.fspath(path)) as file:
        Loading(model, hdf5.Hdf5Weights(file)).apply()
        text = file.text(file.root, _NOTE)
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found


def random_state() -> dict[str, Any]:
    """The states of Python's, numpy's and graphc's own process-wide generators, as JSON has them."""
    name, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    own = random.global_state()
    return {
        "python": python_random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), place, has_gauss, gauss],
        "global": None if own is None else own.tolist(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """The inverse of `random_state`."""
    version, keys, gauss = state["python"]
    python_random.setstate((version, tuple(keys), gauss))
    name, numbers, *rest = state["numpy"]
    np.random.set_state((name, np.array(numbers, np.uint32), *rest))
    random.set_global_state(state["global"])
