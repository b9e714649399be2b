"""Runs body graphs as native code on guarded memory, and says how exact native code must be.

Every buffer lies in a mapping of its own between two pages that nobody may touch: a kernel that reads or writes one
element too many dies at once. Arrays end at the upper page in one run and begin at the lower page in another, where the
work also runs in other chunks and in the opposite order, for nothing may depend on that.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from codegen import jit
from codegen.assembly import Assembly
from codegen.emit import emit_kernel
from codegen.loops import Kernel
from codegen.lower import Lowered, lower
from codegen.program import build_program
from codegen.scan import Driver
from codegen.target import Target
from graphc.ir.builder import Builder
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Array, Expanded, Node, Op, Role, Types, Value
from graphc.ir.program import Program
from graphc.ir.types import DType, Rows, TensorType, concrete
from graphc.primitives.elementwise import Bitcast, Cast
from graphc.primitives.source import Constant, RowCount
from passes.expand import expand
from passes.fusion import fuse
from passes.memory import plan_memory

SMALL_CHUNKS = 50
RUBBISH = 0x5A  # every byte of memory that has not been written
_READ, _READ_WRITE = 1, 3
_ENTRY = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Fence:
    """An array between two untouchable pages; at the upper one, or at the lower one with `at_start`.

    Use as a context manager: memory goes back at the end. Bytes between the array and the other page hold RUBBISH, and
    `check` asserts that they still do.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], at_start: bool) -> None:
        page = mmap.PAGESIZE
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        room = max(-(-nbytes // page), 1) * page
        self._memory = mmap.mmap(-1, room + 2 * page)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self._begin, self._room = self._bytes.ctypes.data, room
        inside = self._bytes[page : page + room]
        inside[:] = RUBBISH
        own = slice(0, nbytes) if at_start else slice(room - nbytes, room)
        self.array = inside[own].view(dtype).reshape(shape)
        self._slack = inside[nbytes:] if at_start else inside[: room - nbytes]
        self._protect(0, page, 0)
        self._protect(page + room, page, 0)

    def _protect(self, offset: int, length: int, rights: int) -> None:
        if _libc.mprotect(self._begin + offset, length, rights):
            raise OSError(ctypes.get_errno(), "mprotect")

    def freeze(self) -> None:
        """From now on the array may only be read."""
        self._protect(mmap.PAGESIZE, self._room, _READ)

    @property
    def address(self) -> int:
        return int(self.array.ctypes.data)

    def check(self) -> None:
        assert np.all(self._slack == RUBBISH), "memory beside an array was written"

    def close(self) -> None:
        self._protect(0, self._room + 2 * mmap.PAGESIZE, _READ_WRITE)
        del self.array, self._slack, self._bytes
        self._memory.close()


@dataclass(frozen=True, slots=True)
class NativeBody:
    """A body graph compiled for a target: its kernels and their code."""

    graph: Graph
    lowered: Lowered
    code: jit.LoadedCode
    text: str

    def run(self, arrays: Sequence[Array], rows: int, at_start: bool = False) -> list[Array]:
        """The outputs for these operands; `rows` of the batch hold data."""
        count_in = self.lowered.inputs
        shapes = [(a.shape, a.dtype) for a in arrays]
        shapes += [(concrete(v.shape), v.dtype.numpy) for v in self.graph.outputs]
        shapes += [(concrete(b.shape), b.dtype.numpy) for b in self.lowered.workspaces]
        fences = [Fence(shape, dtype, at_start) for shape, dtype in shapes]
        try:
            for fence, array in zip(fences, arrays, strict=False):
                fence.array[...] = array
                fence.freeze()
            for kernel in self.lowered.kernels:
                self._call(kernel, fences, rows, at_start)
            for fence in fences:
                fence.check()
            return [fence.array.copy() for fence in fences[count_in : count_in + self.lowered.outputs]]
        finally:
            for fence in fences:
                fence.close()

    def _call(self, kernel: Kernel | Driver, fences: Sequence[Fence], rows: int, backwards: bool) -> None:
        addresses, slots = [fence.address for fence in fences], range(len(fences))
        work = kernel.units, kernel.grain, kernel.scratch_bytes
        call_kernel(self.code.address(kernel.name), addresses, slots, work, rows, backwards)


def call_kernel(
    address: int, table: Sequence[int], slots: Sequence[int], work: tuple[int, int, int], rows: int, backwards: bool
) -> None:
    """All units of a kernel: in its own chunks, or backwards in about SMALL_CHUNKS. `work`: units, grain, scratch."""
    units, own_grain, scratch_bytes = work
    pointers, numbers = (ctypes.c_void_p * len(table))(*table), (ctypes.c_int32 * len(slots))(*slots)
    scratch = Fence((scratch_bytes,), np.dtype(np.uint8), at_start=False)
    grain = -(-units // SMALL_CHUNKS) if backwards else own_grain
    begins = range(0, units, max(grain, 1))
    for begin in reversed(begins) if backwards else begins:
        end = min(begin + grain, units)
        _ENTRY(address)(ctypes.addressof(pointers), ctypes.addressof(numbers), begin, end, rows, scratch.address)
    scratch.check()
    scratch.close()


@dataclass(frozen=True, slots=True)
class NativeProgram:
    """A fused graph without weights, compiled for a target: all its phases, with every array on guarded memory."""

    graph: Graph
    program: Program
    code: jit.LoadedCode

    def run(self, arrays: Sequence[Array], rows: int, at_start: bool = False) -> list[Array]:
        """The outputs for these inputs; `rows` of the batch hold data."""
        program, byte = self.program, np.dtype(np.uint8)
        fences = {("input", i): Fence(a.shape, a.dtype, at_start) for i, a in enumerate(arrays)}
        fences |= {("constant", i): Fence(a.shape, a.dtype, at_start) for i, a in enumerate(program.constants)}
        for (place, i), fence in fences.items():
            fence.array[...] = arrays[i] if place == "input" else program.constants[i]
            fence.freeze()
        slots = enumerate(program.outputs)
        outputs = {("output", i): Fence(concrete(s.shape), s.dtype.numpy, at_start) for i, s in slots}
        fences |= outputs | {("arena", 0): Fence((program.arena_bytes,), byte, at_start=False)}
        table = [fences[entry.place, entry.index].address + entry.offset for entry in program.entries]
        try:
            for phase in program.phases:
                work = phase.units, phase.grain, program.scratch_bytes
                call_kernel(self.code.address(phase.symbol), table, phase.slots, work, rows, at_start)
            for fence in fences.values():
                fence.check()
            return [fence.array.copy() for fence in outputs.values()]
        finally:
            for fence in fences.values():
                fence.close()


def kernel_texts(kernels: Sequence[Kernel | Driver], target: Target) -> str:
    """The LLVM module of some kernels, of which none is a driver."""
    asm = Assembly()
    for kernel in kernels:
        assert isinstance(kernel, Kernel)
        emit_kernel(asm, kernel, target)
    return asm.text()


def compile_bodies(graphs: Sequence[Graph], target: Target) -> list[NativeBody]:
    """Body graphs compiled in one module each and one code, which is what costs the time."""
    lowered = [lower(graph, f"k{i}", target) for i, graph in enumerate(graphs)]
    texts = [kernel_texts(low.kernels, target) for low in lowered]
    code = jit.LoadedCode([jit.compile_object(text, target) for text in texts], target)
    return [NativeBody(g, low, code, text) for g, low, text in zip(graphs, lowered, texts, strict=True)]


def single_op(op: Op, types: Types) -> Graph:
    """The graph of one op over inputs x0, x1, ..."""
    b = Builder(op.mnemonic)
    inputs = [b.input(f"x{i}", type) for i, type in enumerate(types)]
    return b.build(b.add_all(op, *inputs))


@functools.cache
def _compiled_op(op: Op, types: Types, target: Target) -> NativeBody | NativeProgram:
    if not isinstance(op, Loop | Expanded):
        return compile_bodies([single_op(op, types)], target)[0]
    return compile_program(single_op(op, types), target)


def compile_program(graph: Graph, target: Target) -> NativeProgram:
    """A graph without weights, fused and compiled."""
    program, code = build_program(plan_memory(fuse(expand(graph))), target)
    objects = [jit.compile_object(text, target) for text in code.modules]
    return NativeProgram(graph, program, jit.LoadedCode(objects, target))


def run_op(op: Op, types: Types, arrays: Sequence[Array], rows: int, target: Target) -> list[Array]:
    """One op as native code, on memory that ends and on memory that begins at a guard page, with equal results."""
    body = _compiled_op(op, types, target)
    results = body.run(arrays, rows)
    for one, other in zip(results, body.run(arrays, rows, at_start=True), strict=True):
        np.testing.assert_array_equal(one, other)
    return results


# ---- tolerance


def largest(arrays: Sequence[Array]) -> float:
    """The largest finite magnitude among the float arrays."""
    found = [np.abs(a[np.isfinite(a)]).max(initial=0) for a in arrays if a.dtype.kind == "f"]
    return float(max(found, default=0.0))


def assert_exact_enough(got: Array, plain: Array, exact: Array, scale: float) -> None:
    """`got` against numpy's result in its own type (`plain`) and in the widest type (`exact`).

    Floats: the error may be 4 times numpy's own, and 8 units in the last place of `scale`, the largest intermediate.
    Everything else must be equal.
    """
    assert got.dtype == plain.dtype and got.shape == plain.shape
    if plain.dtype.kind != "f":
        np.testing.assert_array_equal(got, plain)
        return
    with np.errstate(all="ignore"):
        own = np.abs(plain.astype(exact.dtype) - exact)
    own = float(own[np.isfinite(own)].max(initial=0.0))
    finite = np.isfinite(plain)
    unit = float(np.finfo(plain.dtype).eps)
    np.testing.assert_array_equal(got[~finite], plain[~finite])
    np.testing.assert_allclose(got[finite], exact[finite].astype(plain.dtype), rtol=0, atol=4 * own + 8 * unit * scale)


# ---- short batches


def prefix(array: Array, type: TensorType, rows: int) -> Array:
    """The valid elements of an array for so many rows."""
    return array[(*(slice(rows * dim.per if isinstance(dim, Rows) else None) for dim in type.shape), ...)]


def poison(array: Array, type: TensorType, rows: int) -> Array:
    """The array with everything but the valid elements made useless."""
    useless = {"f": np.nan, "b": True}.get(array.dtype.kind, 99)
    result = np.full_like(array, useless)
    prefix(result, type, rows)[...] = prefix(array, type, rows)
    return result


def shrink(value: Any, rows: int) -> Any:
    """Types, ops and attributes with another batch."""
    match value:
        case Rows():
            return Rows(rows, value.per)
        case tuple():
            return tuple(shrink(v, rows) for v in value)
        case TensorType():
            return value.with_shape(shrink(value.shape, rows))
        case Graph():
            return at_batch(value, rows)
        case RowCount():
            return replace(value, batch=rows)
        case Op():
            return remake(value, lambda attribute: shrink(attribute, rows))
    return value


def at_batch(graph: Graph, rows: int) -> Graph:
    """The graph made for another batch."""
    b = Builder(graph.name)
    known = {v: b.input(v.name, shrink(v.type, rows), graph.role(v) or Role.INPUT) for v in graph.inputs}
    for node in graph.nodes:
        values = b.add_all(shrink(node.op, rows), *(known[v] for v in node.inputs))
        known.update(zip(node.outputs, values, strict=True))
    return b.build([known[v] for v in graph.results])


# ---- the same computation in f64


def remake(op: Op, change: Callable[[Any], Any]) -> Op:
    """The op with every attribute changed."""
    attributes: Any = op
    return type(op)(**{f.name: change(getattr(op, f.name)) for f in fields(attributes)})


def in_f64(value: Any) -> Any:
    """Types, ops and attributes with f64 for f32, so that differences are exact enough."""
    match value:
        case DType.F32:
            return DType.F64
        case tuple():
            return tuple(in_f64(v) for v in value)
        case TensorType():
            return value.with_dtype(in_f64(value.dtype))
        case Graph():
            return widened(value)
        case Op():
            return remake(value, in_f64)
    return value


def widened(graph: Graph) -> Graph:
    """The graph with f64 for every f32, results in the same order; bits are still made and read as f32."""
    b = Builder(graph.name)
    known = {v: b.input(v.name, in_f64(v.type), graph.role(v) or Role.INPUT) for v in graph.inputs}
    for node in graph.nodes:
        values = _widened_node(b, node, [known[v] for v in node.inputs])
        known.update(zip(node.outputs, values, strict=True))
    return b.build([known[v] for v in graph.results])


def _widened_node(b: Builder, node: Node, inputs: Sequence[Value]) -> Sequence[Value]:
    match node.op:
        case Bitcast(dtype):
            was = [b.add(Cast(old.dtype), new) for old, new in zip(node.inputs, inputs, strict=True)]
            return (b.add(Cast(in_f64(dtype)), b.add(Bitcast(dtype), *was)),)
        case Constant(array) if array.dtype == np.float32:
            return (b.add(Constant(array.astype(np.float64))),)
        case Constant():
            return (b.add(node.op),)
        case Fused(body, label):
            return b.add_all(Fused(widened(body), label), *inputs)
    return b.add_all(in_f64(node.op), *inputs)


def widen(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array
