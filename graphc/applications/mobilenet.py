"""MobileNet: depthwise and pointwise convolutions in turn (Howard et al., 2017)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from graphc import layers
from graphc.applications import imagenet_utils
from graphc.applications.classifier import Classifier, batch_norm, published, spatial_sizes
from graphc.applications.imagenet_utils import decode_predictions
from graphc.models import Model

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

# Pointwise filters and strides of the blocks.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
SIZES = (128, 160, 192, 224)
PUBLISHED_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}


def MobileNet(
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """MobileNet. alpha: share of the filters; dropout: before the classes. Other arguments: see `Classifier`.

    Images of at least 32 x 32 pixels, usually 224 x 224.
    """
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    wanted.check_weights()
    shape = wanted.checked_shape(usual_size(input_shape, SIZES), 32)
    rows = published_size(wanted, shape, alpha, tuple(PUBLISHED_ALPHAS), SIZES)
    if wanted.is_pretrained and depth_multiplier != 1:
        raise ValueError(
            "If imagenet weights are being loaded, depth multiplier must be 1.  Received "
            f"depth_multiplier={depth_multiplier}"
        )
    images = wanted.begin(shape)
    x = layers.Conv2D(int(32 * alpha), 3, padding="same", use_bias=False, strides=2, name="conv1")(images)
    x = norm_relu6(x, "conv1_bn", "conv1_relu")
    for index, (filters, stride) in enumerate(BLOCKS, 1):
        x = _block(x, int(filters * alpha), depth_multiplier, stride, index)
    x = _top(wanted, x, dropout) if include_top else wanted.pool(x)
    named = replace(wanted, name=name or f"mobilenet_{alpha:0.2f}_{rows}")
    stem = f"mobilenet_{PUBLISHED_ALPHAS.get(alpha)}_{rows}_tf"
    return named.model(images, x, published(stem, "mobilenet", ("", "_no_top")))


def usual_size(input_shape: Any, sizes: tuple[int, ...]) -> int:
    """The size of images: the given one if it is square and one of `sizes`, else the largest of these."""
    height, width = (None, None) if input_shape is None else spatial_sizes(tuple(input_shape))
    return height if height == width and height in sizes else max(sizes)


def published_size(wanted: Classifier, shape: Any, alpha: float, alphas: tuple[float, ...], sizes: Any) -> Any:
    """The number of rows that names the weights' file. ValueError for an alpha without published weights."""
    rows, columns = spatial_sizes(shape)
    if not wanted.is_pretrained:
        return rows
    if alpha not in alphas:
        raise ValueError(
            f"If imagenet weights are being loaded, alpha can be one of {alphas} only.  Received alpha={alpha}"
        )
    if rows == columns and rows in sizes:
        return rows
    warnings.warn(
        f"`input_shape` is undefined or non-square, or `rows` is not in {list(sizes)}. Weights for input shape "
        "(224, 224) will be loaded as the default.",
        stacklevel=3,
    )
    return 224


def norm_relu6(x: Any, norm: str, relu: str, **options: Any) -> Any:
    """Batch normalization and an activation that is cut off at 6."""
    return layers.ReLU(6.0, name=relu)(batch_norm(x, norm, **options))


def _block(x: Any, filters: int, depth_multiplier: int, stride: int, index: int) -> Any:
    if stride == 2:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{index}")(x)
    x = layers.DepthwiseConv2D(
        3, padding="same" if stride == 1 else "valid", depth_multiplier=depth_multiplier, strides=stride,
        use_bias=False, name=f"conv_dw_{index}",
    )(x)  # fmt: skip
    x = norm_relu6(x, f"conv_dw_{index}_bn", f"conv_dw_{index}_relu")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"conv_pw_{index}")(x)
    return norm_relu6(x, f"conv_pw_{index}_bn", f"conv_pw_{index}_relu")


def _top(wanted: Classifier, x: Any, dropout: float) -> Any:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(wanted.classes, 1, padding="same", name="conv_preds")(x)
    x = layers.Reshape((wanted.classes,), name="reshape_2")(x)
    wanted.check_activation()
    return layers.Activation(wanted.classifier_activation, name="predictions")(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels of 0 to 255 as floats of -1 to 1."""
    return imagenet_utils.preprocess_input(x, data_format, mode="tf")
