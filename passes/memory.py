"""Memory planning: where every value of a fused graph lives. Lifetimes, reuse in place, offsets in one arena."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Alias, Node, Value
from graphc.ir.plan import Buffer, LoopPlan, MemoryPlan
from graphc.ir.remarks import remark
from graphc.primitives.source import Constant
from passes.facts import root
from passes.inplace import reusable_operands
from passes.loops import block_of, parts_of, step_graph
from passes.offsets import aligned, alive_at_once, pack

MOST = 1 << 62  # bytes of an arena: sums of offsets and sizes stay within signed 64-bit numbers


def plan_memory(graph: Graph, arena: bool = True) -> MemoryPlan:
    """The plan of a fused graph.

    A result of a kernel takes the memory of an operand that dies there where the kernel reads it element by element; an
    update is computed in the state's own array where all other readers of the state and all checks come before; other
    updates are copies at the end. With `arena=False` nothing is shared and all updates are copies: slower, but the
    numbers must be the same. ValueError if two results share memory (`fuse` gives each its own); MemoryError for more
    bytes than 64-bit offsets can count.
    """
    planner = _Planner(graph, shares=arena)
    planner.run()
    return planner.plan()


@dataclass
class _Planner:
    """Buffers while they are handed out, in the order of the nodes."""

    graph: Graph
    shares: bool
    buffers: list[Buffer] = field(default_factory=list)
    buffer_of: dict[Value, int] = field(default_factory=dict)
    copies: list[tuple[Value, Value]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.end = len(self.graph.nodes)
        self.position = {node: i for i, node in enumerate(self.graph.nodes)}
        self.last = _last_uses(self.graph, self.end)
        self.outputs = {root(value) for value in self.graph.outputs}
        self.state_of = self._updates_in_place()
        self.fixed = self.graph.fixed()

    def run(self) -> None:
        for value in self.graph.inputs:
            self._new(value, "input", -1, self.end)
        for i, node in enumerate(self.graph.nodes):
            if isinstance(node.op, Alias):
                self.buffer_of[node.outputs[0]] = self.buffer_of[node.inputs[0]]
            elif isinstance(node.op, Constant):
                self._new(node.outputs[0], "constant", -1, self.end)
            else:
                self._place_results(node, i)

    def _place_results(self, node: Node, i: int) -> None:
        placed = self.outputs, self.state_of, self.fixed
        wanted = [v for v in node.outputs if not any(v in values for values in placed)]
        taken = self._taken_over(node, i, wanted) if self.shares else {}
        for value in node.outputs:
            if value in self.outputs:
                self._new(value, "output", i, self.end)
            elif value in self.state_of:
                self.buffer_of[value] = self.buffer_of[self.state_of[value]]
            elif value in self.fixed:  # computed once, kept from run to run
                self._new(value, "arena", -1, self.end)
            elif value in taken:
                self._extend(value, taken[value])
            else:
                self._new(value, "arena", i, self.last.get(value, i))

    def _taken_over(self, node: Node, i: int, wanted: list[Value]) -> dict[Value, int]:
        """The buffer of an operand that dies here for each result that may overwrite one."""
        dying = [v for v in node.inputs if self._dies(node, v, i) and any(_same_layout(v, w) for w in wanted)]
        free = [v for v in dying if v in reusable_operands(node)]
        taken: dict[Value, int] = {}
        for value in wanted:
            if (operand := next((v for v in free if _same_layout(v, value)), None)) is not None:
                taken[value] = self.buffer_of[operand]
                free.remove(operand)
        return taken

    def _dies(self, node: Node, value: Value, i: int) -> bool:
        """The value is in the arena, nobody reads its memory after this node, and the node reads it in one shape."""
        buffer = self.buffers[self.buffer_of[value]]
        return buffer.place == "arena" and buffer.last == i and self._reads_only(node, value)

    def _new(self, value: Value, place: str, first: int, last: int) -> None:
        self.buffer_of[value] = len(self.buffers)
        self.buffers.append(Buffer(value.name, place, value.type.nbytes, first, last))

    def _extend(self, value: Value, number: int) -> None:
        """The value takes over a buffer whose value ends where it begins."""
        buffer = self.buffers[number]
        self.buffer_of[value] = number
        self.buffers[number] = replace(buffer, last=max(buffer.last, self.last.get(value, buffer.last)))

    def _reads_only(self, node: Node, value: Value) -> bool:
        """The node reads this memory under no second shape."""
        return sum(root(v) == root(value) for v in node.inputs) == 1

    def _updates_in_place(self) -> dict[Value, Value]:
        """The next values computed in their state's own memory, and the state."""
        found: dict[Value, Value] = {}
        for state, new in self.graph.updates:
            value = root(new)
            obstacle = self._obstacle(state, value) if value not in found else "the value is another state's too"
            if obstacle:
                self.copies.append((state, new))
                remark("plan_memory", new.node, f"copied to %{state.name} at the end: {obstacle}")
            else:
                found[value] = state
        return found

    def _obstacle(self, state: Value, value: Value) -> str:
        """Why the state's next value cannot be computed in the state's own memory; empty if it can."""
        node, at = value.node, self._made(value)
        if not self.shares:
            return "nothing is shared"
        if at < 0 or isinstance(node.op, Constant) or value in self.outputs:
            return "the value has memory of its own"
        if at <= max((self._made(check.value) for check in self.graph.checks), default=-1):
            return "a check comes later"
        if self.last.get(state, -1) > at:
            return "the state is read later"
        if self.last.get(state, -1) < at or self._overwrites_safely(node, state, value):
            return ""
        return "the kernel reads the state at other elements"

    def _overwrites_safely(self, node: Node, state: Value, value: Value) -> bool:
        return self._reads_only(node, state) and state in reusable_operands(node) and _same_layout(state, value)

    def _made(self, value: Value) -> int:
        """The position of the node that computes a value's memory; -1 for inputs."""
        return self.position.get(root(value).node, -1)

    def plan(self) -> MemoryPlan:
        arena = [i for i, buffer in enumerate(self.buffers) if buffer.place == "arena"]
        self._check_results()
        lasts = [self.buffers[i].last if self.shares else self.end for i in arena]
        firsts = [self.buffers[i].first if self.shares else 0 for i in arena]
        sizes = [self.buffers[i].nbytes for i in arena]
        if (total := sum(map(aligned, sizes))) > MOST:
            raise MemoryError(
                f"{self.graph.name} needs {total:,} bytes: no machine has as many; make its shapes smaller"
            )
        bound = alive_at_once(sizes, firsts, lasts)
        offsets, arena_bytes = pack(sizes, firsts, lasts)
        for i, offset in zip(arena, offsets, strict=True):
            self.buffers[i] = replace(self.buffers[i], offset=offset)
        return MemoryPlan(
            self.graph,
            tuple(self.buffers),
            self.buffer_of,
            tuple(self.copies),
            arena_bytes,
            sum(aligned(v.type.nbytes) for v in self._computed() if v not in self.outputs),
            bound,
            {node: _plan_loop(node.op, self.shares) for node in self.graph.nodes if isinstance(node.op, Loop)},
        )

    def _computed(self) -> Iterator[Value]:
        for node in self.graph.nodes:
            if not isinstance(node.op, Alias | Constant):
                yield from node.outputs

    def _check_results(self) -> None:
        values = [root(value) for value in self.graph.outputs]
        for value in values:
            if value.node not in self.position or isinstance(value.op, Constant) or values.count(value) > 1:
                raise ValueError(f"plan_memory: output %{value.name} is no result of its own; run fuse before")


def _plan_loop(op: Loop, arena: bool) -> LoopPlan:
    block, per = block_of(op)
    graph = step_graph(op, block, per)
    place = {value: i for i, value in enumerate(dict.fromkeys(op.body.outputs))}
    return LoopPlan(
        block,
        per,
        parts_of(op, block, per),
        plan_memory(graph, arena),
        tuple(place[value] for value in op.body.outputs),
    )


def _last_uses(graph: Graph, end: int) -> dict[Value, int]:
    """For every memory the last node that reads it; the end for results."""
    last = {root(v): i for i, node in enumerate(graph.nodes) if not isinstance(node.op, Alias) for v in node.inputs}
    last.update((root(value), end) for value in graph.results)
    return last


def _same_layout(a: Value, b: Value) -> bool:
    return a.shape == b.shape and a.dtype.size == b.dtype.size
