"""How an op is run: recorded for KerasTensors, traced for Tensors, traced and interpreted for arrays.

A few ops have a better way for arrays (sorting, LAPACK), and a few no other (results whose size depends on values).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from graphc import config
from graphc.ir.builder import Builder
from graphc.ir.op import Value
from graphc.ir.types import DType, Rows
from graphc.primitives import functions as fn
from graphc.tensor import KerasTensor, Tensor, current_tracer
from graphc.tracing import Tracer, contains, map_leaves, run_eagerly
from graphc.variables import Variable

F = TypeVar("F", bound=Callable[..., Any])
SCALARS = (bool, int, float)


def op(function: F, concrete: Callable[..., Any] | None = None) -> F:
    """Makes an op of a function on Tensors: arguments may be KerasTensors, Tensors, Variables, arrays and numbers.

    KerasTensors give KerasTensors (and a node of the model), Tensors give Tensors, anything else numpy arrays, which
    `concrete` computes if it is given (while a graph is traced too: then they are constants of it).
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if contains(KerasTensor, args) or contains(KerasTensor, kwargs):
            from graphc.operation import OpCall  # operations infer shapes with ops

            return OpCall(function)(*args, **kwargs)
        traced = current_tracer() is not None
        if traced and (concrete is None or contains((Tensor, Variable), (args, kwargs))):
            return function(*args, **kwargs)
        if concrete is not None:
            return _on_arrays(concrete, args, kwargs)
        return run_eagerly(function, args, kwargs)

    return call  # type: ignore[return-value]


def op_with(concrete: Callable[..., Any]) -> Callable[[F], F]:
    """`op` for a function whose value on arrays `concrete` computes with numpy, without a graph."""
    return functools.partial(op, concrete=concrete)


def arrays_only(reason: str) -> Callable[[F], F]:
    """Makes an op of a function on arrays. NotImplementedError, with the reason, for tensors of a graph."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            symbolic = contains(KerasTensor, (args, kwargs)) or contains(Tensor, (args, kwargs))
            traced = current_tracer() is not None and contains(Variable, (args, kwargs))
            if symbolic or traced:
                raise NotImplementedError(
                    f"{call.__name__} cannot be part of a graph: {reason}. Call it on numpy arrays, outside of the "
                    "model, and pass its result in"
                )
            return _on_arrays(function, args, kwargs)

        call.arrays_only = reason  # type: ignore[attr-defined]  # for the page on what there is of Keras
        return call  # type: ignore[return-value]

    return decorate


def _on_arrays(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A function of arrays; what it makes of Python's numbers alone has the dtypes these have as tensors."""
    result = function(*map_leaves(_array_of, Variable, args), **map_leaves(_array_of, Variable, kwargs))
    typed = contains((np.ndarray, np.generic, Variable), (args, kwargs))
    return result if typed else map_leaves(_demoted, np.ndarray, result)


def _array_of(variable: Variable) -> Any:
    return variable.numpy()


def _demoted(array: Any) -> Any:
    return array.astype({"int64": "int32", "float64": config.floatx()}.get(array.dtype.name, array.dtype), copy=False)


def tracer() -> Tracer:
    """The tracer in whose graph the running op builds."""
    found = current_tracer()
    assert found is not None, "an op's body runs while a graph is traced"
    return found


def builder() -> Builder:
    """The builder of the graph the running op builds."""
    return tracer().builder


def convert(x: Any, dtype: Any = None) -> Tensor:
    """A Tensor of anything an op takes; numbers and arrays become constants. dtype: cast to it."""
    tensor = _tensor(x)
    return tensor if dtype is None else cast_to(tensor, dtype)


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    if isinstance(x, Variable):
        return tracer().read(x)
    if isinstance(x, Rows):
        rows = Tensor(fn.row_count(builder(), x.batch, DType.I32))
        return rows if x.per == 1 else Tensor(fn.mul(builder(), rows.value, x.per))
    if isinstance(x, (list, tuple)) and contains(Tensor, x):
        return _stacked([convert(item) for item in x])
    array = np.asarray(x)
    if not isinstance(x, (np.ndarray, np.generic)):
        array = array.astype({"f": config.floatx(), "i": "int32", "b": "bool"}.get(array.dtype.kind, array.dtype))
    return Tensor(fn.constant(builder(), array, DType.of(array.dtype)))


def _stacked(items: list[Tensor]) -> Tensor:
    kind = result_type(*items)
    rows = [fn.reshape(builder(), cast_to(item, kind).value, (1, *item.shape)) for item in items]
    return Tensor(fn.concat(builder(), rows, 0))


def cast_to(x: Tensor, dtype: Any) -> Tensor:
    """The tensor in another dtype (itself if it has that dtype)."""
    kind = DType.of(config.standardize_dtype(dtype))
    if x.value.dtype is kind:
        return x
    return _with_mask(Tensor(fn.cast(builder(), x.value, kind)), x)


def _with_mask(result: Tensor, source: Tensor) -> Tensor:
    result._keras_mask = source._keras_mask
    return result


def is_scalar(x: Any) -> bool:
    """A Python number, which takes the dtype of what it meets (a row count is not one: it becomes a tensor)."""
    return isinstance(x, SCALARS) and not isinstance(x, (Rows, np.generic))


def result_type(*xs: Any) -> str:
    """The dtype in which operands meet: floats win over integers and integers over bool; Python numbers are weak."""
    names = frozenset(_dtype_of(x) for x in xs if not is_scalar(x))
    weak = max((_rank(x) for x in xs if is_scalar(x)), default=0)
    return _meeting(names, weak, config.floatx())


@functools.lru_cache(maxsize=1024)
def _meeting(names: frozenset[str], weak: int, floatx: str) -> str:
    """The dtype in which these dtypes and Python numbers up to this rank meet."""
    if not names:
        return ("bool", "int32", floatx)[weak]
    kind = _joined({np.dtype(name) for name in names}, floatx)
    # numpy calls bfloat16, which is not its own, "V"
    strong = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2}[kind.kind]
    return ("bool", "int32", floatx)[weak] if weak > strong else str(kind.name)


def _rank(x: Any) -> int:
    return 0 if isinstance(x, bool) else 1 if isinstance(x, int) else 2


def _dtype_of(x: Any) -> str:
    if isinstance(x, Rows):
        return "int32"
    if isinstance(x, (list, tuple)):
        return result_type(*x) if x else config.floatx()
    return str(x.dtype.name if isinstance(x.dtype, np.dtype) else x.dtype)


def _joined(kinds: set[np.dtype[Any]], floatx: str) -> np.dtype[Any]:
    floats = {kind for kind in kinds if kind.kind in "fV"}
    if floats:
        widest = max(floats, key=lambda kind: kind.itemsize)
        return np.dtype("float32") if widest.itemsize == 2 and len(floats) > 1 else widest
    joined = np.result_type(*kinds)
    if joined.kind == "f":
        return np.dtype(floatx)
    return _WIDER.get(joined.name, joined)


# numpy's common types that the IR does not have (int8 and uint8 meet in int16)
_WIDER = {"int16": np.dtype("int32"), "uint16": np.dtype("uint32")}


def float_type(*xs: Any) -> str:
    """The dtype of a function whose result is not an integer."""
    kind = result_type(*xs)
    return kind if "float" in kind else config.floatx()


def widened(x: Tensor) -> Tensor:
    """The tensor in a dtype whose bits are those of an integer of the IR: floats of two bytes as float32, exactly."""
    return cast_to(x, "float32") if x.value.dtype.is_float and x.value.dtype.size == 2 else x


def limits_of(dtype: str) -> Any:
    """`finfo` of a float dtype, of those numpy does not know too."""
    import ml_dtypes  # numpy's own needs no import

    finfo: Any = ml_dtypes.finfo  # untyped
    return finfo(dtype)


def unary(function: Callable[[Builder, Value], Value], x: Any, floating: bool = False) -> Tensor:
    """A primitive of one operand; floating: integers are cast to floats first."""
    tensor = convert(x, float_type(x) if floating else None)
    return Tensor(function(builder(), tensor.value))


def binary(function: Callable[[Builder, Any, Any], Value], x1: Any, x2: Any, dtype: str | None = None) -> Tensor:
    """A primitive of two operands, which meet in one dtype and broadcast."""
    kind = dtype or result_type(x1, x2)
    if is_scalar(x1) and is_scalar(x2):
        x1 = convert(x1, kind)
    return Tensor(function(builder(), operand(x1, kind), operand(x2, kind)))


def operand(x: Any, dtype: str) -> Any:
    """What a primitive takes: a number as it is, anything else as a Value of the dtype."""
    return x if is_scalar(x) else convert(x, dtype).value
