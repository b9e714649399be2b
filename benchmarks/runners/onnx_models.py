"""An architecture as an ONNX model, for the inference engines. Images are NCHW there; the batch is static."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from benchmarks.architecture import (
    BATCH_NORM_EPSILON,
    LAYER_NORM_EPSILON,
    LSTM,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Embedding,
    MaxPool2D,
    SelfAttention,
    apply,
    summarize,
)
from benchmarks.materials import Array, LayerWeights, Materials
from benchmarks.workloads import Network

_OPSET = 17
_IR_VERSION = 8
INPUT = "x"


def model_bytes(network: Network, materials: Materials) -> bytes:
    """The serialized inference model; its input is what `to_nchw` makes of materials.x."""
    ops = _OnnxOps(iter(materials.weights))
    output = apply(ops, network.layers, INPUT)
    shape = to_nchw(materials.x).shape
    classes = summarize(network.layers, network.input_shape).output
    graph = helper.make_graph(
        ops.nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, (shape[0], *classes))],
        ops.initializers,
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def to_nchw(x: Array) -> Array:
    """Images with the channels moved to axis 1; anything else as it is."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


class _OnnxOps:
    """An `Ops` over value names: each method appends the nodes of its layer."""

    def __init__(self, weights: Iterator[LayerWeights]) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._weights = weights
        self._channels = 0
        self._flattened = False
        self._has_steps = False

    def dense(self, layer: Dense, x: str) -> str:
        weights = next(self._weights)
        kernel = weights["kernel"]
        if self._flattened:
            kernel = _in_nchw_order(kernel, self._channels)
            self._flattened = False
        if self._has_steps:
            return self._projected(x, kernel, weights["bias"])
        return self._node("Gemm", x, self._constant(kernel), self._constant(weights["bias"]))

    def conv(self, layer: Conv2D, x: str) -> str:
        weights = next(self._weights)
        arrays = [weights["kernel"].transpose(3, 2, 0, 1), *([weights["bias"]] if layer.bias else [])]
        self._channels = layer.filters
        return self._conv(layer, x, arrays, 1)

    def depthwise_conv(self, layer: DepthwiseConv2D, x: str) -> str:
        kernel = next(self._weights)["kernel"].transpose(2, 3, 0, 1)
        return self._conv(layer, x, [kernel], len(kernel))

    def batch_norm(self, x: str) -> str:
        w = next(self._weights)
        arrays = [self._constant(w[name]) for name in ("gamma", "beta", "moving_mean", "moving_variance")]
        return self._node("BatchNormalization", x, *arrays, epsilon=BATCH_NORM_EPSILON)

    def max_pool(self, layer: MaxPool2D, x: str) -> str:
        window = {"kernel_shape": [layer.size] * 2, "strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
        return self._node("MaxPool", x, **window)

    def global_average_pool(self, x: str) -> str:
        return self._node("Flatten", self._node("GlobalAveragePool", x))

    def flatten(self, x: str) -> str:
        self._flattened = True
        return self._node("Flatten", x)

    def dropout(self, rate: float, x: str) -> str:
        return x

    def embedding(self, layer: Embedding, x: str) -> str:
        raise TypeError("no workload of inference has an Embedding")

    def positions(self, x: str) -> str:
        raise TypeError("no workload of inference has Positions")

    def lstm(self, layer: LSTM, x: str) -> str:
        raise TypeError("no workload of inference has an LSTM")

    def layer_norm(self, x: str) -> str:
        w = next(self._weights)
        self._has_steps = True
        return self._node(
            "LayerNormalization", x, self._constant(w["gamma"]), self._constant(w["beta"]), epsilon=LAYER_NORM_EPSILON
        )

    def attention(self, layer: SelfAttention, x: str) -> str:
        if layer.causal:
            raise TypeError("no workload of inference has causal attention")
        w = next(self._weights)
        features, heads, width = w["query_kernel"].shape
        cut = self._constant(np.array([0, 0, heads, width]))

        def projected(name: str, order: list[int]) -> str:
            kernel, bias = w[f"{name}_kernel"].reshape(features, -1), w[f"{name}_bias"].ravel()
            return self._node("Transpose", self._node("Reshape", self._projected(x, kernel, bias), cut), perm=order)

        q, k, v = projected("query", [0, 2, 1, 3]), projected("key", [0, 2, 3, 1]), projected("value", [0, 2, 1, 3])
        scores = self._node("Mul", self._node("MatMul", q, k), self._constant(np.float32(1 / sqrt(width))))
        found = self._node("MatMul", self._node("Softmax", scores, axis=-1), v)
        joined = self._node("Transpose", found, perm=[0, 2, 1, 3])
        joined = self._node("Reshape", joined, self._constant(np.array([0, 0, features])))
        return self._projected(joined, w["output_kernel"].reshape(-1, features), w["output_bias"])

    def average_steps(self, x: str) -> str:
        self._has_steps = False
        return self._node("ReduceMean", x, axes=[1], keepdims=0)

    def _projected(self, x: str, kernel: Array, bias: Array) -> str:
        return self._node("Add", self._node("MatMul", x, self._constant(kernel)), self._constant(bias))

    def add(self, x: str, y: str) -> str:
        return self._node("Add", x, y)

    def activation(self, name: str, x: str) -> str:
        if name == "relu6":
            return self._node("Clip", x, self._constant(np.float32(0)), self._constant(np.float32(6)))
        if name == "gelu":  # this set of operations has none of its own; the engines know the pattern
            erf = self._node("Erf", self._node("Div", x, self._constant(np.float32(sqrt(2)))))
            product = self._node("Mul", x, self._node("Add", erf, self._constant(np.float32(1))))
            return self._node("Mul", product, self._constant(np.float32(0.5)))
        return self._node({"relu": "Relu", "sigmoid": "Sigmoid", "softmax": "Softmax"}[name], x)

    def _conv(self, layer: Conv2D | DepthwiseConv2D, x: str, arrays: list[Array], groups: int) -> str:
        window = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
        return self._node("Conv", x, *map(self._constant, arrays), group=groups, **window)

    def _constant(self, array: Any) -> str:
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _node(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output


def _in_nchw_order(kernel: Array, channels: int) -> Array:
    """A dense kernel that follows a Flatten, its rows moved from (position, channel) to (channel, position) order."""
    return kernel.reshape(-1, channels, kernel.shape[1]).swapaxes(0, 1).reshape(kernel.shape)
