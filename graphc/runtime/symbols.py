"""Names of loaded kernels for perf and gdb, which cannot know them: the code came from no file.

perf reads `/tmp/perf-PID.map`, a line per function. gdb reads the objects themselves, once it is told where they were
loaded; `symbols.gdb` in the chosen directory has the commands: `gdb -p PID -x DIRECTORY/symbols.gdb`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PERF_MAPS = Path("/tmp")  # where perf looks

_FUNCTION = 2  # the type of a symbol that is code
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMBOL_TABLE = 2


class Symbol(NamedTuple):
    """A function of an object: its place in its section, its length in bytes and the section's name."""

    name: str
    offset: int
    size: int
    section: str


def publish(
    objects: Sequence[bytes], addresses: Mapping[str, int], folder: Path, temporary: Path = Path("/tmp")
) -> None:
    """Appends the functions of loaded objects to perf's map of this process, and puts the objects and gdb's commands
    into the folder, which is made if need be. OSError if either cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with (PERF_MAPS / f"perf-{os.getpid()}.map").open("a", encoding="utf-8") as perf:
        for image in objects:
            known = [symbol for symbol in functions(image) if symbol.name in addresses]
            perf.writelines(f"{addresses[s.name]:x} {s.size:x} {s.name}\n" for s in known)
            if known:
                _describe(image, known[0], addresses[known[0].name], folder)


def _describe(image: bytes, first: Symbol, address: int, folder: Path) -> None:
    """One object for gdb; its section lies where one of its functions says."""
    path = folder / f"{os.getpid()}-{address:x}.o"
    path.write_bytes(image)
    with (folder / "symbols.gdb").open("a", encoding="utf-8") as file:
        file.write(f"add-symbol-file {path.resolve()} -s {first.section} {address - first.offset:#x}\n")


def functions(image: bytes) -> list[Symbol]:
    """The functions an object file defines; none if it is not a 64-bit little-endian ELF (perf and gdb read no other
    here)."""
    if image[:6] != b"\x7fELF\x02\x01":
        return []
    sections = list(_sections(image))
    names = sections[struct.unpack_from("<H", image, 62)[0]]
    found = []
    for section in sections:
        if section[1] == _SYMBOL_TABLE:
            strings = sections[section[6]][4]
            for offset in range(section[4], section[4] + section[5], _SYMBOL.size):
                name, kind, _, home, value, size = _SYMBOL.unpack_from(image, offset)
                if kind & 15 == _FUNCTION and 0 < home < len(sections):
                    where = _text(image, names[4] + sections[home][0])
                    found.append(Symbol(_text(image, strings + name), value, size, where))
    return found


def _sections(image: bytes) -> Iterator[tuple[int, ...]]:
    """The section headers: name, type, flags, address, offset, size, link, ..."""
    start, count = struct.unpack_from("<Q", image, 40)[0], struct.unpack_from("<H", image, 60)[0]
    for number in range(count):
        yield _SECTION.unpack_from(image, start + number * _SECTION.size)


def _text(image: bytes, offset: int) -> str:
    return image[offset : image.index(b"\0", offset)].decode()
