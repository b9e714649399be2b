"""What all image classifiers share: arguments and their checks, the input, the top, the weights' file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphc import activations, config, layers
from graphc.models import Model
from graphc.options import environment
from graphc.tensor import KerasTensor, is_keras_tensor

Shape = tuple[int | None, ...]
WEIGHTS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"


@dataclass(frozen=True)
class Classifier:
    """The arguments of an application.

    include_top: with the layers that tell 1000 (`classes`) classes apart. weights: None (random), "imagenet" (a file in
    Keras's home) or a path. input_tensor: a KerasTensor to begin with instead of an input of `input_shape`.
    pooling: without the top, "avg" or "max" over the image, or None. classifier_activation: of the top.
    """

    include_top: bool
    weights: Any
    input_tensor: Any
    input_shape: Any
    pooling: str | None
    classes: int
    classifier_activation: Any
    name: str | None

    def start(self, default_size: int, min_size: int) -> Any:
        """The KerasTensor of the images. ValueError in Keras's words for arguments that do not go together."""
        self.check_weights()
        shape = self.checked_shape(default_size, min_size)
        return self.begin(shape)

    def begin(self, shape: Shape) -> Any:
        """The KerasTensor of images of a shape that was checked."""
        if self.input_tensor is None:
            return layers.Input(shape=shape)
        if is_keras_tensor(self.input_tensor):
            return self.input_tensor
        return layers.Input(tensor=self.input_tensor, shape=shape)

    @property
    def is_pretrained(self) -> bool:
        return isinstance(self.weights, str) and self.weights == "imagenet"

    def check_weights(self) -> None:
        if self.weights is not None and not self.is_pretrained and not os.path.exists(self.weights):
            raise ValueError(
                "The `weights` argument should be either `None` (random initialization), 'imagenet' (pre-training on "
                f"ImageNet), or the path to the weights file to be loaded.  Received: weights={self.weights}"
            )
        if self.is_pretrained and self.include_top and self.classes != 1000:
            raise ValueError(
                "If using `weights='imagenet'` with `include_top=True`, `classes` should be 1000.  Received "
                f"classes={self.classes}"
            )

    def checked_shape(self, default_size: int, min_size: int) -> Shape:
        """The shape of an image: the given one, the usual one under a top, else of any size."""
        given = None if self.input_shape is None else tuple(self.input_shape)
        usual = self._usual_shape(given, default_size)
        if self.is_pretrained and self.include_top:
            if given is not None and given != usual:
                raise ValueError(
                    "When setting `include_top=True` and loading `imagenet` weights, `input_shape` should be "
                    f"{usual}.  Received: input_shape={given}"
                )
            return usual
        shape = given or (usual if self.include_top else image_shape(None, None, 3))
        self._check_shape(shape, min_size)
        return shape

    def _usual_shape(self, given: Shape | None, default_size: int) -> Shape:
        channels = 3
        if not self.is_pretrained and given is not None and len(given) == 3:
            channels = given[channel_position()] or 3
            if channels not in (1, 3):
                warnings.warn(
                    "This model usually expects 1 or 3 input channels. However, it was passed an input_shape with "
                    f"{channels} input channels.",
                    stacklevel=6,
                )
        return image_shape(default_size, default_size, channels)

    def _check_shape(self, shape: Shape, min_size: int) -> None:
        if len(shape) != 3:
            raise ValueError("`input_shape` must be a tuple of three integers.")
        if self.is_pretrained and shape[channel_position()] != 3:
            raise ValueError(f"The input must have 3 channels; Received `input_shape={shape}`")
        if any(size is not None and size < min_size for size in spatial_sizes(shape)):
            raise ValueError(f"Input size must be at least {min_size}x{min_size}; Received: input_shape={shape}")
        if self.include_top and None in shape:
            raise ValueError(
                f"If `include_top` is True, you should specify a static `input_shape`. Received: input_shape={shape}"
            )

    def finish(
        self,
        images: Any,
        x: Any,
        files: tuple[str, str],
        *,
        pool_names: tuple[str | None, str | None] = (None, None),
        top: Callable[[Any], Any] | None = None,
        **dense: Any,
    ) -> Model:
        """The model from `images` to the top, or the pooling, of features `x`, with its weights loaded.

        files: URLs of the weights with and without the top. top: what stands before the last layer, by default an
        average over the image. pool_names: those of the two kinds of pooling. dense: more arguments of the last layer.
        """
        average, maximum = pool_names
        if self.include_top:
            x = (top or layers.GlobalAveragePooling2D(name=average))(x)
            self.check_activation()
            x = layers.Dense(self.classes, activation=self.classifier_activation, name="predictions", **dense)(x)
        else:
            x = self.pool(x, average, maximum)
        return self.model(images, x, files)

    def pool(self, x: Any, average: str | None = None, maximum: str | None = None) -> Any:
        """The features over the image, as `pooling` says."""
        if self.pooling == "avg":
            return layers.GlobalAveragePooling2D(name=average)(x)
        return layers.GlobalMaxPooling2D(name=maximum)(x) if self.pooling == "max" else x

    def check_activation(self) -> None:
        """ValueError for a top that the pretrained weights were not made for."""
        allowed = (activations.get("softmax"), activations.get(None))
        if self.weights is not None and activations.get(self.classifier_activation) not in allowed:
            raise ValueError(
                "Only `None` and `softmax` activations are allowed for the `classifier_activation` argument when "
                "using pretrained weights, with `include_top=True`; Received: "
                f"classifier_activation={self.classifier_activation}"
            )

    def model(self, images: Any, x: Any, files: tuple[str, str]) -> Model:
        """The model from the images to `x`, with its weights loaded."""
        model = Model(source_of(images), x, name=self.name)
        path = weights_file(files[0 if self.include_top else 1]) if self.is_pretrained else self.weights
        if path is not None:
            model.load_weights(path)
        return model


def image_shape(height: int | None, width: int | None, channels: int) -> Shape:
    """The shape of an image in the process-wide data format."""
    return (height, width, channels) if channel_position() == 2 else (channels, height, width)


def channel_position() -> int:
    """Where channels stand in the shape of one image."""
    return 2 if config.image_data_format() == "channels_last" else 0


def channel_axis() -> int:
    """Where channels stand in the shape of a batch."""
    return -1 if config.image_data_format() == "channels_last" else 1


def spatial_sizes(shape: Shape) -> Shape:
    """Height and width of one image's shape."""
    return shape[:2] if channel_position() == 2 else shape[1:]


def source_of(tensor: KerasTensor) -> Any:
    """The input(s) a KerasTensor is computed from."""
    found: dict[int, KerasTensor] = {}
    pending = [tensor]
    while pending:
        history = pending.pop()._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if node.is_input:
            found.update((id(output), output) for output in node.outputs)
        pending.extend(reversed(node.input_tensors))
    inputs = list(found.values())
    return inputs[0] if len(inputs) == 1 else inputs


def weights_file(url: str) -> Path:
    """The file in Keras's home that holds published weights. FileNotFoundError says where to get it and to put it."""
    home = environment().keras_home
    name = url.rsplit("/", 1)[1]
    path = None if home is None else home / "models" / name
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"weights='imagenet': wanted the file {name} in {'~/.keras/models' if path is None else path.parent}. "
            f"graphc does not download weights; fetch {url} into that folder, or use weights=None."
        )
    return path


def published(stem: str, folder: str = "", suffixes: tuple[str, str] = ("", "_notop")) -> tuple[str, str]:
    """The URLs of weights with and without the top."""
    with_top, without = (f"{WEIGHTS_URL}{folder}/{stem}{suffix}.h5" for suffix in suffixes)
    return with_top, without


def batch_norm(x: Any, name: str | None = None, **options: Any) -> Any:
    """Batch normalization over channels."""
    return layers.BatchNormalization(axis=channel_axis(), name=name, **options)(x)


def even_padding(x: Any, kernel_size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The padding under which a window with stride 2 does what "same" does in the original networks."""
    first = 1 if channel_axis() == -1 else 2
    half = kernel_size // 2
    sizes = x.shape[first : first + 2]
    height, width = (1 if sizes[0] is None else 1 - size % 2 for size in sizes)
    return (half - height, half), (half - width, half)


def divisible(width: float, divisor: int = 8, floor: int | None = None) -> int:
    """The multiple of `divisor` nearest to a number of channels, and not more than a tenth below it."""
    rounded = max(divisor if floor is None else floor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded
