"""The state of a kernel being written: SSA values of registers and variables, scopes, addresses of affine indices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from codegen.assembly import Assembly
from codegen.loops import Kernel
from codegen.target import Target
from codegen.vector import llvm_type
from graphc.ir.nest import Affine, Index, Reg
from graphc.ir.types import DType


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


class State:
    """What is known at the current place: variables, registers, named values; and where addresses were computed."""

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

    def register_key(self, reg: Reg) -> tuple[str, tuple[int, ...]]:
        return reg.name, tuple([self.static_value(i) for i in reg.index])

    def static_value(self, index: Affine) -> int:
        return index.constant + sum(self.static[var] * c for var, c in index.terms)

    def assign(self, reg: Reg, value: Val) -> None:
        name, index = self.register_key(reg)
        self.registers.setdefault(name, {})[index] = value

    def register(self, reg: Reg) -> Val:
        name, index = self.register_key(reg)
        found = self.lets.get((name, index))
        return found if found is not None else self.registers[name][index]

    def terms(self, flat: Affine) -> tuple[int, list[tuple[int, str, int]]]:
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

    def scalar_index(self, index: Affine) -> str:
        """An affine index (of lane 0) as an i64 operand."""
        fixed, moving = self.terms(index)
        total = str(fixed)
        for _, name, coefficient in moving:
            term = name if coefficient == 1 else self.asm.op(f"mul nsw i64 {name}, {coefficient}")
            total = term if total == "0" else self.asm.op(f"add nsw i64 {term}, {total}")
        return total

    def pointer(self, number: int, base: str, memory: str, flat: Affine) -> str:
        """base + flat: one step per loop variable, each computed where its variable is born, outermost first."""
        fixed, moving = self.terms(flat)
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
