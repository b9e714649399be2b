"""The law of comparison: graphc must be about as near to the float64 result as Keras's own float32 is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_cases.draw import Array

TIMES = 8  # Keras's own error
ULPS = 32  # of the largest number in the array; an order of addition is worth several
VAGUE = 0.01  # of the largest number: if Keras's own runs differ by more, the comparison would say nothing

FORGOTTEN = {"gain", "axis", "delta", "from_sorted_ids", "seed"}
"""Options that Keras leaves out of some configurations, so that a copy there has the default; graphc keeps them."""


def differences(got: Mapping[str, Array], keras: Mapping[str, Array], truth: Mapping[str, Array]) -> Iterator[str]:
    """What differs in one case, a line each. keras: its float32 run; truth: its float64 run, as far as there is one."""
    if list(got) != list(keras):
        yield f"results {list(got)}, Keras has {list(keras)}"
    for key in [key for key in got if key in keras]:
        ours, theirs = got[key], keras[key]
        if key.startswith("config"):
            yield from (f"{key}{line}" for line in _config_differences(json.loads(str(ours)), json.loads(str(theirs))))
        elif ours.dtype.kind != "f" or theirs.dtype.kind != "f":
            if not np.array_equal(ours, theirs):
                yield f"{key}: {_short(ours)}, Keras has {_short(theirs)}"
        elif ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            yield f"{key}: {ours.dtype}{ours.shape}, Keras has {theirs.dtype}{theirs.shape}"
        elif message := _wrong_numbers(key, ours, theirs, truth.get(key, theirs)):
            yield message


def _config_differences(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Numbers that went through float32 somewhere count as equal."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted((ours.keys() | theirs.keys()) - (FORGOTTEN - theirs.keys())):
            yield from _config_differences(ours.get(key, "(none)"), theirs.get(key, "(none)"), f"{place}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _config_differences(one, other, f"{place}/{i}")
    elif isinstance(ours, float) and isinstance(theirs, float):
        if not math.isclose(ours, theirs, rel_tol=1e-6):
            yield f"{place}: {ours}, Keras has {theirs}"
    elif ours != theirs or type(ours) is not type(theirs):
        yield f"{place}: {ours!r}, Keras has {theirs!r}"


def _wrong_numbers(key: str, ours: Array, theirs: Array, truth: Array) -> str | None:
    """Error in the largest element against what is allowed."""
    if not ours.size:
        return None
    exact = np.asarray(truth, "float64")
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return f"{key}: infinities or NaN differ: {_short(ours)}, Keras has {_short(theirs)}"
    if not np.isfinite(ours[finite]).all():
        return f"{key}: not finite where Keras is: {_short(ours)}, Keras has {_short(theirs)}"
    if not finite.any():
        return None
    off, own = (np.abs(found.astype("float64") - exact)[finite].max() for found in (ours, theirs))
    largest = np.abs(exact[finite]).max()
    if own > VAGUE * largest + 1e-5:
        return f"{key}: Keras's float32 run is off its float64 run by {own:.2g}, which says nothing: mark the case is_random"
    ulp = np.finfo(ours.dtype).eps * max(largest, np.finfo("float32").tiny)
    if off <= TIMES * own + ULPS * ulp:
        return None
    return (
        f"{key}: off by {off:.2g}, Keras by {own:.2g}; an ulp is {ulp:.2g}: {_short(ours)}, Keras has {_short(theirs)}"
    )


def _short(value: Array) -> str:
    text = " ".join(str(value).split())
    return text if len(text) < 400 else f"{text[:400]}..."
