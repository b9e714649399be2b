"""HDF5, the format of Keras's weights: written with checksums behind it, read with every claim checked first.

Only plain trees are read: no soft or external links, no external or virtual datasets, no filters but shuffle, gzip and
Fletcher's checksum; nothing is allocated before shape and dtype are those the model asks for.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.saving.seal import check_seal, sealed
from graphc.saving.state import Group, Mismatch
from graphc.saving.window import Window

# HDF5's numbers of the filters that are part of the library and safe.
_GZIP, _FILTERS = 1, frozenset((1, 2, 3))
_KINDS = {"f": "floating point", "i": "integer", "u": "integer", "b": "boolean"}
# A name or a configuration longer than this is not one.
TEXT_LIMIT = 8 << 20
_NAMES_LIMIT = 4096


def has_h5py() -> bool:
    """Whether h5py can be imported."""
    try:
        import h5py  # noqa: F401
    except ImportError:
        return False
    return True


def library() -> Any:
    """The h5py module. ImportError naming the extra if it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "HDF5 files need h5py, which is not installed: pip install 'graphc-compiler[keras]'. Without it models are "
            "saved as `.keras` with their weights in numpy's format"
        ) from error
    return h5py


# ---- writing


def written(fill: Any) -> bytes:
    """The bytes of an HDF5 file that `fill(file)` has filled, with the seal behind it."""
    buffer = io.BytesIO()
    with library().File(buffer, "w") as file:
        fill(file)
        file.flush()
        tensors = [
            (name, dataset.id.get_offset(), dataset.id.get_storage_size())
            for name, dataset in _datasets(file)
            if dataset.id.get_offset() is not None
        ]
    body = buffer.getvalue()
    return body + sealed(body, tensors)


def _datasets(file: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    file.visititems(lambda name, item: found.append((name, item)) if hasattr(item, "shape") else None)
    return found


def weights_bytes(groups: Mapping[str, Group], notes: Mapping[str, str] | None = None) -> bytes:
    """The file `model.weights.h5` of a state. notes: texts to keep with it, which Keras does not look at."""
    return written(lambda file: _fill_weights(file, groups, notes or {}))


def _fill_weights(file: Any, groups: Mapping[str, Group], notes: Mapping[str, str]) -> None:
    for name, note in notes.items():
        file.attrs[name] = note
    for path, group in groups.items():
        place = file.require_group(f"{path}/vars".lstrip("/"))
        if group.name is not None:
            place.attrs["name"] = group.name
        for key, array in group.arrays.items():
            place.create_dataset(key, data=array)


# ---- reading


class Hdf5File:
    """An HDF5 file that is read in place. ValueError for a file that is not one, or whose checksums differ."""

    def __init__(self, window: Window, name: str) -> None:
        check_seal(window, name)
        window.seek(0)
        self.name = name
        try:
            self.root = library().File(io.BufferedReader(window, 1 << 16), "r")
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(f"{name} is not a readable HDF5 file: {error}") from None

    def close(self) -> None:
        self.root.close()

    def __enter__(self) -> Hdf5File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def group(self, path: str) -> Any:
        """The group at a path, or None. ValueError if the way there leads through a link or to something else."""
        found = self._item(path)
        if found is not None and not isinstance(found, library().Group):
            raise ValueError(f"{self.name}: {path} should be a group")
        return found

    def _item(self, path: str) -> Any:
        place = self.root
        for part in filter(None, path.split("/")):
            if not isinstance(place, library().Group):
                raise ValueError(f"{self.name}: {path} leads through something that is not a group")
            try:
                link = place.get(part, getclass=True, getlink=True)
                if link is None:
                    return None
                if link is not library().HardLink:
                    raise ValueError(f"{self.name}: {path} is a {link.__name__}; links are not followed")
                place = place[part]
            except (KeyError, OSError, RuntimeError) as error:
                raise ValueError(f"{self.name}: {path} cannot be read: {error}") from None
        return place

    def array(self, path: str, shape: tuple[int, ...] | None, kind: str | None) -> Array:
        """The array at a path. Mismatch if it has not this shape and kind of dtype; see the module for ValueErrors."""
        dataset = self._item(path)
        if not isinstance(dataset, library().Dataset):
            raise ValueError(f"{self.name}: {path} should be an array and is {type(dataset).__name__}")
        try:
            self._check(dataset, path, shape, kind)
            return np.asarray(dataset[()])
        except (OSError, RuntimeError, KeyError, TypeError) as error:
            raise ValueError(f"{self.name}: tensor {path} cannot be read: {error}") from None

    def _check(self, dataset: Any, path: str, shape: tuple[int, ...] | None, kind: str | None) -> None:
        where = f"{self.name}: tensor {path}"
        if dataset.external or dataset.is_virtual:
            raise ValueError(f"{where} keeps its values in other files, which are not opened")
        if dataset.dtype.kind not in _KINDS or dataset.shape is None:
            raise ValueError(f"{where} is of dtype {dataset.dtype}; weights are numbers")
        if kind is not None and _KINDS[dataset.dtype.kind] != _KINDS[kind]:
            raise Mismatch(f"{where} is {_KINDS[dataset.dtype.kind]} where the model has {_KINDS[kind]} values")
        if shape is not None and tuple(dataset.shape) != shape:
            raise Mismatch(f"{where} has shape {tuple(dataset.shape)}, the model's variable {shape}")
        self._check_storage(dataset, where, is_known=shape is not None)

    def _check_storage(self, dataset: Any, where: str, is_known: bool) -> None:
        size = math.prod(dataset.shape) * dataset.dtype.itemsize
        properties = dataset.id.get_create_plist()
        filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
        if not _FILTERS.issuperset(filters):
            raise ValueError(f"{where} is stored through filters {filters}; only shuffle, gzip and fletcher32 are read")
        stored = dataset.id.get_storage_size()
        if stored < size and (not filters or (not is_known and size > 100 * stored)):
            raise ValueError(f"{where} claims {size:,} bytes, of which the file holds {stored:,}")
        if dataset.chunks is None:
            return
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        if chunk > 2 * size + (1 << 20):
            raise ValueError(f"{where} of {size:,} bytes is stored in pieces of {chunk:,} bytes")
        if _GZIP in filters:
            _check_inflation(dataset, chunk, where)

    def text(self, place: Any, name: str) -> str | None:
        """A text attribute, or None if there is none."""
        if name not in place.attrs:
            return None
        attribute = library().h5a.open(place.id, name.encode())
        if attribute.get_space().get_simple_extent_npoints() != 1 or attribute.get_type().get_size() > TEXT_LIMIT:
            raise ValueError(f"{self.name}: attribute {name} is not one text")
        value = place.attrs[name]
        found = value.decode("utf-8") if isinstance(value, bytes) else str(value)
        if len(found) > TEXT_LIMIT:
            raise ValueError(f"{self.name}: attribute {name} has {len(found):,} characters")
        return found

    def texts(self, place: Any, name: str) -> list[str]:
        """A list of names in an attribute, which may be cut into `name0`, `name1`, ..."""
        names = [name] if name in place.attrs else list(_chunk_names(place, name))
        return [text for part in names for text in self._texts(place, part)]

    def _texts(self, place: Any, name: str) -> list[str]:
        attribute = library().h5a.open(place.id, name.encode())
        kind, count = attribute.get_type(), attribute.get_space().get_simple_extent_npoints()
        if not count:
            return []
        if kind.get_class() != library().h5t.STRING:
            raise ValueError(f"{self.name}: attribute {name} should be a list of names")
        # names of variable length may all stand for one long text: bounded by their number
        if count > _NAMES_LIMIT if kind.is_variable_str() else count * kind.get_size() > TEXT_LIMIT:
            raise ValueError(f"{self.name}: attribute {name} is too long for a list of names")
        return [n.decode("utf-8") if isinstance(n, bytes) else str(n) for n in np.ravel(place.attrs[name]).tolist()]


def _chunk_names(place: Any, name: str) -> Iterator[str]:
    number = 0
    while f"{name}{number}" in place.attrs:
        yield f"{name}{number}"
        number += 1


def _check_inflation(dataset: Any, chunk: int, where: str) -> None:
    """ValueError if a compressed piece is larger than its piece of the array; HDF5 itself would inflate it whole."""
    for index in range(dataset.id.get_num_chunks()):
        place = dataset.id.get_chunk_info(index).chunk_offset
        _, packed = dataset.id.read_direct_chunk(place)
        unpacker = zlib.decompressobj()
        inflated = unpacker.decompress(packed, chunk + 1024)
        if unpacker.unconsumed_tail or len(inflated) > chunk + 1023:
            raise ValueError(f"{where}: a compressed piece is larger than {chunk:,} bytes")


class Hdf5Weights:
    """The state in a `.weights.h5` file, by the paths of `graphc.saving.state`."""

    def __init__(self, file: Hdf5File) -> None:
        self.file = file

    def keys(self, path: str) -> list[str]:
        group = self.file.group(f"{path}/vars")
        try:
            return [] if group is None else list(group)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{self.file.name}: the members of {path}/vars cannot be read: {error}") from None

    def read(self, path: str, key: str, shape: tuple[int, ...] | None, kind: str | None) -> Array:
        return self.file.array(f"{path}/vars/{key}", shape, kind)
