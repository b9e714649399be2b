"""Fashion-MNIST: 70,000 pictures of clothes, 28 x 28 grey pixels, 10 classes (Xiao, Rasul, Vollgraf 2017)."""

from __future__ import annotations

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

FOLDER = "datasets/fashion-mnist"
# The MD5 sums are those of the authors' repository.
SOURCES = tuple(
    Source("fashion_mnist", name, KERAS_FILES + name, md5, (), FOLDER, is_name_shared=True)
    for name, md5 in (
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
)


def load_data() -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): x uint8 (60000 or 10000, 28, 28), y uint8 (n,).

    Read from fashion_mnist.npz, or from the four IDX files in `$GRAPHC_DATA`'s folder fashion_mnist or fashion-mnist.
    """
    npz = locate("fashion_mnist", ("fashion_mnist.npz", "fashion-mnist.npz"))
    if npz is not None:
        x_train, y_train, x_test, y_test = read_npz(npz, ("x_train", "y_train", "x_test", "y_test"))
        return (x_train, y_train), (x_test, y_test)
    paths = locate_idx(("fashion_mnist", "fashion-mnist"))
    return read_idx_pairs(paths or [provide(source) for source in SOURCES])
