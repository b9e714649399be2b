"""A worker process that runs one system on one kernel after another; see `benchmarks.worker` for how it is asked.

Started as `python -m benchmarks.kernel_worker SYSTEM THREADS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from benchmarks.cases import CASES, Arrays, Kernel
from benchmarks.materials import Array
from benchmarks.systems import KERNEL_RUNNERS
from benchmarks.worker import WARM_SECONDS, WARM_STEPS, serve, timed


@dataclass(frozen=True, slots=True)
class KernelJob:
    """run: computes the kernel once and returns when its results are real. arrays: what a run returned, as arrays in
    graphc's layouts; for an update in place, the new values.
    """

    run: Callable[[], Any]
    arrays: Callable[[Any], Sequence[Any]]


class KernelRunner(Protocol):
    """One system. Its module has a class of this name; constructing it does all importing."""

    version: str

    def __init__(self, threads: int) -> None: ...

    def build(self, kernel: Kernel, arrays: Arrays) -> KernelJob:
        """Weights may be put into the system's own order here; nothing else is computed ahead."""


class KernelWorker:
    """`start` comes first; then `build` for each kernel, and `time` for the one built last."""

    def __init__(self, system: str, threads: int) -> None:
        self._system = system
        self._threads = threads
        self._runner: KernelRunner
        self._job: KernelJob | None = None

    def start(self) -> str:
        """Import the system; its name and version."""
        module = importlib.import_module(f"benchmarks.runners.{KERNEL_RUNNERS[self._system]}")
        self._runner = module.Runner(self._threads)
        return self._runner.version

    def build(self, case: str, results: str) -> float:
        """Build a kernel and run it for the first time; its results go into an npz file, to be compared.

        Returns how many seconds a run takes when warm.
        """
        self._job = None  # give the memory of the one before back
        job = self._job = self._runner.build(CASES[case].kernel, CASES[case].arrays())
        np.savez(results, *map(_as_array, job.arrays(job.run())))
        return min(timed(job.run, WARM_STEPS, 0, WARM_SECONDS)) / 1e3

    def time(self, samples: int, warm: int, seconds: float) -> list[float]:
        """Milliseconds of each of `samples` runs after `warm` untimed ones; an early end after `seconds`."""
        assert self._job is not None
        return timed(self._job.run, samples, warm, seconds)


def _as_array(result: Any) -> Array:
    return np.ascontiguousarray(result)


if __name__ == "__main__":
    serve(KernelWorker)
