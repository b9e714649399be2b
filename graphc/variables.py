"""Variables: the arrays a model owns (weights, moving statistics, random counters, optimizer slots, metric totals).

The array is lent to executables, which update it in place; it is therefore never replaced, only written into.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config, naming
from graphc.ir.changes import CHANGES
from graphc.saving.budget import spend
from graphc.scope import current_path
from graphc.tensor import Operators, active_tracer, current_tracer

Array = NDArray[Any]
ALIGNMENT = 64


# The dtype in which the layer that is running reads its floating-point variables; None: as they are.
_autocast: contextvars.ContextVar[str | None] = contextvars.ContextVar("autocast", default=None)


@contextlib.contextmanager
def autocasting(dtype: str | None) -> Iterator[None]:
    """Inside, variables with `autocast` are read in this dtype."""
    token = _autocast.set(dtype)
    try:
        yield
    finally:
        _autocast.reset(token)


class Variable(Operators):
    """An array with a name.

    initializer: an array or scalar, or a callable (shape, dtype) -> array. `array` is C-contiguous, 64-byte aligned and
    stays the same object; whoever writes into it notes that in `graphc.ir.changes`. `numpy()` is a copy of it. While a
    graph is traced, reading the variable reads a graph input and assigning to it records an update that takes effect
    when the graph has run.
    """

    def __init__(
        self,
        initializer: Any,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        name: str | None = None,
    ) -> None:
        self.name = name or naming.auto_name(type(self).__name__)
        if "/" in self.name:
            raise ValueError(
                f"Argument `name` must be a string and cannot contain character `/`. Received: name={name}"
            )
        self.path = "/".join(filter(None, (current_path(), self.name)))
        if shape is not None and None in shape:
            raise ValueError(
                "Shapes used to initialize variables must be fully-defined (no `None` dimensions). Received: "
                f"shape={shape} for variable path='{self.path}'"
            )
        if shape is not None:
            spend(math.prod(shape) * np.dtype(config.standardize_dtype(dtype)).itemsize, f"Variable '{self.path}'")
        self.array = aligned(_initial(initializer, shape, dtype))
        self.trainable = trainable
        self.autocast = autocast
        self.aggregation = aggregation
        # Weights and state differ by what made them, not by whether they are frozen now.
        self.is_state = not trainable
        self.regularizer: Any = None
        self.constraint: Any = None
        self.overwrite_with_gradient = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> str:
        """The dtype of the array; inside of a layer that computes in another one, the dtype it is read in."""
        stored = self.array.dtype.name
        wanted = _autocast.get()
        return wanted if wanted is not None and self.autocast and "float" in stored else stored

    @property
    def value(self) -> Any:
        """The array, to be read only, or while tracing the tensor that stands for it."""
        tracer = current_tracer()
        if tracer is not None:
            return tracer.read(self)
        view = self.array.view()
        view.flags.writeable = False
        return view

    def numpy(self) -> Array:
        """A copy of the value."""
        return self.array.copy()

    def assign(self, value: Any) -> Any:
        """Set the value; ValueError if the shape differs."""
        tracer = current_tracer()
        if tracer is not None:
            return tracer.assign(self, value)
        new = np.asarray(value.array if isinstance(value, Variable) else value)
        if new.shape != self.shape:
            raise ValueError(
                "The shape of the target variable and the shape of the target value in `variable.assign(value)` must "
                f"match. variable.shape={self.shape}, Received: value.shape={new.shape}. Target variable: {self}"
            )
        self.array[...] = new
        CHANGES.note()
        return self.value

    def assign_add(self, value: Any) -> Any:
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Any:
        return self.assign(self - value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype)

    def __float__(self) -> float:
        return float(self.array)

    def __int__(self) -> int:
        return int(self.array)

    def __len__(self) -> int:
        return len(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, value={self.array}>"


def aligned(values: Array) -> Array:
    """A C-contiguous copy whose memory starts at a multiple of 64 bytes."""
    memory = np.empty(values.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    copy: Array = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def _initial(initializer: Any, shape: tuple[int, ...] | None, dtype: Any) -> Array:
    if isinstance(initializer, Callable):  # type: ignore[arg-type]
        if shape is None:
            raise ValueError(
                "When creating a Variable from an initializer, the `shape` argument should be specified. "
                f"Received: initializer={initializer} and shape={shape}"
            )
        # values exist at once, even if the variable is made while a graph is traced
        token = active_tracer.set(None)
        try:
            return np.asarray(initializer(shape, dtype=config.standardize_dtype(dtype)))
        finally:
            active_tracer.reset(token)
    values = np.asarray(initializer)
    kind = config.standardize_dtype(dtype) if dtype is not None else _default_dtype(values, initializer)
    return values.astype(kind)


def _default_dtype(values: Array, given: Any) -> str:
    if values.dtype == np.float64 or not isinstance(given, (np.ndarray, np.generic)):
        return {"f": config.floatx(), "i": "int32", "b": "bool"}[values.dtype.kind]
    return str(values.dtype.name)
