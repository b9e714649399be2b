"""`python -m benchmarks W2-train W4-infer-1 --peers torch,jax --threads 2 --json FILE`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.agreement import Disagreement
from benchmarks.child import WorkerFailed
from benchmarks.race import ROUNDS, TURN_SECONDS, Plan, race
from benchmarks.systems import OURS, SYSTEMS, System
from benchmarks.table import table
from benchmarks.workloads import WORKLOADS, Workload

MIN_WIDTH = 100  # the tables need it; where the output is no terminal, rich would take 80

_log = logging.getLogger("benchmarks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table per workload, write the JSON file.

    The status is 0 if graphc took part in every workload; one whose data is not on this machine does not count, unless
    it was asked for by name.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    console = Console()
    if console.width < MIN_WIDTH:
        console = Console(width=MIN_WIDTH)
    if options.list:
        _list(console)
        return 0
    entries: list[dict[str, Any]] = []
    complete = True
    for name in options.workloads or WORKLOADS:
        complete &= _measure(WORKLOADS[name], options, entries, console)
        if options.json is not None:
            # After each workload, so that an interrupted run keeps what it has.
            options.json.write_text(json.dumps(entries, indent=1) + "\n")
    return 0 if complete else 1


def _measure(workload: Workload, options: argparse.Namespace, entries: list[dict[str, Any]], console: Console) -> bool:
    """Append the workload's entry and show it; False if graphc has no part in it, see `main`."""
    _log.info("%s: %s, batch %d", workload.name, workload.network.title, workload.batch)
    plan = Plan(options.threads, options.rounds, options.seconds, options.caches)
    systems = [system for system in _chosen(options.peers) if system.knows(workload)]
    try:
        entry = race(workload, systems, plan)
    except FileNotFoundError as error:
        _log.warning("%s is left out: %s", workload.name, error)
        return not options.workloads
    except (Disagreement, WorkerFailed) as error:
        _log.error("%s is not measured: %s", workload.name, error)
        return False
    console.print(table(entry))
    entries.append(entry)
    return OURS in entry["results"]


def _chosen(peers: list[str]) -> list[System]:
    return [system for name, system in SYSTEMS.items() if name == OURS or name in peers]


def _list(console: Console) -> None:
    for workload in WORKLOADS.values():
        text = f"{workload.name:18} {workload.kind:8} batch {workload.batch:<5} {workload.mflop:10.3f} MFLOP  "
        console.print(text + workload.network.title, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("workloads", nargs="*", type=_workload, metavar="WORKLOAD", help="all of them if none is named")
    parser.add_argument("--list", action="store_true", help="print the workloads and end")
    parser.add_argument("--peers", type=peers_among(SYSTEMS), default="all", help="comma-separated, or all, or none")
    parser.add_argument("--threads", type=positive(int), default=cores, help="of every system (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there")
    parser.add_argument("--rounds", type=positive(int), default=ROUNDS, help="turns each (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=positive(float), default=TURN_SECONDS, help="of a turn (default: %(default)s)"
    )
    parser.add_argument("--caches", type=Path, help="keep compiled code there between runs: the first step is warm")
    return parser


def _workload(name: str) -> str:
    if name in WORKLOADS:
        return name
    raise argparse.ArgumentTypeError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")


def peers_among(systems: Iterable[str]) -> Callable[[str], list[str]]:
    """An argument type: comma-separated names of these systems without graphc, or all, or none."""
    peers = [name for name in systems if name != OURS]

    def parse(text: str) -> list[str]:
        if text in ("all", "none"):
            return peers if text == "all" else []
        chosen = text.split(",")
        for name in chosen:
            if name not in peers:
                raise argparse.ArgumentTypeError(f"no peer {name!r}; there are {', '.join(peers)}")
        return chosen

    return parse


def positive(kind: type[int] | type[float]) -> Any:
    """An argument type: a number above zero."""

    def parse(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"wanted a positive number, got {text}")
        return value

    parse.__name__ = kind.__name__
    return parse


if __name__ == "__main__":
    sys.exit(main())
