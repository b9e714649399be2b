"""Sequential models: layers one after the other."""

from __future__ import annotations

from typing import Any

from graphc import layers, naming, tree
from graphc.layers.core import InputLayer
from graphc.layers.layer import Layer
from graphc.models.functional import Functional
from graphc.models.model import Model
from graphc.saving.registry import CustomObjectScope, scope
from graphc.saving.serialization import restore, serialize_keras_object
from graphc.scope import name_scope
from graphc.tensor import KerasTensor


class Sequential(Model):
    """A stack of layers with one input and one output each.

    With an `Input` first (or `input_shape=` on the first layer) the weights exist at once, otherwise from the first
    data or `build(input_shape)` on.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return Layer.__new__(cls, *args, **kwargs)

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        Model.__init__(self, trainable=trainable, name=name)
        self._functional: Functional | None = None
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer at the end."""
        self._append(layer)
        if rebuild:
            self._rebuild()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor) and layer._keras_history is not None:
            layer = layer._keras_history.operation
        if not isinstance(layer, Layer):
            raise ValueError(
                "Only instances of `keras.Layer` can be added to a Sequential model. Received: "
                f"{layer} (of type {type(layer)})"
            )
        if any(known.name == layer.name for known in self._layers):
            raise ValueError(
                f"All layers added to a Sequential model should have unique names. Name '{layer.name}' is already the "
                "name of "
                "a layer in this model. Update the `name` argument to pass a unique name."
            )
        if isinstance(layer, InputLayer) and self._layers and isinstance(self._layers[0], InputLayer):
            raise ValueError(
                f"Sequential model '{self.name}' has already been configured to use input shape "
                f"{self._layers[0].batch_shape}. "
                "You cannot add a different Input layer to it."
            )
        if not self._layers and layer._input_shape_arg is not None:
            self._layers.append(InputLayer(shape=layer._input_shape_arg, dtype=_input_dtype(layer)))
        self._layers.append(layer)

    def pop(self, rebuild: bool = True) -> Any:
        """Take the last layer away and return it."""
        layer: Layer = self._layers.pop()
        self._forget_executables()
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self) -> None:
        self._functional, self.built = None, False
        self._forget_executables()
        if self._layers and isinstance(self._layers[0], InputLayer) and len(self._layers) > 1:
            self.build(self._layers[0].batch_shape)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape; ValueError if it differs from an `Input` that was added."""
        if not isinstance(input_shape, (tuple, list)):
            return
        if not self._layers:
            raise ValueError(
                f"Sequential model {self.name} cannot be built because it has no layers. Call `model.add(layer)`."
            )
        if isinstance(self._layers[0], InputLayer):
            if tuple(self._layers[0].batch_shape) != tuple(input_shape):
                raise ValueError(
                    f"Sequential model '{self.name}' has already been configured to use input shape "
                    f"{self._layers[0].batch_shape}. You cannot build it with input_shape {tuple(input_shape)}"
                )
        else:
            dtype = _input_dtype(self._layers[0])
            self._layers.insert(0, InputLayer(batch_shape=tuple(input_shape), dtype=dtype))
        inputs = self._layers[0].tensor
        x = inputs
        for layer in self._layers[1:]:
            x = layer(x)
        # Keras draws a name for the functional model inside, so that the next one is `functional_1`
        naming.auto_name("Functional")
        with name_scope(self.name):
            object.__setattr__(self, "_functional", Functional(inputs, x, name=self.name))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        assert self._functional is not None, "a Sequential model is built before it is called"
        return self._functional.call(inputs, training, mask)

    def _maybe_build(self, arguments: dict[str, Any]) -> None:
        if self._functional is None:
            super()._maybe_build(arguments)

    @property
    def layers(self) -> list[Any]:
        """The layers, without the InputLayer."""
        start = 1 if self._layers and isinstance(self._layers[0], InputLayer) else 0
        return list(self._layers[start:])

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError(
            "`Sequential.layers` attribute is reserved and should not be used. Use `add()` and `pop()` to change the "
            "layers "
            "in this model."
        )

    @property
    def input_spec(self) -> Any:
        return None if self._functional is None else self._functional.input_spec

    @input_spec.setter
    def input_spec(self, _: Any) -> None:
        """The first layer says what fits."""

    @property
    def _built_functional(self) -> Functional:
        if self._functional is None:
            raise AttributeError(f"Sequential model '{self.name}' has no defined input shape yet.")
        return self._functional

    @property
    def inputs(self) -> list[KerasTensor]:
        return self._built_functional.inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._built_functional.outputs

    @property
    def input(self) -> Any:
        return self._built_functional.input

    @property
    def output(self) -> Any:
        return self._built_functional.output

    @property
    def input_shape(self) -> Any:
        return self._built_functional.input_shape

    @property
    def output_shape(self) -> Any:
        return self._built_functional.output_shape

    @property
    def output_names(self) -> list[str] | None:
        return None if self._functional is None else self._functional.output_names

    @property
    def operations(self) -> list[Any]:
        return self._built_functional.operations

    def get_config(self) -> dict[str, Any]:
        config = {
            **Layer.get_config(self),
            "layers": [serialize_keras_object(layer) for layer in self._layers],
        }
        if self._functional is not None:
            config["build_input_shape"] = self._layers[0].batch_shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        if not isinstance(config, dict) or not {"name", "layers"} <= set(config):
            raise ValueError(
                "A Sequential model configuration must be a dictionary containing the 'name' and 'layers' keys. "
                f"Received: config={config}"
            )
        model = cls(name=config["name"])
        with CustomObjectScope({**scope(), **(custom_objects or {})}):
            for entry in config["layers"]:
                model.add(restore(entry), rebuild=False)
        model._rebuild()
        shape = config.get("build_input_shape")
        if not model.built and shape and isinstance(shape, (tuple, list)):
            model.build(tuple(shape))
        return model


def _input_dtype(layer: Layer) -> str:
    return tree.flatten(layer.input_dtype)[0] if not isinstance(layer, layers.Embedding) else "float32"


layers.OBJECTS["Sequential"] = Sequential
