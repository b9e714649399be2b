"""`.keras` files: a zip archive of the configuration and the state."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from graphc.saving import hdf5, npz, registry
from graphc.saving.archive import Archive
from graphc.saving.assets import read_assets, write_assets
from graphc.saving.budget import limited_by
from graphc.saving.lambdas import refuse_lambdas
from graphc.saving.registry import CustomObjectScope, Objects, sharing
from graphc.saving.serialization import restore, safe_mode_scope, serialize_keras_object
from graphc.saving.state import Loading, Source, collect
from graphc.utils.files import replacing
from graphc.utils.messages import print_message

# The version whose format is written; older Keras 3 reads it, too.
KERAS_VERSION = "3.15.1"
METADATA, CONFIG = "metadata.json", "config.json"
WEIGHTS_H5, WEIGHTS_NPZ = "model.weights.h5", "model.weights.npz"
CONFIG_LIMIT = 8 << 20

# What reading a file of a stranger may raise in the depths, where its values are taken for what they are not.
_SYMPTOMS = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError)
FilePath = str | os.PathLike[str]


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Whatever is wrong with the file becomes a ValueError that names it; NotImplementedError: what graphc has not."""
    try:
        yield
    except NotImplementedError as error:
        raise NotImplementedError(f"Cannot load {path}: {error}") from error
    except (ValueError, *_SYMPTOMS) as error:
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"Cannot load {path}: {text}") from error


# ---- saving


def model_json(model: Any) -> str:
    """The text of `config.json`."""
    with sharing():
        config = registry.without_single_numbers(serialize_keras_object(model))
    return json.dumps(config)


def write_model(model: Any, file: BinaryIO) -> None:
    """The whole model as an archive."""
    if not model.built:
        warnings.warn(
            "You are saving a model that has not yet been built. It might not contain any weights yet. Consider "
            "building the model first by calling it on some data.",
            stacklevel=4,
        )
    date = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(METADATA, json.dumps({"keras_version": KERAS_VERSION, "date_saved": date}))
        archive.writestr(CONFIG, model_json(model))
        if hdf5.has_h5py():
            archive.writestr(WEIGHTS_H5, hdf5.weights_bytes(collect(model)))
        else:
            print_message(
                f"h5py is not installed: the weights are written as {WEIGHTS_NPZ}, which only graphc reads. "
                "For Keras's own format: pip install 'graphc-compiler[keras]'"
            )
            archive.writestr(WEIGHTS_NPZ, npz.weights_bytes(collect(model)))
        write_assets(model, archive)


def save_keras(model: Any, path: FilePath) -> None:
    """Write a `.keras` file; an old one stays as it is until the new one is complete."""
    replace_with(path, lambda file: write_model(model, file))


def replace_with(path: FilePath, write: Callable[[BinaryIO], Any]) -> None:
    """Let `write(file)` make the content of a file that appears whole or not at all."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        write(file)


def may_write(path: FilePath, overwrite: bool) -> bool:
    """Whether to write: asks at the terminal before it overwrites, if it was not told to. FileExistsError if nobody
    can be asked."""
    if overwrite or not os.path.exists(path):
        return True
    if not sys.stdin or not sys.stdin.isatty():
        raise FileExistsError(f"{os.fspath(path)} exists already; pass overwrite=True or another name")
    answer = input(f"[WARNING] {os.fspath(path)} already exists - overwrite? [y/n]")
    while answer not in ("y", "n"):
        answer = input('Enter "y" (overwrite) or "n" (cancel).')
    return answer == "y"


# ---- loading


def load_keras(path: FilePath, custom_objects: Objects | None, compile: bool, safe_mode: bool) -> Any:
    """The model in a `.keras` file."""
    name = os.fspath(path)
    if not Path(name).is_file():
        raise ValueError(f"File not found: filepath={name}. Please ensure the file is an accessible `.keras` zip file.")
    with open(name, "rb") as file:
        return read_model(file, name, custom_objects, compile, safe_mode)


def read_model(
    file: BinaryIO, name: str, custom_objects: Objects | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model in an open archive. ValueError, naming the file, for whatever is wrong with it."""
    with reading(name):
        archive = Archive(file, name)
        config = parsed(archive.read(CONFIG, CONFIG_LIMIT), CONFIG)
        model = model_of(config, archive.window.size, custom_objects, compile, safe_mode)
        with limited_by(archive.window.size), weights_of(archive) as source:
            Loading(model, source).apply()
        read_assets(model, archive)
    return model


def parsed(text: str | bytes, what: str) -> Any:
    """A configuration's JSON."""
    try:
        config = json.loads(text)
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{what} should be an object, got {type(config).__name__}")
    return config


def model_of(
    config: dict[str, Any], file_size: int, custom_objects: Objects | None, compile: bool, safe_mode: bool
) -> Any:
    """The model of a configuration from a file of this size, not yet with its weights."""
    from graphc.layers import Layer

    config = dict(config) if compile else {**config, "compile_config": None}
    names = {**registry.scope(), **(custom_objects or {})}
    with CustomObjectScope(names), safe_mode_scope(safe_mode), sharing(), limited_by(file_size):
        refuse_lambdas(config, names)
        model = restore(config)
    if not isinstance(model, Layer):
        raise ValueError(f"the configuration is not that of a model: it gives {type(model).__name__}")
    return model


@contextlib.contextmanager
def weights_of(archive: Archive) -> Iterator[Source]:
    """The state in an archive, its checksums checked."""
    if WEIGHTS_H5 in archive.members:
        window = archive.open(WEIGHTS_H5)
        with hdf5.Hdf5File(window, f"{archive.name}: {WEIGHTS_H5}") as file:
            archive.check(WEIGHTS_H5, window)
            yield hdf5.Hdf5Weights(file)
    elif WEIGHTS_NPZ in archive.members:
        window = archive.open(WEIGHTS_NPZ)
        archive.check(WEIGHTS_NPZ, window)
        yield npz.NpzWeights(Archive(io.BufferedReader(window), f"{archive.name}: {WEIGHTS_NPZ}"))
    else:
        raise ValueError(f"{archive.name} has neither {WEIGHTS_H5} nor {WEIGHTS_NPZ}")
