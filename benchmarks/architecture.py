"""A network's architecture as data, and the one walk over it that every system shares.

A system says how it does each kind of layer by an `Ops` object; `apply` walks the layers in order and hands each to it.
Layouts are Keras's: images NHWC, convolution kernels HWIO, depthwise kernels HWC1, dense kernels (in, out), gates of an
LSTM in the order input, forget, cell, output, kernels of heads (in, heads, width) and (heads, width, out).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.99
LAYER_NORM_EPSILON = 1e-3

Shape = tuple[int, ...]
Weights = dict[str, Any]  # one layer's, by their Keras names, as a system's own arrays


@dataclass(frozen=True, slots=True)
class Dense:
    """y = activation(x @ kernel + bias)."""

    units: int
    activation: str | None = None


@dataclass(frozen=True, slots=True)
class Conv2D:
    """Square kernel; `padding` zeros on every side, so 1 is Keras's "same" for a 3x3 kernel at stride 1."""

    filters: int
    kernel: int = 3
    stride: int = 1
    padding: int = 0
    bias: bool = True
    activation: str | None = None


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D:
    """One filter per channel, without bias."""

    kernel: int = 3
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Over the channels; momentum and epsilon are Keras's defaults."""


@dataclass(frozen=True, slots=True)
class Activation:
    """relu, relu6, sigmoid, softmax or gelu (the exact one)."""

    name: str


@dataclass(frozen=True, slots=True)
class MaxPool2D:
    """Square window. With `padding` its input must be non-negative: zeros and minus infinity then do the same."""

    size: int = 2
    stride: int = 2
    padding: int = 0


@dataclass(frozen=True, slots=True)
class GlobalAveragePool2D:
    """Mean over height and width."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """In NHWC order."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """Inverted dropout, active in training only."""

    rate: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """Rows of a table for whole numbers below `ids`; the first layer of its network."""

    ids: int
    width: int


@dataclass(frozen=True, slots=True)
class Positions:
    """Adds a trained row to each step of (steps, features)."""


@dataclass(frozen=True, slots=True)
class LSTM:
    """The output of the last of all steps."""

    units: int


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Over the features, with scale and offset; epsilon is Keras's default."""


@dataclass(frozen=True, slots=True)
class SelfAttention:
    """With projections and biases; the heads share the features."""

    heads: int
    causal: bool = False


@dataclass(frozen=True, slots=True)
class GlobalAveragePool1D:
    """Mean over the steps."""


@dataclass(frozen=True, slots=True)
class Residual:
    """body(x) + shortcut(x); an empty shortcut is the identity."""

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


Layer = (
    Dense
    | Conv2D
    | DepthwiseConv2D
    | BatchNorm
    | Activation
    | MaxPool2D
    | GlobalAveragePool2D
    | Flatten
    | Dropout
    | Embedding
    | Positions
    | LSTM
    | LayerNorm
    | SelfAttention
    | GlobalAveragePool1D
    | Residual
)
Layers = tuple[Layer, ...]


class Ops(Protocol):
    """What a system does for each kind of layer. The methods that need weights take them in the order of the walk."""

    def dense(self, layer: Dense, x: Any) -> Any: ...
    def conv(self, layer: Conv2D, x: Any) -> Any: ...
    def depthwise_conv(self, layer: DepthwiseConv2D, x: Any) -> Any: ...
    def batch_norm(self, x: Any) -> Any: ...
    def max_pool(self, layer: MaxPool2D, x: Any) -> Any: ...
    def global_average_pool(self, x: Any) -> Any: ...
    def flatten(self, x: Any) -> Any: ...
    def dropout(self, rate: float, x: Any) -> Any: ...
    def embedding(self, layer: Embedding, x: Any) -> Any: ...
    def positions(self, x: Any) -> Any: ...
    def lstm(self, layer: LSTM, x: Any) -> Any: ...
    def layer_norm(self, x: Any) -> Any: ...
    def attention(self, layer: SelfAttention, x: Any) -> Any: ...
    def average_steps(self, x: Any) -> Any: ...
    def add(self, x: Any, y: Any) -> Any: ...
    def activation(self, name: str, x: Any) -> Any: ...


def apply(ops: Ops, layers: Sequence[Layer], x: Any) -> Any:
    """The output of `layers` on `x`, done by `ops`."""
    for layer in layers:
        x = _apply_layer(ops, layer, x)
    return x


def _apply_layer(ops: Ops, layer: Layer, x: Any) -> Any:
    match layer:
        case Dense():
            return _activated(ops, layer.activation, ops.dense(layer, x))
        case Conv2D():
            return _activated(ops, layer.activation, ops.conv(layer, x))
        case DepthwiseConv2D():
            return ops.depthwise_conv(layer, x)
        case BatchNorm():
            return ops.batch_norm(x)
        case Activation():
            return ops.activation(layer.name, x)
        case MaxPool2D():
            return ops.max_pool(layer, x)
        case GlobalAveragePool2D():
            return ops.global_average_pool(x)
        case Flatten():
            return ops.flatten(x)
        case Dropout():
            return ops.dropout(layer.rate, x)
        case Embedding():
            return ops.embedding(layer, x)
        case Positions():
            return ops.positions(x)
        case LSTM():
            return ops.lstm(layer, x)
        case LayerNorm():
            return ops.layer_norm(x)
        case SelfAttention():
            return ops.attention(layer, x)
        case GlobalAveragePool1D():
            return ops.average_steps(x)
        case Residual():
            return ops.add(apply(ops, layer.body, x), apply(ops, layer.shortcut, x))


def _activated(ops: Ops, activation: str | None, x: Any) -> Any:
    return x if activation is None else ops.activation(activation, x)


def walk(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Every layer in the order of the walk; a Residual gives itself, then its parts."""
    for layer in layers:
        yield layer
        if isinstance(layer, Residual):
            yield from walk(layer.body)
            yield from walk(layer.shortcut)


def without_dropout(layers: Layers) -> Layers:
    """The same network with nothing random in it (dropout stands only at the top level of these architectures)."""
    return tuple(layer for layer in layers if not isinstance(layer, Dropout))


def with_logits(layers: Layers) -> Layers:
    """The network up to the last layer's activation, for losses that take logits."""
    last = layers[-1]
    if not isinstance(last, Dense):
        raise TypeError(f"the last layer must be Dense to give logits, got {last!r}")
    return (*layers[:-1], replace(last, activation=None))


@dataclass(frozen=True, slots=True)
class Summary:
    """weights: the shapes of each layer's weights by name, in the order of the walk.
    forward_flop: floating-point operations of the contractions for one sample (a multiply-add counts two).
    first_flop: the part of the first contraction, if its input needs no gradient.
    """

    output: Shape
    weights: tuple[dict[str, Shape], ...]
    forward_flop: int
    first_flop: int


def summarize(layers: Sequence[Layer], input_shape: Shape) -> Summary:
    """Shapes and work of a network for one sample of `input_shape` (without the batch axis)."""
    ops = _ShapeOps()
    output = apply(ops, layers, input_shape)
    return Summary(output, tuple(ops.weights), sum(ops.flop), 0 if ops.has_weights_before else ops.flop[0])


class _ShapeOps:
    """An `Ops` over shapes of one sample; it notes weights and work on the way."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Shape]] = []
        self.flop: list[int] = []
        self.has_weights_before = False  # whether there are weights in front of the first contraction

    def dense(self, layer: Dense, x: Shape) -> Shape:
        self._contraction({"kernel": (x[-1], layer.units), "bias": (layer.units,)}, prod(x[:-1]))
        return (*x[:-1], layer.units)

    def conv(self, layer: Conv2D, x: Shape) -> Shape:
        rows, columns = _windows(layer, x)
        weights: dict[str, Shape] = {"kernel": (layer.kernel, layer.kernel, x[-1], layer.filters)}
        if layer.bias:
            weights["bias"] = (layer.filters,)
        self._contraction(weights, rows * columns)
        return (rows, columns, layer.filters)

    def depthwise_conv(self, layer: DepthwiseConv2D, x: Shape) -> Shape:
        rows, columns = _windows(layer, x)
        self._contraction({"kernel": (layer.kernel, layer.kernel, x[-1], 1)}, rows * columns)
        return (rows, columns, x[-1])

    def batch_norm(self, x: Shape) -> Shape:
        self.weights.append(dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), x[-1:]))
        return x

    def max_pool(self, layer: MaxPool2D, x: Shape) -> Shape:
        rows, columns = (_positions(n, layer.size, layer.stride, layer.padding) for n in x[:2])
        return (rows, columns, x[-1])

    def global_average_pool(self, x: Shape) -> Shape:
        return x[-1:]

    def flatten(self, x: Shape) -> Shape:
        return (prod(x),)

    def dropout(self, rate: float, x: Shape) -> Shape:
        return x

    def embedding(self, layer: Embedding, x: Shape) -> Shape:
        self.weights.append({"embeddings": (layer.ids, layer.width)})
        return (*x, layer.width)

    def positions(self, x: Shape) -> Shape:
        self.weights.append({"positions": x})
        return x

    def lstm(self, layer: LSTM, x: Shape) -> Shape:
        steps, width = x
        gates = 4 * layer.units
        recurrent = {"recurrent_kernel": (layer.units, gates), "bias": (gates,)}
        self._contraction({"kernel": (width, gates), **recurrent}, steps)
        self.flop.append(2 * steps * layer.units * gates)
        return (layer.units,)

    def layer_norm(self, x: Shape) -> Shape:
        self.weights.append(dict.fromkeys(("gamma", "beta"), x[-1:]))
        return x

    def attention(self, layer: SelfAttention, x: Shape) -> Shape:
        """Of causal attention all scores are counted, as is usual."""
        steps, features = x
        heads = (layer.heads, features // layer.heads)
        weights: dict[str, Shape] = {}
        for name in ("query", "key", "value"):
            weights |= {f"{name}_kernel": (features, *heads), f"{name}_bias": heads}
        self._note({**weights, "output_kernel": (*heads, features), "output_bias": (features,)})
        self.flop += [2 * steps * features**2] * 4 + [2 * steps**2 * features] * 2
        return x

    def average_steps(self, x: Shape) -> Shape:
        return x[-1:]

    def add(self, x: Shape, y: Shape) -> Shape:
        if x != y:
            raise ValueError(f"Residual: the body gives {x}, the shortcut {y}; they must agree")
        return x

    def activation(self, name: str, x: Shape) -> Shape:
        return x

    def _contraction(self, weights: dict[str, Shape], positions: int) -> None:
        self._note(weights)
        self.flop.append(2 * positions * prod(weights["kernel"]))

    def _note(self, weights: dict[str, Shape]) -> None:
        if not self.flop:
            self.has_weights_before = bool(self.weights)
        self.weights.append(weights)


def _windows(layer: Conv2D | DepthwiseConv2D, x: Shape) -> tuple[int, int]:
    rows, columns = (_positions(n, layer.kernel, layer.stride, layer.padding) for n in x[:2])
    return rows, columns


def _positions(n: int, window: int, stride: int, padding: int) -> int:
    return (n + 2 * padding - window) // stride + 1
