"""Options, environment and seeds of the whole suite."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Iterator

# before graphc reads it: every pass of every test is verified and interpreted
os.environ.setdefault("GRAPHC_VERIFY", "2")

import numpy as np
import pytest

from graphc import config

SEED = 20240229


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files from what the code gives now")
    parser.addoption("--fuzz", type=int, help="number of random graphs (default: a short run)")
    parser.addoption(
        "--keras-cases", type=int, default=1, help="random configurations of each class to compare with Keras"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was compared with Keras, over all workers."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    properties = [pair for report in reports if report.when == "call" for pair in report.user_properties]
    cases, numbers = (
        sum(value for name, value in properties if name == f"keras {kind}") for kind in ("cases", "numbers")
    )
    if cases:
        terminalreporter.write_line(f"compared with Keras: {cases} random configurations, {numbers} results")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts the same in every test."""
    return np.random.default_rng(SEED)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """What a test sets for the whole process (floatx, dtype policy, ...) is taken back after it."""
    saved = dataclasses.replace(config._settings)
    yield
    config._settings = saved


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(SEED)
    np.random.seed(SEED)
