"""The base class of optimizers: learning rate, slots, clipping, weight decay, averaging, accumulation.

A step is written with `graphc.ops` on variables: inside a traced training step it becomes part of the graph, called on
arrays it runs at once.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np

from graphc import config, initializers, ops
from graphc.naming import auto_name
from graphc.optimizers import schedules
from graphc.scope import absolute_scope
from graphc.tensor import current_tracer
from graphc.tracing import run_eagerly
from graphc.variables import Variable


class TensorArithmetic:
    """The operations of schedules on float32 tensors of a traced graph."""

    floor = staticmethod(ops.floor)
    ceil = staticmethod(ops.ceil)
    cos = staticmethod(ops.cos)
    log = staticmethod(ops.log)
    power = staticmethod(ops.power)
    minimum = staticmethod(ops.minimum)
    where = staticmethod(ops.where)

    @staticmethod
    def number(value: Any) -> Any:
        return ops.cast(value, "float32")


class Options(TypedDict, total=False):
    """What every optimizer takes by name, beside its own arguments; `Optimizer` says what it means."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Optimizer:
    """Base class: `build` makes the slots of a list of variables, `update_step` changes one variable.

    learning_rate: a number, a `LearningRateSchedule` or a callable without arguments. weight_decay: every step begins
    with variable -= variable * weight_decay * learning_rate. clipnorm (per variable), global_clipnorm, clipvalue:
    limits of gradients, at most one of them. use_ema: keep moving averages of the variables, which replace them every
    ema_overwrite_frequency steps and at the end of training. loss_scale_factor: the loss is multiplied by it before its
    gradients are taken (`scale_loss`), which are divided by it. gradient_accumulation_steps k: one update with the mean
    of k gradients.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__signature__ = _full_signature(cls)  # type: ignore[attr-defined]

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        learning_rate = _legacy_arguments(learning_rate, kwargs)
        self.name = auto_name(type(self).__name__) if name is None else name
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check_arguments()
        self.built = False
        self._trainable_variables: list[Variable] = []
        self._slots: list[Variable] = []
        self._averages: list[Variable] = []
        self._accumulators: list[Variable] = []
        self._index: dict[int, int] = {}
        self._excluded: set[int] = set()
        self._excluded_names: list[str] = []
        with absolute_scope(self.name):
            self._iterations = Variable(0, dtype="int32", trainable=False, name="iteration")
            self._learning_rate = self._rate(learning_rate)

    def _check_arguments(self) -> None:
        clips = (self.clipnorm, self.clipvalue, self.global_clipnorm)
        if sum(clip is not None for clip in clips) > 1:
            raise ValueError(
                "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
                f"clipnorm={self.clipnorm}, clipvalue={self.clipvalue}, global_clipnorm={self.global_clipnorm}"
            )
        for name in ("clipnorm", "global_clipnorm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"Argument `{name}` must be a positive float. Received: {name}={value}")
        steps = self.gradient_accumulation_steps
        if steps is not None and steps < 2:
            raise ValueError(
                f"`gradient_accumulation_steps` must be an integer >= 2. Received: gradient_accumulation_steps={steps}"
            )
        if self.use_ema and not 0 <= self.ema_momentum <= 1:
            raise ValueError(f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={self.ema_momentum}")
        frequency = self.ema_overwrite_frequency
        if self.use_ema and frequency is not None and (not isinstance(frequency, int) or frequency < 1):
            raise ValueError(
                "`ema_overwrite_frequency` must be an integer >= 1 or None. Received: "
                f"ema_overwrite_frequency={frequency}"
            )

    def _rate(self, learning_rate: Any) -> Any:
        if isinstance(learning_rate, schedules.LearningRateSchedule) or callable(learning_rate):
            return learning_rate
        if not isinstance(learning_rate, (int, float, np.number)) or isinstance(learning_rate, bool):
            raise ValueError(
                "Argument `learning_rate` should be float, or an instance of LearningRateSchedule, or a callable "
                "(that takes "
                f"in the current iteration value and returns the corresponding learning rate value). Received instead: "
                f"learning_rate={learning_rate}"
            )
        if np.isnan(learning_rate):
            raise ValueError(f"Argument `learning_rate` must be a number. Received: learning_rate={learning_rate}")
        return Variable(float(learning_rate), dtype=config.floatx(), trainable=False, name="learning_rate")

    # ---- state

    @property
    def variables(self) -> list[Variable]:
        """iteration, learning_rate (unless it is a schedule), then the slots."""
        rate = [self._learning_rate] if isinstance(self._learning_rate, Variable) else []
        return [self._iterations, *rate, *self._slots]

    @property
    def iterations(self) -> Any:
        """The number of updates done."""
        steps = self.gradient_accumulation_steps
        return ops.floor_divide(self._iterations, steps) if steps else self._iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next update; can be set unless it is a schedule (TypeError)."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return rate
        if isinstance(rate, schedules.LearningRateSchedule):
            return self._scheduled(rate)
        return rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._learning_rate, schedules.LearningRateSchedule):
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` constructor "
                "argument, "
                "hence its learning rate is not settable. If you need the learning rate to be settable, you should "
                "instantiate the optimizer with a float `learning_rate` argument."
            )
        if isinstance(self._learning_rate, Variable) and not callable(value):
            self._learning_rate.assign(value)
        else:
            self._learning_rate = self._rate(value)

    lr = learning_rate

    def _scheduled(self, schedule: Any) -> Any:
        # counts every call of `apply`, also those that only accumulate
        if current_tracer() is None:
            return schedule(int(self._iterations))
        step = ops.cast(self._iterations, "float32")
        return schedule(step)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_slots" in self.__dict__ and isinstance(value, Variable) and name not in ("_iterations", "_learning_rate"):
            self._track(value)
        super().__setattr__(name, value)

    def _track(self, variable: Variable) -> None:
        if not any(variable is slot for slot in self._slots):
            self._slots.append(variable)

    def add_variable(
        self,
        shape: Any,
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A new variable of the optimizer's state."""
        with absolute_scope(self.name):
            slot = Variable(initializers.get(initializer), tuple(shape), dtype, trainable=False, name=name)
        self._track(slot)
        return slot

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A new slot like this variable."""
        full = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name=full)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """Slots like these variables: a list for one name, or a tuple of lists, made side by side, for several.

        initializer: one for all names, or a list of one for each.
        """
        names = (name,) if isinstance(name, str) else tuple(name)
        starts = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(starts) != len(names):
            raise ValueError(
                "The number of provided names must match the number of provided initializers. Received "
                f"name='{name}', initializer='{initializer}'"
            )
        pairs = list(zip(names, starts, strict=True))
        rows = [[self.add_variable_from_reference(v, n, start) for n, start in pairs] for v in trainable_variables]
        lists = tuple([row[i] for row in rows] for i in range(len(names)))
        return lists[0] if isinstance(name, str) else lists

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots for these variables; subclasses add theirs."""
        self._trainable_variables = list(variables)
        self._index = {id(variable): index for index, variable in enumerate(variables)}
        if self.use_ema:
            self._averages = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulators = self.add_optimizer_variables(variables, "gradient_accumulator")
        self.built = True

    def slot(self, slots: Sequence[Variable], variable: Variable) -> Variable:
        """The slot of a variable in a list made by `add_optimizer_variables`."""
        return slots[self._index[id(variable)]]

    def _get_variable_index(self, variable: Variable) -> int:
        return self._index[id(variable)]

    # ---- steps

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """One step for (gradient, variable) pairs."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """One step; variables whose gradient is None stay. In a traced step it becomes part of the graph.

        ValueError if these are not the variables the optimizer was built for, or if there are no gradients at all.
        """
        if len(grads) == 0:
            return
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "When passing `grads` without `variables`, the optimizer must already be built on a list of "
                    "variables. Call `optimizer.build(trainable_variables)` first."
                )
            trainable_variables = self._trainable_variables
        variables = list(trainable_variables)
        if not self.built:
            self.build(variables)
        self._check_known(variables)
        if len(grads) != len(variables):
            raise ValueError(
                f"The number of gradients must match the number of variables. Received: {len(grads)} gradients for "
                f"{len(variables)} variables"
            )
        present = _without_missing(grads, variables)
        tracer = current_tracer()
        if tracer is None:
            run_eagerly(self._step, ([np.asarray(g) for g, _ in present], [v for _, v in present]), {})
            return
        with tracer.builder.direction("update"):
            self._step([g for g, _ in present], [v for _, v in present])

    def scale_loss(self, loss: Any) -> Any:
        """The loss whose gradients `apply` takes."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def _check_known(self, variables: Sequence[Variable]) -> None:
        unknown = [variable for variable in variables if id(variable) not in self._index]
        if unknown:
            raise ValueError(
                f"Unknown variable: {unknown[0]!r}. This optimizer can only be called for the variables it was "
                "originally "
                "built with. When working with a new set of variables, you should recreate a new optimizer instance."
            )

    def _step(self, grads: list[Any], variables: list[Variable]) -> None:
        if self.loss_scale_factor is not None:
            grads = [gradient / self.loss_scale_factor for gradient in grads]
        if self.gradient_accumulation_steps:
            self._accumulated_update(grads, variables)
        else:
            self._update(grads, variables)
        if self.use_ema:
            self._average()
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        self._iterations.assign(self._iterations + 1)

    def _accumulated_update(self, grads: list[Any], variables: list[Variable]) -> None:
        """Every k-th call updates with the mean of k gradients; the others only add up."""
        steps = self.gradient_accumulation_steps or 1
        sums = [self.slot(self._accumulators, variable) for variable in variables]
        totals = [held + gradient for held, gradient in zip(sums, grads, strict=True)]

        def update() -> None:
            self._update([total / float(steps) for total in totals], variables)
            for held in self._accumulators:
                held.assign(ops.zeros_like(held))

        def accumulate() -> None:
            for held, total in zip(sums, totals, strict=True):
                held.assign(total)

        ops.cond(ops.equal(ops.mod(self._iterations + 1, steps), 0), update, accumulate)

    def _update(self, grads: list[Any], variables: list[Variable]) -> None:
        rate = ops.cast(self.learning_rate, config.floatx())
        grads = self._clipped(grads)
        self._decay_weights(variables, rate)
        for gradient, variable in zip(grads, variables, strict=True):
            self.update_step(ops.cast(gradient, variable.dtype), variable, ops.cast(rate, variable.dtype))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Change one variable."""
        raise NotImplementedError(f"{type(self).__name__} must implement `update_step()`")

    def assign(self, variable: Variable, value: Any) -> None:
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        variable.assign(variable + value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        variable.assign(variable - value)

    def step_number(self, dtype: str) -> Any:
        """The number of this update, counted from 1, as a float."""
        return ops.cast(self.iterations + 1, dtype)

    def _clipped(self, grads: list[Any]) -> list[Any]:
        if self.clipvalue is not None:
            return [ops.clip(g, -float(self.clipvalue), float(self.clipvalue)) for g in grads]
        if self.clipnorm is not None:
            limit = float(self.clipnorm)
            return [g * (limit / ops.maximum(ops.norm(g), limit)) for g in grads]
        if self.global_clipnorm is not None:
            limit = float(self.global_clipnorm)
            squares = [ops.sum(ops.square(g)) for g in grads]
            norm = ops.sqrt(sum(squares[1:], squares[0]))
            scale = limit * ops.minimum(1.0 / norm, 1.0 / limit)
            return [g * scale for g in grads]
        return grads

    def _decay_weights(self, variables: list[Variable], rate: Any) -> None:
        for variable in variables:
            decay = self._decay_of(variable)
            if decay is not None and self._use_weight_decay(variable):
                variable.assign(variable - variable * (float(decay) * ops.cast(rate, variable.dtype)))

    def _decay_of(self, variable: Variable) -> float | None:
        return self.weight_decay

    def _use_weight_decay(self, variable: Variable) -> bool:
        """Whether the variable was not excluded."""
        return id(variable) not in self._excluded and not any(name in variable.path for name in self._excluded_names)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Leave out these variables, or those whose path contains one of these texts. Only before `build`."""
        if self.built:
            raise ValueError("`exclude_from_weight_decay()` can only be configured before the optimizer is built.")
        self._excluded |= {id(variable) for variable in var_list or ()}
        self._excluded_names = list(var_names or ())

    def _average(self) -> None:
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            # the first average is the variable itself
            share = ops.where(ops.equal(self.iterations, 0), 0.0, self.ema_momentum)
            average.assign(average * share + variable * (1.0 - share))
            if self.ema_overwrite_frequency:
                due = ops.equal(ops.mod(self.iterations + 1, self.ema_overwrite_frequency), 0)
                variable.assign(ops.where(due, average, variable))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """After training: the moving averages, if there are any, replace the variables."""
        if self.use_ema:
            for variable in var_list:
                variable.assign(self.slot(self._averages, variable).array)

    # ---- configuration

    def get_config(self) -> dict[str, Any]:
        rate: Any = self._learning_rate
        if isinstance(rate, Variable):
            rate = float(rate)
        elif isinstance(rate, schedules.LearningRateSchedule):
            rate = schedules.serialize(rate)
        names = ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
                 "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps")  # fmt: skip
        return {"name": self.name, "learning_rate": rate, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """Put the state into `store`, as "0", "1", ... in the order of `variables`."""
        for index, variable in enumerate(self.variables):
            store[str(index)] = variable

    def load_own_variables(self, store: Any) -> None:
        """Take the state from `store`. A store of another number of variables is left alone, with a warning."""
        variables = self.variables
        if len(store.keys()) != len(variables):
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}', because it has {len(variables)} variables "
                f"whereas the saved optimizer has {len(store.keys())} variables.",
                stacklevel=2,
            )
            return
        for index, variable in enumerate(variables):
            variable.assign(store[str(index)])

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Write these values into `variables`. ValueError before `build`, and if a shape does not fit."""
        if not self.built:
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built. Please call "
                "`optimizer.build(trainable_variables)` to create the optimizer weights before calling `set_weights()`."
            )
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)


def _full_signature(cls: Any) -> inspect.Signature:
    """The constructor's signature with the names of `Options` in the place of `**options`."""
    own = inspect.signature(cls.__init__)
    shared = inspect.signature(Optimizer.__init__).parameters
    parameters: list[inspect.Parameter] = []
    for parameter in list(own.parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD and parameter.name == "options":
            named = [shared[name] for name in Options.__annotations__ if name not in own.parameters]
            parameters.extend(p.replace(kind=p.KEYWORD_ONLY) for p in named)
        else:
            parameters.append(parameter)
    return own.replace(parameters=parameters)


def _without_missing(grads: Sequence[Any], variables: Sequence[Variable]) -> list[tuple[Any, Variable]]:
    """(gradient, variable) pairs without those of gradient None, of which a warning tells."""
    pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
    if not pairs:
        raise ValueError("No gradients provided for any variable.")
    missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
    if missing:
        warnings.warn(
            f"Gradients do not exist for variables {missing} when minimizing the loss. If using `model.compile()`, did "
            "you forget to provide a `loss` argument?",
            stacklevel=3,
        )
    return pairs


def _legacy_arguments(learning_rate: Any, kwargs: dict[str, Any]) -> Any:
    """Takes Keras 2's `decay` and `lr` out of kwargs; ValueError for anything else in them."""
    if kwargs.pop("decay", None) is not None:
        warnings.warn("Argument `decay` is no longer supported and will be ignored.", stacklevel=4)
    if "lr" in kwargs and config.legacy_names():
        warnings.warn("`lr` is deprecated; use `learning_rate`.", DeprecationWarning, stacklevel=4)
        learning_rate = kwargs.pop("lr")
    if kwargs:
        raise ValueError(f"Argument(s) not recognized: {kwargs}")
    return learning_rate
