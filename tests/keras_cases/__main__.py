"""Runs cases under Keras: `python -m keras_cases float32|float64 CASES FILE.npz`; KERAS_BACKEND must be jax.

Results are named `kind.Class#number/result`. A case that Keras itself refuses is recorded with its error, so that a
table cannot ask for what does not exist.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np

from keras_cases.keras_side import KerasSide
from keras_cases.names import listing
from keras_cases.run import TABLES, outcomes


def main(floatx: str, count: int, path: Path) -> None:
    gc.disable()  # it would walk all of JAX again and again
    side = KerasSide(floatx)
    results: dict[str, Any] = {"names/text": np.asarray(listing())}
    for kind, table in TABLES.items():
        for name in table:
            gc.collect() if count > 1 else None
            for number in range(count):
                place = f"{kind}.{name}#{number}"
                try:
                    results |= {f"{place}/{key}": value for key, value in outcomes(side, kind, name, number).items()}
                except Exception as error:
                    results[f"{place}/error"] = np.asarray(f"{type(error).__name__}: {error}"[:2000])
    np.savez(path, **results)


main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
