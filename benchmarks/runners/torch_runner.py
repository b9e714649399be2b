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
    LAYER_NORM_EPSILON,
    LSTM,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Embedding,
    Layers,
    MaxPool2D,
    SelfAttention,
    Weights,
    apply,
)
from benchmarks.job import Job
from benchmarks.materials import Array, LayerWeights, Materials
from benchmarks.runners.epochs import epoch
from benchmarks.workloads import PROMPT, WRITTEN, Network, Workload

# PyTorch adds epsilon to the bias-corrected root, Keras to the uncorrected one; the two are equal in the first step.
_EPSILON = 1e-7 / sqrt(1 - 0.999)
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "gelu": functional.gelu,
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
        x, y = _tensor(materials.x), _tensor(materials.y)
        weights = [_load(layer) for layer in materials.weights]
        if workload.kind == "infer":
            return Job(self._inference(workload.network.layers, weights, x))
        if workload.kind == "generate":
            write = self._writing(workload.network, weights, x)
            return Job(write, timed=write, timed_steps=WRITTEN)
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

    def _writing(self, network: Network, weights: list[Weights], x: Any) -> Callable[[], Any]:
        """Eager attention looks at the filled part of the caches; compiled, where shapes are fixed, at all, masked."""
        caches = _caches(network, len(x))
        weights = [_for_one_row(layer) for layer in weights]

        def one(words: Any, position: Any) -> tuple[Any, Any]:
            ops = _TorchDecodingOps(iter(weights), iter(caches), position)
            logits = apply(ops, network.layers, words)
            return logits, logits.argmax(-1)

        run = self._maybe_compiled(one)
        positions = [torch.tensor([n]) if self._compiled else n for n in range(PROMPT + WRITTEN)]
        with torch.inference_mode():
            for n in range(PROMPT - 1):
                run(x[:, n : n + 1], positions[n])

        def write() -> Any:
            words = x[:, PROMPT - 1 : PROMPT]
            with torch.inference_mode():
                for position in positions[PROMPT - 1 : -1]:
                    logits, words = run(words, position)
            return logits

        return write

    def _training_step(self, network: Network, weights: list[Weights]) -> Callable[[Any, Any], Any]:
        loss_of = _LOSSES[network.loss]

        def loss(x: Any, y: Any) -> Any:
            return loss_of(_forward(network.loss_layers, weights, x, training=True), y)

        run = self._maybe_compiled(loss)
        parameters = [w for layer in weights for name, w in layer.items() if not name.startswith(_UNTRAINED)]
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


def _sparse_categorical_crossentropy(logits: Any, y: Any) -> Any:
    return functional.cross_entropy(logits.flatten(0, -2), y.flatten())


_UNTRAINED = ("moving_", "no_")
_LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
    "binary_crossentropy": functional.binary_cross_entropy_with_logits,
    "mse": functional.mse_loss,
}


def _forward(layers: Layers, weights: list[Weights], x: Any, training: bool) -> Any:
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2)  # a view: NHWC in memory is what channels_last means
    return apply(_TorchOps(iter(weights), training), layers, x)


def _tensor(y: Array) -> Any:
    """Whole numbers as PyTorch takes them, in 64 bits."""
    return torch.from_numpy(y.astype(np.int64) if y.dtype == np.int32 else y)


def _load(layer: LayerWeights) -> Weights:
    tensors = {name: torch.from_numpy(array) for name, array in layer.items()}
    if "query_kernel" in tensors:
        return _one_projection(tensors)
    if "recurrent_kernel" in tensors:
        # PyTorch has a second bias; it stays zero, for both would move
        return {name: w.t().contiguous() for name, w in tensors.items()} | {
            "no_bias": torch.zeros_like(tensors["bias"])
        }
    return {name: _parameter(name, tensor) for name, tensor in tensors.items()}


def _one_projection(w: Weights) -> Weights:
    """Query, key and value projected together, as in PyTorch's own layer."""
    names, features = ("query", "key", "value"), w["output_bias"].shape[0]
    return {
        "kernel": torch.cat([w[f"{name}_kernel"].reshape(features, -1).t() for name in names]).contiguous(),
        "bias": torch.cat([w[f"{name}_bias"].reshape(-1) for name in names]),
        "output_kernel": w["output_kernel"].reshape(-1, features).t().contiguous(),
        "output_bias": w["output_bias"],
    }


def _for_one_row(layer: Weights) -> Weights:
    """Kernels of the same shape, in memory in the order in which MKL multiplies one row by them fastest: for wide ones
    on some processors in a third of the time.
    """
    wide = [name for name, w in layer.items() if name.endswith("kernel") and w.shape[0] > w.shape[1]]
    return {name: w.t().contiguous().t() if name in wide else w for name, w in layer.items()}


def _parameter(name: str, tensor: Any) -> Any:
    if name != "kernel":
        return tensor
    if tensor.ndim == 2:
        return tensor.t().contiguous()
    depthwise = tensor.shape[-1] == 1
    out_first = tensor.permute(2, 3, 0, 1) if depthwise else tensor.permute(3, 2, 0, 1)
    return out_first.contiguous(memory_format=torch.channels_last)


# Inductor cannot lower it; PyTorch's own layer breaks the graph there too.
_lstm = torch.compiler.disable(torch.lstm)


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

    def embedding(self, layer: Embedding, x: Any) -> Any:
        return functional.embedding(x, next(self._weights)["embeddings"])

    def positions(self, x: Any) -> Any:
        return x + next(self._weights)["positions"]

    def lstm(self, layer: LSTM, x: Any) -> Any:
        w = next(self._weights)
        first = x.new_zeros((1, x.shape[0], layer.units))
        flat = [w["kernel"], w["recurrent_kernel"], w["bias"], w["no_bias"]]
        # has_biases, layers, dropout, training, bidirectional, batch_first
        return _lstm(x, (first, first), flat, True, 1, 0.0, self._training, False, True)[1][0]

    def layer_norm(self, x: Any) -> Any:
        w = next(self._weights)
        return functional.layer_norm(x, x.shape[-1:], w["gamma"], w["beta"], LAYER_NORM_EPSILON)

    def attention(self, layer: SelfAttention, x: Any) -> Any:
        w = next(self._weights)
        batch, steps, features = x.shape
        projected = functional.linear(x, w["kernel"], w["bias"])
        q, k, v = projected.view(batch, steps, 3, layer.heads, features // layer.heads).permute(2, 0, 3, 1, 4)
        found = self._attended(layer, q, k, v)
        joined = found.transpose(1, 2).reshape(batch, steps, features)
        return functional.linear(joined, w["output_kernel"], w["output_bias"])

    def _attended(self, layer: SelfAttention, q: Any, k: Any, v: Any) -> Any:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=layer.causal)

    def average_steps(self, x: Any) -> Any:
        return x.mean(dim=1)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def activation(self, name: str, x: Any) -> Any:
        return _ACTIVATIONS[name](x)


class _TorchDecodingOps(_TorchOps):
    """On one step; `caches` hold the keys and the values of all, (batch, heads, steps, width) each.

    position: a number, or a tensor (1,) where it must not be part of the code.
    """

    def __init__(self, weights: Iterator[Weights], caches: Iterator[tuple[Any, Any]], position: Any) -> None:
        super().__init__(weights, training=False)
        self._caches = caches
        self._position = position

    def positions(self, x: Any) -> Any:
        return x + next(self._weights)["positions"][self._position]

    def _attended(self, layer: SelfAttention, q: Any, k: Any, v: Any) -> Any:
        keys, values = next(self._caches)
        at = self._position
        if isinstance(at, int):
            keys[:, :, at], values[:, :, at] = k[:, :, 0], v[:, :, 0]
            seen = keys[:, :, : at + 1], values[:, :, : at + 1]
            return functional.scaled_dot_product_attention(q, *seen)
        keys.index_copy_(2, at, k)
        values.index_copy_(2, at, v)
        mask = (torch.arange(keys.shape[2]) <= at)[None, None, None]
        return functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask)


def _caches(network: Network, batch: int) -> list[tuple[Any, Any]]:
    """Empty keys and values, for each attention."""
    shapes = [(batch, heads, steps, width) for steps, heads, width in network.caches]
    return [(torch.zeros(shape), torch.zeros(shape)) for shape in shapes]
