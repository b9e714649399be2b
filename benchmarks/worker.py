"""A worker process: it runs one system on one workload, does what the parent asks, and sleeps in between.

Started as `python -m benchmarks.worker SYSTEM THREADS WORKLOAD MATERIALS`. Requests are JSON, one a line on stdin, such
as `{"do": "time", "samples": 20, "warm": 2, "seconds": 1}`; answers, one a line on stdout, are `{"ok": ...}` or
`{"error": text}`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.architecture import without_dropout
from benchmarks.job import Job, Runner
from benchmarks.materials import Materials, load
from benchmarks.systems import SYSTEMS
from benchmarks.workloads import WORKLOADS

WARM_STEPS = 3
WARM_SECONDS = 2.0
CHECK_STEPS = 3
_ERROR_LENGTH = 300  # some systems list all they know; the log has it


class Worker:
    """One system at one workload. `start` comes first; then `check` and `time` in any order."""

    def __init__(self, system: str, threads: int, workload: str, path: str) -> None:
        self._system = SYSTEMS[system]
        self._threads = threads
        self._workload = WORKLOADS[workload]
        self._path = Path(path)
        self._runner: Runner
        self._job: Job

    def start(self) -> dict[str, Any]:
        """Import the system, build the job and take the first steps (of a fit: the first epoch).

        first_step_s: seconds from the end of the imports to the end of the first step; sample_s: seconds of one timed
        sample; loss: of the first step or epoch; rss_mb: the peak so far.
        """
        module = importlib.import_module(f"benchmarks.runners.{self._system.runner}")
        self._runner = module.Runner(self._system.mode, self._threads)
        materials = load(self._path)
        begin = time.perf_counter()
        self._job = self._runner.build(self._workload, materials)
        result = np.asarray(self._job.step())
        first_step = time.perf_counter() - begin
        # A second epoch only to warm up would double the time of the run.
        times = [first_step * 1e3] if self._workload.kind == "fit" else self.time(WARM_STEPS, 0, WARM_SECONDS)
        return {
            "first_step_s": first_step,
            "sample_s": min(times) / 1e3 * self._job.timed_steps,
            "loss": float(result) if self._workload.trains else None,
            "rss_mb": _peak_rss_mb(),
            "version": self._runner.version,
        }

    def check(self) -> list[float]:
        """The outputs of inference or logits of a text, or the losses of a few training steps of a fresh model without
        dropout.
        """
        network = replace(self._workload.network, layers=without_dropout(self._workload.network.layers))
        if not self._workload.trains:
            job = self._runner.build(replace(self._workload, network=network), load(self._path))
            return [float(value) for value in np.asarray(job.step()).ravel()]
        workload = replace(self._workload, network=network, kind="train")
        job = self._runner.build(workload, _first_rows(load(self._path), workload.batch))
        return [float(np.asarray(job.step())) for _ in range(CHECK_STEPS)]

    def time(self, samples: int, warm: int, seconds: float) -> list[float]:
        """Milliseconds a step, one number for each of `samples` runs after `warm` untimed ones.

        seconds: an early end, for when the system is much slower than it was when `samples` was chosen.
        """
        taken = timed(self._job.timed or self._job.step, samples, warm, seconds)
        return [milliseconds / self._job.timed_steps for milliseconds in taken]


def timed(run: Callable[[], Any], samples: int, warm: int, seconds: float) -> list[float]:
    """Milliseconds of each of `samples` calls after `warm` untimed ones, or of the calls of the first `seconds`."""
    for _ in range(warm):
        run()
    gc.collect()
    gc.disable()
    try:
        return [taken * 1e3 for taken in _seconds_each(run, samples, seconds)]
    finally:
        gc.enable()


def _seconds_each(run: Callable[[], Any], samples: int, limit: float) -> Iterator[float]:
    start = time.perf_counter()
    for _ in range(samples):
        begin = time.perf_counter()
        run()
        end = time.perf_counter()
        yield end - begin
        if end - start > limit:
            return


def _first_rows(materials: Materials, rows: int) -> Materials:
    return replace(materials, x=materials.x[:rows].copy(), y=materials.y[:rows].copy())


def _peak_rss_mb() -> float:
    """Peak resident memory of this process; VmHWM where there is one, because ru_maxrss also counts the parent's."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _use_cores(threads: int) -> None:
    """Keep the whole process on `threads` cores, whatever its libraries think of their thread counts."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _private_stdout() -> TextIO:
    """The pipe to the parent; what libraries print from now on goes to stderr."""
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return private


def _answer(worker: object, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"ok": getattr(worker, request.pop("do"))(**request)}
    except Exception as error:
        traceback.print_exc()
        lines = str(error).splitlines() or [""]
        return {"error": f"{type(error).__name__}: {lines[0][:_ERROR_LENGTH]}"}


def serve(make: Callable[..., object]) -> None:
    """Have a worker, made of system, threads and the other arguments, answer requests until stdin closes."""
    answers = _private_stdout()
    system, threads, *others = sys.argv[1:]
    _use_cores(int(threads))
    worker = make(system, int(threads), *others)
    for line in sys.stdin:
        print(json.dumps(_answer(worker, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    serve(Worker)
