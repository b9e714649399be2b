"""A planned graph as a program: every node lowered, equal kernels emitted once, every operand given its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codegen.catalog import Catalog
from codegen.choice import MODEL, Choice
from codegen.looping import Body, lower_loop
from codegen.loops import Buffer, Kernel, Store, padded_bytes
from codegen.lower import Lowered, lower
from codegen.parts import Part
from codegen.scan import Driver
from codegen.target import Target
from codegen.tile import tile_kernel
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.nest import Affine, Load, axes_of
from graphc.ir.op import Alias, Node, Parameter, Revision, Role, Source, Value
from graphc.ir.plan import MemoryPlan
from graphc.ir.program import Entry, Phase, Program, Slot
from graphc.ir.structure import structural_key
from graphc.ir.types import concrete

KEPT = "kept"  # the place of a workspace that is kept, until it is known where that is


@dataclass(frozen=True, slots=True)
class Code:
    """What is handed to the compiler: LLVM modules, and the kernels in them by symbol."""

    modules: tuple[str, ...]
    kernels: dict[str, Kernel | Driver]
    texts: dict[str, str]


def build_program(
    plan: MemoryPlan, target: Target, choices: Mapping[str, Choice] | None = None
) -> tuple[Program, Code]:
    """Lowers every node of the planned graph for a target. `choices` are what a tuner found, by `kernel_key`."""
    catalog = Catalog(target, choices or {})
    program = _Builder(plan, catalog).build()
    return program, Code(tuple(catalog.modules()), catalog.kernels, catalog.texts)


def kernel_key(node: Node) -> str:
    """Equal for nodes that compute the same in the same way: the key of their bodies."""
    return structural_key(_body(node)[0])


class _Builder:
    def __init__(self, plan: MemoryPlan, catalog: Catalog) -> None:
        self.plan, self.graph, self.catalog = plan, plan.graph, catalog
        self.entries: list[Entry] = []
        self.entry_of: dict[int, int] = {}
        self.constants: list[np.ndarray[Any, Any]] = []
        self.phases: list[Phase] = []
        self.constants_of: dict[int, int] = {}
        self.kept: set[int] = set()
        self.scratch_bytes = 0
        self.workspace_bytes = self.kept_bytes = 0
        self.fixed = plan.graph.fixed()
        self.preparing: list[Phase] = []
        self.written: set[int] = set()

    def build(self) -> Program:
        graph = self.graph
        data = graph.inputs_of(Role.INPUT)
        states = tuple(v for v in graph.inputs if graph.role(v) != Role.INPUT)
        self._border(data, states)
        for node in graph.nodes:
            self._node(node)
        for state, value in self.plan.copies:
            self._copy(state, value)
        return Program(
            graph.name,
            graph.batch,
            tuple(map(self._slot, data)),
            tuple(map(self._slot, states)),
            tuple(
                Slot(name, v.shape, v.dtype, "output")
                for name, v in zip(graph.output_names or [v.name for v in graph.outputs], graph.outputs, strict=True)
            ),
            tuple(self.constants),
            tuple(map(self._final, self.entries)),
            (*self.preparing, *self.phases),
            self.kept_offset + self.kept_bytes,
            self.scratch_bytes,
            len(self.preparing),
        )

    def _slot(self, value: Value) -> Slot:
        return Slot(value.name, value.shape, value.dtype, self.graph.role(value) or "output")

    # Memory

    def _border(self, data: Sequence[Value], states: Sequence[Value]) -> None:
        """Table entries of everything that is not in the arena, and of all that is."""
        places: dict[int, Entry] = {}
        for i, value in enumerate(data):
            places[self.plan.buffer_of[value]] = Entry("input", i)
        for i, value in enumerate(states):
            places[self.plan.buffer_of[value]] = Entry("state", i)
        for i, value in enumerate(self.graph.outputs):
            if self.plan.buffer(value).place == "output":
                places[self.plan.buffer_of[value]] = Entry("output", i)
        for value in self.graph.values():
            if self.plan.buffer(value).place == "constant" and not isinstance(value.op, Alias):
                places[self.plan.buffer_of[value]] = self._constant(value)
        for number, buffer in enumerate(self.plan.buffers):
            entry = places.get(number, Entry("arena", 0, buffer.offset))
            assert (entry.place == "arena") == (buffer.place == "arena"), f"buffer {buffer} has no array"
            self.entry_of[number] = len(self.entries)
            self.entries.append(entry)

    def _constant(self, value: Value) -> Entry:
        (array,) = value.op.eval()
        self.constants.append(np.ascontiguousarray(array))
        return Entry("constant", len(self.constants) - 1)

    def _entry(self, value: Value) -> int:
        return self.entry_of[self.plan.buffer_of[value]]

    def _workspaces(self, lowered: Lowered) -> list[int]:
        """Entries behind the arena for buffers that live only between the kernels of one node, or for good."""
        offset, entries = 0, []
        for number, buffer in enumerate(lowered.workspaces):
            if number in lowered.kept.values():
                entries.append(len(self.entries))
                self.entries.append(Entry(KEPT, 0, self.kept_bytes))
                self.kept_bytes += padded_bytes(buffer)
                continue
            entries.append(self._arena_entry(self.plan.arena_bytes + offset))
            offset += padded_bytes(buffer)
        self.workspace_bytes = max(self.workspace_bytes, offset)
        return entries

    @property
    def kept_offset(self) -> int:
        """Where in the arena the workspaces begin that are kept: behind all others."""
        return self.plan.arena_bytes + self.workspace_bytes

    def _final(self, entry: Entry) -> Entry:
        return Entry("arena", 0, self.kept_offset + entry.offset) if entry.place == KEPT else entry

    def _arena_entry(self, offset: int) -> int:
        entry = Entry("arena", 0, offset)
        if entry not in self.entries:
            self.entries.append(entry)
        return self.entries.index(entry)

    # Code

    def _node(self, node: Node) -> None:
        is_constant = isinstance(node.op, Source) and self.plan.buffer(node.outputs[0]).place == "constant"
        if isinstance(node.op, Alias) or is_constant:
            return
        assert not isinstance(node.op, Parameter)
        fixed = frozenset(i for i, value in enumerate(node.inputs) if value in self.fixed)
        body, label = _body(node)
        in_place = self._is_in_place(node, body)
        key = structural_key(body), fixed, in_place
        lowered = self.catalog.lowered(key, lambda: self._lower(node, body, _symbol(label), fixed, in_place))
        slots = [self._entry(v) for v in node.inputs] + [self._entry(v) for v in node.outputs]
        writes = slots[len(node.inputs) :]
        workspaces = self._workspaces(lowered)
        slots += [*workspaces, *self._constant_entries(lowered)]
        is_fixed = node.outputs[0] in self.fixed
        self.kept.update(writes if is_fixed else (workspaces[number] for number in lowered.kept.values()))
        for number, kernel in enumerate(lowered.kernels):
            own = [self._moved(slots[operand], offset) for operand, offset in lowered.operands.get(number, ())] or slots
            phases = self.preparing if is_fixed or number in lowered.kept else self.phases
            self._phase(kernel, own, node, writes, phases)
        self._checks(node)

    def _is_in_place(self, node: Node, body: Graph) -> bool:
        """Whether a revision among the nodes of a kernel has the memory of what it revises."""
        for inner in body.nodes:
            if isinstance(inner.op, Revision) and inner.inputs[0] in body.inputs:
                before = node.inputs[body.inputs.index(inner.inputs[0])]
                after = node.outputs[body.outputs.index(inner.outputs[0])]
                return self._entry(before) == self._entry(after)
        return False

    def _lower(self, node: Node, body: Graph, label: str, fixed: frozenset[int], in_place: bool) -> Lowered:
        if not isinstance(node.op, Loop):
            choice = self.catalog.choices.get(structural_key(body), MODEL) if self.catalog.choices else MODEL
            return lower(body, label, self.catalog.target, fixed, choice, in_place)
        plan = self.plan.loops[node]
        inner = _Builder(plan.step, self.catalog)
        step = Body(inner.build(), frozenset(inner.kept), inner.kept_offset)
        return lower_loop(node.op, label, plan, step, self.catalog.kernels, fixed)

    def _constant_entries(self, lowered: Lowered) -> list[int]:
        """Entries of the arrays that kernels bring along, each once."""
        found = []
        for array in lowered.constants:
            if id(array) not in self.constants_of:
                self.constants_of[id(array)] = len(self.entries)
                self.entries.append(Entry("constant", len(self.constants)))
                self.constants.append(array)
            found.append(self.constants_of[id(array)])
        return found

    def _moved(self, number: int, offset: int) -> int:
        """The entry of what lies some bytes behind another entry's beginning."""
        entry = self.entries[number]
        moved = replace(entry, offset=entry.offset + offset)
        if moved not in self.entries:
            self.entries.append(moved)
        return self.entries.index(moved)

    def _phase(
        self, kernel: Kernel | Driver, slots: Sequence[int], node: Node, writes: Sequence[int], phases: list[Phase]
    ) -> None:
        """Appends a phase to those given; the first that writes a weight or state is marked."""
        updates = any(self.entries[entry].place == "state" for entry in writes)
        is_first = updates and not any(phase.first_update for phase in self.phases)
        phase = Phase(kernel.name, tuple(slots), kernel.units, kernel.grain, is_first, kernel.joint)
        self.scratch_bytes = max(self.scratch_bytes, kernel.scratch_bytes)
        phases.append(replace(phase, node=node.names[0], layer=node.loc.layer, direction=node.loc.direction))

    def _checks(self, node: Node) -> None:
        """After the node that computes a check, a phase without work that looks at it."""
        for check in self.graph.checks:
            if check.value.node is node:
                last = self.phases[-1]
                guard = replace(last, units=0, check=self._entry(check.value), message=check.message)
                self.phases.append(guard)

    def _copy(self, state: Value, value: Value) -> None:
        """state = value, for an update that could not be computed in place."""
        if not state.type.size:
            return
        axes = axes_of(state.shape)
        index = tuple(map(Affine.of, axes))
        part = Part(axes, (), (), (Store(1, index, Load(0, index, state.dtype)),))
        buffers = [Buffer(name, state.dtype, concrete(state.shape), name == "to") for name in ("from", "to")]
        lowered = self.catalog.share(Lowered((tile_kernel("copy", part, buffers, self.catalog.target),), 1, 1, ()))
        entries = [self._entry(value), self._entry(state)]
        self._phase(lowered.kernels[0], entries, state.node, entries[1:], self.phases)


def _body(node: Node) -> tuple[Graph, str]:
    """The node's body graph and label; a single op becomes a body of its own."""
    if isinstance(node.op, Fused):
        return node.op.body, node.op.label
    inputs = tuple(Value(Node(Parameter(Role.INPUT), (), (v.type,), (f"x{i}",))) for i, v in enumerate(node.inputs))
    inner = Node(node.op, inputs, node.types, node.names, node.loc)
    return Graph(node.op.mnemonic, inputs, (inner,), inner.outputs), node.op.mnemonic


def _symbol(label: str) -> str:
    """A label as a symbol name: letters, digits, dots and underscores."""
    return "".join(c if c.isalnum() or c in "._" else "_" for c in label)
