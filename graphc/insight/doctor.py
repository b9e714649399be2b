"""What there is to know of a machine and an installation when something is slow or wrong."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from codegen.jit import LLVM
from codegen.target import enabled, host_target, named_target
from graphc.compiler import persistent_cache
from graphc.insight.roof import renew_roof
from graphc.ir.cost import Roof
from graphc.options import CompileOptions, compile_options
from graphc.runtime.memory import available_bytes
from graphc.runtime.pool import cpu_quota, default_threads

VECTOR_FEATURES = ("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512bf16", "neon")
OPTIONAL = ("h5py", "scikit-learn", "keras", "jax", "torch")
LOW_MEMORY = 1e9  # bytes
MISSING = "not installed"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Facts by section, and what ought to be looked at."""

    sections: dict[str, dict[str, str]]
    advice: tuple[str, ...]
    roof: Roof | None

    def __str__(self) -> str:
        lines: list[str] = []
        width = max(len(name) for facts in self.sections.values() for name in facts)
        for title, facts in self.sections.items():
            lines += [title, *(f"  {name:<{width}}  {fact}" for name, fact in facts.items()), ""]
        return "\n".join([*lines, *(f"! {sentence}" for sentence in self.advice or ("nothing to complain of",))])


def examine(measure: bool = True, options: CompileOptions | None = None) -> Diagnosis:
    """Looks at processor, memory, versions and cache; with `measure` also measures the roof (seconds), which profiles
    then use."""
    options = options or compile_options()
    roof = renew_roof(options=options) if measure else None
    sections = {
        "processor": _processor(options),
        "measured": _measured(roof, options.threads or default_threads()),
        "memory": {"available": _size(available_bytes())},
        "versions": _versions(),
        "cache": _cache(options),
    }
    return Diagnosis({title: facts for title, facts in sections.items() if facts}, tuple(_advice(options)), roof)


def _processor(options: CompileOptions) -> dict[str, str]:
    target = host_target()
    on = enabled(target.features)
    return {
        "model": processor_name(),
        "LLVM name": str(target),
        "vectors": f"{target.vector_bytes * 8} bits, {target.registers} registers",
        "features": " ".join(name for name in VECTOR_FEATURES if name in on) or "none of those kernels use",
        "cores": _cores(),
        "threads of a call": f"{options.threads or default_threads()}",
        **({"compiles for": options.cpu} if options.cpu else {}),
    }


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cpu_quota()
    return f"{usable} usable" + ("" if quota == math.inf else f", of whose time the cgroup grants {quota:g}")


def processor_name() -> str:
    """The processor as the system calls it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _measured(roof: Roof | None, threads: int) -> dict[str, str]:
    if roof is None:
        return {}
    return {
        f"arithmetic, {threads} threads": f"{roof.gflops:.0f} GFLOP/s float32 ({roof.arithmetic})",
        f"bandwidth, {threads} threads": f"{roof.copy_gb_s:.1f} GB/s ({roof.copying})",
    }


def _versions() -> dict[str, str]:
    numbers = {"graphc": _version("graphc-compiler"), "python": platform.python_version(), "numpy": np.__version__}
    others = {name: version for name in OPTIONAL if (version := _version(name)) != MISSING}
    return {**numbers, "code generator": LLVM, **others, "system": f"{platform.system()} {platform.release()}"}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return MISSING


def _cache(options: CompileOptions) -> dict[str, str]:
    cache = persistent_cache(options)
    try:
        entries = cache.entries()
    except OSError as error:
        return {"folder": f"{cache.folder}", "state": f"not used: {error}"}
    nbytes = sum(entry.nbytes for entry in entries)
    state = f"{len(entries)} entries, {nbytes / 1e6:.1f} of at most {cache.limit / 1e6:.0f} MB"
    return {"folder": f"{cache.folder or 'none'}", "state": state}


def _advice(options: CompileOptions) -> Iterator[str]:
    target, threads = host_target(), options.threads or default_threads()
    if not target.fma:
        yield "the processor has no fused multiply-add: matrix products run at half speed or less"
    if threads == 1 and (os.cpu_count() or 1) > 1:
        yield f"calls run on one thread of {os.cpu_count()}; GRAPHC_THREADS, affinity or the cgroup's quota says so"
    if cpu_quota() < threads:
        yield f"the cgroup grants {cpu_quota():g} processors for {threads} threads: calls will be stopped in between"
    if available_bytes() < LOW_MEMORY:
        yield f"only {_size(available_bytes())} of memory are available"
    if options.cpu and named_target(options.cpu) != target:
        yield f"GRAPHC_CPU={options.cpu} keeps code from using all this processor has"
    if options.verify > 1:
        yield "GRAPHC_VERIFY=2 interprets every graph: compiling is slow and nothing is cached"
    if options.dump:
        yield f"GRAPHC_DUMP={options.dump}: every compilation is written there and nothing is cached"
    if not persistent_cache(options).folder:
        yield "there is no cache folder: every process compiles anew; set GRAPHC_CACHE_DIR"


def _size(nbytes: float) -> str:
    return "unknown" if nbytes == math.inf else f"{nbytes / 1e9:.1f} GB"
