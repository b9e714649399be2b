"""Keras on the backend that KERAS_BACKEND names, by `train_on_batch`, `fit` and `predict_on_batch`.

A step is timed in the call that is faster on the backend. On JAX that is `fit`, which carries the state from step to
step, where `train_on_batch` copies it in and out of the variables; on TensorFlow and PyTorch it is `train_on_batch`.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import keras
import numpy as np

from benchmarks.job import Job
from benchmarks.materials import Materials
from benchmarks.runners.keras_models import compiled_model
from benchmarks.workloads import Workload

# One timed `fit`: long enough to hide its start, not so long that a turn takes seconds, and little memory for its data.
_FIT_MFLOP = 10_000
_MAX_FIT_STEPS = 256
_MAX_FIT_BYTES = 16 * 2**20
_DISTRIBUTIONS = {"tensorflow": "tensorflow-cpu"}


class Runner:
    """The mode is not used."""

    def __init__(self, mode: str, threads: int) -> None:
        backend = keras.backend.backend()
        if backend == "torch":
            importlib.import_module("torch").set_num_threads(threads)
        distribution = _DISTRIBUTIONS.get(backend, backend)
        self.version = f"keras {keras.__version__} on {distribution} {importlib.metadata.version(distribution)}"
        self._times_fit = backend == "jax"

    def build(self, workload: Workload, materials: Materials) -> Job:
        model = compiled_model(keras, workload.network, materials.weights)
        x, y = materials.x, materials.y
        if workload.kind == "infer":
            return Job(lambda: model.predict_on_batch(x))
        if workload.kind == "fit":
            return Job(lambda: _fit(model, x, y, workload.batch, shuffle=True))
        if self._times_fit:
            return _job_of_fit(model, x, y, _FIT_MFLOP / workload.mflop)
        return Job(lambda: model.train_on_batch(x, y))


def _job_of_fit(model: Any, x: Any, y: Any, wanted_steps: float) -> Job:
    steps = max(1, min(int(wanted_steps), _MAX_FIT_STEPS, _MAX_FIT_BYTES // x.nbytes))
    xs, ys = (np.concatenate([array] * steps) for array in (x, y))
    return Job(
        lambda: model.train_on_batch(x, y),
        timed=lambda: _fit(model, xs, ys, len(x), shuffle=False),
        timed_steps=steps,
    )


def _fit(model: Any, x: Any, y: Any, batch: int, shuffle: bool) -> float:
    history = model.fit(x, y, batch_size=batch, shuffle=shuffle, verbose=0)
    return float(history.history["loss"][0])
