"""`keras.utils`: preparing data, progress, files, registration of custom objects; loaded by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc import lazy

_HOMES = lazy.homes({
    "graphc.config": """disable_interactive_logging enable_interactive_logging is_interactive_logging_enabled
    standardize_dtype""",
    "graphc.layers.preprocessing.feature_space": "FeatureSpace",
    "graphc.naming": "clear_session",
    "graphc.operation": "get_source_inputs",
    "graphc.random": "set_random_seed",
    "graphc.tensor": "is_keras_tensor",
    "graphc.saving.registry": """CustomObjectScope custom_object_scope get_custom_objects get_registered_name
    get_registered_object register_keras_serializable""",
    "graphc.saving.serialization": "deserialize_keras_object serialize_keras_object",
    ".arrays": "normalize pad_sequences split_dataset to_categorical",
    ".directories": """audio_dataset_from_directory image_dataset_from_directory
    text_dataset_from_directory""",
    ".files": "get_file",
    ".images": "array_to_img img_to_array load_img save_img",
    ".model_visualization": "model_to_dot plot_model",
    ".packing": "pack_x_y_sample_weight unpack_x_y_sample_weight",
    ".progbar": "Progbar",
    ".py_dataset": "PyDataset Sequence",
    ".settings": "Config",
    ".timeseries": "timeseries_dataset_from_array",
})  # fmt: skip

if TYPE_CHECKING:
    # what `__getattr__` finds, for type checkers and editors; a test compares the two
    from graphc.config import (
        disable_interactive_logging,
        enable_interactive_logging,
        is_interactive_logging_enabled,
        standardize_dtype,
    )
    from graphc.layers.preprocessing.feature_space import FeatureSpace
    from graphc.naming import clear_session
    from graphc.operation import get_source_inputs
    from graphc.random import set_random_seed
    from graphc.saving.registry import (
        CustomObjectScope,
        custom_object_scope,
        get_custom_objects,
        get_registered_name,
        get_registered_object,
        register_keras_serializable,
    )
    from graphc.saving.serialization import deserialize_keras_object, serialize_keras_object
    from graphc.tensor import is_keras_tensor
    from graphc.utils.arrays import normalize, pad_sequences, split_dataset, to_categorical
    from graphc.utils.directories import (
        audio_dataset_from_directory,
        image_dataset_from_directory,
        text_dataset_from_directory,
    )
    from graphc.utils.files import get_file
    from graphc.utils.images import array_to_img, img_to_array, load_img, save_img
    from graphc.utils.model_visualization import model_to_dot, plot_model
    from graphc.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
    from graphc.utils.progbar import Progbar
    from graphc.utils.py_dataset import PyDataset, Sequence
    from graphc.utils.settings import Config
    from graphc.utils.timeseries import timeseries_dataset_from_array
else:
    __getattr__ = lazy.loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Config",
    "CustomObjectScope",
    "FeatureSpace",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
