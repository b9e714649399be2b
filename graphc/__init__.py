"""graphc: a static graph compiler for neural networks with the face of Keras 3.

`import graphc as keras` runs an ordinary Keras script. Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = (
    "activations", "backend", "callbacks", "config", "constraints", "datasets", "dtype_policies", "initializers",
    "layers", "losses", "metrics", "models", "ops", "optimizers", "preprocessing", "random", "regularizers", "saving",
    "tree", "utils",
)  # fmt: skip

# Public names and the modules that have them.
_NAMES = {
    "CompileOptions": "graphc.options",
    "DTypePolicy": "graphc.dtype_policies",
    "Initializer": "graphc.initializers",
    "Input": "graphc.layers",
    "InputSpec": "graphc.layers",
    "KerasTensor": "graphc.tensor",
    "Layer": "graphc.layers",
    "Loss": "graphc.losses",
    "Metric": "graphc.metrics",
    "Model": "graphc.models",
    "Operation": "graphc.operation",
    "Optimizer": "graphc.optimizers",
    "Regularizer": "graphc.regularizers",
    "Sequential": "graphc.models",
    "Variable": "graphc.variables",
    "compile": "graphc.executables",
    "name_scope": "graphc.scope",
}

__all__ = ["__version__", *sorted({*_MODULES, *_NAMES})]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"graphc.{name}")
    if name in _NAMES:
        found = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'graphc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
