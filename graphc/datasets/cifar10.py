"""CIFAR-10: 60,000 photographs, 32 x 32 pixels in three colours, 10 classes (Krizhevsky 2009)."""

from __future__ import annotations

import numpy as np

from graphc.datasets._cifar import in_data_format, read_batches
from graphc.datasets._provider import Pair, Source, locate, read_npz

SOURCE = Source(
    "cifar10",
    "cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ("cifar-10-batches-py-target_archive", "cifar-10-batches-py.tar.gz"),
)


def load_data() -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): x uint8 (n, 32, 32, 3), y uint8 (n, 1).

    Channels come first if `image_data_format()` says so. Read from cifar10.npz (arrays x_train, y_train, x_test,
    y_test, channels last), which may hold a part, or from the archive of the authors (50,000 and 10,000 images).
    """
    npz = locate("cifar10", ["cifar10.npz"])
    if npz is not None:
        x_train, y_train, x_test, y_test = read_npz(npz, ("x_train", "y_train", "x_test", "y_test"))
        stored = "channels_last"
    else:
        train = [f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)]
        x_train, y_train = read_batches(SOURCE, train, "labels")
        x_test, y_test = read_batches(SOURCE, ["cifar-10-batches-py/test_batch"], "labels")
        stored = "channels_first"
    labels = [values.reshape(-1, 1).astype(np.uint8) for values in (y_train, y_test)]
    return (in_data_format(x_train, stored), labels[0]), (in_data_format(x_test, stored), labels[1])
