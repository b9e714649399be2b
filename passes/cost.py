"""The cost model of fusion: a roofline of a few measured constants.

    time of a kernel = LAUNCH + max(bytes read and written / BANDWIDTH, operations / RATE)

Constants from one AVX-512 core (Zen 5, f32): DRAM 32 GB/s, multiply-add 240 GFLOP/s, exp 0.15 ns an element, Threefry
about 80 operations a number, 1 us to hand a kernel to the threads. Only ratios matter: a value is kept in memory when
writing and reading it back is cheaper than computing it again.
"""

from __future__ import annotations

from graphc.ir.cost import LAUNCH

BANDWIDTH = 30e9  # bytes per second
RATE = 200e9  # operations per second
CHEAP = 12.0  # operations a point up to which a map may be computed in several kernels


def kernel_seconds(nbytes: float, flops: float) -> float:
    return LAUNCH + max(nbytes / BANDWIDTH, flops / RATE)
