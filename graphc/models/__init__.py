"""`keras.models`: `Model`, `Sequential` and functional models."""

from graphc.models.functional import Functional
from graphc.models.model import Model
from graphc.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential"]
