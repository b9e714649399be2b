"""A planned graph as a program: every node lowered, equal kernels emitted once, every operand given its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codegen.assembly import Assembly
from codegen.emit import emit_kernel
from codegen.loops import Buffer, Kernel, Store, padded_bytes
from codegen.lower import Lowered, lower
from codegen.parts import Part
from codegen.target import Target
from codegen.tile import tile_kernel
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.nest import Affine, Load, axes_of
from graphc.ir.op import Alias, Node, Parameter, Role, Source, Value
from graphc.ir.plan import MemoryPlan
from graphc.ir.program import Entry, Phase, Program, Slot
from graphc.ir.structure import structural_key
from graphc.ir.types import concrete

MODULE_KERNELS = 8  # kernels compiled together: enough to share the fixed cost, few enough to spread over threads


@dataclass(frozen=True, slots=True)
class Code:
    """What is handed to the compiler: LLVM modules, and the kernels in them by symbol."""

    modules: tuple[str, ...]
    kernels: dict[str, Kernel]
    texts: dict[str, str]


def build_program(plan: MemoryPlan, target: Target) -> tuple[Program, Code]:
    """Lowers every node of the planned graph for a target."""
    return _Builder(plan, target).build()


class _Builder:
    def __init__(self, plan: MemoryPlan, target: Target) -> None:
        self.plan, self.graph, self.target = plan, plan.graph, target
        self.entries: list[Entry] = []
        self.entry_of: dict[int, int] = {}
        self.constants: list[np.ndarray[Any, Any]] = []
        self.phases: list[Phase] = []
        self.lowered: dict[object, Lowered] = {}
        self.symbols: dict[str, str] = {}
        self.kernels: dict[str, Kernel] = {}
        self.texts: dict[str, str] = {}
        self.declarations: dict[str, tuple[str, ...]] = {}
        self.workspace_bytes = 0
        self.written: set[int] = set()

    def build(self) -> tuple[Program, Code]:
        graph = self.graph
        data = graph.inputs_of(Role.INPUT)
        states = tuple(v for v in graph.inputs if graph.role(v) != Role.INPUT)
        self._border(data, states)
        for node in graph.nodes:
            self._node(node)
        for state, value in self.plan.copies:
            self._copy(state, value)
        program = Program(
            graph.name,
            graph.batch,
            tuple(map(self._slot, data)),
            tuple(map(self._slot, states)),
            tuple(
                Slot(name, v.shape, v.dtype, "output")
                for name, v in zip(graph.output_names or [v.name for v in graph.outputs], graph.outputs, strict=True)
            ),
            tuple(self.constants),
            tuple(self.entries),
            tuple(self.phases),
            self.plan.arena_bytes + self.workspace_bytes,
            max((k.scratch_bytes for k in self.kernels.values()), default=0),
        )
        return program, Code(tuple(self._modules()), self.kernels, self.texts)

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
        """Entries behind the arena for buffers that live only between the kernels of one node."""
        offset, entries = 0, []
        for buffer in lowered.workspaces:
            entries.append(self._arena_entry(self.plan.arena_bytes + offset))
            offset += padded_bytes(buffer)
        self.workspace_bytes = max(self.workspace_bytes, offset)
        return entries

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
        body, label = _body(node)
        key = structural_key(body)
        if key not in self.lowered:
            self.lowered[key] = self._share(lower(body, _symbol(label), self.target))
        lowered = self.lowered[key]
        slots = [self._entry(v) for v in node.inputs] + [self._entry(v) for v in node.outputs]
        slots += self._workspaces(lowered)
        for kernel in lowered.kernels:
            self._phase(kernel, slots, node, writes=slots[len(node.inputs) : len(node.inputs) + len(node.outputs)])
        self._checks(node)

    def _phase(self, kernel: Kernel, slots: Sequence[int], node: Node, writes: Sequence[int]) -> None:
        """Appends a phase; the first that writes a weight or state is marked."""
        updates = any(self.entries[entry].place == "state" for entry in writes)
        is_first = updates and not any(phase.first_update for phase in self.phases)
        phase = Phase(kernel.name, tuple(slots), kernel.units, kernel.grain, is_first, node=node.names[0])
        self.phases.append(replace(phase, layer=node.loc.layer, direction=node.loc.direction))

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
        lowered = self._share(Lowered((tile_kernel("copy", part, buffers, self.target),), 1, 1, ()))
        entries = [self._entry(value), self._entry(state)]
        self._phase(lowered.kernels[0], entries, state.node, entries[1:])

    def _share(self, lowered: Lowered) -> Lowered:
        """The kernels under symbols of their own, or under those of equal code emitted before."""
        kernels = []
        for kernel in lowered.kernels:
            asm = Assembly()
            emit_kernel(asm, replace(kernel, name="kernel"), self.target)
            text = asm.text()
            symbol = self.symbols.get(text)
            if symbol is None:
                symbol = self.symbols[text] = self._fresh(kernel.name)
                self.kernels[symbol] = replace(kernel, name=symbol)
                self.texts[symbol] = text.replace("@kernel(", f"@{symbol}(", 1)
            kernels.append(replace(kernel, name=symbol))
        return replace(lowered, kernels=tuple(kernels))

    def _fresh(self, name: str) -> str:
        number = 0
        while (symbol := f"{name}.{number}" if number else name) in self.kernels:
            number += 1
        return symbol

    def _modules(self) -> list[str]:
        """The kernels' texts, several to a module, each declaration once."""
        symbols = list(self.texts)
        return [
            _joined([self.texts[s] for s in symbols[i : i + MODULE_KERNELS]])
            for i in range(0, len(symbols), MODULE_KERNELS)
        ]


def _joined(texts: Sequence[str]) -> str:
    lines: list[str] = []
    declarations: dict[str, None] = {}
    for text in texts:
        for line in text.split("\n"):
            if line.startswith("declare "):
                declarations[line] = None
            else:
                lines.append(line)
    return "\n".join([*lines, *declarations, ""])


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
