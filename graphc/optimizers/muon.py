"""Muon: matrices move by their momentum made orthogonal, everything else by Adam."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Unpack

from graphc import ops
from graphc.optimizers.optimizer import Optimizer, Options
from graphc.variables import Variable


class Muon(Optimizer):
    """Matrices: m = mu m + g; w -= lr rms_rate sqrt(max(rows, columns)) orthogonal(g + mu m) (Jordan et al. 2024).

    orthogonal(x): `ns_steps` of Newton and Schulz's iteration with the coefficients muon_a, muon_b, muon_c. Weights
    that are not matrices, embeddings (by path, if exclude_embeddings) and those whose path a pattern of exclude_layers
    matches are moved by AdamW with the `adam_` arguments and adam_lr_ratio times the learning rate. nesterov False: m
    itself is made orthogonal. rms_rate None: steps are not scaled.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def _uses_adam(self, variable: Variable) -> bool:
        if len(variable.shape) != 2:
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable | None] = []
        for variable in variables:
            self._momentums.append(self.add_variable_from_reference(variable, "momentum"))
            uses_adam = self._uses_adam(variable)
            self._velocities.append(self.add_variable_from_reference(variable, "velocity") if uses_adam else None)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        if v is not None:
            self._adam_step(gradient, variable, learning_rate * self.adam_lr_ratio, m, v)
            return
        m.assign(m * self.momentum + gradient)
        step = learning_rate * self._orthogonal(gradient + m * self.momentum if self.nesterov else m.value)
        if self.rms_rate is not None:
            step = step * (max(variable.shape) ** 0.5 * self.rms_rate)
        variable.assign(variable - step)

    def _orthogonal(self, x: Any) -> Any:
        is_tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if is_tall else x
        x = x / (ops.norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = ops.matmul(x, ops.transpose(x))
            mixed = square * self.muon_b + ops.matmul(square * self.muon_c, square)
            x = x * self.muon_a + ops.matmul(mixed, x)
        return ops.transpose(x) if is_tall else x

    def _adam_step(self, gradient: Any, variable: Variable, learning_rate: Any, m: Variable, v: Variable) -> None:
        t = self.step_number(variable.dtype)
        alpha = learning_rate * ops.sqrt(1.0 - ops.power(self.adam_beta_2, t)) / (1.0 - ops.power(self.adam_beta_1, t))
        m.assign(m + (gradient - m) * (1.0 - self.adam_beta_1))
        v.assign(v + (ops.square(gradient) - v) * (1.0 - self.adam_beta_2))
        variable.assign(variable - m * alpha / (ops.sqrt(v) + self.epsilon))

    def _decay_of(self, variable: Variable) -> float | None:
        return self.adam_weight_decay if self._uses_adam(variable) else self.weight_decay

    def get_config(self) -> dict[str, Any]:
        names = (
            "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_layers", "exclude_embeddings",
            "muon_a", "muon_b", "muon_c", "adam_lr_ratio", "momentum", "ns_steps", "nesterov", "rms_rate",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
