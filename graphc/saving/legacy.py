"""Keras's older format: one HDF5 file with the configuration in attributes and the weights by the layers' names."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from graphc import losses, metrics
from graphc.ir.op import Array
from graphc.saving.hdf5 import Hdf5File, library, written
from graphc.saving.model_files import KERAS_VERSION, model_of, parsed, reading, replace_with
from graphc.saving.operations import with_module
from graphc.saving.registry import Objects, get_registered_name
from graphc.saving.serialization import serialize_keras_object
from graphc.saving.state import Mismatch, fitting
from graphc.saving.window import whole
from graphc.variables import Variable

# An HDF5 attribute holds at most this many bytes; longer lists are cut into several.
_ATTRIBUTE_LIMIT = 64_512
_TOP_LEVEL = "top_level_model_weights"

# ---- writing


def save_model(model: Any, path: str, include_optimizer: bool = True) -> None:
    """Write the model; a file that is there stays as it is until the new one is complete."""
    content = written(lambda file: _fill(file, model, include_optimizer))
    replace_with(path, lambda file: file.write(content))


def _fill(file: Any, model: Any, include_optimizer: bool) -> None:
    file.attrs["backend"] = "graphc"
    file.attrs["keras_version"] = KERAS_VERSION
    whole_config = serialize_keras_object(model)
    config = {"class_name": whole_config["class_name"], "config": _old_config(whole_config["config"])}
    file.attrs["model_config"] = _json_bytes(config)
    optimizer = getattr(model, "optimizer", None) if include_optimizer else None
    if optimizer is not None and whole_config.get("compile_config"):
        file.attrs["training_config"] = _json_bytes(_training_config(whole_config["compile_config"], optimizer))
    _fill_weights(file.create_group("model_weights"), model)
    if optimizer is not None:
        _fill_arrays(file.create_group("optimizer_weights"), optimizer.variables)


def _json_bytes(config: Any) -> Any:
    """JSON as an attribute takes it: one of more than 64 KB goes to HDF5's heap, as text of variable length."""
    text = json.dumps(config)
    return text if len(text) > _ATTRIBUTE_LIMIT // 2 else np.bytes_(text.encode())


def _old_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a model with its layers as they were written before they had a module."""
    if not isinstance(config.get("layers"), list):
        return config
    return {**config, "layers": [_old_entry(entry) for entry in config["layers"]]}


def _old_entry(entry: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {
        key: entry[key] for key in ("class_name", "config", "name", "inbound_nodes") if key in entry
    }
    if str(entry.get("module")).startswith("keras.src.ops"):
        return entry
    if entry.get("registered_name") not in (None, "Functional"):
        kept["class_name"] = entry["registered_name"]
    return {**kept, "config": _old_config(entry["config"])}


def _training_config(compile_config: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    rest = {key: value for key, value in compile_config.items() if key != "optimizer"}
    for key, table in (("loss", losses.OBJECTS), ("metrics", metrics.OBJECTS), ("weighted_metrics", metrics.OBJECTS)):
        rest[key] = _long_names(rest.get(key), table)
    own = compile_config["optimizer"]["config"]
    return {**rest, "optimizer_config": {"class_name": get_registered_name(type(optimizer)), "config": own}}


def _long_names(config: Any, table: Mapping[str, Any]) -> Any:
    """Names of functions in full: Keras 3.15 does not find its own short ones (`mse`) in this format."""
    if isinstance(config, str):
        # what these mean depends on the shapes
        is_open = config in ("accuracy", "acc", "crossentropy", "ce")
        return config if is_open else getattr(table.get(config), "__name__", config)
    if isinstance(config, dict) and "class_name" not in config:
        return {key: _long_names(value, table) for key, value in config.items()}
    return [_long_names(item, table) for item in config] if isinstance(config, (list, tuple)) else config


def _fill_weights(group: Any, model: Any) -> None:
    _set_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"] = "graphc"
    group.attrs["keras_version"] = KERAS_VERSION
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        _fill_arrays(group.create_group(layer.name), old_weights(layer))
    _fill_arrays(group.create_group(_TOP_LEVEL), model._own_weights)


def _fill_arrays(group: Any, variables: Iterable[Variable]) -> None:
    names: dict[str, Variable] = {}
    for variable in variables:
        name, number = variable.path, 1
        while name in names:
            name, number = f"{variable.path}_{number}", number + 1
        names[name] = variable
    _set_names(group, "weight_names", list(names))
    for name, variable in names.items():
        group.create_dataset(name, data=variable.array)


def _set_names(group: Any, attribute: str, names: list[str]) -> None:
    encoded = np.asarray([name.encode() for name in names])
    if encoded.nbytes <= _ATTRIBUTE_LIMIT:
        group.attrs[attribute] = encoded if names else np.zeros(0)
        return
    pieces = -(-encoded.nbytes // _ATTRIBUTE_LIMIT) + 1
    for number, part in enumerate(np.array_split(encoded, pieces)):
        group.attrs[f"{attribute}{number}"] = part


def old_weights(layer: Any) -> list[Variable]:
    """The weights in the order of this format: first those that are trained."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


# ---- reading


def load_model(path: str, custom_objects: Objects | None, compile: bool, safe_mode: bool) -> Any:
    """The model in a file of this format, compiled if it was."""
    library()
    if not Path(path).is_file():
        raise ValueError(f"File not found: filepath={path}. Please ensure the file is an accessible `.h5` file.")
    with open(path, "rb") as opened, reading(path), Hdf5File(whole(opened), path) as file:
        text = file.text(file.root, "model_config")
        if text is None:
            raise ValueError("No model config found in the file: it holds weights only; use `load_weights`")
        config = parsed(text, "model_config")
        training = file.text(file.root, "training_config") if compile else None
        size = os.fstat(opened.fileno()).st_size
        model = model_of(_entry_of_old(config), size, custom_objects, True, safe_mode)
        pairs = weights_by_order(model, file, _weights_group(file), skip_mismatch=False)
        if training is not None:
            entry = _compile_entry(parsed(training, "training_config"))
            _compile(model, entry, size, custom_objects, safe_mode)
            pairs += _optimizer_pairs(model, file)
        _write(pairs)
    return model


def _entry_of_old(entry: Any) -> Any:
    """A layer's or model's config with the spellings of Keras 2 replaced."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return entry
    config = dict(entry["config"])
    if "batch_input_shape" in config:
        shape = config.pop("batch_input_shape")
        key = "batch_shape" if entry.get("class_name") == "InputLayer" else "input_shape"
        config[key] = shape if key == "batch_shape" else tuple(shape or ())[1:]
    if isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = config["axis"][0]
    if isinstance(config.get("layers"), list):
        config["layers"] = [_entry_of_old(layer) for layer in config["layers"]]
    if isinstance(config.get("layer"), dict):
        config["layer"] = _entry_of_old(config["layer"])
    return with_module({**entry, "config": config})


def _compile_entry(training: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `compile` in the newer form; the names of objects there say which table they are from."""
    names = ("loss", "metrics", "weighted_metrics", "loss_weights", "run_eagerly", "steps_per_execution", "jit_compile")
    known = {name: training[name] for name in names if name in training}
    optimizer = dict(training["optimizer_config"])
    # what optimizers of Keras 2 wrote and those of Keras 3 do not take
    gone = ("decay", "jit_compile", "is_legacy_optimizer")
    optimizer["config"] = {key: value for key, value in optimizer["config"].items() if key not in gone}
    modules = {"loss": "keras.losses", "metrics": "keras.metrics", "weighted_metrics": "keras.metrics"}
    objects = {name: _with_module(known.get(name), module) for name, module in modules.items()}
    return {**known, **objects, "optimizer": {**optimizer, "module": "keras.optimizers"}}


def _with_module(config: Any, module: str) -> Any:
    if isinstance(config, dict) and "class_name" in config:
        return {"module": module, **config}
    if isinstance(config, dict):
        return {key: _with_module(value, module) for key, value in config.items()}
    return [_with_module(item, module) for item in config] if isinstance(config, list) else config


def _compile(model: Any, entry: dict[str, Any], size: int, custom_objects: Objects | None, safe_mode: bool) -> None:
    from graphc.saving.budget import limited_by
    from graphc.saving.lambdas import refuse_lambdas
    from graphc.saving.registry import CustomObjectScope, scope
    from graphc.saving.serialization import safe_mode_scope

    names = {**scope(), **(custom_objects or {})}
    with CustomObjectScope(names), safe_mode_scope(safe_mode), limited_by(size):
        refuse_lambdas(entry, names)
        model.compile_from_config(entry)


def load_weights(model: Any, opened: BinaryIO, path: str, by_name: bool, skip_mismatch: bool) -> None:
    """Weights in the order of the layers, or by the layers' names; all are read before the first is changed."""
    with Hdf5File(whole(opened), path) as file:
        group = _weights_group(file)
        find = weights_by_name if by_name else weights_by_order
        _write(find(model, file, group, skip_mismatch))


Pairs = list[tuple[Variable, Array]]


def _write(pairs: Pairs) -> None:
    for variable, array in pairs:
        variable.assign(array)


def _weights_group(file: Hdf5File) -> str:
    """Where the layers are: a file of weights only has them at its root."""
    return "" if "layer_names" in file.root.attrs or "layer_names0" in file.root.attrs else "model_weights"


def _names_in(file: Hdf5File, group: str, attribute: str) -> list[str]:
    place = file.group(group)
    if place is None:
        raise ValueError(f"{file.name}: the group {group!r} is missing")
    return file.texts(place, attribute)


def weights_by_order(model: Any, file: Hdf5File, group: str, skip_mismatch: bool) -> Pairs:
    """What to write: the n-th layer with weights in the file belongs to the n-th in the model."""
    layers = [layer for layer in model.layers if old_weights(layer)]
    names = [name for name in _names_in(file, group, "layer_names") if _weight_names(file, group, name)]
    if len(names) != len(layers):
        raise ValueError(
            f"Layer count mismatch when loading weights from file. Model expected {len(layers)} layers, found "
            f"{len(names)} saved layers."
        )
    pairs: Pairs = []
    for number, (name, layer) in enumerate(zip(names, layers, strict=True)):
        where = f"layer #{number} (named {layer.name} in the current model, {name} in the save file)"
        pairs += _layer_pairs(file, f"{group}/{name}", old_weights(layer), where, skip_mismatch)
    return pairs + _top_level_pairs(model, file, group, skip_mismatch)


def weights_by_name(model: Any, file: Hdf5File, group: str, skip_mismatch: bool) -> Pairs:
    """What to write: layers that the file has no name for keep their weights."""
    saved = set(_names_in(file, group, "layer_names"))
    pairs: Pairs = []
    for number, layer in enumerate(model.layers):
        if layer.name in saved:
            where = f"layer #{number} (named {layer.name})"
            pairs += _layer_pairs(file, f"{group}/{layer.name}", old_weights(layer), where, skip_mismatch)
    return pairs + _top_level_pairs(model, file, group, skip_mismatch)


def _weight_names(file: Hdf5File, group: str, name: str) -> list[str]:
    return _names_in(file, f"{group}/{name}", "weight_names")


def _top_level_pairs(model: Any, file: Hdf5File, group: str, skip_mismatch: bool) -> Pairs:
    if file.group(f"{group}/{_TOP_LEVEL}") is None:
        return []
    return _layer_pairs(file, f"{group}/{_TOP_LEVEL}", model._own_weights, "top-level weights", skip_mismatch)


def _layer_pairs(file: Hdf5File, path: str, variables: list[Variable], where: str, skip_mismatch: bool) -> Pairs:
    names = _names_in(file, path, "weight_names")
    try:
        if len(names) != len(variables):
            raise Mismatch(
                f"Weight count mismatch for {where}. Layer expects {len(variables)} weight(s). Received {len(names)} "
                "saved weight(s)"
            )
        return [(v, _fitting_array(file, f"{path}/{name}", v)) for name, v in zip(names, variables, strict=True)]
    except Mismatch as error:
        if not skip_mismatch:
            raise
        warnings.warn(f"Skipping loading of weights for {where}: {error}", stacklevel=6)
        return []


def _fitting_array(file: Hdf5File, path: str, variable: Variable) -> Array:
    return fitting(file.array(path, variable.shape, variable.array.dtype.kind), variable, path)


def _optimizer_pairs(model: Any, file: Hdf5File) -> Pairs:
    if file.group("optimizer_weights") is None:
        return []
    names = _names_in(file, "optimizer_weights", "weight_names")
    variables = model.optimizer.variables
    if len(names) != len(variables):
        warnings.warn(
            "Error in loading the saved optimizer state. As a result, your model is starting with a freshly "
            f"initialized optimizer: it has {len(variables)} variables and the file {len(names)}.",
            stacklevel=5,
        )
        return []
    return _layer_pairs(file, "optimizer_weights", variables, "the optimizer", skip_mismatch=False)
