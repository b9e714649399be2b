"""graphc: a static graph compiler for neural networks with the face of Keras 3.

`import graphc as keras` runs an ordinary Keras script. Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphc import modules as _modules

__version__ = "0.1.0"

_MODULES = (
    "activations", "applications", "backend", "callbacks", "config", "constraints", "datasets", "dtype_policies",
    "initializers", "layers", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers", "preprocessing",
    "random", "regularizers", "saving", "tree", "utils",
)  # fmt: skip

# Public names and the modules that have them.
_NAMES = {
    "CompileOptions": "graphc.options",
    "DTypePolicy": "graphc.dtype_policies",
    "FloatDTypePolicy": "graphc.dtype_policies",
    "GradientTape": "graphc.differentiation",
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
    "check": "graphc.checking",
    "compile": "graphc.executables",
    "gradcheck": "graphc.checking",
    "gradients": "graphc.differentiation",
    "name_scope": "graphc.scope",
    "version": "graphc.names",
}

__all__ = ["__version__", *sorted({*_MODULES, *_NAMES})]


if TYPE_CHECKING:
    # what `__getattr__` finds, for type checkers and editors; a test compares the two
    from graphc import activations as activations
    from graphc import applications as applications
    from graphc import backend as backend
    from graphc import callbacks as callbacks
    from graphc import config as config
    from graphc import constraints as constraints
    from graphc import datasets as datasets
    from graphc import dtype_policies as dtype_policies
    from graphc import initializers as initializers
    from graphc import layers as layers
    from graphc import losses as losses
    from graphc import metrics as metrics
    from graphc import mixed_precision as mixed_precision
    from graphc import models as models
    from graphc import ops as ops
    from graphc import optimizers as optimizers
    from graphc import preprocessing as preprocessing
    from graphc import random as random
    from graphc import regularizers as regularizers
    from graphc import saving as saving
    from graphc import tree as tree
    from graphc import utils as utils
    from graphc.checking import check as check
    from graphc.checking import gradcheck as gradcheck
    from graphc.differentiation import GradientTape as GradientTape
    from graphc.differentiation import gradients as gradients
    from graphc.dtype_policies import DTypePolicy as DTypePolicy
    from graphc.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
    from graphc.executables import compile as compile
    from graphc.initializers import Initializer as Initializer
    from graphc.layers import Input as Input
    from graphc.layers import InputSpec as InputSpec
    from graphc.layers import Layer as Layer
    from graphc.losses import Loss as Loss
    from graphc.metrics import Metric as Metric
    from graphc.models import Model as Model
    from graphc.models import Sequential as Sequential
    from graphc.names import version as version
    from graphc.operation import Operation as Operation
    from graphc.optimizers import Optimizer as Optimizer
    from graphc.options import CompileOptions as CompileOptions
    from graphc.regularizers import Regularizer as Regularizer
    from graphc.scope import name_scope as name_scope
    from graphc.tensor import KerasTensor as KerasTensor
    from graphc.variables import Variable as Variable
else:

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


_modules.install()
