"""EfficientNet: one network in eight sizes (Tan and Le, "Rethinking Model Scaling", 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc import layers
from graphc.applications.classifier import Classifier, batch_norm, channel_axis, divisible, even_padding
from graphc.applications.imagenet_utils import DEVIATION, decode_predictions
from graphc.models import Model

__all__ = ["decode_predictions", "preprocess_input"]

URL = "https://storage.googleapis.com/keras-applications/"
# (window, blocks, filters, expansion, stride of the first block)
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
# Of the last block before any scaling; it grows linearly from 0.
DROPPED_BLOCKS = 0.2
CONV = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}
DENSE = {"class_name": "VarianceScaling", "config": {"scale": 1 / 3, "mode": "fan_out", "distribution": "uniform"}}


def variant(title: str, width: float, depth: float, size: int, dropout: float) -> Callable[..., Model]:
    """The function that makes an EfficientNet: `width` and `depth` scale the table, `size` is that of its images."""
    own_name = title.lower()

    def make(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = own_name,
    ) -> Model:
        wanted = Classifier(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        images = wanted.start(size, 32)
        x = _features(_stem(images, wanted.is_pretrained, divisible(32 * width)), width, depth)
        x = swish_norm(conv(x, divisible(1280 * width), "top_conv"), "top_bn", "top_activation")
        files = (f"{URL}{own_name}.h5", f"{URL}{own_name}_notop.h5")
        return finish(wanted, images, x, dropout, files)

    make.__name__ = make.__qualname__ = title
    make.__doc__ = f"{title}. Images of at least 32 x 32 pixels of 0 to 255, usually {size} x {size}; see `Classifier`."
    return make


def finish(wanted: Classifier, images: Any, x: Any, dropout: float, files: tuple[str, str]) -> Model:
    """The model with an average, dropout and classes on top."""

    def top(x: Any) -> Any:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        return layers.Dropout(dropout, name="top_dropout")(x)

    names = ("avg_pool", "max_pool")
    return wanted.finish(images, x, files, pool_names=names, top=top, kernel_initializer=DENSE)


def conv(x: Any, filters: int, name: str, kernel: int = 1, strides: int = 1, padding: str = "same") -> Any:
    """A convolution without bias, as these networks begin with."""
    return layers.Conv2D(
        filters, kernel, strides=strides, padding=padding, use_bias=False, kernel_initializer=CONV, name=name
    )(x)


def swish_norm(x: Any, norm: str, activation: str, **options: Any) -> Any:
    """Batch normalization and swish."""
    return layers.Activation("swish", name=activation)(batch_norm(x, norm, **options))


def _stem(images: Any, is_pretrained: bool, filters: int) -> Any:
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Normalization(axis=channel_axis())(x)
    if is_pretrained:
        # the published weights were trained with the deviations in the wrong place; this makes up for it
        x = layers.Rescaling([1 / math.sqrt(deviation) for deviation in DEVIATION])(x)
    x = layers.ZeroPadding2D(even_padding(x, 3), name="stem_conv_pad")(x)
    x = conv(x, filters, "stem_conv", kernel=3, strides=2, padding="valid")
    return swish_norm(x, "stem_bn", "stem_activation")


def _features(x: Any, width: float, depth: float) -> Any:
    counts = [math.ceil(depth * stage[1]) for stage in STAGES]
    index, total = 0, float(sum(counts))
    for stage, (count, (kernel, _, filters, expansion, stride)) in enumerate(zip(counts, STAGES, strict=True), 1):
        for number in range(count):
            name = f"block{stage}{chr(ord('a') + number)}_"
            dropped = DROPPED_BLOCKS * index / total
            x = _block(x, divisible(filters * width), kernel, 1 if number else stride, expansion, dropped, name)
            index += 1
    return x


def _block(inputs: Any, filters: int, kernel: int, stride: int, expansion: int, dropped: float, name: str) -> Any:
    channels, x = inputs.shape[channel_axis()], inputs
    if expansion != 1:
        x = conv(x, channels * expansion, f"{name}expand_conv")
        x = swish_norm(x, f"{name}expand_bn", f"{name}expand_activation")
    if stride == 2:
        x = layers.ZeroPadding2D(even_padding(x, kernel), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="valid" if stride == 2 else "same", use_bias=False,
        depthwise_initializer=CONV, name=f"{name}dwconv",
    )(x)  # fmt: skip
    x = swish_norm(x, f"{name}bn", f"{name}activation")
    x = squeezed(x, channels * expansion, max(1, int(channels * 0.25)), name)
    x = batch_norm(conv(x, filters, f"{name}project_conv"), f"{name}project_bn")
    return with_shortcut(inputs, x, stride, dropped, name)


def squeezed(inputs: Any, filters: int, inner: int, name: str) -> Any:
    """Channels weighted by what a small network makes of their averages."""
    x = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(inputs)
    wide = (1, 1, filters) if channel_axis() == -1 else (filters, 1, 1)
    x = layers.Reshape(wide, name=f"{name}se_reshape")(x)
    for width, activation, part in ((inner, "swish", "reduce"), (filters, "sigmoid", "expand")):
        x = layers.Conv2D(
            width, 1, padding="same", activation=activation, kernel_initializer=CONV, name=f"{name}se_{part}"
        )(x)
    return layers.multiply([inputs, x], name=f"{name}se_excite")


def with_shortcut(inputs: Any, x: Any, stride: int, dropped: float, name: str) -> Any:
    """`x` plus the inputs where their shapes are equal; while training whole images lose `x` at the rate `dropped`."""
    if stride != 1 or inputs.shape[channel_axis()] != x.shape[channel_axis()]:
        return x
    if dropped > 0:
        x = layers.Dropout(dropped, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.add([x, inputs], name=f"{name}add")


EfficientNetB0 = variant("EfficientNetB0", 1.0, 1.0, 224, 0.2)
EfficientNetB1 = variant("EfficientNetB1", 1.0, 1.1, 240, 0.2)
EfficientNetB2 = variant("EfficientNetB2", 1.1, 1.2, 260, 0.3)
EfficientNetB3 = variant("EfficientNetB3", 1.2, 1.4, 300, 0.3)
EfficientNetB4 = variant("EfficientNetB4", 1.4, 1.8, 380, 0.4)
EfficientNetB5 = variant("EfficientNetB5", 1.6, 2.2, 456, 0.4)
EfficientNetB6 = variant("EfficientNetB6", 1.8, 2.6, 528, 0.5)
EfficientNetB7 = variant("EfficientNetB7", 2.0, 3.1, 600, 0.5)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """The pixels as they are: the network scales them itself."""
    return x
