"""The optimizers' rules: how a gradient g changes a weight w at update t (counted from 1)."""

from __future__ import annotations

from typing import Any, Unpack

from graphc import ops
from graphc.optimizers.optimizer import Optimizer, Options
from graphc.variables import Variable


class SGD(Optimizer):
    """w -= lr g; with momentum: m = mu m - lr g, w += m, or with nesterov w += mu m - lr g."""

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError("`momentum` must be a float between [0, 1].")
        self.momentum = momentum
        self.nesterov = nesterov

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - step)
            return
        slot = self.slot(self.momentums, variable)
        new = slot * self.momentum - step
        slot.assign(new)
        variable.assign(variable + (new * self.momentum - step if self.nesterov else new))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """m += (g - m)(1 - b1); v += (g^2 - v)(1 - b2); w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon).

    amsgrad: the largest v so far is used (Kingma and Ba 2014; Reddi et al. 2018).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ("momentum", "velocity"))
        self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat") if self.amsgrad else []

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        t = self.step_number(variable.dtype)
        alpha = learning_rate * ops.sqrt(1.0 - ops.power(self.beta_2, t)) / (1.0 - ops.power(self.beta_1, t))
        m, v = self.slot(self._momentums, variable), self.slot(self._velocities, variable)
        m.assign(m + (gradient - m) * (1.0 - self.beta_1))
        v.assign(v + (ops.square(gradient) - v) * (1.0 - self.beta_2))
        if self.amsgrad:
            largest = self.slot(self._velocity_hats, variable)
            largest.assign(ops.maximum(largest, v))
            v = largest
        variable.assign(variable - m * alpha / (ops.sqrt(v) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        names = ("beta_1", "beta_2", "epsilon", "amsgrad")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **options)
        if self.weight_decay is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")


class Nadam(Optimizer):
    """Adam with Nesterov momentum: u_t = b1 (1 - 0.5 * 0.96^t) (Dozat 2015)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        dtype = variables[0].dtype if variables else None
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ("momentum", "velocity"))
        self._u_product = self.add_variable((), "ones", dtype, name="u_product")

    def _u(self, t: Any) -> Any:
        return self.beta_1 * (1.0 - 0.5 * ops.power(0.96, t))

    def _update(self, grads: list[Any], variables: list[Variable]) -> None:
        # one product for all variables: advanced once, before they are updated
        self._u_product.assign(self._u_product * self._u(self.step_number(self._u_product.dtype)))
        super()._update(grads, variables)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        t = self.step_number(variable.dtype)
        u, u_next = self._u(t), self._u(t + 1.0)
        product = ops.cast(self._u_product, variable.dtype)
        m, v = self.slot(self._momentums, variable), self.slot(self._velocities, variable)
        m.assign(m + (gradient - m) * (1.0 - self.beta_1))
        v.assign(v + (ops.square(gradient) - v) * (1.0 - self.beta_2))
        m_hat = u_next * m / (1.0 - product * u_next) + (1.0 - u) * gradient / (1.0 - product)
        v_hat = v / (1.0 - ops.power(self.beta_2, t))
        variable.assign(variable - m_hat * learning_rate / (ops.sqrt(v_hat) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + epsilon); centered: minus the square of the mean gradient."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        self._momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []
        self._averages_of_gradients = (
            self.add_optimizer_variables(variables, "average_gradient") if self.centered else []
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        v = self.slot(self._velocities, variable)
        v.assign(self.rho * v + (1.0 - self.rho) * ops.square(gradient))
        spread = v + self.epsilon
        if self.centered:
            mean = self.slot(self._averages_of_gradients, variable)
            mean.assign(self.rho * mean + (1.0 - self.rho) * gradient)
            spread = v - ops.square(mean) + self.epsilon
        step = learning_rate * gradient / ops.sqrt(spread)
        if self.momentum:
            m = self.slot(self._momentums, variable)
            m.assign(self.momentum * m + step)
            step = m
        variable.assign(variable - step)

    def get_config(self) -> dict[str, Any]:
        names = ("rho", "momentum", "epsilon", "centered")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class Adagrad(Optimizer):
    """a += g^2; w -= lr g / sqrt(a + epsilon) (Duchi et al. 2011)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        if self.built:
            return
        from graphc.initializers import Constant

        super().build(variables)
        start = Constant(self.initial_accumulator_value)
        self._accumulators_of_squares = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        a = self.slot(self._accumulators_of_squares, variable)
        a.assign(a + ops.square(gradient))
        variable.assign(variable - learning_rate * gradient / ops.sqrt(a + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        start = self.initial_accumulator_value
        return {**super().get_config(), "initial_accumulator_value": start, "epsilon": self.epsilon}


class Adadelta(Optimizer):
    """d = -sqrt(ad + epsilon) / sqrt(ag + epsilon) g with moving averages of d^2 and g^2; w += lr d (Zeiler 2012)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.rho = rho
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        names = ("accumulated_grad", "accumulated_delta_var")
        self._accumulated_grads, self._accumulated_deltas = self.add_optimizer_variables(variables, names)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        ag, ad = self.slot(self._accumulated_grads, variable), self.slot(self._accumulated_deltas, variable)
        ag.assign(self.rho * ag + (1.0 - self.rho) * ops.square(gradient))
        delta = -(ops.sqrt(ad + self.epsilon) * gradient / ops.sqrt(ag + self.epsilon))
        ad.assign(self.rho * ad + (1.0 - self.rho) * ops.square(delta))
        variable.assign(variable + learning_rate * delta)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


class Adamax(Optimizer):
    """u = max(b2 u, |g|); w -= lr m / ((1 - b1^t) (u + epsilon)) (Kingma and Ba 2014)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._norms = self.add_optimizer_variables(variables, ("momentum", "norm"))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        m, u = self.slot(self._momentums, variable), self.slot(self._norms, variable)
        m.assign(m + (gradient - m) * (1.0 - self.beta_1))
        u.assign(ops.maximum(self.beta_2 * u, ops.abs(gradient)))
        correction = 1.0 - ops.power(self.beta_1, self.step_number(variable.dtype))
        variable.assign(variable - learning_rate * m / (correction * (u + self.epsilon)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class Lion(Optimizer):
    """w -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g (Chen et al. 2023)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        if beta_1 <= 0 or beta_1 > 1:
            raise ValueError(
                "Argument `beta_1` must be in the [0, 1] range. Otherwise, the optimizer degenerates to SignSGD. "
                f"Received: beta_1={beta_1}."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        m = self.slot(self._momentums, variable)
        variable.assign(variable - learning_rate * ops.sign(m * self.beta_1 + gradient * (1.0 - self.beta_1)))
        m.assign(m * self.beta_2 + gradient * (1.0 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}


class Lamb(Optimizer):
    """w -= lr |w| / |u| u with Adam's step u = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) (You et al. 2019)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ("momentum", "velocity"))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        t = self.step_number(variable.dtype)
        m, v = self.slot(self._momentums, variable), self.slot(self._velocities, variable)
        m.assign(m + (gradient - m) * (1.0 - self.beta_1))
        v.assign(v + (ops.square(gradient) - v) * (1.0 - self.beta_2))
        spread = ops.sqrt(v / (1.0 - ops.power(self.beta_2, t))) + self.epsilon
        step = m / (1.0 - ops.power(self.beta_1, t)) / spread
        weight, length = ops.norm(variable), ops.norm(step)
        both = ops.logical_and(ops.greater(weight, 0.0), ops.greater(length, 0.0))
        ratio = ops.where(both, weight / length, 1.0)
        variable.assign(variable - ratio * learning_rate * step)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class ScheduleFreeAdamW(Optimizer):
    """Adam without a learning-rate schedule: gradients are taken at y = (1 - b1) z + b1 x (Defazio et al. 2024).

    z -= lr g / (sqrt(v / (1 - b2^t)) + epsilon); x is the mean of all z; the weights hold y. lr grows from 0 over
    warmup_steps.
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ("momentum", "velocity"))
        for z, variable in zip(self._momentums, variables, strict=True):
            z.array[...] = variable.array

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        t = self.step_number(variable.dtype)
        if self.warmup_steps > 0:
            learning_rate = learning_rate * ops.minimum(t / float(self.warmup_steps), 1.0)
        z, v = self.slot(self._momentums, variable), self.slot(self._velocities, variable)
        old = z.value
        v.assign(v + (ops.square(gradient) - v) * (1.0 - self.beta_2))
        z.assign(z - learning_rate * gradient / (ops.sqrt(v / (1.0 - ops.power(self.beta_2, t))) + self.epsilon))
        x = (variable - old * (1.0 - self.beta_1)) / self.beta_1
        x = x * (1.0 - 1.0 / t) + z * (1.0 / t)
        variable.assign(z * (1.0 - self.beta_1) + x * self.beta_1)

    def get_config(self) -> dict[str, Any]:
        names = ("beta_1", "beta_2", "epsilon", "warmup_steps")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
