"""graphc: each kernel is a graph of one op and what its layer fuses to it, compiled as any graph is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import graphc
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
from graphc.compiler import compile_graph, gradients, prepare_forward
from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Role, Value
from graphc.ir.types import DType, Rows, TensorType
from graphc.options import compile_options
from graphc.primitives import functions as fn
from graphc.primitives.conv import Conv, ConvFilterGrad, ConvInputGrad

_WEIGHTS = {"w", "bias", "gamma", "beta"}
_WITHOUT_ROWS = (Matmul, Adam)


class Runner:
    """The thread count comes from GRAPHC_THREADS."""

    def __init__(self, threads: int) -> None:
        compile_graph(Builder("empty").build(()))  # imports the compiler and starts the threads
        self.version = f"graphc {graphc.__version__}"

    def build(self, kernel: Kernel, arrays: Arrays) -> KernelJob:
        b = Builder("kernel")
        values = {name: _input(b, kernel, name, array) for name, array in arrays.items()}
        if isinstance(kernel, Adam):
            return _adam_job(b, arrays, **values)
        weights = {name: array for name, array in arrays.items() if name in _WEIGHTS}
        execute = compile_graph(_graph(b, kernel, values), compile_options(), bind=weights)
        operands = [array for name, array in arrays.items() if name not in weights]
        return KernelJob(lambda: execute.run(operands), list)


def _input(b: Builder, kernel: Kernel, name: str, array: Any) -> Value:
    """Axis 0 of data counts batch rows, as in a model."""
    role = Role.PARAM if name in _WEIGHTS else Role.INPUT
    has_rows = role == Role.INPUT and not isinstance(kernel, _WITHOUT_ROWS)
    shape = (Rows(array.shape[0]), *array.shape[1:]) if has_rows else array.shape
    return b.input(name, TensorType(shape, DType.of(array.dtype)), role)


def _graph(b: Builder, kernel: Kernel, values: dict[str, Value]) -> Graph:
    match kernel:
        case Matmul():
            return b.build([_matmul(b, kernel, values["a"], values["b"])])
        case Convolution():
            return b.build([_convolution(b, kernel, **values)])
        case CrossEntropy():
            return _with_gradients(b, (), _cross_entropy(b, **values), [values["logits"]], keep_loss=True)
        case LayerNorm(gradients=False):
            return b.build([_layer_norm(b, **values)])
        case LayerNorm():
            dy = values.pop("dy")
            y = _layer_norm(b, **values)
            return _with_gradients(b, [y], fn.sum(b, fn.mul(b, y, dy)), list(values.values()), keep_loss=False)
        case ColumnSum():
            return b.build([fn.sum(b, values["x"], 0)])
        case Adam():
            raise TypeError("Adam updates state: see _adam_job")


def _matmul(b: Builder, kernel: Matmul, left: Value, right: Value) -> Value:
    contract = (0 if kernel.transposed == "a" else 1,), (1 if kernel.transposed == "b" else 0,)
    return fn.dot(b, left, right, contract)


def _convolution(b: Builder, kernel: Convolution, **operands: Value) -> Value:
    how = ((kernel.stride,) * 2, ((kernel.padding,) * 2,) * 2, (1, 1), kernel.groups)
    match kernel.part:
        case "forward":
            return fn.relu(b, fn.add(b, b.add(Conv(*how), operands["x"], operands["w"]), operands["bias"]))
        case "input-gradient":
            shape = (operands["dy"].shape[0], *kernel.x[1:])
            return b.add(ConvInputGrad(shape, *how), operands["dy"], operands["w"])
        case "filter-gradient":
            return b.add(ConvFilterGrad(kernel.w, *how), operands["x"], operands["dy"])


def _cross_entropy(b: Builder, logits: Value, labels: Value) -> Value:
    hot = fn.one_hot(b, labels, logits.shape[1])
    return fn.neg(b, fn.mean(b, fn.sum(b, fn.mul(b, hot, fn.log_softmax(b, logits)), 1)))


def _layer_norm(b: Builder, x: Value, gamma: Value, beta: Value) -> Value:
    centred = fn.sub(b, x, fn.mean(b, x, 1, keepdims=True))
    variance = fn.mean(b, fn.square(b, centred), 1, keepdims=True)
    scaled = fn.mul(b, centred, fn.rsqrt(b, fn.add(b, variance, LAYER_NORM_EPSILON)))
    return fn.add(b, fn.mul(b, scaled, gamma), beta)


def _with_gradients(
    b: Builder, outputs: Sequence[Value], loss: Value, wrt: Sequence[Value], *, keep_loss: bool
) -> Graph:
    """The graph of the outputs, the loss if it is wanted, and its gradients."""
    forward = prepare_forward(b.build([*outputs, loss]))
    joint = gradients(forward, forward.outputs[-1], wrt)
    if keep_loss:
        return joint
    at = len(outputs)
    names = (*joint.output_names[:at], *joint.output_names[at + 1 :])
    return replace(joint, outputs=(*joint.outputs[:at], *joint.outputs[at + 1 :]), output_names=names)


def _adam_job(b: Builder, arrays: Arrays, w: Value, g: Value) -> KernelJob:
    first, second = (b.input(name, w.type, Role.STATE) for name in ("first", "second"))
    count = b.input("count", TensorType((), DType.F32), Role.STATE)
    t = fn.add(b, count, 1.0)
    root = fn.sqrt(b, fn.sub(b, 1.0, fn.pow(b, 0.999, t)))
    rate = fn.div(b, fn.mul(b, root, LEARNING_RATE), fn.sub(b, 1.0, fn.pow(b, 0.9, t)))
    new_first = fn.add(b, first, fn.mul(b, fn.sub(b, g, first), 1 - 0.9))
    new_second = fn.add(b, second, fn.mul(b, fn.sub(b, fn.square(b, g), second), 1 - 0.999))
    step = fn.div(b, fn.mul(b, new_first, rate), fn.add(b, fn.sqrt(b, new_second), 1e-7))
    for state, new in ((w, fn.sub(b, w, step)), (first, new_first), (second, new_second), (count, t)):
        b.update(state, new)
    execute = compile_graph(b.build(()), compile_options(), bind={"w": arrays["w"]})
    return KernelJob(lambda: execute.run([arrays["g"]]), lambda _: [execute.state[n] for n in ("w", "first", "second")])
