"""The plot of the performance page: every system's time over graphc's, one line per workload, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log2
from typing import Any

from benchmarks.systems import OURS, SYSTEMS

_LEFT, _RIGHT, _TOP, _LINE = 150, 20, 48, 24
_WIDTH = 760
_LEGEND_STEP = 84
# Okabe and Ito's colours, which the colour-blind can tell apart, then greys.
_PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#000000")
_GREYS = ("#777777", "#999999", "#bbbbbb", "#555555")
_COLOURS = dict(zip((name for name in SYSTEMS if name != OURS), _PALETTE + _GREYS, strict=True))


def svg(entries: Sequence[dict[str, Any]]) -> str:
    """The picture, or an empty string if graphc takes part in no entry. Right of the line at 1, graphc is faster."""
    shown = [entry for entry in entries if OURS in entry["results"] and len(entry["results"]) > 1]
    if not shown:
        return ""
    logs = [log2(ratio) for entry in shown for ratio in _ratios(entry).values()]
    low, high = floor(min([0.0, *logs])), max(1, ceil(max(logs)))

    def x(value: float) -> float:
        return _LEFT + (log2(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    bottom = _TOP + _LINE * len(shown)
    parts = [*_legend(shown)]
    for power in range(low, high + 1):
        parts += _tick(x(2.0**power), 2.0**power, bottom)
    for row, entry in enumerate(shown):
        y = _TOP + _LINE * (row + 0.5)
        parts.append(_text(_LEFT - 8, y + 4, entry["workload"], "end"))
        parts += [_dot(x(ratio), y, name, ratio) for name, ratio in _ratios(entry).items()]
    size = f'width="{_WIDTH}" height="{bottom + 24}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect {size} fill="white"/>', *parts, "</svg>\n"])


def _ratios(entry: dict[str, Any]) -> dict[str, float]:
    ours = entry["results"][OURS]["median_ms"]
    return {name: result["median_ms"] / ours for name, result in entry["results"].items() if name != OURS}


def _legend(entries: Sequence[dict[str, Any]]) -> list[str]:
    present = {name for entry in entries for name in entry["results"]}
    parts = []
    for i, name in enumerate(name for name in _COLOURS if name in present):
        x, y = 12 + i % 9 * _LEGEND_STEP, 12 + i // 9 * 16
        parts += [_dot(x, y, name, None), _text(x + 7, y + 4, name, "start", 10)]
    return parts


def _tick(x: float, value: float, bottom: float) -> list[str]:
    colour = "black" if value == 1 else "#dddddd"
    line = f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}"/>'
    return [line, _text(x, bottom + 16, f"{value:g}", "middle")]


def _dot(x: float, y: float, name: str, ratio: float | None) -> str:
    title = "" if ratio is None else f"<title>{escape(name)}: {ratio:.2f}</title>"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{_COLOURS[name]}" stroke="#333333">{title}</circle>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
