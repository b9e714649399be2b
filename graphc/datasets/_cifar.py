"""Reading CIFAR-10 and CIFAR-100 from the authors' archives, which hold pickles."""

from __future__ import annotations

import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.config import image_data_format
from graphc.datasets._provider import Pair, Source, is_published, provide

Array = NDArray[Any]


def read_batches(source: Source, members: Sequence[str], label_key: str) -> Pair:
    """Images uint8 (n, 3, 32, 32) and labels (n, 1) of these members of the archive, one after the other.

    Raises ValueError if the archive is not the published one: a pickle of another origin could run any code.
    """
    path = provide(source)
    if not is_published(path, source):
        raise ValueError(f"{path}: its SHA-256 is not that of the published {source.name}; delete it to fetch it again")
    with tarfile.open(path) as archive:
        batches = [_read_member(archive, name, path) for name in members]
    images = np.concatenate([np.asarray(batch[b"data"], np.uint8) for batch in batches])
    labels = np.concatenate([np.asarray(batch[label_key.encode()], np.int64) for batch in batches])
    return images.reshape(-1, 3, 32, 32), labels.reshape(-1, 1)


def _read_member(archive: tarfile.TarFile, name: str, path: Path) -> dict[bytes, Any]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{path}: {name} is not a file in it")
    content: dict[bytes, Any] = pickle.loads(file.read(), encoding="bytes")
    return content


def in_data_format(images: Array, stored: str) -> Array:
    """The images in the process-wide image data format; stored: the one they have."""
    if image_data_format() == stored:
        return images
    axes = (0, 2, 3, 1) if stored == "channels_first" else (0, 3, 1, 2)
    return images.transpose(axes)
