"""The page itself: template, style, scripts, libraries and data put together into one file."""

from __future__ import annotations

import base64
import html
import json
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

from graphc.insight.explain.record import record
from graphc.insight.roof import known_roof

SCRIPTS = ("state.js", "dom.js", "times.js", "graph.js", "passes.js", "kernels.js", "memory.js", "main.js")


def write_report(path: str | Path, exe: Any, *, runs: int = 10, measure: bool = True) -> Path:
    """Writes the report of an executable; returns the path. `runs` measured runs on random data give the times, which
    leave weights and states as they were; with `measure=False` nothing is run."""
    path = Path(path)
    roof = known_roof(exe.threads) if measure else None
    profile = exe.profile(runs) if measure else None
    found = profile.against(roof) if profile is not None and roof is not None else profile
    path.write_text(page(record(exe, found, roof)), encoding="utf-8")
    return path


def page(content: dict[str, Any]) -> str:
    """The page for a record."""
    packed = base64.b64encode(zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 6)).decode()
    parts = {
        "title": html.escape(content["name"]),
        "style": _file("vendor/uPlot.min.css") + _file("style.css"),
        "licences": html.escape(_file("vendor/LICENSES.txt")),
        "cytoscape": _script("vendor/cytoscape.min.js"),
        "uplot": _script("vendor/uPlot.iife.min.js"),
        "dagre": _script("vendor/dagre.min.js"),
        "record": packed,
        "app": "\n".join(map(_script, SCRIPTS)),
    }
    text = _file("page.html")
    head, *pieces = text.split("{{")
    return head + "".join(parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces))


def _file(name: str) -> str:
    return (resources.files("graphc.insight.explain") / "page" / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    """A script that can stand inside an HTML element."""
    return _file(name).replace("</script", "<\\/script")
