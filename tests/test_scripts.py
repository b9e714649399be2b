"""Ordinary Keras scripts run unchanged: `tests/scripts/*.py` say `import keras` and get graphc.

They read slices of the real data sets where `$GRAPHC_DATA` has them, else made-up pictures of the same layout.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh import run_fresh

from graphc import datasets

FOLDER = Path(__file__).parent / "scripts"
TRAIN, TEST = 800, 200
NUMBER = r"(\d+(?:\.\d+)?(?:e-\d+)?)"
PAIR = rf"\[{NUMBER}, {NUMBER}\]"
Arrays = dict[str, Any]

# Script: what its output holds in this order, and what the last number there is at least. Guessing gives 0.1 for ten
# classes, 0.5 for two and 0.33 for three.
CASES: dict[str, tuple[list[str], float]] = {
    "mnist_onehot": (
        [
            'Model: "digits"',
            r"dense \(Dense\) +│ \(None, 48\)",
            "Epoch 6/6",
            rf"20/20 ━+ .*accuracy: {NUMBER} - loss: {NUMBER} - val_accuracy: {NUMBER} - val_loss: {NUMBER}\n",
            "logs: accuracy, loss, val_accuracy, val_loss\n",
            rf"test loss: {NUMBER}\ntest accuracy: {NUMBER}\n$",
        ],
        0.7,
    ),
    "mnist_sparse": (
        [
            rf"Epoch 6/6\n32/32 - \d+s - \w+/step - accuracy: {NUMBER} - loss: {NUMBER}\n",
            r"probabilities: \(200, 10\) float32 True\n",
            rf"7/7 ━+ .*accuracy: {NUMBER} - loss: {NUMBER}",
            rf"accuracy: {NUMBER} %\nshare of right guesses: {NUMBER}\n$",
        ],
        0.7,
    ),
    "mnist_dense": ([rf"25/25 ━+ .*accuracy: {NUMBER} - loss: {NUMBER}", rf"{PAIR}\n$"], 0.7),
    "cifar_convolution": (["Epoch 4/4", rf"first and last loss: {NUMBER} {NUMBER}\n", rf"{PAIR}\n$"], 0.15),
    "dense_binary": ([r"^\(3, 1\)\n", rf"4/4 ━+ .*accuracy: {NUMBER} - loss: {NUMBER}", rf"{PAIR}\n$"], 0.9),
    "cifar_resized": (
        [rf"Epoch 2/2\n7/7 - .* val_loss: {NUMBER}", r"resized to \(None, 40, 44, 3\)\n", rf"{PAIR}\n$"],
        0.02,
    ),
    "functional_lstm": ([r"(?s)Epoch 3/3.*Epoch 3/3", "loaded: True\n", rf"{PAIR}\n$"], 0.3),
    "reuters_lstm": (["Epoch 6/6", r"topics: \d+ losses fall: True\n", rf"{PAIR}\n$"], 0.2),
    "image_classifier": ([r"Total params: 2,507 \(9.79 KB\)", rf"{PAIR}\n$"], 0.9),
}


def pictures(classes: int, *shape: int) -> Arrays:
    """Bytes in the layout of Keras's files: every class has a pattern of its own under noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 128, (classes, *shape))
    found: Arrays = {}
    for part, rows in (("train", TRAIN), ("test", TEST)):
        labels = rng.integers(0, classes, rows)
        found[f"x_{part}"] = (patterns[labels] + rng.integers(0, 128, (rows, *shape))).astype("uint8")
        found[f"y_{part}"] = labels.astype("uint8")
    return found


def slices(module: Any) -> Arrays:
    """The first rows of a real data set."""
    (x_train, y_train), (x_test, y_test) = module.load_data()
    return dict(x_train=x_train[:TRAIN], y_train=y_train[:TRAIN], x_test=x_test[:TEST], y_test=y_test[:TEST])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with mnist.npz and cifar10.npz. Nothing is fetched for it."""
    folder = tmp_path_factory.mktemp("data")
    given = os.environ.get("GRAPHC_DATA")
    for name, shape in (("mnist", (28, 28)), ("cifar10", (32, 32, 3))):
        has_real = given is not None and (Path(given) / f"{name}.npz").is_file()
        arrays = slices(getattr(datasets, name)) if has_real else pictures(10, *shape)
        if name == "cifar10":
            arrays |= {key: array.reshape(-1, 1) for key, array in arrays.items() if key.startswith("y")}
        np.savez(folder / f"{name}.npz", **arrays)
    np.savez(folder / "reuters.npz", **texts())
    return folder


def texts() -> Arrays:
    """Made-up texts as arrays of tokens; every topic has words of its own among others."""
    rng = np.random.default_rng(1)
    found: Arrays = {}
    for part, rows in (("train", TRAIN), ("test", TEST)):
        topics = rng.integers(0, 5, rows)
        own = 500 + 10 * topics[:, None] + rng.integers(0, 10, (rows, 10))
        words = rng.permuted(np.concatenate([rng.integers(4, 500, (rows, 20)), own], axis=1), axis=1)
        found[f"tokens_{part}"] = np.insert(words, 0, 1, axis=1).ravel()
        found[f"offsets_{part}"] = np.arange(rows + 1) * 31
        found[f"y_{part}"] = topics
    return found


def run_script(path: Path, **variables: str) -> str:
    """What a script prints under `python -m graphc keras`, with the same random numbers every time."""
    seeded = "import graphc; graphc.utils.set_random_seed(2)"
    return run_fresh(
        f"{seeded}; from graphc.__main__ import main; raise SystemExit(main())", "keras", str(path), **variables
    )


def shown(text: str) -> str:
    """A script's output without the styles and the backspaces of the progress line."""
    return re.sub(r"\x1b\[\d*m|\x08|\r", "", text)


@pytest.mark.parametrize("name", list(CASES))
def test_script_ends_well(name: str, data: Path) -> None:
    text = shown(run_script(FOLDER / f"{name}.py", GRAPHC_DATA=str(data)))
    patterns, least = CASES[name]
    position, last = 0, ""
    for pattern in patterns:
        found = re.compile(pattern).search(text, position)
        assert found, f"{pattern!r} does not follow in\n{text[position:]}"
        position, last = found.end(), (found.groups() or [""])[-1]
    assert float(last) >= least


def test_every_script_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(CASES)


def test_both_names_are_one_module() -> None:
    run_fresh("""
        from graphc import script
        script.install()
        import keras, keras.layers, graphc
        from keras.datasets import mnist
        from keras.optimizers.schedules import ExponentialDecay
        assert keras is graphc and keras.layers is graphc.layers and mnist is graphc.datasets.mnist
        assert keras.layers.__spec__.name == "graphc.layers"
    """)


def test_a_module_graphc_lacks_is_missing_under_the_name_of_keras() -> None:
    run_fresh("""
        from graphc import script
        script.install()
        try:
            import keras.no_such_module
        except ModuleNotFoundError as error:
            assert str(error) == "No module named 'keras.no_such_module'" and error.name == "keras.no_such_module"
        else:
            raise AssertionError("imported")
    """)
