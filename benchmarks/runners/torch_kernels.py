"""PyTorch's kernels: MKL's matrix products, oneDNN's convolutions on channels_last images, its own for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import Any

import torch
from torch.nn import functional

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

# In the first step this is Keras's 1e-7, see torch_runner.
_EPSILON = 1e-7 / sqrt(1 - 0.999)


class Runner:
    """See `benchmarks.kernel_worker.KernelRunner`."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = f"torch {torch.__version__}"

    def build(self, kernel: Kernel, arrays: Arrays) -> KernelJob:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        match kernel:
            case Matmul():
                return _matmul(kernel, **tensors)
            case Convolution(part="forward"):
                return _forward(kernel, **tensors)
            case Convolution():
                return _gradient(kernel, tensors)
            case Adam():
                return _adam(**tensors)
            case CrossEntropy():
                return _cross_entropy(**tensors)
            case LayerNorm():
                return _layer_norm(kernel, **tensors)
            case ColumnSum():
                return _job(lambda: tensors["x"].sum(0))


def _job(run: Callable[[], Any], layout: Sequence[int] | None = None) -> KernelJob:
    """A run of one result without gradients. layout: the axes in graphc's order."""
    return KernelJob(torch.inference_mode()(run), lambda y: [y if layout is None else y.permute(*layout)])


def _matmul(kernel: Matmul, a: Any, b: Any) -> KernelJob:
    a, b = a.t() if kernel.transposed == "a" else a, b.t() if kernel.transposed == "b" else b
    return _job(lambda: torch.mm(a, b))


_NHWC, _HWIO = (0, 2, 3, 1), (2, 3, 1, 0)


def _forward(kernel: Convolution, x: Any, w: Any, bias: Any) -> KernelJob:
    """oneDNN's convolution with relu in it, on weights in oneDNN's own order: what PyTorch makes of a frozen model."""
    window = ([kernel.padding] * 2, [kernel.stride] * 2, [1, 1])
    x, w = _images(x), _weights(w)
    packed = torch.ops.mkldnn._reorder_convolution_weight(w, *window, kernel.groups, list(x.shape))
    convolve = torch.ops.mkldnn._convolution_pointwise
    return _job(lambda: convolve(x, packed, bias, *window, kernel.groups, "relu", [], ""), _NHWC)


def _gradient(kernel: Convolution, tensors: dict[str, Any]) -> KernelJob:
    """The operand that is not given is only asked for its shape."""
    x = _images(tensors.get("x", torch.empty(kernel.x)))
    w = _weights(tensors.get("w", torch.empty(kernel.w)))
    dy = _images(tensors["dy"])
    window = ([kernel.stride] * 2, [kernel.padding] * 2, [1, 1], False, [0, 0], kernel.groups)
    wanted = 0 if kernel.part == "input-gradient" else 1
    run = partial(torch.ops.aten.convolution_backward, dy, x, w, None, *window, [wanted == 0, wanted == 1, False])
    return _job(lambda: run()[wanted], _HWIO if wanted else _NHWC)


def _images(x: Any) -> Any:
    return x.permute(0, 3, 1, 2)  # a view: NHWC in memory is what channels_last means


def _weights(w: Any) -> Any:
    return w.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _adam(w: Any, g: Any) -> KernelJob:
    w = w.requires_grad_()
    w.grad = g
    optimizer = torch.optim.Adam([w], lr=LEARNING_RATE, eps=_EPSILON, fused=True)

    def state(_: Any) -> list[Any]:
        slots = optimizer.state[w]
        return [w.detach(), slots["exp_avg"], slots["exp_avg_sq"]]

    return KernelJob(optimizer.step, state)


def _cross_entropy(logits: Any, labels: Any) -> KernelJob:
    logits, labels = logits.requires_grad_(), labels.long()

    def run() -> Any:
        loss = functional.cross_entropy(logits, labels)
        return loss.detach(), *torch.autograd.grad(loss, logits)

    return KernelJob(run, list)


def _layer_norm(kernel: LayerNorm, x: Any, gamma: Any, beta: Any, dy: Any = None) -> KernelJob:
    def forward() -> Any:
        return functional.layer_norm(x, (kernel.columns,), gamma, beta, LAYER_NORM_EPSILON)

    if not kernel.gradients:
        return _job(forward)
    wrt = [tensor.requires_grad_() for tensor in (x, gamma, beta)]

    def run() -> Any:
        y = forward()
        return y.detach(), *torch.autograd.grad(y, wrt, dy)

    return KernelJob(run, list)
