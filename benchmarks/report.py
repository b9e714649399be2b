"""`python -m benchmarks.report FILE... [--kernels FILE] [--page docs/performance.md]`: measurements into the page.

Writes the tables between the page's markers and a plot beside the page. Of several measurements of a workload with the
same number of threads the last one counts, so that files of later runs replace single workloads. Single kernels have a
section, a file and markers of their own; what is not given stays on the page as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import kernel_table
from benchmarks.plot import svg
from benchmarks.systems import OURS, SYSTEMS, UNLOCKED
from benchmarks.table import rate_of, rate_unit
from benchmarks.workloads import WORKLOADS

BEGIN, END = MODELS = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
KERNELS = "<!-- kernels: begin -->", "<!-- kernels: end -->"
_SECTIONS = ("Training", ("train", "fit")), ("Inference", ("infer",)), ("Generation", ("generate",))
_NEW_PAGE = "# Performance\n\n{}\n{}\n\n## Kernels\n\n{}\n{}\n".format(*MODELS, *KERNELS)
Entry = dict[str, Any]


def read(paths: Iterable[Path]) -> list[Entry]:
    """The last entry of each workload and thread count in the files, in the order of the workloads."""
    entries = {(e["workload"], e["threads"]): e for path in paths for e in json.loads(path.read_text())}
    order = list(WORKLOADS)
    return sorted(entries.values(), key=lambda e: (e["threads"], order.index(e["workload"])))


def markdown(entries: Sequence[Entry], plot: str) -> str:
    """The text between the markers. plot: the file name of the plot, as the page refers to it; empty for none."""
    parts = [_conditions(entries)]
    if plot:
        parts.append(f"![Time of every system divided by graphc's time, per workload]({plot})")
    for title, kinds in _SECTIONS:
        chosen = [entry for entry in entries if WORKLOADS[entry["workload"]].kind in kinds]
        if chosen:
            parts += [f"### {title}", _times(chosen), _starts(chosen)]
    return "\n\n".join(parts)


def updated(page: str, text: str, markers: tuple[str, str] = MODELS) -> str:
    """The page with `text` between the markers. Raises ValueError if it does not have each of them once, in order."""
    begin, end = markers
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end) or begin in rest or end in before + after:
        raise ValueError(f"the page needs the lines {begin} and {end}, once each and in this order")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _conditions(entries: Sequence[Entry]) -> str:
    machines = sorted({entry["context"]["machine"] for entry in entries})
    versions = sorted({version for entry in entries for version in entry["context"]["versions"].values()})
    dates = sorted({entry["context"]["date"] for entry in entries})
    roofs = [entry["context"]["roof_gflops"] for entry in entries]
    names = sorted({entry["context"]["roof"] for entry in entries})
    return "\n".join(
        [
            f"Measured {_range(dates)} on {'; '.join(machines)}.",
            f"Versions: {', '.join(versions)}.",
            f"Roof ({', '.join(names)}) in the same runs: {min(roofs):.0f} to {max(roofs):.0f} GFLOP/s.",
            "Times are medians in milliseconds of one training step, epoch (`fit`), forward pass or token, all systems",
            "taking turns in one run; ± is the interquartile range relative to the median. The ratio is the best",
            f"peer's time divided by graphc's; {UNLOCKED} is not a stock configuration and does not count as a peer.",
        ]
    )


def _times(entries: Sequence[Entry]) -> str:
    systems = _systems(entries)
    header = ["workload", "threads", *systems, "best peer", "ratio", f"graphc {rate_unit(entries[0])}"]
    return _grid(header, [_time_cells(entry, systems) for entry in entries])


def _time_cells(entry: Entry, systems: Sequence[str]) -> list[str]:
    def cell(result: dict[str, float]) -> str:
        return f"{result['median_ms']:.3g} ±{result['spread']:.0%}"

    rate = rate_of(entry, OURS) if OURS in entry["results"] else None
    ratio = "" if entry["ratio"] is None else f"**{entry['ratio']:.2f}**"
    times = _cells(entry, systems, cell)
    return [
        entry["workload"],
        str(entry["threads"]),
        *times,
        entry["best_peer"] or "",
        ratio,
        "" if rate is None else f"{rate:.0f}",
    ]


def _starts(entries: Sequence[Entry]) -> str:
    """First step and memory: seconds after the imports, and the peak of the resident set."""
    systems = _systems(entries)

    def cell(result: dict[str, float]) -> str:
        return f"{result['first_step_s']:.2g} s, {result['rss_mb']:.0f} MB"

    rows = [[entry["workload"], str(entry["threads"]), *_cells(entry, systems, cell)] for entry in entries]
    caption = "The first step in seconds (after the imports; compilation included) and the peak resident memory:"
    return f"{caption}\n\n{_grid(['workload', 'threads', *systems], rows)}"


def _cells(entry: Entry, systems: Sequence[str], cell: Callable[[dict[str, float]], str]) -> list[str]:
    results = entry["results"]
    return [cell(results[name]) if name in results else "" for name in systems]


def _systems(entries: Sequence[Entry]) -> list[str]:
    present = {name for entry in entries for name in entry["results"]}
    return [name for name in SYSTEMS if name in present]


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _range(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the page up to date; a page that does not exist is made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="what `python -m benchmarks --json` wrote")
    parser.add_argument("--kernels", type=Path, metavar="FILE", help="what `python -m benchmarks.kernels --json` wrote")
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    entries = read(options.files)
    record = json.loads(options.kernels.read_text()) if options.kernels else {"kernels": []}
    if not entries and not record["kernels"]:
        parser.error("the files hold no measurement")
    page = options.page.read_text() if options.page.exists() else _NEW_PAGE
    if entries:
        page = updated(page, _with_plot(entries, options.page.with_suffix(".svg")))
    if record["kernels"]:
        page = updated(page, kernel_table.markdown(record), KERNELS)
    options.page.write_text(page)
    return 0


def _with_plot(entries: Sequence[Entry], plot: Path) -> str:
    """The text that refers to the plot, which is written if there is anything to show."""
    picture = svg(entries)
    if picture:
        plot.write_text(picture)
    return markdown(entries, plot.name if picture else "")


if __name__ == "__main__":
    sys.exit(main())
