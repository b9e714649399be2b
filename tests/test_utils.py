"""keras.utils and what lies beside it: arrays, Progbar, files, registry, names, settings, nested structures."""

from __future__ import annotations

import collections
import hashlib
import io
import logging
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as k
from graphc import backend, config, layers, naming, tree, utils
from graphc.preprocessing.sequence import pad_sequences
from graphc.saving import registry
from graphc.utils.files import extract_archive, get_file, has_hash, hash_file, replacing

# ---- arrays


def test_to_categorical() -> None:
    assert utils.to_categorical([0, 2, 1]).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert utils.to_categorical([[0], [2]], 4).shape == (2, 4)
    assert utils.to_categorical(np.zeros((2, 3)), 2).shape == (2, 3, 2)
    assert utils.to_categorical([1]).dtype == np.float64


@pytest.mark.parametrize("label", [3, -1])
def test_to_categorical_names_the_label_that_does_not_fit(label: int) -> None:
    with pytest.raises(ValueError, match=rf"label {label} is outside \[0, 3\)"):
        utils.to_categorical([0, label], 3)


def test_to_categorical_of_nothing() -> None:
    assert utils.to_categorical([], 3).shape == (0, 3)
    with pytest.raises(ValueError, match="pass num_classes"):
        utils.to_categorical([])


def test_normalize() -> None:
    # The first three printed by Keras 3.15.1.
    assert utils.normalize(np.array([[3.0, 4.0], [0, 0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]
    assert utils.normalize(np.array([3, 4])).tolist() == [[0.6, 0.8]]
    assert utils.normalize(np.array([[3.0, 4.0], [1, 1]]), order=1).tolist() == [[3 / 7, 4 / 7], [0.5, 0.5]]
    assert utils.normalize(np.array([[3.0, 0.0, 5.0], [4.0, 1.0, 12.0]]), axis=0).tolist() == [
        [0.6, 0.0, 5 / 13],
        [0.8, 1.0, 12 / 13],
    ]


def test_pad_sequences() -> None:
    # Printed by Keras 3.15.1.
    texts = [[1], [2, 3], [4, 5, 6]]
    assert pad_sequences(texts).tolist() == [[0, 0, 1], [0, 2, 3], [4, 5, 6]]
    assert pad_sequences(texts, maxlen=2).tolist() == [[0, 1], [2, 3], [5, 6]]
    assert pad_sequences(texts, padding="post", truncating="post", value=-1, maxlen=4).tolist() == [
        [1, -1, -1, -1],
        [2, 3, -1, -1],
        [4, 5, 6, -1],
    ]
    assert pad_sequences([[[1, 2]], [[3, 4], [5, 6]]], dtype="float32").tolist() == [[[0, 0], [1, 2]], [[3, 4], [5, 6]]]
    assert pad_sequences(texts).dtype == np.int32


def test_pad_sequences_at_the_edges() -> None:
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([[], [1, 2]]).tolist() == [[0, 0], [1, 2]]
    assert pad_sequences([[1, 2]], maxlen=0).shape == (1, 0)
    assert pad_sequences([["a"], ["bc", "d"]], dtype=object, value="").tolist() == [["", "a"], ["bc", "d"]]
    assert pad_sequences(np.array([[1, 2], [3, 4]]), maxlen=1, truncating="post").tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(sequences=[[1], 2]), "Found non-iterable: 2"),
        (dict(sequences=iter([])), "must be iterable"),
        (dict(sequences=[[1]], padding="left"), 'Padding type "left" not understood'),
        (dict(sequences=[[1]], truncating="left"), 'Truncating type "left" not understood'),
        (dict(sequences=[[1]], value="x"), "dtype=object"),
        (dict(sequences=[[[1, 2]], [[1, 2, 3]]]), "position 1 is different from expected shape"),
    ],
)
def test_pad_sequences_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pad_sequences(**arguments)


def test_split_dataset() -> None:
    # Printed by Keras 3.15.1.
    left, right = utils.split_dataset(np.arange(10), left_size=0.8, shuffle=True, seed=7)
    assert (left.tolist(), right.tolist()) == ([8, 3, 1, 4, 7, 0, 9, 6], [2, 5])
    left, right = utils.split_dataset(np.arange(10), right_size=3)
    assert (left.tolist(), right.tolist()) == ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9])


def test_split_dataset_keeps_rows_together() -> None:
    x, y = np.arange(12).reshape(6, 2), np.arange(6)
    (x_left, y_left), (x_right, y_right) = utils.split_dataset((x, y), left_size=4, right_size=1, shuffle=True, seed=1)
    assert (len(x_left), len(x_right)) == (4, 1)
    assert (x_left[:, 0] // 2).tolist() == y_left.tolist() and (x_right[:, 0] // 2).tolist() == y_right.tolist()


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (dict(), ValueError, "must be specified"),
        (dict(left_size=0), ValueError, "`left_size` should be"),
        (dict(left_size=1.0), ValueError, "`left_size` should be"),
        (dict(right_size=6), ValueError, "`right_size` should be"),
        (dict(left_size=0.7, right_size=0.7), ValueError, "greater than 1"),
        (dict(left_size=4, right_size=4), ValueError, "smaller than the 6 samples"),
        (dict(left_size="a"), TypeError, "Invalid `left_size` type"),
    ],
)
def test_split_dataset_refuses(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        utils.split_dataset(np.arange(6), **arguments)


def test_split_dataset_wants_arrays_of_one_length() -> None:
    with pytest.raises(ValueError, match=r"got lengths \[2, 3\]"):
        utils.split_dataset((np.arange(2), np.arange(3)), left_size=1)
    with pytest.raises(TypeError, match="wanted an array"):
        utils.split_dataset("text", left_size=1)


class Squares(utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        return index**2


def test_py_dataset() -> None:
    assert utils.Sequence is utils.PyDataset
    assert (list(Squares()), Squares(workers=2).workers, Squares().num_batches) == ([0, 1, 4], 2, 3)
    with pytest.raises(NotImplementedError, match="must implement `__getitem__"):
        utils.PyDataset()[0]


# ---- Progbar (the lines printed by Keras 3.15.1 under the same clock)


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def bar(done: int, total: int = 20) -> str:
    return (f"\x1b[32m{'━' * done}\x1b[0m" if done else "") + f"\x1b[37m{'━' * (total - done)}\x1b[0m"


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"


def test_progbar_line(tick: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    progbar = utils.Progbar(3)
    tick(0.123)
    progbar.update(1, [("loss", 1.5)])
    tick(0.2)
    progbar.update(2, [("loss", 0.5)])
    tick(0.3)
    progbar.update(3, [("loss", 0.0005)])
    first = f"\r{bold('1/3')} {bar(6)} {bold('0s')} 123ms/step - loss: 1.5000"
    width = len("1/3 " + "━" * 20 + " 0s 123ms/step - loss: 1.5000")
    second = "\b" * width + f"\r{bold('2/3')} {bar(13)} {bold('0s')} 200ms/step - loss: 1.0000"
    third = "\b" * width + f"\r{bold('3/3')} {bar(20)} {bold('1s')} 250ms/step - loss: 5.0000e-04\n"
    assert capsys.readouterr().out == first + second + third


def test_progbar_pads_a_line_that_got_shorter(
    tick: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    progbar = utils.Progbar(None, stateful_metrics=["m"])
    tick(0.06)
    progbar.add(1, [("m", 0.0)])
    tick(0.06)
    progbar.add(1, [("m", 0.5)])
    assert capsys.readouterr().out == (
        f"\r      1/Unknown {bold('0s')} 60ms/step - m: 0.0000e+00"
        + "\b" * len("      1/Unknown 0s 60ms/step - m: 0.0000e+00")
        + f"\r      2/Unknown {bold('0s')} 60ms/step - m: 0.5000    "
    )


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.5, "19s 500ms"), (2, "1:18 2s"), (4, "2:36 4s"), (200, "2:10:00 200s")]
)
def test_progbar_eta(
    tick: Callable[[float], None], capsys: pytest.CaptureFixture[str], seconds: float, shown: str
) -> None:
    progbar = utils.Progbar(40)
    tick(seconds)
    progbar.update(1)
    assert f" {shown}/step" in capsys.readouterr().out.replace("\x1b[1m", "").replace("\x1b[0m", "")


def test_progbar_redraws_at_most_every_interval(
    tick: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    progbar = utils.Progbar(1000, interval=0.05)
    for step in range(1, 1000):
        tick(0.001)
        progbar.update(step)
    assert capsys.readouterr().out.count("\r") == 1 + 998 // 50


def test_progbar_verbose_2(tick: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    progbar = utils.Progbar(12, verbose=2, stateless_metrics=[])
    for step in range(1, 13):
        tick(0.0005)
        progbar.update(step, [("loss", 0.5), ("m", -2.0)])
    assert capsys.readouterr().out == "12/12 - 0s - 500us/step - loss: 0.5000 - m: -2.0000e+00\n"


def test_progbar_goes_to_the_logger_when_not_interactive(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config.disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, "graphc"):
            utils.Progbar(1).update(1)
    finally:
        config.enable_interactive_logging()
    assert capsys.readouterr().out == "" and "1/1" in caplog.text


def test_progbar_survives_an_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "ascii"))
    utils.Progbar(1).update(1)
    assert b"=" * 20 in raw.getvalue()


def test_progbar_takes_one_list_of_metrics() -> None:
    with pytest.raises(ValueError, match="Only one of"):
        utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])


# ---- files


def test_replacing_writes_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
    assert path.read_text() == "one"
    with pytest.raises(RuntimeError, match="stop"), replacing(path) as temporary:
        temporary.write_text("tw")
        raise RuntimeError("stop")
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["f.txt"]


def test_replacing_keeps_permissions(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("a")
    path.chmod(0o640)
    with replacing(path) as temporary:
        temporary.write_text("b")
    assert path.stat().st_mode & 0o777 == 0o640


def test_hashes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert hash_file(path) == hashlib.sha256(b"abc").hexdigest()
    assert has_hash(path, hashlib.md5(b"abc").hexdigest())
    assert not has_hash(path, "0" * 64)


def test_get_file_fetches_once_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    origin = tmp_path / "far.bin"
    origin.write_bytes(b"x" * 100_000)
    digest = hash_file(origin)
    arguments = dict(origin=origin.as_uri(), file_hash=digest, cache_dir=tmp_path / "cache")
    path = get_file("near.bin", **arguments)  # type: ignore[arg-type]
    assert path == str(tmp_path / "cache/datasets/near.bin") and has_hash(path, digest)
    assert "Downloading data from file://" in capsys.readouterr().out
    origin.unlink()
    assert get_file("near.bin", **arguments) == path  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


def test_get_file_refuses_another_content(tmp_path: Path) -> None:
    origin = tmp_path / "far.bin"
    origin.write_bytes(b"evil")
    with pytest.raises(ValueError, match="sha256 file hash of what .* does not match"):
        get_file(origin=origin.as_uri(), file_hash="0" * 64, cache_dir=tmp_path / "cache")
    assert os.listdir(tmp_path / "cache/datasets") == []


def test_get_file_fetches_again_when_the_copy_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    origin = tmp_path / "far.bin"
    origin.write_bytes(b"good")
    arguments = dict(origin=origin.as_uri(), file_hash=hash_file(origin), cache_dir=tmp_path / "cache")
    path = Path(get_file(**arguments))  # type: ignore[arg-type]
    path.write_bytes(b"goo")
    get_file(**arguments)  # type: ignore[arg-type]
    assert path.read_bytes() == b"good"
    assert "re-download" in capsys.readouterr().out


def test_get_file_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='specify the "origin"'):
        get_file("a")
    with pytest.raises(ValueError, match="Paths are no longer accepted"):
        get_file("../a", origin="http://x/y", cache_dir=tmp_path)
    with pytest.raises(OSError, match="URL fetch failure on file:///does/not/exist"):
        get_file(origin="file:///does/not/exist", cache_dir=tmp_path)


def test_get_file_extracts(tmp_path: Path) -> None:
    (tmp_path / "inner.txt").write_text("hello")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "inner.txt", "folder/inner.txt")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        zipped.write(tmp_path / "inner.txt", "inner.txt")
    cache = dict(cache_dir=tmp_path / "cache", extract=True)
    first = get_file(origin=(tmp_path / "a.tar.gz").as_uri(), **cache)  # type: ignore[arg-type]
    assert Path(first, "folder/inner.txt").read_text() == "hello"
    second = get_file("c", origin=(tmp_path / "b.zip").as_uri(), **cache)  # type: ignore[arg-type]
    assert second == str(tmp_path / "cache/datasets/c") and Path(second, "inner.txt").read_text() == "hello"


def test_archives_cannot_write_outside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        zipped.writestr("ok.txt", "x")
        zipped.writestr("../escaped.txt", "x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../escaped.txt"), io.BytesIO(b""))
    for name in ("a.tar", "b.zip"):
        with pytest.raises(ValueError, match="would be written outside"):
            extract_archive(tmp_path / name, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "b.zip"]


@pytest.mark.parametrize("has_filters", sorted({False, hasattr(tarfile, "data_filter")}))
def test_archives_cannot_link_outside(tmp_path: Path, has_filters: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(link)
    with pytest.raises(ValueError, match="link"):
        extract_archive(tmp_path / "a.tar", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.tar"]


def test_extract_archive_knows_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("plain")
    assert not extract_archive(tmp_path / "f", tmp_path / "out")


# ---- registry


class Plain:
    def __init__(self, size: int = 1) -> None:
        self.size = size

    def get_config(self) -> dict[str, Any]:
        return {"size": self.size}


@pytest.fixture
def clean_registry() -> Any:
    before = dict(utils.get_custom_objects())
    yield
    utils.get_custom_objects().clear()
    utils.get_custom_objects().update(before)


def test_registered_objects_are_found_by_their_full_name(clean_registry: None) -> None:
    mine = type("Mine", (Plain,), {})
    assert utils.register_keras_serializable("pack", "Own")(mine) is mine
    assert utils.get_registered_name(mine) == "pack>Own"
    assert utils.get_registered_object("pack>Own") is mine
    saved = registry.serialize_object(mine(5), "keras.layers")
    assert (saved["class_name"], saved["registered_name"]) == ("Mine", "pack>Own")
    assert registry.deserialize_object(saved, {}, kind="layer").size == 5


def test_registering_needs_get_config() -> None:
    with pytest.raises(ValueError, match="does not have a get_config"):
        utils.register_keras_serializable()(type("Bare", (), {}))


def test_scopes_nest_and_end() -> None:
    with utils.custom_object_scope({"A": Plain}):
        with utils.custom_object_scope({"B": Plain}):
            assert utils.get_registered_object("B") is Plain
        assert utils.get_registered_object("A") is Plain
    assert utils.get_registered_object("A") is None


def test_modules_named_in_a_config_are_never_imported() -> None:
    config = {"module": "os", "class_name": "system", "config": "echo", "registered_name": None}
    with pytest.raises(ValueError, match="layer"):
        registry.deserialize_object(config, {"Plain": Plain}, kind="layer")


# ---- names and settings


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Dense", "dense"),
        ("Conv2D", "conv2d"),
        ("MaxPooling2D", "max_pooling2d"),
        ("ReLU", "re_lu"),
        ("PReLU", "p_re_lu"),
        ("LeakyReLU", "leaky_re_lu"),
        ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("SimpleRNN", "simple_rnn"),
        ("RMSNormalization", "rms_normalization"),
        ("KerasTensor", "keras_tensor"),
    ],
)
def test_snake_case(name: str, snake: str) -> None:
    assert naming.to_snake_case(name) == snake


def test_names_count_and_start_again() -> None:
    utils.clear_session()
    assert [naming.auto_name("Dense") for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert [backend.get_uid("x"), backend.get_uid("x")] == [1, 2]
    backend.clear_session()
    assert naming.auto_name("Dense") == "dense"


def test_float_settings() -> None:
    assert (config.floatx(), config.epsilon(), config.image_data_format()) == ("float32", 1e-7, "channels_last")
    config.set_floatx("float64")
    assert config.standardize_dtype(None) == "float64"
    config.set_image_data_format("Channels_First")
    assert config.standardize_data_format(None) == "channels_first"
    with pytest.raises(ValueError, match="Unknown `floatx` value: int8"):
        config.set_floatx("int8")
    with pytest.raises(ValueError, match="Received: data_format=NHWC"):
        config.standardize_data_format("NHWC")


@pytest.mark.parametrize(
    ("given", "name"),
    [("int", "int32"), (float, "float32"), (bool, "bool"), (np.float64, "float64"), (np.dtype("uint8"), "uint8")],
)
def test_standardize_dtype(given: Any, name: str) -> None:
    assert config.standardize_dtype(given) == name


@pytest.mark.parametrize("bad", ["float99", object, 3, [1]])
def test_standardize_dtype_refuses(bad: Any) -> None:
    with pytest.raises(ValueError, match="Invalid dtype"):
        config.standardize_dtype(bad)


def test_limits_come_from_the_environment_until_they_are_set() -> None:
    program = "from graphc import config as c; a = c.max_epochs(); c.set_max_epochs(None); print(a, c.max_epochs())"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_MAX_EPOCHS": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "3 None\n"
    with pytest.raises(ValueError, match="max_epochs: wanted a whole number"):
        config.set_max_epochs(-1)


# ---- nested structures


class Pair(NamedTuple):
    left: Any
    right: Any


def test_flatten_orders_dicts_by_key() -> None:
    assert tree.flatten({"b": [1, (2,)], "a": None}) == [None, 1, 2]
    assert tree.flatten(collections.OrderedDict([("b", 1), ("a", 2)])) == [1, 2]
    assert tree.flatten({1: "x", "a": "y"}) == ["x", "y"]
    assert tree.flatten(3) == [3]
    assert tree.flatten_with_path({"b": [5, 6]}) == [(("b", 0), 5), (("b", 1), 6)]


STRUCTURES: list[Any] = [
    3,
    None,
    [],
    {"b": [1, {"z": 2, "y": (3, 4)}], "a": Pair(5, [6])},
    collections.OrderedDict([("b", 1), ("a", (2,))]),
    collections.defaultdict(list, {"k": 1}),
    Pair(1, Pair(2, ())),
]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_pack_undoes_flatten(structure: Any) -> None:
    packed = tree.pack_sequence_as(structure, tree.flatten(structure))
    assert packed == structure and type(packed) is type(structure)
    if isinstance(structure, dict):
        assert list(packed) == list(structure)


def test_pack_counts_leaves() -> None:
    with pytest.raises(ValueError, match="has 2 leaves, but flat_sequence has 3"):
        tree.pack_sequence_as([1, 2], [1, 2, 3])


def test_map_structure() -> None:
    assert tree.map_structure(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]}) == {"x": [11, 22]}
    assert tree.map_structure(lambda x: 0, [None, 1]) == [0, 0]
    assert tree.map_structure(lambda x: 0, [None, 1], none_is_leaf=False) == [None, 0]
    assert tree.map_structure_up_to([0, 0], len, [[1, 2], (3,)]) == [2, 1]
    for other in ([1], (1, 2), {"a": 1}, [1, [2]]):
        with pytest.raises(ValueError, match="same nested structure"):
            tree.map_structure(lambda a, b: a, [1, 2], other)


def test_traverse_and_friends() -> None:
    seen: list[Any] = []
    tree.traverse(seen.append, [(1, 2), [3]])
    assert seen == [[(1, 2), [3]], (1, 2), 1, 2, [3], 3]
    assert tree.traverse(lambda x: tree.MAP_TO_NONE if x == 2 else None, [1, 2]) == [1, None]
    assert tree.lists_to_tuples([1, [2, [3]]]) == (1, (2, (3,)))
    assert tree.map_shape_structure(len, {"a": (None, 3), "b": [1, 2, 3]}) == {"a": 2, "b": 3}
    with pytest.raises(ValueError, match="same paths"):
        tree.assert_same_paths([1], [1, 2])
    tree.assert_same_paths([1, 2], (3, 4))


# ---- tensors and policies


def test_source_inputs_are_found_once_each() -> None:
    a, b, other = (k.Input((size,)) for size in (3, 4, 5))
    total = layers.Add()([layers.Dense(6)(b), layers.Dense(6)(a), layers.Dense(6)(b)])
    assert [id(tensor) for tensor in utils.get_source_inputs(total * 2)] == [id(b), id(a)]
    assert utils.get_source_inputs(other) == [other]
    assert utils.is_keras_tensor(total)
    assert not utils.is_keras_tensor(np.ones(3))


def test_policies_come_back_from_their_configs() -> None:
    policy = k.dtype_policies.get("mixed_bfloat16")
    assert k.dtype_policies.deserialize(k.dtype_policies.serialize(policy)) == policy
    assert k.dtype_policies.get({"class_name": "FloatDTypePolicy", "config": {"name": "float16"}}).name == "float16"
    with pytest.raises(NotImplementedError, match="Int4DTypePolicy: graphc has no quantized layers"):
        k.dtype_policies.deserialize({"class_name": "Int4DTypePolicy", "config": {}})
    with pytest.raises(ValueError, match="Could not interpret dtype policy identifier: Dense"):
        k.dtype_policies.deserialize({"class_name": "Dense", "config": {}})


def test_the_version() -> None:
    assert k.version() == k.__version__
