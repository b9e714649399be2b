"""The cost model of fusion: a roofline of a few measured constants.

    time of a kernel = LAUNCH + max(bytes read and written / BANDWIDTH, operations / RATE)

Constants from one AVX-512 core (Zen 5, f32): DRAM 32 GB/s, multiply-add 240 GFLOP/s, exp 0.15 ns an element, Threefry
about 80 operations a number, 1 us to hand a kernel to the threads. Only ratios matter: a value is kept in memory when
writing and reading it back is cheaper than computing it again.
"""

from __future__ import annotations

from graphc.ir.nest import Affine, Apply, Expr, Load, Nest, children

LAUNCH = 1e-6  # seconds
BANDWIDTH = 30e9  # bytes per second
RATE = 200e9  # operations per second

SIMPLE = 1.0
FLOPS = {
    "div": 4.0, "floor_div": 6.0, "mod": 6.0, "reciprocal": 4.0, "sqrt": 4.0, "rsqrt": 8.0,
    "exp": 10.0, "expm1": 12.0, "log": 15.0, "log1p": 18.0, "log2": 15.0, "log10": 15.0, "pow": 30.0,
    "sin": 15.0, "cos": 15.0, "tan": 20.0, "sinh": 15.0, "cosh": 15.0, "tanh": 15.0,
    "asin": 20.0, "acos": 20.0, "atan": 20.0, "atan2": 25.0, "asinh": 25.0, "acosh": 25.0, "atanh": 20.0,
    "sigmoid": 12.0, "softplus": 25.0, "erf": 16.0, "erfinv": 20.0, "threefry": 80.0,
}  # fmt: skip
INDIRECT = 4.0  # a load whose index is computed
CHEAP = 12.0  # operations a point up to which a map may be computed in several kernels


def flops_of(nest: Nest) -> float:
    """Operations of one evaluation of the nest's body, its accumulation included."""
    return expr_flops(nest.body) + (SIMPLE if nest.reduce else 0.0)


def expr_flops(expr: Expr) -> float:
    inner = sum(map(expr_flops, children(expr)))
    match expr:
        case Apply(fn=fn):
            return inner + FLOPS.get(fn, SIMPLE)
        case Load(index=index) if not all(isinstance(i, Affine) for i in index):
            return inner + INDIRECT
    return inner


def kernel_seconds(nbytes: float, flops: float) -> float:
    return LAUNCH + max(nbytes / BANDWIDTH, flops / RATE)
