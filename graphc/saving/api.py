"""`keras.saving`: whole models and weights, to files and from them."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

from graphc.saving import hdf5, legacy
from graphc.saving.archive import Archive
from graphc.saving.model_files import (
    FilePath,
    load_keras,
    may_write,
    read_model,
    reading,
    replace_with,
    save_keras,
    weights_of,
    write_model,
)
from graphc.saving.registry import Objects
from graphc.saving.state import Loading, collect
from graphc.saving.window import whole

HDF5_ENDINGS = (".h5", ".hdf5")


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Write configuration, weights and optimizer state.

    filepath: ends in `.keras`, or in `.h5` for Keras's older format; or a binary file. An old file is replaced when the
    new one is complete, and stays as it was if anything fails. include_optimizer=False leaves the optimizer out of
    `.h5`. Raises ValueError for other endings, OSError of the file system.
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    if kwargs.pop("save_format", None):
        warnings.warn("The `save_format` argument is deprecated: the ending of the path tells it.", stacklevel=3)
    if kwargs:
        raise ValueError(f"The following argument(s) are not supported: {list(kwargs)}")
    if isinstance(filepath, io.IOBase):
        write_model(model, filepath)  # type: ignore[arg-type]
        return
    path = os.fspath(filepath)
    if zipped is False:
        raise ValueError(f"graphc writes models as one `.keras` file, not as a folder. Received: filepath={path}")
    if not path.endswith((".keras", *HDF5_ENDINGS)):
        raise ValueError(
            "Invalid filepath extension for saving. Please add either a `.keras` extension for the native Keras format "
            f"(recommended) or a `.h5` extension. Received: filepath={path}."
        )
    if not may_write(path, overwrite):
        return
    if path.endswith(".keras"):
        save_keras(model, path)
    else:
        legacy.save_model(model, path, include_optimizer)


def load_model(
    filepath: Any, custom_objects: Objects | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model in a `.keras` or `.h5` file, compiled as it was unless `compile` is False.

    custom_objects: classes and functions by name, beside the registered ones; the function of a `Lambda` layer by the
    layer's name. safe_mode: accepted for Keras's sake; code in a file is never run, whatever it is. Raises ValueError
    for whatever is wrong with the file, ImportError without h5py for files that need it.
    """
    if isinstance(filepath, io.IOBase):
        return read_model(filepath, "the given file", custom_objects, compile, safe_mode)  # type: ignore[arg-type]
    path = os.fspath(filepath)
    if path.endswith(".keras"):
        return load_keras(path, custom_objects, compile, safe_mode)
    if path.endswith(HDF5_ENDINGS):
        return legacy.load_model(path, custom_objects, compile, safe_mode)
    raise ValueError(
        f"File format not supported: filepath={path}. graphc supports `.keras` files and legacy H5 format files (`.h5` "
        "extension)."
    )


def save_weights(model: Any, filepath: FilePath, overwrite: bool = True, max_shard_size: Any = None) -> None:
    """Write all weights and the optimizer state to a `.weights.h5` file (ValueError for another ending)."""
    path = os.fspath(filepath)
    if max_shard_size is not None:
        raise NotImplementedError("Weights are written to one file; leave `max_shard_size` out")
    if not path.endswith(".weights.h5"):
        raise ValueError(f"The filename must end in `.weights.h5`. Received: filepath={path}")
    if not model.built:
        raise ValueError(
            "You are saving a model that has not yet been built. Try building the model first by calling it on some "
            "data or by using `build()`."
        )
    content = hdf5.weights_bytes(collect(model))
    if may_write(path, overwrite):
        replace_with(path, lambda file: file.write(content))


def load_weights(model: Any, filepath: FilePath, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Read weights (and optimizer state) from a `.weights.h5`, `.keras` or older `.h5` file, all or none of them.

    skip_mismatch: leave layers whose weights do not fit as they are, with a warning. by_name: for `.h5` files, by the
    layers' names instead of their order. objects_to_skip: layers to leave as they are. Raises ValueError if the weights
    do not fit or the file is damaged.
    """
    skipped, by_name = kwargs.pop("objects_to_skip", None), kwargs.pop("by_name", None)
    if kwargs:
        raise ValueError(f"Invalid keyword arguments: {kwargs}")
    path = os.fspath(filepath)
    is_legacy = path.endswith(HDF5_ENDINGS) and not path.endswith(".weights.h5")
    if not is_legacy and not path.endswith((".keras", ".weights.h5")):
        raise ValueError(
            f"File format not supported: filepath={path}. graphc supports `.weights.h5`, `.keras` and legacy `.h5` "
            "weight files."
        )
    if by_name is not None and not is_legacy:
        raise ValueError(f"`by_name` only supports loading legacy '.h5' or '.hdf5' files. Received: {path}")
    if not model.built:
        raise ValueError(
            "You are loading weights into a model that has not yet been built. Try building the model first by calling "
            "it on some data or by using `build()`."
        )
    with open(path, "rb") as file, reading(path):
        if is_legacy:
            legacy.load_weights(model, file, path, bool(by_name), skip_mismatch)
        elif path.endswith(".keras"):
            with weights_of(Archive(file, path)) as source:
                Loading(model, source, skip_mismatch, skipped or ()).apply()
        else:
            with hdf5.Hdf5File(whole(file), path) as weights:
                Loading(model, hdf5.Hdf5Weights(weights), skip_mismatch, skipped or ()).apply()
