"""Files: replaced in one step, checked by their hash, fetched once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.parse
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from graphc.options import environment
from graphc.utils.messages import print_message
from graphc.utils.progbar import Progbar

_BLOCK = 1 << 20
# A server that is silent for so many seconds counts as unreachable.
_TIMEOUT = 20.0


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file that appears whole or not at all: `with replacing(path) as temporary: ...`.

    Yields the path of a new empty file beside `path`. When the block ends it is flushed to the disk and takes the name
    `path`; when the block raises it is deleted and an old file at `path` stays as it was.
    """
    final = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{final.name}.", dir=final.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary)
        os.chmod(temporary, _new_file_mode(final))
        os.replace(temporary, final)
        _flush(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new_file_mode(path: Path) -> int:
    """The permissions of the file that is replaced, else those a plain `open` would give."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def hash_file(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """The hash of a file's content in hexadecimal; algorithm "sha256" or "md5"."""
    hasher = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def has_hash(path: str | os.PathLike[str], file_hash: str, algorithm: str = "auto") -> bool:
    """Whether the file's content has this hash; "auto" tells SHA-256 from MD5 by the length."""
    return hash_file(path, _algorithm(file_hash, algorithm)) == file_hash.lower()


def _algorithm(file_hash: str, algorithm: str) -> str:
    if algorithm == "auto":
        return "sha256" if len(file_hash) == 64 else "md5"
    return algorithm


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file that is fetched from `origin` unless it lies in the cache with the right hash.

    The cache is `cache_dir`/`cache_subdir`, by default $KERAS_HOME (else ~/.keras)/datasets, or a folder below the
    temporary directory if that cannot be written. extract (or the older untar): unpack a tar or zip archive and return
    the directory. Raises ValueError if what was fetched has another hash, OSError if it cannot be fetched; neither
    leaves a file behind.
    """
    if origin is None:
        raise ValueError('Please specify the "origin" argument (URL of the file to download).')
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    name = _local_name(fname, origin)
    folder = _cache_folder(cache_dir, cache_subdir)
    unpacks = extract or untar
    target = folder / (f"{name}_archive" if unpacks and not (fname and "." in name) else name)
    if force_download or not _is_cached(target, file_hash, hash_algorithm):
        _download(origin, target, file_hash, hash_algorithm)
    if not unpacks:
        return str(target)
    directory = folder / (f"{name.split('.')[0]}_extracted" if fname and "." in name else name)
    if not extract_archive(target, directory, "tar" if untar else archive_format):
        warnings.warn(f"Could not extract archive: {target} is neither tar nor zip.", stacklevel=2)
    return str(directory)


def _local_name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    name = os.fspath(fname) if fname else os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name:
        raise ValueError(
            f"Can't parse the file name from the origin provided: '{origin}'. Please specify the `fname` argument."
        )
    if Path(name).name != name:
        raise ValueError(
            "Paths are no longer accepted as the `fname` argument. To specify the file's parent directory, use the "
            f"`cache_dir` argument. Received: fname={name}"
        )
    return name


def _cache_folder(cache_dir: str | os.PathLike[str] | None, cache_subdir: str) -> Path:
    base = Path(cache_dir).expanduser() if cache_dir is not None else environment().keras_home
    with contextlib.suppress(OSError):
        if base is not None:
            folder = base / cache_subdir
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    folder = Path(tempfile.gettempdir()) / ".keras" / cache_subdir
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_cached(target: Path, file_hash: str | None, algorithm: str) -> bool:
    if not target.exists():
        return False
    if file_hash is None or has_hash(target, file_hash, algorithm):
        return True
    print_message(
        "A local file was found, but it seems to be incomplete or outdated because the "
        f"{_algorithm(file_hash, algorithm)} file hash does not match the original value of {file_hash} "
        "so we will re-download the data."
    )
    return False


def _download(origin: str, target: Path, file_hash: str | None, algorithm: str) -> None:
    from urllib.error import HTTPError, URLError  # slow to import, and only a download needs them
    from urllib.request import urlopen

    print_message(f"Downloading data from {origin}")
    with replacing(target) as temporary:
        try:
            with urlopen(origin, timeout=_TIMEOUT) as response, open(temporary, "wb") as file:
                _copy(response, file)
        except HTTPError as error:
            raise OSError(f"URL fetch failure on {origin}: {error.code} -- {error.msg}") from error
        except URLError as error:
            raise OSError(f"URL fetch failure on {origin}: {error.errno} -- {error.reason}") from error
        if file_hash is not None and not has_hash(temporary, file_hash, algorithm):
            raise ValueError(
                f"Incomplete or corrupted file detected. The {_algorithm(file_hash, algorithm)} file hash of what "
                f"{origin} sent does not match the provided value of {file_hash}."
            )


def _copy(response: Any, file: BinaryIO) -> None:
    size = response.headers.get("Content-Length")
    bar = Progbar(int(size) if size else None)
    seen = 0
    while block := response.read(1 << 16):
        file.write(block)
        seen += len(block)
        bar.update(seen)
    if size and seen < int(size):
        raise OSError(f"the connection ended after {seen} of {size} bytes")


def extract_archive(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    archive_format: str | Sequence[str] | None = "auto",
) -> bool:
    """Unpack a tar or zip archive; False if it is neither (or not of the formats asked for).

    ValueError if a member would land outside `directory`, or is of a kind that data sets have no use for, such as a
    device or a link to elsewhere; nothing is left then.
    """
    formats = ("tar", "zip") if archive_format == "auto" else archive_format or ()
    if "tar" in formats and tarfile.is_tarfile(path):
        with tarfile.open(path) as tar, _removing_on_error(directory):
            _check_members(path, tar.getnames(), Path(directory))
            _extract_tar(tar, path, directory)
        return True
    if "zip" in formats and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, _removing_on_error(directory):
            _check_members(path, archive.namelist(), Path(directory))
            archive.extractall(directory)
        return True
    return False


@contextlib.contextmanager
def _removing_on_error(directory: str | os.PathLike[str]) -> Iterator[None]:
    is_new = not os.path.exists(directory)
    try:
        yield
    except BaseException:
        if is_new:
            shutil.rmtree(directory, ignore_errors=True)
        raise


def _check_members(path: str | os.PathLike[str], names: Iterable[str], directory: Path) -> None:
    root = directory.resolve()
    for name in names:
        if not (root / name).resolve().is_relative_to(root):
            raise ValueError(f"{os.fspath(path)}: member {name!r} would be written outside {directory}")


def _extract_tar(tar: tarfile.TarFile, path: str | os.PathLike[str], directory: str | os.PathLike[str]) -> None:
    """Python 3.11.3 and older have no filters; plain files and folders are all that is unpacked there."""
    if hasattr(tarfile, "data_filter"):
        try:
            tar.extractall(directory, filter="data")
        except tarfile.FilterError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error
        return
    for member in tar.getmembers():
        if not (member.isreg() or member.isdir()):
            raise ValueError(f"{os.fspath(path)}: member {member.name!r} is neither a file nor a folder")
    tar.extractall(directory)
