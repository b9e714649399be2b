"""Loops to LLVM IR text: one function per kernel, in SSA form, ready for the code generator.

No mid-level LLVM pass runs after this, so what such passes would do is done here, cheaply: accumulators are phis,
addresses are hoisted to the loop whose variable they depend on, equal loads inside a block are made once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from codegen.access import Access, first_lanes
from codegen.assembly import Assembly
from codegen.loops import (
    Accumulate,
    Block,
    Kernel,
    Let,
    Loop,
    Prefetch,
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
from codegen.state import Lanes, Scope, Val
from codegen.target import Target
from codegen.vector import iota, llvm_type, splat
from graphc.ir.nest import Affine, Apply, Reg
from graphc.ir.types import DType

PARAMETERS = (("ptr", "table"), ("ptr", "slots"), ("i64", "begin"), ("i64", "end"), ("i64", "rows"), ("ptr", "scratch"))


def emit_kernel(asm: Assembly, kernel: Kernel, target: Target) -> None:
    """Writes the kernel as a function `void name(table, slots, begin, end, rows, scratch)`."""
    asm.begin_function(kernel.name, PARAMETERS, attributes="nounwind")
    _Emitter(asm, kernel, target).run()
    asm.line("ret void")
    asm.end_function()


class _Emitter(Access):
    """Statements of one kernel."""

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

    def block(self, statements: Block) -> None:
        for stmt in statements:
            match stmt:
                case Let(reg, value):
                    self.lets[self.register_key(reg)] = self.value(value)
                case Set(reg, value):
                    self.assign(reg, self.widened(self.value(value)))
                case Accumulate():
                    self._accumulate(stmt)
                case Store():
                    self.stored(stmt)
                case Loop():
                    self._loop(stmt)
                case Split():
                    self._split(stmt)
                case Unroll(var, values, body):
                    self._unroll(var, values, body)
                case Vector():
                    self._vector(stmt)
                case Prefetch(load, is_written):
                    self.prefetched(load, is_written)
                case Transpose():
                    self.transposed(stmt)
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
        start, stop = self.bound(loop.start), self.bound(loop.stop)
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
            count = self.bound(vector.active)
            if count.isdigit():
                active = min(int(count), vector.lanes)
            else:
                limit = splat(self.asm, count, "i64", vector.lanes)
                type = llvm_type("i64", vector.lanes)
                mask = self.asm.op(f"icmp slt {type} {iota('i64', vector.lanes)}, {limit}")
        if active is not None:
            mask = first_lanes(active, vector.lanes)
        self.lanes = Lanes(vector.var, vector.base, vector.lanes, mask, active)
        self.block(vector.body)
        self.lanes = None

    def _accumulate(self, stmt: Accumulate) -> None:
        if stmt.combine == "add" and self.is_padding(stmt.value):
            return
        old = self.register(stmt.reg)
        if stmt.combine in ("argmax", "argmin"):
            return self._accumulate_position(stmt, old)
        new = self._combined(stmt, old)
        if stmt.masked and self.lanes and self.lanes.mask:
            new = self.selected(self.lanes.mask, new, old)
        self.assign(stmt.reg, new)

    def _combined(self, stmt: Accumulate, old: Val) -> Val:
        match stmt.value:
            case Apply("mul", (a, b), dtype) if stmt.combine == "add" and dtype.is_float and dtype is old.dtype:
                factors = [self.splatted(self.value(f), old.lanes) for f in (a, b)]
                type = old.type
                suffix = ("f32" if dtype is DType.F32 else "f64") if old.lanes == 1 else f"v{old.lanes}{dtype.value}"
                operands = [(type, factors[0].name), (type, factors[1].name), (type, old.name)]
                return old._replace(name=self.asm.call(type, f"llvm.fmuladd.{suffix}", operands))
        value = self.splatted(self.value(stmt.value), old.lanes)
        return self.applied(stmt.combine, [old, value], old.dtype)

    def _accumulate_position(self, stmt: Accumulate, old: Val) -> None:
        assert stmt.position is not None
        value = self.splatted(self.value(stmt.value), old.lanes)
        at = Reg(stmt.reg.name + ".at", DType.I32, stmt.reg.index)
        position, best = self.splatted(self.value(stmt.position), old.lanes), self.register(at)
        wins = self._better(stmt.combine, value, old)
        if stmt.masked and self.lanes and self.lanes.mask:
            wins = self.asm.op(f"and {llvm_type('bool', old.lanes)} {wins}, {self.lanes.mask}")
        self.assign(stmt.reg, self.selected(wins, value, old))
        self.assign(at, self.selected(wins, position, best))

    def _better(self, combine: str, new: Val, old: Val) -> str:
        """Whether new beats old: strictly, or as the first NaN."""
        sign = "gt" if combine == "argmax" else "lt"
        if not old.dtype.is_float:
            order = "s" if old.dtype.is_signed else "u"
            return self.asm.op(f"icmp {order}{sign} {old.type} {new.name}, {old.name}")
        beats = self.asm.op(f"fcmp u{sign} {old.type} {new.name}, {old.name}")
        number = self.asm.op(f"fcmp ord {old.type} {old.name}, {old.name}")
        return self.asm.op(f"and {llvm_type('bool', old.lanes)} {beats}, {number}")
