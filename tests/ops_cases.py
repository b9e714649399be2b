"""Cases of `keras.ops`: calls that run under Keras (`ops_reference.py`) and under graphc (`test_ops_face.py`).

A case is a name and arguments; arrays are small, their dimensions distinct.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One call: `key` is its name and number, `tolerance` relative and absolute."""

    key: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 2e-6


CASES: list[Case] = []
GENERATOR = np.random.default_rng(20)


def case(name: str, *args: Any, tolerance: float = 2e-6, **kwargs: Any) -> None:
    number = sum(known.name == name for known in CASES)
    CASES.append(Case(f"{name}#{number}", name, args, kwargs, tolerance))


def floats(*dims: int, low: float = -2.0, high: float = 3.0) -> Array:
    return np.asarray(GENERATOR.uniform(low, high, dims).astype("float32"))


def whole(*dims: int, low: int = 0, high: int = 9, dtype: str = "int32") -> Array:
    return np.asarray(GENERATOR.integers(low, high, dims).astype(dtype))


def of(dtype: str, *dims: int) -> Array:
    """Numbers of a dtype, bools included."""
    if dtype.startswith("float"):
        return floats(*dims)
    return whole(*dims, low=0 if dtype[0] in "ub" else -4, high=2 if dtype == "bool" else 6, dtype=dtype)


DTYPES = ("float32", "int32", "bool", "uint8", "int8")
SPECIAL = np.array([0.0, -0.0, 1.5, -1.5, np.nan, np.inf, -np.inf, 1e-30], "float32")


def all_of(name: str, dtypes: tuple[str, ...] = DTYPES, **kwargs: Any) -> None:
    """A function of one operand for several dtypes."""
    for dtype in dtypes:
        case(name, of(dtype, 3, 5), **kwargs)


def pairs_of(name: str, dtypes: tuple[str, ...] = DTYPES, **kwargs: Any) -> None:
    """A function of two operands that broadcast, for several pairs of dtypes, and with Python's numbers."""
    for first, second in itertools.combinations_with_replacement(dtypes, 2):
        case(name, of(first, 3, 5), of(second, 5), **kwargs)
    for number in (2, 0.5):
        case(name, of(dtypes[0], 3, 5), number, **kwargs)
