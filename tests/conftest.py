"""Options, environment and seeds of the whole suite."""

from __future__ import annotations

import os
import random

# before graphc reads it: every pass of every test is verified and interpreted
os.environ.setdefault("GRAPHC_VERIFY", "2")

import numpy as np
import pytest

SEED = 20240229


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files from what the code gives now")
    parser.addoption("--fuzz", type=int, help="number of random graphs (default: a short run)")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts the same in every test."""
    return np.random.default_rng(SEED)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(SEED)
    np.random.seed(SEED)
