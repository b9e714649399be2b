"""`keras.utils`: preparing data, progress, files, registration of custom objects."""

from graphc.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from graphc.naming import clear_session
from graphc.random import set_random_seed
from graphc.saving.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from graphc.utils.arrays import normalize, pad_sequences, split_dataset, to_categorical
from graphc.utils.files import get_file
from graphc.utils.progbar import Progbar
from graphc.utils.py_dataset import PyDataset, Sequence

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "is_interactive_logging_enabled",
    "normalize",
    "pad_sequences",
    "register_keras_serializable",
    "set_random_seed",
    "split_dataset",
    "to_categorical",
]
