"""The kernel IR: loops over registers and buffers, the one level between nests and LLVM.

A kernel is a list of statements. Indices are affine in loop variables (`begin`, `end` and `rows` are variables too: the
units of this call and the runtime batch rows). Scalar expressions are those of `graphc.ir.nest`, with operand numbers
that name the kernel's buffers; `Reg` is a register, `AcrossLanes` a vector register combined into a scalar.
Inside `Vector` one variable stands for consecutive lanes; whatever depends on it is a vector, everything else a scalar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.ir.nest import Affine, Apply, Expr, Index, Load, Position, Reg, substitute, walk
from graphc.ir.types import DType

Bound: TypeAlias = Affine | Expr


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory a kernel reads or writes: row-major, `shape` at the compiled maximum of rows.

    A local buffer lives in the thread's scratch memory; the others are the kernel's operands, in order.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    is_output: bool = False
    is_local: bool = False

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements between neighbours along each dimension."""
        strides, step = [], 1
        for dim in reversed(self.shape):
            strides.append(step)
            step *= int(dim)
        return tuple(reversed(strides))


@dataclass(frozen=True, slots=True)
class Loop:
    """for var in start..stop by step: body, in order. Registers assigned inside are carried."""

    var: str
    start: Bound
    stop: Bound
    body: tuple[Stmt, ...]
    step: int = 1


@dataclass(frozen=True, slots=True)
class Split:
    """Takes a unit number apart into variables, the last the fastest: the parallel axes of a kernel."""

    unit: str
    parts: tuple[tuple[str, int], ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Unroll:
    """The body once for each value of var."""

    var: str
    values: tuple[int, ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Vector:
    """The body with var = base, base + 1, ... in `lanes` lanes; only the first `active` (None = all) touch memory."""

    var: str
    base: Affine
    lanes: int
    body: tuple[Stmt, ...]
    active: Bound | None = None


@dataclass(frozen=True, slots=True)
class Registers:
    """The accumulators `names` exist inside the body only."""

    names: tuple[str, ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Let:
    """Names a value. Inside `Vector` a value that does not depend on the lanes stays a scalar."""

    reg: Reg
    value: Expr


@dataclass(frozen=True, slots=True)
class Set:
    """Assigns an accumulator; inside `Vector` it is a vector."""

    reg: Reg
    value: Expr


@dataclass(frozen=True, slots=True)
class Accumulate:
    """reg = combine(reg, value). `position` goes with argmax/argmin. `masked`: inactive lanes keep their value."""

    reg: Reg
    combine: str
    value: Expr
    position: Expr | None = None
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """buffer[index] = value, or += value."""

    buffer: int
    index: tuple[Index, ...]
    value: Expr
    add: bool = False


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Has the memory of a load fetched into the cache, in time for the load itself, or for a store to the same place;
    changes nothing."""

    load: Load
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class Transpose:
    """Copies a tile of `rows` x `columns` elements, turned over in registers.

    `load` is contiguous along `column`, the store along `row`; the tile begins at `row_base`, `column_base`. At most
    `lanes` rows and columns.
    """

    load: Load
    buffer: int
    index: tuple[Affine, ...]
    row: str
    column: str
    row_base: Affine
    column_base: Affine
    lanes: int
    rows: int
    columns: int


Stmt: TypeAlias = Loop | Split | Unroll | Vector | Registers | Let | Set | Accumulate | Store | Prefetch | Transpose
Block: TypeAlias = tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One native function. It works on units begin..end of `units`; `grain` units are one chunk of parallel work.

    `schedule` says in words what was chosen, for dumps. Neither `grain` nor anything else depends on the thread count.
    The chunks of a `joint` kernel read the same operands, and its results do not depend on where chunks end: a thread
    is given several as one.
    """

    name: str
    buffers: tuple[Buffer, ...]
    units: int
    grain: int
    body: Block
    schedule: str = ""
    joint: bool = False

    @property
    def scratch_bytes(self) -> int:
        """Thread-local memory: the local buffers, each on a 64-byte boundary."""
        return sum(padded_bytes(b) for b in self.buffers if b.is_local)


def padded_bytes(buffer: Buffer) -> int:
    size = buffer.dtype.size
    for dim in buffer.shape:
        size *= int(dim)
    return -(-size // 64) * 64


def const(value: int) -> Affine:
    return Affine((), int(value))


def as_i64(bound: Bound) -> Expr:
    """A bound as an expression."""
    return Position(bound, DType.I64) if isinstance(bound, Affine) else bound


def larger(a: Bound, b: Bound) -> Bound:
    return Apply("max", (as_i64(a), as_i64(b)), DType.I64)


def smaller(a: Bound, b: Bound) -> Bound:
    return Apply("min", (as_i64(a), as_i64(b)), DType.I64)


def substituted(block: Block, where: Mapping[str, Affine]) -> Block:
    """The statements with variables replaced by affine functions of others, in every expression, index and bound."""
    return tuple(_substituted(stmt, where) for stmt in block)


def _substituted(stmt: Stmt, where: Mapping[str, Affine]) -> Stmt:
    def bound(value: Bound) -> Bound:
        return value.substitute(where) if isinstance(value, Affine) else substitute(value, where)

    match stmt:
        case Loop(start=start, stop=stop, body=body):
            return replace(stmt, start=bound(start), stop=bound(stop), body=substituted(body, where))
        case Unroll(body=body) | Vector(body=body) | Registers(body=body) | Split(body=body):
            return replace(stmt, body=substituted(body, where))
        case Let(value=value) | Set(value=value):
            return replace(stmt, value=substitute(value, where))
        case Accumulate(value=value, position=position):
            return replace(stmt, value=substitute(value, where), position=position and substitute(position, where))
        case Store(index=index, value=value):
            return replace(stmt, index=tuple(map(bound, index)), value=substitute(value, where))
        case Prefetch(load=load):
            moved = substitute(load, where)
            assert isinstance(moved, Load)
            return replace(stmt, load=moved)
        case Transpose():
            raise AssertionError("a transposed tile has no variables to replace")


def assigned(block: Iterable[Stmt]) -> Iterator[str]:
    """Names of the registers that accumulate or are set anywhere in the statements."""
    for stmt in block:
        match stmt:
            case Set(reg=reg):
                yield reg.name
            case Accumulate(reg=reg, position=position):
                yield reg.name
                if position is not None:
                    yield f"{reg.name}.at"
            case Loop(body=body) | Split(body=body) | Unroll(body=body) | Vector(body=body) | Registers(body=body):
                yield from assigned(body)


def format_kernel(kernel: Kernel) -> str:
    """The kernel as text, for dumps and golden files."""
    operands = [b for b in kernel.buffers if not b.is_local]
    outs = [_declared(b) for b in operands if b.is_output]
    ins = [_declared(b) for b in operands if not b.is_output]
    lines = [f"kernel @{kernel.name}({', '.join(ins)}) -> {', '.join(outs)}"]
    if kernel.schedule:
        lines.append(f"  schedule {{{kernel.schedule}}}")
    lines += [f"  local {_declared(b)}" for b in kernel.buffers if b.is_local]
    lines.append(f"  parallel {kernel.units} units, {kernel.grain} a chunk{', joined' if kernel.joint else ''}:")
    lines += _format_block(kernel.body, kernel, "    ")
    return "\n".join(lines) + "\n"


def _declared(buffer: Buffer) -> str:
    return f"{buffer.name}: {buffer.dtype.value}[{','.join(map(str, buffer.shape))}]"


def _format_block(block: Block, kernel: Kernel, pad: str) -> Iterator[str]:
    for stmt in block:
        head, body = _format_stmt(stmt, kernel)
        yield pad + head
        yield from _format_block(body, kernel, pad + "  ")


def _format_stmt(stmt: Stmt, kernel: Kernel) -> tuple[str, Block]:
    def show(value: Bound) -> str:
        return format_expr(value, kernel)

    match stmt:
        case Loop(var, start, stop, body, step):
            by = f" by {step}" if step != 1 else ""
            return f"for {var} in {show(start)}..{show(stop)}{by}:", body
        case Split(unit, parts, body):
            return f"split {unit} into {', '.join(f'{v} in 0..{n}' for v, n in parts)}:", body
        case Unroll(var, values, body):
            return f"unroll {var} in {_format_values(values)}:", body
        case Vector(var, base, lanes, body, active):
            mask = f" if {var} < {show(base)} + {show(active)}" if active is not None else ""
            return f"vector {var} in {show(base)} + 0..{lanes}{mask}:", body
        case Registers(names, body):
            return f"registers {', '.join(names)}:", body
        case Let(reg, value) | Set(reg, value):
            return f"{reg} = {show(value)}", ()
        case Accumulate(reg, combine, value, position, masked):
            at = f" at {show(position)}" if position is not None else ""
            return f"{reg} {combine}= {show(value)}{at}{' (masked)' if masked else ''}", ()
        case Prefetch(load, is_written):
            return f"prefetch {show(load)}{' to write' if is_written else ''}", ()
        case Transpose(load, buffer, index, row, column, row_base, column_base, _, rows, columns):
            tile = f"{row} in {show(row_base)} + 0..{rows}, {column} in {show(column_base)} + 0..{columns}"
            target = f"{kernel.buffers[buffer].name}[{', '.join(map(show, index))}]"
            return f"transpose {tile}: {target} = {show(load)}", ()
        case Store(buffer, index, value, add):
            target = f"{kernel.buffers[buffer].name}[{', '.join(map(show, index))}]"
            return f"{target} {'+=' if add else '='} {show(value)}", ()


def _format_values(values: tuple[int, ...]) -> str:
    if values == tuple(range(values[0], values[0] + len(values))):
        return f"{values[0]}..{values[-1] + 1}"
    return "{" + ", ".join(map(str, values)) + "}"


_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}


def format_expr(value: Bound, kernel: Kernel) -> str:
    """An expression with buffer names and infix arithmetic."""

    match value:
        case Load(operand, index, _, guarded, fill):
            inside = ", ".join(format_expr(i, kernel) for i in index)
            return f"{kernel.buffers[operand].name}[{inside}{f' or {fill:g}' if guarded else ''}]"
        case Apply(fn, (a, b), _) if fn in _INFIX:
            return f"({format_expr(a, kernel)} {_INFIX[fn]} {format_expr(b, kernel)})"
        case Apply(fn, args, dtype):
            name = f"cast<{dtype.value}>" if fn == "cast" else fn
            return f"{name}({', '.join(format_expr(a, kernel) for a in args)})"
    return str(value)


def names_in(bound: Bound) -> set[str]:
    """The loop variables a bound or expression mentions."""
    if isinstance(bound, Affine):
        return set(bound.axes)
    found: set[str] = set()
    for e in walk(bound):
        match e:
            case Position(index=index):
                found.update(index.axes)
            case Load(index=indices):
                found.update(name for i in indices if isinstance(i, Affine) for name in i.axes)
    return found
