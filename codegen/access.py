"""Memory: where an access goes, whether it may, and the loads and stores themselves."""

from __future__ import annotations

from typing import NamedTuple

from codegen.halves import memory_type, narrowed, widened
from codegen.loops import Buffer, Store, Transpose
from codegen.state import Lanes, Val
from codegen.values import Values
from codegen.vector import constant, llvm_type, splat
from graphc.ir.nest import Affine, Apply, Expr, Index, Load
from graphc.ir.types import DType


class Place(NamedTuple):
    """Where an access goes: a pointer (or a vector of them) for `lanes` elements; `base` is the buffer's start."""

    pointer: str
    base: str
    lanes: int
    is_contiguous: bool = True


class Access(Values):
    """Loads and stores. Nothing leaves a buffer: guarded loads are masked, indirect indices clamped."""

    # Loads and stores

    def loaded(self, load: Load) -> Val:
        buffer = self.kernel.buffers[load.operand]
        place = self._place(load.operand, load.index)
        guard = self.guard(buffer, load) if load.guarded else ""
        if guard == "false":
            return Val(constant(load.dtype.computed.value, 1, load.fill), load.dtype.computed)
        key = (place, guard, self.lanes.mask if self.lanes and place.lanes > 1 else "", load.fill)
        known = self.scopes[-1].values
        if key not in known:
            known[key] = self._load_at(buffer, place, guard, load)
        return known[key]

    def _load_at(self, buffer: Buffer, place: Place, guard: str, load: Load) -> Val:
        memory = memory_type(buffer.dtype)
        if place.lanes == 1:
            name = self._load_scalar(place, guard, memory)
        else:
            name = self._load_vector(place, guard, memory)
        if buffer.dtype is DType.BOOL:
            type = memory if place.lanes == 1 else f"<{place.lanes} x i8>"
            zero = "0" if place.lanes == 1 else "zeroinitializer"
            name = self.asm.op(f"icmp ne {type} {name}, {zero}")
        if buffer.dtype.is_half:
            name = widened(self.asm, name, buffer.dtype, place.lanes)
        value = Val(name, buffer.dtype.computed, place.lanes)
        if guard and (load.fill or place.lanes == 1):
            dtype = load.dtype.computed
            fill = self.splatted(Val(constant(dtype.value, 1, load.fill), dtype), place.lanes)
            value = self.selected(self._as_mask(guard, place.lanes), value, fill)
        return value

    def _load_scalar(self, place: Place, guard: str, memory: str) -> str:
        pointer = place.pointer
        if guard:  # outside, read the first element instead: it is always there
            pointer = self.asm.op(f"select i1 {guard}, ptr {pointer}, ptr {place.base}")
        return self.asm.op(f"load {memory}, ptr {pointer}")

    def _load_vector(self, place: Place, guard: str, memory: str) -> str:
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

    def prefetched(self, load: Load, is_written: bool) -> None:
        """Fetches the line where a load or store will begin; no address is a fault."""
        pointer = self._place(load.operand, load.index).pointer
        self.asm.declare("llvm.prefetch.p0", "void", ("ptr", "i32 immarg", "i32 immarg", "i32 immarg"))
        self.asm.line(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(is_written)}, i32 3, i32 1)")

    def stored(self, stmt: Store) -> None:
        buffer = self.kernel.buffers[stmt.buffer]
        value = self.value(stmt.value)
        dtype = buffer.dtype.computed
        if value.dtype is not dtype:
            value = self.applied("cast", [value], dtype)
        place = self._place(stmt.buffer, stmt.index)
        if stmt.add:
            value = self.applied(
                "add",
                [self._load_at(buffer, place, "", Load(stmt.buffer, stmt.index, dtype)), value],
                dtype,
            )
        value = self.splatted(value, place.lanes)
        memory, name = memory_type(buffer.dtype), value.name
        if buffer.dtype.is_half:
            name = narrowed(self.asm, name, buffer.dtype, place.lanes)
        if buffer.dtype is DType.BOOL:
            name = self.asm.op(f"zext {value.type} {name} to {'i8' if place.lanes == 1 else f'<{place.lanes} x i8>'}")
        self._write(place, memory, name)
        for scope in self.scopes:
            scope.values = {k: v for k, v in scope.values.items() if not isinstance(k[0], Place)}  # type: ignore[index]

    def _write(self, place: Place, memory: str, name: str) -> None:
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

    def transposed(self, tile: Transpose) -> None:
        """Loads row by row, exchanges halves of ever smaller size between pairs of rows, stores column by column."""
        load_index = _placed_at(tile.load.index, tile.row, tile.row_base)
        store_index = _placed_at(tile.index, tile.column, tile.column_base)
        dtype = tile.load.dtype
        type = llvm_type(dtype.value, tile.lanes)
        rows = ["zeroinitializer"] * tile.lanes
        self.lanes = Lanes(
            tile.column, tile.column_base, tile.lanes, first_lanes(tile.columns, tile.lanes), tile.columns
        )
        for i in range(tile.rows):
            self.static[f"{tile.row}.t"] = i
            rows[i] = self.loaded(Load(tile.load.operand, load_index, dtype)).name
        columns = self._turned(rows, type)
        self.lanes = Lanes(tile.row, tile.row_base, tile.lanes, first_lanes(tile.rows, tile.lanes), tile.rows)
        for j in range(tile.columns):
            self.static[f"{tile.column}.t"] = j
            self._write(self._place(tile.buffer, store_index), llvm_type(dtype.value), columns[j])
        self.lanes = None

    def _turned(self, rows: list[str], type: str) -> list[str]:
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

    # Places

    def _place(self, number: int, index: tuple[Index, ...]) -> Place:
        buffer, base = self.kernel.buffers[number], self.bases[number]
        flat = self._flatten(number, buffer, index)
        step = flat.coefficient(self.lanes.var) if self.lanes else 0
        memory = memory_type(buffer.dtype)
        pointer = self.pointer(number, base, memory, flat)
        if any(not isinstance(i, Affine) for i in index):
            return self._indirect(buffer, base, pointer, memory, index, step)
        return self._along_lanes(pointer, base, memory, step)

    def _along_lanes(self, pointer: str, base: str, memory: str, step: int) -> Place:
        """The place of lane 0 and every `step` elements after it."""
        if step == 0:
            return Place(pointer, base, 1)
        assert self.lanes
        if step == 1:
            return Place(pointer, base, self.lanes.count)
        offsets = ", ".join(f"i64 {step * lane}" for lane in range(self.lanes.count))
        many = self.asm.op(f"getelementptr {memory}, ptr {pointer}, <{self.lanes.count} x i64> <{offsets}>")
        return Place(many, base, self.lanes.count, is_contiguous=False)

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
    ) -> Place:
        """Adds indices that are values, each clamped into its dimension so that no access leaves the buffer."""
        offset = Val("0", DType.I64)
        for i, stride, dim in zip(index, buffer.strides, buffer.shape, strict=True):
            if isinstance(i, Affine):
                continue
            at = self.applied("cast", [self.value(i)], DType.I64)
            for bound, limit in (("max", 0), ("min", int(dim) - 1)):
                at = self.applied(bound, [at, Val(str(limit), DType.I64)], DType.I64)
            scaled = self.applied("mul", [at, Val(str(stride), DType.I64)], DType.I64)
            offset = self.applied("add", [scaled, offset], DType.I64)
        if offset.lanes == 1:
            pointer = self.asm.op(f"getelementptr {memory}, ptr {pointer}, i64 {offset.name}")
            return self._along_lanes(pointer, base, memory, step)
        assert self.lanes
        if step:
            steps = Val("<" + ", ".join(f"i64 {step * i}" for i in range(offset.lanes)) + ">", DType.I64, offset.lanes)
            offset = self.applied("add", [offset, steps], DType.I64)
        many = self.asm.op(f"getelementptr {memory}, ptr {pointer}, {offset.type} {offset.name}")
        return Place(many, base, offset.lanes, is_contiguous=False)

    def guard(self, buffer: Buffer, load: Load, *, only_static: bool = False) -> str:
        """An i1 (or i1 vector) that is true inside the buffer; "" when always (or not known), "false" when never."""
        conditions: list[Val] = []
        for d in load.guarded:
            i, dim = load.index[d], buffer.shape[d]
            if not isinstance(i, Affine):
                continue
            fixed, moving = self.terms(i)
            along_lanes = bool(self.lanes and i.coefficient(self.lanes.var))
            if not moving and not along_lanes:
                if not 0 <= fixed < int(dim):
                    return "false"
                continue
            if only_static or (along_lanes and not moving and self._lanes_inside(i, fixed, int(dim))):
                continue
            at = self.position(i, DType.I64)
            limit = Val(constant("i64", at.lanes, int(dim)), DType.I64, at.lanes)
            # one unsigned comparison covers both ends
            conditions.append(Val(self.asm.op(f"icmp ult {at.type} {at.name}, {limit.name}"), DType.BOOL, at.lanes))
        if not conditions:
            return ""
        both = conditions[0]
        for other in conditions[1:]:
            both = self.applied("logical_and", [both, other], DType.BOOL)
        if both.lanes > 1:
            self._vector_guards.add(both.name)
        return both.name

    def _lanes_inside(self, index: Affine, first: int, dim: int) -> bool:
        assert self.lanes
        count = self.lanes.active if self.lanes.active is not None else self.lanes.count
        last = first + index.coefficient(self.lanes.var) * (count - 1)
        return min(first, last) >= 0 and max(first, last) < dim

    def is_padding(self, value: Expr) -> bool:
        """Whether a factor is known to lie outside its operand here, where it counts as zero."""
        match value:
            case Apply("mul", factors):
                return any(self.is_padding(f) for f in factors)
            case Load(operand, _, _, guarded, 0.0) if guarded:
                return self.guard(self.kernel.buffers[operand], value, only_static=True) == "false"
        return False


def _placed_at(index: tuple[Index, ...], axis: str, base: Affine) -> tuple[Index, ...]:
    """An index with `axis` at base plus the written-out variable `axis.t`."""
    where = {axis: base + Affine.of(f"{axis}.t")}
    return tuple(i.substitute(where) if isinstance(i, Affine) else i for i in index)


def first_lanes(active: int, lanes: int) -> str:
    """The mask of the first `active` lanes, "" for all."""
    if active >= lanes:
        return ""
    return "<" + ", ".join(f"i1 {'true' if i < active else 'false'}" for i in range(lanes)) + ">"


def _alignment(memory: str) -> int:
    return {"float": 4, "double": 8, "i1": 1}.get(memory) or int(memory[1:]) // 8
