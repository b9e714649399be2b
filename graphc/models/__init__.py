"""`keras.models`: `Model`, `Sequential` and functional models, and models from files and configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc import lazy
from graphc.models.functional import Functional
from graphc.models.model import Model
from graphc.models.sequential import Sequential

# What most programs do without: copies and files.
_HOMES = lazy.homes({
    ".cloning": "clone_model model_from_config model_from_json",
    "graphc.saving.api": "load_model save_model",
})  # fmt: skip

if TYPE_CHECKING:
    # what `__getattr__` finds, for type checkers and editors; a test compares the two
    from graphc.models.cloning import clone_model, model_from_config, model_from_json
    from graphc.saving.api import load_model, save_model
else:
    __getattr__ = lazy.loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_config",
    "model_from_json",
    "save_model",
]
