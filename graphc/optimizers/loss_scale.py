"""Loss scaling that adapts: gradients of half precision stay off zero, and steps that overflow are left out."""

from __future__ import annotations

from typing import Any

from graphc import ops
from graphc.initializers import Constant
from graphc.optimizers.optimizer import Optimizer
from graphc.variables import Variable


class LossScaleOptimizer(Optimizer):
    """Another optimizer, for a loss multiplied by a scale and gradients divided by it.

    A step with a gradient that is not finite changes no weight and halves the scale; after `dynamic_growth_steps` steps
    without one the scale is doubled.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                "LossScaleOptimizer no longer supports `dynamic=False`. Instead, simply set `loss_scale_factor` "
                "directly on the `inner_optimizer`."
            )
        given = {key: value for key, value in kwargs.items() if value not in (None, False)}
        if given:
            raise ValueError(
                f"LossScaleOptimizer does not support {', '.join(f'`{key}`' for key in given)}. Instead, set such "
                "arguments on the `inner_optimizer`."
            )
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self.inner_optimizer.loss_scale_factor = None

    def build(self, variables: Any) -> None:
        if self.built:
            return
        self.step_counter = self.add_variable((), "zeros", "int32", name="step_counter")
        self.dynamic_scale = self.add_variable((), Constant(self.initial_scale), "float32", name="dynamic_scale")
        self.inner_optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self) -> list[Variable]:
        """The scale's own, then those of the inner optimizer."""
        return [*super().variables, *self.inner_optimizer.variables]

    @property
    def iterations(self) -> Any:
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """That of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def scale_loss(self, loss: Any) -> Any:
        return loss * ops.cast(self.dynamic_scale if self.built else self.initial_scale, loss.dtype)

    def _step(self, grads: list[Any], variables: list[Variable]) -> None:
        finite = [ops.all(ops.isfinite(gradient)) for gradient in grads]
        ops.cond(ops.all(ops.stack(finite)), lambda: self._finite_step(grads, variables), self._overflow)

    def _finite_step(self, grads: list[Any], variables: list[Variable]) -> None:
        scaled = [gradient / ops.cast(self.dynamic_scale, gradient.dtype) for gradient in grads]
        self.inner_optimizer._step(scaled, variables)
        is_due = ops.equal(self.step_counter, self.dynamic_growth_steps - 1)
        self.step_counter.assign(ops.where(is_due, 0, self.step_counter + 1))
        self.dynamic_scale.assign(ops.where(is_due, self.dynamic_scale * 2.0, self.dynamic_scale))

    def _overflow(self) -> None:
        self.step_counter.assign(0)
        self.dynamic_scale.assign(self.dynamic_scale * 0.5)

    def finalize_variable_values(self, var_list: Any) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        from graphc import optimizers

        return {
            "name": self.name,
            "inner_optimizer": optimizers.serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        from graphc import optimizers

        options = dict(config)
        return cls(optimizers.deserialize(options.pop("inner_optimizer"), custom_objects), **options)
