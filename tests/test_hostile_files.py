"""Files made to do harm: they raise ValueError, run nothing, open nothing and take no memory (SECURITY.md)."""

from __future__ import annotations

import ast
import base64
import io
import json
import os
import random
import resource
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import graphc
from graphc import layers, models

SAVING = Path(graphc.__file__).parent / "saving"
MEMORY = 256 << 20
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model's file."""
    made = models.Sequential([layers.Input((4,)), layers.Dense(3, activation="relu", name="hidden"), layers.Dense(2)])
    made.compile("adam", "mse", metrics=["mae"])
    made.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    path = tmp_path_factory.mktemp("sound") / "m.keras"
    made.save(path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_config(sound: Path, path: Path, change: Change) -> Path:
    """The file with a changed configuration."""
    parts = members(sound)
    config = json.loads(parts["config.json"])
    config = change(config) or config
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, content)
    return path


# ---- what the loader is made of


def test_no_loader_runs_or_imports_what_a_file_names() -> None:
    """No unpickling, evaluation or import by a computed name in any module that reads files."""
    for path in sorted(SAVING.glob("*.py")):
        tree = ast.parse(path.read_text())
        imports = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        imports |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        forbidden = {"pickle", "marshal", "runpy", "ctypes", "subprocess", "shelve", "types"}
        # the package's own names are loaded when first used, from a fixed table
        forbidden |= set() if path.name == "__init__.py" else {"importlib"}
        assert not imports & forbidden, path
        calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not calls & {"eval", "exec", "compile", "__import__", "vars"}, path
        assert "allow_pickle=True" not in path.read_text(), path


EVENTS: list[str] = []
RECORDING = [False]
HOOKED: list[bool] = []
HARMFUL = (
    "exec",
    "compile",
    "marshal.",
    "pickle.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.",
    "socket.",
    "ctypes.",
    "urllib.",
    "shutil.",
    "os.remove",
    "os.rename",
    "code.__new__",
    "import",
)


def record(event: str, arguments: tuple[Any, ...]) -> None:
    if RECORDING[0] and event.startswith(HARMFUL):
        EVENTS.append(f"{event} {arguments[:1]}")


@pytest.fixture
def audited() -> Iterator[list[str]]:
    """The audit events of harmful kinds while the test runs."""
    if not HOOKED:
        HOOKED.append(True)
        sys.addaudithook(record)
    EVENTS.clear()
    yield EVENTS


def load_audited(path: Path, **options: Any) -> Any:
    RECORDING[0] = True
    try:
        return models.load_model(path, **options)
    finally:
        RECORDING[0] = False


def mutated(config: Any, rng: random.Random) -> Any:
    """The config with one value, found at random, replaced by something else."""
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            places.append((node, key))
            collect(value)

    collect(config)
    node, key = rng.choice(places)
    node[key] = rng.choice(VALUES)
    return config


NAMES = ["system", "os.system", "keras.utils.get_file", "get_file", "builtins.eval", "eval", "exec", "__import__", "Lambda", "__lambda__", "popen", "os", "__class__", "/etc/passwd", "../x", "a\0b", "%s%n", '"', "\n", "ä" * 1000]  # fmt: skip
VALUES: list[Any] = [
    *NAMES, None, -1, 0, 2**31, 2**63, 10**30, -(2**62), 1e308, float("nan"), True, [], {}, [[]], [None, None],
    {"class_name": "function", "config": "system", "module": "os", "registered_name": "system"},
    {"class_name": "system", "module": "os", "config": {"command": "true"}, "registered_name": None},
    {"class_name": "get_file", "module": "keras.utils", "config": {"origin": "http://127.0.0.1:9/x"}},
    {"class_name": "__lambda__", "config": {"value": ["4wAAAAA=", None, None]}},
    {"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}},
    {"class_name": "Sequential", "module": "keras", "config": {"name": "x", "layers": "y"}},
]  # fmt: skip


def test_hundreds_of_changed_configurations_run_nothing(sound: Path, audited: list[str], tmp_path: Path) -> None:
    rng, raised = random.Random(1), 0
    models.load_model(sound)  # what is imported when first used is imported now
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(300):
            path = with_config(sound, tmp_path / "m.keras", lambda config: mutated(config, rng))
            try:
                load_audited(path, safe_mode=rng.random() < 0.5)
            except (ValueError, NotImplementedError) as error:
                assert "m.keras" in str(error)
                raised += 1
    assert raised > 80 and not audited


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"module": "os", "class_name": "system", "config": {"command": "touch HERE"}}, "Could not locate class 'system'"),
        ({"module": "keras.utils", "class_name": "get_file", "config": {"origin": "http://x"}}, "locate class 'get_file'"),
        ({"module": "builtins", "class_name": "eval", "config": {"source": "1"}}, "Could not locate class 'eval'"),
        ({"module": "builtins", "class_name": "function", "config": "eval"}, "Could not locate function 'eval'"),
        ({"module": "keras.src.ops.numpy", "class_name": "load", "config": {"name": "x"}}, "Operation 'load'"),
        ({"module": "graphc.utils", "class_name": "get_file", "config": {}}, "neither is imported"),
        ({"module": "keras.layers", "class_name": "__init__", "config": {}}, "Could not locate class '__init__'"),
    ],
)  # fmt: skip
def test_names_are_looked_up_and_nothing_else(
    entry: dict[str, Any], message: str, sound: Path, tmp_path: Path, audited: list[str]
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] = {**entry, "registered_name": None}

    path = with_config(sound, tmp_path / "m.keras", change)
    with pytest.raises(ValueError, match=message):
        load_audited(path)
    assert not [event for event in audited if not event.startswith("import")]


CODE = base64.b64encode(b"c0").decode()
LAMBDA = {"class_name": "__lambda__", "config": {"value": [CODE, None, None]}}
LAMBDA_LAYER = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"name": "trap", "function": LAMBDA, "arguments": {}},
    "registered_name": None,
}


def in_a_layer(config: dict[str, Any]) -> None:
    config["config"]["layers"].insert(1, LAMBDA_LAYER)


def in_a_nested_model(config: dict[str, Any]) -> None:
    inner = {"module": "keras", "class_name": "Sequential", "config": {"name": "in", "layers": [LAMBDA_LAYER]}}
    config["config"]["layers"].insert(1, inner)


def in_a_wrapper(config: dict[str, Any]) -> None:
    wrapper = {
        "module": "keras.layers",
        "class_name": "TimeDistributed",
        "config": {"name": "w", "layer": LAMBDA_LAYER},
    }
    config["config"]["layers"].insert(1, wrapper)


def in_the_loss(config: dict[str, Any]) -> None:
    config["compile_config"]["loss"] = LAMBDA


def in_a_metric(config: dict[str, Any]) -> None:
    config["compile_config"]["metrics"] = [LAMBDA]


def in_an_activation(config: dict[str, Any]) -> None:
    config["config"]["layers"][1]["config"]["activation"] = LAMBDA


@pytest.mark.parametrize(
    ("place", "owner"),
    [(in_a_layer, "trap"), (in_a_nested_model, "trap"), (in_a_wrapper, "trap"), (in_the_loss, ""), (in_a_metric, ""), (in_an_activation, "hidden")],
)  # fmt: skip
@pytest.mark.parametrize("safe_mode", [True, False])
def test_stored_code_is_refused_wherever_it_is(
    place: Change, owner: str, safe_mode: bool, sound: Path, tmp_path: Path
) -> None:
    path = with_config(sound, tmp_path / "m.keras", place)
    with pytest.raises(ValueError, match=f"(?s){owner}.*holds a Python lambda.*custom_objects"):
        models.load_model(path, safe_mode=safe_mode)


def test_code_in_older_files_is_refused(tmp_path: Path) -> None:
    layer = {
        "class_name": "Lambda",
        "config": {"name": "trap", "function": [CODE, None, None], "function_type": "lambda"},
    }
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [layer]}}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.create_group("model_weights").attrs["layer_names"] = np.array([b"trap"])
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match=r"m.h5: .*'trap' holds a Python lambda"):
            models.load_model(tmp_path / "m.h5", safe_mode=safe_mode)


# ---- archives


def rewritten(sound: Path, path: Path, write: Callable[[zipfile.ZipFile, dict[str, bytes]], None]) -> Path:
    parts = members(sound)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in parts.items():
            archive.writestr(name, content)
        write(archive, parts)
    return path


def link(name: str, target: bytes) -> Callable[[zipfile.ZipFile, Any], None]:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return lambda archive, _: archive.writestr(info, target)


def bomb(archive: zipfile.ZipFile, _: Any) -> None:
    archive.writestr("assets/zeros", bytes(20 << 20), zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda archive, parts: archive.writestr("config.json", parts["config.json"]), "occurs twice"),
        (lambda archive, _: archive.writestr("/etc/x", "x"), "leads out of the archive"),
        (lambda archive, _: archive.writestr("assets/../../x", "x"), "leads out of the archive"),
        (lambda archive, _: archive.writestr("assets\\x", "x"), "leads out of the archive"),
        (link("assets/x", b"/etc/passwd"), "is a link"),
        (bomb, "claims 20,971,520 bytes in"),
        (lambda archive, _: [archive.writestr(f"assets/{i}", "") for i in range(10_001)], "10,004 members; at most"),
    ],
)  # fmt: skip
def test_archives_that_are_refused(write: Any, message: str, sound: Path, tmp_path: Path) -> None:
    path = rewritten(sound, tmp_path / "m.keras", write)
    with pytest.raises(ValueError, match=message):
        models.load_model(path)
    assert os.listdir(tmp_path) == ["m.keras"]


def test_encrypted_and_cut_archives(sound: Path, tmp_path: Path) -> None:
    content = bytearray(sound.read_bytes())
    place = content.index(b"PK\1\2") + 8
    content[place] |= 1
    for bad in (bytes(content), sound.read_bytes()[:-30], b"PK\5\6" + bytes(18)):
        (tmp_path / "m.keras").write_bytes(bad)
        with pytest.raises(ValueError, match="m.keras"):
            models.load_model(tmp_path / "m.keras")


# ---- HDF5


def attacked(sound: Path, path: Path, attack: Callable[[Any, Path], None]) -> Path:
    """The weights of the sound file, without checksums, after `attack(file, folder)`."""
    parts = members(sound)
    weights = parts["model.weights.h5"]
    (path.parent / "w.h5").write_bytes(weights[: weights.rindex(b'{"sha256"')])
    with h5py.File(path.parent / "w.h5", "r+") as file:
        attack(file, path.parent)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, "model.weights.h5": (path.parent / "w.h5").read_bytes()}.items():
            archive.writestr(name, content)
    return path


KERNEL = "layers/dense/vars/0"


def replace(file: Any, **options: Any) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, **options)


def soft_link(file: Any, _: Path) -> None:
    del file[KERNEL]
    file[KERNEL] = h5py.SoftLink("/layers/dense_1/vars/0")


def external_link(file: Any, folder: Path) -> None:
    del file["layers/dense"]
    file["layers/dense"] = h5py.ExternalLink(str(folder / "w.h5"), "/layers/dense_1")


def external_values(file: Any, folder: Path) -> None:
    replace(file, shape=(4, 3), dtype="f4", external=[("/etc/passwd", 0, 48)])


def virtual_values(file: Any, folder: Path) -> None:
    del file[KERNEL]
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "w.h5"), "x", shape=(4, 3))
    file.create_virtual_dataset(KERNEL, layout)


def huge(file: Any, _: Path) -> None:
    replace(file, shape=(1 << 40, 1 << 10), dtype="f4", chunks=(1 << 10, 1 << 10), compression="gzip")


def huge_fill(file: Any, _: Path) -> None:
    replace(file, shape=(4, 1 << 40), dtype="f4", chunks=(4, 1 << 10), fillvalue=1.0)


def empty_fill(file: Any, _: Path) -> None:
    replace(file, shape=(4, 3), dtype="f4", fillvalue=7.0)


def large_chunk(file: Any, _: Path) -> None:
    replace(file, shape=(4, 3), maxshape=(None, None), dtype="f4", chunks=(1 << 12, 1 << 12), compression="gzip")


def inflated_chunk(file: Any, _: Path) -> None:
    import zlib

    replace(file, shape=(4, 3), dtype="f4", chunks=(4, 3), compression="gzip")
    file[KERNEL].id.write_direct_chunk((0, 0), zlib.compress(bytes(30 << 20)))


def text_values(file: Any, _: Path) -> None:
    replace(file, data=np.array([[b"abcd"] * 3] * 4))


def references(file: Any, _: Path) -> None:
    replace(file, shape=(4, 3), dtype=h5py.ref_dtype)


def other_filter(file: Any, _: Path) -> None:
    replace(file, data=np.zeros((4, 3), "f4"), chunks=(4, 3), scaleoffset=4)


def whole_numbers(file: Any, _: Path) -> None:
    replace(file, data=np.zeros((4, 3), "i4"))


def a_group(file: Any, _: Path) -> None:
    del file[KERNEL]
    file.create_group(KERNEL)


def missing(file: Any, _: Path) -> None:
    del file["layers/dense"]


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (soft_link, "is a SoftLink; links are not followed"),
        (external_link, "is a ExternalLink; links are not followed"),
        (external_values, "keeps its values in other files"),
        (virtual_values, "keeps its values in other files"),
        (huge, r"has shape \(1099511627776, 1024\), the model's variable \(4, 3\)"),
        (huge_fill, "has shape"),
        (empty_fill, "claims 48 bytes, of which the file holds 0"),
        (large_chunk, "is stored in pieces of 67,108,864 bytes"),
        (inflated_chunk, "a compressed piece is larger than 48 bytes"),
        (text_values, "weights are numbers"),
        (references, "weights are numbers"),
        (other_filter, "stored through filters"),
        (whole_numbers, "is integer where the model has floating point values"),
        (a_group, "should be an array and is Group"),
        (missing, "expected 2 variables, but received 0 variables"),
    ],
)
def test_weights_that_are_refused(attack: Any, message: str, sound: Path, tmp_path: Path) -> None:
    path = attacked(sound, tmp_path / "m.keras", attack)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=message):
        models.load_model(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


def test_compressed_weights_are_read(sound: Path, tmp_path: Path) -> None:
    values = np.arange(12, dtype="float32").reshape(4, 3)

    def compress(file: Any, _: Path) -> None:
        replace(file, data=values, chunks=(2, 3), compression="gzip", shuffle=True, fletcher32=True)

    loaded = models.load_model(attacked(sound, tmp_path / "m.keras", compress))
    np.testing.assert_array_equal(loaded.layers[0].kernel, values)


def test_random_bytes_are_no_weights(sound: Path, tmp_path: Path) -> None:
    made = models.load_model(sound)
    rng = np.random.default_rng(2)
    for size in (0, 1, 8, 100, 5000):
        for start in (b"", b"\x89HDF\r\n\x1a\n"):
            (tmp_path / "w.weights.h5").write_bytes(start + rng.bytes(size))
            with pytest.raises(ValueError, match="w.weights.h5"):
                made.load_weights(tmp_path / "w.weights.h5")


# ---- configurations that ask for memory or time


def wide(config: dict[str, Any]) -> None:
    config["config"]["layers"][1]["config"]["units"] = 200_000_000


def endless(config: dict[str, Any]) -> None:
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**18]


def negative(config: dict[str, Any]) -> None:
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, -4]


def table(config: dict[str, Any]) -> None:
    large = {"name": "e", "input_dim": 10**9, "output_dim": 10**3}
    config["config"]["layers"] = [{"module": "keras.layers", "class_name": "Embedding", "config": large}]
    config["config"]["build_input_shape"] = [None, 4]


def nested_lists(config: dict[str, Any]) -> Any:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    config["config"]["layers"] = deep
    return config


@pytest.mark.parametrize("change", [wide, endless, negative, table, nested_lists])
def test_configurations_that_ask_for_too_much(change: Change, sound: Path, tmp_path: Path) -> None:
    path = with_config(sound, tmp_path / "m.keras", change)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ValueError, match="m.keras"):
        models.load_model(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b" " * (9 << 20), b'{"a": ' * 5000, b"\xff\xfe", b"null", b"[]", b"1" * 5000]
)
def test_texts_that_are_no_configuration(content: bytes, sound: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, part in {**members(sound), "config.json": content}.items():
            archive.writestr(name, part)
    with pytest.raises(ValueError, match="m.keras: .*config.json"):
        models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("name", ["a/b", "..", '"', "\n", "a\0b", "%s", "x" * 1_000_000])
def test_names_in_files_are_only_names(name: str, sound: Path, tmp_path: Path) -> None:
    def rename(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["name"] = name

    path = with_config(sound, tmp_path / "m.keras", rename)
    if "/" in name:
        with pytest.raises(ValueError, match="cannot contain character"):
            models.load_model(path)
        return
    loaded = models.load_model(path)
    np.testing.assert_array_equal(
        loaded.predict(np.ones((2, 4)), verbose=0), models.load_model(sound).predict(np.ones((2, 4)), verbose=0)
    )
    assert sorted(os.listdir(tmp_path)) == ["m.keras"]


def test_numpy_archives_hold_numbers_only(sound: Path, tmp_path: Path) -> None:
    made = models.load_model(sound)
    bad = {"object": np.array([[None] * 3] * 4), "text": np.array([["a"] * 3] * 4), "shape": np.zeros((4, 2), "f4")}
    for array in bad.values():
        buffer = io.BytesIO()
        np.savez(buffer, **{"layers/dense/vars/0": array, "layers/dense/vars/1": np.zeros(3, "f4")}, allow_pickle=True)
        parts = {name: part for name, part in members(sound).items() if name != "model.weights.h5"}
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
            for name, part in {**parts, "model.weights.npz": buffer.getvalue()}.items():
                archive.writestr(name, part)
        with pytest.raises(ValueError, match="m.keras"):
            made.load_weights(tmp_path / "m.keras")
