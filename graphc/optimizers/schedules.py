"""Learning rates that depend on the step: `keras.optimizers.schedules`.

A schedule is a function of the number of updates done so far (0 at the first update). Called with a Python or numpy
number it returns a float, computed in float32 as Keras does. The formulas use only the operations of `Arithmetic`, so
that another implementation of it can run them on other kinds of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from graphc.naming import to_snake_case
from graphc.saving.registry import deserialize_object, serialize_object
from graphc.tensor import Tensor

S = TypeVar("S", bound="LearningRateSchedule")


class Arithmetic(Protocol):
    """The operations schedules are written in, beside + - * / < <= and ==. `number` makes an operand of a constant."""

    def number(self, value: Any) -> Any: ...
    def floor(self, x: Any) -> Any: ...
    def ceil(self, x: Any) -> Any: ...
    def cos(self, x: Any) -> Any: ...
    def log(self, x: Any) -> Any: ...
    def power(self, x: Any, y: Any) -> Any: ...
    def minimum(self, x: Any, y: Any) -> Any: ...
    def where(self, condition: Any, x: Any, y: Any) -> Any: ...


class Float32:
    """`Arithmetic` on numpy float32 scalars and arrays."""

    floor = staticmethod(np.floor)
    ceil = staticmethod(np.ceil)
    log = staticmethod(np.log)
    power = staticmethod(np.power)
    minimum = staticmethod(np.minimum)
    where = staticmethod(np.where)

    @staticmethod
    def number(value: Any) -> Any:
        return np.asarray(value, np.float32)[()]

    @staticmethod
    def cos(x: Any) -> Any:
        # Rounded once from double precision: numpy's float32 cosine is off by a unit in the last place now and then.
        return np.float32(np.cos(np.asarray(x, np.float64)))


class LearningRateSchedule:
    """Base class. Subclasses define `__call__(step)`, or `rate(step, math)` to be run on any `Arithmetic`."""

    def __call__(self, step: Any) -> Any:
        """The learning rate for the update after `step` updates: a float, an array for an array of steps, or a float32
        tensor for a tensor of the step being traced."""
        if isinstance(step, Tensor):
            from graphc.optimizers.optimizer import TensorArithmetic  # written with ops, which schedules are not

            return self.rate(TensorArithmetic.number(step), TensorArithmetic())
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = self.rate(Float32.number(step), Float32())
        return float(rate) if np.ndim(rate) == 0 else rate

    def rate(self, step: Any, math: Arithmetic) -> Any:
        """The formula, on operands made by `math.number`."""
        raise NotImplementedError(
            f"Learning rate schedule '{type(self).__name__}' must override `__call__(self, step)`."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        raise NotImplementedError(
            f"Learning rate schedule '{type(self).__name__}' must override `get_config()` in order to be serializable."
        )

    @classmethod
    def from_config(cls: type[S], config: dict[str, Any]) -> S:
        """The inverse of `get_config`."""
        return cls(**config)


def _check_positive(name: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"Argument `{name}` must be > 0. Received: {name}={value}")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ^ (step / decay_steps); staircase: the quotient is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def rate(self, step: Any, math: Arithmetic) -> Any:
        periods = step / math.number(self.decay_steps)
        periods = math.floor(periods) if self.staircase else periods
        return math.number(self.initial_learning_rate) * math.power(math.number(self.decay_rate), periods)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); staircase: the quotient is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def rate(self, step: Any, math: Arithmetic) -> Any:
        periods = step / math.number(self.decay_steps)
        periods = math.floor(periods) if self.staircase else periods
        return math.number(self.initial_learning_rate) / (math.number(1) + math.number(self.decay_rate) * periods)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class PolynomialDecay(LearningRateSchedule):
    """From the initial to the end rate along (1 - step / decay_steps) ^ power, then constant.

    cycle: instead of staying there, decay_steps is multiplied until it reaches the step.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def rate(self, step: Any, math: Arithmetic) -> Any:
        steps = math.number(self.decay_steps)
        if self.cycle:
            steps = steps * math.where(step == math.number(0), math.number(1), math.ceil(step / steps))
        else:
            step = math.minimum(step, steps)
        end = math.number(self.end_learning_rate)
        left = math.power(math.number(1) - step / steps, math.number(self.power))
        return (math.number(self.initial_learning_rate) - end) * left + end

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including step boundaries[0], then values[1] up to boundaries[1], and so on.

    There is one value more than there are boundaries (ValueError).
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. Received: "
                f"boundaries={boundaries} of length {len(boundaries)}, and values={values} of length {len(values)}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def rate(self, step: Any, math: Arithmetic) -> Any:
        rate = math.number(self.values[-1])
        for boundary, value in reversed(list(zip(self.boundaries, self.values, strict=False))):
            rate = math.where(step <= math.number(boundary), math.number(value), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate (warm-up: from warmup_target) down to alpha times it in decay_steps.

    warmup_target: first go straight from the initial rate to it in warmup_steps (Loshchilov and Hutter 2016).
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def rate(self, step: Any, math: Arithmetic) -> Any:
        initial, decay_steps = math.number(self.initial_learning_rate), math.number(self.decay_steps)
        if self.warmup_target is None:
            return self._decayed(math.minimum(step, decay_steps), initial, math)
        warmup_steps, target = math.number(self.warmup_steps), math.number(self.warmup_target)
        step = math.minimum(step, decay_steps + warmup_steps)
        warming = (target - initial) * (step / warmup_steps) + initial
        return math.where(step < warmup_steps, warming, self._decayed(step - warmup_steps, target, math))

    def _decayed(self, step: Any, start: Any, math: Arithmetic) -> Any:
        half, alpha = math.number(0.5), math.number(self.alpha)
        angle = math.number(np.pi) * (step / math.number(self.decay_steps))
        cosine = half * (math.number(1) + math.cos(angle))
        return start * ((math.number(1) - alpha) * cosine + alpha)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` that starts again and again, each period t_mul times as long and m_mul times as high as the last.

    The first one lasts first_decay_steps (Loshchilov and Hutter 2016).
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _check_positive("first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def rate(self, step: Any, math: Arithmetic) -> Any:
        one, alpha = math.number(1), math.number(self.alpha)
        restarts, fraction = self._period(step / math.number(self.first_decay_steps), math)
        height = math.number(0.5) * math.power(math.number(self.m_mul), restarts)
        cosine = height * (one + math.cos(math.number(np.pi) * fraction))
        return math.number(self.initial_learning_rate) * ((one - alpha) * cosine + alpha)

    def _period(self, completed: Any, math: Arithmetic) -> tuple[Any, Any]:
        """(number of restarts so far, fraction of the current period that is over); `completed` in first periods."""
        if self.t_mul == 1.0:
            restarts = math.floor(completed)
            return restarts, completed - restarts
        one, ratio = math.number(1), math.number(self.t_mul)
        restarts = math.floor(math.log(one - completed * (one - ratio)) / math.log(ratio))
        length = math.power(ratio, restarts)
        return restarts, (completed - (one - length) / (one - ratio)) / length

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


_CLASSES: tuple[type[LearningRateSchedule], ...] = (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
OBJECTS: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{to_snake_case(cls.__name__): cls for cls in _CLASSES},
}


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The config of a schedule, as Keras writes it."""
    return serialize_object(learning_rate_schedule, "keras.optimizers.schedules")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule of a config."""
    return deserialize_object(config, OBJECTS, custom_objects, kind="learning rate schedule")
