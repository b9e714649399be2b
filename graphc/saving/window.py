"""A part of an open file as a file of its own, read in place: a member of an archive that is not compressed."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

BLOCK = 1 << 20


class Window(io.RawIOBase):
    """`size` bytes of `file` from `start` on, for reading."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self.file = file
        self.start = start
        self.size = size
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        self.place = max(base + offset, 0)
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(min(len(view), self.size - self.place), 0)
        self.file.seek(self.start + self.place)
        found = self.file.read(count)
        view[: len(found)] = found
        self.place += len(found)
        return len(found)

    def piece(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on."""
        self.seek(start)
        return self.read(size) or b""

    def blocks(self, start: int, size: int) -> Iterator[bytes]:
        """The bytes of a part, a megabyte at a time."""
        end = min(start + size, self.size)
        while start < end and (block := self.piece(start, min(BLOCK, end - start))):
            yield block
            start += len(block)

    def crc(self, start: int = 0, size: int | None = None) -> int:
        """The CRC-32 of a part."""
        value = 0
        for block in self.blocks(start, self.size if size is None else size):
            value = zlib.crc32(block, value)
        return value

    def sha256(self, start: int, size: int) -> str:
        """The SHA-256 of a part, in hexadecimal."""
        hasher = hashlib.sha256()
        for block in self.blocks(start, size):
            hasher.update(block)
        return hasher.hexdigest()


def whole(file: BinaryIO) -> Window:
    """All of a file."""
    return Window(file, 0, file.seek(0, io.SEEK_END))
