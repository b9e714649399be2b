"""EfficientNetV2: plain convolutions in the early blocks (Tan and Le, "Smaller Models and Faster Training", 2021)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc import layers
from graphc.applications.classifier import Classifier, batch_norm, channel_axis, channel_position
from graphc.applications.efficientnet import (
    CONV,
    DROPPED_BLOCKS,
    conv,
    decode_predictions,
    finish,
    preprocess_input,
    squeezed,
    swish_norm,
    with_shortcut,
)
from graphc.applications.imagenet_utils import DEVIATION, MEAN
from graphc.models import Model

__all__ = ["decode_predictions", "preprocess_input"]

URL = "https://storage.googleapis.com/tensorflow/keras-applications/efficientnet_v2/"
MOMENTUM = 0.9
# (whether one convolution does what expansion and depthwise convolution do, blocks, filters, expansion, stride); blocks
# that are not fused are squeezed.
Stages = tuple[tuple[bool, int, int, int, int], ...]
BASE: Stages = (
    (True, 1, 16, 1, 1),
    (True, 2, 32, 4, 2),
    (True, 2, 48, 4, 2),
    (False, 3, 96, 4, 2),
    (False, 5, 112, 6, 1),
    (False, 8, 192, 6, 2),
)
SMALL: Stages = (
    (True, 2, 24, 1, 1),
    (True, 4, 48, 4, 2),
    (True, 4, 64, 4, 2),
    (False, 6, 128, 4, 2),
    (False, 9, 160, 6, 1),
    (False, 15, 256, 6, 2),
)
MEDIUM: Stages = (
    (True, 3, 24, 1, 1),
    (True, 5, 48, 4, 2),
    (True, 5, 80, 4, 2),
    (False, 7, 160, 4, 2),
    (False, 14, 176, 6, 1),
    (False, 18, 304, 6, 2),
    (False, 5, 512, 6, 1),
)
LARGE: Stages = (
    (True, 4, 32, 1, 1),
    (True, 7, 64, 4, 2),
    (True, 7, 96, 4, 2),
    (False, 10, 192, 4, 2),
    (False, 19, 224, 6, 1),
    (False, 25, 384, 6, 2),
    (False, 7, 640, 6, 1),
)


def variant(
    suffix: str, stages: Stages, stem: int, size: int, width: float = 1.0, depth: float = 1.0
) -> Callable[..., Model]:
    """The function that makes an EfficientNetV2; `width` and `depth` scale the table, `size` is that of its images."""
    own_name = f"efficientnetv2-{suffix.lower()}"

    def make(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = own_name,
    ) -> Model:
        wanted = Classifier(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        wanted.check_weights()
        shape = wanted.checked_shape(size, 32)
        images = wanted.begin(shape)
        is_rgb = shape[channel_position()] == 3
        x = _scaled(images, suffix.startswith("B") and is_rgb) if include_preprocessing else images
        x = conv(x, scaled(stem, width), "stem_conv", kernel=3, strides=2)
        x = _features(swish_norm(x, "stem_bn", "stem_activation", momentum=MOMENTUM), stages, width, depth)
        x = conv(x, scaled(1280, width), "top_conv")
        x = swish_norm(x, "top_bn", "top_activation", momentum=MOMENTUM)
        return finish(wanted, images, x, 0.2, (f"{URL}{own_name}.h5", f"{URL}{own_name}_notop.h5"))

    make.__name__ = make.__qualname__ = f"EfficientNetV2{suffix}"
    make.__doc__ = (
        f"EfficientNetV2{suffix}. Images of at least 32 x 32 pixels, usually {size} x {size}, of 0 to 255 with\n"
        "include_preprocessing, else -1 to 1. Other arguments: see `Classifier`."
    )
    return make


def scaled(filters: int, width: float) -> int:
    """The multiple of 8 nearest to a scaled number of filters."""
    return max(8, int(filters * width + 4) // 8 * 8)


def _scaled(images: Any, is_normalized: bool) -> Any:
    if not is_normalized:
        return layers.Rescaling(1 / 128, -1)(images)
    variance = [deviation**2 for deviation in DEVIATION]
    x = layers.Rescaling(1 / 255)(images)
    return layers.Normalization(mean=list(MEAN), variance=variance, axis=channel_axis())(x)


def _features(x: Any, stages: Stages, width: float, depth: float) -> Any:
    # of the table before it is scaled, as the published networks have it
    index, total = 0, float(sum(stage[1] for stage in stages))
    for stage, (is_fused, count, filters, expansion, stride) in enumerate(stages, 1):
        for number in range(math.ceil(depth * count)):
            name = f"block{stage}{chr(ord('a') + number)}_"
            block = _fused_block if is_fused else _block
            step = 1 if number else stride
            inputs, x = x, block(x, scaled(filters, width), step, expansion, name)
            x = with_shortcut(inputs, x, step, DROPPED_BLOCKS * index / total, name)
            index += 1
    return x


def _block(inputs: Any, filters: int, stride: int, expansion: int, name: str) -> Any:
    channels = inputs.shape[channel_axis()]
    x = conv(inputs, channels * expansion, f"{name}expand_conv")
    x = swish_norm(x, f"{name}expand_bn", f"{name}expand_activation", momentum=MOMENTUM)
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, depthwise_initializer=CONV, name=f"{name}dwconv2"
    )(x)
    x = swish_norm(x, f"{name}bn", f"{name}activation", momentum=MOMENTUM)
    x = squeezed(x, channels * expansion, max(1, int(channels * 0.25)), name)
    return batch_norm(conv(x, filters, f"{name}project_conv"), f"{name}project_bn", momentum=MOMENTUM)


def _fused_block(inputs: Any, filters: int, stride: int, expansion: int, name: str) -> Any:
    if expansion == 1:
        x = conv(inputs, filters, f"{name}project_conv", kernel=3, strides=stride)
        return swish_norm(x, f"{name}project_bn", f"{name}project_activation", momentum=MOMENTUM)
    channels = inputs.shape[channel_axis()]
    x = conv(inputs, channels * expansion, f"{name}expand_conv", kernel=3, strides=stride)
    x = swish_norm(x, f"{name}expand_bn", f"{name}expand_activation", momentum=MOMENTUM)
    return batch_norm(conv(x, filters, f"{name}project_conv"), f"{name}project_bn", momentum=MOMENTUM)


EfficientNetV2B0 = variant("B0", BASE, 32, 224)
EfficientNetV2B1 = variant("B1", BASE, 32, 240, depth=1.1)
EfficientNetV2B2 = variant("B2", BASE, 32, 260, width=1.1, depth=1.2)
EfficientNetV2B3 = variant("B3", BASE, 32, 300, width=1.2, depth=1.4)
EfficientNetV2S = variant("S", SMALL, 24, 384)
EfficientNetV2M = variant("M", MEDIUM, 24, 480)
EfficientNetV2L = variant("L", LARGE, 32, 480)
