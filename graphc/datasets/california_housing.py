"""California housing: 20,640 districts of the 1990 census, 8 features, median house price (Pace and Barry 1997)."""

from __future__ import annotations

import os

from graphc.datasets._provider import KERAS_FILES, Pair, Source, provide, read_npz, shuffled_split

SOURCE = Source(
    "california_housing",
    "california_housing.npz",
    KERAS_FILES + "california_housing.npz",
    "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
)
SMALL_ROWS = 600


def load_data(
    version: str = "large",
    path: str | os.PathLike[str] = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): x (n, 8), y (n,), in the order `seed` gives.

    version: "large" (all rows) or "small" (the first 600).
    """
    if version not in ("small", "large"):
        raise ValueError(f"Argument `version` must be one of 'small', 'large'. Received: version={version}")
    x, y = read_npz(provide(SOURCE, path), ("x", "y"))
    rows = SMALL_ROWS if version == "small" else len(x)
    return shuffled_split(x[:rows], y[:rows], test_split, seed)
