"""Random choices, the same on both sides: a case is drawn from its class's name and its number alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
T = TypeVar("T")

ACTIVATIONS = (
    "relu", "tanh", "sigmoid", "elu", "selu", "gelu", "softplus", "silu", "leaky_relu", "hard_sigmoid", "mish",
)  # fmt: skip


@dataclass(frozen=True)
class New:
    """An object to construct under either package: New("layers.Dense", units=3)."""

    path: str
    options: dict[str, Any]

    def __init__(self, path: str, **options: Any) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "options", options)


def constructed(k: Any, value: Any) -> Any:
    """The value with every New in it constructed under `k`."""
    if isinstance(value, New):
        return find(k, value.path)(**constructed(k, value.options))
    if isinstance(value, dict):
        return {key: constructed(k, item) for key, item in value.items()}
    if isinstance(value, list):
        return [constructed(k, item) for item in value]
    return value


def find(k: Any, path: str) -> Any:
    """What a dotted path names below `k`."""
    return reduce(getattr, path.split("."), k)


@dataclass
class Case:
    """What to construct, and what to feed it.

    inputs: the tensors of a call, all with the same first axis where the kind has a batch. wrt: which of them are
    differentiated (default: those of floats). is_random: it draws random numbers, which a float64 run would draw
    otherwise, so it is compared with Keras's float32 run alone. takes_mask: calls may
    come with a mask of the first two axes. spread: the inputs are arguments of their own, not a list. steps: how often it runs, states and weights carried on.
    """

    inputs: list[Array]
    options: dict[str, Any] = field(default_factory=dict)
    takes_mask: bool = False
    spread: bool = False
    wrt: tuple[int, ...] | None = None
    is_random: bool = False
    steps: int = 10


class Draw:
    """The random choices of one case."""

    def __init__(self, name: str, number: int) -> None:
        self.seed = zlib.crc32(f"{name} {number}".encode())
        self.number = number
        self.rng = np.random.default_rng(self.seed)

    def one(self, *choices: T) -> T:
        return choices[int(self.rng.integers(len(choices)))]

    def maybe(self, value: Any, otherwise: Any = None, probability: float = 0.5) -> Any:
        return value if self.rng.random() < probability else otherwise

    def flag(self) -> bool:
        return bool(self.rng.random() < 0.5)

    def size(self, low: int = 2, high: int = 7) -> int:
        """A whole number, `high` included."""
        return int(self.rng.integers(low, high + 1))

    def sizes(self, count: int, low: int = 2, high: int = 7) -> list[int]:
        """Different whole numbers, so that no two dimensions can be taken for each other."""
        return [int(n) for n in self.rng.permutation(np.arange(low, high + 1))[:count]]

    def number_in(self, low: float, high: float) -> float:
        """A number of two digits or so: configurations stay readable, and exact in text."""
        return round(float(self.rng.uniform(low, high)), 3)

    def floats(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Array:
        return (self.rng.normal(size=shape) * scale + shift).astype("float32")

    def positive(self, *shape: int, low: float = 0.05, high: float = 0.95) -> Array:
        return self.rng.uniform(low, high, shape).astype("float32")

    def probabilities(self, *shape: int) -> Array:
        """Positive, with sums of one along the last axis."""
        raw = self.positive(*shape)
        found: Array = (raw / raw.sum(-1, keepdims=True)).astype("float32")
        return found

    def integers(self, high: int, *shape: int, low: int = 0) -> Array:
        return self.rng.integers(low, high, shape).astype("int32")

    def one_hot(self, rows: int, classes: int) -> Array:
        found: Array = np.eye(classes, dtype="float32")[self.rng.integers(classes, size=rows)]
        return found

    def mask(self, rows: int, steps: int) -> Array:
        """True for the first steps of each row, at least one."""
        lengths = self.rng.integers(1, steps + 1, size=(rows, 1))
        found: Array = np.arange(steps) < lengths
        return found

    def activation(self) -> str:
        return self.one(*ACTIVATIONS)

    def initializer(self) -> Any:
        """Uniform ones and constants: their values are equal bit by bit."""
        seed = self.size(1, 1000)
        return self.one(
            "he_uniform",
            "lecun_uniform",
            "ones",
            New("initializers.RandomUniform", minval=-0.3, maxval=0.4, seed=seed),
            New("initializers.VarianceScaling", scale=1.7, mode="fan_out", distribution="uniform", seed=seed),
            New("initializers.Constant", value=self.number_in(-1, 1)),
        )

    def regularizer(self) -> Any:
        return self.one(
            None, "l2", "l1", New("regularizers.L1L2", l1=self.number_in(0, 0.1), l2=self.number_in(0, 0.1)),
            New("regularizers.L2", l2=self.number_in(0, 0.2)),
        )  # fmt: skip

    def constraint(self) -> Any:
        return self.one(
            None, "non_neg", New("constraints.MaxNorm", max_value=self.number_in(0.5, 2), axis=0),
            New("constraints.UnitNorm", axis=0),
        )  # fmt: skip

    def kernel(self, weight: str = "kernel", bias: str | None = "bias") -> dict[str, Any]:
        """Options of a layer with a kernel and perhaps a bias."""
        found = {f"{weight}_{kind}": getattr(self, kind)() for kind in ("initializer", "regularizer", "constraint")}
        if bias is not None:
            found["use_bias"] = self.rng.random() < 0.8
            found |= {f"{bias}_{kind}": getattr(self, kind)() for kind in ("initializer", "regularizer", "constraint")}
        return found

    def activity(self) -> dict[str, Any]:
        return {"activity_regularizer": New("regularizers.L2", l2=self.number_in(0, 0.1))} if self.flag() else {}
