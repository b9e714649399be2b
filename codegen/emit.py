"""Loops to LLVM IR text: one function per kernel, in SSA form, ready for the code generator.

No mid-level LLVM pass runs after this, so what such passes would do is done here, cheaply: accumulators are phis,
addresses are hoisted to the loop whose variable they depend on, equal loads inside a block are made once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from codegen import vecmath
from codegen.assembly import Assembly
from codegen.loops import (
    Accumulate,
    Block,
    Bound,
    Buffer,
    Kernel,
    Let,
    Loop,
    Registers,
    Set,
    Split,
    Store,
    Transpose,
    Unroll,
    Vector,
    assigned,
    padded_bytes,
)
from codegen.target import Target
from codegen.vector import constant, iota, llvm_type, splat
from graphc.ir.nest import AcrossLanes, Affine, Apply, Const, Expr, Index, Load, Position, Reg, RowCount
from graphc.ir.types import DType

PARAMETERS = (("ptr", "table"), ("ptr", "slots"), ("i64", "begin"), ("i64", "end"), ("i64", "rows"), ("ptr", "scratch"))


class Val(NamedTuple):
    """An SSA value (or constant) and what it is."""

    name: str
    dtype: DType
    lanes: int = 1

    @property
    def type(self) -> str:
        return llvm_type(self.dtype.value, self.lanes)


@dataclass(slots=True)
class Scope:
    """A loop body (or the function): where addresses that depend on its variable are computed, once."""

    mark: int
    pointers: dict[object, str] = field(default_factory=dict)
    values: dict[object, Val] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The vector variable in force: lane i stands for base + i; `mask` is an i1 vector or "" (all active)."""

    var: str
    base: Affine
    count: int
    mask: str
    active: int | None


def emit_kernel(asm: Assembly, kernel: Kernel, target: Target) -> None:
    """Writes the kernel as a function `void name(table, slots, begin, end, rows, scratch)`."""
    asm.begin_function(kernel.name, PARAMETERS, attributes="nounwind")
    _Emitter(asm, kernel, target).run()
    asm.line("ret void")
    asm.end_function()


class _Emitter:
    def __init__(self, asm: Assembly, kernel: Kernel, target: Target) -> None:
        self.asm, self.kernel, self.target = asm, kernel, target
        self.scopes = [Scope(0)]
        self.static: dict[str, int] = {}
        self.dynamic: dict[str, tuple[str, int]] = {}  # variable -> (i64 name, depth of its scope)
        for name in ("begin", "end", "rows"):
            self.dynamic[name] = (f"%{name}", 0)
        self.lanes: Lanes | None = None
        self.registers: dict[str, dict[tuple[int, ...], Val]] = {}
        self.lets: dict[tuple[str, tuple[int, ...]], Val] = {}
        self.bases: list[str] = []
        self._flat: dict[tuple[int, tuple[Index, ...]], Affine] = {}
        self._vector_guards: set[str] = set()

    def run(self) -> None:
        self.bases = list(self._operands())
        self.scopes[0].mark = self.asm.mark()
        self.block(self.kernel.body)

    def _operands(self) -> Iterator[str]:
        slot = offset = 0
        for buffer in self.kernel.buffers:
            if buffer.is_local:
                yield self.asm.op(f"getelementptr inbounds i8, ptr %scratch, i64 {offset}")
                offset += padded_bytes(buffer)
                continue
            where = self.asm.op(f"getelementptr inbounds i32, ptr %slots, i64 {slot}")
            number = self.asm.op(f"zext i32 {self.asm.op(f'load i32, ptr {where}')} to i64")
            entry = self.asm.op(f"getelementptr inbounds ptr, ptr %table, i64 {number}")
            yield self.asm.op(f"load ptr, ptr {entry}")
            slot += 1

    # Statements

    def block(self, statements: Block) -> None:
        for stmt in statements:
            match stmt:
                case Let(reg, value):
                    self.lets[self._key(reg)] = self.value(value)
                case Set(reg, value):
                    self._assign(reg, self._widen(self.value(value)))
                case Accumulate():
                    self._accumulate(stmt)
                case Store():
                    self._store(stmt)
                case Loop():
                    self._loop(stmt)
                case Split():
                    self._split(stmt)
                case Unroll(var, values, body):
                    self._unroll(var, values, body)
                case Vector():
                    self._vector(stmt)
                case Transpose():
                    self._transpose(stmt)
                case Registers(names, body):
                    self.block(body)
                    for name in names:
                        del self.registers[name]

    def _unroll(self, var: str, values: Sequence[int], body: Block) -> None:
        for value in values:
            self.static[var] = value
            self.block(body)
        self.static.pop(var, None)

    def _loop(self, loop: Loop) -> None:
        start, stop = self._bound(loop.start), self._bound(loop.stop)
        names = [name for name in dict.fromkeys(assigned(loop.body)) if name in self.registers]
        slots = [(name, index) for name in names for index in self.registers[name]]
        entering = [self.registers[name][index] for name, index in slots]
        is_static = start.lstrip("-").isdigit() and stop.lstrip("-").isdigit()
        if is_static and int(start) >= int(stop):
            return
        opened = self.asm.loop_begin(
            start,
            stop,
            loop.step,
            [(v.type, v.name) for v in entering],
            may_be_empty=not is_static and not self._units(loop),
        )
        self._rename(slots, entering, opened.carried)
        with self._scope(loop.var, opened.index):
            self.block(loop.body)
        leaving = [self.registers[name][index] for name, index in slots]
        assert all(a.type == b.type for a, b in zip(entering, leaving, strict=True)), "a carried register changed type"
        self._rename(slots, entering, self.asm.loop_end(opened, [v.name for v in leaving]))
        self.scopes[-1].values.clear()

    def _units(self, loop: Loop) -> bool:
        """The loop over the units of this call, which are never none."""
        return loop.start == Affine.of("begin") and loop.stop == Affine.of("end")

    def _rename(
        self, slots: Sequence[tuple[str, tuple[int, ...]]], values: Sequence[Val], names: Iterable[str]
    ) -> None:
        for (name, index), value, new in zip(slots, values, names, strict=True):
            self.registers[name][index] = value._replace(name=new)

    @contextmanager
    def _scope(self, var: str, name: str) -> Iterator[None]:
        saved_lets = dict(self.lets)
        self.scopes.append(Scope(self.asm.mark()))
        self.dynamic[var] = (name, len(self.scopes) - 1)
        yield
        del self.dynamic[var]
        self.scopes.pop()
        self.lets = saved_lets

    def _split(self, split: Split) -> None:
        rest, depth = self.dynamic[split.unit]
        for var, count in reversed(split.parts[1:]):
            self.dynamic[var] = (self.asm.op(f"urem i64 {rest}, {count}"), depth)
            rest = self.asm.op(f"udiv i64 {rest}, {count}")
        self.dynamic[split.parts[0][0]] = (rest, depth)
        # the parts are computed after the loop's mark, so addresses that use them need a mark of their own
        self.scopes.append(Scope(self.asm.mark()))
        for var, _ in split.parts:
            self.dynamic[var] = (self.dynamic[var][0], len(self.scopes) - 1)
        self.block(split.body)
        self.scopes.pop()
        for var, _ in split.parts:
            del self.dynamic[var]

    def _vector(self, vector: Vector) -> None:
        assert self.lanes is None, "vector loops do not nest"
        mask, active = "", None
        if vector.active is not None:
            count = self._bound(vector.active)
            if count.isdigit():
                active = min(int(count), vector.lanes)
            else:
                limit = splat(self.asm, count, "i64", vector.lanes)
                type = llvm_type("i64", vector.lanes)
                mask = self.asm.op(f"icmp slt {type} {iota('i64', vector.lanes)}, {limit}")
        if active is not None:
            mask = _first_lanes(active, vector.lanes)
        self.lanes = Lanes(vector.var, vector.base, vector.lanes, mask, active)
        self.block(vector.body)
        self.lanes = None

    def _key(self, reg: Reg) -> tuple[str, tuple[int, ...]]:
        return reg.name, tuple([self._constant(i) for i in reg.index])

    def _constant(self, index: Affine) -> int:
        return index.constant + sum(self.static[var] * c for var, c in index.terms)

    def _assign(self, reg: Reg, value: Val) -> None:
        name, index = self._key(reg)
        self.registers.setdefault(name, {})[index] = value

    def _read(self, reg: Reg) -> Val:
        name, index = self._key(reg)
        found = self.lets.get((name, index))
        return found if found is not None else self.registers[name][index]

    def _widen(self, value: Val) -> Val:
        """The value as a vector of the lanes in force."""
        return self._splat(value, self.lanes.count) if self.lanes else value

    def _accumulate(self, stmt: Accumulate) -> None:
        if stmt.combine == "add" and self._is_padding(stmt.value):
            return
        old = self._read(stmt.reg)
        if stmt.combine in ("argmax", "argmin"):
            return self._accumulate_position(stmt, old)
        new = self._combined(stmt, old)
        if stmt.masked and self.lanes and self.lanes.mask:
            new = self._select(self.lanes.mask, new, old)
        self._assign(stmt.reg, new)

    def _combined(self, stmt: Accumulate, old: Val) -> Val:
        match stmt.value:
            case Apply("mul", (a, b), dtype) if stmt.combine == "add" and dtype.is_float and dtype is old.dtype:
                factors = [self._splat(self.value(f), old.lanes) for f in (a, b)]
                type = old.type
                suffix = ("f32" if dtype is DType.F32 else "f64") if old.lanes == 1 else f"v{old.lanes}{dtype.value}"
                operands = [(type, factors[0].name), (type, factors[1].name), (type, old.name)]
                return old._replace(name=self.asm.call(type, f"llvm.fmuladd.{suffix}", operands))
        value = self._splat(self.value(stmt.value), old.lanes)
        return self._apply(stmt.combine, [old, value], old.dtype)

    def _is_padding(self, value: Expr) -> bool:
        """Whether a factor is known to lie outside its operand here, where it counts as zero."""
        match value:
            case Apply("mul", factors):
                return any(self._is_padding(f) for f in factors)
            case Load(operand, _, _, guarded, 0.0) if guarded:
                return self._guard(self.kernel.buffers[operand], value, only_static=True) == "false"
        return False

    def _accumulate_position(self, stmt: Accumulate, old: Val) -> None:
        assert stmt.position is not None
        value = self._splat(self.value(stmt.value), old.lanes)
        at = Reg(stmt.reg.name + ".at", DType.I32, stmt.reg.index)
        position, best = self._splat(self.value(stmt.position), old.lanes), self._read(at)
        wins = self._better(stmt.combine, value, old)
        if stmt.masked and self.lanes and self.lanes.mask:
            wins = self.asm.op(f"and {llvm_type('bool', old.lanes)} {wins}, {self.lanes.mask}")
        self._assign(stmt.reg, self._select(wins, value, old))
        self._assign(at, self._select(wins, position, best))

    def _better(self, combine: str, new: Val, old: Val) -> str:
        """Whether new beats old: strictly, or as the first NaN."""
        sign = "gt" if combine == "argmax" else "lt"
        if not old.dtype.is_float:
            order = "s" if old.dtype.is_signed else "u"
            return self.asm.op(f"icmp {order}{sign} {old.type} {new.name}, {old.name}")
        beats = self.asm.op(f"fcmp u{sign} {old.type} {new.name}, {old.name}")
        number = self.asm.op(f"fcmp ord {old.type} {old.name}, {old.name}")
        return self.asm.op(f"and {llvm_type('bool', old.lanes)} {beats}, {number}")

    def _select(self, mask: str, a: Val, b: Val) -> Val:
        return a._replace(
            name=self.asm.op(f"select {llvm_type('bool', a.lanes)} {mask}, {a.type} {a.name}, {b.type} {b.name}")
        )

    # Expressions

    def value(self, expr: Expr) -> Val:
        match expr:
            case Const(value, dtype):
                return Val(constant(dtype.value, 1, value), dtype)
            case Reg():
                return self._read(expr)
            case Load():
                return self._load(expr)
            case Apply(fn, args, dtype):
                return self._apply(fn, [self.value(a) for a in args], dtype)
            case Position(index, dtype):
                return self._position(index, dtype)
            case RowCount(dtype):
                rows = Val("%rows", DType.I64)
                return self._apply("cast", [rows], dtype)
            case AcrossLanes():
                return self._across(expr)
        raise AssertionError(f"not an expression: {expr}")

    def _apply(self, fn: str, args: list[Val], dtype: DType) -> Val:
        lanes = max(a.lanes for a in args)
        args = [self._splat(a, lanes) for a in args]
        of = (args[1] if fn == "select" else args[0]).dtype
        names = [a.name for a in args]
        if fn in ("cast", "bitcast"):
            if of is dtype:
                return args[0]
            name = vecmath.apply(self.asm, fn, names, of.value, lanes, target=self.target, to=dtype.value)
        elif of is DType.BOOL and fn in ("max", "min", "add", "mul", "eq", "ne"):
            name = self._bool(fn, names, lanes)
        else:
            name = vecmath.apply(self.asm, fn, names, of.value, lanes, target=self.target)
        return Val(name, dtype, lanes)

    def _bool(self, fn: str, names: list[str], lanes: int) -> str:
        instruction = {"max": "or", "add": "or", "min": "and", "mul": "and", "ne": "icmp ne", "eq": "icmp eq"}[fn]
        return self.asm.op(f"{instruction} {llvm_type('bool', lanes)} {names[0]}, {names[1]}")

    def _splat(self, value: Val, lanes: int) -> Val:
        if value.lanes == lanes:
            return value
        assert value.lanes == 1, f"{value} where {lanes} lanes are wanted"
        if not value.name.startswith("%"):
            text = f"splat ({llvm_type(value.dtype.value)} {value.name})"
            return Val(text, value.dtype, lanes)
        known = self.scopes[-1].values
        key = ("splat", value.name, lanes)
        if key not in known:
            known[key] = Val(splat(self.asm, value.name, value.dtype.value, lanes), value.dtype, lanes)
        return known[key]

    def _position(self, index: Affine, dtype: DType) -> Val:
        lane_step = index.coefficient(self.lanes.var) if self.lanes else 0
        start = Val(self._scalar_index(index), DType.I64)
        start = self._apply("cast", [start], dtype) if dtype is not DType.I64 else start
        if not self.lanes or not lane_step:
            return start
        lanes = self.lanes.count
        steps = Val(iota(dtype.value, lanes), dtype, lanes)
        if lane_step != 1:
            steps = self._apply(
                "mul", [steps, self._splat(Val(constant(dtype.value, 1, lane_step), dtype), lanes)], dtype
            )
        return self._apply("add", [self._splat(start, lanes), steps], dtype)

    def _across(self, expr: AcrossLanes) -> Val:
        best = self._read(expr.reg)
        if best.lanes == 1:
            is_position = expr.combine in ("argmax", "argmin")
            return self._read(Reg(expr.reg.name + ".at", DType.I32, expr.reg.index)) if is_position else best
        if expr.combine not in ("argmax", "argmin"):
            return self._reduce(expr.combine, best)
        top = self._splat(self._reduce(expr.combine[3:], best), best.lanes)
        at = self._read(Reg(expr.reg.name + ".at", DType.I32, expr.reg.index))
        predicate = "fcmp ueq" if best.dtype.is_float else "icmp eq"
        is_best = self.asm.op(f"{predicate} {best.type} {best.name}, {top.name}")
        if best.dtype.is_float:  # a NaN on top compares equal to everything: keep the lanes that are NaN themselves
            top_is_number = self.asm.op(f"fcmp ord {best.type} {top.name}, {top.name}")
            is_nan = self.asm.op(f"fcmp uno {best.type} {best.name}, {best.name}")
            allowed = self.asm.op(f"or {llvm_type('bool', best.lanes)} {top_is_number}, {is_nan}")
            is_best = self.asm.op(f"and {llvm_type('bool', best.lanes)} {is_best}, {allowed}")
        last = Val(f"splat (i32 {2**31 - 1})", DType.I32, best.lanes)
        return self._reduce("min", self._select(is_best, at, last))

    def _reduce(self, combine: str, value: Val) -> Val:
        if value.dtype is DType.BOOL:
            fn = "or" if combine in ("max", "add") else "and"
            name = f"llvm.vector.reduce.{fn}.v{value.lanes}i1"
            return Val(self.asm.call("i1", name, [(value.type, value.name)]), DType.BOOL)
        name = vecmath.reduce_lanes(self.asm, combine, value.name, value.dtype.value, value.lanes, target=self.target)
        return Val(name, value.dtype)

    # Memory

    def _load(self, load: Load) -> Val:
        buffer = self.kernel.buffers[load.operand]
        place = self._place(load.operand, load.index)
        guard = self._guard(buffer, load) if load.guarded else ""
        if guard == "false":
            return Val(constant(load.dtype.value, 1, load.fill), load.dtype)
        key = (place, guard, self.lanes.mask if self.lanes and place.lanes > 1 else "", load.fill)
        known = self.scopes[-1].values
        if key not in known:
            known[key] = self._loaded(buffer, place, guard, load)
        return known[key]

    def _loaded(self, buffer: Buffer, place: _Place, guard: str, load: Load) -> Val:
        memory = "i8" if buffer.dtype is DType.BOOL else llvm_type(buffer.dtype.value)
        if place.lanes == 1:
            name = self._load_scalar(place, guard, memory)
        else:
            name = self._load_vector(place, guard, memory)
        if buffer.dtype is DType.BOOL:
            type = memory if place.lanes == 1 else f"<{place.lanes} x i8>"
            zero = "0" if place.lanes == 1 else "zeroinitializer"
            name = self.asm.op(f"icmp ne {type} {name}, {zero}")
        value = Val(name, buffer.dtype, place.lanes)
        if guard and (load.fill or place.lanes == 1):
            fill = self._splat(Val(constant(load.dtype.value, 1, load.fill), load.dtype), place.lanes)
            value = self._select(self._as_mask(guard, place.lanes), value, fill)
        return value

    def _load_scalar(self, place: _Place, guard: str, memory: str) -> str:
        pointer = place.pointer
        if guard:  # outside, read the first element instead: it is always there
            pointer = self.asm.op(f"select i1 {guard}, ptr {pointer}, ptr {place.base}")
        return self.asm.op(f"load {memory}, ptr {pointer}")

    def _load_vector(self, place: _Place, guard: str, memory: str) -> str:
        lanes = place.lanes
        type, size = f"<{lanes} x {memory}>", _alignment(memory)
        mask = self._both(self.lanes.mask if self.lanes else "", self._as_mask(guard, lanes) if guard else "", lanes)
        if place.is_contiguous:
            if not mask:
                return self.asm.op(f"load {type}, ptr {place.pointer}, align {size}")
            arguments = [
                ("ptr", place.pointer),
                ("i32", str(size)),
                (f"<{lanes} x i1>", mask),
                (type, "zeroinitializer"),
            ]
            return self._masked("load", type, lanes, memory, arguments)
        mask = mask or "splat (i1 true)"
        arguments = [
            (f"<{lanes} x ptr>", place.pointer),
            ("i32", str(size)),
            (f"<{lanes} x i1>", mask),
            (type, "zeroinitializer"),
        ]
        return self._masked("gather", type, lanes, memory, arguments)

    def _masked(self, what: str, type: str, lanes: int, memory: str, arguments: list[tuple[str, str]]) -> str:
        element = {"float": "f32", "double": "f64"}.get(memory, memory)
        pointer = "p0" if what == "load" else f"v{lanes}p0"
        kinds = [kind if kind != "i32" else "i32 immarg" for kind, _ in arguments]
        name = f"llvm.masked.{what}.v{lanes}{element}.{pointer}"
        self.asm.declare(name, type, kinds)
        return self.asm.call(type, name, arguments)

    def _store(self, stmt: Store) -> None:
        buffer = self.kernel.buffers[stmt.buffer]
        value = self.value(stmt.value)
        if value.dtype is not buffer.dtype:
            value = self._apply("cast", [value], buffer.dtype)
        place = self._place(stmt.buffer, stmt.index)
        if stmt.add:
            value = self._apply(
                "add",
                [self._loaded(buffer, place, "", Load(stmt.buffer, stmt.index, buffer.dtype)), value],
                buffer.dtype,
            )
        value = self._splat(value, place.lanes)
        memory, name = llvm_type(buffer.dtype.value), value.name
        if buffer.dtype is DType.BOOL:
            memory = "i8"
            name = self.asm.op(f"zext {value.type} {name} to {'i8' if place.lanes == 1 else f'<{place.lanes} x i8>'}")
        self._write(place, memory, name)
        for scope in self.scopes:
            scope.values = {k: v for k, v in scope.values.items() if not isinstance(k[0], _Place)}  # type: ignore[index]

    def _write(self, place: _Place, memory: str, name: str) -> None:
        if place.lanes == 1:
            self.asm.line(f"store {memory} {name}, ptr {place.pointer}")
            return
        lanes, mask, size = place.lanes, self.lanes.mask if self.lanes else "", _alignment(memory)
        type = f"<{lanes} x {memory}>"
        if place.is_contiguous and not mask:
            self.asm.line(f"store {type} {name}, ptr {place.pointer}, align {size}")
            return
        if place.is_contiguous and self.lanes and self.lanes.active == 1:
            # a masked store of one truncated lane is miscompiled on AVX-512: LLVM stores the wide element
            first = self.asm.op(f"extractelement {type} {name}, i64 0")
            self.asm.line(f"store {memory} {first}, ptr {place.pointer}")
            return
        what, pointers = ("store", "ptr") if place.is_contiguous else ("scatter", f"<{lanes} x ptr>")
        element = {"float": "f32", "double": "f64"}.get(memory, memory)
        intrinsic = f"llvm.masked.{what}.v{lanes}{element}.{'p0' if what == 'store' else f'v{lanes}p0'}"
        self.asm.declare(intrinsic, "void", [type, pointers, "i32 immarg", f"<{lanes} x i1>"])
        mask = mask or "splat (i1 true)"
        self.asm.line(
            f"call void @{intrinsic}({type} {name}, {pointers} {place.pointer}, i32 {size}, <{lanes} x i1> {mask})"
        )

    def _as_mask(self, guard: str, lanes: int) -> str:
        """A guard, scalar or already per lane, as an i1 of `lanes` lanes."""
        if lanes == 1 or guard.startswith("<") or guard in self._vector_guards:
            return guard
        return splat(self.asm, guard, "bool", lanes)

    def _both(self, a: str, b: str, lanes: int) -> str:
        if not a or not b:
            return a or b
        return self.asm.op(f"and <{lanes} x i1> {a}, {b}")

    def _transpose(self, tile: Transpose) -> None:
        """Loads row by row, exchanges halves of ever smaller size between pairs of rows, stores column by column."""
        load_index = _placed_at(tile.load.index, tile.row, tile.row_base)
        store_index = _placed_at(tile.index, tile.column, tile.column_base)
        dtype = tile.load.dtype
        type = llvm_type(dtype.value, tile.lanes)
        rows = ["zeroinitializer"] * tile.lanes
        self.lanes = Lanes(
            tile.column, tile.column_base, tile.lanes, _first_lanes(tile.columns, tile.lanes), tile.columns
        )
        for i in range(tile.rows):
            self.static[f"{tile.row}.t"] = i
            rows[i] = self._load(Load(tile.load.operand, load_index, dtype)).name
        columns = self._transposed(rows, type)
        self.lanes = Lanes(tile.row, tile.row_base, tile.lanes, _first_lanes(tile.rows, tile.lanes), tile.rows)
        for j in range(tile.columns):
            self.static[f"{tile.column}.t"] = j
            self._write(self._place(tile.buffer, store_index), llvm_type(dtype.value), columns[j])
        self.lanes = None

    def _transposed(self, rows: list[str], type: str) -> list[str]:
        lanes, step = len(rows), 1
        while step < lanes:
            low = ", ".join(f"i32 {k if not k & step else lanes + k - step}" for k in range(lanes))
            high = ", ".join(f"i32 {k + step if not k & step else lanes + k}" for k in range(lanes))
            for i in range(lanes):
                if not i & step:
                    pair = f"shufflevector {type} {rows[i]}, {type} {rows[i + step]}, <{lanes} x i32>"
                    rows[i], rows[i + step] = self.asm.op(f"{pair} <{low}>"), self.asm.op(f"{pair} <{high}>")
            step *= 2
        return rows

    # Addresses

    def _place(self, number: int, index: tuple[Index, ...]) -> _Place:
        buffer, base = self.kernel.buffers[number], self.bases[number]
        flat = self._flatten(number, buffer, index)
        step = flat.coefficient(self.lanes.var) if self.lanes else 0
        memory = "i8" if buffer.dtype is DType.BOOL else llvm_type(buffer.dtype.value)
        pointer = self._pointer(number, base, memory, flat)
        if any(not isinstance(i, Affine) for i in index):
            return self._indirect(buffer, base, pointer, memory, index, step)
        return self._along_lanes(pointer, base, memory, step)

    def _along_lanes(self, pointer: str, base: str, memory: str, step: int) -> _Place:
        """The place of lane 0 and every `step` elements after it."""
        if step == 0:
            return _Place(pointer, base, 1)
        assert self.lanes
        if step == 1:
            return _Place(pointer, base, self.lanes.count)
        offsets = ", ".join(f"i64 {step * lane}" for lane in range(self.lanes.count))
        many = self.asm.op(f"getelementptr {memory}, ptr {pointer}, <{self.lanes.count} x i64> <{offsets}>")
        return _Place(many, base, self.lanes.count, is_contiguous=False)

    def _flatten(self, number: int, buffer: Buffer, index: tuple[Index, ...]) -> Affine:
        """The element offset of the affine part of an index."""
        key = (number, index)
        flat = self._flat.get(key)
        if flat is None:
            flat = Affine()
            strides = buffer.strides if len(index) == len(buffer.shape) else (1,)
            for i, stride in zip(index, strides, strict=True):
                if isinstance(i, Affine):
                    flat = flat + i * stride
            self._flat[key] = flat
        return flat

    def _indirect(
        self, buffer: Buffer, base: str, pointer: str, memory: str, index: tuple[Index, ...], step: int
    ) -> _Place:
        """Adds indices that are values, each clamped into its dimension so that no access leaves the buffer."""
        offset = Val("0", DType.I64)
        for i, stride, dim in zip(index, buffer.strides, buffer.shape, strict=True):
            if isinstance(i, Affine):
                continue
            at = self._apply("cast", [self.value(i)], DType.I64)
            for bound, limit in (("max", 0), ("min", int(dim) - 1)):
                at = self._apply(bound, [at, Val(str(limit), DType.I64)], DType.I64)
            scaled = self._apply("mul", [at, Val(str(stride), DType.I64)], DType.I64)
            offset = self._apply("add", [scaled, offset], DType.I64)
        if offset.lanes == 1:
            pointer = self.asm.op(f"getelementptr {memory}, ptr {pointer}, i64 {offset.name}")
            return self._along_lanes(pointer, base, memory, step)
        assert self.lanes
        if step:
            steps = Val("<" + ", ".join(f"i64 {step * i}" for i in range(offset.lanes)) + ">", DType.I64, offset.lanes)
            offset = self._apply("add", [offset, steps], DType.I64)
        many = self.asm.op(f"getelementptr {memory}, ptr {pointer}, {offset.type} {offset.name}")
        return _Place(many, base, offset.lanes, is_contiguous=False)

    def _pointer(self, number: int, base: str, memory: str, flat: Affine) -> str:
        """base + flat: one step per loop variable, each computed where its variable is born, outermost first."""
        fixed, moving = self._terms(flat)
        pointer, path = base, tuple[tuple[str, int], ...]()
        for depth, name, coefficient in moving:
            path = (*path, (name, coefficient))
            scope, key = self.scopes[depth], (number, path)
            if key not in scope.pointers:
                offset = name if coefficient == 1 else self.asm.hoist(scope.mark, f"mul nsw i64 {name}, {coefficient}")
                scope.pointers[key] = self.asm.hoist(scope.mark, f"getelementptr {memory}, ptr {pointer}, i64 {offset}")
            pointer = scope.pointers[key]
        if not fixed:
            return pointer
        known, place = self.scopes[-1].pointers, ("at", pointer, memory, fixed)
        if place not in known:
            known[place] = self.asm.op(f"getelementptr {memory}, ptr {pointer}, i64 {fixed}")
        return known[place]

    def _terms(self, flat: Affine) -> tuple[int, list[tuple[int, str, int]]]:
        """The static part, and (scope depth, variable, coefficient) of the moving parts, outermost first."""
        fixed, moving = flat.constant, []
        pending = list(flat.terms)
        while pending:
            var, coefficient = pending.pop()
            if self.lanes and var == self.lanes.var:
                base = self.lanes.base * coefficient
                fixed += base.constant
                pending += base.terms
            elif var in self.static:
                fixed += self.static[var] * coefficient
            else:
                name, depth = self.dynamic[var]
                moving.append((depth, name, coefficient))
        return fixed, sorted(moving)

    def _scalar_index(self, index: Affine) -> str:
        """An affine index (of lane 0) as an i64 operand."""
        fixed, moving = self._terms(index)
        total = str(fixed)
        for _, name, coefficient in moving:
            term = name if coefficient == 1 else self.asm.op(f"mul nsw i64 {name}, {coefficient}")
            total = term if total == "0" else self.asm.op(f"add nsw i64 {term}, {total}")
        return total

    def _bound(self, bound: Bound) -> str:
        if isinstance(bound, Affine):
            return self._scalar_index(bound)
        return self.value(bound).name

    def _guard(self, buffer: Buffer, load: Load, *, only_static: bool = False) -> str:
        """An i1 (or i1 vector) that is true inside the buffer; "" when always (or not known), "false" when never."""
        conditions: list[Val] = []
        for d in load.guarded:
            i, dim = load.index[d], buffer.shape[d]
            if not isinstance(i, Affine):
                continue
            fixed, moving = self._terms(i)
            along_lanes = bool(self.lanes and i.coefficient(self.lanes.var))
            if not moving and not along_lanes:
                if not 0 <= fixed < int(dim):
                    return "false"
                continue
            if only_static or (along_lanes and not moving and self._lanes_inside(i, fixed, int(dim))):
                continue
            at = self._position(i, DType.I64)
            limit = Val(constant("i64", at.lanes, int(dim)), DType.I64, at.lanes)
            # one unsigned comparison covers both ends
            conditions.append(Val(self.asm.op(f"icmp ult {at.type} {at.name}, {limit.name}"), DType.BOOL, at.lanes))
        if not conditions:
            return ""
        both = conditions[0]
        for other in conditions[1:]:
            both = self._apply("logical_and", [both, other], DType.BOOL)
        if both.lanes > 1:
            self._vector_guards.add(both.name)
        return both.name

    def _lanes_inside(self, index: Affine, first: int, dim: int) -> bool:
        assert self.lanes
        count = self.lanes.active if self.lanes.active is not None else self.lanes.count
        last = first + index.coefficient(self.lanes.var) * (count - 1)
        return min(first, last) >= 0 and max(first, last) < dim


class _Place(NamedTuple):
    """Where an access goes: a pointer (or a vector of them) for `lanes` elements; `base` is the buffer's start."""

    pointer: str
    base: str
    lanes: int
    is_contiguous: bool = True


def _placed_at(index: tuple[Index, ...], axis: str, base: Affine) -> tuple[Index, ...]:
    """An index with `axis` at base plus the written-out variable `axis.t`."""
    where = {axis: base + Affine.of(f"{axis}.t")}
    return tuple(i.substitute(where) if isinstance(i, Affine) else i for i in index)


def _first_lanes(active: int, lanes: int) -> str:
    """The mask of the first `active` lanes, "" for all."""
    if active >= lanes:
        return ""
    return "<" + ", ".join(f"i1 {'true' if i < active else 'false'}" for i in range(lanes)) + ">"


def _alignment(memory: str) -> int:
    return {"float": 4, "double": 8, "i1": 1}.get(memory) or int(memory[1:]) // 8
