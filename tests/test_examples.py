"""The examples run from beginning to end and reach sensible numbers; in full, what their docstrings say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dumps import check_runs, check_texts, folders_of

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
SECONDS = 300
DATA = Path(os.environ.get("GRAPHC_DATA", ""))
MNIST, CIFAR = (DATA / f"{name}.npz" for name in ("mnist", "cifar10"))
NUMBER = r"(-?\d+(?:\.\d+)?)"

# Example: the epochs of the short form, a line of the output, and the bounds of its number in the short form, which
# knows no MNIST and learns scikit-learn's small digits, and in full.
CASES: dict[str, tuple[int, str, tuple[float, float], tuple[float, float]]] = {
    "mnist_mlp": (8, "test accuracy:", (0.8, 1), (0.975, 1)),
    "mnist_cnn": (8, "test accuracy:", (0.8, 1), (0.985, 1)),
    "cifar_cnn": (3, "test accuracy:", (0.4, 1), (0.6, 1)),
    "functional_multi_io": (1, "larger one right:", (0.7, 1), (0.95, 1)),
    "residual_net": (3, "test accuracy:", (0.8, 1), (0.97, 1)),
    "autoencoder": (8, "squared error of the cleaned digits:", (0, 0.06), (0, 0.02)),
    "variational_autoencoder": (5, "nats per test digit:", (100, 300), (90, 115)),
    "transfer_learning": (2, "with what was learnt before:", (0.6, 1), (0.9, 1)),
    "regression_callbacks": (30, "off by, with the model:", (35, 55), (35, 50)),
    "custom_layer_and_loss": (30, "between the bounds:", (50, 100), (65, 90)),
    "mnist_rows_lstm": (6, "test accuracy:", (0.6, 1), (0.94, 1)),
    "time_series": (1, "off by, with the model:", (0, 0.35), (0, 0.08)),
    "addition_seq2seq": (5, "new sums right:", (0.03, 1), (0.8, 1)),
}
# Examples that learn texts, and do not without: the file, a line of the output, and the bounds of its number in full.
OF_TEXTS: dict[str, tuple[str, str, tuple[float, float]]] = {
    "imdb_lstm": ("imdb.npz", "test accuracy:", (0.77, 1)),
    "imdb_conv1d": ("imdb.npz", "test accuracy:", (0.77, 1)),
    "reuters_topics": ("reuters.npz", "test accuracy:", (0.74, 1)),
    "transformer_classifier": ("imdb.npz", "test accuracy:", (0.76, 1)),
    "gpt_shakespeare": ("tinyshakespeare.txt", "nats a letter of other plays:", (1.5, 2.4)),
}
HELPERS = {"digits", "patients", "texts"}
DUMPED = {"mnist_cnn", "mnist_rows_lstm", "custom_layer_and_loss"}
"""Examples whose dumps are read in the short form too; in full those of all are, and run."""


def run_example(name: str, *arguments: str, home: Path | None, dumps: Path | None = None) -> str:
    """The output of an example; home: a place without data sets to run in, where no download gets through. dumps: where
    it leaves its graphs."""
    done = process_of(name, *arguments, home=home, dumps=dumps)
    assert done.returncode == 0, done.stderr
    return done.stdout


def process_of(
    name: str, *arguments: str, home: Path | None, dumps: Path | None = None
) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    if home is not None:
        variables = {k: v for k, v in variables.items() if not k.startswith(("GRAPHC_", "KERAS_"))}
        offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        variables |= {"HOME": str(home), "no_proxy": "", "NO_PROXY": "", **offline}
    if dumps is not None:
        variables["GRAPHC_DUMP"] = str(dumps)
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments], cwd=home, env=variables, text=True,
        capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip


def check_dumps(place: Path) -> None:
    found = folders_of(place)
    assert found
    for folder in found:
        check_texts(folder)
        check_runs(folder)


def number_after(line: str, output: str) -> float:
    match = re.search(rf"^{re.escape(line)} {NUMBER}", output, re.MULTILINE)
    assert match is not None, output[-500:]
    return float(match[1])


@pytest.mark.parametrize("name", list(CASES))
def test_short_form(name: str, tmp_path: Path) -> None:
    epochs, line, (low, high), _ = CASES[name]
    dumps = tmp_path / "dumps" if name in DUMPED else None
    output = run_example(name, "--epochs", str(epochs), home=tmp_path, dumps=dumps)
    assert low <= number_after(line, output) <= high
    uses_digits = "import digits" in (EXAMPLES / f"{name}.py").read_text("utf-8")
    assert not uses_digits or "scikit-learn" in output, "it must say that it learns other data"
    if dumps is not None:
        check_texts(folders_of(dumps)[0])


@pytest.mark.long
@pytest.mark.skipif(not (MNIST.is_file() and CIFAR.is_file()), reason="needs mnist.npz and cifar10.npz in GRAPHC_DATA")
@pytest.mark.parametrize("name", list(CASES))
def test_in_full(name: str, tmp_path: Path) -> None:
    _, line, _, (low, high) = CASES[name]
    assert low <= number_after(line, run_example(name, home=None, dumps=tmp_path)) <= high
    check_dumps(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", list(OF_TEXTS))
def test_of_texts_in_full(name: str, tmp_path: Path) -> None:
    file, line, (low, high) = OF_TEXTS[name]
    if not (DATA / file).is_file():
        pytest.skip(f"needs {file} in GRAPHC_DATA")
    assert low <= number_after(line, run_example(name, home=None, dumps=tmp_path)) <= high
    check_dumps(tmp_path)


@pytest.mark.parametrize("name", ["imdb_lstm", "reuters_topics", "gpt_shakespeare"])
def test_missing_texts_are_named(name: str, tmp_path: Path) -> None:
    done = process_of(name, home=tmp_path)
    assert done.returncode == 1 and "is not to be had here: " in done.stderr and "GRAPHC_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cnn_names_its_fused_kernels(tmp_path: Path) -> None:
    output = run_example("mnist_cnn", "--epochs", "1", home=tmp_path)
    assert re.search(r"^  \S+: .*\bconv \+ add\b", output, re.MULTILINE)


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*CASES, *OF_TEXTS, *HELPERS}
