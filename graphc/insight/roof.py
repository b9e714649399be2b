"""What the machine can do at most, measured: multiply-adds in registers, and copying memory.

Both are loops of LLVM text compiled for the host, one thread per core asked for. Where the host has no fused
multiply-add, numpy's float32 matrix product stands in for the arithmetic roof, and `Roof.arithmetic` says so; a good
kernel can stand above 100 % of that. Run as `python -m graphc.insight.roof THREADS`, it prints the Roof as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from codegen.jit import LoadedCode, compile_object
from codegen.target import Target, host_target
from graphc.compiler import persistent_cache
from graphc.ir.cost import Roof
from graphc.options import CompileOptions, compile_options
from graphc.runtime.pool import default_threads

FMA_ROOF = "register FMA loop"
STAND_IN = "numpy sgemm (no FMA here)"
COPY_ROOF = "copy, the better of ordinary and non-temporal stores"

_WINDOWS = 32
_FMA_PASSES = 2_000_000  # some milliseconds: threads do not start at the same microsecond
_COPY_BYTES = 128 * 2**20  # in each direction, all threads together: beyond the last cache
_COPY_UNROLL = 4
_SGEMM_SIZE = 2048
_PAGE = 4096


def measure_roof(threads: int) -> Roof:
    """The best of several short windows, in a process of its own on `threads` cores; about two seconds."""
    root = Path(__file__).resolve().parent.parent.parent
    command = [sys.executable, "-m", "graphc.insight.roof", str(threads)]
    printed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return Roof(**json.loads(printed))


def known_roof(threads: int | None = None, options: CompileOptions | None = None) -> Roof:
    """The roof of this machine for so many threads (default: as many as a call uses), measured once and then kept with
    the compiled code."""
    options, count = _asked(threads, options)
    return _stored(count, options) or renew_roof(count, options)


def renew_roof(threads: int | None = None, options: CompileOptions | None = None) -> Roof:
    """The roof measured now; what is kept is the higher of this and what was known, since other processes only ever
    lower it."""
    options, count = _asked(threads, options)
    roof, known = measure_roof(count), _stored(count, options)
    if known is not None and known.arithmetic == roof.arithmetic:
        roof = replace(roof, gflops=max(roof.gflops, known.gflops), copy_gb_s=max(roof.copy_gb_s, known.copy_gb_s))
    keep_roof(roof, count, options)
    return roof


def keep_roof(roof: Roof, threads: int, options: CompileOptions | None = None) -> None:
    """Keeps a roof in place of what was known, for so many threads."""
    persistent_cache(options).store(_key(threads), json.dumps(asdict(roof)).encode())


def _asked(threads: int | None, options: CompileOptions | None) -> tuple[CompileOptions, int]:
    options = options or compile_options()
    return options, threads or options.threads or default_threads()


def _stored(threads: int, options: CompileOptions) -> Roof | None:
    stored = persistent_cache(options).load(_key(threads))
    return None if stored is None else Roof(**json.loads(stored))


def _key(threads: int) -> bytes:
    target = host_target()
    return f"roof {threads}\n{target}\n{target.features}\n{platform.node()}".encode()


def _measure(threads: int) -> Roof:
    target = host_target()
    copy = _copy_gb_s(target, threads)
    if target.fma:
        return Roof(_fma_gflops(target, threads), copy, FMA_ROOF, COPY_ROOF)
    return Roof(_sgemm_gflops(), copy, STAND_IN, COPY_ROOF)


def _fma_gflops(target: Target, threads: int) -> float:
    chains = _chains(target)
    flop = 2 * target.lanes(4) * chains * _FMA_PASSES
    with _function(fma_ir(target), "fma_loop", target, (ctypes.c_int64, ctypes.c_float, ctypes.c_void_p)) as loop:
        outputs = [np.empty(chains * target.lanes(4), np.float32) for _ in range(threads)]
        calls = [lambda out=out: loop(_FMA_PASSES, 0.5, out.ctypes.data) for out in outputs]
        return threads * flop / _best_seconds(calls) / 1e9


def _copy_gb_s(target: Target, threads: int) -> float:
    return max(_copy_rate(target, threads, non_temporal) for non_temporal in (False, True))


def _copy_rate(target: Target, threads: int, non_temporal: bool) -> float:
    step = target.vector_bytes * _COPY_UNROLL
    share = _COPY_BYTES // threads // _PAGE * _PAGE
    source, sink = (_pages(share * threads) for _ in range(2))
    signature = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    with _function(copy_ir(target, non_temporal), "copy_loop", target, signature) as loop:
        starts = [(source + i * share, sink + i * share) for i in range(threads)]
        calls = [lambda a=a, b=b: loop(a, b, share // step) for a, b in starts]
        return 2 * share * threads / _best_seconds(calls) / 1e9


def _sgemm_gflops() -> float:
    rng = np.random.default_rng(0)
    a, b = (rng.random((_SGEMM_SIZE, _SGEMM_SIZE), np.float32) for _ in range(2))
    out = np.empty_like(a)
    return 2 * _SGEMM_SIZE**3 / _best_seconds([lambda: np.matmul(a, b, out=out)]) / 1e9


def _best_seconds(calls: Sequence[Callable[[], object]]) -> float:
    """The shortest time in which all calls, each on a thread of its own, were done; the first window warms up."""
    barrier = threading.Barrier(len(calls))
    spans = np.zeros((len(calls), _WINDOWS + 1, 2))

    def work(number: int) -> None:
        for window in range(_WINDOWS + 1):
            barrier.wait()
            begin = time.perf_counter()
            calls[number]()
            spans[number, window] = begin, time.perf_counter()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return float((spans[:, 1:, 1].max(axis=0) - spans[:, 1:, 0].min(axis=0)).min())


@contextmanager
def _function(
    text: str, name: str, target: Target, arguments: Sequence[type[ctypes._SimpleCData[Any]]]
) -> Iterator[Callable[..., None]]:
    """The compiled function; calling it releases the interpreter's lock."""
    with LoadedCode([compile_object(text, target)], target) as library:
        yield ctypes.CFUNCTYPE(None, *arguments)(library.address(name))


_buffers: list[np.ndarray[Any, Any]] = []


def _pages(size: int) -> int:
    """The address of `size` bytes from a page boundary on, all touched; they live as long as the process."""
    buffer = np.ones(size + _PAGE, np.uint8)
    _buffers.append(buffer)
    return -(-int(buffer.ctypes.data) // _PAGE) * _PAGE


def _chains(target: Target) -> int:
    """Independent accumulators: enough to cover the latency, few enough to stay in registers."""
    return 24 if target.registers >= 32 else 12


def fma_ir(target: Target) -> str:
    """`fma_loop(passes, factor, out)`: acc = acc * factor + 1 on every chain, `passes` times; all stored to `out`."""
    lanes, chains = target.lanes(4), range(_chains(target))
    vector, fma = f"<{lanes} x float>", f"@llvm.fma.v{lanes}f32"
    operands = f"{vector} %factor, {vector} {_splat(lanes, 1)}"
    return f"""
declare {vector} {fma}({vector}, {vector}, {vector})
define void @fma_loop(i64 %passes, float %f, ptr %out) {{
entry:
  %f0 = insertelement {vector} poison, float %f, i32 0
  %factor = shufflevector {vector} %f0, {vector} poison, <{lanes} x i32> zeroinitializer
  br label %loop
loop:
  %n = phi i64 [ %passes, %entry ], [ %left, %loop ]
{_lines(f"  %a{i} = phi {vector} [ {_splat(lanes, i)}, %entry ], [ %b{i}, %loop ]" for i in chains)}
{_lines(f"  %b{i} = call {vector} {fma}({vector} %a{i}, {operands})" for i in chains)}
  %left = sub i64 %n, 1
  %done = icmp eq i64 %left, 0
  br i1 %done, label %end, label %loop
end:
{_lines(f"  %p{i} = getelementptr {vector}, ptr %out, i64 {i}" for i in chains)}
{_lines(f"  store {vector} %b{i}, ptr %p{i}, align 4" for i in chains)}
  ret void
}}
"""


def copy_ir(target: Target, non_temporal: bool) -> str:
    """`copy_loop(source, sink, steps)`: `_COPY_UNROLL` vectors a step, both pointers aligned to a vector."""
    width = target.vector_bytes
    vector = f"<{target.lanes(4)} x float>"
    mark = ", !nontemporal !0" if non_temporal else ""
    parts = range(_COPY_UNROLL)
    return f"""
define void @copy_loop(ptr %source, ptr %sink, i64 %steps) {{
entry:
  br label %loop
loop:
  %n = phi i64 [ %steps, %entry ], [ %left, %loop ]
  %s = phi ptr [ %source, %entry ], [ %s.next, %loop ]
  %t = phi ptr [ %sink, %entry ], [ %t.next, %loop ]
{_lines(f"  %s{i} = getelementptr i8, ptr %s, i64 {i * width}" for i in parts)}
{_lines(f"  %t{i} = getelementptr i8, ptr %t, i64 {i * width}" for i in parts)}
{_lines(f"  %v{i} = load {vector}, ptr %s{i}, align {width}" for i in parts)}
{_lines(f"  store {vector} %v{i}, ptr %t{i}, align {width}{mark}" for i in parts)}
  %s.next = getelementptr i8, ptr %s, i64 {width * _COPY_UNROLL}
  %t.next = getelementptr i8, ptr %t, i64 {width * _COPY_UNROLL}
  %left = sub i64 %n, 1
  %done = icmp eq i64 %left, 0
  br i1 %done, label %end, label %loop
end:
  ret void
}}
!0 = !{{i32 1}}
"""


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _splat(lanes: int, value: int) -> str:
    return f"<{', '.join([f'float {value}.0'] * lanes)}>"


if __name__ == "__main__":
    count = int(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    sys.stdout.write(json.dumps(asdict(_measure(count))) + "\n")
