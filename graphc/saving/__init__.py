"""`keras.saving`: saving and loading models, weights and configurations. Names are loaded when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

# Public names and the modules that have them: layers import the registry, and the rest imports layers.
_NAMES = {
    "CustomObjectScope": "registry",
    "custom_object_scope": "registry",
    "deserialize_keras_object": "serialization",
    "get_custom_objects": "registry",
    "get_registered_name": "registry",
    "get_registered_object": "registry",
    "load_model": "api",
    "load_weights": "api",
    "register_keras_serializable": "registry",
    "save_model": "api",
    "save_weights": "api",
    "serialize_keras_object": "serialization",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'graphc.saving' has no attribute {name!r}")
    return getattr(importlib.import_module(f"graphc.saving.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
