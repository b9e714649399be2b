"""Random numbers against values printed by Keras 3.15 on JAX; SeedGenerator; drawing inside a traced graph."""

from __future__ import annotations

import math
import random as python_random
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc import naming, random
from graphc.special import erfinv
from graphc.tracing import run_eagerly

LOGITS = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]], "float32"))

# (draw, dtype, first elements, CRC-32 of all bytes), printed by Keras 3.15.1 on JAX 0.10.
EXACT: list[tuple[Callable[[], Any], str, list[float], int]] = [
    (lambda: random.uniform((7, 5), seed=3), "float32", [0.8560285568237305, 0.48402655124664307], 3477399626),
    (lambda: random.uniform((1000,), -0.3, 0.7, seed=11), "float32", [0.4654032588005066], 4090960411),
    (lambda: random.uniform((3, 100), 1000, 1001, seed=5), "float32", [1000.2575073242188], 3480350485),
    (lambda: random.uniform((50,), -1, 1, dtype="float16", seed=5), "float16", [-0.28515625], 3423685865),
    (lambda: random.randint((1000,), -7, 1000, seed=3), "int32", [564, 409, 913, 294], 4155174057),
    (lambda: random.randint((100,), 0, 256, dtype="uint8", seed=3), "uint8", [144, 237, 80, 130], 2774804709),
    (lambda: random.randint((100,), -30, 300, dtype="int16", seed=3), "int16", [6, 89, 58, 30], 2393869170),
    (lambda: random.randint((100,), -(2**31), 2**31 - 1, seed=3), "int32", [802797200, -1664719635], 3702646835),
    (lambda: random.shuffle(np.arange(20, dtype="int32"), seed=3), "int32", [9, 1, 15, 19], 1405460855),
    (lambda: random.shuffle(np.arange(5000, dtype="int32"), seed=3), "int32", [1185, 2980], 3085541421),
    (
        lambda: random.shuffle(np.arange(20, dtype="int32").reshape(5, 4), axis=1, seed=3),
        "int32",
        [1, 3, 2, 0],
        3538109768,
    ),
    (lambda: random.categorical(LOGITS, 9, seed=3), "int32", [2, 1, 1, 2], 2379934160),
    (lambda: random.dropout(np.ones((6, 7), "float32"), 0.3, seed=3), "float32", [0.0, 1.4285714626312256], 1497872427),
    (
        lambda: random.dropout(np.ones((6, 7), "float32"), 0.3, noise_shape=(6, 1), seed=3),
        "float32",
        [0.0, 0.0],
        4197497877,
    ),
]


@pytest.mark.parametrize("case", range(len(EXACT)))
def test_draws_equal_keras_bit_by_bit(case: int) -> None:
    draw, dtype, first, crc = EXACT[case]
    values = np.ascontiguousarray(draw())
    assert values.dtype == dtype
    np.testing.assert_array_equal(values.reshape(-1)[: len(first)], np.array(first, dtype))
    assert zlib.crc32(values.tobytes()) == crc


# (draw, first elements, mean), printed by Keras 3.15.1 on JAX 0.10.
NEAR: list[tuple[Callable[[], Any], list[float], float]] = [
    (
        lambda: random.normal((100000,), seed=3),
        [1.0626453161239624, -0.04005012661218643, 0.29942822456359863],
        -0.009780967793277941,
    ),
    (lambda: random.normal((100,), 2, 0.5, seed=9), [2.3412585258483887, 1.2175471782684326], 1.9601990211009979),
    (
        lambda: random.truncated_normal((100000,), seed=4),
        [0.4232026934623718, -1.164975643157959, 0.2352166622877121],
        0.00045693997048134406,
    ),
    (lambda: random.truncated_normal((100,), 1, 3, seed=4), [2.2696080207824707], 1.0955968475341797),
]


@pytest.mark.parametrize("case", range(len(NEAR)))
def test_normal_draws_are_those_of_keras(case: int) -> None:
    draw, first, mean = NEAR[case]
    values = draw()
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[: len(first)], first, rtol=0, atol=2e-6)
    assert abs(float(np.mean(values, dtype=np.float64)) - mean) < 2e-7


def test_unseeded_draws_after_set_random_seed() -> None:
    # Printed by Keras 3.15.1 on JAX after keras.utils.set_random_seed(42).
    random.set_random_seed(42)
    np.testing.assert_array_equal(
        random.uniform((3,)), np.array([0.07332587242126465, 0.5588781833648682, 0.2568659782409668], np.float32)
    )
    np.testing.assert_allclose(
        random.normal((3,)), [0.2794061601161957, 0.08912365883588791, 0.45173707604408264], atol=2e-6
    )
    np.testing.assert_array_equal(random.randint((3,), 0, 10), [5, 0, 1])


def test_set_random_seed_seeds_python_and_numpy_too() -> None:
    def draws() -> tuple[float, float, int]:
        random.set_random_seed(7)
        return python_random.random(), float(np.random.rand()), random.make_default_seed()

    assert draws() == draws()
    assert random.get_random_seed() == 7
    with pytest.raises(ValueError, match="Expected `seed` argument to be an integer"):
        random.set_random_seed(1.5)  # type: ignore[arg-type]


def test_seed_generator_counts_and_repeats() -> None:
    # Printed by Keras 3.15.1 on JAX for keras.random.SeedGenerator(5).
    generator = random.SeedGenerator(5)
    np.testing.assert_array_equal(
        random.uniform((3,), seed=generator),
        np.array([0.2575126886367798, 0.3358447551727295, 0.9751120805740356], np.float32),
    )
    np.testing.assert_array_equal(
        random.uniform((3,), seed=generator),
        np.array([0.05585312843322754, 0.9410465955734253, 0.8092975616455078], np.float32),
    )
    np.testing.assert_array_equal(generator.state.numpy(), [5, 2])


def test_seed_generator_config_round_trip() -> None:
    naming.clear_session()
    assert random.SeedGenerator(4).get_config() == {"seed": 4, "name": "seed_generator"}
    again = random.SeedGenerator.from_config({"seed": 9, "name": "mine"})
    assert (again.name, again.state.numpy().tolist()) == ("mine", [9, 0])


def test_an_unseeded_generator_draws_its_seed_once() -> None:
    random.set_random_seed(3)
    first = random.SeedGenerator().state.numpy()[0]
    random.set_random_seed(3)
    assert first == python_random.randint(1, 10**9)


@pytest.mark.parametrize("seed", ["a", 1.5, [1]])
def test_bad_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="must be either an integer or an instance of `SeedGenerator`"):
        random.uniform((2,), seed=seed)


@pytest.mark.parametrize("bad", [dict(shape=(-1,)), dict(shape=(2.0,)), dict(shape=(None,)), dict(dtype="int32")])
def test_bad_shapes_and_dtypes_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="shape|floating point"):
        random.uniform(**{"shape": (2,), "seed": 1, **bad})


def test_limits_of_draws() -> None:
    values = random.uniform((100000,), -2.0, 3.0, seed=1)
    assert values.min() >= -2 and values.max() < 3
    cut = random.truncated_normal((100000,), seed=1)
    assert np.abs(cut).max() < 2
    assert np.all(random.randint((10,), 5, 5, seed=1) == 5)
    assert set(random.randint((1000,), 0, 3, seed=1).tolist()) == {0, 1, 2}


def test_float64_has_53_bits() -> None:
    values = random.uniform((1000,), dtype="float64", seed=1)
    assert values.dtype == np.float64
    assert np.any(values.astype(np.float32) != values)
    assert random.normal((4,), dtype="float64", seed=1).dtype == np.float64


def test_bits_depend_on_the_position_only() -> None:
    key = random.key_of(12)
    long = random.random_bits(key, (200_000,))
    np.testing.assert_array_equal(long[:70_000], random.random_bits(key, (70_000,)))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 4e-16)])
def test_erfinv_inverts_erf(dtype: str, tolerance: float) -> None:
    x = np.linspace(-0.999, 0.999, 4001).astype(dtype)
    back = np.array([math.erf(float(value)) for value in erfinv(x)])
    np.testing.assert_allclose(back, x, rtol=0, atol=tolerance)
    assert erfinv(np.array([-1.0, 1.0], dtype)).tolist() == [-math.inf, math.inf]


@pytest.mark.parametrize(
    "draw",
    [
        lambda generator: random.uniform((3, 4), -1, 2, seed=generator),
        lambda generator: random.normal((3, 4), 1, 2, seed=generator),
        lambda generator: random.truncated_normal((3, 4), 1, 2, seed=generator),
        lambda generator: random.dropout(np.ones((5, 6), "float32"), 0.4, seed=generator),
    ],
)
def test_a_traced_draw_gives_the_same_numbers_and_advances(draw: Callable[[Any], Any]) -> None:
    inside, outside = random.SeedGenerator(5), random.SeedGenerator(5)
    traced = run_eagerly(lambda: (draw(inside), draw(inside)), (), {})
    for value in traced:
        np.testing.assert_allclose(np.asarray(value), draw(outside), rtol=0, atol=2e-6)
    assert np.any(np.asarray(traced[0]) != np.asarray(traced[1]))
    np.testing.assert_array_equal(inside.state.numpy(), [5, 2])


def test_what_a_graph_cannot_draw_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="gamma cannot be part of a model"):
        run_eagerly(lambda: random.gamma((2,), 3.0), (), {})
    with pytest.raises(NotImplementedError, match="randint in a graph: dtype int64 is not supported"):
        run_eagerly(lambda: random.randint((2,), 0, 5, "int64"), (), {})
