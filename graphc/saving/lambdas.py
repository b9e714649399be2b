"""Lambdas in configurations: found before anything is made of a file, and never run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from graphc.saving import registry
from graphc.saving.registry import Objects
from graphc.saving.serialization import code_message, function_of, restore, serialize_keras_object


def refuse_lambdas(config: Any, custom_objects: Objects) -> None:
    """ValueError for Python code anywhere in a configuration, naming the layer it is in.

    A `Lambda` layer whose name is a key of `custom_objects` takes its function from there and is let through.
    """
    for owner in _owners_of_code(config, ""):
        if owner not in custom_objects:
            raise ValueError(code_message(f"Layer or object {owner!r}" if owner else "The configuration"))


def _owners_of_code(config: Any, owner: str) -> Iterator[str]:
    """The names of the innermost named objects that hold code."""
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _owners_of_code(item, owner)
        return
    if not isinstance(config, dict):
        return
    if is_code(config):
        yield owner
        return
    inner = config.get("config")
    if isinstance(inner, dict) and isinstance(inner.get("name"), str):
        owner = inner["name"]
    if config.get("class_name") == "Lambda" and isinstance(inner, dict) and _is_lambda_of_keras_2(inner):
        yield owner
    for value in config.values():
        yield from _owners_of_code(value, owner)


def is_code(config: Any) -> bool:
    """Whether a config is that of a Python lambda."""
    return isinstance(config, dict) and config.get("class_name") == "__lambda__"


def _is_lambda_of_keras_2(config: dict[str, Any]) -> bool:
    return isinstance(config.get("function"), list) or config.get("function_type") == "lambda"


def function_config(function: Any, layer: str) -> Any:
    """What a `Lambda` layer writes for its function: a name, or for a lambda only that there was one."""
    if not callable(function):
        return serialize_keras_object(function)
    if getattr(function, "__name__", "<lambda>") != "<lambda>":
        return serialize_keras_object(function)
    warnings.warn(
        f"Layer '{layer}' holds a Python lambda, which cannot be written into a configuration; everything else is. To "
        f"load the model pass the function: `load_model(path, custom_objects={{'{layer}': function}})`. Or use a "
        "function made with `def` and `@keras.saving.register_keras_serializable()`",
        stacklevel=4,
    )
    return {"class_name": "__lambda__", "config": {"value": None}}


def function_from(config: Any, layer: str) -> Any:
    """The inverse: the function that was passed for the layer, or the one of the name. ValueError otherwise."""
    given = registry.get_registered_object(layer)
    if given is not None and not isinstance(given, type):
        return given
    if is_code(config) or isinstance(config, list):
        raise ValueError(code_message(f"Layer {layer!r}"))
    if isinstance(config, str):
        return function_of(config)
    return restore(config)
