"""Residual networks (He et al., "Deep Residual Learning", 2015) and their second version, with the norm in front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import layers
from graphc.applications import imagenet_utils
from graphc.applications.classifier import Classifier, batch_norm, published
from graphc.applications.imagenet_utils import decode_predictions
from graphc.models import Model

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

EPSILON = 1.001e-5
WIDTHS = (64, 128, 256, 512)


def variant(title: str, depths: tuple[int, ...], is_second: bool = False) -> Callable[..., Model]:
    """The function that makes a ResNet whose stages have these numbers of blocks."""
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
        return _build(wanted, depths, is_second, own_name)

    make.__name__ = make.__qualname__ = title
    make.__doc__ = f"{title}. Images of at least 32 x 32 pixels, usually 224 x 224; arguments: see `Classifier`."
    return make


def _build(wanted: Classifier, depths: tuple[int, ...], is_second: bool, stem: str) -> Model:
    images = wanted.start(224, 32)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
    if not is_second:
        x = _norm_relu(x, "conv1")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True), 2):
        add = _second_stage if is_second else _stage
        x = add(x, width, depth, stage)
    if is_second:
        x = _norm_relu(x, "post")
    files = published(f"{stem}_weights_tf_dim_ordering_tf_kernels", "resnet")
    return wanted.finish(images, x, files, pool_names=("avg_pool", "max_pool"))


def _norm_relu(x: Any, name: str) -> Any:
    x = batch_norm(x, f"{name}_bn", epsilon=EPSILON)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _stage(x: Any, width: int, depth: int, stage: int) -> Any:
    """The first block of a stage halves the image (not in stage 2) and widens it."""
    for block in range(1, depth + 1):
        stride = 2 if block == 1 and stage > 2 else 1
        x = _block(x, width, stride, block == 1, f"conv{stage}_block{block}")
    return x


def _block(x: Any, width: int, stride: int, is_projected: bool, name: str) -> Any:
    shortcut = x
    if is_projected:
        shortcut = layers.Conv2D(4 * width, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = batch_norm(shortcut, f"{name}_0_bn", epsilon=EPSILON)
    x = _norm_relu(layers.Conv2D(width, 1, strides=stride, name=f"{name}_1_conv")(x), f"{name}_1")
    x = _norm_relu(layers.Conv2D(width, 3, padding="same", name=f"{name}_2_conv")(x), f"{name}_2")
    x = batch_norm(layers.Conv2D(4 * width, 1, name=f"{name}_3_conv")(x), f"{name}_3_bn", epsilon=EPSILON)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _second_stage(x: Any, width: int, depth: int, stage: int) -> Any:
    """The last block of a stage halves the image (not in stage 5); the first one widens it."""
    for block in range(1, depth + 1):
        stride = 2 if block == depth and stage < 5 else 1
        x = _second_block(x, width, stride, block == 1, f"conv{stage}_block{block}")
    return x


def _second_block(x: Any, width: int, stride: int, is_projected: bool, name: str) -> Any:
    ready = _norm_relu(x, f"{name}_preact")
    if is_projected:
        shortcut = layers.Conv2D(4 * width, 1, strides=stride, name=f"{name}_0_conv")(ready)
    else:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = _norm_relu(layers.Conv2D(width, 1, use_bias=False, name=f"{name}_1_conv")(ready), f"{name}_1")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(width, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = layers.Conv2D(4 * width, 1, name=f"{name}_3_conv")(_norm_relu(x, f"{name}_2"))
    return layers.Add(name=f"{name}_out")([shortcut, x])


DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
ResNet50 = variant("ResNet50", DEPTHS[50])
ResNet101 = variant("ResNet101", DEPTHS[101])
ResNet152 = variant("ResNet152", DEPTHS[152])


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels of 0 to 255 in RGB as BGR less the mean of ImageNet."""
    return imagenet_utils.preprocess_input(x, data_format, mode="caffe")
