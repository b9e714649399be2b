"""InceptionV3: branches of factored convolutions (Szegedy et al., "Rethinking the Inception Architecture", 2015)."""

from __future__ import annotations

from typing import Any

from graphc import layers
from graphc.applications.classifier import Classifier, batch_norm, channel_axis, published
from graphc.applications.imagenet_utils import decode_predictions
from graphc.applications.mobilenet import preprocess_input
from graphc.models import Model

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

# A convolution: (filters, rows, columns), with a stride of 2 and no padding if there is a fourth number.
Step = tuple[int, ...]
Branch = tuple[Step, ...]


def InceptionV3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v3",
) -> Model:
    """InceptionV3. Images of at least 75 x 75 pixels, usually 299 x 299; arguments: see `Classifier`."""
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    images = wanted.start(299, 75)
    x = _stem(images)
    for index, pooled in enumerate((32, 64, 64)):
        branches = (((64, 1, 1),), ((48, 1, 1), (64, 5, 5)), ((64, 1, 1), (96, 3, 3), (96, 3, 3)))
        x = _mixed(x, branches, pooled, f"mixed{index}")
    x = _mixed(x, (((384, 3, 3, 2),), ((64, 1, 1), (96, 3, 3), (96, 3, 3, 2))), None, "mixed3")
    for index, width in enumerate((128, 160, 160, 192), 4):
        x = _mixed(x, _factored(width), 192, f"mixed{index}")
    last = ((192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2))
    x = _mixed(x, (((192, 1, 1), (320, 3, 3, 2)), last), None, "mixed8")
    for index in range(2):
        x = _widest(x, index)
    files = published("inception_v3_weights_tf_dim_ordering_tf_kernels", "inception_v3")
    return wanted.finish(images, x, files, pool_names=("avg_pool" if include_top else None, None))


def conv_norm(x: Any, filters: int, rows: int, columns: int, stride: int = 1, padding: str = "same") -> Any:
    """A convolution without bias, batch normalization without scale, relu."""
    x = layers.Conv2D(filters, (rows, columns), strides=stride, padding=padding, use_bias=False)(x)
    return layers.Activation("relu")(batch_norm(x, scale=False))


def _stem(x: Any) -> Any:
    x = conv_norm(x, 32, 3, 3, 2, "valid")
    x = conv_norm(x, 32, 3, 3, 1, "valid")
    x = layers.MaxPooling2D(3, strides=2)(conv_norm(x, 64, 3, 3))
    x = conv_norm(x, 80, 1, 1, 1, "valid")
    return layers.MaxPooling2D(3, strides=2)(conv_norm(x, 192, 3, 3, 1, "valid"))


def _branch(x: Any, steps: Branch) -> Any:
    for filters, rows, columns, *strides in steps:
        x = conv_norm(x, filters, rows, columns, 2, "valid") if strides else conv_norm(x, filters, rows, columns)
    return x


def _mixed(x: Any, branches: tuple[Branch, ...], pooled: int | None, name: str) -> Any:
    """The branches and a pooling side by side: an average and `pooled` filters, or (None) a maximum with stride 2."""
    parts = [_branch(x, steps) for steps in branches]
    parts.append(layers.MaxPooling2D(3, strides=2)(x) if pooled is None else _pooled(x, pooled))
    return layers.concatenate(parts, axis=channel_axis(), name=name)


def _pooled(x: Any, filters: int) -> Any:
    return conv_norm(layers.AveragePooling2D(3, strides=1, padding="same")(x), filters, 1, 1)


def _factored(width: int) -> tuple[Branch, ...]:
    """Windows of 7 x 7 as rows and columns, once and twice."""
    row, column = (width, 1, 7), (width, 7, 1)
    start = (width, 1, 1)
    return ((192, 1, 1),), (start, row, (192, 7, 1)), (start, column, row, column, (192, 1, 7))


def _widest(x: Any, index: int) -> Any:
    first = conv_norm(x, 320, 1, 1)
    second = _both_ways(conv_norm(x, 384, 1, 1), f"mixed9_{index}")
    third = _both_ways(conv_norm(conv_norm(x, 448, 1, 1), 384, 3, 3), None)
    parts = [first, second, third, _pooled(x, 192)]
    return layers.concatenate(parts, axis=channel_axis(), name=f"mixed{9 + index}")


def _both_ways(x: Any, name: str | None) -> Any:
    """A row of three and a column of three side by side."""
    parts = [conv_norm(x, 384, 1, 3), conv_norm(x, 384, 3, 1)]
    return layers.concatenate(parts, axis=channel_axis(), name=name)
