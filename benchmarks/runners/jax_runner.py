"""JAX: one jitted training step with donated state, or one jitted forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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
    summarize,
)
from benchmarks.job import Job
from benchmarks.materials import Materials
from benchmarks.runners.epochs import epoch
from benchmarks.workloads import PROMPT, WRITTEN, Network, Workload

_NHWC = ("NHWC", "HWIO", "NHWC")
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}


class Runner:
    """The mode is not used."""

    def __init__(self, mode: str, threads: int) -> None:
        self.version = f"jax {jax.__version__}"

    def build(self, workload: Workload, materials: Materials) -> Job:
        weights = jax.tree.map(jnp.asarray, materials.weights)
        x, y = jnp.asarray(materials.x), jnp.asarray(materials.y)
        if workload.kind == "infer":
            forward = jax.jit(partial(_forward, workload.network.layers, weights))
            return Job(lambda: forward(x).block_until_ready())
        if workload.kind == "generate":
            write = _writing(workload.network, weights, x)
            return Job(write, timed=write, timed_steps=WRITTEN)
        step = _Training(workload.network, weights)
        if workload.kind == "train":
            return Job(lambda: step(x, y).block_until_ready())
        rng = np.random.default_rng(3)
        images, labels = materials.x, materials.y
        return Job(lambda: epoch(lambda rows: step(images[rows], labels[rows]), len(images), workload.batch, rng))


class _Training:
    """The state of a training run; calling it takes one step and returns the loss."""

    def __init__(self, network: Network, weights: list[Weights]) -> None:
        trainable = [{k: w for k, w in layer.items() if not k.startswith("moving_")} for layer in weights]
        moving = [{k: w for k, w in layer.items() if k.startswith("moving_")} for layer in weights]
        slots = [jax.tree.map(jnp.zeros_like, trainable) for _ in range(2)]
        self._state = (trainable, moving, *slots, jnp.int32(0), jax.random.key(0))
        self._step = jax.jit(partial(_training_step, network), donate_argnums=0)

    def __call__(self, x: Any, y: Any) -> Any:
        self._state, loss = self._step(self._state, x, y)
        return loss


def _training_step(network: Network, state: tuple[Any, ...], x: Any, y: Any) -> tuple[tuple[Any, ...], Any]:
    trainable, moving, first, second, count, key = state
    key, dropout_key = jax.random.split(key)

    def loss_of(trainable: Any) -> tuple[Any, Any]:
        weights = [{**a, **b} for a, b in zip(trainable, moving, strict=True)]
        ops = _JaxOps(iter(weights), dropout_key)
        loss = _LOSSES[network.loss](apply(ops, network.loss_layers, x), y)
        return loss, ops.moving

    (loss, moving), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
    trainable, first, second = _adam(trainable, gradients, first, second, count + 1)
    return (trainable, moving, first, second, count + 1, key), loss


def _adam(weights: Any, gradients: Any, first: Any, second: Any, count: Any) -> tuple[Any, Any, Any]:
    rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    first = jax.tree.map(lambda m, g: m + (g - m) * 0.1, first, gradients)
    second = jax.tree.map(lambda v, g: v + (g * g - v) * 0.001, second, gradients)
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, first, second)
    return weights, first, second


def _sparse_categorical_crossentropy(logits: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1).mean()


def _binary_crossentropy(logits: Any, y: Any) -> Any:
    return (jax.nn.softplus(logits) - y * logits).mean()


_LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
    "binary_crossentropy": _binary_crossentropy,
    "mse": lambda output, y: ((output - y) ** 2).mean(),
}


def _forward(layers: Layers, weights: list[Weights], x: Any) -> Any:
    return apply(_JaxOps(iter(weights), None), layers, x)


class _JaxOps:
    """An `Ops` over NHWC arrays. key: of the dropout masks, or None for inference.

    moving: the new moving statistics, one dict per layer with weights, in the order of the walk.
    """

    def __init__(self, weights: Iterator[Weights], key: Any) -> None:
        self._weights = weights
        self._key = key
        self.moving: list[dict[str, Any]] = []

    def dense(self, layer: Dense, x: Any) -> Any:
        weights = self._next()
        return x @ weights["kernel"] + weights["bias"]

    def conv(self, layer: Conv2D, x: Any) -> Any:
        weights = self._next()
        y = _conv(x, weights["kernel"], layer.stride, layer.padding, 1)
        return y + weights["bias"] if layer.bias else y

    def depthwise_conv(self, layer: DepthwiseConv2D, x: Any) -> Any:
        kernel = jnp.swapaxes(self._next()["kernel"], 2, 3)
        return _conv(x, kernel, layer.stride, layer.padding, x.shape[-1])

    def batch_norm(self, x: Any) -> Any:
        w = self._next()
        mean, variance = w["moving_mean"], w["moving_variance"]
        if self._key is not None:
            mean = x.mean(axis=(0, 1, 2))
            variance = (x * x).mean(axis=(0, 1, 2)) - mean * mean
            self.moving[-1] = {
                name: w[name] * BATCH_NORM_MOMENTUM + new * (1 - BATCH_NORM_MOMENTUM)
                for name, new in (("moving_mean", mean), ("moving_variance", variance))
            }
        scale = lax.rsqrt(variance + BATCH_NORM_EPSILON) * w["gamma"]
        return x * scale + (w["beta"] - mean * scale)

    def max_pool(self, layer: MaxPool2D, x: Any) -> Any:
        window, strides = (1, layer.size, layer.size, 1), (1, layer.stride, layer.stride, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, [(0, 0), *_sides(layer.padding), (0, 0)])

    def global_average_pool(self, x: Any) -> Any:
        return x.mean(axis=(1, 2))

    def flatten(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)

    def dropout(self, rate: float, x: Any) -> Any:
        if self._key is None:
            return x
        self._key, key = jax.random.split(self._key)
        return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)

    def embedding(self, layer: Embedding, x: Any) -> Any:
        return self._next()["embeddings"][x]

    def positions(self, x: Any) -> Any:
        return x + self._next()["positions"]

    def lstm(self, layer: LSTM, x: Any) -> Any:
        w = self._next()
        projected = jnp.swapaxes(x @ w["kernel"] + w["bias"], 0, 1)

        def step(states: Any, z: Any) -> Any:
            h, c = states
            i, f, g, o = jnp.split(z + h @ w["recurrent_kernel"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((x.shape[0], layer.units))
        return lax.scan(step, (zeros, zeros), projected)[0][0]

    def layer_norm(self, x: Any) -> Any:
        w = self._next()
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        return centred * lax.rsqrt(variance + LAYER_NORM_EPSILON) * w["gamma"] + w["beta"]

    def attention(self, layer: SelfAttention, x: Any) -> Any:
        w = self._next()
        q, k, v = (
            jnp.einsum("ntd,dhc->nthc", x, w[f"{name}_kernel"]) + w[f"{name}_bias"]
            for name in ("query", "key", "value")
        )
        found = self._attended(layer, q, k, v)
        return jnp.einsum("nthc,hcd->ntd", found, w["output_kernel"]) + w["output_bias"]

    def _attended(self, layer: SelfAttention, q: Any, k: Any, v: Any) -> Any:
        return jax.nn.dot_product_attention(q, k, v, is_causal=layer.causal)

    def average_steps(self, x: Any) -> Any:
        return x.mean(axis=1)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def activation(self, name: str, x: Any) -> Any:
        return _ACTIVATIONS[name](x)

    def _next(self) -> Weights:
        self.moving.append({})
        return next(self._weights)


def _conv(x: Any, kernel: Any, stride: int, padding: int, groups: int) -> Any:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), _sides(padding), dimension_numbers=_NHWC, feature_group_count=groups
    )


def _sides(padding: int) -> list[tuple[int, int]]:
    return [(padding, padding)] * 2


class _JaxDecodingOps(_JaxOps):
    """On one step; `caches` hold the keys and the values of all, (batch, steps, heads, width) each.

    new: the caches with this step in them.
    """

    def __init__(self, weights: Iterator[Weights], caches: Iterator[tuple[Any, Any]], position: Any) -> None:
        super().__init__(weights, None)
        self._caches = caches
        self._position = position
        self.new: list[tuple[Any, Any]] = []

    def positions(self, x: Any) -> Any:
        return x + self._next()["positions"][self._position]

    def _attended(self, layer: SelfAttention, q: Any, k: Any, v: Any) -> Any:
        old = next(self._caches)
        keys, values = (
            lax.dynamic_update_slice_in_dim(all_, one, self._position, 1) for all_, one in zip(old, (k, v), strict=True)
        )
        self.new.append((keys, values))
        mask = (jnp.arange(keys.shape[1]) <= self._position)[None, None, None]
        return jax.nn.dot_product_attention(q, keys, values, mask=mask)


def _writing(network: Network, weights: list[Weights], x: Any) -> Callable[[], Any]:
    """The text in one call: a loop over its tokens inside the compiled function, which owns the caches."""

    def one(caches: Any, words: Any, position: Any) -> Any:
        ops = _JaxDecodingOps(iter(weights), iter(caches), position)
        logits = apply(ops, network.layers, words)
        return ops.new, jnp.argmax(logits, -1).astype(jnp.int32), logits

    @partial(jax.jit, donate_argnums=0)
    def read(caches: Any, words: Any) -> Any:
        def step(at: Any, caches: Any) -> Any:
            return one(caches, lax.dynamic_slice_in_dim(words, at, 1, 1), at)[0]

        return lax.fori_loop(0, PROMPT - 1, step, caches)

    @partial(jax.jit, donate_argnums=0)
    def text(caches: Any, words: Any) -> Any:
        def step(number: Any, state: Any) -> Any:
            caches, words, _ = state
            return one(caches, words, PROMPT - 1 + number)

        logits = jnp.zeros((len(words), 1, summarize(network.layers, network.input_shape).output[-1]))
        caches, _, logits = lax.fori_loop(0, WRITTEN, step, (caches, words, logits))
        return caches, logits

    state = [read(_caches(network, len(x)), x)]

    def write() -> Any:
        state[0], logits = text(state[0], x[:, PROMPT - 1 : PROMPT])
        return logits.block_until_ready()

    return write


def _caches(network: Network, batch: int) -> list[tuple[Any, Any]]:
    """Empty keys and values, for each attention."""
    return [(jnp.zeros((batch, *shape)), jnp.zeros((batch, *shape))) for shape in network.caches]
