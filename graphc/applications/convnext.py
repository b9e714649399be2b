"""ConvNeXt: a convolutional network with the habits of transformers (Liu et al., "A ConvNet for the 2020s", 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc import config, initializers, layers, ops, random
from graphc.applications.classifier import Classifier, channel_position, published
from graphc.applications.imagenet_utils import DEVIATION, MEAN, decode_predictions
from graphc.models import Model, Sequential

__all__ = ["decode_predictions", "preprocess_input"]

EPSILON = 1e-6
SCALE = 1e-6


class StochasticDepth(layers.Layer):
    """While training, whole samples are set to 0 at the rate `drop_path_rate`, the others made larger for it."""

    def __init__(self, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drop_path_rate = drop_path_rate

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training:
            return x
        kept = 1 - self.drop_path_rate
        shape = (ops.shape(x)[0],) + (1,) * (len(ops.shape(x)) - 1)
        return x / kept * ops.floor(kept + random.uniform(shape, 0, 1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "drop_path_rate": self.drop_path_rate}


class LayerScale(layers.Layer):
    """Channels times weights that begin at `init_values`."""

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: Any) -> None:
        start = initializers.Constant(self.init_values)
        self.gamma = self.add_weight((self.projection_dim,), start, name="gamma")

    def call(self, x: Any) -> Any:
        return x * self.gamma

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "init_values": self.init_values, "projection_dim": self.projection_dim}


layers.OBJECTS.update({"StochasticDepth": StochasticDepth, "LayerScale": LayerScale})


def variant(size: str, depths: tuple[int, ...], widths: tuple[int, ...]) -> Callable[..., Model]:
    """The function that makes a ConvNeXt whose four stages have these numbers of blocks and channels."""
    own_name = f"convnext_{size.lower()}"

    def make(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = own_name,
    ) -> Model:
        if config.image_data_format() == "channels_first":
            raise ValueError("ConvNeXt does not support the `channels_first` image data format")
        wanted = Classifier(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        wanted.check_weights()
        shape = wanted.checked_shape(224, 32)
        images = x = wanted.begin(shape)
        if include_preprocessing and shape[channel_position()] == 3:
            x = _normalized(x, f"{name}_prestem_normalization")
        for stage, change in enumerate(_changes(widths, name)):
            x = change(x)
            for block in range(depths[stage]):
                x = _block(x, widths[stage], f"{name}_stage_{stage}_block_{block}")
        x = _top(wanted, x)
        return wanted.model(images, x, published(own_name, "convnext"))

    make.__name__ = make.__qualname__ = f"ConvNeXt{size}"
    make.__doc__ = (
        f"ConvNeXt{size}. Images of at least 32 x 32 pixels, usually 224 x 224, of 0 to 255 with\n"
        "include_preprocessing. Other arguments: see `Classifier`."
    )
    return make


def _normalized(x: Any, name: str) -> Any:
    mean, variance = [255 * m for m in MEAN], [(255 * d) ** 2 for d in DEVIATION]
    return layers.Normalization(mean=mean, variance=variance, name=name)(x)


def _changes(widths: tuple[int, ...], name: str) -> list[Any]:
    """What stands before each stage: the stem, then three halvings of the image."""
    stem = [
        layers.Conv2D(widths[0], 4, strides=4, name=f"{name}_stem_conv"),
        layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_stem_layernorm"),
    ]
    made = [Sequential(stem, name=f"{name}_stem")]
    for index, width in enumerate(widths[1:]):
        norm = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_downsampling_layernorm_{index}")
        halve = layers.Conv2D(width, 2, strides=2, name=f"{name}_downsampling_conv_{index}")
        made.append(Sequential([norm, halve], name=f"{name}_downsampling_block_{index}"))
    return made


def _block(inputs: Any, width: int, name: str) -> Any:
    x = layers.Conv2D(width, 7, padding="same", groups=width, name=f"{name}_depthwise_conv")(inputs)
    x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_layernorm")(x)
    x = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(x)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Dense(width, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(SCALE, width, name=f"{name}_layer_scale")(x)
    return inputs + layers.Activation("linear", name=f"{name}_identity")(x)


def _top(wanted: Classifier, x: Any) -> Any:
    if not wanted.include_top:
        return layers.LayerNormalization(epsilon=EPSILON)(wanted.pool(x))
    wanted.check_activation()
    x = layers.GlobalAveragePooling2D(name=f"{wanted.name}_head_gap")(x)
    x = layers.LayerNormalization(epsilon=EPSILON, name=f"{wanted.name}_head_layernorm")(x)
    return layers.Dense(wanted.classes, activation=wanted.classifier_activation, name=f"{wanted.name}_head_dense")(x)


DEEP = (3, 3, 27, 3)
ConvNeXtTiny = variant("Tiny", (3, 3, 9, 3), (96, 192, 384, 768))
ConvNeXtSmall = variant("Small", DEEP, (96, 192, 384, 768))
ConvNeXtBase = variant("Base", DEEP, (128, 256, 512, 1024))
ConvNeXtLarge = variant("Large", DEEP, (192, 384, 768, 1536))
ConvNeXtXLarge = variant("XLarge", DEEP, (256, 512, 1024, 2048))


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """The pixels as they are: the network scales them itself."""
    return x
