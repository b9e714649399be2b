"""Functions that build nodes: what gradients, passes and `graphc.ops` are written with.

All take the Builder first and follow numpy: operands broadcast, axes may be negative, and a Python number or numpy
array beside a Value takes its dtype. No function adds a node that would change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.op import Array, Op, Value
from graphc.ir.types import DType, Rows, Shape, ShapeError, TensorType, size_of
from graphc.primitives import contraction, control, elementwise, gates, index, pool, random, reduce, sliding, source
from graphc.primitives import conv as convolution
from graphc.primitives import shape as shapes

Operand = Value | Array | float | bool
Axes = int | Sequence[int] | None


# ---- constants and broadcasting


def constant(b: Builder, value: Array | float | bool, dtype: DType | None = None, shape: Shape = ()) -> Value:
    """A constant; a number may be repeated to `shape`. Without dtype an array keeps its own, floats are f32, ints i32.

    ShapeError if the dtype cannot hold a number exactly as an integer or bool.
    """
    array = np.asarray(value)
    if dtype is None:
        by_kind = {"f": DType.F32, "i": DType.I32}
        dtype = DType.of(array.dtype) if isinstance(value, np.ndarray | np.generic) else by_kind.get(array.dtype.kind)
    exact = array.astype((dtype or DType.BOOL).numpy)
    if dtype and not dtype.is_float and not np.array_equal(exact, array):
        raise ShapeError(f"constant: {value!r} is not {dtype.value}")
    scalar = b.add(source.Constant(exact))
    return broadcast_to(b, scalar, shape) if shape else scalar


def zeros_like(b: Builder, x: Value) -> Value:
    return constant(b, 0, x.dtype, x.shape)


def ones_like(b: Builder, x: Value) -> Value:
    return constant(b, 1, x.dtype, x.shape)


def iota(b: Builder, shape: Shape, axis: int = -1, dtype: DType = DType.I32) -> Value:
    return b.add(source.Iota(tuple(shape), axis % len(shape), dtype))


def row_count(b: Builder, batch: int, dtype: DType = DType.F32) -> Value:
    """The runtime number of batch rows."""
    return b.add(source.RowCount(batch, dtype))


def broadcast(b: Builder, x: Value, shape: Shape, axes: Sequence[int]) -> Value:
    """Axis axes[d] of the result holds axis d of x, the other axes are new. Broadcasts of broadcasts become one."""
    if x.shape == tuple(shape):
        return x
    if isinstance(x.op, shapes.Broadcast):
        return broadcast(b, x.node.inputs[0], shape, [axes[axis] for axis in x.op.axes])
    return b.add(shapes.Broadcast(tuple(shape), tuple(axes)), x)


def broadcast_to(b: Builder, x: Value, shape: Shape) -> Value:
    """numpy's broadcast_to: axes are matched from the last, an axis of length 1 is repeated."""
    if x.shape == tuple(shape):
        return x
    lead = len(shape) - x.type.rank
    kept = [d for d, dim in enumerate(x.shape) if lead >= 0 and dim == shape[lead + d]]
    ones = [d for d, dim in enumerate(x.shape) if d not in kept and dim == 1]
    if lead < 0 or len(kept) + len(ones) < x.type.rank:
        raise ShapeError(f"{x.type} does not broadcast to {x.type.with_shape(tuple(shape))}")
    return broadcast(b, squeeze(b, x, ones), shape, [lead + d for d in kept])


def broadcast_shapes(*types: TensorType) -> Shape:
    """The shape that operands of these types broadcast to. ShapeError names the two that do not fit."""
    shape: list[int] = []
    for type in types:
        longer, shorter = (shape, list(type.shape)) if len(shape) >= type.rank else (list(type.shape), shape)
        lead = len(longer) - len(shorter)
        for d, dim in enumerate(shorter):
            if longer[lead + d] == 1:
                longer[lead + d] = dim
            elif dim != 1 and dim != longer[lead + d]:
                raise ShapeError(
                    f"operands do not broadcast: {' and '.join(map(str, types))}, {dim} meets {longer[lead + d]}"
                )
        shape = longer
    return tuple(shape)


def operands(b: Builder, *args: Operand) -> list[Value]:
    """The arguments as Values of one shape; numbers and arrays take the dtype of the first Value."""
    dtype = next((a.dtype for a in args if isinstance(a, Value)), None)
    if dtype is None:
        raise TypeError("at least one operand must be a Value")
    values = [a if isinstance(a, Value) else constant(b, a, dtype) for a in args]
    shape = broadcast_shapes(*(v.type for v in values))
    return [broadcast_to(b, v, shape) for v in values]


def _binary(b: Builder, op: Op, x: Operand, y: Operand) -> Value:
    return b.add(op, *operands(b, x, y))


# ---- elementwise, two operands


def add(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Add(), x, y)


def sub(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Sub(), x, y)


def mul(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Mul(), x, y)


def div(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Div(), x, y)


def floor_div(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.FloorDiv(), x, y)


def mod(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Mod(), x, y)


def pow(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Pow(), x, y)


def maximum(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Maximum(), x, y)


def minimum(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Minimum(), x, y)


def atan2(b: Builder, y: Operand, x: Operand) -> Value:
    return _binary(b, elementwise.Atan2(), y, x)


def eq(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Eq(), x, y)


def ne(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Ne(), x, y)


def lt(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Lt(), x, y)


def le(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Le(), x, y)


def gt(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Gt(), x, y)


def ge(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Ge(), x, y)


def logical_and(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.And(), x, y)


def logical_or(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Or(), x, y)


def logical_xor(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Xor(), x, y)


def bit_and(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.BitAnd(), x, y)


def bit_or(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.BitOr(), x, y)


def bit_xor(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.BitXor(), x, y)


def shl(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Shl(), x, y)


def shr(b: Builder, x: Operand, y: Operand) -> Value:
    return _binary(b, elementwise.Shr(), x, y)


# ---- elementwise, one operand


def neg(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Neg(), x)


def abs(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Abs(), x)


def sign(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Sign(), x)


def square(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Square(), x)


def sqrt(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Sqrt(), x)


def rsqrt(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Rsqrt(), x)


def reciprocal(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Reciprocal(), x)


def exp(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Exp(), x)


def expm1(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Expm1(), x)


def log(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Log(), x)


def log1p(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Log1p(), x)


def log2(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Log2(), x)


def log10(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Log10(), x)


def sin(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Sin(), x)


def cos(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Cos(), x)


def tan(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Tan(), x)


def sinh(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Sinh(), x)


def cosh(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Cosh(), x)


def tanh(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Tanh(), x)


def asin(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Asin(), x)


def acos(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Acos(), x)


def atan(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Atan(), x)


def asinh(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Asinh(), x)


def acosh(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Acosh(), x)


def atanh(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Atanh(), x)


def sigmoid(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Sigmoid(), x)


def softplus(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Softplus(), x)


def relu(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Relu(), x)


def silu(b: Builder, x: Value) -> Value:
    return b.add(gates.Silu(), x)


def gelu(b: Builder, x: Value) -> Value:
    return b.add(gates.Gelu(), x)


def gelu_tanh(b: Builder, x: Value) -> Value:
    return b.add(gates.GeluTanh(), x)


def erf(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Erf(), x)


def erfinv(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Erfinv(), x)


def floor(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Floor(), x)


def ceil(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Ceil(), x)


def round(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Round(), x)


def trunc(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Trunc(), x)


def is_nan(b: Builder, x: Value) -> Value:
    return b.add(elementwise.IsNan(), x)


def is_inf(b: Builder, x: Value) -> Value:
    return b.add(elementwise.IsInf(), x)


def is_finite(b: Builder, x: Value) -> Value:
    return b.add(elementwise.IsFinite(), x)


def logical_not(b: Builder, x: Value) -> Value:
    return b.add(elementwise.Not(), x)


def bit_not(b: Builder, x: Value) -> Value:
    return b.add(elementwise.BitNot(), x)


def stop_gradient(b: Builder, x: Value) -> Value:
    return b.add(elementwise.StopGradient(), x)


def cast(b: Builder, x: Value, dtype: DType) -> Value:
    return x if x.dtype is dtype else b.add(elementwise.Cast(dtype), x)


def bitcast(b: Builder, x: Value, dtype: DType) -> Value:
    return x if x.dtype is dtype else b.add(elementwise.Bitcast(dtype), x)


def select(b: Builder, condition: Value, x: Operand, y: Operand) -> Value:
    """x where the condition holds, else y; one of x and y is a Value."""
    chosen = operands(b, x, y)
    shape = broadcast_shapes(condition.type, chosen[0].type)
    return b.add(elementwise.Select(), *(broadcast_to(b, v, shape) for v in (condition, *chosen)))


# ---- shapes


def axes_of(x: Value, axes: Axes) -> tuple[int, ...]:
    """Axes counted from 0, in increasing order; None means all."""
    if axes is None:
        return tuple(range(x.type.rank))
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    for axis in given:
        if not -x.type.rank <= axis < x.type.rank:
            raise ShapeError(f"axis {axis} does not exist in {x.type}")
    return tuple(sorted({axis % x.type.rank for axis in given}))


def reshape(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    """numpy's reshape: one dimension may be -1. The axis that takes up the batch rows is found and marked."""
    target = _resolve(x.type, list(shape))
    return x if target == x.shape else b.add(shapes.Reshape(target), x)


def _resolve(type: TensorType, dims: list[int]) -> Shape:
    if -1 in dims:
        rest = math.prod(int(dim) for dim in dims if int(dim) != -1)
        if dims.count(-1) > 1 or not rest or type.size % rest:
            raise ShapeError(f"{type} has {type.size} elements, which do not fit shape {tuple(dims)}")
        dims[dims.index(-1)] = type.size // rest
    if any(isinstance(dim, Rows) for dim in dims):
        return tuple(dims)
    for d, dim in enumerate(type.shape):
        if isinstance(dim, Rows):
            dims = _mark_rows(dims, size_of(type.shape[:d]), dim.batch)
    return tuple(dims)


def _mark_rows(dims: list[int], before: int, batch: int) -> list[int]:
    """The dims with the one marked that has `before` elements in front of it and is a multiple of the batch."""
    for d, dim in enumerate(dims):
        if size_of(tuple(dims[:d])) == before and dim > 0 and int(dim) % batch == 0:
            return [*dims[:d], Rows(batch, int(dim) // batch), *dims[d + 1 :]]
    return dims


def squeeze(b: Builder, x: Value, axes: Axes) -> Value:
    """x without these axes of length 1."""
    gone = axes_of(x, axes)
    shape = tuple(dim for d, dim in enumerate(x.shape) if d not in gone)
    if isinstance(x.op, shapes.Broadcast) and not set(gone) & set(x.op.axes):
        kept = [d for d in range(x.type.rank) if d not in gone]
        return broadcast(b, x.node.inputs[0], shape, [kept.index(axis) for axis in x.op.axes])
    return reshape(b, x, shape)


def expand_dims(b: Builder, x: Value, axes: int | Sequence[int]) -> Value:
    """x with new axes of length 1 at these axes of the result."""
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    rank = x.type.rank + len(given)
    new = {axis % rank for axis in given}
    kept = [d for d in range(rank) if d not in new]
    if not new:
        return x
    shape = tuple(1 if d in new else x.shape[kept.index(d)] for d in range(rank))
    return broadcast(b, x, shape, kept)


def transpose(b: Builder, x: Value, perm: Sequence[int] | None = None) -> Value:
    """Axis d of the result is axis perm[d] of x; None reverses the axes."""
    rank = x.type.rank
    order = tuple(reversed(range(rank))) if perm is None else tuple(axis % rank for axis in perm)
    return x if order == tuple(range(rank)) else b.add(shapes.Transpose(order), x)


def slice(
    b: Builder, x: Value, starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int] | None = None
) -> Value:
    steps = tuple(strides) if strides is not None else (1,) * x.type.rank
    op = shapes.Slice(tuple(starts), tuple(sizes), steps)
    return x if op.infer(x.type) == (x.type,) else b.add(op, x)


def slice_axis(b: Builder, x: Value, axis: int, start: int, size: int, stride: int = 1) -> Value:
    """`size` elements along one axis from `start` on, `stride` apart."""
    (axis,) = axes_of(x, axis)
    starts = [start if d == axis else 0 for d in range(x.type.rank)]
    sizes = [size if d == axis else dim for d, dim in enumerate(x.shape)]
    return slice(b, x, starts, sizes, [stride if d == axis else 1 for d in range(x.type.rank)])


def flip(b: Builder, x: Value, axes: Axes = None) -> Value:
    return b.add(shapes.Flip(axes_of(x, axes)), x)


def pad(b: Builder, x: Value, low: Sequence[int], high: Sequence[int], value: float = 0.0) -> Value:
    """Adds `value` in front and behind along every axis; negative numbers crop."""
    if not any(low) and not any(high):
        return x
    return b.add(shapes.Pad(tuple(low), tuple(high), value), x)


def dilate(b: Builder, x: Value, factors: Sequence[int]) -> Value:
    """Puts factor - 1 zeros between neighbours along every axis."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            split = reshape(b, x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
            none = [0] * split.type.rank
            spread = pad(b, split, none, [factor - 1 if d == axis + 1 else 0 for d in range(split.type.rank)])
            joined = reshape(b, spread, (*x.shape[:axis], int(x.shape[axis]) * factor, *x.shape[axis + 1 :]))
            x = pad(b, joined, none[1:], [1 - factor if d == axis else 0 for d in range(x.type.rank)])
    return x


def concat(b: Builder, values: Sequence[Value], axis: int) -> Value:
    if len(values) == 1:
        return values[0]
    return b.add(shapes.Concat(axis % values[0].type.rank), *values)


def stack(b: Builder, values: Sequence[Value], axis: int = 0) -> Value:
    """The values joined along a new axis."""
    return concat(b, [expand_dims(b, value, axis) for value in values], axis)


# ---- reductions


def _reduce(b: Builder, op: Callable[[tuple[int, ...]], Op], x: Value, axes: Axes, keepdims: bool) -> Value:
    over = axes_of(x, axes)
    # a reduction over axes of length 1 is a change of shape
    real = tuple(axis for axis in over if x.shape[axis] != 1)
    kept = squeeze(b, x, [axis for axis in over if axis not in real])
    gone = tuple(axis - len([a for a in over if a not in real and a < axis]) for axis in real)
    value = b.add(op(gone), kept) if gone else kept
    return expand_dims(b, value, over) if keepdims else value


def sum(b: Builder, x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    return _reduce(b, reduce.Sum, x, axes, keepdims)


def prod(b: Builder, x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    return _reduce(b, reduce.Prod, x, axes, keepdims)


def max(b: Builder, x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    return _reduce(b, reduce.Max, x, axes, keepdims)


def min(b: Builder, x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    return _reduce(b, reduce.Min, x, axes, keepdims)


def count(b: Builder, x: Value, axes: Axes = None) -> Value | float:
    """The number of elements along the axes, at run time if one of them counts batch rows, in the dtype of x."""
    dims = [x.shape[axis] for axis in axes_of(x, axes)]
    static = math.prod(dim.per if isinstance(dim, Rows) else int(dim) for dim in dims)
    batch = next((dim.batch for dim in dims if isinstance(dim, Rows)), None)
    if batch is None:
        return static
    rows = row_count(b, batch, x.dtype)
    return rows if static == 1 else mul(b, rows, static)


def mean(b: Builder, x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    """The sum divided by the number of elements, which is the runtime one where batch rows are summed."""
    number = count(b, x, axes)
    return div(b, sum(b, x, axes, keepdims), number)


def argmax(b: Builder, x: Value, axis: int = -1) -> Value:
    return b.add(reduce.ArgMax(axes_of(x, axis)[0]), x)


def argmin(b: Builder, x: Value, axis: int = -1) -> Value:
    return b.add(reduce.ArgMin(axes_of(x, axis)[0]), x)


def cumsum(b: Builder, x: Value, axis: int = -1, reverse: bool = False) -> Value:
    return b.add(reduce.CumSum(axes_of(x, axis)[0], reverse), x)


def softmax(b: Builder, x: Value, axes: Axes = -1) -> Value:
    """exp(x - max) / sum of it; the maximum counts as a constant."""
    powers = exp(b, _shifted(b, x, axes))
    return div(b, powers, sum(b, powers, axes, keepdims=True))


def log_softmax(b: Builder, x: Value, axes: Axes = -1) -> Value:
    shifted = _shifted(b, x, axes)
    return sub(b, shifted, log(b, sum(b, exp(b, shifted), axes, keepdims=True)))


def _shifted(b: Builder, x: Value, axes: Axes) -> Value:
    largest = stop_gradient(b, max(b, x, axes))
    return sub(b, x, expand_dims(b, largest, axes_of(x, axes)))


def logsumexp(b: Builder, x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    """log of the sum of exp, shifted by the maximum where that is finite."""
    over = axes_of(x, axes)
    largest = stop_gradient(b, max(b, x, over))
    shift = select(b, is_finite(b, largest), largest, 0)
    total = add(b, log(b, sum(b, exp(b, sub(b, x, expand_dims(b, shift, over))), over)), shift)
    return expand_dims(b, total, over) if keepdims else total


# ---- contractions


def dot(
    b: Builder,
    x: Value,
    y: Value,
    contract: tuple[Sequence[int], Sequence[int]],
    batch: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Value:
    """Result axes: batch, then the rest of x, then the rest of y."""
    pairs = [
        (tuple(a % x.type.rank for a in left), tuple(a % y.type.rank for a in right))
        for left, right in (batch, contract)
    ]
    return b.add(contraction.Dot(*pairs), x, y)


def einsum(b: Builder, x: Value, x_labels: str, y: Value, y_labels: str, result: str) -> Value:
    """Two-operand einsum: labels of one operand only must be in the result. Takes the operand order that needs no
    transposition, if one does."""
    first = _einsum_op(x_labels, y_labels, result)
    second = _einsum_op(y_labels, x_labels, result)
    if second[1] == result != first[1]:
        return b.add(second[0], y, x)
    return transpose(b, b.add(first[0], x, y), [first[1].index(label) for label in result])


def _einsum_op(lhs: str, rhs: str, result: str) -> tuple[contraction.Dot, str]:
    """The Dot, and the labels of what it gives."""
    batch = [label for label in result if label in lhs and label in rhs]
    inner = [label for label in lhs if label in rhs and label not in result]
    rest = [label for label in lhs + rhs if label not in batch + inner]
    pairs = [(tuple(map(lhs.index, labels)), tuple(map(rhs.index, labels))) for labels in (batch, inner)]
    return contraction.Dot(*pairs), "".join(batch + rest)


def matmul(b: Builder, x: Value, y: Value) -> Value:
    """numpy's matmul: vectors, matrices, and stacks of matrices whose leading axes broadcast."""
    if not x.type.rank or not y.type.rank:
        raise ShapeError(f"matmul: wanted operands of rank 1 or more, got {x.type} and {y.type}")
    x_labels, y_labels = _matrix_labels(x.type.rank, "mk"), _matrix_labels(y.type.rank, "kn")
    lead = x_labels[:-2] if len(x_labels) >= len(y_labels) else y_labels[:-2]
    result = lead + ("m" if x.type.rank > 1 else "") + ("n" if y.type.rank > 1 else "")
    x, x_labels = _without_ones(b, x, x_labels, dict(zip(y_labels[:-2], y.shape, strict=False)))
    y, y_labels = _without_ones(b, y, y_labels, dict(zip(x_labels[:-2], x.shape, strict=False)))
    return einsum(b, x, x_labels, y, y_labels, result)


def _matrix_labels(rank: int, matrix: str) -> str:
    return "k" if rank == 1 else "ABCDEFGHIJKLMNOP"[16 - (rank - 2) :] + matrix


def _without_ones(b: Builder, x: Value, labels: str, other: dict[str, int]) -> tuple[Value, str]:
    """x without the leading axes of length 1 that the other operand has too."""
    ones = [d for d, label in enumerate(labels[:-2]) if x.shape[d] == 1 and label in other]
    return squeeze(b, x, ones), "".join(label for d, label in enumerate(labels) if d not in ones)


# ---- convolution and pooling


def padding_of(
    padding: str | sliding.Padding,
    extents: Shape,
    sizes: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> sliding.Padding:
    """Explicit (low, high) pairs for "valid", "same" or pairs already."""
    if padding == "valid":
        return ((0, 0),) * len(extents)
    if padding == "same":
        return sliding.same_padding(extents, sizes, strides, dilation)
    if isinstance(padding, str):
        raise ValueError(f"padding {padding!r} is unknown, wanted 'valid', 'same' or (low, high) pairs")
    return tuple((lo, hi) for lo, hi in padding)


def conv(
    b: Builder,
    x: Value,
    w: Value,
    strides: Sequence[int] | None = None,
    padding: str | sliding.Padding = "valid",
    dilation: Sequence[int] | None = None,
    groups: int = 1,
) -> Value:
    """x[N, spatial.., C] with w[k.., C / groups, F] gives [N, outputs.., F]."""
    rank = x.type.rank - 2
    steps, spread = tuple(strides or (1,) * rank), tuple(dilation or (1,) * rank)
    edges = padding_of(padding, x.shape[1:-1], w.shape[:-2], steps, spread)
    return b.add(convolution.Conv(steps, edges, spread, groups), x, w)


def conv_transpose(
    b: Builder,
    x: Value,
    w: Value,
    shape: Sequence[int],
    strides: Sequence[int],
    padding: sliding.Padding,
    dilation: Sequence[int],
) -> Value:
    """x[N, inputs.., C] with w[k.., F, C] gives [N, shape.., F]: the gradient of the convolution from there to x."""
    op = convolution.ConvInputGrad((x.shape[0], *shape, w.shape[-2]), tuple(strides), padding, tuple(dilation))
    return b.add(op, x, w)


def max_pool(
    b: Builder,
    x: Value,
    size: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | sliding.Padding = "valid",
) -> Value:
    """The largest element of every window of x[N, spatial.., C]; strides default to the window."""
    steps = tuple(strides or size)
    edges = padding_of(padding, x.shape[1:-1], size, steps, (1,) * len(size))
    return b.add_all(pool.MaxPool(tuple(size), steps, edges), x)[0]


def avg_pool(
    b: Builder,
    x: Value,
    size: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | sliding.Padding = "valid",
) -> Value:
    """The mean of every window of x[N, spatial.., C], over the elements that exist; strides default to the window."""
    steps = tuple(strides or size)
    edges = padding_of(padding, x.shape[1:-1], size, steps, (1,) * len(size))
    total = b.add(pool.SumPool(tuple(size), steps, edges), x)
    if not any(map(any, edges)):
        return mul(b, total, 1 / math.prod(size))
    counts = pool.SumPool(tuple(size), steps, edges).eval(np.ones((1, *map(int, x.shape[1:-1]), 1)))[0]
    shares = constant(b, (1 / counts[0, ..., 0]).astype(x.dtype.numpy))
    return mul(b, total, broadcast(b, shares, total.shape, range(1, total.type.rank - 1)))


# ---- indices and random numbers


def gather(b: Builder, table: Value, ids: Value, batch: int = 0) -> Value:
    """table[ids] along axis `batch`, entry by entry of the first `batch` axes; ids outside are clamped."""
    return b.add(index.Gather(batch), table, ids)


def scatter_add(b: Builder, shape: Shape, ids: Value, updates: Value, batch: int = 0) -> Value:
    """Zeros of `shape` to whose rows ids[i] the rows updates[i] are added; ids outside are clamped.

    The first `batch` axes are common to all.
    """
    return b.add(index.ScatterAdd(tuple(shape), batch), ids, updates)


def one_hot(b: Builder, ids: Value, depth: int, dtype: DType = DType.F32) -> Value:
    """1 at ids along a new last axis of `depth`, 0 elsewhere; ids outside give zeros only."""
    ids = ids if ids.dtype.size == 8 else cast(b, ids, DType.I32)  # a small dtype may not reach the depth
    shape = (*ids.shape, depth)
    is_hot = eq(b, broadcast(b, ids, shape, range(ids.type.rank)), iota(b, shape, -1, ids.dtype))
    return cast(b, is_hot, dtype)


def random_bits(b: Builder, key: Value, shape: Shape) -> Value:
    """u32 bits under a key u32[2]."""
    return b.add(random.RandomBits(tuple(shape)), key)


def random_uniform(b: Builder, key: Value, shape: Shape, dtype: DType = DType.F32) -> Value:
    """Numbers in [0, 1): f32 has JAX's 23 random bits, f64 has 32."""
    bits = random_bits(b, key, shape)
    if dtype is DType.F64:
        return mul(b, cast(b, bits, dtype), 2.0**-32)
    if dtype.is_half:
        return cast(b, random_uniform(b, key, shape), dtype)
    if dtype is not DType.F32:
        raise ShapeError(f"random_uniform: dtype is {dtype.value}, wanted a float")
    return sub(b, bitcast(b, bit_or(b, shr(b, bits, 9), 0x3F800000), dtype), 1)


# ---- loops

Step = Callable[[Builder, Sequence[Value], Sequence[Value]], tuple[Sequence[Value], Sequence[Value]]]
"""(builder of the body, carries, elements of the sequences) -> (next carries, results of this step)."""


def scan(
    b: Builder, step: Step, carries: Sequence[Value], sequences: Sequence[Value], steps: int, reverse: bool = False
) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """A loop over the first axis of the sequences: the last carries, and the results of all steps along a new first
    axis. Values of this graph that the step reads are the same in every step."""
    body = Builder("body")
    body.loc = b.loc
    before = [body.parameter("carry", value.type) for value in carries]
    elements = [body.parameter("x", value.type.with_shape(value.shape[1:])) for value in sequences]
    after, results = step(body, before, elements)
    graph, captured = control.close_body(body, [*after, *results])
    op = control.Scan(graph, steps, len(before), len(elements), reverse)
    values = b.add_all(op, *carries, *sequences, *captured)
    return values[: len(before)], values[len(before) :]
