"""The measurements of single kernels as a table: for the terminal, and for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.systems import KERNEL_RUNNERS, OURS, UNLOCKED

Entry = Mapping[str, Any]
_PEERS = [name for name in KERNEL_RUNNERS if name != OURS]
_BEST = "best peer"
HEADER = ("kernel", "graphc µs", "±", "rate", "of roof", *(f"{name} /" for name in _PEERS), f"{_BEST} /")


def geometric_means(entries: Sequence[Entry]) -> dict[str, dict[str, float]]:
    """By group, and for `all`: the geometric mean of each peer's median over graphc's, and of the best stock peer's."""
    groups = dict.fromkeys(group for entry in entries for group in entry["groups"])
    chosen = {group: [entry for entry in entries if group in entry["groups"]] for group in groups}
    return {group: _means(members) for group, members in [*chosen.items(), ("all", entries)]}


def _means(entries: Sequence[Entry]) -> dict[str, float]:
    ratios = [_ratios(entry) for entry in entries]
    found = {name: [r[name] for r in ratios if name in r] for name in (*_PEERS, _BEST)}
    return {name: float(np.exp(np.mean(np.log(values)))) for name, values in found.items() if values}


def _ratios(entry: Entry) -> dict[str, float]:
    """Each peer's median over graphc's; nothing if graphc did not take part."""
    results = entry["results"]
    if OURS not in results:
        return {}
    ratios = {name: results[name]["median_ms"] / results[OURS]["median_ms"] for name in _PEERS if name in results}
    return ratios if entry["ratio"] is None else {**ratios, _BEST: entry["ratio"]}


def table(record: Mapping[str, Any]) -> Table:
    """One row per kernel and one per group; `torch /` is PyTorch's median divided by graphc's."""
    made = Table(title=f"kernels, threads: {record['threads']}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in HEADER:
        made.add_column(column, justify="left" if column == "kernel" else "right", no_wrap=True)
    for row in rows(record):
        made.add_row(*row, style="bold" if row[1] == "" else None)
    return made


def rows(record: Mapping[str, Any]) -> list[list[str]]:
    """The cells under HEADER: each kernel, then the geometric means of the groups."""
    kernels = [_kernel_cells(entry) for entry in record["kernels"]]
    means = record["geometric_means"].items()
    return [*kernels, *([f"geometric mean, {group}", *[""] * 4, *_ratio_cells(values)] for group, values in means)]


def _kernel_cells(entry: Entry) -> list[str]:
    ours = entry["results"].get(OURS)
    if ours is None:
        return [entry["kernel"], "missing", *[""] * (len(HEADER) - 2)]
    rate = entry["work"] / (ours["median_ms"] / 1e3)
    numbers = [f"{ours['median_ms'] * 1e3:.4g}", f"{ours['spread']:.0%}", f"{rate:.4g} {entry['unit']}"]
    return [entry["kernel"], *numbers, f"{rate / entry['roof']:.0%}", *_ratio_cells(_ratios(entry))]


def _ratio_cells(ratios: Mapping[str, float]) -> list[str]:
    return [f"{ratios[name]:.2f}" if name in ratios else "" for name in (*_PEERS, _BEST)]


def markdown(record: Mapping[str, Any]) -> str:
    """The text between the page's markers."""
    roofs = {entry["roof_is"]: entry["unit"] for entry in record["kernels"]}
    parts = [
        f"Measured {record['context']['date']} on {record['context']['machine']}, threads: {record['threads']}.",
        f"Versions: {', '.join(sorted(set(record['context']['versions'].values())))}.",
        f"Roofs, measured before every kernel: {'; '.join(f'{_range(record, name)} ({name})' for name in roofs)}.",
        "Times are medians in microseconds. A column such as `torch /` is that system's median divided by graphc's;",
        f"{UNLOCKED} is not a stock configuration and never the best peer. PyTorch's forward convolutions have",
        "their weights in oneDNN's order beforehand, and bias and relu within. GB/s count what must be moved.",
    ]
    lines = [list(HEADER), ["---"] * len(HEADER), *rows(record)]
    return "\n".join(parts) + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _range(record: Mapping[str, Any], roof: str) -> str:
    entries = [entry for entry in record["kernels"] if entry["roof_is"] == roof]
    values = [entry["roof"] for entry in entries]
    return f"{min(values):.0f} to {max(values):.0f} {entries[0]['unit']}"
