"""What may be chosen for the kernel of a contraction in place of the cost model's choice, for a tuner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from codegen.target import Target


@dataclass(frozen=True, slots=True)
class Choice:
    """None leaves a thing to the cost model; what does not fit a kernel is left to it too.

    rows, vectors: the register tile. packed: whether a large operand is copied into panels first. block: the length of
    the blocks in which the reduction is walked, 0 for none. A block changes the order of additions, nothing else does.
    """

    rows: int | None = None
    vectors: int | None = None
    packed: bool | None = None
    block: int | None = None


MODEL = Choice()
"""Everything as the cost model finds best."""

BLOCKS = (0, 64, 128, 256, 512)


def neighbours(best: Choice, target: Target) -> Iterator[Iterator[Choice]]:
    """Groups of choices to try in turn, each one step away from the best so far: tiles, then packing, then blocks."""
    yield (replace(best, rows=rows, vectors=vectors) for rows, vectors in _tiles(target.registers))
    yield (replace(best, packed=packed) for packed in (True, False))
    yield (replace(best, block=block) for block in BLOCKS)


def _tiles(registers: int) -> Iterator[tuple[int, int]]:
    """Register tiles that fill the registers, and some that leave a few free."""
    for vectors in (2, 1, 3, 4):
        most = (registers - vectors - 1) // vectors
        yield from ((rows, vectors) for rows in dict.fromkeys((most, most - 1, most - 2, most // 2)) if rows > 0)
