"""Adafactor: second moments of matrices kept as one vector per axis."""

from __future__ import annotations

from typing import Any, Unpack

from graphc import ops
from graphc.optimizers.optimizer import Optimizer, Options
from graphc.variables import Variable


class Adafactor(Optimizer):
    """w -= alpha u / max(1, rms(u) / clip_threshold), u = g / sqrt(v), alpha = max(epsilon_2, rms(w)) rate.

    v averages g^2 + epsilon_1 with weight 1 - t^beta_2_decay of the past; for matrices it is the outer product of the
    averages over rows and columns. rate = min(lr, 1 / sqrt(t)) (Shazeer and Stern 2018). relative_step is accepted as
    in Keras, where that minimum is taken either way.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._rows: list[Variable] = []
        self._columns: list[Variable] = []
        self._velocities: list[Variable] = []
        for variable in variables:
            shape = variable.shape
            self._rows.append(self._averages_of(variable, shape[:-1]))
            self._columns.append(self._averages_of(variable, (*shape[:-2], *shape[-1:])))
            self._velocities.append(self.add_variable_from_reference(variable, "velocity"))

    def _averages_of(self, variable: Variable, shape: tuple[int, ...]) -> Variable:
        if len(variable.shape) > 1:
            return self.add_variable(shape, dtype=variable.dtype, name=variable.name)
        # never used; Keras has it, and the variables of both are saved by their position
        unused = Variable(0, dtype="int32", trainable=False, name=variable.name)
        self._track(unused)
        return unused

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        t = self.step_number(variable.dtype)
        index = self._get_variable_index(variable)
        rows, columns, v = self._rows[index], self._columns[index], self._velocities[index]
        share = 1.0 - ops.power(t, self.beta_2_decay)
        squares = ops.square(gradient) + self.epsilon_1
        if len(variable.shape) < 2:
            v.assign(share * v + (1.0 - share) * squares)
        else:
            rows.assign(share * rows + (1.0 - share) * ops.mean(squares, axis=-1))
            columns.assign(share * columns + (1.0 - share) * ops.mean(squares, axis=-2))
            relative = rows / ops.mean(rows, axis=-1, keepdims=True)
            v.assign(ops.expand_dims(relative, -1) * ops.expand_dims(columns, -2))
        step = gradient / ops.sqrt(v)
        step = step / ops.maximum(1.0, _rms(step) / self.clip_threshold)
        rate = ops.minimum(learning_rate, 1.0 / ops.sqrt(t))
        variable.assign(variable - ops.maximum(self.epsilon_2, _rms(variable)) * rate * step)

    def get_config(self) -> dict[str, Any]:
        names = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _rms(x: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(x)))
