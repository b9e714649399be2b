"""The face computes what Keras 3.15 on JAX computes: `data/keras_reference.json` holds Keras's own results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import keras_reference
import numpy as np
import pytest

import graphc

REFERENCE: dict[str, Any] = json.loads(keras_reference.PATH.read_text())

# Ten steps of training multiply rounding differences; single layers hardly do.
TOLERANCE = {"optimizers": 2e-4, "convolutional_network": 5e-4, "fit": 2e-4, "several_outputs": 2e-4}


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    else:
        yield path, value


def is_text(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], str)


@pytest.mark.parametrize("name", list(keras_reference.PROGRAMS))
def test_program_gives_what_keras_gives(name: str) -> None:
    found = dict(leaves(keras_reference.run(name, graphc), name))
    for path, wanted in leaves(REFERENCE[name], name):
        if is_text(wanted):
            assert found[path] == wanted, path
            continue
        tolerance = TOLERANCE.get(name, 2e-5)
        for got, expected in zip(*map(_arrays, (found[path], wanted)), strict=True):
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, err_msg=path)


def _arrays(value: Any) -> list[Any]:
    """One array, or those of a ragged list."""
    try:
        return [np.asarray(value, "float64")]
    except ValueError:
        return [np.asarray(item, "float64") for item in value]


@pytest.mark.parametrize("name", ["layers"])
def test_dropout_masks_are_equal_bit_by_bit(name: str) -> None:
    found = keras_reference.run(name, graphc)
    for key, wanted in REFERENCE[name].items():
        if "Dropout" in key:
            np.testing.assert_array_equal(np.asarray(found[key]) == 0, np.asarray(wanted) == 0, err_msg=key)
