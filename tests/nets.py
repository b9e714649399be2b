"""Small graphs that several tests build: every kind of node, result, update and check occurs in one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.op import Role, Value
from graphc.ir.types import DType, Rows, TensorType
from graphc.primitives import functions as fn

F32, F64 = DType.F32, DType.F64


def parameter(b: Builder, name: str, *shape: int, dtype: DType = F32) -> Value:
    return b.input(name, TensorType(shape, dtype), Role.PARAM)


def dense(b: Builder, x: Value, name: str, units: int) -> Value:
    with b.layer(name):
        w = parameter(b, f"{name}/kernel", int(x.shape[-1]), units, dtype=x.dtype)
        bias = parameter(b, f"{name}/bias", units, dtype=x.dtype)
        return fn.add(b, fn.matmul(b, x, w), bias)


def cross_entropy(b: Builder, logits: Value, labels: Value) -> Value:
    """The mean over the rows of -log softmax(logits)[label]."""
    with b.layer("loss"):
        hot = fn.one_hot(b, labels, int(logits.shape[-1]), logits.dtype)
        return fn.neg(b, fn.mean(b, fn.sum(b, fn.mul(b, hot, fn.log_softmax(b, logits)), -1)))


def mlp(dtype: DType = F64, rows: int = 5) -> Graph:
    """Two dense layers with tanh and softmax cross-entropy; outputs loss and logits."""
    b = Builder("mlp")
    x = b.input("x", TensorType((Rows(rows), 7), dtype))
    labels = b.input("labels", TensorType((Rows(rows),), DType.I32))
    hidden = fn.tanh(b, dense(b, x, "hidden", 6))
    logits = dense(b, hidden, "logits", 3)
    return b.build((cross_entropy(b, logits, labels), logits), ("loss", "logits"))


def cnn(dtype: DType = F64, rows: int = 2) -> Graph:
    """Convolution, bias, relu, max pooling, flatten, dense, softmax cross-entropy."""
    b = Builder("cnn")
    x = b.input("x", TensorType((Rows(rows), 7, 9, 2), dtype))
    labels = b.input("labels", TensorType((Rows(rows),), DType.I32))
    with b.layer("conv"):
        w = parameter(b, "conv/kernel", 3, 3, 2, 4, dtype=dtype)
        bias = parameter(b, "conv/bias", 4, dtype=dtype)
        y = fn.relu(b, fn.add(b, fn.conv(b, x, w), bias))
    with b.layer("pool"):
        y = fn.max_pool(b, y, (2, 2))
    with b.layer("flatten"):
        y = fn.reshape(b, y, (rows, -1))
    logits = dense(b, y, "logits", 3)
    return b.build((cross_entropy(b, logits, labels),), ("loss",))


def dropout(dtype: DType = F64, rows: int = 4) -> Graph:
    """A dense layer under inverted dropout of a half, with a key as state that is updated; the loss is a mean
    square."""
    b = Builder("dropout")
    x = b.input("x", TensorType((Rows(rows), 5), dtype))
    key = b.input("dropout/key", TensorType((2,), DType.U32), Role.STATE)
    y = dense(b, x, "dense", 3)
    with b.layer("dropout"):
        keep = fn.lt(b, fn.random_uniform(b, key, y.shape, dtype), 0.5)
        y = fn.select(b, keep, fn.mul(b, y, 2.0), 0.0)
    with b.direction("update"):
        b.update(key, fn.add(b, key, 1))
    return b.build((fn.mean(b, fn.square(b, y)),), ("loss",))


def embedding(dtype: DType = F64, rows: int = 3) -> Graph:
    """Rows of a table by ids that are checked to be in range, summed to a loss."""
    b = Builder("embedding")
    ids = b.input("ids", TensorType((Rows(rows), 4), DType.I32))
    table = parameter(b, "table", 6, 5, dtype=dtype)
    outside = fn.logical_or(b, fn.lt(b, ids, 0), fn.ge(b, ids, 6))
    b.check(fn.max(b, fn.cast(b, outside, DType.I32)), "an id lies out of [0, 6)")
    return b.build((fn.mean(b, fn.square(b, fn.gather(b, table, ids))),))


def lstm(dtype: DType = F64, rows: int = 24, steps: int = 5, units: int = 4) -> Graph:
    """An LSTM layer over a sequence, a dense layer on its last output; the loss is a mean square."""
    b = Builder("lstm")
    x = b.input("x", TensorType((Rows(rows), steps, 3), dtype))
    with b.layer("lstm"):
        kernel, bias = (
            parameter(b, "lstm/kernel", 3, 4 * units, dtype=dtype),
            parameter(b, "lstm/bias", 4 * units, dtype=dtype),
        )
        recurrent = parameter(b, "lstm/recurrent", units, 4 * units, dtype=dtype)
        zero = fn.constant(b, 0.0, dtype, (Rows(rows), units))

        def step(b: Builder, state: Sequence[Value], parts: Sequence[Value]) -> tuple[Sequence[Value], Sequence[Value]]:
            (h, c), (x,) = state, parts
            z = fn.add(b, fn.add(b, fn.matmul(b, x, kernel), fn.matmul(b, h, recurrent)), bias)
            i, f, g, o = (fn.slice_axis(b, z, 1, k * units, units) for k in range(4))
            c = fn.add(b, fn.mul(b, fn.sigmoid(b, f), c), fn.mul(b, fn.sigmoid(b, i), fn.tanh(b, g)))
            h = fn.mul(b, fn.sigmoid(b, o), fn.tanh(b, c))
            return (h, c), (h,)

        (last, _), _ = fn.scan(b, step, (zero, zero), (fn.transpose(b, x, (1, 0, 2)),), steps)
    loss = fn.mean(b, fn.square(b, fn.sub(b, dense(b, last, "dense", 2), 0.5)))
    return b.build((loss,), ("loss",))


NETS: tuple[Callable[[], Graph], ...] = (mlp, cnn, dropout, embedding, lstm)
