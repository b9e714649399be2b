"""VGG with 16 layers (Simonyan and Zisserman, "Very Deep Convolutional Networks", 2014)."""

from __future__ import annotations

from typing import Any

from graphc import layers
from graphc.applications import imagenet_utils
from graphc.applications.classifier import Classifier, published
from graphc.applications.imagenet_utils import decode_predictions
from graphc.models import Model

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]


def VGG16(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "vgg16",
) -> Model:
    """VGG16. Images of at least 32 x 32 pixels, usually 224 x 224; arguments: see `Classifier`."""
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return build(wanted, (2, 2, 3, 3, 3), "vgg16")


def build(wanted: Classifier, depths: tuple[int, ...], stem: str) -> Model:
    """A VGG whose blocks have these numbers of convolutions."""
    images = x = wanted.start(224, 32)
    for block, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
        for index in range(1, depth + 1):
            name = f"block{block}_conv{index}"
            x = layers.Conv2D(filters, 3, activation="relu", padding="same", name=name)(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    files = published(f"{stem}_weights_tf_dim_ordering_tf_kernels", stem)
    return wanted.finish(images, x, files, top=_hidden)


def _hidden(x: Any) -> Any:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return x


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels of 0 to 255 in RGB as BGR less the mean of ImageNet."""
    return imagenet_utils.preprocess_input(x, data_format, mode="caffe")
