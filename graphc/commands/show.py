"""What becomes of a model: stages, kernels, memory; compiled, measured, explained."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from graphc.commands.subject import executable_of, find, graph_of


def show(args: argparse.Namespace) -> None:
    """Prints what is asked for, or an overview."""
    exe = executable_of(find(args.model), args)
    texts = []
    if args.stage is not None:
        texts.append(exe.compilation.text(int(args.stage) if args.stage.lstrip("-").isdecimal() else args.stage))
    if args.kernel is not None:
        texts.append(getattr(exe.kernel(args.kernel), args.level))
    if args.memory:
        texts.append(f"{exe.memory_plan}\n")
    if args.dump is not None:
        texts.append(f"{exe.dump(args.dump)}\n")
    if texts:
        sys.stdout.write("\n".join(texts))
    else:
        _overview(exe)


def _overview(exe: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    stages = Table("stage", "nodes", box=None)
    for name, graph in exe.compilation.stages:
        stages.add_row(Text(name), str(len(graph.nodes)))
    kernels = Table("kernel", "computes", box=None)
    for kernel in exe.kernels:
        kernels.add_row(Text(kernel), Text(kernel.computes))
    console.print(Text(exe.interface), Text(""), stages, Text(""), kernels, Text(""), sep="\n")
    console.print(Text(str(exe.memory_plan).splitlines()[-1]))


def compile(args: argparse.Namespace) -> None:
    """Compiles, which fills the cache, and says where the time went."""
    import time

    began = time.perf_counter()
    exe = executable_of(find(args.model), args)
    seconds = time.perf_counter() - began
    sys.stdout.write(f"{exe.interface}\n")
    sys.stdout.write(f"{len(exe.program.phases)} phases, arena {exe.program.arena_bytes:,} bytes\n")
    found = exe.known_compilation
    if found is None:
        sys.stdout.write(f"from the cache in {seconds * 1e3:.0f} ms\n")
        return
    stages = ", ".join(f"{name} {spent * 1e3:.0f} ms" for name, spent in found.seconds.items())
    native = f"native code and tracing {(seconds - sum(found.seconds.values())) * 1e3:.0f} ms"
    sys.stdout.write(f"compiled in {seconds * 1e3:.0f} ms: {stages}, {native}\n")


def profile(args: argparse.Namespace) -> None:
    """Measures runs on random data: a table by kernel and one by layer, and a timeline where one is asked for."""
    from graphc.insight.roof import known_roof

    exe = executable_of(find(args.model), args)
    found = exe.profile(args.runs).against(known_roof(exe.threads))
    if args.trace is not None:
        sys.stderr.write(f"{found.trace(args.trace)}: open it in ui.perfetto.dev or chrome://tracing\n")
    sys.stdout.write(f"{found}\n" if args.by == "kernel" else f"{found.by_layer()}\n")


def explain(args: argparse.Namespace) -> None:
    """Writes the report."""
    from graphc.insight.explain.report import write_report

    exe = executable_of(find(args.model), args)
    path = write_report(args.output, exe, runs=args.runs)
    sys.stderr.write(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser\n")


def memory(args: argparse.Namespace) -> None:
    """Prints what a step needs, without taking it."""
    from graphc.insight.memory import memory_of

    graph, _ = graph_of(find(args.model), args)
    sys.stdout.write(f"{memory_of(graph)}\n")
