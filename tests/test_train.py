"""Training step by step: the native step and numpy's interpretation of the same graph, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras_programs
import numpy as np
import pytest

import graphc

STEPS = 50
CASES = {
    "mlp": (keras_programs.mlp, keras_programs.ROWS, keras_programs.ROW_LABELS),
    "cnn": (keras_programs.cnn, keras_programs.IMAGES, keras_programs.IMAGE_LABELS),
}


@pytest.fixture
def float64() -> Iterator[None]:
    graphc.config.set_floatx("float64")
    yield
    graphc.config.set_floatx("float32")


def momentum(make: Callable[..., Any], **options: Any) -> Any:
    return make(graphc, graphc.optimizers.SGD(0.05, momentum=0.9), **options)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", list(CASES))
def test_every_native_step_equals_the_interpreter(name: str) -> None:
    """Loss and all weights to 1e-10 after each of 50 steps of SGD with momentum, the two runs apart all the while."""
    make, x, y = CASES[name]
    native, interpreted = momentum(make), momentum(make, run_eagerly=True)
    for number, batch in enumerate(keras_programs.batches(x.astype("float64"), y, STEPS)):
        losses = [keras_programs.step(model, *batch) for model in (native, interpreted)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-10, abs=0), f"loss of step {number}"
        for weight, other in zip(native.weights, interpreted.weights, strict=True):
            assert weight.dtype == "float64"
            message = f"{weight.path} after step {number}"
            np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=0, atol=1e-10, err_msg=message)
    assert native.executable("train", len(batch[0]), like=batch).kernels
