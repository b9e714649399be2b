"""Random configurations of activations, initializers, regularizers, constraints and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_cases.draw import Case, Draw


def activation(**options: tuple[float, float]) -> Callable[[Draw], Case]:
    """An activation of two axes, with options drawn from these ranges."""

    def draw(d: Draw) -> Case:
        chosen = {name: d.number_in(low, high) for name, (low, high) in options.items()}
        return Case([d.floats(*d.sizes(2), scale=2)], chosen)

    return draw


def over_axis(d: Draw) -> Case:
    return Case([d.floats(*d.sizes(3), scale=2)], {"axis": d.one(-1, 1, 2)})


ACTIVATIONS: dict[str, Callable[[Draw], Case]] = {
    "celu": activation(alpha=(0.3, 2)),
    "elu": activation(alpha=(0.3, 2)),
    "exponential": activation(),
    "gelu": lambda d: Case([d.floats(*d.sizes(2), scale=2)], {"approximate": d.flag()}),
    "glu": lambda d: Case([d.floats(3, 4, 6)], {"axis": d.one(-1, 1)}),
    "hard_shrink": activation(threshold=(0.1, 1)),
    "hard_sigmoid": activation(),
    "hard_silu": activation(),
    "hard_tanh": activation(),
    "leaky_relu": activation(negative_slope=(0.05, 0.6)),
    "linear": activation(),
    "log_sigmoid": activation(),
    "log_softmax": over_axis,
    "mish": activation(),
    "relu": activation(negative_slope=(0, 0.5), max_value=(1, 2), threshold=(0, 0.5)),
    "relu6": activation(),
    "selu": activation(),
    "sigmoid": activation(),
    "silu": activation(),
    "soft_shrink": activation(threshold=(0.1, 1)),
    "softmax": over_axis,
    "softplus": activation(),
    "softsign": activation(),
    "sparse_plus": activation(),
    "sparse_sigmoid": activation(),
    "squareplus": activation(b=(1, 6)),
    "tanh": activation(),
    "tanh_shrink": activation(),
    "threshold": activation(threshold=(-0.5, 0.5), default_value=(-1, 1)),
}


def seeded(**ranges: tuple[float, float]) -> Callable[[Draw], Case]:
    """An initializer with a seed and options from these ranges; the input has the shape that is asked for."""

    def draw(d: Draw) -> Case:
        options: dict[str, Any] = {name: d.number_in(low, high) for name, (low, high) in ranges.items()}
        return Case([np.empty(d.sizes(d.size(1, 4)), "float32")], {**options, "seed": d.size(0, 10**6)})

    return draw


def of_shape(d: Draw, rank: int | None = None, **options: Any) -> Case:
    return Case([np.empty(d.sizes(rank or d.size(1, 4)), "float32")], options)


def variance_scaling(d: Draw) -> Case:
    return of_shape(
        d, scale=d.number_in(0.2, 3), mode=d.one("fan_in", "fan_out", "fan_avg"), seed=d.size(0, 10**6),
        distribution=d.one("uniform", "normal", "truncated_normal", "untruncated_normal"),
    )  # fmt: skip


def stft(d: Draw) -> Case:
    length, frequencies = d.sizes(2, 3, 9)
    return Case([np.empty((length, 1, frequencies), "float32")], {
        "side": d.one("real", "imag"), "window": d.one("hann", "hamming", None), "scaling": d.one("density", "spectrum", None),
        "periodic": d.flag(),
    })  # fmt: skip


INITIALIZERS: dict[str, Callable[[Draw], Case]] = {
    "Constant": lambda d: of_shape(d, value=d.number_in(-2, 2)),
    "GlorotNormal": seeded(),
    "GlorotUniform": seeded(),
    "HeNormal": seeded(),
    "HeUniform": seeded(),
    "Identity": lambda d: of_shape(d, 2, gain=d.number_in(0.3, 3)),
    "LecunNormal": seeded(),
    "LecunUniform": seeded(),
    "Ones": of_shape,
    "Orthogonal": lambda d: of_shape(d, d.size(2, 4), gain=d.number_in(0.3, 3), seed=d.size(0, 10**6)),
    "RandomNormal": seeded(mean=(-1, 1), stddev=(0.1, 2)),
    "RandomUniform": seeded(minval=(-2, 0), maxval=(0.1, 2)),
    "STFT": stft,
    "TruncatedNormal": seeded(mean=(-1, 1), stddev=(0.1, 2)),
    "VarianceScaling": variance_scaling,
    "Zeros": of_shape,
}

REGULARIZERS: dict[str, Callable[[Draw], Case]] = {
    "L1": lambda d: Case([d.floats(*d.sizes(2))], {"l1": d.number_in(0.01, 1)}),
    "L1L2": lambda d: Case([d.floats(*d.sizes(3))], {"l1": d.number_in(0.01, 1), "l2": d.number_in(0.01, 1)}),
    "L2": lambda d: Case([d.floats(*d.sizes(2))], {"l2": d.number_in(0.01, 1)}),
    "OrthogonalRegularizer": lambda d: Case(
        [d.floats(*d.sizes(2))], {"factor": d.number_in(0.01, 1), "mode": d.one("rows", "columns")}
    ),
}

# fmt: off
CONSTRAINTS: dict[str, Callable[[Draw], Case]] = {
    "MaxNorm": lambda d: Case([d.floats(*d.sizes(2))], {"max_value": d.number_in(0.3, 2), "axis": d.one(0, 1)}),
    "MinMaxNorm": lambda d: Case([d.floats(*d.sizes(2))], {
        "min_value": d.number_in(0.1, 0.8), "max_value": d.number_in(1, 2), "rate": d.number_in(0.2, 1), "axis": d.one(0, 1),
    }),
    "NonNeg": lambda d: Case([d.floats(*d.sizes(2))]),
    "UnitNorm": lambda d: Case([d.floats(*d.sizes(3))], {"axis": d.one(0, 1, [0, 1])}),
}
# fmt: on


def schedule(d: Draw, **options: Any) -> Case:
    """The rate at six steps before, at and after the end."""
    steps = [0, 1, d.size(2, 9), 10, d.size(11, 30), 100]
    return Case([np.array(step, "int32") for step in steps], {"decay_steps": 10, **options})


def piecewise(d: Draw) -> Case:
    case = schedule(d, boundaries=[2, 10, 17], values=[d.number_in(0.01, 1) for _ in range(4)])
    del case.options["decay_steps"]
    return case


def rate(d: Draw) -> float:
    return d.number_in(0.01, 0.5)


def cosine_restarts(d: Draw) -> Case:
    case = schedule(d, initial_learning_rate=rate(d), t_mul=d.number_in(1, 3), m_mul=d.number_in(0.5, 1), alpha=rate(d))
    return Case(case.inputs, {"first_decay_steps": case.options.pop("decay_steps"), **case.options})


# fmt: off
SCHEDULES: dict[str, Callable[[Draw], Case]] = {
    "CosineDecay": lambda d: schedule(
        d, initial_learning_rate=rate(d), alpha=rate(d),
        **d.maybe({"warmup_target": 0.7, "warmup_steps": d.size(2, 8)}, {}),
    ),
    "CosineDecayRestarts": cosine_restarts,
    "ExponentialDecay": lambda d: schedule(d, initial_learning_rate=rate(d), decay_rate=d.number_in(0.3, 0.9), staircase=d.flag()),
    "InverseTimeDecay": lambda d: schedule(d, initial_learning_rate=rate(d), decay_rate=d.number_in(0.3, 0.9), staircase=d.flag()),
    "PiecewiseConstantDecay": piecewise,
    "PolynomialDecay": lambda d: schedule(
        d, initial_learning_rate=rate(d), end_learning_rate=0.001, power=d.number_in(0.5, 3), cycle=d.flag()
    ),
}
# fmt: on
