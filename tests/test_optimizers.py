"""Optimizers as objects: steps on arrays, state, signatures, what users write themselves.

What their rules compute is compared with Keras's own results in `test_keras_reference.py`.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import graphc as k

START, GRADIENT = np.array([1.0, -2.0, 3.0], "float32"), np.array([0.5, 1.0, -4.0], "float32")
CLASSES = [
    name for name in k.optimizers.__all__ if name[0].isupper() and name not in ("Optimizer", "LossScaleOptimizer")
]


class Momentum(k.optimizers.Optimizer):
    """As users write one for Keras."""

    def __init__(self, learning_rate: float = 0.1, share: float = 0.5, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.share = share

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        self.momentums = [self.add_variable_from_reference(reference_variable=v, name="m") for v in var_list]
        self.calls = k.Variable(0.0, trainable=False)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign(momentum, momentum * self.share + gradient)
        self.assign_add(self.calls, 1.0)
        self.assign_sub(variable, learning_rate * momentum)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "share": self.share}


def test_own_optimizer_on_arrays() -> None:
    optimizer, variable = Momentum(share=0.25), k.Variable(START)
    for _ in range(2):
        optimizer.apply([GRADIENT], [variable])
    np.testing.assert_allclose(variable.numpy(), START - 0.1 * GRADIENT - 0.1 * 1.25 * GRADIENT, rtol=1e-6)
    assert [v.shape for v in optimizer.variables] == [(), (), (3,), ()]
    assert float(optimizer.calls) == 2
    assert Momentum.from_config(optimizer.get_config()).share == 0.25


@pytest.mark.parametrize("name", CLASSES)
def test_config_makes_an_equal_optimizer(name: str) -> None:
    cls = getattr(k.optimizers, name)
    optimizer = cls(learning_rate=0.03, weight_decay=0.02, clipnorm=0.7, use_ema=True, ema_momentum=0.6)
    copy = k.optimizers.deserialize(k.optimizers.serialize(optimizer))
    assert copy.get_config() == optimizer.get_config()
    results = []
    for one in (optimizer, copy):
        variable = k.Variable(START)
        one.apply_gradients([(GRADIENT, variable)])
        results.append(variable.numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != START).all()


@pytest.mark.parametrize("name", CLASSES)
def test_signatures_name_every_option(name: str) -> None:
    parameters = inspect.signature(getattr(k.optimizers, name)).parameters
    assert {"learning_rate", "weight_decay", "clipnorm", "gradient_accumulation_steps", "name"} <= set(parameters)


def test_overflow_changes_no_weight_and_halves_the_scale() -> None:
    optimizer = k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=2)
    variable, seen = k.Variable(START), []
    for gradient in (GRADIENT * 8, GRADIENT * 8, GRADIENT * np.inf, GRADIENT * 8):
        optimizer.apply([gradient], [variable])
        seen.append((float(optimizer.dynamic_scale), int(optimizer.iterations)))
    assert seen == [(8.0, 1), (16.0, 2), (8.0, 2), (8.0, 3)]
    np.testing.assert_allclose(variable.numpy(), START - 0.5 * (1 + 1 + 1) * GRADIENT, rtol=1e-6)


def test_loss_scale_factor_divides_gradients() -> None:
    optimizer, variable = k.optimizers.SGD(0.5, loss_scale_factor=4.0), k.Variable(START)
    optimizer.apply([GRADIENT], [variable])
    np.testing.assert_allclose(variable.numpy(), START - 0.125 * GRADIENT, rtol=1e-6)
    assert float(optimizer.scale_loss(np.float32(3.0))) == 12.0


def test_missing_gradients() -> None:
    optimizer, first, second = k.optimizers.SGD(1.0), k.Variable(START), k.Variable(START)
    optimizer.build([first, second])
    with pytest.warns(UserWarning, match="Gradients do not exist for variables"):
        optimizer.apply([None, GRADIENT])
    np.testing.assert_array_equal(first.numpy(), START)
    np.testing.assert_array_equal(second.numpy(), START - GRADIENT)
    with pytest.raises(ValueError, match="No gradients provided for any variable."):
        optimizer.apply([None, None])


def test_gradients_without_variables_need_a_built_optimizer() -> None:
    with pytest.raises(ValueError, match="must already be built on a list of variables"):
        k.optimizers.Adam().apply([GRADIENT])
