"""The recipe: from a graph to an executable, stage by stage."""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.op import Value
from graphc.ir.plan import MemoryPlan
from graphc.ir.program import Program
from graphc.options import CompileOptions, compile_options
from graphc.runtime.executable import Executable
from graphc.runtime.pool import Pool, default_threads
from passes.autodiff import gradients as gradients  # part of the recipe's face: layers may not import passes
from passes.canonicalize import canonicalize, relu_after_pool
from passes.cse import cse
from passes.dce import dce
from passes.fold import fold
from passes.fusion import fuse
from passes.manager import Pass, run_passes
from passes.memory import plan_memory
from passes.simplify import simplify
from passes.unit_axes import drop_unit_axes

if TYPE_CHECKING:
    from codegen.program import Code
    from codegen.target import Target

LOG = logging.getLogger(__name__)
Array = np.ndarray[Any, Any]

FORWARD_PIPELINE: tuple[Pass, ...] = (relu_after_pool,)
"""Before gradients are taken: what makes the backward graph cheaper too."""

PIPELINE: tuple[Pass, ...] = (canonicalize, fold, simplify, cse, drop_unit_axes, canonicalize, dce, fuse)


@dataclass(frozen=True, slots=True)
class Compilation:
    """All that the compiler found out about one graph, for dumps and questions; the executable runs without it."""

    source: Graph
    stages: Mapping[str, Graph]
    plan: MemoryPlan
    program: Program
    code: Code
    target: Target
    seconds: Mapping[str, float]


def compile_graph(
    graph: Graph,
    options: CompileOptions | None = None,
    bind: Mapping[str, Array] | None = None,
    *,
    pipeline: Sequence[Pass] = PIPELINE,
    arena: bool = True,
) -> Executable:
    """The native executable of a graph. `bind` lends arrays to weights and states by name (see Executable).

    Another `pipeline`, or `arena=False` (no memory is shared), may change its speed, never what it computes.
    """
    options = options or compile_options()
    compilation = analyse(graph, options, pipeline, arena)
    from codegen import jit

    began = time.perf_counter()
    objects = jit.compile_objects(compilation.code.modules, compilation.target, default_threads())
    library = jit.Library(objects, compilation.target)
    addresses = {symbol: library.address(symbol) for symbol in compilation.code.kernels}
    LOG.info("%s: native code in %.0f ms", graph.name, (time.perf_counter() - began) * 1e3)
    threads = options.threads or default_threads()
    return Executable(
        compilation.program, addresses, _pool(), threads=threads, bind=bind, keep=library, compilation=compilation
    )


def analyse(
    graph: Graph, options: CompileOptions, pipeline: Sequence[Pass] = PIPELINE, arena: bool = True
) -> Compilation:
    """Everything up to the LLVM text: passes, memory plan, kernels."""
    from codegen.program import build_program
    from codegen.target import host_target, named_target

    dump = _dump_folder(options, graph)
    clock = _Clock()
    optimised = run_passes(graph, pipeline, verify=options.verify, dump=dump)
    clock.lap("passes")
    plan = plan_memory(optimised, arena)
    clock.lap("memory")
    target = named_target(options.cpu) if options.cpu else host_target()
    program, code = build_program(plan, target)
    clock.lap("kernels")
    return Compilation(graph, {"source": graph, "fused": optimised}, plan, program, code, target, clock.laps)


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


_numbers = itertools.count(1)


def _dump_folder(options: CompileOptions, graph: Graph) -> Path | None:
    return options.dump / f"{next(_numbers):03}-{graph.name}" if options.dump else None


@functools.cache
def _pool() -> Pool:
    """The process-wide pool: its code is compiled once and never freed."""
    from codegen import jit
    from codegen.pool import EXPORTS, pool_ir
    from codegen.target import host_target

    target = host_target()
    library = jit.Library([jit.compile_object(pool_ir(target), target)], target)
    return Pool({name: library.address(name) for name in EXPORTS}, owner=library)


def prepare_forward(graph: Graph, options: CompileOptions | None = None) -> Graph:
    """A traced forward graph made ready for gradients."""
    return run_passes(graph, FORWARD_PIPELINE, verify=(options or compile_options()).verify)


def values_named(graph: Graph, names: Sequence[str]) -> dict[str, Value]:
    """The values of a graph by name. KeyError names the first that is missing."""
    known = {value.name: value for value in graph.values()}
    return {name: known[name] for name in names}
