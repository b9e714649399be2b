"""The base class of metrics: state that is updated batch by batch, and a result read from it."""

from __future__ import annotations

from typing import Any

from graphc import config, initializers
from graphc.ir.changes import CHANGES
from graphc.naming import auto_name
from graphc.scope import absolute_scope
from graphc.variables import Variable


class Metric:
    """Base class: `update_state(...)` adds a batch to the variables, `result()` reads them.

    Inside a traced training step the update is part of the graph.
    """

    is_metric = True
    # "up" if larger is better, "down" if smaller is; None: unknown.
    _direction: str | None = None

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self._dtype = dtype
        self._variables: list[Variable] = []
        self._metrics: list[Metric] = []

    def __setattr__(self, name: str, value: Any) -> None:
        known = self.__dict__.get("_variables")
        if known is not None:
            if isinstance(value, Variable) and not any(value is variable for variable in known):
                known.append(value)
            elif isinstance(value, Metric):
                self._metrics.append(value)
        super().__setattr__(name, value)

    @property
    def dtype(self) -> str:
        return config.standardize_dtype(self._dtype)

    @property
    def variables(self) -> list[Variable]:
        return [*self._variables, *(v for metric in self._metrics for v in metric.variables)]

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str = "sum", name: str | None = None
    ) -> Variable:
        """A new state variable."""
        with absolute_scope(self.name):
            variable = Variable(
                initializers.get(initializer), tuple(shape), dtype or self.dtype, trainable=False, name=name
            )
        self._variables.append(variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None, **_: Any
    ) -> Variable:
        """A new state variable (Keras 2's spelling)."""
        return self.add_variable(shape, "zeros" if initializer is None else initializer, dtype, name=name)

    def reset_state(self) -> None:
        """Back to the state before the first batch."""
        for variable in self.variables:
            variable.array.fill(0)
        CHANGES.note()

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must implement `update_state()`")

    def result(self) -> Any:
        """The value over all batches since the last reset: a scalar, or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} must implement `result()`")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
