"""Regularizers: penalties on weights or outputs that are added to the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc import ops
from graphc.naming import to_snake_case
from graphc.saving.registry import deserialize_object, interpret, serialize_object


class Regularizer:
    """Base class: `__call__(x)` returns a scalar."""

    def __call__(self, x: Any) -> Any:
        return 0.0

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(f"{self} does not implement get_config()")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2)."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _checked_factor("l1", l1)
        self.l2 = _checked_factor("l2", l2)

    def __call__(self, x: Any) -> Any:
        terms = []
        if self.l1:
            terms.append(self.l1 * ops.sum(ops.abs(x)))
        if self.l2:
            terms.append(self.l2 * ops.sum(ops.square(x)))
        return sum(terms[1:], terms[0]) if terms else ops.convert_to_tensor(0.0)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum(|x|)."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=_checked_factor("l1", 0.01 if l1 is None else l1))

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum(x^2)."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=_checked_factor("l2", 0.01 if l2 is None else l2))

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor * the mean absolute cosine between different rows (or columns) of a matrix."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in {"rows", "columns"}:
            raise ValueError(
                f"Invalid value for argument `mode`. Expected one of {{'rows', 'columns'}}. Received: mode={mode}"
            )
        self.factor = factor
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ValueError(f"Inputs to OrthogonalRegularizer must have rank 2. Received: inputs.shape={x.shape}")
        rows = ops.normalize(x if self.mode == "rows" else ops.transpose(x), axis=1)
        size = int(rows.shape[0])
        products = ops.matmul(rows, ops.transpose(rows)) * (1.0 - ops.eye(size))
        return self.factor * 0.5 * ops.sum(ops.abs(products)) / (size * (size - 1.0) / 2.0)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


def _checked_factor(name: str, value: Any) -> float:
    if (
        not isinstance(value, (int, float))
        or isinstance(value, bool)
        or value != value
        or value in (float("inf"), -float("inf"))
    ):
        raise ValueError(
            f"Invalid value for argument `{name}`: expected a non-negative float. Received: {name}={value}"
        )
    return float(value)


l1, l2, l1_l2 = L1, L2, L1L2
orthogonal_regularizer = OrthogonalRegularizer
_CLASSES = (Regularizer, L1, L2, L1L2, OrthogonalRegularizer)
OBJECTS: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{to_snake_case(cls.__name__): cls for cls in _CLASSES},
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
}


def serialize(regularizer: Any) -> Any:
    """The config of a regularizer, as Keras writes it; None stays None."""
    return None if regularizer is None else serialize_object(regularizer, "keras.regularizers")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer of a config or name."""
    return deserialize_object(config, OBJECTS, custom_objects, kind="regularizer")


def get(identifier: Any) -> Any:
    """The regularizer a name, config, class or callable stands for; None stays None."""
    return interpret(identifier, deserialize, "regularizer")
