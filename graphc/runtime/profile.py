"""Profiles: what every kernel of an executable took in measured runs, beside the work it had to do.

The counters are native: one reading of the processor's clock before and after each kernel, on the calling thread, which
waits until the kernel is done on all threads. So the time of a kernel is the time the run waited for it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from graphc.ir.columns import aligned_lines
from graphc.ir.cost import Roof, Work, node_work, total
from graphc.ir.graph import Graph
from graphc.ir.op import Array
from graphc.ir.program import Phase, Program

DIRECTIONS = ("forward", "backward", "update")
_COPY = "copy"  # the phase that moves a next state into its place


@dataclass(frozen=True, slots=True)
class Runs:
    """Counters of measured runs: when each began and ended (seconds of one clock), and the ticks of every phase in it.

    `ticks` has a row per run and a column per phase of the program.
    """

    began: Array
    ended: Array
    ticks: Array


class Recorder:
    """Collects runs while they are made."""

    def __init__(self, phases: int) -> None:
        self._phases = phases
        self._spans: list[tuple[float, float]] = []
        self._ticks: list[Array] = []

    def add(self, began: float, ended: float, ticks: Array) -> None:
        self._spans.append((began, ended))
        self._ticks.append(ticks)

    def __len__(self) -> int:
        return len(self._spans)

    def runs(self) -> Runs:
        spans = np.array(self._spans, np.float64).reshape(-1, 2)
        ticks = np.array(self._ticks, np.float64).reshape(len(self), -1)[:, : self._phases]
        return Runs(spans[:, 0], spans[:, 1], ticks)


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One computation of a step, by the node it computes: the kernels it took, where it is from, what it does.

    `seconds` is the median over the runs, `phases` are positions in the program.
    """

    node: str
    kernels: tuple[str, ...]
    layer: str
    direction: str
    seconds: float
    work: Work
    phases: tuple[int, ...]

    @property
    def gflops(self) -> float:
        """10^9 floating-point operations a second."""
        return self.work.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gb_s(self) -> float:
        """10^9 bytes of operands and results a second."""
        return self.work.nbytes / self.seconds / 1e9 if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class LayerTime:
    """All computations of one layer: seconds by direction, and their work. Layers fused into one kernel count for the
    layer its main computation is from."""

    layer: str
    seconds: dict[str, float]
    work: Work

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Profile:
    """Measured runs of an executable. `str` is a table of its kernels, `layers` groups them, `trace` writes a timeline.

    Numbers are medians over the runs. `roof` bounds them, if it is known: see `against`.
    """

    program: Program
    graph: Graph
    runs: Runs
    ticks_per_second: float
    roof: Roof | None = None

    def __len__(self) -> int:
        """The number of runs."""
        return len(self.runs.began)

    def against(self, roof: Roof) -> Profile:
        """The same profile beside the most the machine can do."""
        return replace(self, roof=roof)

    @property
    def seconds(self) -> float:
        """One whole run, Python's part of the call excluded."""
        return float(np.median(self.runs.ended - self.runs.began)) if len(self) else 0.0

    @cached_property
    def kernels(self) -> list[KernelTime]:
        """What was computed, in order."""
        work = {name: node_work(node) for node in self.graph.nodes for name in node.names}
        return [self._kernel(phases, work) for phases in _by_node(self.program.phases)]

    def _kernel(self, numbers: Sequence[int], work: dict[str, Work]) -> KernelTime:
        first = self.program.phases[numbers[0]]
        each = self.runs.ticks[:, numbers].sum(axis=1)
        return KernelTime(
            first.node,
            tuple(dict.fromkeys(self.program.phases[number].symbol for number in numbers)),
            first.layer,
            first.direction,
            float(np.median(each)) / self.ticks_per_second if len(self) else 0.0,
            _copied(self.graph, first.node) if _is_copy(first) else work.get(first.node, Work()),
            tuple(numbers),
        )

    def parts(self, kernel: KernelTime) -> dict[str, float]:
        """Seconds of each kernel that a computation took, by name."""
        found = dict.fromkeys(kernel.kernels, 0.0)
        for number in kernel.phases if len(self) else ():
            ticks = float(np.median(self.runs.ticks[:, number]))
            found[self.program.phases[number].symbol] += ticks / self.ticks_per_second
        return found

    @property
    def work(self) -> Work:
        """All of one run."""
        return total(kernel.work for kernel in self.kernels)

    @property
    def layers(self) -> list[LayerTime]:
        """The layers in order of their first kernel; "" is what belongs to no layer."""
        found: dict[str, LayerTime] = {}
        for kernel in self.kernels:
            known = found.get(kernel.layer) or LayerTime(kernel.layer, dict.fromkeys(DIRECTIONS, 0.0), Work())
            spent = {**known.seconds, kernel.direction: known.seconds.get(kernel.direction, 0.0) + kernel.seconds}
            found[kernel.layer] = LayerTime(kernel.layer, spent, known.work + kernel.work)
        return list(found.values())

    def share(self, kernel: KernelTime) -> float | None:
        """How much of the roof above it a kernel reached; None if no roof is known."""
        return self.roof.share(kernel.work, kernel.seconds) if self.roof else None

    def trace(self, path: str | Path) -> Path:
        """Writes the runs as a timeline that chrome://tracing and ui.perfetto.dev open; returns the path."""
        path = Path(path)
        path.write_text(json.dumps({"traceEvents": list(self._events()), "displayTimeUnit": "ms"}), encoding="utf-8")
        return path

    def _events(self) -> Iterator[dict[str, Any]]:
        """One row of runs, one of kernels. Kernels follow each other, so a run's begin and their lengths place them."""
        for tid, name in enumerate(("runs", "kernels")):
            yield {"ph": "M", "pid": 0, "tid": tid, "name": "thread_name", "args": {"name": name}}
        start = float(self.runs.began[0]) if len(self) else 0.0
        owner = {number: kernel for kernel in self.kernels for number in kernel.phases}
        for number, (began, ended, ticks) in enumerate(
            zip(self.runs.began, self.runs.ended, self.runs.ticks, strict=True)
        ):
            at = (float(began) - start) * 1e6
            yield _event(0, f"{self.program.name} {number}", "run", at, (float(ended) - float(began)) * 1e6, {})
            for position, phase in enumerate(self.program.phases):
                duration = float(ticks[position]) / self.ticks_per_second * 1e6
                if phase.units:
                    yield _event(1, phase.symbol, phase.direction, at, duration, _arguments(owner[position]))
                at += duration

    def __str__(self) -> str:
        return _text(self)

    def by_layer(self) -> str:
        """A table of the layers."""
        rows = [("layer", *(f"{direction} µs" for direction in DIRECTIONS), "MFLOP", "GFLOP/s", "of all")]
        spent = sum(layer.total for layer in self.layers)
        for layer in self.layers:
            times = [f"{layer.seconds[direction] * 1e6:.1f}" for direction in DIRECTIONS]
            rate = layer.work.flops / layer.total / 1e9 if layer.total else 0.0
            share = f"{layer.total / spent if spent else 0:.1%}"
            rows.append((layer.layer or "-", *times, f"{layer.work.flops / 1e6:.3f}", f"{rate:.1f}", share))
        return "\n".join([*aligned_lines(rows, left=1), _summary(self, spent)])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _event(
    tid: int, name: str, category: str, begin: float, duration: float, arguments: dict[str, Any]
) -> dict[str, Any]:
    """A complete event of the trace format; times in microseconds."""
    times = {"ts": round(begin, 3), "dur": round(duration, 3)}
    return {"ph": "X", "pid": 0, "tid": tid, "name": name, "cat": category, **times, "args": arguments}


def _arguments(kernel: KernelTime) -> dict[str, Any]:
    work = kernel.work
    return {"layer": kernel.layer, "node": f"%{kernel.node}", "flops": work.flops, "bytes": work.nbytes}


def _is_copy(phase: Phase) -> bool:
    return phase.symbol.split(".")[0] == _COPY


def _by_node(phases: Sequence[Phase]) -> list[list[int]]:
    """The positions of the phases that compute one node, in order of the nodes; a state's final copy stands alone."""
    found: dict[tuple[str, bool], list[int]] = {}
    for number, phase in enumerate(phases):
        found.setdefault((phase.node, _is_copy(phase)), []).append(number)
    return list(found.values())


def _copied(graph: Graph, state: str) -> Work:
    """The work of copying a next state into its place."""
    nbytes = next((value.type.nbytes for value in graph.inputs if value.name == state), 0)
    return Work(nbytes=2 * nbytes)


# The table

Column = tuple[str, Callable[[KernelTime], str]]


def _text(profile: Profile) -> str:
    columns = [*_COLUMNS, *([("roof", lambda k: f"{profile.share(k) or 0:.0%}")] if profile.roof else [])]
    slowest = sorted(profile.kernels, key=lambda kernel: -kernel.seconds)
    spent = sum(kernel.seconds for kernel in slowest)
    rows = [(*(title for title, _ in columns), "of all")]
    for kernel in slowest:
        rows.append((*(text(kernel) for _, text in columns), f"{kernel.seconds / spent if spent else 0:.1%}"))
    return "\n".join([*aligned_lines(rows, left=2), _summary(profile, spent)])


def _summary(profile: Profile, spent: float) -> str:
    work = profile.work
    rate = work.flops / profile.seconds / 1e9 if profile.seconds else 0.0
    text = f"{profile.program.name}: {profile.seconds * 1e3:.3f} ms a run (median of {len(profile)}), kernels "
    text += f"{spent * 1e3:.3f} ms; {work.flops / 1e6:.2f} MFLOP, {rate:.1f} GFLOP/s"
    if profile.roof:
        text += f" of {profile.roof.gflops:.0f}; {profile.roof.copy_gb_s:.0f} GB/s at most"
    return text


_COLUMNS: tuple[Column, ...] = (
    ("kernel", lambda k: k.kernels[0] + (f" +{len(k.kernels) - 1}" if len(k.kernels) > 1 else "")),
    ("layer", lambda k: f"{k.layer or f'%{k.node}'} {k.direction}"),
    ("µs", lambda k: f"{k.seconds * 1e6:.1f}"),
    ("MFLOP", lambda k: f"{k.work.flops / 1e6:.3f}"),
    ("KB", lambda k: f"{k.work.nbytes / 1e3:.1f}"),
    ("GFLOP/s", lambda k: f"{k.gflops:.1f}"),
    ("GB/s", lambda k: f"{k.gb_s:.1f}"),
)
