"""TensorFlow: a `tf.function` in NHWC, compiled by XLA or not, with the fused Adam kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.architecture import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    LAYER_NORM_EPSILON,
    LSTM,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Embedding,
    MaxPool2D,
    SelfAttention,
    Weights,
    apply,
)
from benchmarks.job import Job
from benchmarks.materials import LayerWeights, Materials
from benchmarks.runners.epochs import epoch
from benchmarks.workloads import Network, Workload

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "gelu": tf.nn.gelu,
    "sigmoid": tf.nn.sigmoid,
    "softmax": tf.nn.softmax,
}


class Runner:
    """mode: graph or xla."""

    def __init__(self, mode: str, threads: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.version = f"tensorflow {tf.__version__}"
        self._xla = mode == "xla"

    def build(self, workload: Workload, materials: Materials) -> Job:
        x, y = tf.constant(materials.x), tf.constant(materials.y)
        if workload.kind == "infer":
            return Job(self._inference(workload.network, materials, x))
        step = self._training_step(workload.network, materials.weights)
        if workload.kind == "train":
            return Job(lambda: step(x, y))
        rng = np.random.default_rng(3)
        images, labels = materials.x, materials.y

        def one(rows: Any) -> Any:
            return step(tf.constant(images[rows]), tf.constant(labels[rows]))

        return Job(lambda: epoch(one, len(images), workload.batch, rng))

    def _inference(self, network: Network, materials: Materials, x: Any) -> Callable[[], Any]:
        # Constants, so that the graph optimizer may fold batch norm and fuse bias and relu into the convolution.
        weights = [{name: tf.constant(array) for name, array in layer.items()} for layer in materials.weights]

        def forward(x: Any) -> Any:
            return apply(_TensorFlowOps(iter(weights), training=False), network.layers, x)

        run = tf.function(forward, jit_compile=self._xla).get_concrete_function(tf.TensorSpec(x.shape, x.dtype))
        return lambda: run(x)

    def _training_step(self, network: Network, initial: list[LayerWeights]) -> Callable[[Any, Any], Any]:
        weights = [{name: tf.Variable(array) for name, array in layer.items()} for layer in initial]
        trainable = [w for layer in weights for name, w in layer.items() if not name.startswith("moving_")]
        adam = _Adam(trainable)

        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                output = apply(_TensorFlowOps(iter(weights), training=True), network.loss_layers, x)
                loss = _LOSSES[network.loss](output, y)
            adam.apply(tape.gradient(loss, trainable))
            return loss

        compiled: Callable[[Any, Any], Any] = tf.function(step, jit_compile=self._xla)
        return compiled


class _Adam:
    """Adam with its two slots, by TensorFlow's own fused kernel."""

    def __init__(self, variables: list[Any]) -> None:
        self._variables = variables
        self._first = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self._second = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self._powers = (tf.Variable(0.9), tf.Variable(0.999))

    def apply(self, gradients: list[Any]) -> None:
        powers = [power.read_value() for power in self._powers]
        for v, m, s, g in zip(self._variables, self._first, self._second, gradients, strict=True):
            # a lookup's gradient names its rows, but Keras's Adam decays the slots of all
            tf.raw_ops.ResourceApplyAdam(
                var=v.handle,
                m=m.handle,
                v=s.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=1e-3,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=tf.convert_to_tensor(g),
            )
        self._powers[0].assign(powers[0] * 0.9)
        self._powers[1].assign(powers[1] * 0.999)


def _sparse_categorical_crossentropy(logits: Any, y: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))


def _binary_crossentropy(logits: Any, y: Any) -> Any:
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits))


_LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
    "binary_crossentropy": _binary_crossentropy,
    "mse": lambda output, y: tf.reduce_mean(tf.math.squared_difference(output, y)),
}


class _TensorFlowOps:
    """An `Ops` over NHWC tensors; moving statistics are assigned where they stand."""

    def __init__(self, weights: Iterator[Weights], training: bool) -> None:
        self._weights = weights
        self._training = training

    def dense(self, layer: Dense, x: Any) -> Any:
        weights = next(self._weights)
        return tf.nn.bias_add(tf.tensordot(x, weights["kernel"], 1), weights["bias"])

    def conv(self, layer: Conv2D, x: Any) -> Any:
        weights = next(self._weights)
        y = tf.nn.conv2d(x, weights["kernel"], layer.stride, _padding(layer.kernel, layer.stride, layer.padding))
        return tf.nn.bias_add(y, weights["bias"]) if layer.bias else y

    def depthwise_conv(self, layer: DepthwiseConv2D, x: Any) -> Any:
        strides = (1, layer.stride, layer.stride, 1)
        padding = _padding(layer.kernel, layer.stride, layer.padding)
        return tf.nn.depthwise_conv2d(x, next(self._weights)["kernel"], strides, padding)

    def batch_norm(self, x: Any) -> Any:
        w = next(self._weights)
        if not self._training:
            moving = (w["moving_mean"], w["moving_variance"])
            return _batch_norm(x, w, *moving, training=False)[0]
        y, mean, variance = _batch_norm(x, w, None, None, training=True)
        for variable, new in ((w["moving_mean"], mean), (w["moving_variance"], variance)):
            variable.assign(variable * BATCH_NORM_MOMENTUM + new * (1 - BATCH_NORM_MOMENTUM))
        return y

    def max_pool(self, layer: MaxPool2D, x: Any) -> Any:
        if layer.padding:
            # Not the operation's own explicit padding, which XLA does not know; zeros do, see MaxPool2D.
            x = tf.pad(x, _explicit(layer.padding))
        return tf.nn.max_pool2d(x, layer.size, layer.stride, "VALID")

    def global_average_pool(self, x: Any) -> Any:
        return tf.reduce_mean(x, axis=(1, 2))

    def flatten(self, x: Any) -> Any:
        return tf.reshape(x, (x.shape[0], -1))

    def dropout(self, rate: float, x: Any) -> Any:
        return tf.nn.dropout(x, rate) if self._training else x

    def embedding(self, layer: Embedding, x: Any) -> Any:
        return tf.gather(next(self._weights)["embeddings"], x)

    def positions(self, x: Any) -> Any:
        return x + next(self._weights)["positions"]

    def lstm(self, layer: LSTM, x: Any) -> Any:
        w = next(self._weights)
        projected = tf.transpose(tf.tensordot(x, w["kernel"], 1) + w["bias"], (1, 0, 2))
        recurrent = tf.convert_to_tensor(w["recurrent_kernel"])

        def step(time: Any, h: Any, c: Any) -> Any:
            i, f, g, o = tf.split(projected[time] + h @ recurrent, 4, axis=-1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            return time + 1, tf.sigmoid(o) * tf.tanh(c), c

        zeros, steps = tf.zeros((x.shape[0], layer.units)), x.shape[1]
        return tf.while_loop(lambda time, *_: time < steps, step, (0, zeros, zeros), maximum_iterations=steps)[1]

    def layer_norm(self, x: Any) -> Any:
        w = next(self._weights)
        mean, variance = tf.nn.moments(x, axes=-1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, w["beta"], w["gamma"], LAYER_NORM_EPSILON)

    def attention(self, layer: SelfAttention, x: Any) -> Any:
        w = next(self._weights)
        steps, features = x.shape[1:]
        q, k, v = (self._heads(x, w[f"{name}_kernel"], w[f"{name}_bias"]) for name in ("query", "key", "value"))
        scores = tf.matmul(q, k, transpose_b=True) * (features // layer.heads) ** -0.5
        if layer.causal:
            scores = tf.where(tf.linalg.band_part(tf.ones((steps, steps), tf.bool), -1, 0), scores, -1e9)
        found = tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3))
        return tf.tensordot(found, w["output_kernel"], 2) + w["output_bias"]

    @staticmethod
    def _heads(x: Any, kernel: Any, bias: Any) -> Any:
        """The projection, heads before steps."""
        return tf.transpose(tf.tensordot(x, kernel, 1) + bias, (0, 2, 1, 3))

    def average_steps(self, x: Any) -> Any:
        return tf.reduce_mean(x, axis=1)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def activation(self, name: str, x: Any) -> Any:
        return _ACTIVATIONS[name](x)


def _batch_norm(x: Any, w: Weights, mean: Any, variance: Any, training: bool) -> tuple[Any, Any, Any]:
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x, w["gamma"], w["beta"], mean, variance, epsilon=BATCH_NORM_EPSILON, is_training=training
    )
    return y, mean, variance


def _padding(kernel: int, stride: int, padding: int) -> Any:
    if padding == 0:
        return "VALID"
    if stride == 1 and 2 * padding == kernel - 1:
        return "SAME"
    return _explicit(padding)


def _explicit(padding: int) -> list[tuple[int, int]]:
    return [(0, 0), (padding, padding), (padding, padding), (0, 0)]
