"""Weights in numpy's archive format, for machines without h5py: a member per array, named by its path."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping

import numpy as np

from graphc.ir.op import Array
from graphc.saving.archive import Archive
from graphc.saving.state import Group, Mismatch


def weights_bytes(groups: Mapping[str, Group]) -> bytes:
    """The file `model.weights.npz` of a state."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, group in groups.items():
            for key, array in group.arrays.items():
                member = io.BytesIO()
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
                archive.writestr(f"{path}/vars/{key}.npy".lstrip("/"), member.getvalue())
    return buffer.getvalue()


class NpzWeights:
    """The state in a `model.weights.npz`, by the paths of `graphc.saving.state`."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def keys(self, path: str) -> list[str]:
        start = f"{path}/vars/".lstrip("/")
        names = (name for name in self.archive.names if name.startswith(start) and name.endswith(".npy"))
        return [name[len(start) : -len(".npy")] for name in names if "/" not in name[len(start) :]]

    def read(self, path: str, key: str, shape: tuple[int, ...] | None, kind: str | None) -> Array:
        name = f"{path}/vars/{key}.npy".lstrip("/")
        where = f"{self.archive.name}: tensor {path}/vars/{key}"
        file = io.BytesIO(self.archive.read(name))
        try:
            found, order, dtype = _header(file)
        except (ValueError, TypeError, SyntaxError) as error:
            raise ValueError(f"{where} cannot be read: {error}") from None
        if shape is not None and found != shape:
            raise Mismatch(f"{where} has shape {found}, the model's variable {shape}")
        if dtype.kind not in "fiub" or (kind is not None and (dtype.kind == "f") != (kind == "f")):
            raise Mismatch(f"{where} has dtype {dtype}")
        values = file.read()
        if len(values) != math.prod(found) * dtype.itemsize:
            raise ValueError(f"{where} should have {math.prod(found) * dtype.itemsize:,} bytes and has {len(values):,}")
        return np.frombuffer(values, dtype).reshape(found, order="F" if order else "C")


def _header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of numpy's format")
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)
