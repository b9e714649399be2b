"""What the compiler found out about one graph: its stages, memory plan and kernels, for questions and for dumps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Source, View
from graphc.ir.picture import text_html
from graphc.ir.plan import MemoryPlan, plan_comments
from graphc.ir.program import Program
from graphc.ir.text import NO_COMMENTS, print_graph, write_graph

LONGEST_NAME = 100  # of a file; the system's limit is 255


class KernelName(str):
    """The name of a kernel, with what it computes beside it."""

    computes: str

    def __new__(cls, name: str, computes: str) -> KernelName:
        self = super().__new__(cls, name)
        self.computes = computes
        return self

    def __repr__(self) -> str:
        return f"<{self}: {self.computes}>"


@dataclass(frozen=True)
class KernelSource:
    """One kernel as text: `loops` is the schedule and the loops it gave, `llvm` what they became, `asm` the machine's.

    `writers` make the loops and the assembly when somebody asks.
    """

    name: str
    computes: str
    llvm: str
    writers: tuple[Callable[[], str], Callable[[], str]]

    @cached_property
    def loops(self) -> str:
        return self.writers[0]()

    @cached_property
    def asm(self) -> str:
        return self.writers[1]()

    def __repr__(self) -> str:
        return f"// {self.computes}\n{self.loops}"

    def _repr_html_(self) -> str:
        levels = {"loops": self.loops, "LLVM": self.llvm, "assembly": self.asm}
        parts = (f"<details><summary>{name}</summary>{text_html(text)}</details>" for name, text in levels.items())
        return f"{text_html(f'{self.name}: {self.computes}')}{''.join(parts)}"


@dataclass(frozen=True, slots=True)
class Compilation:
    """One graph on its way to native code.

    `stages` are the source graph and the graph after every pass, by name; `seconds` says where the time went. `code`
    and `target` are the code generator's own; `folder` has the dump, if one was written.
    """

    stages: tuple[tuple[str, Graph], ...]
    plan: MemoryPlan
    program: Program
    kernels: Mapping[str, KernelSource]
    seconds: Mapping[str, float]
    code: Any
    target: Any
    folder: Path | None = None

    @property
    def source(self) -> Graph:
        return self.stages[0][1]

    def graph(self, stage: str | int) -> Graph:
        """The graph after a stage: "source", the name of a pass (its last run), "fused", "planned", or a number (0 is
        the source, 1 the first pass). ValueError names the stages there are."""
        if isinstance(stage, int) and -len(self.stages) <= stage < len(self.stages):
            return self.stages[stage][1]
        found = {**dict(self.stages), "fused": self.stages[-1][1], "planned": self.plan.graph}
        if not isinstance(stage, str) or stage not in found:
            raise ValueError(f"no stage {stage!r}; the stages are {', '.join(found)} and 0 to {len(self.stages) - 1}")
        return found[stage]

    def text(self, stage: str | int) -> str:
        """The graph of a stage as text; the planned one says behind every node where its results live."""
        return print_graph(self.graph(stage), plan_comments(self.plan) if stage == "planned" else NO_COMMENTS)

    def kernel(self, name: str) -> KernelSource:
        """A kernel by name. ValueError names those there are."""
        if name not in self.kernels:
            raise ValueError(f"no kernel {name!r}; the kernels are {', '.join(self.kernels) or 'none'}")
        return self.kernels[name]

    def write(self, folder: Path) -> None:
        """Adds the planned graph, memory.txt and the kernels to the passes' dump in `folder`, and to its index."""
        number = sum(1 for _ in folder.glob("[0-9][0-9]*-*.graph"))
        write_graph(folder / f"{number:02d}-planned.graph", self.plan.graph, plan_comments(self.plan))
        (folder / "memory.txt").write_text(f"{self.plan}\n", encoding="utf-8")
        (folder / "kernels").mkdir(exist_ok=True)
        for kernel in self.kernels.values():
            stem = folder / "kernels" / file_name(kernel.name)
            for suffix, text in (("loops", repr(kernel)), ("ll", kernel.llvm), ("s", kernel.asm)):
                stem.with_name(f"{stem.name}.{suffix}").write_text(text, encoding="utf-8")
        with (folder / "index.txt").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self._index())

    def _index(self) -> list[str]:
        plan = self.plan
        lines = [f"{f'--  {name}':<24} {seconds * 1e3:9.2f} ms" for name, seconds in self.seconds.items()]
        lines.append(f"memory: arena {plan.arena_bytes} bytes, {plan.unplanned_bytes} without sharing; see memory.txt")
        return lines + [f"kernel {kernel.name}: {kernel.computes}" for kernel in self.kernels.values()]


def describe_kernels(program: Program, graph: Graph) -> dict[str, str]:
    """For every kernel, in order of first use, what it computes: its ops, and for which layers and directions."""
    ops = {name: node.op for node in graph.nodes for name in node.names}
    drivers = {phase.node: phase.symbol for phase in program.phases if isinstance(ops.get(phase.node), Loop)}
    work: dict[str, dict[str, None]] = {}
    for phase in program.phases:
        driver = drivers.get(phase.node, phase.symbol)
        shared = f"what all steps of {driver} share" if driver != phase.symbol else ""
        what = shared or (_ops_text(ops[phase.node]) if phase.node in ops else "copy")
        where = f"{phase.layer or f'%{phase.node}'} {phase.direction}"
        work.setdefault(phase.symbol, {})[f"{what} for {where}"] = None
    return {symbol: "; ".join(parts) for symbol, parts in work.items()}


def _ops_text(op: Any) -> str:
    """The ops of a kernel, without constants and the views that only place an operand, unless there is nothing else."""
    if isinstance(op, Loop):
        inside = dict.fromkeys(_ops_text(node.op) for node in op.body.nodes if not isinstance(node.op, Alias | Source))
        return f"{op.steps} steps of ({'; '.join(inside)})"
    if not isinstance(op, Fused):
        return str(op.mnemonic)
    working = [node for node in op.body.nodes if node.inputs and not isinstance(node.op, View)]
    return " + ".join(node.op.mnemonic for node in working or op.body.nodes)


def new_folder(parent: Path, graph: Graph) -> Path:
    """A new folder `NNN-model-mode` for one dump. OSError if there can be none."""
    parent.mkdir(parents=True, exist_ok=True)
    name = f"{file_name(graph.name)}-{'train' if graph.updates else 'infer'}"
    taken = [int(match[0]) for path in parent.iterdir() if (match := re.match(r"[0-9]{3,9}(?=-)", path.name))]
    folder = parent / f"{max(taken, default=0) + 1:03}-{name}"
    folder.mkdir()
    return folder


def file_name(name: str) -> str:
    """A graph's name for something as a file's: no separators, not hidden, not too long; distinct names stay so."""
    safe = re.sub(r"[^A-Za-z0-9_.-]|^\.", "_", name)
    if safe == name and len(name) <= LONGEST_NAME:
        return name
    return f"{safe[:LONGEST_NAME]}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
