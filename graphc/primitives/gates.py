"""Smooth activations x * gate(x): silu (swish) and gelu.

Written as ops of their own for their gradient: it is one product with the slope, an expression of x alone, so that a
training step computes the slope beside the value and keeps it alone, not all its parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from graphc.ir.builder import Builder
from graphc.ir.op import Array, Expanded, Op, Types, Value
from graphc.ir.types import DType, Rows, ShapeError, TensorType
from graphc.primitives import functions as fn

ROOT_HALF = math.sqrt(0.5)
TANH_SCALE = math.sqrt(2 / math.pi)  # with the next: gelu by tanh, Hendrycks and Gimpel (2016)
TANH_CUBE = 0.044715


class Gate(Expanded, abstract=True):
    """x * gate(x), with the derivative slope(x)."""

    differentiable: ClassVar[int | None] = 1
    domain: ClassVar[tuple[float, float]] = (-2.0, 2.0)

    def gate(self, b: Builder, x: Value) -> Value:
        raise NotImplementedError(f"{self.mnemonic}.gate")

    def slope(self, b: Builder, x: Value) -> Value:
        raise NotImplementedError(f"{self.mnemonic}.slope")

    def compute(self, x: Array) -> Array:
        """The gate of an array."""
        raise NotImplementedError(f"{self.mnemonic}.compute")

    def infer(self, *types: TensorType) -> Types:
        (x,) = types
        if not x.dtype.is_float:
            raise ShapeError(f"operand dtype is {x.dtype.value}, wanted a float")
        return (x,)

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        with np.errstate(all="ignore"):
            return (np.asarray(x * self.compute(x), x.dtype),)

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (x,), (g,) = inputs, cotangents
        return (fn.mul(b, g, self.slope(b, x)) if g else None,)

    def expand(self, b: Builder, *values: Value) -> Sequence[Value]:
        (x,) = values
        return (fn.mul(b, x, self.gate(b, x)),)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        types = TensorType((3, 37)), TensorType((5,), DType.F64), TensorType(()), TensorType((Rows(6), 16))
        return [(cls(), (type,)) for type in types]


class Silu(Gate):
    """x * sigmoid(x)."""

    def gate(self, b: Builder, x: Value) -> Value:
        return fn.sigmoid(b, x)

    def slope(self, b: Builder, x: Value) -> Value:
        gate = self.gate(b, x)
        return fn.mul(b, gate, fn.add(b, 1, fn.mul(b, x, fn.sub(b, 1, gate))))

    def compute(self, x: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-x)))


class Gelu(Gate):
    """x times the normal distribution function at x."""

    def gate(self, b: Builder, x: Value) -> Value:
        return fn.mul(b, fn.add(b, 1, fn.erf(b, fn.mul(b, x, ROOT_HALF))), 0.5)

    def slope(self, b: Builder, x: Value) -> Value:
        density = fn.mul(b, fn.exp(b, fn.mul(b, fn.square(b, x), -0.5)), 1 / math.sqrt(2 * math.pi))
        return fn.add(b, self.gate(b, x), fn.mul(b, x, density))

    def compute(self, x: Array) -> Array:
        values = [math.erf(v) for v in (x * x.dtype.type(ROOT_HALF)).astype(np.float64).ravel().tolist()]
        return np.asarray((1 + np.array(values).reshape(x.shape)) * 0.5, x.dtype)


class GeluTanh(Gate):
    """Gelu with the distribution function approximated by tanh."""

    def _tanh(self, b: Builder, x: Value) -> Value:
        cube = fn.mul(b, fn.mul(b, x, TANH_CUBE), fn.square(b, x))
        return fn.tanh(b, fn.mul(b, fn.add(b, x, cube), TANH_SCALE))

    def gate(self, b: Builder, x: Value) -> Value:
        return fn.mul(b, fn.add(b, 1, self._tanh(b, x)), 0.5)

    def slope(self, b: Builder, x: Value) -> Value:
        tanh = self._tanh(b, x)
        inner = fn.mul(b, fn.add(b, 1, fn.mul(b, fn.square(b, x), 3 * TANH_CUBE)), 0.5 * TANH_SCALE)
        steep = fn.mul(b, fn.mul(b, x, fn.sub(b, 1, fn.square(b, tanh))), inner)
        return fn.add(b, self.gate(b, x), steep)

    def compute(self, x: Array) -> Array:
        return np.asarray((1 + np.tanh((x + x * TANH_CUBE * x * x) * TANH_SCALE)) * 0.5)
