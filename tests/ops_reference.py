"""What Keras gives for the cases of `keras.ops`: `KERAS_BACKEND=jax python tests/ops_reference.py [FILE]` records it anew."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ops_cases_nn  # noqa: F401  (fills the list of cases, after ops_cases_numpy)
from ops_cases import CASES, Array, Case

REFERENCE = Path(__file__).parent / "data" / "ops_reference.npz"


def call(k: Any, c: Case) -> list[Array]:
    """The results of a case under the module `k` (keras or graphc), flattened."""
    function = k.ops
    for part in c.name.split("."):
        function = getattr(function, part)
    return flat(function(*c.args, **c.kwargs))


def flat(result: Any) -> list[Array]:
    if isinstance(result, (list, tuple)):
        return [array for item in result for array in flat(item)]
    return [np.asarray(result)]


def pack(results: dict[str, list[Array]], path: Path) -> None:
    """All arrays one after the other by dtype, and an index of their keys, dtypes and shapes."""
    by_dtype: dict[str, list[Array]] = {}
    index = []
    for key, arrays in results.items():
        for array in arrays:
            by_dtype.setdefault(array.dtype.name, []).append(array.ravel())
            index.append([key, array.dtype.name, list(array.shape)])
    parts = {name: np.concatenate(arrays) for name, arrays in by_dtype.items()}
    np.savez_compressed(path, allow_pickle=False, index=np.array(json.dumps(index)), **parts)


def unpack(path: Path) -> dict[str, list[Array]]:
    """The results of every case that `pack` stored."""
    results: dict[str, list[Array]] = {}
    with np.load(path) as archive:
        parts = {name: archive[name] for name in archive.files if name != "index"}
        at = dict.fromkeys(parts, 0)
        for key, dtype, shape in json.loads(str(archive["index"])):
            start, at[dtype] = at[dtype], at[dtype] + math.prod(shape)
            results.setdefault(key, []).append(parts[dtype][start : at[dtype]].reshape(shape))
    return results


def record(k: Any) -> dict[str, list[Array]]:
    """What every case gives under real Keras."""
    results: dict[str, list[Array]] = {}
    for each in CASES:
        try:
            results[each.key] = call(k, each)
        except (TypeError, ValueError) as error:
            # a dtype that Keras refuses has no reference
            if not isinstance(error, TypeError) and "not inexact" not in str(error):
                raise
    return results


if __name__ == "__main__":
    import keras

    assert keras.backend.backend() == "jax", keras.backend.backend()
    pack(record(keras), Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE)
