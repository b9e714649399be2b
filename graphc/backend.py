"""`keras.backend`: the names that are left of it in Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    standardize_dtype,
)
from graphc.naming import clear_session, get_uid
from graphc.tensor import is_keras_tensor

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]


def is_float_dtype(dtype: Any) -> bool:
    """Whether `dtype` is a floating-point type."""
    return "float" in standardize_dtype(dtype)


def result_type(*dtypes: Any) -> str:
    """The dtype in which these dtypes meet; Python's `bool`, `int` and `float` give way to any of their kind."""
    from graphc.ops.dispatch import result_type as meet  # ops stand above

    weak = {bool: False, int: 0, float: 0.0}
    return meet(*(weak[d] if d in weak else np.empty(0, standardize_dtype(d)) for d in dtypes))


def is_int_dtype(dtype: Any) -> bool:
    """Whether `dtype` is a signed or unsigned integer type."""
    return standardize_dtype(dtype).startswith(("int", "uint"))
