"""JAX: each kernel is one jitted function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.cases import (
    LAYER_NORM_EPSILON,
    LEARNING_RATE,
    Adam,
    Arrays,
    ColumnSum,
    Convolution,
    CrossEntropy,
    Kernel,
    LayerNorm,
    Matmul,
)
from benchmarks.kernel_worker import KernelJob

_NHWC = ("NHWC", "HWIO", "NHWC")


class Runner:
    """The thread count comes from NPROC."""

    def __init__(self, threads: int) -> None:
        self.version = f"jax {jax.__version__}"

    def build(self, kernel: Kernel, arrays: Arrays) -> KernelJob:
        values = {name: jnp.asarray(array) for name, array in arrays.items()}
        match kernel:
            case Matmul():
                return _job(_matmul(kernel), values)
            case Convolution():
                return _job(_convolution(kernel), values)
            case Adam():
                return _adam_job(**values)
            case CrossEntropy():
                return _job(jax.value_and_grad(_cross_entropy), values)
            case LayerNorm():
                return _job(_layer_norm_gradients if kernel.gradients else _layer_norm, values)
            case ColumnSum():
                return _job(lambda x: x.sum(0), values)


def _job(function: Callable[..., Any], values: dict[str, Any]) -> KernelJob:
    compiled, operands = jax.jit(function), tuple(values.values())
    return KernelJob(lambda: jax.block_until_ready(compiled(*operands)), _flat)


def _flat(results: Any) -> Sequence[Any]:
    return jax.tree.leaves(results)  # type: ignore[no-any-return]


def _matmul(kernel: Matmul) -> Callable[..., Any]:
    match kernel.transposed:
        case "":
            return lambda a, b: a @ b
        case "a":
            return lambda a, b: a.T @ b
        case "b":
            return lambda a, b: a @ b.T


def _convolution(kernel: Convolution) -> Callable[..., Any]:
    def convolve(x: Any, w: Any) -> Any:
        window = ((kernel.stride,) * 2, [(kernel.padding,) * 2] * 2)
        return lax.conv_general_dilated(x, w, *window, dimension_numbers=_NHWC, feature_group_count=kernel.groups)

    match kernel.part:
        case "forward":
            return lambda x, w, bias: jax.nn.relu(convolve(x, w) + bias)
        case "input-gradient":
            return lambda dy, w: jax.vjp(lambda x: convolve(x, w), jnp.zeros(kernel.x))[1](dy)
        case "filter-gradient":
            return lambda x, dy: jax.vjp(lambda w: convolve(x, w), jnp.zeros(kernel.w))[1](dy)


def _adam_job(w: Any, g: Any) -> KernelJob:
    state = (w, jnp.zeros_like(w), jnp.zeros_like(w), jnp.int32(0))
    update = jax.jit(_adam, donate_argnums=0)

    def run() -> Any:
        nonlocal state
        state = update(state, g)
        return jax.block_until_ready(state)

    return KernelJob(run, lambda new: new[:3])


def _adam(state: tuple[Any, ...], g: Any) -> tuple[Any, ...]:
    w, first, second, count = state
    count += 1
    rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    first += (g - first) * 0.1
    second += (g * g - second) * 0.001
    return w - rate * first / (jnp.sqrt(second) + 1e-7), first, second, count


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()


def _layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    return centred * lax.rsqrt(variance + LAYER_NORM_EPSILON) * gamma + beta


def _layer_norm_gradients(x: Any, gamma: Any, beta: Any, dy: Any) -> Any:
    y, pull_back = jax.vjp(_layer_norm, x, gamma, beta)
    return y, *pull_back(dy)
