"""Expressions of kernels as SSA values, scalars or vectors of the lanes in force."""

from __future__ import annotations

from codegen import vecmath
from codegen.halves import rounded
from codegen.loops import Bound
from codegen.state import State, Val
from codegen.vector import constant, iota, llvm_type, splat
from graphc.ir.nest import AcrossLanes, Affine, Apply, Const, Expr, Load, Position, Reg, RowCount
from graphc.ir.types import DType


class Values(State):
    """Evaluates expressions; loads are the business of `codegen.access`."""

    def loaded(self, load: Load) -> Val:
        """The value of a load."""
        raise NotImplementedError

    def value(self, expr: Expr) -> Val:
        match expr:
            case Const(value, dtype):
                if dtype.is_half:
                    value, dtype = float(dtype.numpy.type(value)), dtype.computed
                return Val(constant(dtype.value, 1, value), dtype)
            case Reg():
                return self.register(expr)
            case Load():
                return self.loaded(expr)
            case Apply(fn, args, dtype):
                return self.applied(fn, [self.value(a) for a in args], dtype)
            case Position(index, dtype):
                return self.position(index, dtype)
            case RowCount(dtype):
                rows = Val("%rows", DType.I64)
                return self.applied("cast", [rows], dtype)
            case AcrossLanes():
                return self._combined_lanes(expr)
        raise AssertionError(f"not an expression: {expr}")

    def bound(self, bound: Bound) -> str:
        if isinstance(bound, Affine):
            return self.scalar_index(bound)
        return self.value(bound).name

    def applied(self, fn: str, args: list[Val], dtype: DType) -> Val:
        lanes = max(a.lanes for a in args)
        args = [self.splatted(a, lanes) for a in args]
        of = (args[1] if fn == "select" else args[0]).dtype
        names = [a.name for a in args]
        if dtype.is_half:
            # values of half types live in registers as f32, rounded
            wide = self.applied("cast", args, dtype.computed)
            return Val(rounded(self.asm, wide.name, dtype, lanes), wide.dtype, lanes)
        if fn in ("cast", "bitcast"):
            if of is dtype:
                return args[0]
            name = vecmath.apply(self.asm, fn, names, of.value, lanes, target=self.target, to=dtype.value)
        else:
            name = vecmath.apply(self.asm, fn, names, of.value, lanes, target=self.target)
        return Val(name, dtype, lanes)

    def splatted(self, value: Val, lanes: int) -> Val:
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

    def widened(self, value: Val) -> Val:
        """The value as a vector of the lanes in force."""
        return self.splatted(value, self.lanes.count) if self.lanes else value

    def selected(self, mask: str, a: Val, b: Val) -> Val:
        return a._replace(
            name=self.asm.op(f"select {llvm_type('bool', a.lanes)} {mask}, {a.type} {a.name}, {b.type} {b.name}")
        )

    def position(self, index: Affine, dtype: DType) -> Val:
        lane_step = index.coefficient(self.lanes.var) if self.lanes else 0
        start = Val(self.scalar_index(index), DType.I64)
        start = self.applied("cast", [start], dtype) if dtype is not DType.I64 else start
        if not self.lanes or not lane_step:
            return start
        lanes = self.lanes.count
        steps = Val(iota(dtype.value, lanes), dtype, lanes)
        if lane_step != 1:
            steps = self.applied(
                "mul", [steps, self.splatted(Val(constant(dtype.value, 1, lane_step), dtype), lanes)], dtype
            )
        return self.applied("add", [self.splatted(start, lanes), steps], dtype)

    def _combined_lanes(self, expr: AcrossLanes) -> Val:
        best = self.register(expr.reg)
        if best.lanes == 1:
            is_position = expr.combine in ("argmax", "argmin")
            return self.register(Reg(expr.reg.name + ".at", DType.I32, expr.reg.index)) if is_position else best
        if expr.combine not in ("argmax", "argmin"):
            return self.across_lanes(expr.combine, best)
        top = self.splatted(self.across_lanes(expr.combine[3:], best), best.lanes)
        at = self.register(Reg(expr.reg.name + ".at", DType.I32, expr.reg.index))
        predicate = "fcmp ueq" if best.dtype.is_float else "icmp eq"
        is_best = self.asm.op(f"{predicate} {best.type} {best.name}, {top.name}")
        if best.dtype.is_float:  # a NaN on top compares equal to everything: keep the lanes that are NaN themselves
            top_is_number = self.asm.op(f"fcmp ord {best.type} {top.name}, {top.name}")
            is_nan = self.asm.op(f"fcmp uno {best.type} {best.name}, {best.name}")
            allowed = self.asm.op(f"or {llvm_type('bool', best.lanes)} {top_is_number}, {is_nan}")
            is_best = self.asm.op(f"and {llvm_type('bool', best.lanes)} {is_best}, {allowed}")
        last = Val(f"splat (i32 {2**31 - 1})", DType.I32, best.lanes)
        return self.across_lanes("min", self.selected(is_best, at, last))

    def across_lanes(self, combine: str, value: Val) -> Val:
        if value.dtype is DType.BOOL:
            fn = "or" if combine in ("max", "add") else "and"
            name = f"llvm.vector.reduce.{fn}.v{value.lanes}i1"
            return Val(self.asm.call("i1", name, [(value.type, value.name)]), DType.BOOL)
        name = vecmath.reduce_lanes(self.asm, combine, value.name, value.dtype.value, value.lanes, target=self.target)
        return Val(name, value.dtype)
