"""VGG with 19 layers (Simonyan and Zisserman, "Very Deep Convolutional Networks", 2014)."""

from __future__ import annotations

from typing import Any

from graphc.applications import vgg16
from graphc.applications.classifier import Classifier
from graphc.applications.vgg16 import decode_predictions, preprocess_input
from graphc.models import Model

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]


def VGG19(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "vgg19",
) -> Model:
    """VGG19. Images of at least 32 x 32 pixels, usually 224 x 224; arguments: see `Classifier`."""
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return vgg16.build(wanted, (2, 2, 4, 4, 4), "vgg19")
