"""Ops, nodes and values: an op is one frozen dataclass whose fields are its attributes and whose methods are its
meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphc.ir import nest as nests
from graphc.ir.nest import Affine, Expr, Nest
from graphc.ir.types import DType, ShapeError, TensorType

if TYPE_CHECKING:
    from graphc.ir.builder import Builder

Array = np.ndarray[Any, Any]
Types = tuple[TensorType, ...]
REGISTRY: dict[str, type[Op]] = {}


class Role:
    """What an input of a graph is."""

    INPUT = "input"  # data of one call
    PARAM = "param"  # a weight of the model
    STATE = "state"  # optimizer slot, moving average, random counter, metric total
    ALL = (INPUT, PARAM, STATE)


@dataclass(frozen=True)
class Op:
    """Base of all ops, frozen dataclasses (one without attributes is one by this class alone: decorating each of them
    is a good part of the time of `import graphc`). Defining one registers it under its snake-case name.

    `infer` gives the result types or raises ShapeError; `eval` is the numpy meaning (the oracle, dtype-preserving);
    `vjp` builds the gradient nodes (None = no gradient); `nest` is the algorithm; `samples` are small instances with
    all dimensions distinct for the contract tests.
    """

    mnemonic: ClassVar[str] = ""
    counts_rows: ClassVar[bool] = False  # whether the result is the runtime number of rows
    differentiable: ClassVar[int | None] = None  # how many results, the first ones, have gradients; None: all floats

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if abstract:
            return
        cls.mnemonic = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        # a dataclass with slots is created twice under one name; two different ops of one name are a mistake
        known = REGISTRY.get(cls.mnemonic)
        assert known is None or known.__qualname__ == cls.__qualname__, f"two ops are called {cls.mnemonic}"
        REGISTRY[cls.mnemonic] = cls

    def infer(self, *types: TensorType) -> Types:
        """The result types for operand types; ShapeError (what was got, what is wanted) if they do not fit."""
        raise NotImplementedError(f"{self.mnemonic}.infer")

    def eval(self, *arrays: Array) -> tuple[Array, ...]:
        """The results for numpy operands of the inferred types (rows at the compiled maximum)."""
        raise NotImplementedError(f"{self.mnemonic}.eval")

    def vjp(self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
            ) -> Sequence[Value | None]:  # fmt: skip
        """One cotangent (or None) per input, given those of the outputs (None = zero); builds nodes with `b`."""
        raise NotImplementedError(f"{self.mnemonic} has no gradient")

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        """The algorithm over operands %0, %1, ...: nests that together cover every result."""
        raise NotImplementedError(f"{self.mnemonic} has no native kernel yet")

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        """Instances with operand types for the contract tests: all dimensions distinct."""
        raise NotImplementedError(f"{cls.__name__}.samples")


class Elementwise(Op, abstract=True):
    """Result element = `element` of the operands' elements; all shapes equal (the Builder inserts broadcasts)."""

    def element(self, *args: Expr) -> Expr:
        raise NotImplementedError(f"{self.mnemonic}.element")

    def result_dtype(self, *dtypes: DType) -> DType:
        """Default: all operands of one dtype, which is the result's."""
        if len(set(dtypes)) != 1:
            raise ShapeError(f"operand dtypes differ: {', '.join(d.value for d in dtypes)}")
        return dtypes[0]

    def infer(self, *types: TensorType) -> Types:
        for other in types[1:]:
            if other.shape != types[0].shape:
                raise ShapeError(f"operand shapes differ: {types[0]} and {other}")
        return (TensorType(types[0].shape, self.result_dtype(*(t.dtype for t in types))),)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        axes = nests.axes_of(types[0].shape)
        body = self.element(*(nests.load(i, t, axes) for i, t in enumerate(types)))
        return (Nest(axes, body),)


class View(Op, abstract=True):
    """Moves elements without computing: the result element at `axes` is the operand's at `source(axes)`."""

    def source(self, type: TensorType, index: tuple[Affine, ...]) -> tuple[Affine, ...]:
        """The operand index of a result index."""
        raise NotImplementedError(f"{self.mnemonic}.source")

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        (result,) = self.infer(*types)
        axes = nests.axes_of(result.shape)
        return (Nest(axes, nests.load(0, types[0], self.source(types[0], tuple(map(Affine.of, axes))))),)


class Alias(Op, abstract=True):
    """The same bytes under another type (reshape): costs nothing, never part of a kernel."""


class Reduction(Op, abstract=True):
    """Combines elements over some axes; the result keeps the others."""


class Contraction(Op, abstract=True):
    """Sums of products: matmul, convolution and their gradients. The expensive anchors of fusion."""


class Window(Op, abstract=True):
    """Combines elements over sliding windows: pooling."""


class Revision(Op, abstract=True):
    """Operand 0 with something added to a few of its elements: in its own memory where nobody needs it any more."""


class Expanded(Op, abstract=True):
    """Has no nest: a graph of other ops is put in its place before fusion."""

    def expand(self, b: Builder, *values: Value) -> Sequence[Value]:
        """The results, built of other ops."""
        raise NotImplementedError(f"{self.mnemonic}.expand")


class Source(Op, abstract=True):
    """Makes values from nothing: constants, iota."""


@dataclass(frozen=True, slots=True)
class Loc:
    """Where a node comes from: the layer's path, its direction and, where known, the user's line."""

    layer: str = ""
    source: str = ""
    direction: str = "forward"  # forward | backward | update

    def __str__(self) -> str:
        return self.layer or self.source or "?"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One application of an op. Compared by identity."""

    op: Op
    inputs: tuple[Value, ...]
    types: tuple[TensorType, ...]
    names: tuple[str, ...]
    loc: Loc = field(default_factory=Loc)

    @property
    def outputs(self) -> tuple[Value, ...]:
        if len(self.types) == 1:
            return (Value(self),)
        return tuple(Value(self, i) for i in range(len(self.types)))

    def __repr__(self) -> str:
        left = ", ".join(f"%{name}" for name in self.names)
        return f"<{left} = {self.op.mnemonic}({', '.join(f'%{v.name}' for v in self.inputs)})>"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """Result `index` of a node."""

    node: Node
    index: int = 0

    # written out: passes look values up more often than they do anything else
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self.node is other.node and self.index == other.index

    def __hash__(self) -> int:
        return hash(self.node) + self.index

    @property
    def type(self) -> TensorType:
        return self.node.types[self.index]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def name(self) -> str:
        return self.node.names[self.index]

    @property
    def op(self) -> Op:
        return self.node.op

    def __repr__(self) -> str:
        return f"<%{self.name} : {self.type}>"


@dataclass(frozen=True)
class Parameter(Op):
    """A named input of a graph; `role` says whether it is data, a weight or state. Not computed, so without a nest."""

    role: str = Role.INPUT

    def infer(self, *types: TensorType) -> Types:
        raise AssertionError("the type of a graph input is given, not inferred")
