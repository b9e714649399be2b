"""Where data set files come from.

In this order: a path the caller gives; `$GRAPHC_DATA` and its folder named like the data set; Keras's own cache,
`$KERAS_HOME/datasets` (else ~/.keras/datasets), under Keras's file names; a download into that cache, checked by its
hash. Otherwise FileNotFoundError names the file that is wanted. Nothing is ever made up.

Files are read without pickle. The two that Keras publishes pickled are read so only if they are, bit for bit, those.
"""

from __future__ import annotations

import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.options import environment
from graphc.utils.files import get_file, has_hash

Array = NDArray[Any]
Pair = tuple[Array, Array]

KERAS_FILES = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
# Type codes of the IDX format (LeCun, "The MNIST database").
_IDX_UINT8 = 0x08


@dataclass(frozen=True, slots=True)
class Source:
    """A published file. dataset: whose; name: as Keras caches it; file_hash: SHA-256 or MD5.

    aliases: other names under which the same file is found; subdir: its folder in Keras's cache; is_name_shared: files
    of another data set have this name too, so it only counts in the data set's own folder.
    """

    dataset: str
    name: str
    url: str
    file_hash: str
    aliases: tuple[str, ...] = ()
    subdir: str = "datasets"
    is_name_shared: bool = False


def provide(source: Source, path: str | os.PathLike[str] | None = None) -> Path:
    """The path of the file: `path`, if it is one, else the first place it is found at, else a download.

    path: a file, or just a name, which is then looked for in place of the source's own.
    Raises FileNotFoundError.
    """
    name = os.fspath(path) if path is not None else source.name
    if name != source.name and Path(name).expanduser().is_file():
        return Path(name).expanduser()
    if Path(name).name != name:
        raise FileNotFoundError(f"{source.dataset}: there is no file {name}")
    names = (name, *(source.aliases if name == source.name else ()))
    return _first_file(_source_folders(source), names) or _downloaded(source, name)


def locate(dataset: str, names: Sequence[str]) -> Path | None:
    """The first file of one of these names in the folders that are searched for the data set, or None."""
    return _first_file(_folders(dataset), names)


def _first_file(folders: Iterable[Path], names: Sequence[str]) -> Path | None:
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)


def _source_folders(source: Source) -> list[Path]:
    folders = _folders(source.dataset, source.subdir)
    return [folder for folder in folders if not (source.is_name_shared and folder == environment().data)]


def _folders(dataset: str, subdir: str = "datasets") -> list[Path]:
    env = environment()
    own = [] if env.data is None else [env.data, env.data / dataset]
    return own if env.keras_home is None else [*own, env.keras_home / subdir]


def _downloaded(source: Source, name: str) -> Path:
    try:
        return Path(get_file(name, source.url, file_hash=source.file_hash, cache_subdir=source.subdir))
    except (OSError, ValueError) as error:
        places = ", ".join(str(folder) for folder in _source_folders(source)) or "no folder"
        raise FileNotFoundError(
            f"{source.dataset}: wanted the file {name}; looked in {places}; downloading {source.url} failed: {error}. "
            f"Put the file into one of these folders, or set GRAPHC_DATA to the folder where it lies."
        ) from error


def is_published(path: Path, source: Source) -> bool:
    """Whether the file is the published one, by its hash."""
    return has_hash(path, source.file_hash)


def read_npz(path: Path, names: Sequence[str], *, pickled: bool = False) -> list[Array]:
    """The arrays of these names. Raises ValueError naming the file if it is damaged or has not all of them.

    pickled: unpickle object arrays; only for a file that `is_published`.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=pickled) as archive:
            missing = [name for name in names if name not in archive]
            if missing:
                raise ValueError(f"wanted arrays {', '.join(names)}, got {', '.join(archive.files)}")
            return [archive[name] for name in names]
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a data set file that can be read: {error}") from error


def npz_names(path: Path) -> list[str]:
    """The names of the arrays in an npz file. Raises ValueError if it is not one."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return list(archive.files)
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not an npz file that can be read: {error}") from error


def read_idx(path: Path) -> Array:
    """The uint8 array in an IDX file, gzipped or not. Raises ValueError naming the file if it is anything else."""
    content = _unzipped(path) if path.suffix == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _IDX_UINT8:
        raise ValueError(f"{path}: not an IDX file of unsigned bytes (it starts with {content[:4].hex(' ')})")
    rank = content[3]
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", rank, 4)) if len(content) >= 4 + 4 * rank else ()
    if len(content) != 4 + 4 * rank + math.prod(shape):
        raise ValueError(f"{path}: an IDX file of shape {shape} has {len(content)} bytes; it is cut or damaged")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()


def _unzipped(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: not a gzip file that can be read: {error}") from error


def locate_idx(folders: Sequence[str]) -> list[Path] | None:
    """MNIST's four IDX files (train images, train labels, test images, test labels) in one of these folders.

    The folders are below `$GRAPHC_DATA`. None if there is none with all four.
    """
    data = environment().data
    for folder in () if data is None else [data / name for name in folders]:
        paths = [_idx_in(folder, part, rank) for part in ("train", "t10k") for rank in (3, 1)]
        if None not in paths:
            return [path for path in paths if path is not None]
    return None


def _idx_in(folder: Path, part: str, rank: int) -> Path | None:
    stem = f"{part}-{'images' if rank == 3 else 'labels'}"
    names = (f"{stem}{dot}idx{rank}-ubyte{suffix}" for dot in "-." for suffix in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_idx_pairs(paths: Sequence[Path]) -> tuple[Pair, Pair]:
    """(x_train, y_train), (x_test, y_test) of four IDX files in the order of `locate_idx`."""
    x_train, y_train, x_test, y_test = (read_idx(path) for path in paths)
    return (x_train, y_train), (x_test, y_test)


def shuffled_split(x: Array, y: Array, test_split: float, seed: int) -> tuple[Pair, Pair]:
    """Shuffle with numpy's RandomState(seed), then give the last `test_split` of the rows to the test set."""
    if not 0 <= test_split < 1:
        raise ValueError(f"Invalid `test_split` argument: {test_split}. It must be between 0 and 1 (exclusive of 1).")
    indices = np.arange(len(x))
    np.random.RandomState(seed).shuffle(indices)
    x, y = x[indices], y[indices]
    cut = int(len(x) * (1 - test_split))
    return (x[:cut].copy(), y[:cut].copy()), (x[cut:].copy(), y[cut:].copy())
