"""DenseNet: every layer sees the results of all before it (Huang et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import config, layers
from graphc.applications import imagenet_utils
from graphc.applications.classifier import Classifier, batch_norm, channel_axis, published
from graphc.applications.imagenet_utils import decode_predictions
from graphc.models import Model

__all__ = ["decode_predictions", "preprocess_input"]

EPSILON = 1.001e-5
GROWTH = 32


def variant(title: str, depths: tuple[int, ...]) -> Callable[..., Model]:
    """The function that makes a DenseNet whose blocks have these numbers of layers."""
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
        images = wanted.start(224, 32)
        x = _features(images, depths)
        files = published(f"{own_name}_weights_tf_dim_ordering_tf_kernels", "densenet")
        return wanted.finish(images, x, files, pool_names=("avg_pool", "max_pool"))

    make.__name__ = make.__qualname__ = title
    make.__doc__ = f"{title}. Images of at least 32 x 32 pixels, usually 224 x 224; arguments: see `Classifier`."
    return make


def _features(images: Any, depths: tuple[int, ...]) -> Any:
    if config.image_data_format() == "channels_first":
        raise ValueError("DenseNet does not support the `channels_first` image data format")
    x = layers.ZeroPadding2D(3)(images)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = layers.ZeroPadding2D(1)(_norm_relu(x, "conv1_"))
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(depths, 2):
        if stage > 2:
            x = _halved(x, f"pool{stage - 1}")
        for index in range(1, depth + 1):
            x = _grown(x, f"conv{stage}_block{index}")
    return _norm_relu(x, "")


def _norm_relu(x: Any, prefix: str) -> Any:
    x = batch_norm(x, f"{prefix}bn", epsilon=EPSILON)
    return layers.Activation("relu", name=f"{prefix}relu")(x)


def _grown(inputs: Any, name: str) -> Any:
    x = layers.Conv2D(4 * GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(_norm_relu(inputs, f"{name}_0_"))
    x = _norm_relu(x, f"{name}_1_")
    x = layers.Conv2D(GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(x)
    return layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")([inputs, x])


def _halved(x: Any, name: str) -> Any:
    """Half the channels, half the height and width."""
    x = _norm_relu(x, f"{name}_")
    x = layers.Conv2D(x.shape[channel_axis()] // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


DenseNet121 = variant("DenseNet121", (6, 12, 24, 16))
DenseNet169 = variant("DenseNet169", (6, 12, 32, 32))
DenseNet201 = variant("DenseNet201", (6, 12, 48, 32))


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels of 0 to 255 as floats of mean 0 and deviation 1 over ImageNet."""
    return imagenet_utils.preprocess_input(x, data_format, mode="torch")
