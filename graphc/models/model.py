"""`Model`: a layer that can be trained, evaluated and asked; made of a functional graph or by subclassing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import layers, tree
from graphc.layers.layer import Layer
from graphc.models.inspection import Inspection
from graphc.models.saving import Saving
from graphc.models.trainer import Trainer
from graphc.operation import keras_tensors
from graphc.saving.registry import CustomObjectScope, scope
from graphc.tensor import KerasTensor
from graphc.tracing import infer_spec
from graphc.utils.messages import print_message


def is_functional_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a constructor was given inputs and outputs."""
    return (len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs)) or ("inputs" in kwargs and "outputs" in kwargs)


class Model(Trainer, Inspection, Saving):
    """`Model(inputs, outputs)` of KerasTensors, or a base class whose subclasses define layers and `call`."""

    # of models that know their tensors: functional ones, and Sequential ones that are built
    inputs: Any
    outputs: Any
    input: Any
    output: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and is_functional_call(args, kwargs):
            from graphc.models.functional import Functional

            return Functional.__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from graphc.models.functional import Functional

        if is_functional_call(args, kwargs) and not isinstance(self, Functional):
            # a subclass that calls super().__init__(inputs=..., outputs=...) is a functional model with extras
            own = {"__module__": type(self).__module__}
            object.__setattr__(self, "__class__", type(type(self).__name__, (type(self), Functional), own))
            same: Any = self
            Functional.__init__(same, *args, **kwargs)
            return
        Layer.__init__(self, *args, **kwargs)
        Trainer.__init__(self)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"Model {type(self).__name__} does not have a `call()` method implemented.")

    @property
    def layers(self) -> list[Any]:
        """The layers directly inside."""
        return list(self._layers)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("`Model.layers` attribute is reserved and should not be used. Please use another name.")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by name or index. ValueError if there is none."""
        if index is not None and name is not None:
            raise ValueError(f"Provide only a layer name or a layer index. Received: index={index}, name={name}.")
        if index is not None:
            if len(self.layers) <= index:
                raise ValueError(
                    f"Was asked to retrieve layer at index {index} but model only has {len(self.layers)} layers."
                )
            return self.layers[index]
        if name is None:
            raise ValueError("Provide either a layer name or layer index at `get_layer`.")
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in self.layers]}.")

    def build(self, input_shape: Any) -> None:
        """Make all weights by running `call` on inputs of this shape (None: any size)."""
        if self.built:
            return
        inputs = tree.map_shape_structure(lambda shape: KerasTensor(shape, self.input_dtype), input_shape)
        if not keras_tensors(inputs):
            raise ValueError(f"You can only call `build()` with a shape. Received: input_shape={input_shape}")
        infer_spec(lambda x: self.call(x), (inputs,), {})

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: list[str] | None = None,
        *,
        profile: bool = False,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters.

        profile: beyond Keras: then also what every layer takes in a step, measured (see `profile`).
        """
        from graphc.models.summary import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)
        if profile:
            (print_fn or print_message)(self.profile().by_layer())

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The inverse of `get_config`; a functional config gives a functional model."""
        from graphc.models.configuration import functional_from_config, is_functional_class, is_functional_config

        with CustomObjectScope({**scope(), **(custom_objects or {})}):
            if is_functional_config(config) and is_functional_class(cls):
                return functional_from_config(cls, config)
            return super().from_config(config)


layers.OBJECTS["Model"] = Model
