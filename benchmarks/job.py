"""What a runner hands to its worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.materials import Materials
from benchmarks.workloads import Workload


@dataclass(frozen=True, slots=True)
class Job:
    """step: one training step, forward pass or epoch; it returns when its result and the new parameters are real, and
    gives the loss (the mean one of an epoch), the outputs, or the last logits of a text, as anything `numpy.asarray`
    takes.

    timed: what is timed instead, where a system is at its best doing `timed_steps` steps in one call.
    """

    step: Callable[[], Any]
    timed: Callable[[], Any] | None = None
    timed_steps: int = 1


class Runner(Protocol):
    """One system. Its module has a class of this name; constructing it does all importing."""

    version: str

    def __init__(self, mode: str, threads: int) -> None: ...

    def build(self, workload: Workload, materials: Materials) -> Job:
        """A job from the materials' initial weights. What it compiles is compiled in the first step at the latest."""
