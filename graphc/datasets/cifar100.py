"""CIFAR-100: 60,000 photographs, 32 x 32 pixels in three colours, 100 classes in 20 groups (Krizhevsky 2009)."""

from __future__ import annotations

import numpy as np

from graphc.datasets._cifar import in_data_format, read_batches
from graphc.datasets._provider import Pair, Source, locate, read_npz

SOURCE = Source(
    "cifar100",
    "cifar-100-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ("cifar-100-python-target_archive",),
)
LABEL_MODES = ("fine", "coarse")


def load_data(label_mode: str = "fine") -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): x uint8 (n, 32, 32, 3), y int64 (n, 1).

    label_mode: "fine" (100 classes) or "coarse" (20 groups). Read from cifar100.npz (arrays x_train, x_test,
    y_fine_train, y_fine_test, y_coarse_train, y_coarse_test, channels last) or from the archive of the authors.
    """
    if label_mode not in LABEL_MODES:
        raise ValueError(f'`label_mode` must be one of `"fine"`, `"coarse"`. Received: label_mode={label_mode}.')
    npz = locate("cifar100", ["cifar100.npz"])
    if npz is not None:
        names = ("x_train", f"y_{label_mode}_train", "x_test", f"y_{label_mode}_test")
        x_train, y_train, x_test, y_test = read_npz(npz, names)
        stored = "channels_last"
    else:
        x_train, y_train = read_batches(SOURCE, ["cifar-100-python/train"], f"{label_mode}_labels")
        x_test, y_test = read_batches(SOURCE, ["cifar-100-python/test"], f"{label_mode}_labels")
        stored = "channels_first"
    labels = [values.reshape(-1, 1).astype(np.int64) for values in (y_train, y_test)]
    return (in_data_format(x_train, stored), labels[0]), (in_data_format(x_test, stored), labels[1])
