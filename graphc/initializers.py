"""First values of weights: `keras.initializers`.

An initializer is called with a shape and a dtype and returns a numpy array. The random ones draw their seed when they
are constructed and give the same values at every call, unless their seed is a `SeedGenerator`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import random
from graphc.config import numpy_dtype
from graphc.naming import to_snake_case
from graphc.saving.registry import deserialize_object, interpret, serialize_object

Array = NDArray[Any]
Shape = Sequence[int]

# Standard deviation of a standard normal distribution cut at two standard deviations.
TRUNCATED_STDDEV = 0.87962566103423978
MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal")


class Initializer:
    """Base class: subclasses define `__call__(shape, dtype=None)` and, to be saved, `get_config()`."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        """The values: an array of this shape and dtype (None: `floatx()`)."""
        raise NotImplementedError("Initializer subclasses must implement the `__call__()` method.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal initializer; everything in it fits into JSON."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The inverse of `get_config`."""
        return cls(**config)

    def clone(self) -> Initializer:
        """A new initializer of the same configuration (an unseeded one gets a new seed)."""
        return self.from_config(self.get_config())


class Zeros(Initializer):
    """All elements 0."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        return np.zeros(tuple(shape), numpy_dtype(dtype))


class Ones(Initializer):
    """All elements 1."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        return np.ones(tuple(shape), numpy_dtype(dtype))


class Constant(Initializer):
    """All elements `value` (a scalar, or an array that broadcasts to the shape)."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        return np.full(tuple(shape), self.value, numpy_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"value": _plain(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        value = config["value"]
        if isinstance(value, Mapping):
            return cls(np.asarray(value["config"]["value"], numpy_dtype(value["config"]["dtype"])))
        return cls(value)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere. ValueError unless the shape has two dimensions."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        if len(shape) != 2:
            raise ValueError(
                "Identity matrix initializer can only be used for 2D matrices. "
                f"Received: shape={shape} of rank {len(shape)}."
            )
        kind = numpy_dtype(dtype)
        matrix = np.zeros(tuple(shape), kind)
        np.fill_diagonal(matrix, self.gain)
        return matrix

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class STFT(Initializer):
    """The kernel (frame length, 1, frequencies) of a short-time Fourier transform by a strided 1-D convolution.

    side: "real" or "imag". window: "hann", "hamming", "blackman", "bartlett", an array, or None; periodic: the window's
    last value would be the next one's first. scaling: divide by the root of the sum of its squares ("density"), by the
    sum of its magnitudes ("spectrum") or not (None).
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"side should be 'real' or 'imag', not {side}")
        if isinstance(window, str) and window not in WINDOWS:
            raise ValueError(f"STFT: wanted a window of {sorted(WINDOWS)} or an array. Received: window={window!r}")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(
                f"Scaling is invalid, it must be `None`, 'density' or 'spectrum'. Received scaling={scaling}"
            )
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        length, _, frequencies = shape
        angles = -2 * np.pi * np.outer(np.arange(length), np.arange(frequencies)) / ((frequencies - 1) * 2)
        kernel = np.cos(angles) if self.side == "real" else np.sin(angles)
        if self.window is not None:
            window = self._window(length)
            scales = {"density": np.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window)), None: 1.0}
            kernel = kernel * window[:, None] / scales[self.scaling]
        return kernel[:, None, :].astype(numpy_dtype(dtype))

    def _window(self, length: int) -> Array:
        if isinstance(self.window, str):
            make = WINDOWS[self.window]
            return make(length + 1)[:-1] if self.periodic else make(length)
        window = np.asarray(self.window, np.float64)
        if window.shape != (length,):
            raise ValueError(
                f"The shape of `window` must be equal to [frame_length].Received: window shape={window.shape}"
            )
        return window

    def get_config(self) -> dict[str, Any]:
        return {"side": self.side, "window": self.window, "periodic": self.periodic, "scaling": self.scaling}


WINDOWS: dict[str, Callable[[int], Array]] = {
    "bartlett": np.bartlett,
    "blackman": np.blackman,
    "hamming": np.hamming,
    "hann": np.hanning,
}


class RandomInitializer(Initializer):
    """Base of the random ones. seed: whole number, `SeedGenerator`, or None: drawn here from Python's `random`."""

    def __init__(self, seed: Any = None) -> None:
        if isinstance(seed, Mapping):
            seed = random.SeedGenerator.from_config(dict(seed["config"]))
        if seed is not None and not isinstance(seed, (int, np.integer, random.SeedGenerator)):
            raise ValueError(
                "`seed` argument should be an instance of `keras.random.SeedGenerator()` or an integer. "
                f"Received: seed={seed}"
            )
        self._init_seed = seed
        self.seed: Any = random.make_default_seed() if seed is None else seed

    def get_config(self) -> dict[str, Any]:
        seed = self._init_seed
        return {"seed": serialize_object(seed, "keras.random") if isinstance(seed, random.SeedGenerator) else seed}


class RandomNormal(RandomInitializer):
    """Normal distribution."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomInitializer):
    """Normal distribution cut at two standard deviations; `stddev` is that before the cut."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class RandomUniform(RandomInitializer):
    """Uniform distribution over [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class VarianceScaling(RandomInitializer):
    """Mean 0 and variance `scale` / n, where n is the fan-in, the fan-out or their mean.

    distribution: "uniform", "truncated_normal" (at two standard deviations, with the variance corrected for the cut;
    "normal" means the same) or "untruncated_normal". input_axes, output_axes: the axes whose sizes make the fans, for
    weights that are not (..., in, out).
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        if mode not in MODES:
            raise ValueError(f"Invalid `mode` argument: {mode}. Please use one of {MODES}")
        name = "truncated_normal" if distribution.lower() == "normal" else distribution.lower()
        if name not in DISTRIBUTIONS:
            raise ValueError(f"Invalid `distribution` argument: {distribution}. Please use one of {DISTRIBUTIONS}")
        self.scale = scale
        self.mode = mode
        self.distribution = name
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        variance = self.scale / max(1.0, self._fan(shape))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype, self.seed)
        return random.truncated_normal(shape, 0.0, math.sqrt(variance) / TRUNCATED_STDDEV, dtype, self.seed)

    def _fan(self, shape: Shape) -> float:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _NamedScaling(VarianceScaling):
    """A `VarianceScaling` known by a name, which fixes scale, mode and distribution."""

    fixed: tuple[float, str, str]

    def __init__(
        self, seed: Any = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
    ) -> None:
        super().__init__(*self.fixed, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_NamedScaling):
    """Uniform, variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    fixed = (1.0, "fan_avg", "uniform")


class GlorotNormal(_NamedScaling):
    """Truncated normal, variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    fixed = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_NamedScaling):
    """Uniform, variance 2 / fan_in (He et al. 2015)."""

    fixed = (2.0, "fan_in", "uniform")


class HeNormal(_NamedScaling):
    """Truncated normal, variance 2 / fan_in (He et al. 2015)."""

    fixed = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_NamedScaling):
    """Uniform, variance 1 / fan_in (LeCun et al. 1998)."""

    fixed = (1.0, "fan_in", "uniform")


class LecunNormal(_NamedScaling):
    """Truncated normal, variance 1 / fan_in (LeCun et al. 1998)."""

    fixed = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal columns, or rows if there are fewer of them (Saxe et al. 2014).

    A shape of more than two dimensions is the matrix (product of all but the last, last). ValueError for fewer.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        if len(shape) < 2:
            raise ValueError(
                "The tensor to initialize must be at least two-dimensional. "
                f"Received: shape={shape} of rank {len(shape)}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        kind = numpy_dtype(dtype)
        # LAPACK has no half precision.
        wide = kind if kind.itemsize >= 4 else np.dtype(np.float32)
        samples = random.normal((max(rows, columns), min(rows, columns)), dtype=wide, seed=self.seed)
        q, r = np.linalg.qr(samples)
        # QR leaves the signs open; with those of r's diagonal fixed, q is uniformly distributed.
        q *= np.sign(np.diag(r))
        matrix = q.T if rows < columns else q
        return (matrix.reshape(tuple(shape)) * wide.type(self.gain)).astype(kind)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


def compute_fans(
    shape: Shape, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight: products over the axes given, else for (..., in, out) with a receptive field.

    Rank 1: both are the length; rank 0: both are 1.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


_CLASSES: tuple[type[Initializer], ...] = (
    Initializer,
    Constant,
    Identity,
    Ones,
    Zeros,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    STFT,
    TruncatedNormal,
    VarianceScaling,
)
# The second names Keras has for some of them, as classes and as strings.
IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal
STFTInitializer = STFT
OBJECTS: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{to_snake_case(cls.__name__): cls for cls in _CLASSES},
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "STFTInitializer": STFT,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "one": Ones,
    "zero": Zeros,
}
constant, identity, ones, zeros = Constant, Identity, Ones, Zeros
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, orthogonal = LecunNormal, LecunUniform, Orthogonal
random_normal, random_uniform = RandomNormal, RandomUniform
truncated_normal, variance_scaling, stft = TruncatedNormal, VarianceScaling, STFT


def serialize(initializer: Any) -> Any:
    """The config of an initializer, as Keras writes it; None stays None."""
    return None if initializer is None else serialize_object(initializer, "keras.initializers")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer of a config or name."""
    return deserialize_object(config, OBJECTS, custom_objects, kind="initializer")


def get(identifier: Any) -> Any:
    """The initializer that a name, config, class, array or callable (shape, dtype) stands for; None stays None.

    Raises ValueError for anything else.
    """
    if isinstance(identifier, (str, Mapping)):
        identifier = deserialize(identifier)
    if isinstance(identifier, (np.ndarray, np.generic)):
        return _fixed_values(np.asarray(identifier))
    return interpret(identifier, deserialize, "initializer")


def _fixed_values(values: Array) -> Callable[..., Array]:
    def initialize(shape: Shape, dtype: Any = None) -> Array:
        if tuple(shape) != values.shape:
            raise ValueError(
                f"Expected `shape` to be {values.shape} for direct tensor as initializer. Received shape={shape}"
            )
        return values.astype(numpy_dtype(dtype))

    return initialize


def _plain(value: Any) -> Any:
    """A constant as JSON has it: numpy scalars as Python numbers, arrays in Keras's tagged form."""
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
