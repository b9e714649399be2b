"""Keras scripts run on graphc: an import hook that resolves `keras` and its submodules to graphc's.

`python tests/keras_alias.py SCRIPT [ARGUMENT ...]` runs a script under it.
"""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ALIAS, TARGET = "keras", "graphc"


def target_of(name: str) -> str | None:
    """graphc's name of a module of Keras; None for modules of others."""
    package, _, rest = name.partition(".")
    if package != ALIAS:
        return None
    return f"{TARGET}.{rest}" if rest else TARGET


class AliasLoader(Loader):
    """Puts graphc's own module under Keras's name, so that both names are one module with one state."""

    def exec_module(self, module: ModuleType) -> None:
        target = target_of(module.__name__)
        assert target is not None
        sys.modules[module.__name__] = importlib.import_module(target)


class AliasFinder(MetaPathFinder):
    """Finds `keras` and below; a submodule graphc does not have is a ModuleNotFoundError of Keras's name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = target_of(fullname)
        if found is None:
            return None
        if importlib.util.find_spec(found) is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return ModuleSpec(fullname, AliasLoader())


def install() -> None:
    """From here on `import keras` gives graphc. RuntimeError if something else was imported under that name."""
    if ALIAS in sys.modules and sys.modules[ALIAS] is not importlib.import_module(TARGET):
        raise RuntimeError(f"{ALIAS} is already imported from {sys.modules[ALIAS].__file__}")
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())


def run(script: str) -> None:
    """Run a file as a program in this process."""
    install()
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    run(sys.argv[0])
