"""numpy by hand, for networks of dense layers: forward, backward and Adam, written out with few temporaries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.architecture import Dense
from benchmarks.job import Job
from benchmarks.materials import Array, Materials
from benchmarks.workloads import Network, Workload


class Runner:
    """The mode is not used; the thread count comes from OPENBLAS_NUM_THREADS."""

    def __init__(self, mode: str, threads: int) -> None:
        self.version = f"numpy {np.__version__}"

    def build(self, workload: Workload, materials: Materials) -> Job:
        perceptron = _Perceptron(workload.network, [dict(layer) for layer in materials.weights])
        return Job(lambda: perceptron.step(materials.x, materials.y))


class _Perceptron:
    """Dense layers and their training state."""

    def __init__(self, network: Network, weights: list[dict[str, Array]]) -> None:
        self._activations = [layer.activation for layer in network.loss_layers if isinstance(layer, Dense)]
        self._loss = _LOSSES[network.loss]
        self._weights = weights
        self._adam = _Adam([array for layer in weights for array in layer.values()])

    def step(self, x: Array, y: Array) -> float:
        """One training step; the loss before it."""
        outputs = [x]
        for layer, activation in zip(self._weights, self._activations, strict=True):
            outputs.append(_activated(activation, outputs[-1] @ layer["kernel"] + layer["bias"]))
        loss, gradient = self._loss(outputs[-1], y)
        gradients: list[Array] = []
        for i in range(len(self._weights) - 1, -1, -1):
            gradient = _before_activation(self._activations[i], outputs[i + 1], gradient)
            gradients[:0] = [outputs[i].T @ gradient, gradient.sum(axis=0)]
            if i > 0:
                gradient = gradient @ self._weights[i]["kernel"].T
        self._adam.apply(gradients)
        return loss


class _Adam:
    """Adam in place on `weights`."""

    def __init__(self, weights: list[Array]) -> None:
        self._slots = [(w, np.zeros_like(w), np.zeros_like(w), np.empty_like(w)) for w in weights]
        self._steps = 0

    def apply(self, gradients: list[Array]) -> None:
        self._steps += 1
        rate = np.float32(1e-3 * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps))
        for (weight, first, second, spare), gradient in zip(self._slots, gradients, strict=True):
            first += np.subtract(gradient, first, out=spare) * np.float32(0.1)
            np.square(gradient, out=spare)
            spare -= second
            spare *= np.float32(0.001)
            second += spare
            np.sqrt(second, out=spare)
            spare += np.float32(1e-7)
            np.divide(first, spare, out=spare)
            spare *= rate
            weight -= spare


def _activated(name: str | None, x: Array) -> Array:
    if name == "relu":
        return np.maximum(x, 0, out=x)
    return _sigmoid(x) if name == "sigmoid" else x


def _before_activation(name: str | None, output: Array, gradient: Array) -> Array:
    if name == "relu":
        return gradient * (output > 0)
    return gradient * output * (1 - output) if name == "sigmoid" else gradient


def _sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def _sparse_categorical_crossentropy(logits: Array, y: Array) -> tuple[float, Array]:
    rows = np.arange(len(y))
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted)
    sums = probabilities.sum(axis=1, keepdims=True)
    loss = float((np.log(sums[:, 0]) - shifted[rows, y]).mean())
    probabilities /= sums
    probabilities[rows, y] -= 1
    return loss, probabilities / np.float32(len(y))


def _binary_crossentropy(logits: Array, y: Array) -> tuple[float, Array]:
    loss = float((np.logaddexp(0, logits) - y * logits).mean())
    return loss, (_sigmoid(logits) - y) / np.float32(y.size)


def _mse(output: Array, y: Array) -> tuple[float, Array]:
    difference = output - y
    return float(np.square(difference).mean()), difference * np.float32(2 / y.size)


_LOSSES: dict[str, Callable[[Array, Array], tuple[float, Array]]] = {
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
    "binary_crossentropy": _binary_crossentropy,
    "mse": _mse,
}
