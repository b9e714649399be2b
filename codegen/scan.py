"""Loops as native code: a driver with the signature of a kernel that runs the kernels of a body, step after step.

The driver keeps a table of pointers for the body's kernels in the thread's scratch memory. What an entry points to is
base + unit * block + step * stride: a unit is a block of rows that goes through all steps on its own, or through a part
of them where nothing is carried. What is carried alternates between two places, or lies in the results where it is
stacked too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from codegen.assembly import Assembly
from codegen.emit import PARAMETERS
from codegen.loops import Buffer
from graphc.ir.plan import ALIGNMENT

MEMORY = -1
"""The operand number of the memory that belongs to a unit."""
POINTER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Byte `offset` of operand `operand`, and `block` bytes further for every unit, `step` for every step."""

    operand: int
    offset: int = 0
    block: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class Carry:
    """What is carried: read at table entry `now`, written at entry `next`; `nbytes` of it belong to one unit.

    It comes from `first` and goes to `last`. `spare` is where it is written every other time; None if entry `next` is a
    result of every step, of which the last one is copied. The other times it is written to `last`, or to `own` if all
    units write the same `last`, none of which may see another's step there; then that is copied too.
    """

    now: int
    next: int
    first: Place
    last: Place
    spare: Place | None
    own: Place | None
    nbytes: int


@dataclass(frozen=True, slots=True)
class Call:
    """All units of one kernel of the body, on entries of the table, of which it reads the first `inputs`."""

    symbol: str
    slots: tuple[int, ...]
    units: int
    inputs: int


@dataclass(frozen=True, slots=True)
class Driver:
    """One native function with the interface of a `Kernel`.

    `block` is the number of rows of a unit, 0 for all there are; a row of the batch is `per` of these. A block may be
    `parts` units where nothing is carried. `places` are the entries of the table and `names` what they are called in
    dumps; the place of what alternates is None. `preparing` is what a unit calls before its first step.
    """

    name: str
    buffers: tuple[Buffer, ...]
    units: int
    block: int
    per: int
    parts: int
    steps: int
    reverse: bool
    places: tuple[Place | None, ...]
    names: tuple[str, ...]
    carries: tuple[Carry, ...]
    preparing: tuple[Call, ...]
    calls: tuple[Call, ...]
    memory_bytes: int
    call_scratch: int
    grain: int = 1
    joint: bool = False

    @property
    def table_bytes(self) -> int:
        return aligned(POINTER_BYTES * len(self.places))

    @property
    def scratch_bytes(self) -> int:
        """The table, the unit's memory, and what the kernels of the body need."""
        return self.table_bytes + self.memory_bytes + self.call_scratch


def aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


# ---- LLVM


def emit_driver(asm: Assembly, driver: Driver) -> None:
    """Writes the driver as a function `void name(table, slots, begin, end, rows, scratch)`."""
    slots = [slot for call in (*driver.preparing, *driver.calls) for slot in call.slots]
    if slots:
        asm.constant_words(f"{driver.name}.slots", slots)
    asm.begin_function(driver.name, PARAMETERS, attributes="nounwind")
    _Emitter(asm, driver).run()
    asm.line("ret void")
    asm.end_function()


class _Emitter:
    """Writes one driver."""

    def __init__(self, asm: Assembly, driver: Driver) -> None:
        self.asm, self.driver = asm, driver
        self.bases: dict[int, str] = {}

    def run(self) -> None:
        asm, driver = self.asm, self.driver
        for operand in sorted(self._used()):
            self.bases[operand] = self._operand(operand)
        self.bases[MEMORY] = self._bytes("%scratch", driver.table_bytes)
        self.call_scratch = self._bytes("%scratch", driver.table_bytes + driver.memory_bytes)
        end, rows = "%end", "%rows"
        if driver.block:
            count = asm.op(f"mul i64 %rows, {driver.per}") if driver.per > 1 else "%rows"
            blocks = asm.op(f"udiv i64 {asm.op(f'add i64 {count}, {driver.block - 1}')}, {driver.block}")
            units = asm.op(f"mul i64 {blocks}, {driver.parts}") if driver.parts > 1 else blocks
            end = self._smaller("%end", units)
        unit = asm.loop_begin("%begin", end, may_be_empty=True, stem="unit")
        block, steps = unit.index, ("0", str(driver.steps))
        if driver.parts > 1:
            block = asm.op(f"udiv i64 {unit.index}, {driver.parts}")
            steps = self._part(asm.op(f"urem i64 {unit.index}, {driver.parts}"))
        if driver.block:
            left = asm.op(f"sub i64 {count}, {asm.op(f'mul i64 {block}, {driver.block}')}")
            rows = self._smaller(left, str(driver.block))
        self._unit(block, rows, steps)
        asm.loop_end(unit)

    def _part(self, number: str) -> tuple[str, str]:
        """The first step of a part, and the first behind it."""
        length = -(-self.driver.steps // self.driver.parts)
        first = self.asm.op(f"mul i64 {number}, {length}")
        return first, self._smaller(self.asm.op(f"add i64 {first}, {length}"), str(self.driver.steps))

    def _used(self) -> set[int]:
        places = [place for place in self.driver.places if place is not None]
        for carry in self.driver.carries:
            places += [p for p in (carry.first, carry.last, carry.spare, carry.own) if p is not None]
        return {place.operand for place in places} - {MEMORY}

    def _operand(self, number: int) -> str:
        asm = self.asm
        where = asm.op(f"getelementptr inbounds i32, ptr %slots, i64 {number}")
        entry = asm.op(f"zext i32 {asm.op(f'load i32, ptr {where}')} to i64")
        return asm.op(f"load ptr, ptr {asm.op(f'getelementptr inbounds ptr, ptr %table, i64 {entry}')}")

    def _unit(self, unit: str, rows: str, steps: tuple[str, str]) -> None:
        """Steps of one block of rows."""
        places = {number: place for number, place in enumerate(self.driver.places) if place is not None}
        starts = {number: self._start(place, unit) for number, place in places.items()}
        for number, place in places.items():
            if not place.step:
                self._set(number, starts[number])
        ends = [(self._start(carry.first, unit), self._start(carry.last, unit)) for carry in self.driver.carries]
        if self.driver.steps:
            self._steps(unit, rows, steps, starts, ends)
        else:
            for carry, (first, last) in zip(self.driver.carries, ends, strict=True):
                self._copy(last, first, carry.nbytes)

    def _steps(
        self, unit: str, rows: str, steps: tuple[str, str], starts: dict[int, str], ends: list[tuple[str, str]]
    ) -> None:
        driver, asm = self.driver, self.asm
        self._calls(driver.preparing, 0, rows)
        entering = [
            pointer
            for carry, (first, last) in zip(driver.carries, ends, strict=True)
            for pointer in self._entering(carry, first, last, unit)
        ]
        step = asm.loop_begin(*steps, carried=[("ptr", name) for name in entering], stem="step")
        now = self._at_step(
            starts, asm.op(f"sub i64 {driver.steps - 1}, {step.index}") if driver.reverse else step.index
        )
        for number, pointer in now.items():
            if pointer != starts[number]:
                self._set(number, pointer)
        following = list(self._carry(iter(step.carried), now))
        self._calls(driver.calls, sum(len(call.slots) for call in driver.preparing), rows)
        asm.loop_end(step, following)
        finally_at = self._at_step(starts, "0" if driver.reverse else str(driver.steps - 1))
        for carry, (_, last) in zip(driver.carries, ends, strict=True):
            if carry.spare is None:
                self._copy(last, finally_at[carry.next], carry.nbytes)
            elif carry.own is not None:
                self._copy(last, self._start(carry.own, unit), carry.nbytes)

    def _at_step(self, starts: dict[int, str], step: str) -> dict[int, str]:
        """Where the places are in a step."""
        return {number: self._moved(start, step, self._stride(number)) for number, start in starts.items()}

    def _stride(self, number: int) -> int:
        place = self.driver.places[number]
        return place.step if place is not None else 0

    def _start(self, place: Place, unit: str) -> str:
        """Where the place is for a unit at step 0."""
        return self._moved(self._bytes(self.bases[place.operand], place.offset), unit, place.block)

    def _entering(self, carry: Carry, first: str, last: str, unit: str) -> tuple[str, ...]:
        """Read, write and spare pointer of the first step, chosen so that the last step does not write to the spare."""
        if carry.spare is None:
            return (first,)
        spare = self._start(carry.spare, unit)
        last = last if carry.own is None else self._start(carry.own, unit)
        return (first, last, spare) if self.driver.steps % 2 else (first, spare, last)

    def _carry(self, pointers: Iterator[str], now: dict[int, str]) -> Iterator[str]:
        """Sets this step's pointers of what is carried; gives those of the next step."""
        for carry in self.driver.carries:
            self._set(carry.now, next(pointers))
            if carry.spare is None:
                yield now[carry.next]
                continue
            written, other = next(pointers), next(pointers)
            self._set(carry.next, written)
            yield from (written, other, written)

    def _calls(self, calls: Iterable[Call], first: int, rows: str) -> None:
        """Runs kernels, the first of which has its slots at `first`."""
        asm = self.asm
        for call in calls:
            asm.declare(call.symbol, "void", [type for type, _ in PARAMETERS])
            slots = asm.op(f"getelementptr inbounds i32, ptr @{self.driver.name}.slots, i64 {first}")
            first += len(call.slots)
            values = ("%scratch", slots, "0", str(call.units), rows, self.call_scratch)
            listed = ", ".join(f"{type} {value}" for (type, _), value in zip(PARAMETERS, values, strict=True))
            asm.line(f"call void @{call.symbol}({listed})")

    def _set(self, number: int, pointer: str) -> None:
        entry = self.asm.op(f"getelementptr inbounds ptr, ptr %scratch, i64 {number}")
        self.asm.line(f"store ptr {pointer}, ptr {entry}")

    def _copy(self, to: str, source: str, nbytes: int) -> None:
        if nbytes:
            self.asm.declare("llvm.memcpy.p0.p0.i64", "void", ("ptr", "ptr", "i64", "i1"))
            self.asm.line(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, i64 {nbytes}, i1 false)")

    def _bytes(self, pointer: str, offset: int) -> str:
        return self.asm.op(f"getelementptr i8, ptr {pointer}, i64 {offset}") if offset else pointer

    def _moved(self, pointer: str, count: str, stride: int) -> str:
        if not stride:
            return pointer
        return self._gep(pointer, self.asm.op(f"mul i64 {count}, {stride}"))

    def _gep(self, pointer: str, offset: str) -> str:
        return self.asm.op(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def _smaller(self, a: str, b: str) -> str:
        return self.asm.op(f"select i1 {self.asm.op(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")


# ---- text


def format_driver(driver: Driver) -> str:
    """The driver as text, for dumps: `+` marks what moves with the step, `'` the next value of what is carried."""
    ins = [_declared(buffer) for buffer in driver.buffers if not buffer.is_output]
    outs = [_declared(buffer) for buffer in driver.buffers if buffer.is_output]
    what = f"blocks of {driver.block} rows" if driver.block else "all rows together"
    steps = f"{driver.steps - 1}..0 down" if driver.reverse else f"0..{driver.steps}"
    part = f" in {driver.parts} parts, each a unit" if driver.parts > 1 else ""
    rows = f"rows * {driver.per}" if driver.per > 1 else "rows"
    units = f"{driver.parts} * " if driver.parts > 1 else ""
    lines = [
        f"kernel @{driver.name}({', '.join(ins)}) -> {', '.join(outs)}",
        f"  schedule {{{what}, {driver.memory_bytes} bytes of memory each}}",
        f"  parallel {driver.units} units, {driver.grain} a chunk:",
        f"    for unit in begin..{f'min(end, {units}ceil({rows} / {driver.block}))' if driver.block else 'end'}:",
        *(f"      {_call_text(driver, call)}" for call in driver.preparing),
        f"      for step in {steps}{part}:",
        *(f"        {_call_text(driver, call)}" for call in driver.calls),
    ]
    return "\n".join(lines) + "\n"


def _declared(buffer: Buffer) -> str:
    return f"{buffer.name}: {buffer.dtype.value}[{','.join(map(str, buffer.shape))}]"


def _call_text(driver: Driver, call: Call) -> str:
    shown = [_entry_text(driver, slot) for slot in call.slots]
    return f"{call.symbol}({', '.join(shown[: call.inputs])}) -> {', '.join(shown[call.inputs :])}"


def _entry_text(driver: Driver, number: int) -> str:
    place, name = driver.places[number], driver.names[number]
    if place is not None and place.step:
        return f"{name}[step]"
    return name


def describe_calls(kernels: Iterable[object]) -> dict[str, str]:
    """For every kernel that drivers call, which of them do."""
    found: dict[str, dict[str, None]] = {}
    for driver in kernels:
        if isinstance(driver, Driver):
            for call in (*driver.preparing, *driver.calls):
                found.setdefault(call.symbol, {})[driver.name] = None
    return {symbol: f"every step of {', '.join(drivers)}" for symbol, drivers in found.items()}
