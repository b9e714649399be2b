"""Layers applied one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.layers.layer import Layer


class Pipeline(Layer):
    """Preprocessing layers as one; all are told whether the model is training (by default they augment)."""

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        self._pipeline_layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        return list(self._pipeline_layers)

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        for layer in self._pipeline_layers:
            options = {"mask": mask} if mask is not None and layer._call_takes("mask") else {}
            inputs = layer(inputs, training=training, **options)
            mask = getattr(inputs, "_keras_mask", None)
        return inputs

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        from graphc import layers  # which this class is part of

        if not isinstance(config.get("layers"), (list, tuple)):
            raise ValueError(
                "`Pipeline` config must contain a `layers` key mapping to a list of serialized layers. Received config "
                f"with layers={config.get('layers')}."
            )
        return cls(**{**config, "layers": [layers.deserialize(layer) for layer in config["layers"]]})

    def get_config(self) -> dict[str, Any]:
        from graphc import layers

        return {"layers": [layers.serialize(layer) for layer in self._pipeline_layers], "name": self.name}
