"""What makes a model something that is written to files: configuration, weights, copies."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from typing import Any

from graphc.layers.core import Lambda
from graphc.layers.layer import Layer
from graphc.saving.serialization import restore, serialize_keras_object

# Keras's formats for other tools, and why each of them is not written.
EXPORTS = {
    "tf_saved_model": "it is a graph of TensorFlow",
    "onnx": "not yet",
    "openvino": "it is written by OpenVINO",
    "litert": "it is converted by TensorFlow",
    "torch": "it is a program of PyTorch",
}


class Saving(Layer):
    """The methods of a model that save and load."""

    optimizer: Any
    compiled: bool
    _compile_arguments: dict[str, Any]

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Write the model to a `.keras` (or older `.h5`) file; see `graphc.saving.save_model`."""
        from graphc.saving import save_model

        save_model(self, filepath, overwrite, zipped, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: Any = None) -> None:
        """Write the weights to a `.weights.h5` file; see `graphc.saving.save_weights`."""
        from graphc.saving import save_weights

        save_weights(self, filepath, overwrite, max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Read weights from a file; see `graphc.saving.load_weights`."""
        from graphc.saving import load_weights

        load_weights(self, filepath, skip_mismatch, **kwargs)

    def export(self, filepath: Any, format: str = "tf_saved_model", verbose: Any = None, **kwargs: Any) -> None:
        """NotImplementedError: of Keras's formats for other tools none is written. ValueError for an unknown one."""
        if format not in EXPORTS:
            raise ValueError(f"Unrecognized format={format}. Supported formats are: {list(EXPORTS)}.")
        raise NotImplementedError(
            f"Model.export: format={format!r} is not written: {EXPORTS[format]}. Use `model.save('name.keras')`, from "
            "which Keras exports with the backend of your choice"
        )

    def to_json(self, **kwargs: Any) -> str:
        """The configuration as JSON; keywords are those of `json.dumps`."""
        return json.dumps(serialize_keras_object(self), **kwargs)

    # ---- configuration

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`, the optimizer as it is now; None if the model was not compiled."""
        if not self.compiled:
            return None
        arguments = {**self._compile_arguments, "optimizer": self.optimizer}
        return {name: serialize_keras_object(value) for name, value in arguments.items()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """The inverse of `get_compile_config`; the optimizer's state is made, so that it can be loaded."""
        from graphc.models.trainer import Trainer

        compile: Any = self.compile  # type: ignore[attr-defined]
        if type(self).compile is not Trainer.compile:  # type: ignore[attr-defined]
            warnings.warn(
                "`compile()` was not called as part of model loading because the model's `compile()` method is custom. "
                "Override `get_compile_config()` and `compile_from_config(config)` as well, or call `compile()` after "
                "loading.",
                stacklevel=2,
            )
            return
        compile(**restore(config))
        if self.built and self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def build_from_config(self, config: Any) -> None:
        """Make the weights for the shapes the model was built for, if that is possible without data."""
        try:
            super().build_from_config(config)
        except (NotImplementedError, TypeError, ValueError) as error:
            if "cannot hold weights" in str(error):
                raise
            warnings.warn(
                f"Model '{self.name}' had a build config, but the model cannot be built automatically in "
                f"`build_from_config(config)`: {error}. Override `build_from_config(config)` and "
                "`get_build_config()`.",
                stacklevel=2,
            )

    # ---- copies

    def __reduce__(self) -> Any:
        """Pickles and copies are made of the saved form; classes of one's own go along by reference."""
        from graphc.saving import save_model

        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*holds a Python lambda|.*has not yet been built")
            save_model(self, buffer)
        return model_from_bytes, (buffer.getvalue(), own_objects(self))


def own_objects(layer: Layer) -> dict[str, Any]:
    """The classes of a layer and those inside it that are not graphc's, and the functions of Lambda layers."""
    inside = layer._flatten_layers()
    classes = {type(one).__name__: type(one) for one in inside if not type(one).__module__.startswith("graphc.")}
    return classes | {one.name: one.function for one in inside if isinstance(one, Lambda)}


def model_from_bytes(content: bytes, custom_objects: dict[str, Any]) -> Any:
    """The model whose `.keras` file has this content."""
    from graphc.saving import load_model

    return load_model(io.BytesIO(content), custom_objects)
