"""The examples run from beginning to end and reach sensible numbers; in full, what their docstrings say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
SECONDS = 300
MNIST, CIFAR = (Path(os.environ.get("GRAPHC_DATA", "")) / f"{name}.npz" for name in ("mnist", "cifar10"))
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
}
HELPERS = {"digits", "patients"}


def run_example(name: str, *arguments: str, home: Path | None) -> str:
    """The output of an example; home: a place without data sets to run in, where no download gets through."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    if home is not None:
        variables = {k: v for k, v in variables.items() if not k.startswith(("GRAPHC_", "KERAS_"))}
        offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        variables |= {"HOME": str(home), "no_proxy": "", "NO_PROXY": "", **offline}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments], cwd=home, env=variables, text=True,
        capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def number_after(line: str, output: str) -> float:
    match = re.search(rf"^{re.escape(line)} {NUMBER}", output, re.MULTILINE)
    assert match is not None, output[-500:]
    return float(match[1])


@pytest.mark.parametrize("name", list(CASES))
def test_short_form(name: str, tmp_path: Path) -> None:
    epochs, line, (low, high), _ = CASES[name]
    output = run_example(name, "--epochs", str(epochs), home=tmp_path)
    assert low <= number_after(line, output) <= high
    uses_digits = "import digits" in (EXAMPLES / f"{name}.py").read_text("utf-8")
    assert not uses_digits or "scikit-learn" in output, "it must say that it learns other data"


@pytest.mark.long
@pytest.mark.skipif(not (MNIST.is_file() and CIFAR.is_file()), reason="needs mnist.npz and cifar10.npz in GRAPHC_DATA")
@pytest.mark.parametrize("name", list(CASES))
def test_in_full(name: str) -> None:
    _, line, _, (low, high) = CASES[name]
    assert low <= number_after(line, run_example(name, home=None)) <= high


def test_the_cnn_names_its_fused_kernels(tmp_path: Path) -> None:
    output = run_example("mnist_cnn", "--epochs", "1", home=tmp_path)
    assert re.search(r"^  \S+: .*\bconv \+ add\b", output, re.MULTILINE)


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*CASES, *HELPERS}
