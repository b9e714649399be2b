"""Validation of a pass by the interpreter: a graph before and after it gives the same numbers on random inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Role
from graphc.ir.types import DType, TensorType, concrete

RTOL = 1e-4  # passes may change the order of f32 additions
ATOL = 1e-5  # of the largest finite element
FLOOR = 2e-7  # of the largest element of all results: a gradient that is zero by cancellation is rounding only


def random_inputs(graph: Graph, seed: int = 0) -> list[Array]:
    """Arrays for all inputs: floats normal, in states without their sign (of a moment there is a root), integers 0 to 2
    (they may be ids or classes), unsigned ones of weights and states over their range."""
    rng = np.random.default_rng(seed)
    return [_random(rng, value.type, graph.role(value)) for value in graph.inputs]


def _random(rng: np.random.Generator, type: TensorType, role: str | None) -> Array:
    shape = concrete(type.shape)
    if type.dtype.is_float:
        normal = rng.standard_normal(shape)
        return np.asarray(np.abs(normal) if role == Role.STATE else normal).astype(type.dtype.numpy)
    is_bits = role != Role.INPUT and type.dtype.is_integer and not type.dtype.is_signed
    limit = np.iinfo(type.dtype.numpy).max if is_bits else 2
    highest = 1 if type.dtype is DType.BOOL else limit
    return np.asarray(rng.integers(0, highest, shape, np.uint64, endpoint=True)).astype(type.dtype.numpy)


def results_of(graph: Graph, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Outputs, next states and checks for arrays of all inputs in order."""
    return interpret(graph, dict(zip(graph.inputs, arrays, strict=True)))


def first_difference(graph: Graph, before: Sequence[Array], after: Sequence[Array]) -> str:
    """What differs first among two runs' results of a graph, in words; empty if nothing does."""
    if len(before) != len(after):
        return f"{len(before)} results became {len(after)}"
    floor = FLOOR * max((_largest(old) for old in before), default=0.0)
    for value, old, new in zip(graph.results, before, after, strict=True):
        if difference := _difference(old, new, floor):
            return f"%{value.name} : {value.type}: {difference}"
    return ""


def _difference(old: Array, new: Array, floor: float) -> str:
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"was {old.dtype}{list(old.shape)}, is {new.dtype}{list(new.shape)}"
    close = _close(old, new, floor)
    if np.all(close):
        return ""
    index = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{np.sum(~close)} of {old.size} elements differ; at {index} it was {old[index]!r} and is {new[index]!r}"


def _largest(array: Array) -> float:
    """The largest finite element of floats; 0 for other arrays."""
    if array.dtype.kind != "f":
        return 0.0
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def _close(old: Array, new: Array, floor: float) -> Array:
    if old.dtype.kind != "f":
        return np.asarray(old == new)
    atol = max(ATOL * _largest(old), floor)
    with np.errstate(all="ignore"):
        return np.asarray(np.isclose(new, old, RTOL, atol, equal_nan=True))
