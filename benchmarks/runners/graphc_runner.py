"""graphc, through its public names; a step is one call of the model's executable."""

from __future__ import annotations

from collections.abc import Callable

import llvmlite.binding  # noqa: F401  graphc loads it when it first compiles; here it counts as an import
import numpy as np

import graphc as keras
from benchmarks.job import Job
from benchmarks.materials import Array, Materials
from benchmarks.runners.keras_models import compiled_model
from benchmarks.workloads import PROMPT, WRITTEN, Workload
from graphc.generation import Decoder


class Runner:
    """The mode is not used; the thread count comes from GRAPHC_THREADS."""

    def __init__(self, mode: str, threads: int) -> None:
        self.version = f"graphc {keras.__version__}"

    def build(self, workload: Workload, materials: Materials) -> Job:
        model = compiled_model(keras, workload.network, materials.weights)
        x, y = materials.x, materials.y
        if workload.kind == "generate":
            write = _writing(model, x)
            return Job(write, timed=write, timed_steps=WRITTEN)
        if workload.kind == "fit":
            fit = {"batch_size": workload.batch, "verbose": 0}
            return Job(lambda: model.fit(x, y, **fit).history["loss"][0])
        if workload.kind == "infer":
            infer = model.executable("infer", batch_size=workload.batch)
            return Job(lambda: infer(x))
        train = model.executable("train", batch_size=workload.batch)

        def step() -> np.float32:
            model.reset_metrics()  # the logs are means since then
            return np.float32(train(x, y)["loss"])

        return Job(step, timed=lambda: train(x, y)["loss"])


def _writing(model: keras.Model, x: Array) -> Callable[[], Array]:
    """What writes the text once and returns the last logits; the prompt but its last token is read here."""
    decoder = Decoder(model, batch_size=len(x))
    decoder.read(x[:, : PROMPT - 1])

    def write() -> Array:
        decoder.position = PROMPT - 1
        words = x[:, decoder.position]
        for _ in range(WRITTEN):
            logits, words = decoder.step(words)
        return logits

    return write
