"""MobileNetV2: inverted residual blocks (Sandler et al., 2018)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphc import layers
from graphc.applications.classifier import (
    Classifier,
    batch_norm,
    channel_axis,
    divisible,
    even_padding,
    published,
)
from graphc.applications.mobilenet import (
    decode_predictions,
    norm_relu6,
    preprocess_input,
    published_size,
    usual_size,
)
from graphc.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

# (filters, stride of the first block, number of blocks); all but the first block expand their channels by 6.
STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
SIZES = (96, 128, 160, 192, 224)
PUBLISHED_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
NORM = {"epsilon": 1e-3, "momentum": 0.999}


def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """MobileNetV2. alpha: share of the filters. Images of at least 32 x 32 pixels, usually 224 x 224.

    Other arguments: see `Classifier`.
    """
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    wanted.check_weights()
    given = input_shape if input_tensor is None or input_shape is not None else input_tensor.shape[1:]
    shape = wanted.checked_shape(usual_size(given, SIZES), 32)
    rows = published_size(wanted, shape, alpha, PUBLISHED_ALPHAS, SIZES)
    images = wanted.begin(shape)
    x = layers.Conv2D(divisible(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(images)
    x = norm_relu6(x, "bn_Conv1", "Conv1_relu", **NORM)
    index = 0
    for filters, stride, count in STAGES:
        for number in range(count):
            x = _block(x, divisible(int(filters * alpha)), stride if number == 0 else 1, index)
            index += 1
    last = divisible(1280 * alpha) if alpha > 1.0 else 1280
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    x = norm_relu6(x, "Conv_1_bn", "out_relu", **NORM)
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}"
    named = replace(wanted, name=name or f"mobilenetv2_{alpha:0.2f}_{rows}")
    return named.finish(images, x, published(stem, "mobilenet_v2", ("", "_no_top")))


def _block(inputs: Any, filters: int, stride: int, index: int) -> Any:
    channels = inputs.shape[channel_axis()]
    name, x = f"block_{index}_" if index else "expanded_conv_", inputs
    if index:
        x = layers.Conv2D(6 * channels, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = norm_relu6(x, f"{name}expand_BN", f"{name}expand_relu", **NORM)
    if stride == 2:
        x = layers.ZeroPadding2D(even_padding(x, 3), name=f"{name}pad")(x)
    x = layers.DepthwiseConv2D(
        3, strides=stride, use_bias=False, padding="same" if stride == 1 else "valid", name=f"{name}depthwise"
    )(x)
    x = norm_relu6(x, f"{name}depthwise_BN", f"{name}depthwise_relu", **NORM)
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = batch_norm(x, f"{name}project_BN", **NORM)
    is_residual = channels == filters and stride == 1
    return layers.Add(name=f"{name}add")([inputs, x]) if is_residual else x
