"""Boston housing: 506 districts, 13 features, median house price in 1,000 dollars (Harrison and Rubinfeld 1978)."""

from __future__ import annotations

import os

from graphc.datasets._provider import KERAS_FILES, Pair, Source, provide, read_npz, shuffled_split

SOURCE = Source(
    "boston_housing",
    "boston_housing.npz",
    KERAS_FILES + "boston_housing.npz",
    "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
)


def load_data(
    path: str | os.PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): x float64 (n, 13), y float64 (n,), in the order `seed` gives."""
    x, y = read_npz(provide(SOURCE, path), ("x", "y"))
    return shuffled_split(x, y, test_split, seed)
