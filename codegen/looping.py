"""Lowering a loop: from the program of its body, which is made like any other program, to the driver that runs it.

The first phases of that program depend on constants alone (a weight packed into panels, say). They become kernels of
their own, which run once in front of the loop; those that read rows are run by every unit for its own ones, before the
first step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from codegen.loops import Buffer, Kernel
from codegen.lower import Lowered
from codegen.scan import MEMORY, Call, Carry, Driver, Place, aligned
from graphc.ir.loop import Loop
from graphc.ir.plan import LoopPlan
from graphc.ir.program import Entry, Phase, Program
from graphc.ir.types import DType, TensorType, concrete

Kernels = Mapping[str, Kernel | Driver]


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a loop as a program; `kept` are the entries that its first phases prepare for all steps. What these
    prepare for good lies in the arena behind the first `memory_bytes`."""

    program: Program
    kept: Collection[int]
    memory_bytes: int


def lower_loop(op: Loop, label: str, plan: LoopPlan, body: Body, kernels: Kernels, fixed: frozenset[int]) -> Lowered:
    """The kernels that prepare what all steps share, then the driver.

    `kernels` are all there are so far by symbol. `fixed` are the operands that stay the same over many runs: if all
    constants do, what was prepared is kept.
    """
    return _Lowering(op, label, plan, body, kernels).run(fixed)


class _Lowering:
    """Operands of the loop, in order: inputs, results, workspaces, arrays of the body."""

    def __init__(self, op: Loop, label: str, plan: LoopPlan, body: Body, kernels: Kernels) -> None:
        self.op, self.label, self.plan, self.kernels = op, label, plan, kernels
        self.program, self.kept, self.arena_bytes = body.program, body.kept, body.memory_bytes
        self.inputs = len(op.body.inputs)
        self.own = self._own_entries() if plan.block else set()
        if self.own:
            self.arena_bytes = self.program.arena_bytes
        phases = self.program.phases[: self.program.prepared]
        self.shared = [phase for phase in phases if not self.own.intersection(phase.slots)]
        self.types = [v.type for v in op.following()] + [op.sequence_type(v.type) for v in op.stacked()]
        self.spare_bytes = 0
        self.carries = tuple(self._carry(i) for i in range(op.carries))
        self.workspaces = self._workspaces()

    def _own_entries(self) -> set[int]:
        """Entries that differ from unit to unit, of those that are prepared: rows of constants, and what is made of
        them."""
        graph, phases = self.plan.step.graph, self.program.phases[: self.program.prepared]
        first = self.op.carries + self.op.sequences
        own = {
            number
            for number, entry in enumerate(self.program.entries)
            if entry.place == "state" and graph.inputs[first + entry.index].type.has_rows
        }
        found = -1
        while found != len(own):
            found = len(own)
            for phase in phases:
                if own.intersection(phase.slots):
                    own.update(phase.slots[self._reads(phase) :])
        return own

    # Where things are

    @property
    def has_units(self) -> bool:
        """Whether there may be several, each with memory of its own."""
        return bool(self.plan.block) or self.plan.parts > 1

    @property
    def _memory_bytes(self) -> int:
        return aligned(self.arena_bytes) + self.spare_bytes

    @property
    def _memory(self) -> int:
        """The operand that holds what lives within a step: of one unit, or the last workspace."""
        return MEMORY if self.has_units else self.inputs + len(self.types) + bool(self.shared)

    def _workspaces(self) -> tuple[Buffer, ...]:
        found = []
        if self.shared:
            found.append(_bytes("prepared", self.program.arena_bytes))
        if not self.has_units:
            found.append(_bytes("memory", self._memory_bytes))
        return tuple(found)

    def _operand(self, entry: Entry, prepared: bool) -> tuple[int, int]:
        """Operand and byte offset of an entry; `prepared`: in the workspace that is filled once."""
        match entry.place:
            case "input":
                return entry.index, 0
            case "state":
                return self.op.carries + self.op.sequences + entry.index, 0
            case "output":
                return self.inputs + self._result(entry.index), 0
            case "constant":
                return self.inputs + len(self.types) + len(self.workspaces) + entry.index, 0
        return (self.inputs + len(self.types) if prepared else self._memory), entry.offset

    def _result(self, output: int) -> int:
        """The result that an output of the program is: the stacked one, if it is carried too."""
        return max(i for i, place in enumerate(self.plan.results) if place == output)

    def _place(self, number: int) -> Place | None:
        """Where a table entry points; None for what alternates."""
        entry = self.program.entries[number]
        operand, offset = self._operand(entry, number in self.kept and number not in self.own)
        if entry.place in ("arena", "constant"):
            return Place(operand, offset)
        graph, sequences = self.plan.step.graph, self.op.sliced()
        if entry.place == "state":
            return Place(operand, 0, self._block(graph.inputs[operand].type))
        if entry.place == "input":
            at = entry.index - self.op.carries
            if at < 0:
                return None
            return Place(operand, 0, self._block(graph.inputs[operand].type), sequences[at].type.nbytes)
        result = operand - self.inputs
        if result < self.op.carries:
            return None
        return Place(operand, 0, self._block(graph.outputs[entry.index].type), self.op.body.outputs[result].type.nbytes)

    def _block(self, type: TensorType) -> int:
        """Bytes between the blocks of rows of an array."""
        return type.nbytes if self.plan.block and type.has_rows else 0

    def _carry(self, i: int) -> Carry:
        type = self.plan.step.graph.inputs[i].type
        entries = self.program.entries
        output = self.plan.results[i]
        now = next(n for n, e in enumerate(entries) if e.place == "input" and e.index == i)
        after = next(n for n, e in enumerate(entries) if e.place == "output" and e.index == output)
        block = self._block(type)
        first, last = Place(i, 0, block), Place(self.inputs + i, 0, block)
        spare = self._spare(type) if self._result(output) == i else None
        own = self._spare(type) if spare is not None and self.plan.block and not block else None
        return Carry(now, after, first, last, spare, own, type.nbytes)

    def _spare(self, type: TensorType) -> Place:
        at = self._memory_bytes
        self.spare_bytes += aligned(type.nbytes)
        return Place(self._memory, at)

    # Kernels

    def run(self, fixed: frozenset[int]) -> Lowered:
        prepared = self.shared
        constants = range(self.op.carries + self.op.sequences, self.inputs)
        is_kept = bool(prepared) and fixed.issuperset(constants)
        return Lowered(
            (*map(self._kernel, prepared), self._driver()),
            self.inputs,
            len(self.types),
            self.workspaces,
            dict.fromkeys(range(len(prepared)), 0) if is_kept else {},
            {number: tuple(self._preparing(phase)) for number, phase in enumerate(prepared)},
            self.program.constants,
        )

    def _kernel(self, phase: Phase) -> Kernel | Driver:
        """The phase's kernel; maps of all sizes share their code, so the units are the phase's own."""
        return replace(self.kernels[phase.symbol], units=phase.units, grain=phase.grain)

    def _preparing(self, phase: Phase) -> Iterator[tuple[int, int]]:
        """Operands and offsets for a phase that runs in front of the loop."""
        for slot in phase.slots:
            yield self._operand(self.program.entries[slot], prepared=True)

    def _driver(self) -> Driver:
        program, plan = self.program, self.plan
        first = [phase for phase in program.phases[: program.prepared] if self.own.intersection(phase.slots)]
        return Driver(
            self.label,
            tuple(self._buffers()),
            plan.parts * (int(self.op.body.batch or 1) * plan.per // plan.block if plan.block else 1),
            plan.block,
            plan.per,
            plan.parts,
            self.op.steps,
            self.op.reverse,
            tuple(self._place(number) for number in range(len(program.entries))),
            tuple(self._names()),
            self.carries,
            self._calls(first),
            self._calls(program.phases[program.prepared :]),
            self._memory_bytes if self.has_units else 0,
            aligned(program.scratch_bytes),
        )

    def _calls(self, phases: Iterable[Phase]) -> tuple[Call, ...]:
        return tuple(Call(p.symbol, p.slots, p.units, self._reads(p)) for p in phases if p.units)

    def _reads(self, phase: Phase) -> int:
        buffers = self.kernels[phase.symbol].buffers
        return sum(not (buffer.is_output or buffer.is_local) for buffer in buffers)

    def _buffers(self) -> Iterator[Buffer]:
        split = self.op.carries, self.op.carries + self.op.sequences
        for i, value in enumerate(self.op.body.inputs):
            type = self.op.sequence_type(value.type) if split[0] <= i < split[1] else value.type
            yield Buffer(value.name, type.dtype, concrete(type.shape))
        for value, type in zip(self.op.body.outputs, self.types, strict=True):
            yield Buffer(value.name, type.dtype, concrete(type.shape), is_output=True)
        yield from self.workspaces
        for number, array in enumerate(self.program.constants):
            yield Buffer(f"constant.{number}", DType.of(array.dtype), array.shape)

    def _names(self) -> Iterator[str]:
        """What the entries are called in dumps."""
        plan = self.plan.step
        names = [buffer.name for buffer in plan.buffers]
        yield from names
        for number in range(len(names), len(self.program.entries)):
            yield f"work.{number - len(names)}"


def _bytes(name: str, nbytes: int) -> Buffer:
    return Buffer(name, DType.U8, (max(nbytes, 1),), is_output=True)
