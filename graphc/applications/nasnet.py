"""NASNet: cells found by a search (Zoph et al., "Learning Transferable Architectures", 2018)."""

from __future__ import annotations

from typing import Any

from graphc import config, layers
from graphc.applications.classifier import Classifier, batch_norm, even_padding
from graphc.applications.imagenet_utils import decode_predictions
from graphc.applications.mobilenet import preprocess_input
from graphc.models import Model

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

URL = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet/"
NORM = {"momentum": 0.9997, "epsilon": 1e-3}


def NASNetMobile(
    input_shape: Any = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_mobile",
) -> Model:
    """NASNetMobile. Images of at least 32 x 32 pixels, usually 224 x 224; arguments: see `Classifier`."""
    if not include_top and input_shape is None:
        input_shape = (224, 224, 3)
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return _build(wanted, 224, stem=32, filters=44, cells=4, skips_reduction=False, file="nasnet_mobile")


def NASNetLarge(
    input_shape: Any = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_large",
) -> Model:
    """NASNetLarge. Images of at least 32 x 32 pixels, usually 331 x 331; arguments: see `Classifier`."""
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return _build(wanted, 331, stem=96, filters=168, cells=6, skips_reduction=True, file="nasnet_large")


def _build(
    wanted: Classifier, size: int, stem: int, filters: int, cells: int, skips_reduction: bool, file: str
) -> Model:
    """Three groups of `cells` normal cells, with twice the filters each, between reductions.

    skips_reduction: the first normal cell of a group sees what came before the reduction's input.
    """
    if config.image_data_format() == "channels_first":
        raise ValueError("NASNet does not support the `channels_first` image data format")
    images = wanted.start(size, 32)
    x = layers.Conv2D(stem, 3, strides=2, use_bias=False, name="stem_conv1", kernel_initializer="he_normal")(images)
    x, before = batch_norm(x, "stem_bn1", **NORM), None
    x, before = _reduction(x, before, filters // 4, "stem_1")
    x, before = _reduction(x, before, filters // 2, "stem_2")
    for group in range(3):
        if group:
            x, skipped = _reduction(x, before, filters, f"reduce_{group * cells}")
            before = before if skips_reduction else skipped
        for cell in range(cells):
            # the reductions count as cells
            x, before = _normal(x, before, filters, f"{group * cells + cell + min(group, 1)}")
        filters *= 2
    x = layers.Activation("relu")(x)
    return wanted.finish(images, x, (f"{URL}{file}.h5", f"{URL}{file}_no_top.h5"))


def _conv_norm(x: Any, filters: int, conv: str, norm: str) -> Any:
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=conv, kernel_initializer="he_normal")(x)
    return batch_norm(x, norm, **NORM)


def _separable(x: Any, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
    """Twice: relu, a separable convolution, batch normalization; the first one has the stride."""
    x, padding = layers.Activation("relu")(x), "same"
    if stride == 2:
        x = layers.ZeroPadding2D(even_padding(x, kernel), name=f"separable_conv_1_pad_{name}")(x)
        padding = "valid"
    x = layers.SeparableConv2D(
        filters, kernel, strides=stride, padding=padding, use_bias=False, name=f"separable_conv_1_{name}"
    )(x)
    x = layers.Activation("relu")(batch_norm(x, f"separable_conv_1_bn_{name}", **NORM))
    x = layers.SeparableConv2D(filters, kernel, padding="same", use_bias=False, name=f"separable_conv_2_{name}")(x)
    return batch_norm(x, f"separable_conv_2_bn_{name}", **NORM)


def _adjusted(before: Any, x: Any, filters: int, name: str) -> Any:
    """What came before the cell's input, in the size and with the filters of the cell."""
    if before is None:
        return x
    if before.shape[2] != x.shape[2]:
        return _halved(before, filters, name)
    if before.shape[-1] == filters:
        return before
    before = layers.Activation("relu")(before)
    return _conv_norm(before, filters, f"adjust_conv_projection_{name}", f"adjust_bn_{name}")


def _halved(before: Any, filters: int, name: str) -> Any:
    """Every second pixel, from the first on and from the second on, half the filters each."""
    before = layers.Activation("relu", name=f"adjust_relu_1_{name}")(before)
    parts = []
    for index in (1, 2):
        part = before
        if index == 2:
            part = layers.ZeroPadding2D(((0, 1), (0, 1)))(part)
            part = layers.Cropping2D(((1, 0), (1, 0)))(part)
        part = layers.AveragePooling2D(1, strides=2, padding="valid", name=f"adjust_avg_pool_{index}_{name}")(part)
        part = layers.Conv2D(
            filters // 2, 1, padding="same", use_bias=False, name=f"adjust_conv_{index}_{name}",
            kernel_initializer="he_normal",
        )(part)  # fmt: skip
        parts.append(part)
    return batch_norm(layers.concatenate(parts), f"adjust_bn_{name}", **NORM)


def _average(x: Any, name: str) -> Any:
    return layers.AveragePooling2D(3, strides=1, padding="same", name=name)(x)


def _normal(x: Any, before: Any, filters: int, name: str) -> tuple[Any, Any]:
    p = _adjusted(before, x, filters, name)
    h = _conv_norm(layers.Activation("relu")(x), filters, f"normal_conv_1_{name}", f"normal_bn_1_{name}")

    def added(index: int, left: Any, right: Any) -> Any:
        return layers.add([left, right], name=f"normal_add_{index}_{name}")

    first = added(
        1,
        _separable(h, filters, 5, f"normal_left1_{name}"),
        _separable(p, filters, 3, f"normal_right1_{name}"),
    )
    second = added(
        2,
        _separable(p, filters, 5, f"normal_left2_{name}"),
        _separable(p, filters, 3, f"normal_right2_{name}"),
    )
    third = added(3, _average(h, f"normal_left3_{name}"), p)
    fourth = added(4, _average(p, f"normal_left4_{name}"), _average(p, f"normal_right4_{name}"))
    fifth = added(5, _separable(h, filters, 3, f"normal_left5_{name}"), h)
    parts = [p, first, second, third, fourth, fifth]
    return layers.concatenate(parts, name=f"normal_concat_{name}"), x


def _reduction(x: Any, before: Any, filters: int, name: str) -> tuple[Any, Any]:
    p = _adjusted(before, x, filters, name)
    h = _conv_norm(layers.Activation("relu")(x), filters, f"reduction_conv_1_{name}", f"reduction_bn_1_{name}")
    padded = layers.ZeroPadding2D(even_padding(h, 3), name=f"reduction_pad_1_{name}")(h)

    def halved(kind: Any, side: str) -> Any:
        return kind(3, strides=2, padding="valid", name=f"reduction_{side}_{name}")(padded)

    def separable(part: Any, kernel: int, side: str, stride: int = 2) -> Any:
        return _separable(part, filters, kernel, f"reduction_{side}_{name}", stride)

    first = layers.add([separable(h, 5, "left1"), separable(p, 7, "right1")], name=f"reduction_add_1_{name}")
    second = [halved(layers.MaxPooling2D, "left2"), separable(p, 7, "right2")]
    second = layers.add(second, name=f"reduction_add_2_{name}")
    third = [halved(layers.AveragePooling2D, "left3"), separable(p, 5, "right3")]
    third = layers.add(third, name=f"reduction_add3_{name}")
    fourth = layers.add([second, _average(first, f"reduction_left4_{name}")])
    fifth = [separable(first, 3, "left4", stride=1), halved(layers.MaxPooling2D, "right5")]
    fifth = layers.add(fifth, name=f"reduction_add4_{name}")
    return layers.concatenate([second, third, fourth, fifth], name=f"reduction_concat_{name}"), x
