"""FTRL: follow the regularized leader."""

from __future__ import annotations

from typing import Any, Unpack

from graphc import ops
from graphc.initializers import Constant
from graphc.optimizers.optimizer import Optimizer, Options
from graphc.variables import Variable


class Ftrl(Optimizer):
    """w = (clip(z, -l1, l1) - z) / (n'^p / lr + 2 l2'), p = -learning_rate_power (McMahan et al. 2013).

    n' = n + g^2; z += g + 2 s w - (n'^p - n^p) / lr w; l2' = l2 + beta / (2 lr); s: the shrinkage strength.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        if learning_rate_power > 0.0:
            raise ValueError(
                "`learning_rate_power` needs to be negative or zero. Received: "
                f"learning_rate_power={learning_rate_power}."
            )
        for name in ("initial_accumulator_value", *(f"{kind}_regularization_strength" for kind in STRENGTHS)):
            if getattr(self, name) < 0.0:
                raise ValueError(f"`{name}` needs to be positive or zero. Received: {name}={getattr(self, name)}.")

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        starts = [Constant(self.initial_accumulator_value), "zeros"]
        self._squares, self._linears = self.add_optimizer_variables(variables, ("accumulator", "linear"), starts)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        n, z = self.slot(self._squares, variable), self.slot(self._linears, variable)
        power = -self.learning_rate_power
        old, new = ops.power(n, power), ops.power(n + ops.square(gradient), power)
        shrunk = gradient + variable * (2.0 * self.l2_shrinkage_regularization_strength)
        n.assign(n + ops.square(gradient))
        z.assign(z + (shrunk - (new - old) / learning_rate * variable))
        l2 = self.l2_regularization_strength + self.beta / (2.0 * learning_rate)
        l1 = self.l1_regularization_strength
        variable.assign((ops.clip(z, -l1, l1) - z) / (new / learning_rate + 2.0 * l2))

    def get_config(self) -> dict[str, Any]:
        strengths = [f"{kind}_regularization_strength" for kind in STRENGTHS]
        names = ("learning_rate_power", "initial_accumulator_value", *strengths, "beta")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


STRENGTHS = ("l1", "l2", "l2_shrinkage")
