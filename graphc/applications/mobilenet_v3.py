"""MobileNetV3: inverted residual blocks, some with squeeze and excitation (Howard et al., 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc import layers
from graphc.applications.classifier import (
    Classifier,
    Shape,
    batch_norm,
    channel_axis,
    divisible,
    even_padding,
    image_shape,
    published,
    spatial_sizes,
)
from graphc.applications.imagenet_utils import decode_predictions
from graphc.models import Model

__all__ = ["decode_predictions", "preprocess_input"]

NORM = {"epsilon": 1e-3, "momentum": 0.999}
# (expansion, filters, whether the window is 5 wide, stride, whether it is squeezed, whether the activation is hard
# swish); the minimalistic networks have none of the three.
SMALL = (
    (1, 16, False, 2, True, False),
    (72 / 16, 24, False, 2, False, False),
    (88 / 24, 24, False, 1, False, False),
    (4, 40, True, 2, True, True),
    (6, 40, True, 1, True, True),
    (6, 40, True, 1, True, True),
    (3, 48, True, 1, True, True),
    (3, 48, True, 1, True, True),
    (6, 96, True, 2, True, True),
    (6, 96, True, 1, True, True),
    (6, 96, True, 1, True, True),
)
LARGE = (
    (1, 16, False, 1, False, False),
    (4, 24, False, 2, False, False),
    (3, 24, False, 1, False, False),
    (3, 40, True, 2, True, False),
    (3, 40, True, 1, True, False),
    (3, 40, True, 1, True, False),
    (6, 80, False, 2, False, True),
    (2.5, 80, False, 1, False, True),
    (2.3, 80, False, 1, False, True),
    (2.3, 80, False, 1, False, True),
    (6, 112, False, 1, True, True),
    (6, 112, False, 1, True, True),
    (6, 160, True, 2, True, True),
    (6, 160, True, 1, True, True),
    (6, 160, True, 1, True, True),
)


@dataclass(frozen=True)
class Style:
    """alpha: share of the filters; minimalistic: without 5 x 5 windows, squeezing and hard swish."""

    alpha: float
    is_minimalistic: bool

    def activate(self, x: Any, is_hard_swish: bool = True) -> Any:
        if self.is_minimalistic or not is_hard_swish:
            return layers.ReLU()(x)
        return layers.Activation("hard_swish")(x)


def variant(title: str, blocks: tuple[Any, ...], last_filters: int) -> Callable[..., Model]:
    """The function that makes a MobileNetV3 of these blocks."""

    def make(
        input_shape: Any = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = title,
    ) -> Model:
        wanted = Classifier(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        style = Style(alpha, minimalistic)
        images = wanted.begin(_checked(wanted, style))
        x = layers.Rescaling(1 / 127.5, -1.0)(images) if include_preprocessing else images
        x = _features(x, blocks, style)
        if include_top:
            x = _top(wanted, x, divisible(last_filters * alpha) if alpha > 1.0 else last_filters, style, dropout_rate)
        else:
            x = wanted.pool(x, "avg_pool", "max_pool")
        return wanted.model(images, x, _files(title.removeprefix("MobileNetV3").lower(), style))

    make.__name__ = make.__qualname__ = title
    make.__doc__ = (
        f"{title}. alpha: share of the filters; minimalistic: for plain hardware; pixels are 0 to 255 with\n\n"
        "include_preprocessing, else -1 to 1. Images of any size from 32 x 32. Other arguments: see `Classifier`."
    )
    return make


def _checked(wanted: Classifier, style: Style) -> Shape:
    wanted.check_weights()
    if wanted.input_shape is None and wanted.input_tensor is not None:
        shape = tuple(wanted.input_tensor.shape[1:])
    else:
        shape = image_shape(None, None, 3) if wanted.input_shape is None else tuple(wanted.input_shape)
    if any(size is not None and size < 32 for size in spatial_sizes(shape)):
        raise ValueError(f"Input size must be at least 32x32; Received `input_shape={shape}`")
    if wanted.is_pretrained and style.alpha not in ((1.0,) if style.is_minimalistic else (0.75, 1.0)):
        raise ValueError(
            "If imagenet weights are being loaded, alpha can be one of `0.75`, `1.0` for non minimalistic or `1.0` "
            "for minimalistic only."
        )
    return shape


def _files(size: str, style: Style) -> tuple[str, str]:
    kind = f"{size}{'_minimalistic' if style.is_minimalistic else ''}_224_{style.alpha}_float"
    return published(f"weights_mobilenet_v3_{kind}", "mobilenet_v3", ("", "_no_top_v2"))


def _features(x: Any, blocks: tuple[Any, ...], style: Style) -> Any:
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = style.activate(batch_norm(x, "conv_bn", **NORM))
    for index, block in enumerate(blocks):
        x = _block(x, index, style, *block)
    filters = divisible(x.shape[channel_axis()] * 6)
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name="conv_1")(x)
    return style.activate(batch_norm(x, "conv_1_bn", **NORM))


def _block(
    inputs: Any,
    index: int,
    style: Style,
    expansion: float,
    filters: int,
    is_wide: bool,
    stride: int,
    is_squeezed: bool,
    is_hard_swish: bool,
) -> Any:
    channels, filters = inputs.shape[channel_axis()], divisible(filters * style.alpha)
    inner = divisible(channels * expansion)
    name, x = f"expanded_conv_{index}_" if index else "expanded_conv_", inputs
    if index:
        x = layers.Conv2D(inner, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = style.activate(batch_norm(x, f"{name}expand_bn", **NORM), is_hard_swish)
    kernel = 5 if is_wide and not style.is_minimalistic else 3
    if stride == 2:
        x = layers.ZeroPadding2D(even_padding(x, kernel), name=f"{name}depthwise_pad")(x)
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False, name=f"{name}depthwise"
    )(x)
    x = style.activate(batch_norm(x, f"{name}depthwise_bn", **NORM), is_hard_swish)
    if is_squeezed and not style.is_minimalistic:
        x = _squeezed(x, inner, f"{name}squeeze_excite_")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = batch_norm(x, f"{name}project_bn", **NORM)
    is_residual = stride == 1 and channels == filters
    return layers.Add(name=f"{name}add")([inputs, x]) if is_residual else x


def _squeezed(inputs: Any, filters: int, name: str) -> Any:
    """Channels weighted by what a small network makes of their averages."""
    x = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}avg_pool")(inputs)
    x = layers.Conv2D(divisible(filters * 0.25), 1, padding="same", name=f"{name}conv")(x)
    x = layers.ReLU(name=f"{name}relu")(x)
    x = layers.Conv2D(filters, 1, padding="same", name=f"{name}conv_1")(x)
    x = layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{name}mul")([inputs, x])


def _top(wanted: Classifier, x: Any, filters: int, style: Style, dropout_rate: float) -> Any:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(filters, 1, padding="same", name="conv_2")(x)
    x = style.activate(x)
    if dropout_rate > 0:
        x = layers.Dropout(dropout_rate)(x)
    x = layers.Conv2D(wanted.classes, 1, padding="same", name="logits")(x)
    x = layers.Flatten()(x)
    wanted.check_activation()
    return layers.Activation(wanted.classifier_activation, name="predictions")(x)


MobileNetV3Small = variant("MobileNetV3Small", SMALL, 1024)
MobileNetV3Large = variant("MobileNetV3Large", LARGE, 1280)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """The pixels as they are: the network scales them itself."""
    return x
