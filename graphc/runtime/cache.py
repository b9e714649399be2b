"""The persistent cache: a folder of entries that outlive the process, each bound to the full key it was stored under.

What an entry holds is run as native code, so it is trusted only if it lies in a folder that nobody else can write to,
in a file of the user's own, unchanged to the bit, under the very key that is asked for. Anything else is deleted. No
trouble with the cache is an error: the caller compiles as if there were none, and one warning says why.

File: magic, version, total length, key length, key, payload, SHA-256 of all before it; numbers are little-endian.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LOG = logging.getLogger(__name__)

MAGIC = b"graphc\r\n\x1a\n"
VERSION = 1
LIMIT_BYTES = 512 << 20
SUFFIX = ".graphc"
STALE_SECONDS = 3600.0
"""A temporary file this old was left behind by a process that was killed."""

_HEAD = struct.Struct(f"<{len(MAGIC)}sIQQ")
_DIGEST_BYTES = hashlib.sha256().digest_size
_HAS_OWNERS = hasattr(os, "geteuid") and os.open in os.supports_dir_fd
_warned: set[str] = set()


class Entry(NamedTuple):
    """A file of the cache: its name, size in bytes and when it was last used (seconds since the epoch)."""

    name: str
    nbytes: int
    used: float


class _Refused(Exception):
    """Why a folder or a file is not trusted."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The entries in `folder`, at most `limit` bytes of them; the least recently used go first. No folder, no entries."""

    folder: Path | None
    limit: int = LIMIT_BYTES

    def load(self, key: bytes) -> bytes | None:
        """The payload stored under the key, or None."""
        name = entry_name(key)
        with self._open("the cache is not used") as folder:
            if folder is None:
                return None
            try:
                payload = _payload(_read(folder, name), key)
            except FileNotFoundError:
                return None
            except (_Refused, OSError) as error:
                self._drop(folder, name, error)
                return None
            with contextlib.suppress(OSError):
                os.utime(name, dir_fd=folder)
            return payload

    def store(self, key: bytes, payload: bytes) -> None:
        """Keeps the payload under the key: whole or, if that fails, not at all."""
        if len(data := _packed(key, payload)) > self.limit:
            return
        with self._open("nothing is kept for the next start") as folder:
            if folder is not None:
                _write(folder, entry_name(key), data)
                self._evict(folder)

    def discard(self, key: bytes, reason: object) -> None:
        """Deletes an entry that turned out to be of no use, and says so."""
        with self._open("an entry of no use stays") as folder:
            if folder is not None:
                self._drop(folder, entry_name(key), reason)

    def entries(self) -> list[Entry]:
        """All entries, the least recently used first. OSError if the folder is not to be trusted."""
        if self.folder is None or not self.folder.exists():
            return []
        with _trusted(self.folder) as folder:
            return _entries(folder)

    def clear(self) -> list[Entry]:
        """Deletes all entries and returns them. OSError if the folder is not to be trusted."""
        if self.folder is None or not self.folder.exists():
            return []
        with _trusted(self.folder) as folder:
            found = _entries(folder)
            for entry in found:
                os.unlink(entry.name, dir_fd=folder)
            _sweep(folder, older_than=0.0)
        return found

    @contextlib.contextmanager
    def _open(self, consequence: str) -> Iterator[int | None]:
        """The folder, made if it is not there; None if it cannot be used. Trouble inside the block ends it."""
        if self.folder is None:
            _warn_once(f"there is no home directory for the cache of compiled code: {consequence}; set GRAPHC_CACHE_DIR")
            yield None
            return
        try:
            _make(self.folder)
            with _trusted(self.folder) as folder:
                yield folder
                return
        except OSError as error:
            _warn_once(f"cache folder {self.folder}: {error.strerror or error}: {consequence}")
        # `yield` a second time only where the block has not run yet
        if not _ran(self):
            yield None

    def _drop(self, folder: int, name: str, reason: object) -> None:
        LOG.warning("cache entry %s/%s: %s; it is deleted and compiled anew", self.folder, name, reason)
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)

    def _evict(self, folder: int) -> None:
        found = _entries(folder)
        excess = sum(entry.nbytes for entry in found) - self.limit
        for entry in found:
            if excess <= 0:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.name, dir_fd=folder)
            excess -= entry.nbytes
        _sweep(folder, STALE_SECONDS)
