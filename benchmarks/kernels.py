"""`python -m benchmarks.kernels [--threads 1] [--only conv] [--json FILE]`: single kernels, graphc and its peers.

As with whole models there is one process per system, and the systems take turns in one run; all must compute the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.__main__ import peers_among, positive
from benchmarks.agreement import Disagreement, require_same_results
from benchmarks.cases import CASES, Case
from benchmarks.child import Child, Place, WorkerFailed
from benchmarks.kernel_table import geometric_means, table
from benchmarks.mkl import Unavailable
from benchmarks.race import ROUNDS, Plan, comparison, here_and_now, statistics, take_turns, turn_of
from benchmarks.systems import KERNEL_RUNNERS, OURS, SYSTEMS
from graphc.insight.roof import measure_roof
from graphc.ir.cost import Roof

TURN_SECONDS = 0.2
MIN_WIDTH = 160

_log = logging.getLogger("benchmarks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the JSON file. The status is 0 if graphc took part in every kernel."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("benchmarks.race").setLevel(logging.WARNING)  # a line for each round is too many here
    cases = [case for case in CASES.values() if any(text in case.name for text in options.only)]
    if not cases:
        _log.error("no kernel has %s in its name; there are:\n%s", " or ".join(options.only), "\n".join(CASES))
        return 2
    with _team([OURS, *options.peers], options.threads) as team:
        record = _measured(cases, team, Plan(options.threads, options.rounds, options.seconds), options.json)
    console = Console()
    (console if console.width >= MIN_WIDTH else Console(width=MIN_WIDTH)).print(table(record))
    return 0 if sum(OURS in entry["results"] for entry in record["kernels"]) == len(cases) else 1


class Team:
    """The processes of the systems, by name; one that has died is started again when it is next wanted."""

    def __init__(self, names: Sequence[str], place: Place, stack: ExitStack) -> None:
        self.place = place
        self._names = names
        self.versions: dict[str, str] = {}
        self._stack = stack
        self._children: dict[str, Child] = {}
        self._absent: set[str] = set()

    def children(self) -> Iterator[Child]:
        """Everyone who can take part. Who cannot be started is named once."""
        for name in self._names:
            if name in self._absent:
                continue
            if name not in self._children or not self._children[name].is_alive:
                self._start(name)
            if name in self._children:
                yield self._children[name]

    def _start(self, name: str) -> None:
        self._children.pop(name, None)
        try:
            child = self._stack.enter_context(Child(SYSTEMS[name], self.place, "benchmarks.kernel_worker"))
            self.versions[name] = child.ask("start")
        except (Unavailable, WorkerFailed) as error:
            _log.warning("%s does not take part: %s", name, error)
            self._absent.add(name)
        else:
            self._children[name] = child


@contextmanager
def _team(names: Sequence[str], threads: int) -> Iterator[Team]:
    with TemporaryDirectory(prefix="benchmarks-") as folder, ExitStack() as stack:
        yield Team(names, Place(threads, Path(folder) / "caches", Path(folder)), stack)


def _measured(cases: Sequence[Case], team: Team, plan: Plan, file: Path | None) -> dict[str, Any]:
    """The record of all cases; it is written after each of them, so that an interrupted run keeps what it has."""
    entries: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    for case in cases:
        _log.info("%s", case.name)
        try:
            entries.append(race(case, team, plan))
        except (Disagreement, WorkerFailed) as error:
            _log.error("%s is not measured: %s", case.name, error)
        record = {
            "threads": plan.threads,
            "context": {**here_and_now(), "versions": team.versions},
            "geometric_means": geometric_means(entries),
            "kernels": entries,
        }
        if file is not None:
            file.write_text(json.dumps(record, indent=1) + "\n")
    return record


def race(case: Case, team: Team, plan: Plan) -> dict[str, Any]:
    """Measure one kernel; its entry in the JSON file.

    Raises Disagreement if the systems compute different things, WorkerFailed if none takes part or one breaks later.
    """
    roof = measure_roof(plan.threads)
    children: list[Child] = []
    seconds: dict[str, float] = {}
    results: dict[str, list[Any]] = {}
    for child in team.children():
        name, path = child.system.name, team.place.folder / f"{child.system.name}.npz"
        try:
            seconds[name] = child.ask("build", case=case.name, results=str(path))
        except WorkerFailed as error:
            _log.warning("%s does not take part in %s: %s", name, case.name, error)
            continue
        children.append(child)
        with np.load(path, allow_pickle=False) as file:
            results[name] = list(file.values())
        path.unlink()
    if not children:
        raise WorkerFailed("no system takes part")
    require_same_results(results)
    del results
    samples = take_turns(children, {name: turn_of(s, plan) for name, s in seconds.items()}, plan)
    return entry(case, samples, roof)


def entry(case: Case, samples: Mapping[str, Sequence[float]], roof: Roof) -> dict[str, Any]:
    """A kernel as it stands in the JSON file: `work` 10^9 operations or bytes, which a second has `roof` of at most."""
    results = {name: statistics(taken) for name, taken in samples.items()}
    is_arithmetic = case.unit == "GFLOP/s"
    return {
        "kernel": case.name,
        "groups": case.groups,
        "unit": case.unit,
        "work": case.work,
        "roof": roof.gflops if is_arithmetic else roof.copy_gb_s,
        "roof_is": roof.arithmetic if is_arithmetic else roof.copying,
        "results": results,
        **comparison(results),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="kernels with any of these in the name")
    parser.add_argument(
        "--peers", type=peers_among(KERNEL_RUNNERS), default="all", help="comma-separated, or all, or none"
    )
    parser.add_argument("--threads", type=positive(int), default=1, help="of every system (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there")
    parser.add_argument("--rounds", type=positive(int), default=ROUNDS, help="turns each (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=positive(float), default=TURN_SECONDS, help="of a turn (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
