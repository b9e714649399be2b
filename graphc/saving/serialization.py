"""Objects to configurations and back, in Keras's format.

Reading looks names up in fixed tables of graphc's own classes and functions, in the registry and in `custom_objects`.
A `module` in a file only says which of the tables is meant. Nothing is imported, and no stored code is ever run.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from graphc import config as settings
from graphc.operation import OpCall
from graphc.saving import operations, registry
from graphc.saving.registry import Objects
from graphc.tensor import KerasTensor

_safe_mode: contextvars.ContextVar[bool] = contextvars.ContextVar("safe_mode", default=True)

PLAIN = (str, int, float, bool)


@contextlib.contextmanager
def safe_mode_scope(safe_mode: bool) -> Iterator[None]:
    """Inside, stored Python code is refused in the words for `safe_mode`."""
    token = _safe_mode.set(bool(safe_mode) and not settings.is_unsafe_deserialization_enabled())
    try:
        yield
    finally:
        _safe_mode.reset(token)


# ---- objects to configs


def serialize_keras_object(obj: Any) -> Any:
    """What JSON holds of an object: plain values as they are, others as {"class_name", "config", ...}.

    Raises TypeError for an object without `get_config`.
    """
    if obj is None or isinstance(obj, PLAIN):
        return obj
    if isinstance(obj, (list, tuple)):
        return type(obj)(map(serialize_keras_object, obj)) if type(obj) in (list, tuple) else _listed(obj)
    if isinstance(obj, Mapping):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    tagged = _tagged(obj)
    if tagged is not None:
        return tagged
    if inspect.isfunction(obj):
        return serialize_function(obj)
    if isinstance(obj, OpCall):
        return operations.serialize_operation(obj)
    if hasattr(obj, "get_config"):
        return _serialize_instance(obj)
    raise TypeError(
        f"Cannot serialize object {obj} of type {type(obj)}. To be serializable, a class must implement the "
        "`get_config()` method."
    )


def _listed(values: Any) -> list[Any]:
    return [serialize_keras_object(value) for value in values]


def _tagged(obj: Any) -> Any:
    """Values that JSON has no form for."""
    if isinstance(obj, np.ndarray) and obj.ndim > 0:
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, (np.generic, np.ndarray)):
        return obj.item()
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        return {"class_name": "__slice__", "config": {"start": obj.start, "stop": obj.stop, "step": obj.step}}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, KerasTensor):
        history = obj._keras_history
        place = [history.operation.name, history.node_index, history.tensor_index] if history else None
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": obj.shape, "dtype": obj.dtype, "keras_history": place},
        }
    return None


def serialize_function(function: Any) -> dict[str, Any]:
    """The config of a function: its registered name, else its Python name. ValueError for a lambda."""
    if function.__name__ == "<lambda>":
        raise ValueError(
            "A lambda has no name to be written into a file. Use a function made with `def`, decorated with "
            "`@keras.saving.register_keras_serializable()`"
        )
    return {
        "module": "builtins",
        "class_name": "function",
        "config": registry.get_registered_name(function),
        "registered_name": "function",
    }


def _serialize_instance(obj: Any) -> dict[str, Any]:
    entry = registry.serialize_object(obj, module_of(obj))
    entry.update({key: serialize_keras_object(entry[key]) for key in ("config", "build_config") if key in entry})
    return entry


def module_of(obj: Any) -> str:
    """Keras's public module of the class of one of graphc's own objects."""
    from graphc import (
        constraints,
        dtype_policies,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        random,
        regularizers,
    )
    from graphc.layers.preprocessing import feature_space
    from graphc.optimizers import schedules

    kinds: tuple[tuple[Any, str], ...] = (
        (models.Functional, "keras.src.models.functional"),
        (feature_space.FeatureSpace, "keras.utils"),
        ((feature_space.Cross, feature_space.Feature), feature_space.MODULE),
        (models.Model, "keras"),
        (layers.Layer, "keras.layers"),
        (dtype_policies.DTypePolicy, "keras"),
        (losses.Loss, "keras.losses"),
        (metrics.Metric, "keras.metrics"),
        (schedules.LearningRateSchedule, "keras.optimizers.schedules"),
        (optimizers.Optimizer, "keras.optimizers"),
        (initializers.Initializer, "keras.initializers"),
        (regularizers.Regularizer, "keras.regularizers"),
        (constraints.Constraint, "keras.constraints"),
        (random.SeedGenerator, "keras.random"),
    )
    return next((module for kind, module in kinds if isinstance(obj, kind)), type(obj).__module__)


# ---- configs to objects


def deserialize_keras_object(
    config: Any, custom_objects: Objects | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """The inverse of `serialize_keras_object`.

    custom_objects: classes and functions by name, beside the registered ones. safe_mode: see `load_model`. Raises
    ValueError for a name in no table and for stored Python code, TypeError for what is not a config.
    """
    module_objects = kwargs.pop("module_objects", None)
    if kwargs:
        raise TypeError(f"deserialize_keras_object() got an unexpected keyword argument '{next(iter(kwargs))}'")
    with (
        registry.CustomObjectScope({**registry.scope(), **(custom_objects or {})}),
        safe_mode_scope(safe_mode and _safe_mode.get()),
    ):
        if module_objects is not None and not isinstance(config, (list, tuple)):
            return registry.deserialize_object(config, module_objects, custom_objects, kind="object")
        return restore(config)


def restore(config: Any) -> Any:
    """The object of a config, in the scopes of custom objects and safety that are open."""
    if config is None or isinstance(config, (int, float)):
        return config
    if isinstance(config, str):
        found = registry.get_registered_object(config)
        return config if found is None else found
    if isinstance(config, (list, tuple)):
        return [restore(item) for item in config]
    if not isinstance(config, Mapping):
        raise TypeError(f"Could not parse config: {config}")
    if "class_name" not in config or "config" not in config:
        return {key: restore(value) for key, value in config.items()}
    return _restore_entry(dict(config))


def _restore_entry(entry: dict[str, Any]) -> Any:
    name, config = entry["class_name"], entry["config"] if entry["config"] is not None else {}
    if not isinstance(name, str):
        raise TypeError(f"Could not parse config: class_name is {name!r}")
    if name in _TAGS:
        return _TAGS[name](config)
    if operations.is_operation(entry) and registry.get_registered_object(str(entry.get("registered_name"))) is None:
        return operations.deserialize_operation(entry)
    if name == "function":
        return function_of(config)
    subject = class_of(entry)
    if not inspect.isclass(subject):
        return subject
    if not isinstance(config, Mapping):
        raise TypeError(f"Expected 'config' to be a dict for {name}, got {config!r}")
    return registry.instance_of(subject, dict(config), entry)


def _array(config: Any) -> Any:
    return np.array(config["value"], dtype=settings.standardize_dtype(config["dtype"]))


def _tensor(config: Any) -> KerasTensor:
    tensor = KerasTensor(config["shape"], config["dtype"])
    tensor._keras_history = config["keras_history"]
    return tensor


def refuse_code(config: Any) -> Any:
    """Stored Python code, in safe mode and out of it."""
    raise ValueError(code_message("This file"))


def code_message(where: str) -> str:
    """Why a lambda in a file is not run, and what to do."""
    if _safe_mode.get():
        start = (
            f"{where} holds a Python lambda, and running code from a file is refused (`safe_mode=True`). "
            "graphc does not run it with `safe_mode=False` either"
        )
    else:
        start = f"{where} holds a Python lambda. graphc never runs code that is stored in a file, whatever `safe_mode`"
    return (
        f"{start}: the bytes of a lambda are a program that can do anything. Pass the function yourself, by the name "
        "of its layer: `load_model(path, custom_objects={'name_of_the_layer': function})`"
    )


_TAGS: dict[str, Any] = {
    "__numpy__": _array,
    "__tensor__": _array,
    "__bytes__": lambda config: config["value"].encode("utf-8"),
    "__ellipsis__": lambda config: Ellipsis,
    "__slice__": lambda config: slice(config["start"], config["stop"], config["step"]),
    "__keras_tensor__": _tensor,
    "__lambda__": refuse_code,
}


def function_of(name: Any) -> Any:
    """The function of a name: a custom one, or one of graphc's activations, losses and metrics."""
    found = registry.get_registered_object(name) if isinstance(name, str) else None
    if found is None:
        found = next((table[name] for table in _function_tables() if isinstance(name, str) and name in table), None)
    if found is None or inspect.isclass(found):
        raise ValueError(
            f"Could not locate function '{name}'. Register it with `@keras.saving.register_keras_serializable()`, or "
            f"pass it: `custom_objects={{'{name}': function}}`"
        )
    return found


def class_of(entry: Mapping[str, Any]) -> Any:
    """The class an entry names: a custom one, else one of graphc's in the table its `module` means."""
    name, registered = entry["class_name"], entry.get("registered_name")
    for key in (registered, name, str(registered).split(">")[-1], name.split(">")[-1]):
        found = registry.get_registered_object(key) if isinstance(key, str) else None
        if found is not None:
            return found
    tables = _class_tables()
    module = str(entry.get("module"))
    # a private module, as `keras.src.models.functional`: any table will do
    chosen = [tables[module]] if module in tables else list(tables.values())
    for table in chosen:
        if inspect.isclass(table.get(name)):
            return table[name]
    raise ValueError(
        f"Could not locate class '{name}'. Make sure custom classes and functions are decorated with "
        f"`@keras.saving.register_keras_serializable()`, or pass them: `custom_objects={{'{name}': ...}}`. "
        f"Known by the file as module={entry.get('module')!r}, registered_name={registered!r}; neither is imported"
    )


def _class_tables() -> dict[str, Mapping[str, Any]]:
    from graphc import (
        constraints,
        dtype_policies,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        random,
        regularizers,
    )
    from graphc.layers.preprocessing import feature_space
    from graphc.optimizers import schedules

    policy = {"DTypePolicy": dtype_policies.DTypePolicy}
    whole = {"Model": models.Model, "Functional": models.Functional, "Sequential": models.Sequential}
    return {
        "keras": {**policy, **whole},
        "keras.models": whole,
        "keras.dtype_policies": policy,
        "keras.layers": layers.OBJECTS,
        "keras.losses": losses.OBJECTS,
        "keras.metrics": metrics.OBJECTS,
        "keras.optimizers": optimizers.OBJECTS,
        "keras.optimizers.schedules": schedules.OBJECTS,
        "keras.initializers": initializers.OBJECTS,
        "keras.regularizers": regularizers.OBJECTS,
        "keras.constraints": constraints.OBJECTS,
        "keras.random": {"SeedGenerator": random.SeedGenerator},
        "keras.utils": {"FeatureSpace": feature_space.FeatureSpace},
        feature_space.MODULE: feature_space.OBJECTS,
    }


def _function_tables() -> tuple[Mapping[str, Any], ...]:
    from graphc import activations, losses, metrics

    return activations._FUNCTIONS, losses.OBJECTS, metrics.OBJECTS
