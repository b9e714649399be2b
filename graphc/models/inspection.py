"""Looking into a model's steps: a report, exact memory, a profile, and the step as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.models.arrays import DEFAULT_BATCH, Signature, checked_batch_size
from graphc.options import compile_options


class Inspection:
    """Part of `Model`. `mode` is "train", "evaluate" or "infer"; without one it is "train" for a compiled model."""

    compiled: bool
    _memory_limit: int | None

    def explain(
        self,
        path: str | Path = "report.html",
        mode: str | None = None,
        batch_size: int | None = None,
        *,
        like: Any = None,
        runs: int = 10,
    ) -> Path:
        """Writes everything about a compiled step as one HTML page: graph, passes, kernels, memory and measured times
        beside what this machine can do. Returns the path.

        `runs` runs on random data are measured; weights and states are as before. The other arguments are those of
        `executable`.
        """
        from graphc.insight.explain.report import write_report

        exe = self.executable(mode or self._usual_mode(), batch_size, like=like)  # type: ignore[attr-defined]
        return write_report(path, exe.native, runs=runs)

    def memory_plan(self, mode: str | None = None, batch_size: int | None = None, *, like: Any = None) -> Any:
        """What a step needs of memory, to the byte, as a `graphc.insight.memory.MemoryUse`; nothing of it is taken and
        no native code is made."""
        from graphc.insight.memory import memory_of

        step = self.traced(mode, batch_size, like=like)
        return memory_of(step.graph, compile_options(memory_limit=self._memory_limit))

    def profile(
        self, mode: str | None = None, batch_size: int | None = None, *, like: Any = None, runs: int = 10
    ) -> Any:
        """Measured times of a step by kernel and by layer, beside the roof of this machine: a
        `graphc.runtime.profile.Profile`. The runs are on random data; weights and states are as before."""
        from graphc.insight.roof import known_roof

        exe = self.executable(mode or self._usual_mode(), batch_size, like=like)  # type: ignore[attr-defined]
        return exe.profile(runs).against(known_roof(exe.threads))

    def traced(self, mode: str | None = None, batch_size: int | None = None, *, like: Any = None) -> Any:
        """A step as a graph with the arrays of its weights and states, not compiled; arguments as for `executable`."""
        from graphc.models import trace

        mode = mode or self._usual_mode()
        batch = checked_batch_size(batch_size) or DEFAULT_BATCH
        return trace.TRACERS[mode](self, Signature.of(*self._example(mode, like)), batch)  # type: ignore[attr-defined]

    def _usual_mode(self) -> str:
        return "train" if self.compiled else "infer"
