"""A program: what the runtime runs. Kernels by symbol, the memory they use, and the order of their phases; plain
data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.types import DType, Shape, TensorType


@dataclass(frozen=True, slots=True)
class Phase:
    """One kernel over `units` units, `grain` a chunk. `slots` are the table entries of its operands.

    `check` >= 0: when the phase is over, the i32 at table entry `check` must be zero. `first_update` marks the phase
    from which on parameters and state change. Of a `joint` phase a thread may take several chunks as one. `node` names
    what is computed, `layer` and `direction` where it is from.
    """

    symbol: str
    slots: tuple[int, ...]
    units: int
    grain: int
    first_update: bool = False
    joint: bool = False
    check: int = -1
    message: str = ""
    node: str = ""
    layer: str = ""
    direction: str = "forward"


@dataclass(frozen=True, slots=True)
class Entry:
    """One buffer of the table.

    place "input" and "output" are caller's arrays of a call, "state" arrays bound at construction (weights too), by
    `index` into the program's lists; "arena" lies at byte `offset`; "constant" is `index` into the constants.
    """

    place: str
    index: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """A named array at the border: a data input, a state or weight, an output."""

    name: str
    shape: Shape
    dtype: DType
    role: str


@dataclass(frozen=True, slots=True)
class Program:
    """See the module. `arena_bytes` includes the workspace of kernels that take several passes.

    The first `prepared` phases depend on nothing but weights and states that the program does not change. What they
    compute stays in the arena, so they need to run again only when such an array has changed.
    """

    name: str
    batch: int | None
    inputs: tuple[Slot, ...]
    states: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    constants: tuple[np.ndarray[Any, Any], ...]
    entries: tuple[Entry, ...]
    phases: tuple[Phase, ...]
    arena_bytes: int
    scratch_bytes: int
    prepared: int = 0

    def scratch_stride(self) -> int:
        """Bytes between the scratch memories of two threads: none shares a cache line with another."""
        return -(-self.scratch_bytes // 64) * 64

    def memory_bytes(self, threads: int) -> dict[str, int]:
        """All bytes a run needs, by what they are for: weights, states (slots of optimizers, keys, running means),
        constants, inputs and outputs at the compiled batch, arena, and scratch of so many threads."""
        weights = [slot for slot in self.states if slot.role == "param"]
        return {
            "weights": _nbytes(weights),
            "states": _nbytes(self.states) - _nbytes(weights),
            "constants": sum(array.nbytes for array in self.constants),
            "inputs": _nbytes(self.inputs),
            "outputs": _nbytes(self.outputs),
            "arena": self.arena_bytes,
            "scratch": threads * self.scratch_stride(),
        }


def _nbytes(slots: Iterable[Slot]) -> int:
    return sum(TensorType(slot.shape, slot.dtype).nbytes for slot in slots)
