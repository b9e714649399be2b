"""Random numbers: `keras.random`, reproducing Keras on JAX number for number.

Bits come from the counter-based generator Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as
easy as 1, 2, 3", SC 2011), laid out as JAX does: element i of a draw encrypts the counter (i >> 32, i & 0xffffffff)
under a key of two uint32 words. An integer seed s is the key (s, 0); a `SeedGenerator` counts its second word up by one
a draw; without a seed a process-wide generator is used.

Outside of a traced graph the functions compute numpy arrays: `uniform`, `randint`, `shuffle` and `dropout` have JAX's
very bits; `normal` and `truncated_normal` agree within 2e-6, because the inverse error function is rounded differently.
While a graph is traced (in a layer's `call`, say) they add to it instead, and every run draws anew.
"""

from __future__ import annotations

import functools
import inspect
import math
import random as python_random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphc.config import floatx, numpy_dtype, standardize_dtype
from graphc.naming import auto_name, on_clear_session
from graphc.primitives.random import threefry
from graphc.special import erfinv
from graphc.tensor import current_tracer
from graphc.variables import Variable

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])
Shape = Sequence[int]
Key = NDArray[np.uint32]

_WORD = 0xFFFFFFFF
# Counters encrypted at a time: a handful of uint32 buffers of this length stay in a 2 MB cache.
_CHUNK = 1 << 16


class SeedGenerator:
    """A source of seeds with state: every draw from it gives other numbers.

    seed: whole number, or None for one drawn from Python's `random` (once, here). `state` is a Variable uint32[2] =
    (seed, number of draws).
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self._initial_seed = seed
        key = key_of(make_default_seed() if seed is None else seed)
        self.state = Variable(key, dtype="uint32", trainable=False, name="seed_generator_state")

    def next(self, ordered: bool = True) -> Any:
        """The key to draw with now, uint32[2] (a tensor while a graph is traced); advances the state.

        ordered: count the second word up; otherwise both words become (word + 1) * 5387 mod 933199, which gives
        nearly unique keys.
        """
        key = self.state.numpy() if current_tracer() is None else self.state.value
        self.state.assign(key + np.array([0, 1], np.uint32) if ordered else (key + _ONE) * _FACTOR % _MODULUS)
        return key

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal generator (at its beginning)."""
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """The inverse of `get_config`."""
        return cls(**config)


Seed = int | SeedGenerator | None
_ONE, _FACTOR, _MODULUS = (np.uint32(number) for number in (1, 5387, 933199))


class _Global:
    """The generator behind unseeded draws (made at the first one) and the seed the user last set."""

    generator: SeedGenerator | None = None
    seed: int | None = None


@on_clear_session
def _forget() -> None:
    _Global.generator = None
    _Global.seed = None


def set_random_seed(seed: int) -> None:
    """Make everything that follows reproducible: seeds Python's `random`, numpy's global state and graphc's."""
    if not isinstance(seed, int):
        raise ValueError(f"Expected `seed` argument to be an integer. Received: seed={seed} (of type {type(seed)})")
    python_random.seed(seed)
    np.random.seed(seed)
    _Global.generator = None
    _Global.seed = seed


def get_random_seed() -> int | None:
    """The seed last given to `set_random_seed`, or None."""
    return _Global.seed


def global_seed_generator() -> SeedGenerator:
    """The generator behind unseeded draws."""
    if _Global.generator is None:
        _Global.generator = SeedGenerator()
    return _Global.generator


def global_state() -> Key | None:
    """The state of the generator behind unseeded draws; None if nothing was drawn from it yet."""
    return None if _Global.generator is None else _Global.generator.state.numpy()


def set_global_state(state: Sequence[int] | None) -> None:
    """Go on from what `global_state` gave; None leaves the generator as it is."""
    if state is not None:
        global_seed_generator().state.assign(np.array(state, np.uint32))


def make_default_seed() -> int:
    """A seed for an object whose user gave none, from Python's `random` (so `random.seed` decides it)."""
    return python_random.randint(1, 10**9)


def key_of(seed: int) -> Key:
    """The key of an integer seed: uint32 (seed mod 2^32, 0)."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(f"Argument `seed` must be an integer. Received: seed={seed}")
    return np.array([int(seed) & _WORD, 0], np.uint32)


def draw_seed(seed: Seed) -> Any:
    """The key a draw uses, uint32[2] (a tensor while a graph is traced).

    Advances a generator; None is the process-wide one.
    """
    if seed is None:
        return global_seed_generator().next(ordered=False)
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)):
        return key_of(int(seed))
    raise ValueError(
        "Argument `seed` must be either an integer or an instance of `SeedGenerator`. "
        f"Received: seed={seed} (of type {type(seed)})"
    )


def random_bits(key: Key, shape: Shape, width: int = 32) -> Array:
    """Uniform bits: an array of unsigned integers `width` (8, 16, 32 or 64) bits wide."""
    size = math.prod(shape)
    bits = np.empty(size, np.dtype(f"uint{width}"))
    for start in range(0, size, _CHUNK):
        index = np.arange(start, min(start + _CHUNK, size), dtype=np.uint64)
        high, low = _encrypt(key, (index >> np.uint64(32)).astype(np.uint32), index.astype(np.uint32))
        bits[start : start + _CHUNK] = (high.astype(np.uint64) << np.uint64(32)) | low if width == 64 else high ^ low
    return bits.reshape(shape)


def split(key: Key, count: int = 2) -> list[Key]:
    """`count` independent keys made from one."""
    words = _encrypt(key, np.zeros(count, np.uint32), np.arange(count, dtype=np.uint32))
    return list(np.stack(words, axis=1))


def _encrypt(key: Key, high: Array, low: Array) -> tuple[Array, Array]:
    with np.errstate(over="ignore"):
        return threefry(key, high, low)


def also_in_bfloat16(draw: F) -> F:
    """Numbers in bfloat16 are drawn in float32 and rounded."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(draw).bind(*args, **kwargs)
        if bound.arguments.get("dtype") is None or standardize_dtype(bound.arguments["dtype"]) != "bfloat16":
            return draw(*args, **kwargs)
        from graphc import ops  # built on what draws its first values here

        bound.arguments["dtype"] = "float32"
        return ops.cast(draw(*bound.args, **bound.kwargs), "bfloat16")

    return drawn  # type: ignore[return-value]


@also_in_bfloat16
def uniform(shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Seed = None) -> Any:
    """Floats of [minval, maxval); dtype None is `floatx()`."""
    kind = _float_dtype(dtype)
    key = draw_seed(seed)
    return _uniform(key, shape, minval, maxval, kind)


@also_in_bfloat16
def normal(shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None) -> Any:
    """Floats of the normal distribution; dtype None is `floatx()`."""
    kind = _float_dtype(dtype)
    below_one = float(np.nextafter(kind.type(-1), kind.type(0)))
    standard = _erfinv(_uniform(draw_seed(seed), shape, below_one, 1.0, kind)) * kind.type(math.sqrt(2))
    return standard * kind.type(stddev) + kind.type(mean)


@also_in_bfloat16
def truncated_normal(shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None) -> Any:
    """Floats of the normal distribution cut at two standard deviations; dtype None is `floatx()`.

    `stddev` is that of the distribution before the cut; what comes out has 0.87962566 times it.
    """
    kind = _float_dtype(dtype)
    edge = math.erf(math.sqrt(2))
    standard = _erfinv(_uniform(draw_seed(seed), shape, -edge, edge, kind)) * kind.type(math.sqrt(2))
    inside = np.nextafter(kind.type(2), kind.type(0))
    return _clip(standard, inside) * kind.type(stddev) + kind.type(mean)


def randint(shape: Shape, minval: int, maxval: int, dtype: Any = "int32", seed: Seed = None) -> Any:
    """Integers of [minval, maxval); always minval when maxval <= minval. Limits beyond the dtype are clipped to it."""
    kind = _integer_dtype(dtype)
    least, most = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    low, high = min(max(int(minval), least), most), min(max(int(maxval), least), most + 1)
    if _in_graph():
        return _traced_integers(draw_seed(seed), shape, low, high, kind)
    # Narrow dtypes are drawn in 32 bits: the remainder of 16 random bits favours small offsets too much.
    width = max(np.iinfo(kind).bits, 32)
    offsets = _offsets(draw_seed(seed), _static(shape), max(high - low, 1), width)
    values: Array = offsets + offsets.dtype.type(low % (1 << width))
    return values.astype(kind)


def _traced_integers(key: Any, shape: Shape, low: int, high: int, kind: np.dtype[Any]) -> Any:
    from graphc import ops

    if kind.itemsize > 4:
        raise NotImplementedError(f"keras.random.randint in a graph: dtype {kind.name} is not supported; use int32")
    return ops.random_integers(key, tuple(shape), low, high, kind.name)


def _offsets(key: Key, shape: Shape, span: int, width: int) -> Array:
    """Integers of [0, span) in unsigned arithmetic of `width` bits, from twice as many random bits (less bias)."""
    high, low = (random_bits(half, shape, width) for half in split(key))
    if span == 1 << width:
        return low
    unsigned = low.dtype.type
    # 2^width mod span, so that high * 2^width + low can be reduced without a wider type.
    multiplier = (((1 << (width // 2)) % span) ** 2) % (1 << width) % span
    offsets: Array = ((high % unsigned(span)) * unsigned(multiplier) + low % unsigned(span)) % unsigned(span)
    return offsets


def shuffle(x: ArrayLike, axis: int = 0, seed: Seed = None) -> Any:
    """`x` in random order along `axis`; every line along the axis gets its own order."""
    key = draw_seed(seed)
    if _in_graph():
        from graphc import ops

        tensor = ops.convert_to_tensor(x)
        return ops.random_order(key, tensor, axis, _shuffles(math.prod(map(int, tensor.shape))))
    values = np.asarray(x)
    for _ in range(_shuffles(values.size)):
        key, drawn = split(key)
        order = np.argsort(random_bits(drawn, values.shape), axis=axis, kind="stable")
        values = np.take_along_axis(values, order, axis)
    return values.copy() if values is x else values


def _shuffles(size: int) -> int:
    """How often JAX sorts by new keys, so that equal ones do not matter."""
    return math.ceil(3 * math.log(max(1, size)) / math.log(_WORD))


def categorical(logits: ArrayLike, num_samples: int, dtype: Any = "int32", seed: Seed = None) -> Any:
    """Class indices drawn with the unnormalised log probabilities `logits` (batch, classes).

    Returns (batch, num_samples), by the Gumbel-max trick.
    """
    if _in_graph():
        return _traced_choice(logits, num_samples, dtype, draw_seed(seed))
    scores = np.asarray(logits, _float_dtype(getattr(logits, "dtype", None)))
    if scores.ndim != 2:
        raise ValueError(f"categorical: wanted logits of shape (batch, classes), got shape {scores.shape}")
    tiny = float(np.finfo(scores.dtype).tiny)
    draws = _uniform(draw_seed(seed), (*scores.shape, num_samples), tiny, 1.0, scores.dtype)
    gumbel = -np.log(-np.log(draws))
    chosen: Array = np.argmax(gumbel + scores[:, :, None], axis=1)
    return chosen.astype(numpy_dtype(dtype))


def _traced_choice(logits: Any, num_samples: int, dtype: Any, key: Any) -> Any:
    from graphc import ops

    scores = ops.convert_to_tensor(logits)
    tiny = float(np.finfo(scores.dtype).tiny)
    draws = ops.maximum(ops.random_uniform(key, (*scores.shape, num_samples), tiny, 1.0, scores.dtype), tiny)
    gumbel = ops.negative(ops.log(ops.negative(ops.log(draws))))
    return ops.cast(ops.argmax(gumbel + ops.expand_dims(scores, -1), axis=1), dtype)


def gamma(shape: Shape, alpha: ArrayLike, dtype: Any = None, seed: Seed = None) -> Array:
    """Floats of the gamma distribution of shape `alpha` and scale 1, on arrays only; not JAX's numbers."""
    kind = _float_dtype(dtype)
    return np.asarray(_host_generator("gamma", seed).gamma(np.asarray(alpha), size=_static(shape)), kind)


def beta(shape: Shape, alpha: ArrayLike, beta: ArrayLike, dtype: Any = None, seed: Seed = None) -> Array:
    """Floats of the beta distribution of `alpha` and `beta`, on arrays only; not JAX's numbers."""
    kind = _float_dtype(dtype)
    return np.asarray(_host_generator("beta", seed).beta(np.asarray(alpha), np.asarray(beta), _static(shape)), kind)


def binomial(shape: Shape, counts: ArrayLike, probabilities: ArrayLike, dtype: Any = None, seed: Seed = None) -> Array:
    """How many of `counts` trials succeed, as floats, on arrays only; not JAX's numbers."""
    kind = _float_dtype(dtype)
    trials, chances = np.asarray(counts).astype(np.int64), np.asarray(probabilities)
    return np.asarray(_host_generator("binomial", seed).binomial(trials, chances, _static(shape)), kind)


def _host_generator(name: str, seed: Seed) -> np.random.Generator:
    """numpy's counter-based generator under the key of this draw."""
    if _in_graph():
        raise NotImplementedError(
            f"keras.random.{name} cannot be part of a model: its algorithm repeats until a draw is accepted; draw "
            "outside of it and pass the numbers in"
        )
    return np.random.Generator(np.random.Philox(key=[int(word) for word in draw_seed(seed)]))


def dropout(inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None) -> Any:
    """`inputs` with each element set to 0 with probability `rate` and the others divided by 1 - rate.

    noise_shape: shape of the mask, broadcast against the inputs; None in it stands for the inputs' own size.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout: wanted a rate from 0 to 1, got {rate!r}")
    from graphc import ops  # built on what draws its first values here

    if rate == 0:
        return inputs
    if rate == 1:
        return ops.zeros_like(inputs)
    shape = ops.shape(inputs)
    sizes = shape if noise_shape is None else noise_shape
    mask_shape = tuple(have if want is None else want for want, have in zip(sizes, shape, strict=True))
    kept = _uniform(draw_seed(seed), mask_shape, 0.0, 1.0, np.dtype(np.float32)) < np.float32(1 - rate)
    return ops.where(kept, ops.divide(inputs, 1 - rate), ops.zeros_like(inputs))


def _in_graph() -> bool:
    return current_tracer() is not None


def _uniform(key: Any, shape: Shape, minval: float, maxval: float, dtype: np.dtype[Any]) -> Any:
    if _in_graph():
        from graphc import ops

        return ops.random_uniform(key, tuple(shape), minval, maxval, dtype.name)
    return _uniform_array(key, _static(shape), minval, maxval, dtype)


def _uniform_array(key: Key, shape: Shape, minval: float, maxval: float, dtype: np.dtype[Any]) -> Array:
    """Random mantissas under the exponent of 1, moved to [minval, maxval) with one rounding.

    JAX's compiled code uses a fused multiply-add; doing the sum in double precision rounds the same way for float16
    and float32. float64 has no wider type and may differ in the last bit.
    """
    info = np.finfo(dtype)
    low, high = dtype.type(minval), dtype.type(maxval)
    bits = random_bits(key, shape, info.bits)
    bits >>= bits.dtype.type(info.bits - info.nmant)
    bits |= np.ones((), dtype).view(bits.dtype)
    fraction = (bits.view(dtype) - dtype.type(1)).astype(np.float64)
    samples: Array = np.asarray(fraction * np.float64(high - low) + np.float64(low), dtype)  # a scalar's too
    np.maximum(low, samples, out=samples)
    return samples


def _clip(x: Any, limit: Any) -> Any:
    if _in_graph():
        from graphc import ops

        return ops.clip(x, -limit, limit)
    return np.clip(x, -limit, limit)


def _erfinv(x: Any) -> Any:
    if _in_graph():
        from graphc import ops

        return ops.erfinv(x)
    return erfinv(x)


def _static(shape: Shape) -> tuple[int, ...]:
    sizes = tuple(shape)
    if any(isinstance(size, (float, str)) or size is None or size < 0 for size in sizes):
        raise ValueError(f"Cannot convert '{sizes}' to a shape: wanted whole numbers of at least 0")
    return tuple(int(size) for size in sizes)


def _float_dtype(dtype: Any) -> np.dtype[Any]:
    kind = numpy_dtype(dtype or floatx())
    if kind.kind != "f":
        raise ValueError(f"`keras.random` requires a floating point `dtype`. Received: dtype={dtype}")
    return kind


def _integer_dtype(dtype: Any) -> np.dtype[Any]:
    kind = numpy_dtype(dtype)
    if kind.kind not in "iu":
        raise ValueError(f"`keras.random.randint` requires an integer `dtype`. Received: dtype={dtype}")
    return kind
