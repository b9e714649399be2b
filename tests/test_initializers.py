"""Initializers against values printed by Keras 3.15 on JAX; names, configs, errors."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import pytest

from graphc import initializers, random
from graphc.saving.registry import custom_object_scope

KERNEL = (3, 3, 4, 8)

# Class -> CRC-32 of the bytes for seed 17 and shapes (7, 5), (3, 3, 4, 8), (12,); printed by Keras 3.15.1 on JAX 0.10.
UNIFORM = {
    "GlorotUniform": (1189857655, 3899942976, 838134784),
    "HeUniform": (2057780084, 404189326, 20035131),
    "LecunUniform": (2723183709, 3418273141, 838134784),
    "RandomUniform": (2612194711, 3449227523, 325724941),
}


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_initializers_equal_keras_bit_by_bit(name: str) -> None:
    for shape, crc in zip(((7, 5), KERNEL, (12,)), UNIFORM[name], strict=True):
        values = getattr(initializers, name)(seed=17)(shape)
        assert values.shape == shape and values.dtype == np.float32
        assert zlib.crc32(values.tobytes()) == crc, shape


# Class -> the first elements for seed 17 and shape (3, 3, 4, 8); printed by Keras 3.15.1 on JAX 0.10.
NORMAL = {
    "GlorotNormal": [0.03453412279486656, -0.049004051834344864, 0.04539560154080391],
    "HeNormal": [0.05981484800577164, -0.08487749844789505, 0.07862748205661774],
    "LecunNormal": [0.042295485734939575, -0.060017459094524384, 0.055598028004169464],
    "RandomNormal": [0.011702902615070343, -0.01662057638168335, 0.015392999164760113],
    "TruncatedNormal": [0.0111612593755126, -0.01583786867558956, 0.014671635814011097],
    "VarianceScaling": [0.042295485734939575, -0.060017459094524384, 0.055598028004169464],
    "Orthogonal": [0.05237090587615967, -0.05954151600599289, 0.059831783175468445],
}


@pytest.mark.parametrize("name", NORMAL)
def test_normal_initializers_are_those_of_keras(name: str) -> None:
    values = getattr(initializers, name)(seed=17)(KERNEL)
    np.testing.assert_allclose(values.reshape(-1)[:3], NORMAL[name], rtol=0, atol=1e-6)


def test_orthogonal_of_a_wide_shape() -> None:
    # Printed by Keras 3.15.1 on JAX for Orthogonal(seed=17)((5, 9)).
    values = initializers.Orthogonal(seed=17)((5, 9))
    np.testing.assert_allclose(
        values[0, :3], [0.09360206127166748, -0.06423286348581314, 0.513577938079834], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(values @ values.T, np.eye(5), atol=1e-6)


def test_fans_over_given_axes() -> None:
    # Printed by Keras 3.15.1 on JAX for GlorotUniform(seed=8, input_axes=(0,), output_axes=(1, 2))((32, 4, 8)).
    values = initializers.GlorotUniform(seed=8, input_axes=(0,), output_axes=(1, 2))((32, 4, 8))
    assert zlib.crc32(values.tobytes()) == 699076253
    assert abs(np.abs(values).max() - 0.306) < 1e-3


def test_untruncated_fan_out() -> None:
    # Printed by Keras 3.15.1 on JAX.
    values = initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=8)((6, 5))
    np.testing.assert_allclose(
        values.reshape(-1)[:3], [-0.4955531060695648, -0.2910016179084778, -0.5939227342605591], atol=1e-6
    )


def test_the_seed_is_drawn_when_the_object_is_made() -> None:
    # Printed by Keras 3.15.1 on JAX after keras.utils.set_random_seed(7).
    random.set_random_seed(7)
    initializer = initializers.GlorotUniform()
    np.random.rand(3)
    values = initializer((4, 4))
    assert zlib.crc32(values.tobytes()) == 2412402008
    np.testing.assert_array_equal(values, initializer((4, 4)))
    assert np.any(initializers.GlorotUniform()((4, 4)) != values)


def test_a_seed_generator_gives_new_values_each_time() -> None:
    initializer = initializers.RandomNormal(seed=random.SeedGenerator(1))
    assert np.any(initializer((5,)) != initializer((5,)))


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((), (1, 1)), ((7,), (7, 7)), ((3, 5), (3, 5)), ((2, 3, 5), (6, 10)), ((3, 3, 4, 8), (36, 72)), ((0, 4), (0, 4))],
)
def test_fans(shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    assert initializers.compute_fans(shape) == fans


def test_constant_initializers() -> None:
    assert initializers.Zeros()((2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert initializers.Ones()((2,), dtype="int32").dtype == np.int32
    np.testing.assert_array_equal(initializers.Constant(3)((2, 2)), np.full((2, 2), 3, np.float32))
    np.testing.assert_array_equal(initializers.Identity(2.0)((3, 4)), 2 * np.eye(3, 4, dtype=np.float32))


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"only be used for 2D matrices. Received: shape=\(3,\) of rank 1"):
        initializers.Identity()((3,))
    with pytest.raises(ValueError, match="at least two-dimensional"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ValueError, match="`scale` must be positive float. Received: scale=0"):
        initializers.VarianceScaling(scale=0)
    with pytest.raises(ValueError, match="Invalid `mode` argument: fan"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="Invalid `distribution` argument: cauchy"):
        initializers.VarianceScaling(distribution="cauchy")
    with pytest.raises(ValueError, match="Received: seed=x"):
        initializers.GlorotUniform(seed="x")


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("glorot_uniform", initializers.GlorotUniform),
        ("GlorotUniform", initializers.GlorotUniform),
        ("he_normal", initializers.HeNormal),
        ("lecun_normal", initializers.LecunNormal),
        ("random_normal", initializers.RandomNormal),
        ("normal", initializers.RandomNormal),
        ("uniform", initializers.RandomUniform),
        ("zero", initializers.Zeros),
        ("one", initializers.Ones),
        ("OrthogonalInitializer", initializers.Orthogonal),
        ("variance_scaling", initializers.VarianceScaling),
    ],
)
def test_get_by_name(name: str, cls: type) -> None:
    assert type(initializers.get(name)) is cls


def test_get_other_things() -> None:
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    assert initializers.get(test_fans) is test_fans
    fixed = initializers.get(np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(fixed((2, 3), dtype="float32"), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ValueError, match=r"Expected `shape` to be \(2, 3\)"):
        fixed((3, 2))


@pytest.mark.parametrize("bad", ["bogus", 3, {"class_name": 3}, {"config": {}}, {"class_name": "Ones", "config": 1}])
def test_get_refuses(bad: Any) -> None:
    with pytest.raises(ValueError, match="Could not interpret initializer"):
        initializers.get(bad)


def test_get_suggests_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="identifier: glorot_unifrom. Did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")


def test_configs_are_those_of_keras() -> None:
    # Printed by Keras 3.15.1: json.dumps(keras.initializers.serialize(...)).
    assert json.dumps(initializers.serialize(initializers.GlorotUniform())) == (
        '{"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": null, "input_axes": null, '
        '"output_axes": null}, "registered_name": null}'
    )
    assert json.dumps(initializers.serialize(initializers.VarianceScaling())) == (
        '{"module": "keras.initializers", "class_name": "VarianceScaling", "config": {"seed": null, "scale": 1.0, '
        '"mode": "fan_in", "distribution": "truncated_normal", "input_axes": null, "output_axes": null}, '
        '"registered_name": null}'
    )
    assert json.dumps(initializers.serialize(initializers.RandomNormal(seed=random.SeedGenerator(4, name="x")))) == (
        '{"module": "keras.initializers", "class_name": "RandomNormal", "config": {"seed": {"module": "keras.random", '
        '"class_name": "SeedGenerator", "config": {"seed": 4, "name": "x"}, "registered_name": null}, "mean": 0.0, '
        '"stddev": 0.05}, "registered_name": null}'
    )


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.Constant(2.5),
        initializers.Constant(np.array([1.0, 2.0, 3.0])),
        initializers.Identity(3.0),
        initializers.RandomUniform(-1, 2, seed=3),
        initializers.TruncatedNormal(1, 2, seed=3),
        initializers.VarianceScaling(2.0, "fan_avg", "uniform", seed=4),
        initializers.HeNormal(seed=4),
        initializers.Orthogonal(0.5, seed=4),
        initializers.RandomNormal(seed=random.SeedGenerator(4)),
    ],
    ids=lambda initializer: type(initializer).__name__,
)
def test_config_round_trip_through_json(initializer: Any) -> None:
    again = initializers.deserialize(json.loads(json.dumps(initializers.serialize(initializer))))
    assert type(again) is type(initializer)
    np.testing.assert_array_equal(again((3, 3)), initializer((3, 3)))


class Halves(initializers.Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.full(shape, 0.5, dtype or "float32")


def test_custom_initializers_are_found_only_where_they_are_named() -> None:
    config = initializers.serialize(Halves())
    with pytest.raises(ValueError, match="Could not interpret initializer identifier: Halves"):
        initializers.deserialize(config)
    assert isinstance(initializers.deserialize(config, {"Halves": Halves}), Halves)
    with custom_object_scope({"Halves": Halves}):
        assert isinstance(initializers.get("Halves"), Halves)
    with pytest.raises(ValueError, match="Halves"):
        initializers.get("Halves")
