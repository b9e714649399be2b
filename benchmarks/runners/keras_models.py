"""An architecture as a model of Keras's API, for any module that has that API: Keras itself, or graphc."""

from __future__ import annotations

from typing import Any

from benchmarks.architecture import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    LAYER_NORM_EPSILON,
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
)
from benchmarks.materials import LayerWeights
from benchmarks.workloads import Network


def compiled_model(keras: Any, network: Network, weights: list[LayerWeights]) -> Any:
    """A built model with `weights`, compiled with Adam and the network's loss. keras: that module, or graphc."""
    if any(isinstance(layer, Residual) for layer in network.layers):
        model, weighted = _functional(keras, network)
    else:
        model, weighted = _sequential(keras, network)
    for layer, arrays in zip(weighted, weights, strict=True):
        layer.set_weights(list(arrays.values()))
    model.compile(optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-7), loss=_loss(keras, network))
    return model


def _sequential(keras: Any, network: Network) -> tuple[Any, list[Any]]:
    layers = [made for layer in network.layers for made in _create(keras, layer)]
    model = keras.Sequential([_input(keras, network), *layers])
    return model, [layer for layer in layers if layer.weights]


def _functional(keras: Any, network: Network) -> tuple[Any, list[Any]]:
    weighted: list[Any] = []
    inputs = _input(keras, network)
    outputs = _connect(keras, network.layers, inputs, weighted)
    return keras.Model(inputs, outputs), weighted


def _input(keras: Any, network: Network) -> Any:
    is_ids = isinstance(network.layers[0], Embedding)
    return keras.Input(network.input_shape, dtype="int32" if is_ids else "float32")


def _connect(keras: Any, layers: Layers, x: Any, weighted: list[Any]) -> Any:
    """`layers` on the symbolic tensor x; the layers that have weights are appended to `weighted`."""
    for layer in layers:
        if isinstance(layer, Residual):
            body, shortcut = (_connect(keras, part, x, weighted) for part in (layer.body, layer.shortcut))
            x = keras.layers.Add()([body, shortcut])
        elif isinstance(layer, SelfAttention):
            made = keras.layers.MultiHeadAttention(layer.heads, x.shape[-1] // layer.heads)
            x = made(x, x, use_causal_mask=layer.causal)
            weighted.append(made)
        elif isinstance(layer, Positions):
            made = _positions(keras, x.shape[1])
            x = made(x)
            weighted.append(made)
        else:
            for made in _create(keras, layer):
                x = made(x)
                weighted += [made] if made.weights else []
    return x


def _create(keras: Any, layer: Layer) -> list[Any]:
    """The Keras layers that do what `layer` does."""
    layers = keras.layers
    match layer:
        case Dense():
            return [layers.Dense(layer.units, activation=layer.activation)]
        case Conv2D():
            before, padding = _padding(keras, layer)
            options = {"padding": padding, "use_bias": layer.bias, "activation": layer.activation}
            return [*before, layers.Conv2D(layer.filters, layer.kernel, layer.stride, **options)]
        case DepthwiseConv2D():
            before, padding = _padding(keras, layer)
            return [*before, layers.DepthwiseConv2D(layer.kernel, layer.stride, padding=padding, use_bias=False)]
        case BatchNorm():
            return [layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON)]
        case Activation():
            return [layers.Activation(layer.name)]
        case MaxPool2D():
            return [*_zeros(keras, layer.padding), layers.MaxPooling2D(layer.size, layer.stride)]
        case GlobalAveragePool2D():
            return [layers.GlobalAveragePooling2D()]
        case Flatten():
            return [layers.Flatten()]
        case Dropout():
            return [layers.Dropout(layer.rate)]
        case Embedding():
            return [layers.Embedding(layer.ids, layer.width)]
        case LSTM():
            return [layers.LSTM(layer.units)]
        case LayerNorm():
            return [layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON)]
        case GlobalAveragePool1D():
            return [layers.GlobalAveragePooling1D()]
        case Residual() | SelfAttention() | Positions():
            raise TypeError(f"a {type(layer).__name__} is connected by _connect")


def _positions(keras: Any, steps: int) -> Any:
    """A layer that adds a trained row to each step; graphc has one, with which a model can write."""
    if keras.__name__ == "graphc":
        from graphc.generation import PositionEmbedding

        return PositionEmbedding(steps)

    class AddPositions(keras.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.table = self.add_weight(shape[1:], name="positions")

        def call(self, x: Any) -> Any:
            return x + self.table

    return AddPositions()


def _padding(keras: Any, layer: Conv2D | DepthwiseConv2D) -> tuple[list[Any], str]:
    """The layer to put before a convolution, if any, and the convolution's `padding`."""
    if layer.stride == 1 and layer.padding > 0 and 2 * layer.padding == layer.kernel - 1:
        return [], "same"
    return _zeros(keras, layer.padding), "valid"


def _zeros(keras: Any, padding: int) -> list[Any]:
    return [keras.layers.ZeroPadding2D(padding)] if padding else []


def _loss(keras: Any, network: Network) -> Any:
    losses = keras.losses
    match network.loss:
        case "sparse_categorical_crossentropy":
            return losses.SparseCategoricalCrossentropy(from_logits=network.from_logits)
        case "binary_crossentropy":
            return losses.BinaryCrossentropy(from_logits=network.from_logits)
        case "mse":
            return losses.MeanSquaredError()
