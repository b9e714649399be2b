"""Keras scripts on graphc: an import hook through which `keras` and its submodules are graphc's own modules."""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

TARGET = "graphc"
ALIASES = ("tensorflow.keras", "keras")


def target_of(name: str) -> str | None:
    """graphc's name of a module of Keras ("keras.layers", "tensorflow.keras.layers"); None for modules of others."""
    for alias in ALIASES:
        if name == alias or name.startswith(f"{alias}."):
            return TARGET + name[len(alias) :]
    return None


class AliasLoader(Loader):
    """Puts graphc's own module under Keras's name, so that both names are one module with one state."""

    def exec_module(self, module: ModuleType) -> None:
        target = target_of(module.__name__)
        assert target is not None
        sys.modules[module.__name__] = importlib.import_module(target)


class TensorFlowStandIn(ModuleType):
    """What `import tensorflow` gives where TensorFlow is not installed: its `keras`, and errors for all else."""

    def __getattr__(self, name: str) -> Any:
        if name == "keras":
            return importlib.import_module(TARGET)
        raise AttributeError(f"tensorflow.{name}: TensorFlow is not installed, and graphc has its `keras` only")


class StandInLoader(Loader):
    """Makes the stand-in of TensorFlow a package."""

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = TensorFlowStandIn


class AliasFinder(MetaPathFinder):
    """Finds `keras` and below; a submodule graphc does not have is a ModuleNotFoundError of Keras's name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "tensorflow" and PathFinder.find_spec(fullname) is None:
            return ModuleSpec(fullname, StandInLoader(), is_package=True)
        found = target_of(fullname)
        if found is None:
            return None
        if importlib.util.find_spec(found) is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return ModuleSpec(fullname, AliasLoader())


def install() -> None:
    """From here on `import keras` gives graphc. RuntimeError if something else was imported under that name."""
    found = sys.modules.get("keras")
    if found is not None and found is not importlib.import_module(TARGET):
        raise RuntimeError(f"keras is already imported from {found.__file__}")
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())


def run(script: str, arguments: Sequence[str] = ()) -> None:
    """Run a file as the main program of this process, with these arguments."""
    install()
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")
