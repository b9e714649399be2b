"""PyTorch, eager or compiled: functional layers, channels_last, fused Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod, sqrt
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.architecture import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Layers,
    MaxPool2D,
    Weights,
    apply,
)
from benchmarks.job import Job
from benchmarks.materials import Array, LayerWeights, Materials
from benchmarks.runners.epochs import epoch
from benchmarks.workloads import Network, Workload

# PyTorch adds epsilon to the bias-corrected root, Keras to the uncorrected one; the two are equal in the first step.
_EPSILON = 1e-7 / sqrt(1 - 0.999)
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: functional.softmax(x, dim=-1),
}


class Runner:
    """mode: eager or compile."""

    def __init__(self, mode: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = f"torch {torch.__version__}"
        self._compiled = mode == "compile"

    def build(self, workload: Workload, materials: Materials) -> Job:
        x, y = torch.from_numpy(materials.x), _targets(materials.y)
        weights = [_load(layer) for layer in materials.weights]
        if workload.kind == "infer":
            return Job(self._inference(workload.network.layers, weights, x))
        step = self._training_step(workload.network, weights)
        if workload.kind == "train":
            return Job(lambda: step(x, y))
        rng = np.random.default_rng(3)
        return Job(lambda: epoch(lambda rows: step(x[rows], y[rows]), len(x), workload.batch, rng))

    def _inference(self, layers: Layers, weights: list[Weights], x: Any) -> Callable[[], Any]:
        def forward(x: Any) -> Any:
            return _forward(layers, weights, x, training=False)

        run = self._maybe_compiled(forward)

        def infer() -> Any:
            with torch.inference_mode():
                return run(x)

        return infer

    def _training_step(self, network: Network, weights: list[Weights]) -> Callable[[Any, Any], Any]:
        loss_of = _LOSSES[network.loss]

        def loss(x: Any, y: Any) -> Any:
            return loss_of(_forward(network.loss_layers, weights, x, training=True), y)

        run = self._maybe_compiled(loss)
        parameters = [w for layer in weights for name, w in layer.items() if not name.startswith("moving_")]
        for parameter in parameters:
            parameter.requires_grad_()
        optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=_EPSILON, fused=True)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad(set_to_none=True)
            value = run(x, y)
            value.backward()
            optimizer.step()
            return value.detach()

        return step

    def _maybe_compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, dynamic=False) if self._compiled else function


_LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "sparse_categorical_crossentropy": functional.cross_entropy,
    "binary_crossentropy": functional.binary_cross_entropy_with_logits,
    "mse": functional.mse_loss,
}


def _forward(layers: Layers, weights: list[Weights], x: Any, training: bool) -> Any:
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2)  # a view: NHWC in memory is what channels_last means
    return apply(_TorchOps(iter(weights), training), layers, x)


def _targets(y: Array) -> Any:
    return torch.from_numpy(y.astype(np.int64) if y.dtype == np.int32 else y)


def _load(layer: LayerWeights) -> Weights:
    return {name: _parameter(name, torch.from_numpy(array)) for name, array in layer.items()}


def _parameter(name: str, tensor: Any) -> Any:
    if name != "kernel":
        return tensor
    if tensor.ndim == 2:
        return tensor.t().contiguous()
    depthwise = tensor.shape[-1] == 1
    out_first = tensor.permute(2, 3, 0, 1) if depthwise else tensor.permute(3, 2, 0, 1)
    return out_first.contiguous(memory_format=torch.channels_last)


class _TorchOps:
    """An `Ops` over NCHW tensors in channels_last memory."""

    def __init__(self, weights: Iterator[Weights], training: bool) -> None:
        self._weights = weights
        self._training = training

    def dense(self, layer: Dense, x: Any) -> Any:
        weights = next(self._weights)
        return functional.linear(x, weights["kernel"], weights["bias"])

    def conv(self, layer: Conv2D, x: Any) -> Any:
        weights = next(self._weights)
        return functional.conv2d(x, weights["kernel"], weights.get("bias"), layer.stride, layer.padding)

    def depthwise_conv(self, layer: DepthwiseConv2D, x: Any) -> Any:
        kernel = next(self._weights)["kernel"]
        return functional.conv2d(x, kernel, None, layer.stride, layer.padding, groups=x.shape[1])

    def batch_norm(self, x: Any) -> Any:
        w = next(self._weights)
        statistics = (w["moving_mean"], w["moving_variance"])
        # PyTorch's momentum is the weight of the new value, Keras's that of the old one.
        momentum = 1 - BATCH_NORM_MOMENTUM
        return functional.batch_norm(
            x, *statistics, w["gamma"], w["beta"], self._training, momentum, BATCH_NORM_EPSILON
        )

    def max_pool(self, layer: MaxPool2D, x: Any) -> Any:
        return functional.max_pool2d(x, layer.size, layer.stride, layer.padding)

    def global_average_pool(self, x: Any) -> Any:
        return x.mean(dim=(2, 3))

    def flatten(self, x: Any) -> Any:
        # In Keras's order (height, width, channels), which in channels_last memory is a view.
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], prod(x.shape[1:]))

    def dropout(self, rate: float, x: Any) -> Any:
        return functional.dropout(x, rate, self._training)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def activation(self, name: str, x: Any) -> Any:
        return _ACTIVATIONS[name](x)
