"""Xception: separable convolutions with residuals (Chollet, 2017)."""

from __future__ import annotations

from typing import Any

from graphc import layers
from graphc.applications.classifier import Classifier, batch_norm, published
from graphc.applications.imagenet_utils import decode_predictions
from graphc.applications.mobilenet import preprocess_input
from graphc.models import Model

__all__ = ["Xception", "decode_predictions", "preprocess_input"]


def Xception(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "xception",
) -> Model:
    """Xception. Images of at least 71 x 71 pixels, usually 299 x 299; arguments: see `Classifier`."""
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    images = x = wanted.start(299, 71)
    for index, (filters, stride) in enumerate(((32, 2), (64, 1)), 1):
        x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"block1_conv{index}")(x)
        x = _relu(batch_norm(x, f"block1_conv{index}_bn"), f"block1_conv{index}_act")
    for block, filters in enumerate((128, 256, 728), 2):
        x = _halving_block(x, block, (filters, filters))
    for block in range(5, 13):
        x = _middle_block(x, f"block{block}")
    x = _halving_block(x, 13, (728, 1024))
    for index, filters in enumerate((1536, 2048), 1):
        x = _relu(_separable(x, filters, f"block14_sepconv{index}"), f"block14_sepconv{index}_act")
    files = published("xception_weights_tf_dim_ordering_tf_kernels", "xception")
    return wanted.finish(images, x, files, pool_names=("avg_pool" if include_top else None, None))


def _relu(x: Any, name: str) -> Any:
    return layers.Activation("relu", name=name)(x)


def _separable(x: Any, filters: int, name: str) -> Any:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return batch_norm(x, f"{name}_bn")


def _halving_block(inputs: Any, block: int, widths: tuple[int, int]) -> Any:
    """Two separable convolutions and a pooling; the shortcut is a convolution with stride 2."""
    shortcut = layers.Conv2D(widths[1], 1, strides=2, padding="same", use_bias=False)(inputs)
    shortcut, x = batch_norm(shortcut), inputs
    for index, width in enumerate(widths, 1):
        if block > 2 or index > 1:  # block 1 ends in this activation
            x = _relu(x, f"block{block}_sepconv{index}_act")
        x = _separable(x, width, f"block{block}_sepconv{index}")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.add([x, shortcut])


def _middle_block(inputs: Any, name: str) -> Any:
    x = inputs
    for index in (1, 2, 3):
        x = _separable(_relu(x, f"{name}_sepconv{index}_act"), 728, f"{name}_sepconv{index}")
    return layers.add([x, inputs])
