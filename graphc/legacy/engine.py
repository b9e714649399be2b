"""Keras 2's `keras.engine`: the base classes, which are in `keras` itself today."""

from graphc.layers import Input, InputLayer, InputSpec, Layer
from graphc.models import Model, Sequential

__all__ = ["Input", "InputLayer", "InputSpec", "Layer", "Model", "Sequential"]
