"""Plans and graphs as small pictures for notebooks: SVG and HTML that need nothing but a browser."""

from __future__ import annotations

import hashlib
import html

from graphc.ir.graph import Graph
from graphc.ir.plan import Buffer, MemoryPlan

WIDTH, HEIGHT = 720, 220  # pixels
SHOWN_LINES = 60


def plan_svg(plan: MemoryPlan) -> str:
    """The arena over time: a box per buffer, from its first kernel to its last, at its offset."""
    buffers = [buffer for buffer in plan.buffers if buffer.place == "arena" and buffer.nbytes]
    if not buffers:
        return "<p>The arena is empty.</p>"
    boxes = "".join(_box(buffer, plan) for buffer in buffers)
    caption = f"{plan.arena_bytes:,} bytes over {len(plan.graph.nodes)} kernels"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT + 20}" role="img" '
        f'aria-label="memory plan: {caption}" font-family="monospace" font-size="11">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="gray"/>{boxes}'
        f'<text x="2" y="{HEIGHT + 15}" fill="gray">{caption}</text></svg>'
    )


def _box(buffer: Buffer, plan: MemoryPlan) -> str:
    across, up = WIDTH / max(len(plan.graph.nodes) + 1, 1), HEIGHT / plan.arena_bytes
    height = buffer.nbytes * up
    left, top = max(buffer.first, 0) * across, HEIGHT - buffer.offset * up - height
    title = f"%{buffer.name}: {buffer.nbytes:,} bytes at {buffer.offset:,}, kernels {buffer.first} to {buffer.last}"
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{(buffer.last - max(buffer.first, 0) + 1) * across:.1f}" '
        f'height="{height:.2f}" fill="{colour(buffer.name)}" fill-opacity="0.7" stroke="white" stroke-width="0.5">'
        f"<title>{html.escape(title)}</title></rect>"
    )


def colour(name: str) -> str:
    """A colour of its own for a name, the same every time."""
    return f"hsl({int(hashlib.sha256(name.encode()).hexdigest()[:4], 16) % 360} 55% 55%)"


def graph_html(graph: Graph) -> str:
    """The text of a graph, folded together where it is long."""
    lines = str(graph).splitlines()
    head = html.escape(repr(graph))
    is_open = " open" if len(lines) <= SHOWN_LINES else ""
    return f"<details{is_open}><summary><code>{head}</code></summary>{text_html(str(graph))}</details>"


def text_html(text: str) -> str:
    """Text as it is."""
    return f'<pre style="white-space: pre; overflow-x: auto">{html.escape(text)}</pre>'
