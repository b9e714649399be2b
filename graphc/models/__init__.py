"""`keras.models`: `Model`, `Sequential` and functional models, and models from files and configurations."""

from graphc.models.cloning import clone_model, model_from_config, model_from_json
from graphc.models.functional import Functional
from graphc.models.model import Model
from graphc.models.sequential import Sequential
from graphc.saving.api import load_model, save_model

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
