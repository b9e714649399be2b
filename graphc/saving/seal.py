"""The seal behind an HDF5 file: checksums of the whole and of each tensor, checked before the HDF5 library sees a byte.

HDF5 ends where its superblock says and ignores what follows. There graphc puts a line of JSON
{"sha256", "size", "tensors": [[name, offset, bytes, crc32], ...]}, its length and a mark. Files without the mark, as
Keras writes them, are read without this check.
"""

from __future__ import annotations

import json
from typing import Any

from graphc.saving.window import Window

MARK = b"graphc-seal-1\n"
_LENGTH = 8


def sealed(body: bytes, tensors: list[tuple[str, int, int]]) -> bytes:
    """What is put behind the HDF5 file `body`. tensors: (name, offset, number of bytes)."""
    import hashlib
    import zlib

    view = memoryview(body)
    table = [[name, offset, size, zlib.crc32(view[offset : offset + size])] for name, offset, size in tensors]
    text = json.dumps({"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "tensors": table}).encode()
    return text + len(text).to_bytes(_LENGTH, "little") + MARK


def check_seal(window: Window, name: str) -> None:
    """ValueError naming the tensor whose bytes changed since the file was written; no seal, no check."""
    found = _read(window, name)
    if found is None:
        return
    if window.sha256(0, found["size"]) == found["sha256"]:
        return
    for tensor, offset, size, crc in found["tensors"]:
        if window.crc(offset, size) != crc:
            raise ValueError(f"{name} is damaged: tensor {tensor} is not what was saved (its checksum differs)")
    raise ValueError(f"{name} is damaged: its structure is not what was saved (its checksum differs)")


def _read(window: Window, name: str) -> dict[str, Any] | None:
    end = window.size - len(MARK)
    if end < _LENGTH or window.piece(end, len(MARK)) != MARK:
        return None
    length = int.from_bytes(window.piece(end - _LENGTH, _LENGTH), "little")
    try:
        found: dict[str, Any] = json.loads(window.piece(end - _LENGTH - length, length))
        if found["size"] != end - _LENGTH - length:
            raise ValueError
        tensors = [(str(t), int(offset), int(size), int(crc)) for t, offset, size, crc in found["tensors"]]
        return {"size": int(found["size"]), "sha256": str(found["sha256"]), "tensors": tensors}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ValueError(f"{name} is damaged: the checksums behind it cannot be read") from None
