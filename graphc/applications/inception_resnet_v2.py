"""InceptionResNetV2: inception branches as scaled residuals (Szegedy et al., 2016)."""

from __future__ import annotations

from typing import Any

from graphc import layers
from graphc.applications.classifier import Classifier, batch_norm, channel_axis, published
from graphc.applications.imagenet_utils import decode_predictions
from graphc.applications.mobilenet import preprocess_input
from graphc.models import Model

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]

# A convolution: (filters, window), with a stride of 2 and no padding if there is a third number.
Branches = tuple[tuple[tuple[Any, ...], ...], ...]
BLOCK_35: Branches = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
BLOCK_17: Branches = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
BLOCK_8: Branches = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))


class CustomScaleLayer(layers.Layer):
    """The first input plus the second times `scale`."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        return inputs[0] + inputs[1] * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


layers.OBJECTS["CustomScaleLayer"] = CustomScaleLayer


def InceptionResNetV2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_resnet_v2",
) -> Model:
    """InceptionResNetV2. Images of at least 75 x 75 pixels, usually 299 x 299; arguments: see `Classifier`."""
    wanted = Classifier(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    images = wanted.start(299, 75)
    x = _mixed(_stem(images), (((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))), 64, "mixed_5b")
    x = _residuals(x, BLOCK_35, "block35", 10, 0.17)
    x = _mixed(x, (((384, 3, 2),), ((256, 1), (256, 3), (384, 3, 2))), None, "mixed_6a")
    x = _residuals(x, BLOCK_17, "block17", 20, 0.1)
    halved = (((256, 1), (384, 3, 2)), ((256, 1), (288, 3, 2)), ((256, 1), (288, 3), (320, 3, 2)))
    x = _residuals(_mixed(x, halved, None, "mixed_7a"), BLOCK_8, "block8", 9, 0.2)
    x = _conv_norm(_residual(x, BLOCK_8, "block8_10", 1.0), 1536, 1, name="conv_7b")
    files = published("inception_resnet_v2_weights_tf_dim_ordering_tf_kernels", "inception_resnet_v2")
    return wanted.finish(images, x, files, pool_names=("avg_pool" if include_top else None, None))


def _conv_norm(
    x: Any, filters: int, kernel: Any, stride: int = 1, padding: str = "same", name: str | None = None
) -> Any:
    x = layers.Conv2D(filters, kernel, strides=stride, padding=padding, use_bias=False, name=name)(x)
    x = batch_norm(x, name and f"{name}_bn", scale=False)
    return layers.Activation("relu", name=name and f"{name}_ac")(x)


def _stem(x: Any) -> Any:
    x = _conv_norm(x, 32, 3, 2, "valid")
    x = _conv_norm(_conv_norm(x, 32, 3, padding="valid"), 64, 3)
    x = _conv_norm(layers.MaxPooling2D(3, strides=2)(x), 80, 1, padding="valid")
    return layers.MaxPooling2D(3, strides=2)(_conv_norm(x, 192, 3, padding="valid"))


def _branches(x: Any, branches: Branches) -> list[Any]:
    made = []
    for steps in branches:
        part = x
        for filters, kernel, *strides in steps:
            part = _conv_norm(part, filters, kernel, *((2, "valid") if strides else ()))
        made.append(part)
    return made


def _mixed(x: Any, branches: Branches, pooled: int | None, name: str) -> Any:
    """The branches and a pooling side by side: an average and `pooled` filters, or (None) a maximum with stride 2."""
    parts = _branches(x, branches)
    if pooled is None:
        parts.append(layers.MaxPooling2D(3, strides=2)(x))
    else:
        parts.append(_conv_norm(layers.AveragePooling2D(3, strides=1, padding="same")(x), pooled, 1))
    return layers.Concatenate(axis=channel_axis(), name=name)(parts)


def _residuals(x: Any, branches: Branches, name: str, count: int, scale: float) -> Any:
    for index in range(1, count + 1):
        x = _residual(x, branches, f"{name}_{index}", scale)
        x = layers.Activation("relu", name=f"{name}_{index}_ac")(x)
    return x


def _residual(x: Any, branches: Branches, name: str, scale: float) -> Any:
    mixed = layers.Concatenate(axis=channel_axis(), name=f"{name}_mixed")(_branches(x, branches))
    wide = layers.Conv2D(x.shape[channel_axis()], 1, padding="same", name=f"{name}_conv")(mixed)
    return CustomScaleLayer(scale)([x, wide])
