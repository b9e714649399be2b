"""What a compiled step needs of memory, to the byte, known before any of it is taken."""

from __future__ import annotations

import html
from dataclasses import dataclass

from graphc.compiler import analyse
from graphc.ir.columns import aligned_lines
from graphc.ir.graph import Graph
from graphc.ir.picture import plan_svg
from graphc.ir.plan import Buffer, MemoryPlan
from graphc.options import CompileOptions, compile_options
from graphc.runtime.inspection import Compilation
from graphc.runtime.pool import default_threads

SHOWN = 8  # buffers that are named at the peak


@dataclass(frozen=True)
class MemoryUse:
    """The bytes of one step by what they are for.

    `parts`: weights, states (optimizer slots, random keys, running means) and constants stay; inputs and outputs are
    those of a call at the compiled batch (a short batch takes the inputs a second time); the arena holds all
    intermediate values, the workspace what passes between the kernels of one computation, scratch what kernels of all
    threads need inside.
    """

    plan: MemoryPlan
    parts: dict[str, int]

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.parts.values())

    @property
    def peak(self) -> int:
        """The position of the kernel at which the most bytes of the arena are alive."""
        alive = [
            sum(b.nbytes for b in self._arena() if b.first <= i <= b.last) for i in range(len(self.plan.graph.nodes))
        ]
        return max(range(len(alive)), key=alive.__getitem__, default=0)

    def alive(self, position: int) -> list[Buffer]:
        """The arena's buffers that are alive at a kernel, the largest first."""
        return sorted((b for b in self._arena() if b.first <= position <= b.last), key=lambda b: -b.nbytes)

    def _arena(self) -> list[Buffer]:
        return [buffer for buffer in self.plan.buffers if buffer.place == "arena"]

    def __str__(self) -> str:
        rows = [
            ("", "bytes"),
            *((name, f"{nbytes:,}") for name, nbytes in self.parts.items()),
            ("total", f"{self.total:,}"),
        ]
        nodes = self.plan.graph.nodes
        lines = aligned_lines(rows, left=1)
        if self.peak < len(nodes) and (alive := self.alive(self.peak)):
            node = nodes[self.peak]
            layers = {name: n.loc.layer for n in nodes for name in n.names}
            lines.append(f"the arena is fullest at %{node.names[0]} ({node.loc}, {node.loc.direction}), with")
            lines += [f"  {b.nbytes:>14,}  %{b.name} {layers.get(b.name, '')}".rstrip() for b in alive[:SHOWN]]
            if len(alive) > SHOWN:
                lines.append(f"  {sum(b.nbytes for b in alive[SHOWN:]):>14,}  in {len(alive) - SHOWN} more")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>{plan_svg(self.plan)}"


def memory_use(compilation: Compilation, threads: int | None = None) -> MemoryUse:
    """The memory of an analysed graph on so many threads (default: as many as a call uses)."""
    plan, parts = compilation.plan, compilation.program.memory_bytes(threads or default_threads())
    workspace = parts["arena"] - plan.arena_bytes
    return MemoryUse(plan, {**parts, "arena": plan.arena_bytes, "workspace": workspace})


def memory_of(graph: Graph, options: CompileOptions | None = None) -> MemoryUse:
    """The memory a graph will need, without making native code or taking any of it."""
    options = options or compile_options()
    return memory_use(analyse(graph, options), options.threads)
