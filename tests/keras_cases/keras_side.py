"""Keras on JAX: a case's function is jitted, its gradient taken by JAX, its steps run by `lax.scan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_cases.draw import Array
from keras_cases.run import RATE, Function, Side, projection


class KerasSide(Side):
    """Keras, computing in float32 or float64 (which JAX must have been told by JAX_ENABLE_X64)."""

    def __init__(self, floatx: str) -> None:
        super().__init__(keras, floatx)

    def execute(
        self, function: Function, arrays: list[Array], state: Sequence[Any], trainable: Sequence[Any],
        wrt: Sequence[int], steps: int, rows: bool,
    ) -> tuple[list[Array], list[Array]]:  # fmt: skip
        places = [next(i for i, v in enumerate(state) if v is weight) for weight in trainable]

        def loss(weights: list[Any], chosen: list[Any], values: list[Any]) -> Any:
            xs: list[Any] = [jnp.asarray(array) for array in arrays]
            for i, x in zip(wrt, chosen, strict=True):
                xs[i] = x
            for place, weight in zip(places, weights, strict=True):
                values[place] = weight
            with keras.StatelessScope(list(zip(state, values, strict=True)), collect_losses=True) as scope:
                outputs, term = function(xs)
                after = [scope.get_current_value(variable) for variable in state]
            return _projected(outputs) + (0.0 if term is None else term), (outputs, after)

        def step(values: list[Any], _: Any) -> Any:
            weights, chosen = [values[place] for place in places], [jnp.asarray(arrays[i]) for i in wrt]
            if not weights and not chosen:
                _, (outputs, after) = loss([], [], list(values))
                return _like(after, values), (outputs, [])
            (_, (outputs, after)), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(
                weights, chosen, list(values)
            )
            for place, gradient in zip(places, gradients[0], strict=True):
                after[place] = values[place] - RATE * gradient  # Keras's trainer drops what a call assigns to a weight
            return _like(after, values), (outputs, [*gradients[1], *gradients[0]])

        def run(values: list[Any]) -> Any:
            if steps == 1:
                return step(values, None)
            last, (outputs, gradients) = jax.lax.scan(step, values, None, steps)
            return last, jax.tree.map(lambda stacked: stacked[0], (outputs, gradients))

        start = [variable.value for variable in state]
        try:
            after, (outputs, gradients) = jax.jit(run)(start)
        except (
            jax.errors.ConcretizationTypeError,
            jax.errors.UnexpectedTracerError,
        ):  # some classes of Keras look at values
            with jax.disable_jit():
                after, (outputs, gradients) = run(start)
        for variable, value in zip(state, after, strict=True):
            variable.assign(value)
        return [np.asarray(value) for value in outputs], [np.asarray(value) for value in gradients]


def _projected(outputs: list[Any]) -> Any:
    floats = [y for y in outputs if jnp.issubdtype(y.dtype, jnp.floating)]
    return sum(((y * jnp.asarray(projection(y.shape), y.dtype)).sum() for y in floats), 0.0)


def _like(values: list[Any], others: list[Any]) -> list[Any]:
    return [jnp.asarray(value, other.dtype) for value, other in zip(values, others, strict=True)]
