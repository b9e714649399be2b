"""Every user-facing error of the face, by its exact text; `errors/` holds the programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from errors import layers, training

import graphc as k

CASES = {**layers.CASES, **training.CASES}


@pytest.mark.parametrize("name", list(CASES))
def test_error_text(name: str) -> None:
    function, kind, text = CASES[name]
    with pytest.raises(kind) as caught:
        function()
    assert type(caught.value) is kind
    assert str(caught.value) == text


BAD_DATA: dict[str, Callable[[Any], Any]] = {
    "width": lambda m: m.predict(np.zeros((2, 5)), verbose=0),
    "label": lambda m: m.fit(training.X, training.labels_with(7, 9), batch_size=4, verbose=0),
    "lengths": lambda m: m.fit(training.X, training.LABELS[:9], verbose=0),
    "label in one batch": lambda m: m.train_on_batch(training.X, training.labels_with(3, 0)),
}


@pytest.mark.parametrize("name", list(BAD_DATA))
def test_model_is_unchanged_and_usable_after_bad_data(name: str) -> None:
    model = training.net("sparse_categorical_crossentropy", optimizer="adam")
    model.fit(training.X + 1, training.LABELS, verbose=0)
    before = model.get_weights()
    iterations = int(model.optimizer.iterations)
    with pytest.raises(ValueError):
        BAD_DATA[name](model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(model.optimizer.iterations) == iterations
    model.fit(training.X + 1, training.LABELS, verbose=0)
    assert int(model.optimizer.iterations) == iterations + 1
    assert k.ops.convert_to_numpy(model.predict(training.X, verbose=0)).shape == (10, 3)


def test_a_layer_too_large_for_any_machine_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        k.Sequential([k.Input((10**9,)), k.layers.Dense(10**9)])
    assert k.layers.Dense(2)(np.ones((1, 3), "float32")).shape == (1, 2)
