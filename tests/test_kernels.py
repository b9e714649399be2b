"""Kernels: bodies that fusion makes rarely, sizes that split and block reductions, golden loops, and machine code.

Every case runs on guarded memory, on full and short batches, fused and unfused, for every target this machine runs.
`--update-golden` writes `kernels/*.loops`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from fuzz import UNFUSED, body_of, check_kernels, check_program, has_kernel, small_caches
from native import kernel_texts
from nets import cross_entropy

from codegen import jit
from codegen.loops import format_kernel
from codegen.lower import lower
from codegen.target import Target, named_target
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Array, Value
from graphc.ir.types import DType, Rows, TensorType, concrete
from graphc.primitives import functions as fn
from graphc.primitives.conv import ConvFilterGrad, ConvInputGrad
from passes.manager import run_passes
from passes.pipeline import PIPELINE

F32, F64, I32, BOOL = DType.F32, DType.F64, DType.I32, DType.BOOL
TARGETS = [name for name in ("host", "x86-64-v3", "x86-64-v2") if named_target(name).is_host_runnable]
INTEGERS = (DType.I8, DType.U8, DType.I32, DType.U32, DType.I64, DType.U64)
Case = Callable[[Builder], Value | Sequence[Value]]


def data(b: Builder, *dims: int, dtype: DType = F32) -> Value:
    return b.input(f"x{len(b.inputs)}", TensorType(dims, dtype))


def graph_of(case: Case, name: str = "case") -> Graph:
    b = Builder(name)
    made = case(b)
    return b.build([made] if isinstance(made, Value) else made)


def arrays_of(graph: Graph) -> dict[str, Array]:
    """Normal floats; integers partly outside of every dimension they may index."""
    rng = np.random.default_rng(7)
    return {v.name: _array(rng, v.type) for v in graph.inputs}


def _array(rng: np.random.Generator, type: TensorType) -> Array:
    size = concrete(type.shape)
    if type.dtype.is_float:
        return np.asarray(rng.standard_normal(size), type.dtype.numpy)
    low, high = (0, 2) if type.dtype is BOOL else (-3 if type.dtype.is_signed else 0, 12)
    return np.asarray(rng.integers(low, high, size), type.dtype.numpy)


def check_case(case: Case, rows: int, target: Target) -> None:
    graph = graph_of(case)
    arrays = arrays_of(graph)
    for passes in (PIPELINE, UNFUSED):
        check_kernels(run_passes(graph, passes), arrays, rows, target)


# ---- what fusion reads through what


def integers(dtype: DType) -> Case:
    def case(b: Builder) -> Sequence[Value]:
        x, y = (data(b, 9, 37, dtype=dtype) for _ in range(2))
        found = [fn.sum(b, x, 0), fn.sum(b, x, 1), fn.max(b, x, 1), fn.min(b, x, 0), fn.prod(b, x, 1)]
        found += [fn.argmax(b, x, 1), fn.argmin(b, x, 0), fn.cumsum(b, x, 1), fn.cumsum(b, x, 0, reverse=True)]
        found += [make(b, x, y) for make in (fn.add, fn.mul, fn.floor_div, fn.mod, fn.bit_xor, fn.lt, fn.maximum)]
        return [*found, fn.abs(b, x), fn.shl(b, x, 1), fn.cast(b, x, F32), fn.cast(b, x, DType.I8)]

    return case


def small(*dims: int) -> Case:
    def case(b: Builder) -> Sequence[Value]:
        x = data(b, *dims)
        found = [fn.neg(b, x), fn.mul(b, x, x), fn.sum(b, x)]
        return found if not dims else [*found, fn.sum(b, x, 0), fn.sum(b, x, -1), fn.cumsum(b, x, 0)]

    return case


def booleans(b: Builder) -> Sequence[Value]:
    x, y = (data(b, 5, 33, dtype=BOOL) for _ in range(2))
    return [
        fn.logical_and(b, x, y), fn.logical_not(b, x), fn.eq(b, x, y), fn.select(b, x, y, x), fn.cast(b, x, DType.I8),
        fn.cast(b, x, F64), fn.sum(b, fn.cast(b, x, I32), 1),
    ]  # fmt: skip


def rows_reduced(b: Builder) -> Sequence[Value]:
    x = data(b, Rows(9), 17)
    return [fn.sum(b, x, 0), fn.mean(b, x), fn.max(b, x, 0), fn.argmax(b, x, 0), fn.mean(b, x, 1), fn.softmax(b, x)]


def statistics(b: Builder) -> Sequence[Value]:
    x = data(b, Rows(4000), 96)
    return [fn.sum(b, x, 0), fn.mean(b, fn.square(b, x), 0)]


def embedded(b: Builder) -> Value:
    """Rows of a table that is itself computed: indices go through exp and slice, and stay in the slice's bounds."""
    return fn.gather(b, fn.exp(b, fn.slice_axis(b, data(b, 15, 17), 0, 2, 5)), data(b, 33, dtype=I32))


def filter_gradient(b: Builder) -> Value:
    op = ConvFilterGrad((3, 3, 12, 20), (1, 1), ((1, 1), (1, 1)), (1, 1))
    return fn.mul(b, b.add(op, data(b, Rows(24), 14, 13, 12), data(b, Rows(24), 14, 13, 20)), 0.1)


def input_gradient(b: Builder) -> Value:
    op = ConvInputGrad((Rows(5), 15, 14, 12), (2, 1), ((1, 0), (1, 1)), (1, 1))
    return fn.relu(b, b.add(op, data(b, Rows(5), 7, 14, 20), data(b, 3, 3, 12, 20)))


def conv(channels: int, filters: int) -> Case:
    def case(b: Builder) -> Value:
        x, w = data(b, Rows(8), 15, 17, channels), data(b, 3, 3, channels, filters)
        return fn.relu(b, fn.add(b, fn.conv(b, x, w, padding="same"), data(b, filters)))

    return case


def filter_gradient_of(channels: int, filters: int) -> Case:
    op = ConvFilterGrad((3, 3, channels, filters), (1, 1), ((1, 1), (1, 1)), (1, 1))
    return lambda b: b.add(op, data(b, Rows(24), 14, 13, channels), data(b, Rows(24), 14, 13, filters))


def pad_of(x: Callable[[Builder], Value]) -> Case:
    return lambda b: fn.pad(b, x(b), (1, 0), (0, 2), 5.0)


CASES: dict[str, tuple[int, Case]] = {
    **{f"integers-{dtype.value}": (0, integers(dtype)) for dtype in INTEGERS},
    **{f"small-{'x'.join(map(str, dims))}": (0, small(*dims))
       for dims in [(), (1,), (1, 1), (0,), (0, 5), (5, 0), (3, 0, 4), (1, 17, 1)]},
    "booleans": (0, booleans),
    "rows-reduced": (4, rows_reduced),
    "gather-exp-slice": (0, embedded),
    "gather-pad": (0, lambda b: fn.gather(b, fn.pad(b, data(b, 5, 3), (1, 0), (2, 1), 7.0), data(b, 9, dtype=I32))),
    "gather-concat": (0, lambda b: fn.gather(b, fn.concat(b, [data(b, 5, 3), data(b, 2, 3)], 0), data(b, 9, dtype=I32))),
    "gather-flip": (0, lambda b: fn.gather(b, fn.flip(b, data(b, 5, 3), 0), data(b, 9, dtype=I32))),
    "gather-gather": (0, lambda b: fn.gather(b, fn.gather(b, data(b, 9, 3), data(b, 6, dtype=I32)), data(b, 7, dtype=I32))),
    "pad-gather": (0, pad_of(lambda b: fn.gather(b, data(b, 4, 3), data(b, 6, dtype=I32)))),
    "pad-pad": (0, pad_of(lambda b: fn.pad(b, data(b, 4, 3), (1, 1), (1, 0), 3.0))),
    "pad-exp": (0, pad_of(lambda b: fn.exp(b, data(b, 4, 3)))),
    "slice-pad-exp": (0, lambda b: fn.slice(b, fn.pad(b, fn.exp(b, data(b, 5, 3)), (2, 1), (0, 0), 7.0), (1, 0), (1, 4))),
    "cumsum-exp": (3, lambda b: fn.exp(b, fn.cumsum(b, data(b, Rows(5), 37), 1))),
    "cumsum-reverse": (0, lambda b: fn.exp(b, fn.cumsum(b, data(b, 37, 19), 0, reverse=True))),
    "exp-scatter": (4, lambda b: fn.exp(b, fn.scatter_add(b, (7, 5), data(b, Rows(6), dtype=I32), data(b, Rows(6), 5)))),
    "scatter-exp": (4, lambda b: fn.scatter_add(b, (7, 5), data(b, Rows(6), dtype=I32), fn.exp(b, data(b, Rows(6), 5)))),
    "argmax-two-axes": (0, lambda b: fn.argmax(b, fn.reshape(b, data(b, 3, 5, 7), (3, 35)), 1)),
    "sum-flip": (0, lambda b: fn.sum(b, fn.flip(b, data(b, 30, 100), 1))),
    "sum-broadcast": (0, lambda b: fn.sum(b, fn.broadcast(b, data(b, 7), (7, 40_000), (0,)), 0)),
    "softmax-rank1": (0, lambda b: fn.softmax(b, data(b, 300), 0)),
    "softmax-rank3": (2, lambda b: fn.softmax(b, data(b, Rows(4), 5, 31))),
    "softmax-rank4": (2, lambda b: fn.softmax(b, data(b, Rows(4), 5, 3, 31))),
    "softmax-three-axes": (2, lambda b: fn.softmax(b, data(b, Rows(4), 5, 3, 31), (1, 2, 3))),
    "softmax-over-rows": (7, lambda b: fn.softmax(b, data(b, 3, Rows(20)))),
    "dot-nothing": (0, lambda b: fn.exp(b, fn.matmul(b, data(b, 3, 0), data(b, 0, 5)))),
    "dot-scalars": (0, lambda b: fn.dot(b, data(b), data(b), ((), ()))),
    "dot-outer": (0, lambda b: fn.dot(b, data(b, 5), data(b, 37), ((), ()))),
    "dot-long": (0, lambda b: fn.matmul(b, data(b, 9, 20_000), data(b, 20_000, 24))),
    "dot-large": (0, lambda b: fn.relu(b, fn.matmul(b, data(b, 129, 257), data(b, 257, 130)))),
    "dot-rows": (333, lambda b: fn.relu(b, fn.matmul(b, data(b, Rows(1000), 84), data(b, 84, 10)))),
    "dot-over-rows": (1003, lambda b: fn.dot(b, data(b, Rows(3000), 64), data(b, Rows(3000), 48), ((0,), (0,)))),
    "dot-transposed": (0, lambda b: fn.dot(b, data(b, 65, 300), data(b, 70, 300), ((1,), (1,)))),
    "dot-f64": (0, lambda b: fn.matmul(b, data(b, 61, 67, dtype=F64), data(b, 67, 71, dtype=F64))),
    "statistics": (1003, statistics),
    "sum-of-all": (103, lambda b: fn.sum(b, data(b, Rows(300), 1000))),
    "conv-16-33": (3, conv(16, 33)),
    "conv-1-8": (3, conv(1, 8)),
    "conv-3-5": (3, conv(3, 5)),
    "conv-24-3": (3, conv(24, 3)),
    "conv-90-1": (3, conv(90, 1)),
    "conv-filter-gradient": (7, filter_gradient),
    "conv-filter-gradient-24-3": (7, filter_gradient_of(24, 3)),
    "conv-filter-gradient-70-1": (7, filter_gradient_of(70, 1)),
    "dot-few-results": (5, lambda b: fn.relu(b, fn.matmul(b, data(b, Rows(8), 12, 200), data(b, 200, 3)))),
    "conv-input-gradient": (2, input_gradient),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_kernels_agree_with_the_interpreter(name: str, target: str) -> None:
    rows, case = CASES[name]
    check_case(case, rows, named_target(target))


@pytest.mark.parametrize("name", CASES)
def test_kernels_agree_when_caches_are_small(name: str) -> None:
    """The same with reductions split, blocked and walked in panels at any size."""
    rows, case = CASES[name]
    with small_caches():
        check_case(case, rows, named_target("host"))


@pytest.mark.parametrize("name", [name for name in CASES if "over-rows" not in name or name.startswith("dot")])
def test_programs_agree_with_the_interpreter(name: str) -> None:
    rows, case = CASES[name]
    graph = graph_of(case)
    check_program(graph, arrays_of(graph), rows)


# ---- golden loops

AVX512 = named_target("x86-64-v4")
AVX2 = named_target("x86-64-v3")
NEON = named_target("neoverse-n1")


def convolution(b: Builder) -> Value:
    x, w, bias = data(b, Rows(32), 28, 28, 8), data(b, 3, 3, 8, 32), data(b, 32)
    return fn.relu(b, fn.add(b, fn.conv(b, x, w), bias))


def product(b: Builder) -> Value:
    return fn.matmul(b, data(b, 256, 128), data(b, 128, 256))


def loss(b: Builder) -> Value:
    logits = b.input("logits", TensorType((Rows(32), 10), F32))
    return cross_entropy(b, logits, b.input("labels", TensorType((Rows(32),), I32)))


GOLDEN: dict[str, Case] = {"conv_bias_relu": convolution, "matmul": product, "cross_entropy": loss}


def kernels_of(case: Case, target: Target) -> Sequence:  # type: ignore[type-arg]
    graph = run_passes(graph_of(case), PIPELINE)
    bodies = [body_of(node) for node in graph.nodes if has_kernel(node)]
    return [kernel for i, body in enumerate(bodies) for kernel in lower(body, f"k{i}", target).kernels]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_loops(name: str, update_golden: bool) -> None:
    path = Path(__file__).parent / "kernels" / f"{name}.loops"
    got = "\n".join(format_kernel(kernel) for kernel in kernels_of(GOLDEN[name], AVX512))
    if update_golden:
        path.write_text(got)
    assert got == path.read_text(), f"pytest {__file__} --update-golden, then read the difference"


def dense(units: int) -> Case:
    return lambda b: fn.matmul(b, data(b, Rows(64), 256), data(b, 256, units))


def test_few_results_of_a_batch_share_what_they_read() -> None:
    """A dense layer of three: its weights turned over once, then three products side by side; of one: nothing to do."""
    turned, three = kernels_of(dense(3), AVX512)
    (one,) = kernels_of(dense(1), AVX512)
    assert "transpose" in turned.schedule and "together={n0: 3}" in three.schedule and "together" not in one.schedule


# ---- machine code

MULTIPLY_ADD = {"x86_64": re.compile(r"vf(n?)madd\w+\s"), "aarch64": re.compile(r"\bfmla\s")}
STACK = {"x86_64": re.compile(r"\(%rsp[,)]|-\d+\(%rbp\)"), "aarch64": re.compile(r"\[sp[,\]]")}
SCALAR = {"x86_64": re.compile(r"vf\w+ss\s"), "aarch64": re.compile(r"\bfmadd\s")}


def hottest_block(case: Case, target: Target) -> list[str]:
    """The instructions of the basic block with most multiply-adds: the innermost loop of the contraction."""
    assembly = jit.assembly(kernel_texts(kernels_of(case, target), target), target)
    blocks: list[list[str]] = [[]]
    for line in assembly.splitlines():
        if line.startswith("\t") and not line.startswith("\t."):
            blocks[-1].append(line.strip())
        if re.match(r"\S+:|\tj|\tb\.|\tcb", line):
            blocks.append([])
    return max(blocks, key=lambda block: sum(bool(MULTIPLY_ADD[target.arch].search(line)) for line in block))


@pytest.mark.parametrize("target", [AVX512, AVX2, NEON], ids=str)
@pytest.mark.parametrize("case", [convolution, product], ids=["conv", "matmul"])
def test_innermost_loops_are_multiply_adds_on_registers(case: Case, target: Target) -> None:
    block = hottest_block(case, target)
    multiply_adds = [line for line in block if MULTIPLY_ADD[target.arch].search(line)]
    code = "\n".join(block)
    assert len(multiply_adds) >= 8 and len(multiply_adds) >= len(block) / 3, code
    assert not STACK[target.arch].search(code), f"a register was spilled:\n{code}"
    assert not SCALAR[target.arch].search(code), f"scalar arithmetic:\n{code}"
