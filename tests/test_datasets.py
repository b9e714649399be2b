"""Data sets: where they are looked for, both formats of texts against Keras, shapes, damaged and hostile files."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import config
from graphc.datasets import (
    _provider,
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)
from graphc.utils.files import hash_file

REAL_DATA = os.environ.get("GRAPHC_DATA")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $GRAPHC_DATA, an empty $KERAS_HOME beside it, and no way to the network."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("GRAPHC_DATA", str(folder))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    return folder


def refuse(*arguments: Any, **options: Any) -> Any:
    raise OSError("no network in tests")


def digits(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (5, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 5, np.uint8),
        "x_test": rng.integers(0, 256, (3, 28, 28), np.uint8),
        "y_test": rng.integers(0, 10, 3, np.uint8),
    }


# ---- where files come from


def test_data_folder_wins_over_the_cache_of_keras(data: Path) -> None:
    cache = data.parent / "keras/datasets"
    cache.mkdir(parents=True)
    np.savez(cache / "mnist.npz", **digits(1))
    np.testing.assert_array_equal(mnist.load_data()[0][0], digits(1)["x_train"])
    np.savez(data / "mnist.npz", **digits(2))
    np.testing.assert_array_equal(mnist.load_data()[0][0], digits(2)["x_train"])


def test_an_explicit_path_wins(data: Path, tmp_path: Path) -> None:
    np.savez(data / "mnist.npz", **digits(1))
    np.savez(tmp_path / "mine.npz", **digits(2))
    np.savez(data / "other.npz", **digits(3))
    np.testing.assert_array_equal(mnist.load_data(tmp_path / "mine.npz")[1][0], digits(2)["x_test"])
    np.testing.assert_array_equal(mnist.load_data("other.npz")[1][0], digits(3)["x_test"])
    with pytest.raises(FileNotFoundError, match="mnist: there is no file /no/where.npz"):
        mnist.load_data("/no/where.npz")


def test_a_folder_named_like_the_data_set(data: Path) -> None:
    (data / "boston_housing").mkdir()
    np.savez(data / "boston_housing/boston_housing.npz", x=np.zeros((10, 13)), y=np.arange(10.0))
    assert boston_housing.load_data()[0][0].shape == (8, 13)


@pytest.mark.parametrize("module", [mnist, fashion_mnist, cifar10, cifar100, imdb, reuters, boston_housing])
def test_a_missing_file_is_named_and_nothing_is_made_up(data: Path, module: Any) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        module.load_data()
    source = module.SOURCES[0] if module is fashion_mnist else module.SOURCE
    for part in (
        source.name,
        str(data / source.dataset),
        str(data.parent / "keras/datasets"),
        source.url,
        "GRAPHC_DATA",
    ):
        assert part in str(caught.value)


def test_a_download_is_checked_and_kept(data: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "served.npz", **digits())
    source = _provider.Source(
        "mnist", "mnist.npz", (tmp_path / "served.npz").as_uri(), hash_file(tmp_path / "served.npz")
    )
    assert _provider.provide(source) == data.parent / "keras/datasets/mnist.npz"
    (data.parent / "keras/datasets/mnist.npz").unlink()
    with pytest.raises(FileNotFoundError, match="hash of what .* sent does not match"):
        _provider.provide(dataclasses.replace(source, file_hash="0" * 64))


# ---- images


def write_idx(path: Path, values: np.ndarray[Any, Any], opener: Any = open) -> None:
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    with opener(path, "wb") as file:
        file.write(header + values.tobytes())


def write_idx_files(folder: Path, arrays: dict[str, Any], opener: Any = open, dot: str = "-", suffix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, name in (("train", "train"), ("test", "t10k")):
        write_idx(folder / f"{name}-images{dot}idx3-ubyte{suffix}", arrays[f"x_{part}"], opener)
        write_idx(folder / f"{name}-labels{dot}idx1-ubyte{suffix}", arrays[f"y_{part}"], opener)


@pytest.mark.parametrize(("folder", "dot", "gz"), [(".", "-", False), ("mnist", ".", False), ("mnist", "-", True)])
def test_mnist_from_idx_files(data: Path, folder: str, dot: str, gz: bool) -> None:
    write_idx_files(data / folder, digits(), gzip.open if gz else open, dot, ".gz" if gz else "")
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    for found, name in ((x_train, "x_train"), (y_train, "y_train"), (x_test, "x_test"), (y_test, "y_test")):
        np.testing.assert_array_equal(found, digits()[name])
        assert found.dtype == np.uint8 and found.flags.writeable


def test_fashion_mnist_does_not_take_the_digits(data: Path) -> None:
    write_idx_files(data, digits(1))
    write_idx_files(data, digits(1), gzip.open, suffix=".gz")
    with pytest.raises(FileNotFoundError, match="fashion_mnist: wanted the file train-images-idx3-ubyte.gz"):
        fashion_mnist.load_data()
    write_idx_files(data.parent / "keras/datasets/fashion-mnist", digits(4), gzip.open, suffix=".gz")
    np.testing.assert_array_equal(fashion_mnist.load_data()[0][0], digits(4)["x_train"])
    write_idx_files(data / "fashion-mnist", digits(2))
    np.testing.assert_array_equal(fashion_mnist.load_data()[0][0], digits(2)["x_train"])
    np.savez(data / "fashion_mnist.npz", **digits(3))
    np.testing.assert_array_equal(fashion_mnist.load_data()[0][0], digits(3)["x_train"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [(lambda b: b[:-1], "cut or damaged"), (lambda b: b"\x1f" + b[1:], "not an IDX file"), (lambda b: b[:3], "IDX")],
)
def test_damaged_idx_files(data: Path, damage: Any, message: str) -> None:
    write_idx_files(data, digits())
    path = data / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        mnist.load_data()
    assert str(path) in str(caught.value)


def test_damaged_gzip_files(data: Path) -> None:
    write_idx_files(data, digits(), gzip.open, suffix=".gz")
    path = data / "t10k-labels-idx1-ubyte.gz"
    for damaged in (path.read_bytes()[:-9], b"plain text", path.read_bytes()[:12] + b"\xff" * 8):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte.gz: not a gzip file"):
            mnist.load_data()


def images(rows: int, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (rows, 32, 32, 3), np.uint8)


def test_cifar10_from_npz(data: Path) -> None:
    x, y = images(4, 0), np.arange(4)
    np.savez(data / "cifar10.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    np.testing.assert_array_equal(x_train, x)
    assert y_train.tolist() == [[0], [1], [2], [3]] and y_train.dtype == np.uint8
    assert (x_test.shape, y_test.shape) == ((2, 32, 32, 3), (2, 1))
    config.set_image_data_format("channels_first")
    np.testing.assert_array_equal(cifar10.load_data()[0][0], x.transpose(0, 3, 1, 2))


def write_archive(path: Path, members: dict[str, Any]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            pickled = pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(pickled)
            archive.addfile(info, io.BytesIO(pickled))
    return hash_file(path)


def batch(rows: int, seed: int, **labels: list[int]) -> dict[bytes, Any]:
    flat = images(rows, seed).transpose(0, 3, 1, 2).reshape(rows, -1)
    return {b"data": flat, **{key.encode(): value for key, value in labels.items()}}


def test_cifar10_from_the_archive_of_its_authors(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"cifar-10-batches-py/data_batch_{n}": batch(2, n, labels=[n, n + 1]) for n in range(1, 6)}
    members["cifar-10-batches-py/test_batch"] = batch(3, 9, labels=[7, 8, 9])
    digest = write_archive(data / "cifar-10-python.tar.gz", members)
    with pytest.raises(ValueError, match="SHA-256 is not that of the published"):
        cifar10.load_data()
    monkeypatch.setattr(cifar10, "SOURCE", dataclasses.replace(cifar10.SOURCE, file_hash=digest))
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    np.testing.assert_array_equal(x_train, np.concatenate([images(2, n) for n in range(1, 6)]))
    assert y_train[:, 0].tolist() == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    np.testing.assert_array_equal(x_test, images(3, 9))
    assert y_test.tolist() == [[7], [8], [9]] and y_test.dtype == np.uint8


def test_cifar100_both_kinds_of_labels(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {
        "cifar-100-python/train": batch(2, 1, fine_labels=[50, 60], coarse_labels=[5, 6]),
        "cifar-100-python/test": batch(1, 2, fine_labels=[70], coarse_labels=[7]),
    }
    digest = write_archive(data / "cifar-100-python.tar.gz", members)
    monkeypatch.setattr(cifar100, "SOURCE", dataclasses.replace(cifar100.SOURCE, file_hash=digest))
    (x_train, fine), _ = cifar100.load_data()
    _, (_, coarse) = cifar100.load_data("coarse")
    np.testing.assert_array_equal(x_train, images(2, 1))
    assert (fine.tolist(), coarse.tolist(), fine.dtype) == ([[50], [60]], [[7]], np.dtype(np.int64))
    with pytest.raises(ValueError, match="Received: label_mode=big"):
        cifar100.load_data("big")


# ---- tables


def test_boston_housing_split() -> None:
    # The order printed by Keras 3.15.1 for these rows.
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10.0)
    (x_train, y_train), (x_test, y_test) = _provider.shuffled_split(x, y, 0.3, 5)
    assert y_train.tolist() == [9.0, 5.0, 2.0, 4.0, 7.0, 1.0, 0.0]
    assert y_test.tolist() == [8.0, 6.0, 3.0]
    assert x_train[:, 0].tolist() == (2 * y_train).tolist() and x_test[:, 1].tolist() == (2 * y_test + 1).tolist()
    with pytest.raises(ValueError, match="Invalid `test_split` argument: 1"):
        _provider.shuffled_split(x, y, 1, 5)


def test_california_housing_versions(data: Path) -> None:
    np.savez(data / "california_housing.npz", x=np.zeros((700, 8)), y=np.arange(700))
    assert california_housing.load_data()[0][0].shape == (560, 8)
    (_, y_train), (_, y_test) = california_housing.load_data("small")
    assert sorted([*y_train, *y_test]) == list(range(600))
    with pytest.raises(ValueError, match="Received: version=medium"):
        california_housing.load_data("medium")


# ---- texts, against what Keras 3.15.1 printed for the same ranks

TRAIN = [
    [16, 22, 1, 4, 28, 4],
    [20, 22, 19],
    [24, 7, 25, 25, 13, 27],
    [7, 8, 24],
    [25, 18, 6, 26, 14, 9, 10, 21],
    [17, 20, 6, 16, 16],
    [19, 4],
]
TEST = [[18, 20], [20, 20, 15, 8, 1, 2, 10], [1, 11, 21], [12, 19, 24, 29, 3]]
TRAIN_LABELS, TEST_LABELS = [0, 1, 1, 0, 1, 0, 1], [1, 0, 0, 1]
TOPICS = [
    [1, 5],
    [6, 7, 9, 21, 18, 16, 5],
    [11, 27, 25],
    [2, 8, 10],
    [4, 7, 24],
    [15, 19, 28, 1, 15],
    [22, 13, 26, 11, 21],
    [5, 7, 5, 16, 21],
    [13, 5, 21, 9, 15],
]
IMDB_EXPECTED: list[tuple[dict[str, Any], list[list[int]], list[int], list[list[int]], list[int]]] = [
    (
        {},
        [
            [1, 23, 25, 22],
            [1, 10, 11, 27],
            [1, 19, 25, 4, 7, 31, 7],
            [1, 22, 7],
            [1, 27, 10, 28, 28, 16, 30],
            [1, 28, 21, 9, 29, 17, 12, 13, 24],
            [1, 20, 23, 9, 19, 19],
        ],
        [1, 0, 0, 1, 1, 1, 0],
        [[1, 15, 22, 27, 2, 6], [1, 21, 23], [1, 23, 23, 18, 11, 4, 5, 13], [1, 4, 14, 24]],
        [1, 1, 0, 0],
    ),
    (
        dict(num_words=20, skip_top=6, oov_char=None),
        [[], [10, 11], [19, 7, 7], [7], [10, 16], [9, 17, 12, 13], [9, 19, 19]],
        [1, 0, 0, 1, 1, 1, 0],
        [[15, 6], [], [18, 11, 13], [14]],
        [1, 1, 0, 0],
    ),
    (
        dict(maxlen=7, start_char=None, seed=3),
        [[22, 7], [20, 23, 9, 19, 19], [10, 11, 27], [23, 25, 22], [19, 25, 4, 7, 31, 7], [27, 10, 28, 28, 16, 30]],
        [1, 0, 0, 1, 0, 1],
        [[15, 22, 27, 2, 6], [4, 14, 24], [21, 23]],
        [1, 0, 1],
    ),
    (
        dict(index_from=0, start_char=None),
        [
            [20, 22, 19],
            [7, 8, 24],
            [16, 22, 1, 4, 28, 4],
            [19, 4],
            [24, 7, 25, 25, 13, 27],
            [25, 18, 6, 26, 14, 9, 10, 21],
            [17, 20, 6, 16, 16],
        ],
        [1, 0, 0, 1, 1, 1, 0],
        [[12, 19, 24, 2, 3], [18, 20], [20, 20, 15, 8, 1, 2, 10], [1, 11, 21]],
        [1, 1, 0, 0],
    ),
    (
        dict(num_words=9, oov_char=5, index_from=10),
        [[1, 5, 5, 5], [1, 5, 5, 5], [1] + [5] * 6, [1, 5, 5], [1] + [5] * 6, [1] + [5] * 8, [1] + [5] * 5],
        [1, 0, 0, 1, 1, 1, 0],
        [[1] + [5] * 5, [1, 5, 5], [1] + [5] * 7, [1, 5, 5, 5]],
        [1, 1, 0, 0],
    ),
]


def token_arrays(part: str, texts: list[list[int]], labels: list[int]) -> dict[str, Any]:
    tokens = [[1] + [rank + 3 for rank in text] for text in texts]
    return {
        f"tokens_{part}": np.array([token for text in tokens for token in text], np.int16),
        f"offsets_{part}": np.cumsum([0, *map(len, tokens)]),
        f"y_{part}": np.array(labels, np.int8),
    }


def objects(texts: list[list[int]]) -> np.ndarray[Any, Any]:
    array = np.empty(len(texts), object)
    for index, text in enumerate(texts):
        array[index] = text
    return array


def write_imdb(path: Path, *, pickled: bool) -> None:
    if pickled:
        y_train, y_test = np.array(TRAIN_LABELS), np.array(TEST_LABELS)
        np.savez(path, x_train=objects(TRAIN), y_train=y_train, x_test=objects(TEST), y_test=y_test)
    else:
        np.savez(path, **token_arrays("train", TRAIN, TRAIN_LABELS), **token_arrays("test", TEST, TEST_LABELS))


@pytest.mark.parametrize("pickled", [False, True], ids=["tokens", "pickled"])
@pytest.mark.parametrize("case", range(len(IMDB_EXPECTED)))
def test_imdb_equals_keras(data: Path, monkeypatch: pytest.MonkeyPatch, case: int, pickled: bool) -> None:
    arguments, x_train, y_train, x_test, y_test = IMDB_EXPECTED[case]
    write_imdb(data / "imdb.npz", pickled=pickled)
    digest = hash_file(data / "imdb.npz")
    monkeypatch.setattr(imdb, "SOURCE", dataclasses.replace(imdb.SOURCE, file_hash=digest))
    found = imdb.load_data(**arguments)
    assert [list(text) for text in found[0][0]] == x_train and found[0][1].tolist() == y_train
    assert [list(text) for text in found[1][0]] == x_test and found[1][1].tolist() == y_test
    assert found[0][0].dtype == object and found[0][1].dtype == np.int64 and type(found[0][0][0]) is list


def test_a_pickle_that_is_not_the_published_one_is_not_read(data: Path) -> None:
    write_imdb(data / "imdb.npz", pickled=True)
    with pytest.raises(ValueError, match="what is pickled in it is not read"):
        imdb.load_data()


def test_unknown_words_stay_unknown(data: Path) -> None:
    arrays = token_arrays("train", [[1, 2], [3]], [0, 1]) | token_arrays("test", [[1]], [1])
    arrays["tokens_train"][1] = 2
    np.savez(data / "imdb.npz", **arrays)
    (x_train, _), _ = imdb.load_data(num_words=100, seed=1)
    assert sorted(x_train.tolist()) == [[1, 2, 5], [1, 6]]
    (x_train, _), _ = imdb.load_data(num_words=100, seed=1, oov_char=None, index_from=50)
    assert sorted(x_train.tolist()) == [[1, 52], [1, 53]]


def test_texts_of_equal_length_stay_lists(data: Path) -> None:
    np.savez(data / "imdb.npz", **token_arrays("train", [[1, 2], [3, 4]], [0, 1]), **token_arrays("test", [[5]], [1]))
    (x_train, _), _ = imdb.load_data()
    assert x_train.shape == (2,)


def test_offsets_that_do_not_fit(data: Path) -> None:
    arrays = token_arrays("train", [[1, 2], [3]], [0, 1]) | token_arrays("test", [[1]], [1])
    arrays["offsets_train"] = np.array([0, 9, 5])
    np.savez(data / "imdb.npz", **arrays)
    with pytest.raises(ValueError, match="offsets_train do not divide the 5 tokens into 2 texts"):
        imdb.load_data()


def test_imdb_arguments(data: Path) -> None:
    write_imdb(data / "imdb.npz", pickled=False)
    with pytest.raises(ValueError, match="shorter than maxlen=2, no sequence was kept"):
        imdb.load_data(maxlen=2)
    with pytest.raises(TypeError, match="unrecognized keyword arguments words"):
        imdb.load_data(words=3)
    with pytest.warns(DeprecationWarning, match="`nb_words` is called `num_words`"):
        assert max(max(text) for text in imdb.load_data(nb_words=9)[0][0]) < 9


def test_reuters_equals_keras(data: Path) -> None:
    arrays = token_arrays("train", TOPICS[:7], list(range(7))) | token_arrays("test", TOPICS[7:], [7, 8])
    np.savez(data / "reuters.npz", **arrays)
    (x_train, y_train), (x_test, y_test) = reuters.load_data(num_words=12, test_split=0.34)
    assert x_train.tolist() == [
        [1, 4, 8],
        [1, 9, 10, 2, 2, 2, 2, 8],
        [1, 5, 11, 2],
        [1, 2, 8, 2, 2, 2],
        [1, 8, 10, 8, 2, 2],
    ]
    assert x_test.tolist() == [[1, 2, 2, 2, 2, 2], [1, 2, 2, 2], [1, 7, 10, 2], [1, 2, 2, 2, 4, 2]]
    assert (y_train.tolist(), y_test.tolist()) == ([0, 1, 3, 8, 7], [6, 2, 4, 5])


def test_word_indices_and_label_names(data: Path) -> None:
    assert reuters.get_label_names()[:4] == ("cocoa", "grain", "veg-oil", "earn")
    assert len(reuters.get_label_names()) == 46
    (data / "imdb_word_index.json").write_text(json.dumps({"the": 1}))
    (data / "reuters_word_index.json").write_text(json.dumps({"of": 2}))
    assert (imdb.get_word_index(), reuters.get_word_index()) == ({"the": 1}, {"of": 2})
    np.savez(data / "reuters.npz", words=np.array(["a", "b"]), topics=np.array(["earn"]))
    assert (reuters.get_word_index(), reuters.get_label_names()) == ({"a": 1, "b": 2}, ("earn",))
    (data / "imdb_word_index.json").write_text("[1]")
    with pytest.raises(ValueError, match="imdb_word_index.json: wanted a JSON object"):
        imdb.get_word_index()


# ---- damaged and hostile files


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"plain text", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_npz_are_named(data: Path, content: bytes) -> None:
    (data / "mnist.npz").write_bytes(content)
    (data / "imdb.npz").write_bytes(content)
    for load in (mnist.load_data, imdb.load_data):
        with pytest.raises(ValueError, match=str(data)):
            load()


def test_missing_arrays_are_named(data: Path) -> None:
    np.savez(data / "mnist.npz", x_train=np.zeros(3))
    with pytest.raises(ValueError, match="wanted arrays x_train, y_train, x_test, y_test, got x_train"):
        mnist.load_data()


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["BOMB"],)


def test_pickles_hidden_in_an_npz_do_not_run(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOMB", str(data / "ran"))
    bomb = np.array([Bomb()], object)
    np.savez(data / "mnist.npz", x_train=bomb, y_train=bomb, x_test=bomb, y_test=bomb)
    np.savez(data / "imdb.npz", x_train=bomb, y_train=bomb, x_test=bomb, y_test=bomb)
    for load in (mnist.load_data, imdb.load_data):
        with pytest.raises(ValueError, match="pickle"):
            load()
    assert not (data / "ran").exists()


# ---- the real files, where they are


@pytest.mark.skipif(REAL_DATA is None, reason="GRAPHC_DATA is not set")
@pytest.mark.parametrize(
    ("module", "x", "y"),
    [(mnist, (28, 28), ()), (cifar10, (32, 32, 3), (1,)), (imdb, (), ()), (reuters, (), ())],
    ids=lambda value: getattr(value, "__name__", "").split(".")[-1],
)
def test_real_files(module: Any, x: tuple[int, ...], y: tuple[int, ...]) -> None:
    try:
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert x_train.shape == (len(y_train), *x) and x_test.shape == (len(y_test), *x)
    assert y_train.shape[1:] == y and len(x_train) > 1000
