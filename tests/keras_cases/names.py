"""The public names of the installed Keras; run as a program, it writes the list that graphc carries."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import keras

import graphc

PRIVATE = {"src", "_tf_keras", "__pycache__"}


def listing() -> str:
    """A line for each public module: its name, a colon, its names in order."""
    return "".join(f"{module}: {' '.join(names)}\n" for module, names in sorted(_modules()))


def _modules() -> Iterator[tuple[str, list[str]]]:
    root = Path(keras.__file__).parent
    for file in root.rglob("__init__.py"):
        parts = file.parent.relative_to(root).parts
        if PRIVATE.isdisjoint(parts):
            name = ".".join(["keras", *parts])
            inner = {path.parent.name for path in file.parent.glob("*/__init__.py")}
            names = {found for found in vars(importlib.import_module(name)) if not found.startswith("_")}
            yield name, sorted((names | inner) - PRIVATE)


if __name__ == "__main__":
    (Path(graphc.__file__).parent / "keras_names.txt").write_text(listing(), "ascii")
