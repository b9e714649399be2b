"""MNIST: 70,000 handwritten digits, 28 x 28 grey pixels, 10 classes (LeCun, Cortes, Burges)."""

from __future__ import annotations

import os

from graphc.datasets._provider import (
    KERAS_FILES,
    Pair,
    Source,
    locate,
    locate_idx,
    provide,
    read_idx_pairs,
    read_npz,
)

SOURCE = Source(
    "mnist",
    "mnist.npz",
    KERAS_FILES + "mnist.npz",
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): x uint8 (60000 or 10000, 28, 28), y uint8 (n,).

    Read from mnist.npz, or from the four IDX files in `$GRAPHC_DATA` or its folder mnist.
    """
    idx = locate_idx((".", "mnist")) if os.fspath(path) == SOURCE.name and not locate("mnist", [SOURCE.name]) else None
    if idx is not None:
        return read_idx_pairs(idx)
    x_train, y_train, x_test, y_test = read_npz(provide(SOURCE, path), ("x_train", "y_train", "x_test", "y_test"))
    return (x_train, y_train), (x_test, y_test)
