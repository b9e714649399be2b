"""What a layer owns: weights, sublayers, metrics and seed generators, found by watching its attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import config, dtype_policies, initializers, regularizers
from graphc.operation import Operation
from graphc.random import SeedGenerator
from graphc.scope import absolute_scope, current_path
from graphc.tracking import TrackedDict, TrackedList
from graphc.variables import Variable


class LayerState(Operation):
    """The part of a layer that holds state: what is assigned to attributes, also in lists and dicts, is tracked."""

    _trainable_variables: list[Variable]
    _non_trainable_variables: list[Variable]
    _layers: list[Any]
    _metrics: list[Any]
    _seed_generators: list[SeedGenerator]
    _trainable: bool
    _path: str | None
    built: bool
    dtype_policy: dtype_policies.DTypePolicy

    def __setattr__(self, name: str, value: Any) -> None:
        if "_seed_generators" in self.__dict__:
            value = self._track(value)
        elif not name.startswith("_") and name != "name" and holds_state(value):
            raise RuntimeError(
                f"In layer '{type(self).__name__}', you forgot to call `super().__init__()` as the first statement in "
                "the "
                "`__init__()` method. Go add it!"
            )
        super().__setattr__(name, value)

    def _track(self, value: Any) -> Any:
        """Remember state found in an attribute; lists and dicts come back as ones that go on watching."""
        if isinstance(value, LayerState):
            _add_once(self._layers, value)
        elif isinstance(value, Variable):
            if not any(value is known for known in self._own_weights):
                (self._trainable_variables if value.trainable else self._non_trainable_variables).append(value)
        elif isinstance(value, SeedGenerator):
            _add_once(self._seed_generators, value)
        elif getattr(value, "is_metric", False):
            _add_once(self._metrics, value)
        elif type(value) is list and holds_state(value):
            return TrackedList(value, self._track)
        elif type(value) is dict and holds_state(value):
            return TrackedDict(value, self._track)
        elif type(value) is tuple and holds_state(value):
            return tuple(map(self._track, value))
        elif type(value) is list and value == []:
            return TrackedList([], self._track)
        elif type(value) is dict and value == {}:
            return TrackedDict({}, self._track)
        return value

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """A new weight of this layer. initializer None: glorot_uniform for floats, zeros for others."""
        from graphc import constraints

        kind = config.standardize_dtype(dtype or self.variable_dtype)
        default = "glorot_uniform" if "float" in kind else "zeros"
        sizes = (shape,) if isinstance(shape, int) else tuple(shape or ())
        values = initializers.get(default if initializer is None else initializer)
        with absolute_scope(current_path() or self.path):
            variable = Variable(values, sizes, kind, trainable, autocast, aggregation, name)
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._track(variable)
        if not self.trainable:
            variable.trainable = False
        return variable

    add_variable = add_weight

    @property
    def path(self) -> str:
        """Where the layer was built: the names of the models and layers around it and its own."""
        return self._path or "/".join(filter(None, (current_path(), self.name)))

    @property
    def variables(self) -> list[Variable]:
        """Weights and the states of seed generators, of sublayers too, once each."""
        return _once(v for layer in self._flatten_layers() for v in (*layer._own_weights, *layer._seed_states))

    @property
    def weights(self) -> list[Variable]:
        """The weights of the layer, then those of its sublayers, once each."""
        return _once(v for layer in self._flatten_layers() for v in layer._own_weights)

    @property
    def _own_weights(self) -> list[Variable]:
        return [*self._trainable_variables, *self._non_trainable_variables]

    @property
    def _seed_states(self) -> list[Variable]:
        return [generator.state for generator in self._seed_generators]

    @property
    def trainable_weights(self) -> list[Variable]:
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        return [v for v in self.weights if not v.trainable] if self.trainable else self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.trainable] if self.trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if not v.trainable] if self.trainable else self.variables

    @property
    def metrics(self) -> list[Any]:
        return [metric for layer in self._flatten_layers() for metric in layer._metrics]

    @property
    def metrics_variables(self) -> list[Variable]:
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._trainable_variables:
            variable.trainable = bool(value)
        for layer in self._layers:
            layer.trainable = bool(value)

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        """This layer and those inside it, depth first, once each."""
        found: list[Any] = [self] if include_self else []
        for layer in self._layers:
            inner = layer._flatten_layers() if recursive else [layer]
            found.extend(item for item in inner if not any(item is known for known in found))
        return found

    def get_weights(self) -> list[Any]:
        """Copies of all weights, in the order of `weights`."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Write these values into the weights. ValueError, before any is changed, if count or shapes do not fit."""
        variables = self.weights
        if len(variables) != len(weights):
            raise ValueError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of length "
                f"{len(weights)}, "
                f"but the layer was expecting {len(variables)} weights."
            )
        for variable, value in zip(variables, weights, strict=True):
            if variable.shape != np.shape(value):
                raise ValueError(
                    f"Layer {self.name} weight shape {variable.shape} is not compatible with provided weight shape "
                    f"{np.shape(value)}."
                )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Put the layer's own weights (not those of sublayers) into `store`, as "0", "1", ... in order."""
        for index, variable in enumerate(self._own_weights):
            store[str(index)] = variable

    def load_own_variables(self, store: Any) -> None:
        """Take the layer's own weights from `store`, as `save_own_variables` put them there. ValueError if the number
        or a shape differs."""
        variables = self._own_weights
        if len(store.keys()) != len(variables):
            raise ValueError(
                f"Layer '{self.name}' expected {len(variables)} variables, but received {len(store.keys())} variables "
                f"during loading. Expected: {[variable.name for variable in variables]}"
            )
        for index, variable in enumerate(variables):
            variable.assign(store[str(index)])

    def count_params(self) -> int:
        """The number of scalars in the weights. ValueError if they do not exist yet."""
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't built. You can build it "
                f"manually via: `layer.build(input_shape)`."
            )
        return sum(variable.array.size for variable in self.weights)

    @property
    def dtype(self) -> str:
        return self.dtype_policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        return self.dtype_policy.compute_dtype

    input_dtype = compute_dtype


def holds_state(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(holds_state(item) for item in value)
    if isinstance(value, dict):
        return any(holds_state(item) for item in value.values())
    return isinstance(value, (LayerState, Variable, SeedGenerator)) or getattr(value, "is_metric", False)


def _add_once(items: list[Any], new: Any) -> None:
    if not any(item is new for item in items):
        items.append(new)


def _once(variables: Any) -> list[Variable]:
    return list({id(variable): variable for variable in variables}.values())
