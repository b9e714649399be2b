"""LLVM IR as text: an SSA writer with blocks, phis and loops.

Text and not an object tree because it is some fifty times faster to build, and no mid-level LLVM pass runs afterwards:
what is written here is what the code generator sees, so loop-carried values are phis from the start (no alloca).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phi:
    """A phi whose back-edge value is not known yet: its name, LLVM type and place in the text."""

    name: str
    type: str
    position: int


@dataclass(frozen=True, slots=True)
class Loop:
    """An open loop: `index` counts start, start + step, ... < stop (i64); `carried` are the values entering a turn."""

    index: str
    carried: tuple[str, ...]
    stop: str
    step: str
    preheader: str
    body: str
    exit: str
    phis: tuple[Phi, ...]
    starts: tuple[str, ...]
    may_be_empty: bool


class Assembly:
    """Writes one LLVM module: functions one after another, declarations collected on the way.

    Operands are text: an SSA name (`%7`), an argument (`%x`) or a constant; types are LLVM spellings (`<16 x float>`).
    SSA names are numbers that grow through a function; named arguments and labels cannot collide with them.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._declarations: dict[str, str] = {}
        self._defined: set[str] = set()
        self._values = 0
        self._labels = 0
        self._hoisted = 0
        self.block = ""

    def constant_words(self, name: str, words: Sequence[int]) -> None:
        """Define a constant array of i32, between functions, that this module alone sees."""
        listed = ", ".join(f"i32 {word}" for word in words)
        self._lines.append(f"@{name} = private unnamed_addr constant [{len(words)} x i32] [{listed}]")

    def begin_function(
        self,
        name: str,
        parameters: Sequence[tuple[str, str]],
        result: str = "void",
        *,
        linkage: str = "",
        attributes: str = "",
    ) -> None:
        """Open `define`; `parameters` are (type with attributes, name without %). The block `entry` is current."""
        self._defined.add(name)
        self._values = self._labels = self._hoisted = 0
        listed = ", ".join(f"{type} %{parameter}" for type, parameter in parameters)
        head = " ".join(word for word in ("define", linkage, result, f"@{name}({listed})", attributes, "{") if word)
        self._lines.append(head)
        self.label("entry")

    def end_function(self) -> None:
        """Close the function; the last line must have been a terminator."""
        self._lines.append("}")

    def op(self, rhs: str) -> str:
        """Append `%N = rhs` to the current block; returns `%N`."""
        name = f"%{self._values}"
        self._values += 1
        self._lines.append(f"  {name} = {rhs}")
        return name

    def mark(self) -> int:
        """A place in the text at which `hoist` can add instructions later: where a loop body or the function begins."""
        self._lines.append("")
        return len(self._lines) - 1

    def hoist(self, mark: int, rhs: str) -> str:
        """Append `%h.N = rhs` at a mark; the operands must be known there. Returns the name."""
        self._hoisted += 1
        name = f"%h.{self._hoisted}"
        separator = "\n" if self._lines[mark] else ""
        self._lines[mark] += f"{separator}  {name} = {rhs}"
        return name

    def line(self, text: str) -> None:
        """Append an instruction without a result (store, call void, ret) or a comment."""
        self._lines.append(f"  {text}")

    def declare(self, name: str, result: str, parameters: Sequence[str]) -> None:
        """Declare an intrinsic or external function, once per module however often it is asked for."""
        if name not in self._declarations:
            self._declarations[name] = f"declare {result} @{name}({', '.join(parameters)})"

    def call(self, result: str, name: str, arguments: Sequence[tuple[str, str]]) -> str:
        """Call the intrinsic or external function `name`, declaring it; `arguments` are (type, operand)."""
        if name not in self._declarations:
            self.declare(name, result, [type for type, _ in arguments])
        return self.op(f"call {result} @{name}({', '.join([f'{type} {operand}' for type, operand in arguments])})")

    def fresh(self, stem: str) -> str:
        """A label unused in this function."""
        self._labels += 1
        return f"{stem}.{self._labels}"

    def label(self, name: str) -> None:
        """Start the block `name`; the block before must have ended in a terminator."""
        self._lines.append(f"{name}:")
        self.block = name

    def branch(self, target: str) -> None:
        self.line(f"br label %{target}")

    def branch_if(self, condition: str, then: str, otherwise: str) -> None:
        self.line(f"br i1 {condition}, label %{then}, label %{otherwise}")

    def phi(self, type: str, incoming: Sequence[tuple[str, str]]) -> str:
        """A phi whose (value, label) pairs are all known; must come before other instructions of its block."""
        return self.op(f"phi {type} {', '.join(f'[ {value}, %{label} ]' for value, label in incoming)}")

    def open_phi(self, type: str, start: str, preheader: str) -> Phi:
        """A phi that is `start` when the block is entered from `preheader`; `close_phi` tells the back edge."""
        position = len(self._lines)
        return Phi(self.phi(type, [(start, preheader)]), type, position)

    def close_phi(self, phi: Phi, value: str, latch: str) -> None:
        self._lines[phi.position] += f", [ {value}, %{latch} ]"

    def loop_begin(
        self,
        start: int | str,
        stop: int | str,
        step: int | str = 1,
        carried: Sequence[tuple[str, str]] = (),
        *,
        may_be_empty: bool = False,
        stem: str = "loop",
    ) -> Loop:
        """Open a counted i64 loop (step > 0) carrying values given as (type, start value); the body is now current.

        The body runs at least once unless `may_be_empty`: then entry is guarded and `loop_end` merges the results.
        """
        preheader, body, exit = self.block, self.fresh(stem), self.fresh(f"{stem}.end")
        if may_be_empty:
            self.branch_if(self.op(f"icmp slt i64 {start}, {stop}"), body, exit)
        else:
            self.branch(body)
        self.label(body)
        index = self.open_phi("i64", str(start), preheader)
        phis = tuple([self.open_phi(type, value, preheader) for type, value in carried])
        names = tuple([phi.name for phi in phis])
        starts = tuple([value for _, value in carried])
        return Loop(
            index.name, names, str(stop), str(step), preheader, body, exit, (index, *phis), starts, may_be_empty
        )

    def loop_end(self, loop: Loop, carried: Sequence[str] = ()) -> tuple[str, ...]:
        """Close the loop with the carried values of the next iteration; returns the final values, usable after it."""
        following = self.op(f"add nuw nsw i64 {loop.index}, {loop.step}")
        again = self.op(f"icmp slt i64 {following}, {loop.stop}")
        latch = self.block
        for phi, value in zip(loop.phis, (following, *carried), strict=True):
            self.close_phi(phi, value, latch)
        self.branch_if(again, loop.body, loop.exit)
        self.label(loop.exit)
        if not loop.may_be_empty:
            return tuple(carried)
        edges = zip(loop.phis[1:], loop.starts, carried, strict=True)
        return tuple([self.phi(phi.type, [(start, loop.preheader), (end, latch)]) for phi, start, end in edges])

    def text(self) -> str:
        """The module so far: functions, then the declarations of what they call and it does not define."""
        external = [text for name, text in self._declarations.items() if name not in self._defined]
        return "\n".join([*self._lines, *external, ""])
