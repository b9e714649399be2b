"""Boxes joined by arrows, laid out in layers, as SVG, PNG or the DOT language."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

TITLE_SIZE, ROW_SIZE = 16, 14
# Of a monospaced font, in em.
CHARACTER = 0.6
MARGIN, GAP, ARROW, APPROACH = 8, 36, 9, 13
INK, PAPER, FRAME = "#1a1a1a", "#ffffff", "#8a8a8a"
NEEDS_PLOT = "drawing models needs the packages grandalf and Pillow: pip install 'graphc-compiler[plot]'"

Point = tuple[float, float]


@dataclass(eq=False)
class Box:
    """A title over rows of cells, or over a diagram. x, y: the upper left corner within its diagram."""

    title: str
    rows: Sequence[Sequence[str]] = ()
    inner: Diagram | None = None
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0

    def measure(self) -> None:
        """Sets width and height."""
        self.width = len(self.title) * CHARACTER * TITLE_SIZE + 2 * MARGIN
        self.height = self.title_height
        for row in self.rows:
            self.width = max(self.width, sum(map(cell_width, row)))
            self.height += self.row_height
        if self.inner is not None:
            self.inner.layout()
            self.width = max(self.width, self.inner.width + 2 * MARGIN)
            self.height += self.inner.height + 2 * MARGIN

    title_height = TITLE_SIZE + 2 * MARGIN
    row_height = ROW_SIZE + 2 * MARGIN


def cell_width(text: str) -> float:
    return len(text) * CHARACTER * ROW_SIZE + 2 * MARGIN


@dataclass(eq=False)
class Diagram:
    """Boxes and the arrows between them (by position in `boxes`). horizontal: layers from left to right."""

    boxes: list[Box]
    arrows: list[tuple[int, int]]
    horizontal: bool = False
    paths: list[list[Point]] = field(default_factory=list)
    width: float = 0
    height: float = 0

    def layout(self) -> None:
        """Sets the place of every box, the path of every arrow, and the size of the whole."""
        for box in self.boxes:
            box.measure()
        self.paths = []
        right = 0.0
        for views, edges in self._layered():
            bends = [x for edge in edges for x, _ in edge.view._pts[1:-1]]  # an arrow may go round all boxes
            left = min([*(view.xy[0] - view.w / 2 for view in views), *bends], default=0.0) - right
            top = min((view.xy[1] - view.h / 2 for view in views), default=0.0)
            for view in views:
                self._place(view, left, top)
            for edge in edges:
                inner = [(x - left, y - top) for x, y in edge.view._pts[1:-1]]
                self.paths.append(self._path(edge.v[0].view.box, edge.v[1].view.box, [self._turned(p) for p in inner]))
            right = max([*(view.xy[0] + view.w / 2 for view in views), *bends]) - left + GAP
        corners = [(box.x + box.width, box.y + box.height) for box in self.boxes]
        points = [*corners, *(point for path in self.paths for point in path)]
        self.width = max((x for x, _ in points), default=0.0)
        self.height = max((y for _, y in points), default=0.0)

    def _layered(self) -> Iterator[tuple[list[Any], list[Any]]]:
        """The vertices and edges of each connected part, placed by Sugiyama's method."""
        try:
            from grandalf.graphs import Edge, Graph, Vertex
            from grandalf.layouts import SugiyamaLayout
            from grandalf.routing import EdgeViewer, route_with_lines
        except ImportError as error:
            raise ImportError(NEEDS_PLOT) from error
        vertices = [Vertex(box) for box in self.boxes]
        for vertex, box in zip(vertices, self.boxes, strict=True):
            vertex.view = _View(box, self.horizontal)
        edges = [Edge(vertices[a], vertices[b]) for a, b in dict.fromkeys(self.arrows)]
        for edge in edges:
            edge.view = EdgeViewer()
        for part in Graph(vertices, edges).C:
            layout = SugiyamaLayout(part)
            layout.xspace, layout.yspace = GAP, GAP
            layout.route_edge = route_with_lines
            layout.init_all(roots=[v for v in part.sV if not v.e_in()])
            layout.draw(8)
            yield [vertex.view for vertex in part.sV], list(part.sE)

    def _place(self, view: Any, left: float, top: float) -> None:
        center = self._turned((view.xy[0] - left, view.xy[1] - top))
        view.box.x, view.box.y = center[0] - view.box.width / 2, center[1] - view.box.height / 2

    def _turned(self, point: Point) -> Point:
        return (point[1], point[0]) if self.horizontal else point

    def _path(self, source: Box, target: Box, inner: list[Point]) -> list[Point]:
        if self.horizontal:
            begin, end = (
                (source.x + source.width, source.y + source.height / 2),
                (target.x, target.y + target.height / 2),
            )
            # straight into the box, so that the head of the arrow shows
            return [begin, *inner, (end[0] - APPROACH, end[1]), end]
        begin, end = (source.x + source.width / 2, source.y + source.height), (target.x + target.width / 2, target.y)
        return [begin, *inner, (end[0], end[1] - APPROACH), end]


class _View:
    """What the layout knows of a box: its size (turned if layers go from left to right) and then its centre."""

    def __init__(self, box: Box, turned: bool) -> None:
        self.box = box
        self.w, self.h = (box.height, box.width) if turned else (box.width, box.height)
        self.xy = (0.0, 0.0)


# ---- SVG


def to_svg(diagram: Diagram) -> str:
    """The diagram as an SVG document."""
    diagram.layout()
    width, height = diagram.width + 2 * MARGIN, diagram.height + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">',
        f'<defs><marker id="arrow" orient="auto" markerUnits="userSpaceOnUse" refX="{ARROW}" refY="4" '
        f'markerWidth="{ARROW}" markerHeight="8"><path d="M0 0L{ARROW} 4L0 8z" fill="{INK}"/></marker></defs>',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *_svg_parts(diagram, MARGIN, MARGIN),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _svg_parts(diagram: Diagram, left: float, top: float) -> Iterator[str]:
    for path in diagram.paths:
        points = " ".join(f"{x + left:.1f},{y + top:.1f}" for x, y in path)
        yield f'<polyline points="{points}" fill="none" stroke="{INK}" stroke-width="2" marker-end="url(#arrow)"/>'
    for box in diagram.boxes:
        yield from _svg_box(box, left + box.x, top + box.y)


def _svg_box(box: Box, x: float, y: float) -> Iterator[str]:
    stroke = INK if box.inner is None else FRAME
    yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" {_frame(PAPER, stroke)}/>'
    yield _svg_cell(box.title, x, y, box.width, box.title_height, TITLE_SIZE, stroke, PAPER, ' font-weight="bold"')
    y += box.title_height
    for row in box.rows:
        for text, at, width in cells(row, box.width):
            yield _svg_cell(text, x + at, y, width, box.row_height, ROW_SIZE, PAPER, INK)
        y += box.row_height
    if box.inner is not None:
        yield from _svg_parts(box.inner, x + (box.width - box.inner.width) / 2, y + MARGIN)


def _frame(fill: str, stroke: str) -> str:
    return f'fill="{fill}" stroke="{stroke}"'


def _svg_cell(
    text: str, x: float, y: float, width: float, height: float, size: int, fill: str, colour: str, style: str = ""
) -> str:
    rectangle = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {_frame(fill, INK)}/>'
    # a font that is wider than thought is squeezed
    length = f'textLength="{len(text) * CHARACTER * size:.1f}" lengthAdjust="spacingAndGlyphs"'
    return (
        f'{rectangle}<text x="{x + width / 2:.1f}" y="{y + height / 2 + size * 0.35:.1f}" text-anchor="middle" '
        f'font-size="{size}" fill="{colour}"{style} {length}>{html.escape(text)}</text>'
    )


def cells(row: Sequence[str], width: float) -> Iterator[tuple[str, float, float]]:
    """(text, offset, width) of every cell of a row that fills the whole width."""
    spare = (width - sum(map(cell_width, row))) / len(row)
    at = 0.0
    for text in row:
        size = cell_width(text) + spare
        yield text, at, size
        at += size


# ---- PNG


def to_png(diagram: Diagram, dpi: int) -> bytes:
    """The diagram as a PNG picture; a pixel of the SVG is 1/96 inch."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError(NEEDS_PLOT) from error
    diagram.layout()
    scale = dpi / 96
    size = (round((diagram.width + 2 * MARGIN) * scale), round((diagram.height + 2 * MARGIN) * scale))
    image = Image.new("RGB", size, PAPER)
    _Painter(ImageDraw.Draw(image), scale).diagram(diagram, MARGIN, MARGIN)
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(dpi, dpi))
    return out.getvalue()


class _Painter:
    """Draws diagrams with Pillow."""

    def __init__(self, draw: Any, scale: float) -> None:
        from PIL import ImageFont

        self.draw = draw
        self.scale = scale
        self.fonts = {size: ImageFont.load_default(size * scale) for size in (TITLE_SIZE, ROW_SIZE)}

    def diagram(self, diagram: Diagram, left: float, top: float) -> None:
        for path in diagram.paths:
            self.arrow([(x + left, y + top) for x, y in path])
        for box in diagram.boxes:
            self.box(box, left + box.x, top + box.y)

    def arrow(self, path: list[Point]) -> None:
        (x0, y0), (x, y) = path[-2:]
        length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-9)
        dx, dy = (x - x0) / length, (y - y0) / length
        base = (x - ARROW * dx, y - ARROW * dy)
        sides = [(base[0] - 4 * dy, base[1] + 4 * dx), (base[0] + 4 * dy, base[1] - 4 * dx)]
        self.draw.line(self._scaled([*path[:-1], base]), fill=INK, width=max(round(2 * self.scale), 1))
        self.draw.polygon(self._scaled([(x, y), *sides]), fill=INK)

    def _scaled(self, points: list[Point]) -> list[Point]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def box(self, box: Box, x: float, y: float) -> None:
        colour = INK if box.inner is None else FRAME
        self.rectangle(x, y, box.width, box.height, PAPER, colour)
        self.cell(box.title, x, y, box.width, box.title_height, TITLE_SIZE, colour, PAPER)
        y += box.title_height
        for row in box.rows:
            for text, at, width in cells(row, box.width):
                self.cell(text, x + at, y, width, box.row_height, ROW_SIZE, PAPER, INK)
            y += box.row_height
        if box.inner is not None:
            self.diagram(box.inner, x + (box.width - box.inner.width) / 2, y + MARGIN)

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, stroke: str) -> None:
        corners = self._scaled([(x, y), (x + width, y + height)])
        self.draw.rectangle(corners, fill=fill, outline=stroke, width=max(round(self.scale), 1))

    def cell(
        self, text: str, x: float, y: float, width: float, height: float, size: int, fill: str, colour: str
    ) -> None:
        self.rectangle(x, y, width, height, fill, INK)
        (centre,) = self._scaled([(x + width / 2, y + height / 2)])
        self.draw.text(centre, text, fill=colour, font=self.fonts[size], anchor="mm")


# ---- DOT


def to_dot(diagram: Diagram) -> str:
    """The diagram in the language of Graphviz."""
    direction = "LR" if diagram.horizontal else "TB"
    lines = ["digraph model {", f'  rankdir={direction}; compound=true; node [shape=plain, fontname="monospace"];']
    names: dict[Box, str] = {}
    lines += _dot_lines(diagram, names, "  ")
    return "\n".join([*lines, "}", ""])


def _dot_lines(diagram: Diagram, names: dict[Box, str], indent: str) -> Iterator[str]:
    for box in diagram.boxes:
        names[box] = f"n{len(names)}"
        if box.inner is None:
            yield f"{indent}{names[box]} [label=<{_dot_table(box)}>];"
            continue
        yield f"{indent}subgraph cluster_{names[box]} {{ label={_quoted(box.title)};"
        yield from _dot_lines(box.inner, names, indent + "  ")
        yield f"{indent}}}"
    for a, b in dict.fromkeys(diagram.arrows):
        source, target = diagram.boxes[a], diagram.boxes[b]
        yield f"{indent}{names[_last(source)]} -> {names[_first(target)]};"


def _first(box: Box) -> Box:
    return box if box.inner is None else _first(box.inner.boxes[0])


def _last(box: Box) -> Box:
    return box if box.inner is None else _last(box.inner.boxes[-1])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _dot_table(box: Box) -> str:
    most = max([1, *map(len, box.rows)])
    rows = [f'<tr><td colspan="{most}" bgcolor="black"><font color="white">{html.escape(box.title)}</font></td></tr>']
    for row in box.rows:
        span = most // len(row)
        rows.append("<tr>" + "".join(f'<td colspan="{span}">{html.escape(text)}</td>' for text in row) + "</tr>")
    return f'<table border="0" cellborder="1" cellspacing="0" cellpadding="6">{"".join(rows)}</table>'
