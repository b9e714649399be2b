"""Two compilations side by side: what differs in ops, kernels, memory, work and expected time. Text for a review."""

from __future__ import annotations

import difflib
import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphc.compiler import analyse
from graphc.insight.memory import memory_use
from graphc.ir.columns import aligned_lines
from graphc.ir.composite import Composite
from graphc.ir.cost import Roof, Work, node_work, total
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Node, Op, Source
from graphc.options import CompileOptions, compile_options

CONTEXT = 1  # equal kernels shown around those that differ
WIDEST = 48  # characters of a cell


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of one side. `key` is what makes two kernels the same: layer, direction, ops and result types."""

    key: tuple[str, ...]
    seconds: float
    work: Work


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: what is compared of it."""

    name: str
    ops: Counter[str]
    kernels: tuple[Kernel, ...]
    memory: dict[str, int]

    @property
    def seconds(self) -> float:
        """The least time the roof allows."""
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def work(self) -> Work:
        return total(kernel.work for kernel in self.kernels)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of `before` in `after`; `str` says it in lines that begin with + and - where something differs."""

    before: Side
    after: Side

    @property
    def is_equal(self) -> bool:
        """The same ops, the same kernels and the same memory."""
        a, b = self.before, self.after
        keys = [[kernel.key for kernel in side.kernels] for side in (a, b)]
        return a.ops == b.ops and keys[0] == keys[1] and a.memory == b.memory

    def __str__(self) -> str:
        lines = [f"--- {self.before.name}", f"+++ {self.after.name}", *_totals(self.before, self.after)]
        sections = {"ops": _op_lines(self.before, self.after), "kernels": _kernel_lines(self.before, self.after)}
        for title, found in sections.items():
            lines += ["", f"{title}: {'as before' if not found else ''}".rstrip(), *found]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def compare(
    before: Graph, after: Graph, roof: Roof, names: tuple[str, str] = ("", ""), options: CompileOptions | None = None
) -> Comparison:
    """Both graphs compiled (without native code) and compared; times are what the roof allows at least."""
    options = options or compile_options()
    sides = [side(graph, roof, name or graph.name, options) for graph, name in zip((before, after), names, strict=True)]
    return Comparison(*sides)


def side(graph: Graph, roof: Roof, name: str, options: CompileOptions) -> Side:
    """What is compared of one graph."""
    compilation = analyse(graph, options)
    nodes = [node for node in compilation.plan.graph.nodes if not isinstance(node.op, Alias | Source)]
    ops = Counter(_mnemonics(graph))
    kernels = tuple(_kernel(node, roof) for node in nodes)
    return Side(name, ops, kernels, memory_use(compilation, options.threads).parts)


def _mnemonics(graph: Graph) -> Iterator[str]:
    """The ops of a graph, those in the bodies of its loops included."""
    for node in graph.nodes:
        yield node.op.mnemonic
        if isinstance(node.op, Composite):
            yield from _mnemonics(node.op.body)


def _kernel(node: Node, roof: Roof) -> Kernel:
    work = node_work(node)
    types = ", ".join(map(str, node.types))
    return Kernel((node.loc.layer or "-", node.loc.direction, _label(node.op), types), roof.seconds(work), work)


def _label(op: Op) -> str:
    """The ops of a kernel; of a loop those of the kernels in it."""
    if isinstance(op, Fused):
        return re.sub(r"(\.\d+)+$", "", op.label)
    if isinstance(op, Loop):
        return f"{op.mnemonic} of {' + '.join(_label(node.op) for node in op.body.nodes)}"
    return op.mnemonic


def _totals(a: Side, b: Side) -> list[str]:
    rows = [("", "before", "after", "")]
    figures = {
        "ops": (a.ops.total(), b.ops.total()),
        "kernels": (len(a.kernels), len(b.kernels)),
        "MFLOP": (a.work.flops / 1e6, b.work.flops / 1e6),
        "MB moved": (a.work.nbytes / 1e6, b.work.nbytes / 1e6),
        **{f"{part} bytes": (a.memory[part], b.memory[part]) for part in a.memory},
        "expected µs": (a.seconds * 1e6, b.seconds * 1e6),
    }
    for name, (old, new) in figures.items():
        if old or new:
            rows.append((name, _number(old), _number(new), _change(old, new)))
    return aligned_lines(rows, left=1)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _change(old: float, new: float) -> str:
    if old == new:
        return "="
    return f"{(new - old) / old:+.1%}" if old else "new"


def _op_lines(a: Side, b: Side) -> list[str]:
    names = sorted(name for name in a.ops.keys() | b.ops.keys() if a.ops[name] != b.ops[name])
    rows = [(name, str(a.ops[name]), "->", str(b.ops[name]), f"{b.ops[name] - a.ops[name]:+d}") for name in names]
    return [f"  {line}" for line in aligned_lines(rows, left=1)] if rows else []


def _kernel_lines(a: Side, b: Side) -> list[str]:
    """A unified comparison in order of execution; nothing if all kernels are the same."""
    matcher = difflib.SequenceMatcher(None, [k.key for k in a.kernels], [k.key for k in b.kernels], autojunk=False)
    groups = [list(_marked(a, b, group)) for group in matcher.get_grouped_opcodes(CONTEXT)]
    if not groups:
        return []
    flat = [(mark, *_cells(kernel)) for group in groups for mark, kernel in group]
    lines = aligned_lines(flat, left=5)
    starts = [0]
    for group in groups:
        starts.append(starts[-1] + len(group))
    return [line for i, j in pairwise(starts) for line in (*(["  ..."] if i else []), *lines[i:j])]


def _marked(a: Side, b: Side, group: Sequence[tuple[str, int, int, int, int]]) -> Iterator[tuple[str, Kernel]]:
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            yield from ((" ", kernel) for kernel in b.kernels[j1:j2])
        else:
            yield from (("-", kernel) for kernel in a.kernels[i1:i2])
            yield from (("+", kernel) for kernel in b.kernels[j1:j2])


def _cells(kernel: Kernel) -> tuple[str, ...]:
    return (*(_short(part) for part in kernel.key), f"{kernel.seconds * 1e6:.1f} µs")


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
