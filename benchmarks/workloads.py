"""The workloads: networks as data, each with its batch and what is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.architecture import (
    LSTM,
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    Layer,
    LayerNorm,
    Layers,
    MaxPool2D,
    Positions,
    Residual,
    SelfAttention,
    Shape,
    summarize,
    with_logits,
)

PROMPT, WRITTEN = 16, 64  # tokens of a text that is generated

Kind = Literal["train", "infer", "fit", "generate"]
Loss = Literal["sparse_categorical_crossentropy", "binary_crossentropy", "mse"]


@dataclass(frozen=True, slots=True)
class Network:
    """input_shape is without the batch axis. A cross-entropy takes logits if the last layer has no activation."""

    title: str
    input_shape: Shape
    layers: Layers
    loss: Loss = "sparse_categorical_crossentropy"

    @property
    def from_logits(self) -> bool:
        return self.loss != "mse" and self.layers[-1] == with_logits(self.layers)[-1]

    @property
    def loss_layers(self) -> Layers:
        """What a system computes before a loss that takes logits, as cross-entropies do in every peer."""
        return self.layers if self.loss == "mse" else with_logits(self.layers)

    @property
    def caches(self) -> list[Shape]:
        """(steps, heads, width) of the keys, and of the values, of each attention layer."""
        weights = summarize(self.layers, self.input_shape).weights
        return [(self.input_shape[0], *layer["key_bias"]) for layer in weights if "key_bias" in layer]


@dataclass(frozen=True, slots=True)
class Workload:
    """kind: one training step, one forward pass, one epoch of `fit` over all of MNIST, or one token.

    A token is the most likely one, written behind others whose keys and values are kept: a text of WRITTEN tokens is
    timed, and divided. It follows a prompt of PROMPT tokens, the first of the inputs. The keys and values of the prompt
    but its last token are there before anything is timed.
    """

    name: str
    network: Network
    batch: int
    kind: Kind

    @property
    def mflop(self) -> float:
        """Millions of floating-point operations in the contractions of one step (for a fit: one step of it).

        Training takes three times the forward pass, less the gradient of the network's input. A token takes its share
        of the forward pass of a whole text.
        """
        work = summarize(self.network.layers, self.network.input_shape)
        if self.kind == "generate":
            return self.batch * work.forward_flop / self.network.input_shape[0] / 1e6
        flop = 3 * work.forward_flop - work.first_flop if self.trains else work.forward_flop
        return self.batch * flop / 1e6

    @property
    def trains(self) -> bool:
        return self.kind in ("train", "fit")


def _conv_bn(filters: int, kernel: int, stride: int = 1, padding: int = 0, activation: str = "relu") -> Layers:
    return (Conv2D(filters, kernel, stride, padding, bias=False), BatchNorm(), Activation(activation))


def _vgg_stage(filters: int) -> Layers:
    return (*_conv_bn(filters, 3, padding=1), *_conv_bn(filters, 3, padding=1))


def _basic_block(filters: int, stride: int = 1, project: bool = False) -> Layers:
    body = (*_conv_bn(filters, 3, stride, 1), Conv2D(filters, 3, padding=1, bias=False), BatchNorm())
    shortcut = (Conv2D(filters, 1, stride, bias=False), BatchNorm()) if project else ()
    return (Residual(body, shortcut), Activation("relu"))


def _resnet18() -> Layers:
    layers: list[Layer] = [*_conv_bn(64, 7, 2, 3), MaxPool2D(3, 2, 1)]
    layers += [*_basic_block(64), *_basic_block(64)]
    for filters in (128, 256, 512):
        layers += [*_basic_block(filters, 2, project=True), *_basic_block(filters)]
    return (*layers, GlobalAveragePool2D(), Dense(1000))


def _inverted_residual(channels: int, expansion: int, filters: int, stride: int) -> Layers:
    expand = _conv_bn(channels * expansion, 1, activation="relu6") if expansion > 1 else ()
    depthwise = (DepthwiseConv2D(3, stride, 1), BatchNorm(), Activation("relu6"))
    body = (*expand, *depthwise, Conv2D(filters, 1, bias=False), BatchNorm())
    return (Residual(body),) if stride == 1 and channels == filters else body


# Expansion, filters, repeats, first stride: table 2 of Sandler et al., "MobileNetV2", arXiv:1801.04381.
_MOBILENET_V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _mobilenet_v2() -> Layers:
    channels = 32
    layers: list[Layer] = [*_conv_bn(channels, 3, 2, 1, "relu6")]
    for expansion, filters, repeats, first_stride in _MOBILENET_V2_STAGES:
        for repeat in range(repeats):
            layers += _inverted_residual(channels, expansion, filters, first_stride if repeat == 0 else 1)
            channels = filters
    return (*layers, *_conv_bn(1280, 1, activation="relu6"), GlobalAveragePool2D(), Dense(1000))


def _transformer(blocks: int, heads: int, width: int, causal: bool = False) -> Layers:
    """Blocks with the normalization in front, and one behind the last."""
    attention = Residual((LayerNorm(), SelfAttention(heads, causal)))
    return (*(attention, Residual((LayerNorm(), Dense(4 * width, "gelu"), Dense(width)))) * blocks, LayerNorm())


_W1 = Network("MLP 784-512-512-10", (784,), (Dense(512, "relu"), Dense(512, "relu"), Dense(10)))
_TINY = Network("MLP 8-10-8-1", (8,), (Dense(10, "relu"), Dense(8, "relu"), Dense(1, "sigmoid")), "binary_crossentropy")
_W2 = Network(
    "MNIST CNN, two convolutions",
    (28, 28, 1),
    (
        Conv2D(32, activation="relu"),
        MaxPool2D(),
        Conv2D(64, activation="relu"),
        MaxPool2D(),
        Flatten(),
        Dropout(0.5),
        Dense(10, "softmax"),
    ),
)
_W3 = Network(
    "MNIST CNN, one convolution",
    (28, 28, 1),
    (
        Conv2D(32, activation="relu"),
        MaxPool2D(),
        Dropout(0.25),
        Flatten(),
        Dense(128, "relu"),
        Dropout(0.5),
        Dense(10, "softmax"),
    ),
)
_W4 = Network(
    "CIFAR VGG with batch norm",
    (32, 32, 3),
    (
        *_vgg_stage(64),
        MaxPool2D(),
        *_vgg_stage(128),
        MaxPool2D(),
        *_vgg_stage(256),
        GlobalAveragePool2D(),
        Dense(10),
    ),
)
_W5 = Network("ResNet-18, 224 x 224", (224, 224, 3), _resnet18())
_MOBILENET = Network("MobileNetV2, 224 x 224", (224, 224, 3), _mobilenet_v2())
_W6 = Network("LSTM over 100 words", (100,), (Embedding(10_000, 64), LSTM(64), Dense(46)))
_W6_ROWS = Network("LSTM over the rows of MNIST", (28, 28), (LSTM(128), Dense(10)))
_W7 = Network(
    "transformer encoder, 4 blocks of 256, 128 steps",
    (128, 256),
    (*_transformer(4, 4, 256), GlobalAveragePool1D(), Dense(10)),
)
_GPT = Network(
    "GPT, 6 blocks of 384, 256 characters",
    (256,),
    (Embedding(65, 384), Positions(), *_transformer(6, 6, 384, causal=True), Dense(65)),
)
_AUTOENCODER = Network(
    "autoencoder 784-128-64-128-784",
    (784,),
    (Dense(128, "relu"), Dense(64, "relu"), Dense(128, "relu"), Dense(784, "sigmoid")),
    "mse",
)
_LOGISTIC = Network("logistic regression 784-10", (784,), (Dense(10, "softmax"),))

_ALL = (
    Workload("W1-train", _W1, 128, "train"),
    Workload("tiny-train", _TINY, 10, "train"),
    Workload("W2-train", _W2, 128, "train"),
    Workload("W2-infer-1", _W2, 1, "infer"),
    Workload("W2-infer-32", _W2, 32, "infer"),
    Workload("W2-infer-1024", _W2, 1024, "infer"),
    Workload("W3-train", _W3, 128, "train"),
    Workload("W3-fit", _W3, 128, "fit"),
    Workload("W4-train", _W4, 64, "train"),
    Workload("W4-infer-1", _W4, 1, "infer"),
    Workload("W4-infer-64", _W4, 64, "infer"),
    Workload("W5-train", _W5, 8, "train"),
    Workload("W5-infer-1", _W5, 1, "infer"),
    Workload("W5-infer-8", _W5, 8, "infer"),
    Workload("mobilenet-infer-1", _MOBILENET, 1, "infer"),
    Workload("W6-lstm", _W6, 32, "train"),
    Workload("W6-rows", _W6_ROWS, 128, "train"),
    Workload("W7-train", _W7, 16, "train"),
    Workload("W7-infer-1", _W7, 1, "infer"),
    Workload("gpt-train", _GPT, 8, "train"),
    Workload("gpt-decode", _GPT, 1, "generate"),
    Workload("W8-ae", _AUTOENCODER, 256, "train"),
    Workload("W8-logreg", _LOGISTIC, 128, "train"),
)
WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in _ALL}
