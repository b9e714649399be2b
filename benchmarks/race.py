"""One workload on several systems, timed in turns: A B A B ..., one process computing at any time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import materials
from benchmarks.agreement import require_agreement, require_epoch_agreement
from benchmarks.child import Child, Place, WorkerFailed
from benchmarks.machine import machine
from benchmarks.mkl import Unavailable
from benchmarks.systems import OURS, UNLOCKED, System
from benchmarks.workloads import Workload
from graphc.insight.roof import measure_roof
from graphc.ir.cost import Roof

# Thread pools spin for a while after their work; the next system waits until they sleep.
SETTLE_SECONDS = 0.05
ROUNDS, TURN_SECONDS = 5, 0.5
MIN_SAMPLES, MAX_SAMPLES = 3, 2000
MAX_FIT_ROUNDS = 3
PATIENCE = 3  # how many times its planned length a turn may last, when the machine is disturbed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """rounds: turns of each system; seconds: length of a turn, roughly; caches: where compiled code is kept between
    runs, so that the first steps are warm ones, or None for an empty folder each time.
    """

    threads: int
    rounds: int = ROUNDS
    seconds: float = TURN_SECONDS
    caches: Path | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn is: `warm` untimed steps and `samples` timed ones; and how many rounds there are."""

    samples: int
    warm: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Row:
    """One system's start and its samples, milliseconds a step."""

    first_step_s: float
    rss_mb: float
    version: str
    samples: Sequence[float]

    def result(self, workload: Workload) -> dict[str, float]:
        """The row as it stands in the JSON file."""
        times = statistics(self.samples)
        tokens = {"tokens_per_s": workload.batch * 1e3 / times["median_ms"]} if workload.kind == "generate" else {}
        return {**times, **tokens, "first_step_s": self.first_step_s, "rss_mb": self.rss_mb}


def statistics(samples: Sequence[float]) -> dict[str, float]:
    """Median, minimum and spread (the interquartile range over the median) of samples in milliseconds."""
    low, median, high = np.percentile(samples, [25, 50, 75])
    return {"median_ms": float(median), "min_ms": float(min(samples)), "spread": float((high - low) / median)}


def comparison(results: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The best stock peer and the ratio of its median to ours; None for what is missing."""
    peers = {name: result["median_ms"] for name, result in results.items() if name not in (OURS, UNLOCKED)}
    best = min(peers, key=peers.__getitem__, default=None)
    ours = results.get(OURS, {}).get("median_ms")
    return {"best_peer": best, "ratio": None if best is None or ours is None else peers[best] / ours}


def race(workload: Workload, systems: Sequence[System], plan: Plan) -> dict[str, Any]:
    """Measure `workload`; the entry of the JSON file.

    A system that cannot take part is left out with a warning. Raises Disagreement if the systems compute different
    things, FileNotFoundError if the workload's data is missing, WorkerFailed if no system is left or one breaks later.
    """
    with TemporaryDirectory(prefix="benchmarks-") as name, ExitStack() as stack:
        folder = Path(name)
        path = folder / "materials.npz"
        materials.save(path, materials.make(workload))
        place = Place(plan.threads, plan.caches or folder / "caches", folder)
        roof = measure_roof(plan.threads)

        def enter(system: System) -> Child:
            return stack.enter_context(Child(system, place, "benchmarks.worker", workload.name, str(path)))

        children, starts, checked = _started(enter, systems)
        if not children:
            raise WorkerFailed("no system takes part")
        require_agreement(workload.kind, checked)
        if workload.kind == "fit":
            require_epoch_agreement({name: start["loss"] for name, start in starts.items()})
        samples = take_turns(children, {name: _turn(workload, s["sample_s"], plan) for name, s in starts.items()}, plan)
    rows = {
        name: Row(start["first_step_s"], start["rss_mb"], start["version"], samples[name])
        for name, start in starts.items()
    }
    return entry(workload, plan.threads, rows, roof)


def entry(workload: Workload, threads: int, rows: Mapping[str, Row], roof: Roof) -> dict[str, Any]:
    """The measurement of one workload as it stands in the JSON file.

    ratio: the best peer's median divided by ours, None if either is missing. context: what a report needs beside.
    """
    results = {name: row.result(workload) for name, row in rows.items()}
    return {
        "workload": workload.name,
        "threads": threads,
        "results": results,
        **comparison(results),
        "context": {
            **here_and_now(),
            "mflop": workload.mflop,
            "roof": roof.arithmetic,
            "roof_gflops": roof.gflops,
            "versions": {name: row.version for name, row in rows.items()},
        },
    }


def here_and_now() -> dict[str, str]:
    """The part of a context that does not depend on what is measured."""
    return {"date": time.strftime("%Y-%m-%d"), "machine": machine()}


def _started(
    enter: Callable[[System], Child], systems: Sequence[System]
) -> tuple[list[Child], dict[str, dict[str, Any]], dict[str, list[float]]]:
    """The children that came up, what each told about its first step, and the numbers each computed to be compared."""
    children: list[Child] = []
    starts: dict[str, dict[str, Any]] = {}
    checked: dict[str, list[float]] = {}
    for system in systems:
        _log.info("starting %s", system.name)
        try:
            child = enter(system)
            start, values = child.ask("start"), child.ask("check")
        except (Unavailable, WorkerFailed) as error:
            _log.warning("%s does not take part: %s", system.name, error)
            continue
        children.append(child)
        starts[system.name], checked[system.name] = start, values
    return children, starts, checked


def take_turns(children: Sequence[Child], turns: Mapping[str, Turn], plan: Plan) -> dict[str, list[float]]:
    """Milliseconds a step of every system, in all of its turns."""
    samples: dict[str, list[float]] = {child.system.name: [] for child in children}
    for number in range(max(turn.rounds for turn in turns.values())):
        _log.info("round %d", number + 1)
        for child in children:
            turn = turns[child.system.name]
            time.sleep(SETTLE_SECONDS)
            arguments = {"samples": turn.samples, "warm": turn.warm, "seconds": PATIENCE * plan.seconds}
            samples[child.system.name] += child.ask("time", **arguments)
    return samples


def _turn(workload: Workload, sample_s: float, plan: Plan) -> Turn:
    return Turn(1, 0, min(plan.rounds, MAX_FIT_ROUNDS)) if workload.kind == "fit" else turn_of(sample_s, plan)


def turn_of(sample_s: float, plan: Plan) -> Turn:
    """As many samples as the planned length of a turn holds, within bounds."""
    count = int(np.clip(plan.seconds / sample_s, MIN_SAMPLES, MAX_SAMPLES))
    return Turn(count, max(1, count // 10), plan.rounds)
