"""Categories without a vocabulary: hashed into bins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from graphc import config
from graphc.layers.preprocessing.feature import OUTPUT_MODES, checked_output_mode
from graphc.layers.preprocessing.fingerprints import fingerprint, join
from graphc.layers.preprocessing.host import Array, HostLayer, as_strings, bins_of, checked_salt, encode_on_host

# What crossed features are hashed with when the user gives no key (TensorFlow's default).
CROSSING_KEY = 0xDECAFCAFFE


class Hashing(HostLayer):
    """Strings or integers as one of `num_bins` bins, the same in every process and in Keras.

    salt: one or two integers that key the hash. mask_value: this input becomes bin 0, which nothing else does.
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        dtype = kwargs.pop("dtype", None) or ("int64" if output_mode == "int" else config.floatx())
        super().__init__(dtype=dtype, **kwargs)
        if num_bins is None or num_bins <= 0:
            raise ValueError(
                f"The `num_bins` for `Hashing` cannot be `None` or non-positive values. Received: num_bins={num_bins}."
            )
        self.output_mode = checked_output_mode("Hashing", output_mode, OUTPUT_MODES, sparse)
        if self.output_mode == "int" and self.compute_dtype not in ("int32", "int64"):
            raise ValueError(
                "When `output_mode=\"int\"`, `dtype` should be an integer type, 'int32' or 'in64'. Received: "
                f"dtype={dtype}"
            )
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.salt = checked_salt("Hashing", salt)
        self.sparse = sparse

    def call(self, inputs: Any) -> Array:
        values = np.asarray(inputs)
        if self.output_mode == "one_hot" and values.ndim and values.shape[-1] == 1:
            values = values[..., 0]
        return encode_on_host(self._bins(values), self.output_mode, self.num_bins, self.compute_dtype)

    def _bins(self, values: Array) -> Array:
        texts = as_strings(values.astype(np.int64) if values.dtype.kind == "f" else values)
        if self.mask_value is None or self.num_bins == 1:
            return bins_of(texts, self.num_bins, self.salt)
        return np.where(texts == str(self.mask_value), 0, bins_of(texts, self.num_bins - 1, self.salt) + 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "salt": self.salt,
            "mask_value": self.mask_value,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }


class HashedCrossing(HostLayer):
    """Several features as one: each combination of their values in one of `num_bins` bins.

    Called on a list of features of strings or integers, each of shape (), (n,) or (n, 1).
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype="int64" if output_mode == "int" and dtype is None else dtype)
        self.output_mode = checked_output_mode("HashedCrossing", output_mode, ("int", "one_hot"), sparse)
        self.num_bins = num_bins
        self.sparse = sparse

    def call(self, inputs: Any) -> Array:
        features = [np.asarray(feature) for feature in self._checked(inputs)]
        columns = [_hashes(feature) for feature in features]
        crossed = [reduce(join, row, CROSSING_KEY) % self.num_bins for row in zip(*columns, strict=True)]
        bins = np.array(crossed, np.int64).reshape(features[0].shape)
        return encode_on_host(bins, self.output_mode, self.num_bins, self.compute_dtype)

    def _checked(self, inputs: Any) -> Sequence[Any]:
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"`HashedCrossing` should be called on a list or tuple of inputs. Received: inputs={inputs}"
            )
        if len(inputs) < 2:
            raise ValueError(f"`HashedCrossing` should be called on at least two inputs. Received: inputs={inputs}")
        arrays = [np.asarray(feature) for feature in inputs]
        shape = arrays[0].shape
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise ValueError(
                "All `HashedCrossing` inputs should have shape `()`, `(batch_size)` or `(batch_size, 1)`. "
                f"Received: inputs={inputs}"
            )
        if any(array.shape != shape for array in arrays):
            raise ValueError(f"All `HashedCrossing` inputs should have equal shape. Received: inputs={inputs}")
        if any(array.dtype.kind not in "iuSUO" for array in arrays):
            raise ValueError(
                f"All `HashedCrossing` inputs should have an integer or string dtype. Received: inputs={inputs}"
            )
        return arrays

    def get_config(self) -> dict[str, Any]:
        return {
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }


def _hashes(feature: Array) -> list[int]:
    """Integers as they are, strings as their fingerprints."""
    if feature.dtype.kind in "iu":
        return [int(value) & 0xFFFFFFFFFFFFFFFF for value in feature.reshape(-1)]
    return [fingerprint(text.encode()) for text in as_strings(feature).reshape(-1)]
