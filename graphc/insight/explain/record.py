"""A compilation as plain data for the page: strings, numbers, lists and dicts that JSON can hold."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from codegen.jit import LLVM
from codegen.scan import Driver
from graphc.insight.doctor import processor_name
from graphc.insight.explain.story import Chapter, node_line, tell
from graphc.insight.memory import memory_use
from graphc.ir.composite import Composite
from graphc.ir.cost import Roof, node_work
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Node, Parameter, Source, Value
from graphc.ir.plan import MemoryPlan
from graphc.runtime.inspection import Compilation, KernelSource
from graphc.runtime.profile import Profile

LONGEST_TEXT = 400_000  # characters of one kernel at one level; the rest of a longer one is left out
MOST_CHANGES = 4000  # lines of one pass


def record(exe: Any, profile: Profile | None, roof: Roof | None, threads: int = 2) -> dict[str, Any]:
    """Everything the page shows of an executable. `threads` disassemble kernels."""
    compilation: Compilation = exe.compilation
    chapters = tell(compilation.stages)
    return {
        "name": compilation.source.name,
        "interface": exe.interface,
        "facts": _facts(exe, compilation),
        "roof": {"gflops": roof.gflops, "gbs": roof.copy_gb_s, "arithmetic": roof.arithmetic} if roof else None,
        "stages": [_stage(chapter) for chapter in chapters],
        "kernels": _kernels(compilation, profile, threads),
        "bodies": _bodies(compilation.plan.graph),
        "steps": _steps(compilation, profile),
        "runs": _runs(profile),
        "memory": _memory(compilation, exe.threads),
    }


def _facts(exe: Any, compilation: Compilation) -> dict[str, str]:
    seconds = ", ".join(f"{name} {spent * 1e3:.0f} ms" for name, spent in compilation.seconds.items())
    return {
        "processor": f"{processor_name()} as {compilation.target}",
        "threads": str(exe.threads),
        "batch": str(compilation.source.batch or "none"),
        "compiled in": seconds,
        "versions": f"Python {platform.python_version()}, numpy {np.__version__}, {LLVM}",
    }


# Stages


def _stage(chapter: Chapter) -> dict[str, Any]:
    return {
        "name": chapter.name,
        "ms": round(chapter.seconds * 1e3, 3),
        "changes": [list(change) for change in chapter.changes[:MOST_CHANGES]],
        "left": max(0, len(chapter.changes) - MOST_CHANGES),
        "remarks": [[r.node, r.layer, r.message, r.loop] for r in chapter.remarks],
        "graph": _graph(chapter.graph) if chapter.name in ("source", "fuse") or chapter.changes else None,
        "count": len(chapter.graph.nodes),
    }


def _graph(graph: Graph) -> dict[str, Any]:
    """Vertices and the positions of their operands: graph inputs first, then the nodes in order."""
    vertices = [value.node for value in graph.inputs] + list(graph.nodes)
    number = {node: i for i, node in enumerate(vertices)}
    return {
        "inputs": len(graph.inputs),
        "nodes": [_vertex(node) for node in vertices],
        "edges": [list(dict.fromkeys(number[value.node] for value in node.inputs)) for node in vertices],
        "results": sorted({number[value.node] for value in graph.results}),
    }


def _vertex(node: Node) -> list[Any]:
    """Name, what it is, types, layer, direction, line."""
    what = node.op.role if isinstance(node.op, Parameter) else getattr(node.op, "label", node.op.mnemonic)
    line = f"{node.op.role} %{node.names[0]}" if isinstance(node.op, Parameter) else node_line(node)
    return [node.names[0], what, ", ".join(map(str, node.types)), node.loc.layer, node.loc.direction, line]


def _bodies(graph: Graph) -> dict[str, dict[str, Any]]:
    """The lines of every composite node's body, with their layers; of a loop those of the kernels in it too, and how it
    runs."""
    return {
        node.names[0]: {"loop": _loop_text(node.op), "lines": list(_body_lines(node.op))}
        for node in graph.nodes
        if isinstance(node.op, Composite)
    }


def _loop_text(op: Composite) -> str | None:
    if not isinstance(op, Loop):
        return None
    order = "from the last to the first" if op.reverse else "from the first to the last"
    return f"{op.steps} steps, {order}; {op.carries} values carried, {op.sequences} sequences read"


def _body_lines(op: Composite, indent: str = "") -> Iterator[list[str]]:
    for inner in op.body.nodes:
        yield [indent + node_line(inner), inner.loc.layer, inner.loc.direction]
        if isinstance(inner.op, Composite):
            yield from _body_lines(inner.op, f"{indent}    ")


# Kernels and times


def _kernels(compilation: Compilation, profile: Profile | None, threads: int) -> list[dict[str, Any]]:
    """The kernels at every level of text; assembly is written by several threads, LLVM lets go of the lock."""
    sources = list(compilation.kernels.values())
    with ThreadPoolExecutor(threads) as executor:
        listings = list(executor.map(lambda source: source.asm, sources))
    users: dict[str, list[str]] = {}
    for phase in compilation.program.phases:
        if phase.units:
            users.setdefault(phase.symbol, []).append(phase.node)
    for name, driver in compilation.code.kernels.items():
        for call in (*driver.preparing, *driver.calls) if isinstance(driver, Driver) else ():
            users.setdefault(call.symbol, []).extend(users.get(name, ()))
    return [_kernel(s, asm, users.get(s.name, [])) for s, asm in zip(sources, listings, strict=True)]


def _kernel(source: KernelSource, asm: str, nodes: Sequence[str]) -> dict[str, Any]:
    texts = {"loops": source.loops, "llvm": source.llvm, "asm": asm}
    return {
        "name": source.name,
        "computes": source.computes,
        "nodes": list(dict.fromkeys(nodes)),
        **{level: _cut(text) for level, text in texts.items()},
    }


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}\n... {len(text) - LONGEST_TEXT} characters more"


def _steps(compilation: Compilation, profile: Profile | None) -> list[dict[str, Any]]:
    """What is computed in order: by node, with work and measured time."""
    if profile is None:
        return list(_unmeasured(compilation))
    return [
        {
            "node": kernel.node,
            "kernels": list(kernel.kernels),
            "layer": kernel.layer,
            "direction": kernel.direction,
            "us": round(kernel.seconds * 1e6, 3),
            "parts": [round(seconds * 1e6, 3) for seconds in profile.parts(kernel).values()],
            "flops": kernel.work.flops,
            "bytes": kernel.work.nbytes,
            "share": profile.share(kernel),
        }
        for kernel in profile.kernels
    ]


def _unmeasured(compilation: Compilation) -> Iterator[dict[str, Any]]:
    symbols: dict[str, list[str]] = {}
    for phase in compilation.program.phases:
        symbols.setdefault(phase.node, []).append(phase.symbol)
    for node in compilation.plan.graph.nodes:
        if isinstance(node.op, Alias | Source):
            continue
        work = node_work(node)
        yield {
            "node": node.names[0],
            "kernels": list(dict.fromkeys(symbols.get(node.names[0], []))),
            "layer": node.loc.layer,
            "direction": node.loc.direction,
            "us": None,
            "flops": work.flops,
            "bytes": work.nbytes,
            "share": None,
        }


def _runs(profile: Profile | None) -> dict[str, float] | None:
    return None if profile is None else {"count": len(profile), "us": round(profile.seconds * 1e6, 1)}


# Memory


def _memory(compilation: Compilation, threads: int) -> dict[str, Any]:
    plan, use = compilation.plan, memory_use(compilation, threads)
    return {
        "parts": use.parts,
        "peak": use.peak,
        "arena": plan.arena_bytes,
        "bound": plan.live_bound,
        "unshared": plan.unplanned_bytes,
        "positions": [_position(node) for node in plan.graph.nodes],
        "buffers": _buffers(plan),
    }


def _position(node: Node) -> list[str]:
    return [node.names[0], node.loc.layer, node.loc.direction]


def _buffers(plan: MemoryPlan) -> list[list[Any]]:
    """Name, offset, bytes, first and last kernel, and the values that share the memory."""
    sharing: dict[int, list[Value]] = {}
    for value, number in plan.buffer_of.items():
        sharing.setdefault(number, []).append(value)
    return [
        [buffer.name, buffer.offset, buffer.nbytes, max(buffer.first, 0), buffer.last, _names(sharing, number)]
        for number, buffer in enumerate(plan.buffers)
        if buffer.place == "arena" and buffer.nbytes
    ]


def _names(sharing: Mapping[int, list[Value]], number: int) -> list[str]:
    return [value.name for value in sharing.get(number, [])]
