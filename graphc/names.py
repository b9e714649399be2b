"""The public names of Keras 3.15, so that a missing name can be told from a misspelt one.

`keras_names.txt` has a line for each public module: the module, a colon, its names. It is what the modules of Keras
3.15.1 contain; `tests/test_keras.py` compares it with the Keras that is installed.
"""

from __future__ import annotations

import functools
from importlib.resources import files

VERSION = "3.15"


def version() -> str:
    """The version of graphc, as `graphc.__version__`."""
    from graphc import __version__

    return __version__


def keras_names_text() -> str:
    """The list as it is stored."""
    return files("graphc").joinpath("keras_names.txt").read_text("ascii")


@functools.cache
def keras_names() -> dict[str, frozenset[str]]:
    """The names of each public module of Keras; modules as "keras", "keras.layers", "keras.ops.image"."""
    split = (line.split(": ", 1) for line in keras_names_text().splitlines())
    return {module: frozenset(names.split()) for module, names in split}


def keras_has(module: str, name: str) -> bool:
    """Whether Keras 3.15 has a public name. module: "layers", "keras.layers" or "graphc.layers"; "keras" is the top."""
    first, _, rest = module.partition(".")
    path = rest if first in ("keras", "graphc") else module
    return name in keras_names().get(f"keras.{path}".rstrip("."), ())
