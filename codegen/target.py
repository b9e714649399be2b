"""Target descriptions: the processor that code is generated for, as the few facts schedules and emitters ask about."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import llvmlite.binding as llvm


@dataclass(frozen=True, slots=True)
class Target:
    """A processor in LLVM's terms, and its vector unit in the scheduler's.

    `features` is LLVM's comma-separated list (`+avx2,-avx512f`), in addition to what `cpu` implies.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    """Width of the vectors kernels are written in: 64 with AVX-512, 32 with AVX, 16 with SSE or NEON."""
    registers: int
    """Number of architectural vector registers."""
    fma: bool
    """Fused multiply-add is one instruction; without it `llvm.fma` becomes a library call per lane."""
    can_mask: bool
    """Masked vector loads and stores are single instructions; elsewhere LLVM turns them into a branch per lane."""

    @property
    def arch(self) -> str:
        """`x86_64`, `aarch64`, or LLVM's own name for anything else."""
        name = self.triple.partition("-")[0]
        return "aarch64" if name == "arm64" else name

    @property
    def os(self) -> str:
        """`linux`, `darwin`, `windows`, or `unknown`."""
        known = {"linux": "linux", "darwin": "darwin", "macos": "darwin", "windows": "windows"}
        return next((name for mark, name in known.items() if mark in self.triple), "unknown")

    @property
    def is_host_runnable(self) -> bool:
        """Whether this process can load and execute the target's code."""
        host = host_target()
        return (self.arch, self.os) == (host.arch, host.os) and enabled(self.features) <= enabled(host.features)

    def lanes(self, dtype_bytes: int) -> int:
        """How many elements of `dtype_bytes` bytes one vector holds."""
        return self.vector_bytes // dtype_bytes

    def __str__(self) -> str:
        return f"{self.cpu} ({self.triple})"


def enabled(features: str) -> frozenset[str]:
    """The names switched on in an LLVM feature list."""
    return frozenset(feature[1:] for feature in features.split(",") if feature.startswith("+"))


@functools.cache
def host_target() -> Target:
    """The processor this process runs on, with every feature LLVM finds there."""
    features = llvm.get_host_cpu_features().flatten()
    return describe(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)


def named_target(name: str) -> Target:
    """The target called `name`: "host" or a key of `NAMED`. ValueError for an unknown name.

    The x86-64 levels take the host's triple on an x86-64 host, so that their objects can be loaded into this process.
    """
    if name == "host":
        return host_target()
    if name not in NAMED:
        raise ValueError(f"unknown target {name!r}; known targets: {', '.join(['host', *NAMED])}")
    triple, features = NAMED[name]
    host = host_target()
    return describe(host.triple if triple == X86 and host.arch == "x86_64" else triple, name, features)


def describe(triple: str, cpu: str, features: str) -> Target:
    """The Target for LLVM's triple, cpu and features; the vector unit is read off the feature list."""
    on = enabled(features)
    if not triple.startswith("x86_64"):
        return Target(triple, cpu, features, vector_bytes=16, registers=32, fma=True, can_mask=False)
    wide = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= on
    vector_bytes = 64 if wide else 32 if "avx" in on else 16
    return Target(triple, cpu, features, vector_bytes, 32 if wide else 16, fma="fma" in on, can_mask="avx" in on)


X86 = "x86_64-unknown-linux-gnu"
_V2 = "+cx16,+popcnt,+sahf,+sse3,+sse4.1,+sse4.2,+ssse3"
_V3 = f"{_V2},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+xsave"
_V4 = f"{_V3},+avx512bw,+avx512cd,+avx512dq,+avx512f,+avx512vl"

NAMED = {
    "x86-64-v2": (X86, _V2),
    "x86-64-v3": (X86, _V3),
    "x86-64-v4": (X86, _V4),
    "neoverse-n1": ("aarch64-unknown-linux-gnu", "+neon,+fullfp16,+dotprod"),
    "neoverse-v1": ("aarch64-unknown-linux-gnu", "+neon,+fullfp16,+dotprod,+bf16,+i8mm"),
    "apple-m1": ("arm64-apple-macosx11.0.0", "+neon,+fullfp16,+dotprod"),
}
"""Targets by LLVM cpu name: triple, and the features the code may use (spelled out so that hosts can be checked)."""
