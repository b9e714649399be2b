"""Types of values: an element type and a static shape whose batch dimensions count runtime rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import ml_dtypes
import numpy as np


class DType(Enum):
    """An element type; the value is the spelling used in dumps."""

    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"
    I8 = "i8"
    I32 = "i32"
    I64 = "i64"
    U8 = "u8"
    U32 = "u32"
    U64 = "u64"
    BOOL = "bool"

    __hash__ = object.__hash__  # of members, which are single objects; an Enum's own is written in Python

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype whose memory layout native code uses (bool takes one byte)."""
        return _NUMPY[self]

    @property
    def long_name(self) -> str:
        """numpy's and Keras's spelling, such as "float32"."""
        return _LONG_NAMES[self]

    @property
    def size(self) -> int:
        """Bytes of one element in memory."""
        return _NUMPY[self].itemsize

    @property
    def is_float(self) -> bool:
        return self in (DType.F16, DType.BF16, DType.F32, DType.F64)

    @property
    def is_half(self) -> bool:
        """Whether values are stored in two bytes and computed in f32, then rounded."""
        return self in (DType.F16, DType.BF16)

    @property
    def computed(self) -> DType:
        """The dtype arithmetic on such values is done in."""
        return DType.F32 if self.is_half else self

    @property
    def is_signed(self) -> bool:
        return self in (DType.I8, DType.I32, DType.I64)

    @property
    def is_integer(self) -> bool:
        return not self.is_float and self is not DType.BOOL

    @classmethod
    def of(cls, dtype: object) -> DType:
        """The DType of a numpy dtype, a Keras dtype name ("float32") or a DType. TypeError for anything else."""
        if isinstance(dtype, DType):
            return dtype
        if isinstance(dtype, str) and (known := _BY_NAME.get(dtype)) is not None:
            return known
        try:
            return _BY_NUMPY[np.dtype(dtype).newbyteorder("=")]  # type: ignore[call-overload]
        except (TypeError, KeyError):
            names = ", ".join(sorted(_BY_NAME))
            raise TypeError(f"dtype {dtype!r} is not supported; supported dtypes: {names}") from None


_NUMPY: dict[DType, np.dtype[Any]] = {
    DType.F16: np.dtype("float16"),
    DType.BF16: np.dtype(ml_dtypes.bfloat16),
    DType.F32: np.dtype("float32"),
    DType.F64: np.dtype("float64"),
    DType.I8: np.dtype("int8"),
    DType.I32: np.dtype("int32"),
    DType.I64: np.dtype("int64"),
    DType.U8: np.dtype("uint8"),
    DType.U32: np.dtype("uint32"),
    DType.U64: np.dtype("uint64"),
    DType.BOOL: np.dtype("bool"),
}
_BY_NUMPY = {dtype: key for key, dtype in _NUMPY.items()}
_LONG_NAMES = {key: str(dtype.name) for key, dtype in _NUMPY.items()}
_BY_NAME = {name: key for key, name in _LONG_NAMES.items()}


class Rows(int):
    """A dimension that counts batch rows: its int value is the compiled maximum, `per` the elements each row adds.

    At run time the dimension is `rows * per` long, with `rows` at most the compiled batch. A `Rows` never equals a
    plain int, so a graph in which the batch meets an unrelated dimension of the same size is refused instead of being
    wrong for a short batch. Printed as `n`, or `28n` when each row adds 28 elements.
    """

    per: int

    def __new__(cls, batch: int, per: int = 1) -> Rows:
        self = super().__new__(cls, batch * per)
        self.per = per
        return self

    @property
    def batch(self) -> int:
        return int(self) // self.per

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and int(self) == int(other) and self.per == other.per

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((int(self), self.per, "rows"))

    def __mul__(self, other: int) -> int:
        if other > 0 and not isinstance(other, Rows):
            return Rows(self.batch, self.per * int(other))
        return int(self) * other

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> int:
        if not isinstance(other, Rows) and other > 0 and self.per % other == 0:
            return Rows(self.batch, self.per // other)
        return int(self) // other

    def __repr__(self) -> str:
        return "n" if self.per == 1 else f"{self.per}n"

    __str__ = __repr__

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override]
        return self.batch, self.per

    def __reduce__(self) -> tuple[type[Rows], tuple[int, int]]:
        return Rows, (self.batch, self.per)


Shape = tuple[int, ...]


def size_of(shape: Shape) -> int:
    """Number of elements at the compiled maximum of rows, as a plain int."""
    return math.prod(int(dim) for dim in shape)


def concrete(shape: Shape) -> Shape:
    """The shape with batch dimensions replaced by their compiled maximum (what numpy sees)."""
    return tuple(int(dim) for dim in shape)


def merge(dims: Shape) -> int:
    """The product of dimensions, still counting rows when one of them does."""
    product: int = 1
    for dim in dims:
        product = product * dim if isinstance(product, Rows) or not isinstance(dim, Rows) else dim * product
    return product


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and element type of a value."""

    shape: Shape
    dtype: DType = DType.F32

    def __post_init__(self) -> None:
        if any(int(dim) < 0 for dim in self.shape):
            raise ValueError(f"dimensions must not be negative: {self}")

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return size_of(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.size

    @property
    def has_rows(self) -> bool:
        return any(isinstance(dim, Rows) for dim in self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(shape, self.dtype)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(self.shape, dtype)

    def __str__(self) -> str:
        return f"{self.dtype.value}[{','.join(str(dim) for dim in self.shape)}]"


class ShapeError(ValueError):
    """Operand types that an op does not take; the message has op, got and wanted, the Builder adds the layer."""
