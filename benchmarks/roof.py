"""The machine's arithmetic roof, or what stands in for it: numpy's float32 matrix product.

It is not the peak of the fused multiply-add units (numpy's OpenBLAS may not use the widest vectors), so a good kernel
can stand above 100 %. Run as `python -m benchmarks.roof`, it prints GFLOP/s with the threads of OPENBLAS_NUM_THREADS.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOF = "numpy sgemm"
_SIZE = 2048
_REPEATS = 8


def sgemm_gflops(threads: int) -> float:
    """Best of several products of 2048 x 2048 matrices, measured in a process of its own."""
    variables = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.roof"]
    root = Path(__file__).resolve().parent.parent
    return float(subprocess.run(command, env=variables, cwd=root, check=True, capture_output=True, text=True).stdout)


def _measure() -> float:
    rng = np.random.default_rng(0)
    a, b = (rng.random((_SIZE, _SIZE), np.float32) for _ in range(2))
    out = np.empty_like(a)
    best = min(_seconds(a, b, out) for _ in range(_REPEATS))
    return 2 * _SIZE**3 / best / 1e9


def _seconds(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> float:
    begin = time.perf_counter()
    np.matmul(a, b, out=out)
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.stdout.write(f"{_measure()}\n")
