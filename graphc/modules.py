"""What the modules of the face do about names they do not have: submodules, old spellings, errors that help."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from opcode import opmap
from types import FrameType, ModuleType
from typing import Any

ROOT = "graphc"


class FaceModule(ModuleType):
    """A module of the face. Its submodules become such modules when they are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        # this is how Python's import machinery hands over a submodule it has loaded
        if type(value) is ModuleType and value.__name__ == f"{self.__name__}.{name}":
            _convert(value)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            found = _old_name(self, name) or _submodule(self, name)
            if found is not None:
                return found
            message = _explanation(self, name)
            if _is_import_from(sys._getframe(1)):
                # of an AttributeError Python would keep nothing
                raise ImportError(message, name=self.__name__)
            raise AttributeError(message)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _convert(module: ModuleType) -> None:
    """Make a module a `FaceModule`, and those it has loaded itself."""
    module.__class__ = FaceModule
    for name, value in list(vars(module).items()):
        if type(value) is ModuleType and value.__name__ == f"{module.__name__}.{name}":
            _convert(value)


def _is_import_from(frame: FrameType) -> bool:
    """Whether this frame is running `from module import name`."""
    return frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]


def _below_root(module: ModuleType) -> str:
    return module.__name__.partition(".")[2]


def _old_name(module: ModuleType, name: str) -> Any:
    """The object an older Keras had under this name, with a warning; None if it had none."""
    from graphc import config
    from graphc.legacy.deprecation import deprecated
    from graphc.legacy.names import MODULES, NAMES

    place = _below_root(module)
    if not config.legacy_names():
        return None
    if (new := NAMES.get(place, {}).get(name)) is not None:
        deprecated(f"`keras.{place}.{name}` is deprecated; use `keras.{place}.{new}`.")
        return getattr(module, new)
    home = MODULES.get(place)
    if home is None or name not in dir(importlib.import_module(f"{ROOT}.{home}")):
        return None
    deprecated(f"`keras.{place}` is deprecated; `{name}` is in `keras.{home}`.")
    return getattr(importlib.import_module(f"{ROOT}.{home}"), name)


def _submodule(module: ModuleType, name: str) -> ModuleType | None:
    """A module of Keras's below this one, imported when it is first used."""
    from graphc.names import keras_has

    full = f"{module.__name__}.{name}"
    if not hasattr(module, "__path__") or not keras_has(module.__name__, name) or full in sys.modules:
        return None
    return importlib.import_module(full) if importlib.util.find_spec(full) else None


def _explanation(module: ModuleType, name: str) -> str:
    """What to know about a name that is not there."""
    from graphc.legacy.names import GONE, UNSUPPORTED
    from graphc.names import VERSION, keras_has

    path = ".".join(filter(None, (_below_root(module), name)))
    if path in GONE:
        return f"keras.{path} is gone since Keras 3: {GONE[path]}"
    if path == f"backend.{name}" and name in dir(importlib.import_module(f"{ROOT}.ops")):
        return f"keras.{path} is gone since Keras 3: use keras.ops.{name}"
    if keras_has(module.__name__, name):
        reason = UNSUPPORTED.get(path) or UNSUPPORTED.get(path.partition(".")[0])
        return f"keras.{path} is part of Keras {VERSION} but not supported by graphc{': ' + reason if reason else ''}"
    message = f"module {module.__name__!r} has no attribute {name!r}"
    known = getattr(module, "__all__", None) or [known for known in dir(module) if not known.startswith("_")]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"{message}. Did you mean: {nearest[0]!r}?" if nearest else message


class OldModuleLoader(Loader):
    """Fills a module of an older Keras with the names of the module that has them now."""

    def __init__(self, home: str) -> None:
        self.home = home

    def exec_module(self, module: ModuleType) -> None:
        from graphc.legacy.deprecation import deprecated

        home = importlib.import_module(f"{ROOT}.{self.home}")
        module.__class__ = FaceModule
        module.__dict__.update({name: getattr(home, name) for name in dir(home) if not name.startswith("_")})
        module.__path__ = []
        deprecated(f"`keras.{_below_root(module)}` is deprecated; its names are in `keras.{self.home}`.")


class OldModuleFinder(MetaPathFinder):
    """Finds modules of older Keras that are no longer there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package != ROOT:
            return None
        from graphc import config
        from graphc.legacy.names import MODULES

        if rest not in MODULES or not config.legacy_names():
            return None
        return ModuleSpec(fullname, OldModuleLoader(MODULES[rest]), is_package=True)


def install() -> None:
    """Make the package a `FaceModule`, and let Python find the modules of older Keras."""
    _convert(sys.modules[ROOT])
    if not any(isinstance(finder, OldModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(OldModuleFinder())
