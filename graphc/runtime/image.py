"""Images: what must be kept of a compilation to run it again, as bytes. Objects, the symbols in them, the program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from graphc.ir.program import Entry, Phase, Program, Slot
from graphc.ir.types import DType, Rows, Shape
from graphc.runtime.memory import aligned_empty

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """Relocatable objects, the symbols somebody will ask for, and the program that does (None for the thread pool)."""

    objects: tuple[bytes, ...]
    symbols: tuple[str, ...]
    program: Program | None = None

    def to_bytes(self) -> bytes:
        """A line of JSON, then the objects and the program's constants one behind the other."""
        constants = self.program.constants if self.program else ()
        head = {
            "symbols": self.symbols,
            "objects": [len(data) for data in self.objects],
            "constants": [(array.dtype.name, array.shape) for array in constants],
            "program": _program_record(self.program) if self.program else None,
        }
        blobs = [*self.objects, *(np.ascontiguousarray(array).tobytes() for array in constants)]
        return b"".join([json.dumps(head).encode(), b"\n", *blobs])

    @classmethod
    def from_bytes(cls, data: bytes) -> Image:
        """The image of `to_bytes`. ValueError, TypeError or LookupError if the bytes are anything else."""
        end = data.index(b"\n")
        head = json.loads(data[:end])
        blobs = _Blobs(data, end + 1)
        objects = tuple(blobs.take(nbytes) for nbytes in head["objects"])
        constants = tuple(blobs.array(DType.of(name), tuple(shape)) for name, shape in head["constants"])
        blobs.expect_end()
        program = _program(head["program"], constants) if head["program"] is not None else None
        return cls(objects, tuple(head["symbols"]), program)


@dataclass(slots=True)
class _Blobs:
    """Bytes that are handed out piece by piece."""

    data: bytes
    at: int

    def take(self, nbytes: int) -> bytes:
        piece = self.data[self.at : self.at + nbytes]
        if len(piece) != nbytes:
            raise ValueError(f"wanted {nbytes} bytes at {self.at} of {len(self.data)}")
        self.at += nbytes
        return piece

    def array(self, dtype: DType, shape: tuple[int, ...]) -> Array:
        array = aligned_empty(shape, dtype.numpy)
        array.reshape(-1).view(np.uint8)[:] = np.frombuffer(self.take(array.nbytes), np.uint8)
        return array

    def expect_end(self) -> None:
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes too many")


def _program_record(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "batch": program.batch,
        "inputs": list(_slot_records(program.inputs)),
        "states": list(_slot_records(program.states)),
        "outputs": list(_slot_records(program.outputs)),
        "entries": [astuple(entry) for entry in program.entries],
        "phases": [astuple(phase) for phase in program.phases],
        "arena": program.arena_bytes,
        "scratch": program.scratch_bytes,
        "prepared": program.prepared,
    }


def _program(record: dict[str, Any], constants: tuple[Array, ...]) -> Program:
    return Program(
        record["name"],
        record["batch"],
        _slots(record["inputs"]),
        _slots(record["states"]),
        _slots(record["outputs"]),
        constants,
        tuple(Entry(*fields) for fields in record["entries"]),
        tuple(Phase(symbol, tuple(slots), *rest) for symbol, slots, *rest in record["phases"]),
        record["arena"],
        record["scratch"],
        record["prepared"],
    )


def _slot_records(slots: Sequence[Slot]) -> Iterator[list[Any]]:
    for slot in slots:
        dims = [(dim.batch, dim.per) if isinstance(dim, Rows) else dim for dim in slot.shape]
        yield [slot.name, dims, slot.dtype.value, slot.role]


def _slots(records: Sequence[Any]) -> tuple[Slot, ...]:
    return tuple(Slot(name, _shape(dims), DType(dtype), role) for name, dims, dtype, role in records)


def _shape(dims: Sequence[Any]) -> Shape:
    return tuple(Rows(*dim) if isinstance(dim, list) else dim for dim in dims)
