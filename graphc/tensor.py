"""What layers compute with: `KerasTensor` while a model is described, `Tensor` while its graph is traced.

Both have shape, dtype and Python's operators; `graphc.ops` takes either.
"""

from __future__ import annotations

import contextvars
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphc import config, naming
from graphc.ir.op import Value
from graphc.ir.types import Rows, TensorType

if TYPE_CHECKING:
    from graphc.tracing import Tracer

Shape = tuple[int | None, ...]

# Rows of the batch while shapes are inferred; the number itself never shows.
SPEC_BATCH = 2

active_tracer: contextvars.ContextVar[Tracer | None] = contextvars.ContextVar("tracer", default=None)


def current_tracer() -> Tracer | None:
    """The tracer of the graph that is being built in this context, or None."""
    return active_tracer.get()


def _operator(name: str, swap: bool = False) -> Callable[..., Any]:
    def method(self: Any, *others: Any) -> Any:
        # ops are written with tensors, so tensors can only look them up when used
        function = getattr(importlib.import_module("graphc.ops"), name)
        return function(*others, self) if swap else function(self, *others)

    return method


class Operators:
    """Python's operators, by way of `graphc.ops`."""

    __array_priority__ = 1000
    __array_ufunc__ = None
    __hash__ = object.__hash__

    __add__, __radd__ = _operator("add"), _operator("add", swap=True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", swap=True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", swap=True)
    __truediv__, __rtruediv__ = _operator("true_divide"), _operator("true_divide", swap=True)
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _operator("floor_divide", swap=True)
    __mod__, __rmod__ = _operator("mod"), _operator("mod", swap=True)
    __pow__, __rpow__ = _operator("power"), _operator("power", swap=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", swap=True)
    __and__, __rand__ = _operator("logical_and"), _operator("logical_and", swap=True)
    __or__, __ror__ = _operator("logical_or"), _operator("logical_or", swap=True)
    __xor__, __rxor__ = _operator("logical_xor"), _operator("logical_xor", swap=True)
    __neg__, __abs__, __invert__ = _operator("negative"), _operator("abs"), _operator("logical_not")
    __lt__, __le__, __gt__, __ge__ = map(_operator, ("less", "less_equal", "greater", "greater_equal"))
    __eq__, __ne__ = _operator("equal"), _operator("not_equal")
    __getitem__ = _operator("get_item")

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} has no value yet and cannot decide a Python `if`; use `graphc.ops.where`")

    def __float__(self) -> float:
        raise TypeError(f"{self!r} has no value yet; it cannot become a Python number")

    __int__ = __float__


class KerasTensor(Operators):
    """A tensor of a model under construction: a shape (None: any size), a dtype and the operation that makes it.

    `dims` is the shape as the IR has it: dimensions that count batch rows are `Rows`, others of unknown size None.
    """

    def __init__(
        self, shape: Any, dtype: Any = "float32", name: str | None = None, record_history: bool = True, **_: Any
    ) -> None:
        dims = tuple(shape)
        if dims and dims[0] is None:
            dims = (Rows(SPEC_BATCH), *dims[1:])
        self.dims: Shape = dims
        self.dtype = config.standardize_dtype(dtype)
        self.name = name or naming.auto_name(type(self).__name__)
        self._keras_mask: KerasTensor | None = None
        self._keras_history: Any = None

    @property
    def shape(self) -> Shape:
        return tuple(None if isinstance(dim, Rows) else dim for dim in self.dims)

    @property
    def ndim(self) -> int:
        return len(self.dims)

    def __len__(self) -> int:
        raise TypeError(f"The length of {self!r} is not known yet")

    def __iter__(self) -> Any:
        raise NotImplementedError("Iterating over a symbolic KerasTensor is not supported.")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ValueError(
            "A KerasTensor is symbolic: it's a placeholder for a shape an a dtype. It doesn't have any actual "
            "numerical "
            "value. You cannot convert it to a NumPy array."
        )

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, sparse=False, ragged=False, name={self.name}>"


class Tensor(Operators):
    """A value of the graph being traced. Sizes that count batch rows are `Rows`."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self._keras_mask: Tensor | None = None
        if (tracer := current_tracer()) is not None:
            tracer.watch(self)

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return len(self.value.shape)

    @property
    def dtype(self) -> str:
        return self.value.dtype.long_name

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        if isinstance(self.shape[0], Rows):
            raise TypeError(f"{self!r}: the number of batch rows is only known when the graph runs; cannot iterate")
        return (self[index] for index in range(self.shape[0]))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self!r} is a value of a graph that has not run; it cannot become a numpy array here")

    numpy = __array__

    def backward(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self!r} keeps no gradients; use `graphc.gradients(loss, variables)` inside `train_step()`")

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape}, dtype={self.dtype}>"


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a `KerasTensor`."""
    return isinstance(x, KerasTensor)
