"""Layers that work on strings, in Python, before numbers go into a compiled graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.layers.layer import Layer
from graphc.layers.preprocessing.fingerprints import fingerprint, keyed_fingerprint
from graphc.tensor import KerasTensor, Tensor
from graphc.tracing import contains

Array = NDArray[Any]
Salt = list[int] | None


class HostLayer(Layer):
    """A layer that computes on the host, at once: on arrays, lists, strings and numbers; never inside a graph."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_tensors(self, inputs)
        return self.call(inputs, *args, **kwargs)


def refuse_tensors(layer: Layer, inputs: Any) -> None:
    """TypeError for tensors of a graph."""
    if contains(KerasTensor, inputs) or contains(Tensor, inputs):
        raise TypeError(
            f"{type(layer).__name__} (layer {layer.name}) works on strings in Python and cannot be part of a compiled "
            "model. Call it on the data before (`x = layer(data)`), or in the generator that feeds `fit`, and let the "
            "model begin with the numbers it returns."
        )


def as_strings(values: Any, encoding: str = "utf-8") -> Array:
    """Strings, bytes or numbers (nested in lists, or an array) as an object array of str."""
    array = np.asarray(values.numpy() if hasattr(values, "numpy") else values)
    if array.dtype.kind == "S":
        array = np.char.decode(array, encoding)
    texts = [v.decode(encoding) if isinstance(v, bytes) else str(v) for v in array.reshape(-1).tolist()]
    result = np.empty(len(texts), object)
    result[:] = texts
    return result.reshape(array.shape)


def checked_salt(layer: str, salt: Any) -> Salt:
    """The two numbers of a salt. ValueError in Keras's words for anything else."""
    if salt is None:
        return None
    if isinstance(salt, (tuple, list)) and len(salt) == 2:
        return list(salt)
    if isinstance(salt, int):
        return [salt, salt]
    raise ValueError(
        f"The `salt` argument for `{layer}` can only be a tuple of size 2 integers, or a single integer. "
        f"Received: salt={salt}."
    )


def bins_of(texts: Array, count: int, salt: Salt) -> Array:
    """The bin in [0, count) of every string, int64, by its fingerprint (a keyed one if there is a salt)."""
    known = {
        text: (fingerprint(text.encode()) if salt is None else keyed_fingerprint(text.encode(), (salt[0], salt[1])))
        % count
        for text in set(texts.reshape(-1).tolist())
    }
    return np.array([known[text] for text in texts.reshape(-1).tolist()], np.int64).reshape(texts.shape)


def encode_on_host(ids: Array, output_mode: str, depth: int, dtype: str) -> Array:
    """`encode_categories` with memory for the result only; negative ids appear in no vector."""
    if output_mode == "int":
        return ids.astype(dtype)
    if not ids.ndim:
        ids = ids.reshape(1)
    if output_mode == "one_hot":
        ids = ids[..., 0] if ids.ndim > 1 and ids.shape[-1] == 1 else ids
        ids = ids[..., None]
    else:
        ids = np.moveaxis(ids, 1 if ids.ndim > 1 else 0, -1)
    rows = ids.reshape(-1, ids.shape[-1])
    result = np.zeros((len(rows), depth), dtype)
    row = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
    known = (rows >= 0) & (rows < depth)
    if output_mode == "count":
        np.add.at(result, (row[known], rows[known]), 1)
    else:
        result[row[known], rows[known]] = 1
    return result.reshape(*ids.shape[:-1], depth)
