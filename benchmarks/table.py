"""The measurements of a workload as a table for the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from benchmarks.systems import OURS, UNLOCKED
from benchmarks.workloads import WORKLOADS

_TIMES, _STARTS = ("system", "median ms", "min ms", "spread"), ("first s", "peak MB", "/ graphc")


def table(entry: dict[str, Any]) -> Table:
    """One row per system, the fastest first. `/ graphc` is the system's median divided by graphc's.

    Of a workload in tokens no arithmetic is shown: one row by a kernel is bound by memory.
    """
    made = Table(title=_title(entry), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_caption(entry))
    rates = (rate_unit(entry),) if _generates(entry) else (rate_unit(entry), "% roof")
    for column in (*_TIMES, *rates, *_STARTS):
        made.add_column(column, justify="left" if column == "system" else "right")
    results = entry["results"]
    ours = results.get(OURS, {}).get("median_ms")
    for name in sorted(results, key=lambda name: float(results[name]["median_ms"])):
        made.add_row(*_cells(entry, name, ours), style="bold" if name == OURS else None)
    return made


def rate_unit(entry: dict[str, Any]) -> str:
    """Of `rate_of`."""
    return "tokens/s" if _generates(entry) else "GFLOP/s"


def rate_of(entry: dict[str, Any], system: str) -> float | None:
    """Tokens a second, or useful GFLOP/s of the contractions; None for an epoch, which does more than them."""
    result = entry["results"][system]
    match WORKLOADS[entry["workload"]].kind:
        case "fit":
            return None
        case "generate":
            return float(result["tokens_per_s"])
        case _:
            return float(entry["context"]["mflop"]) / float(result["median_ms"])


def _generates(entry: dict[str, Any]) -> bool:
    return WORKLOADS[entry["workload"]].kind == "generate"


def _title(entry: dict[str, Any]) -> str:
    text = f"{entry['workload']}, {entry['threads']} threads"
    if entry["ratio"] is None:
        return text
    return f"{text}: {entry['ratio']:.2f} x the best peer ({entry['best_peer']})"


def _caption(entry: dict[str, Any]) -> str:
    text = f"roof: {entry['context']['roof']}, {entry['context']['roof_gflops']:.0f} GFLOP/s in this run"
    return f"{text}; * not a stock configuration" if UNLOCKED in entry["results"] else text


def _cells(entry: dict[str, Any], name: str, ours: float | None) -> list[str]:
    result = entry["results"][name]
    return [
        f"{name} *" if name == UNLOCKED else name,
        f"{result['median_ms']:.4g}",
        f"{result['min_ms']:.4g}",
        f"{result['spread']:.1%}",
        *_rates(entry, name),
        f"{result['first_step_s']:.3f}",
        f"{result['rss_mb']:.0f}",
        "" if ours is None else f"{result['median_ms'] / ours:.2f}",
    ]


def _rates(entry: dict[str, Any], name: str) -> list[str]:
    rate = rate_of(entry, name)
    if _generates(entry):
        return [f"{rate:.0f}"]
    return ["", ""] if rate is None else [f"{rate:.1f}", f"{rate / entry['context']['roof_gflops']:.0%}"]
