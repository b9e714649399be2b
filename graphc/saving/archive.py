"""Zip archives from anywhere: members are checked before they are read, and read in memory, never unpacked."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from typing import BinaryIO

from graphc.saving.window import Window, whole

_MEMBERS = 10_000
_RATIO = 100
_ENCRYPTED = 0x1
_LOCAL_HEADER = 30


class Archive:
    """The members of a zip file by name.

    Raises ValueError for a file that is not a zip archive, and for one with duplicate names, names that lead elsewhere,
    links, encrypted members, more than 10,000 of them, or one that is compressed to less than a hundredth.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.file = file
        self.window = whole(file)
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError, EOFError) as error:
            raise ValueError(f"{name} is not a readable zip archive: {error}") from None
        members = self.zip.infolist()
        if len(members) > _MEMBERS:
            raise ValueError(f"{name} has {len(members):,} members; at most {_MEMBERS:,} are read")
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            self._check(member)
            self.members[member.filename] = member

    @property
    def names(self) -> list[str]:
        return list(self.members)

    def _check(self, member: zipfile.ZipInfo) -> None:
        name, mode = member.orig_filename, member.external_attr >> 16
        problem = None
        if name in self.members:
            problem = "occurs twice"
        elif name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/") or ":" in name:
            problem = "has a name that leads out of the archive"
        elif stat.S_ISLNK(mode):
            problem = "is a link"
        elif member.flag_bits & _ENCRYPTED:
            problem = "is encrypted"
        elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problem = "is compressed in a way that is not read"
        elif member.file_size > _RATIO * max(member.compress_size, 1) or (
            member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size
        ):
            problem = f"claims {member.file_size:,} bytes in {member.compress_size:,}"
        if problem:
            raise ValueError(f"{self.name}: member {name!r} {problem}")

    def read(self, name: str, limit: int | None = None) -> bytes:
        """The bytes of a member. ValueError if it is missing, longer than `limit`, or its checksum is wrong."""
        member = self.members.get(name)
        if member is None:
            raise ValueError(f"{self.name} has no member {name!r}")
        if limit is not None and member.file_size > limit:
            raise ValueError(f"{self.name}: {name} has {member.file_size:,} bytes; at most {limit:,} are read")
        try:
            return self.zip.read(member)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, zlib.error) as error:
            raise ValueError(f"{self.name}: {name} is damaged: {error}") from None

    def open(self, name: str) -> Window:
        """A member as a file: in place if it is not compressed. Its checksum is not looked at; see `check`."""
        member = self.members.get(name)
        if member is None:
            raise ValueError(f"{self.name} has no member {name!r}")
        if member.compress_type != zipfile.ZIP_STORED:
            return whole(io.BytesIO(self.read(name)))
        header = self.window.piece(member.header_offset, _LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\3\4":
            raise ValueError(f"{self.name}: {name} is damaged: its header is not where the archive says")
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        start = member.header_offset + _LOCAL_HEADER + names
        if start + member.file_size > self.window.size:
            raise ValueError(f"{self.name}: {name} is damaged: it ends behind the end of the archive")
        return Window(self.file, start, member.file_size)

    def check(self, name: str, window: Window) -> None:
        """ValueError if the checksum of a member is wrong."""
        if window.crc() != self.members[name].CRC:
            raise ValueError(f"{self.name}: {name} is damaged: its checksum differs")
