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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

LOG = logging.getLogger(__name__)
T = TypeVar("T")

MAGIC = b"graphc\r\n\x1a\n"
VERSION = 1
LIMIT_BYTES = 512 << 20
SUFFIX = ".graphc"
STALE_SECONDS = 3600.0
"""A temporary file this old was left behind by a process that was killed."""

_HEAD = struct.Struct(f"<{len(MAGIC)}sIQQ")
_DIGEST_BYTES = hashlib.sha256().digest_size
_warned: set[str] = set()


class Entry(NamedTuple):
    """A file of the cache: its name, size in bytes and when it was last used (seconds since the epoch)."""

    name: str
    nbytes: int
    used: float


class Refused(ValueError):
    """Why an entry is not trusted."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The entries in `folder` (None: there are none), at most `limit` bytes; the least recently used go first."""

    folder: Path | None
    limit: int = LIMIT_BYTES

    def load(self, key: bytes) -> bytes | None:
        """The payload stored under the key, or None."""
        return self._attempt(lambda folder: self._load(folder, key))

    def store(self, key: bytes, payload: bytes) -> None:
        """Keeps the payload under the key: whole or, if that fails, not at all."""
        if len(data := packed(key, payload)) <= self.limit:
            self._attempt(lambda folder: self._store(folder, entry_name(key), data))

    def discard(self, key: bytes, reason: object) -> None:
        """Deletes an entry that turned out to be of no use, and says so."""
        self._attempt(lambda folder: self._drop(folder, entry_name(key), reason))

    def entries(self) -> list[Entry]:
        """All entries, the least recently used first. OSError if the folder is not to be trusted."""
        with _existing(self.folder) as folder:
            return _entries(folder) if folder is not None else []

    def clear(self) -> list[Entry]:
        """Deletes all entries and returns them. OSError if the folder is not to be trusted."""
        with _existing(self.folder) as folder:
            if folder is None:
                return []
            found = _entries(folder)
            for entry in found:
                _unlink(folder, entry.name)
            _sweep(folder, older_than=0.0)
            return found

    def _attempt(self, action: Callable[[int], T]) -> T | None:
        """What `action` gives for the folder, made if need be; None and a warning where the folder cannot be used."""
        try:
            if self.folder is None:
                raise OSError("no folder is known, for want of a home directory; set GRAPHC_CACHE_DIR")
            _make(self.folder)
            with _trusted(self.folder) as folder:
                return action(folder)
        except OSError as error:
            _warn_once(f"compiled code is not kept in {self.folder or 'a cache'}: {error}")
            return None

    def _load(self, folder: int, key: bytes) -> bytes | None:
        name = entry_name(key)
        try:
            payload = unpacked(_read(folder, name), key)
        except FileNotFoundError:
            return None
        except (Refused, OSError) as error:
            self._drop(folder, name, error)
            return None
        with contextlib.suppress(OSError):  # a cache may be read-only
            os.utime(name, dir_fd=folder)
        return payload

    def _store(self, folder: int, name: str, data: bytes) -> None:
        _write(folder, name, data)
        found = _entries(folder)
        excess = sum(entry.nbytes for entry in found) - self.limit
        for entry in found:
            if excess > 0:
                _unlink(folder, entry.name)
                excess -= entry.nbytes
        _sweep(folder, STALE_SECONDS)

    def _drop(self, folder: int, name: str, reason: object) -> None:
        LOG.warning("cache entry %s/%s: %s; it is deleted and compiled anew", self.folder, name, reason)
        with contextlib.suppress(OSError):
            _unlink(folder, name)


def entry_name(key: bytes) -> str:
    """The file of a key. The key itself is in the file, and compared: the name only finds it."""
    return hashlib.sha256(key).hexdigest()[:40] + SUFFIX


def packed(key: bytes, payload: bytes) -> bytes:
    """A whole entry file."""
    total = _HEAD.size + len(key) + len(payload) + _DIGEST_BYTES
    body = b"".join([_HEAD.pack(MAGIC, VERSION, total, len(key)), key, payload])
    return body + hashlib.sha256(body).digest()


def unpacked(data: bytes, key: bytes) -> bytes:
    """The payload of an entry file. Refused unless every bit of it is as `packed` wrote it for this key."""
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if len(body) < _HEAD.size:
        raise Refused(f"it ends after {len(data)} bytes")
    magic, version, total, key_length = _HEAD.unpack_from(body)
    if (magic, version) != (MAGIC, VERSION):
        raise Refused("it is no cache entry of this version")
    if total != len(data):
        raise Refused(f"it has {len(data)} bytes of {total}")
    if hashlib.sha256(body).digest() != digest:
        raise Refused("its checksum is wrong")
    start = _HEAD.size + key_length
    if body[_HEAD.size : start] != key:
        raise Refused("it belongs to something else")
    return body[start:]


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        LOG.warning("%s", message)


def _make(folder: Path) -> None:
    """Makes the folder and what is missing above it, for the user alone."""
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)


@contextlib.contextmanager
def _trusted(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, checked after it was opened, so that the folder cannot be exchanged in between.

    OSError if it is a symlink, belongs to somebody else or is open to others.
    """
    if not hasattr(os, "geteuid") or os.open not in os.supports_dir_fd:
        raise OSError("this system cannot say whose it is")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _check_owner(os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _existing(folder: Path | None) -> Iterator[int | None]:
    if folder is None or not os.path.lexists(folder):
        yield None
    else:
        with _trusted(folder) as descriptor:
            yield descriptor


def _check_owner(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise PermissionError(f"it belongs to user {status.st_uid}, not to user {os.geteuid()}")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise PermissionError(f"its mode is {mode:o}, open to others; chmod go= would do")


def _entries(folder: int) -> list[Entry]:
    found = []
    for name in os.listdir(folder):
        if name.endswith(SUFFIX) and not name.startswith("."):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                found.append(Entry(name, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: (entry.used, entry.name))


def _read(folder: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Refused("it is not a regular file")
        _check_owner(status)
        return file.read()


def _write(folder: int, name: str, data: bytes) -> None:
    """The whole file or none of it, whatever happens: written beside its place, made durable, put in place at once."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            _unlink(folder, temporary)
        raise
    os.fsync(folder)


def _unlink(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _sweep(folder: int, older_than: float) -> None:
    """Deletes temporary files whose writers did not live to do it."""
    now = time.time()
    for name in os.listdir(folder):
        if name.startswith(".") and SUFFIX in name:
            with contextlib.suppress(FileNotFoundError):
                if now - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime >= older_than:
                    os.unlink(name, dir_fd=folder)
