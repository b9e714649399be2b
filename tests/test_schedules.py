"""Learning-rate schedules against values printed by Keras 3.15 on JAX."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from graphc.optimizers import schedules
from graphc.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

STEPS = (0, 1, 3, 5, 7, 10, 13, 25, 100)
# float(schedule(step)) for STEPS, printed by Keras 3.15.1 on JAX 0.10.
EXPECTED: list[tuple[LearningRateSchedule, list[float]]] = [
    (
        ExponentialDecay(0.1, 10, 0.5),
        [
            0.10000000149011612,
            0.09330330044031143,
            0.08122523874044418,
            0.0707106813788414,
            0.06155722215771675,
            0.05000000074505806,
            0.04061261937022209,
            0.01767767034471035,
            9.765625145519152e-05,
        ],
    ),
    (
        ExponentialDecay(0.1, 10, 0.5, staircase=True),
        [0.10000000149011612] * 5
        + [0.05000000074505806, 0.05000000074505806, 0.02500000037252903, 9.765625145519152e-05],
    ),
    (
        CosineDecay(0.1, 10),
        [
            0.10000000149011612,
            0.0975528284907341,
            0.07938926666975021,
            0.04999999701976776,
            0.020610740408301353,
            0.0,
            0.0,
            0.0,
            0.0,
        ],
    ),
    (
        CosineDecay(0.01, 10, alpha=0.1, warmup_target=0.1, warmup_steps=5),
        [
            0.009999999776482582,
            0.02800000086426735,
            0.06400000303983688,
            0.10000000149011612,
            0.09140576422214508,
            0.05499999597668648,
            0.018594233319163322,
            0.010000000707805157,
            0.010000000707805157,
        ],
    ),
    (
        PolynomialDecay(0.1, 10, 0.01),
        [
            0.10000000149011612,
            0.09099999815225601,
            0.0729999989271164,
            0.054999999701976776,
            0.03700000047683716,
        ]
        + [0.009999999776482582] * 4,
    ),
    (
        PolynomialDecay(0.1, 10, 0.01, power=0.5, cycle=True),
        [
            0.10000000149011612,
            0.09538149833679199,
            0.08529940247535706,
            0.07363960891962051,
            0.059295035898685455,
            0.009999999776482582,
            0.06324472278356552,
            0.04674234986305237,
            0.009999999776482582,
        ],
    ),
    (
        InverseTimeDecay(0.1, 10, 0.5),
        [
            0.10000000149011612,
            0.0952381044626236,
            0.08695652335882187,
            0.07999999821186066,
            0.07407407462596893,
            0.06666667014360428,
            0.06060606241226196,
            0.04444444552063942,
            0.01666666753590107,
        ],
    ),
    (
        InverseTimeDecay(0.1, 3, 0.5, staircase=True),
        [
            0.10000000149011612,
            0.10000000149011612,
            0.06666667014360428,
            0.06666667014360428,
            0.05000000074505806,
            0.03999999910593033,
            0.03333333507180214,
            0.019999999552965164,
            0.0057142856530845165,
        ],
    ),
    (
        PiecewiseConstantDecay([3, 6], [1.0, 0.5, 0.1]),
        [1.0, 1.0, 1.0, 0.5] + [0.10000000149011612] * 5,
    ),
    (
        CosineDecayRestarts(0.1, 10),
        [
            0.10000000149011612,
            0.0975528284907341,
            0.07938926666975021,
            0.04999999701976776,
            0.020610740408301353,
            0.10000000149011612,
            0.09455032646656036,
            0.014644661918282509,
            0.0691341683268547,
        ],
    ),
    (
        CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.9, alpha=0.1),
        [
            0.10000000149011612,
            0.09779754281044006,
            0.08145033568143845,
            0.05499999597668648,
            0.028549665585160255,
            0.09099999815225601,
            0.07430531084537506,
            0.046449992805719376,
            0.041381049901247025,
        ],
    ),
]


@pytest.mark.parametrize("case", range(len(EXPECTED)))
def test_values_are_those_of_keras(case: int) -> None:
    schedule, rates = EXPECTED[case]
    np.testing.assert_allclose([schedule(step) for step in STEPS], rates, rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize("case", range(len(EXPECTED)))
def test_config_round_trip_through_json(case: int) -> None:
    schedule, _ = EXPECTED[case]
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    assert type(again) is type(schedule)
    assert [again(step) for step in STEPS] == [schedule(step) for step in STEPS]


def test_config_is_that_of_keras() -> None:
    # Printed by Keras 3.15.1.
    assert schedules.serialize(CosineDecayRestarts(0.1, 10)) == {
        "module": "keras.optimizers.schedules",
        "class_name": "CosineDecayRestarts",
        "config": {
            "initial_learning_rate": 0.1,
            "first_decay_steps": 10,
            "t_mul": 2.0,
            "m_mul": 1.0,
            "alpha": 0.0,
            "name": "SGDRDecay",
        },
        "registered_name": None,
    }


def test_steps_of_any_number_type() -> None:
    schedule = ExponentialDecay(0.1, 10, 0.5)
    assert isinstance(schedule(3), float)
    assert schedule(np.int64(3)) == schedule(3.0) == schedule(3)
    np.testing.assert_array_equal(schedule(np.arange(4)), np.array([schedule(step) for step in range(4)], np.float32))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ExponentialDecay(0.1, 0, 0.5),
        lambda: InverseTimeDecay(0.1, -1, 0.5),
        lambda: PolynomialDecay(0.1, 0),
        lambda: CosineDecay(0.1, 0),
        lambda: CosineDecayRestarts(0.1, 0),
    ],
)
def test_lengths_must_be_positive(make: Any) -> None:
    with pytest.raises(ValueError, match="decay_steps` must be > 0"):
        make()


def test_piecewise_lengths_must_fit() -> None:
    with pytest.raises(ValueError, match="should be 1 less than the length of values"):
        PiecewiseConstantDecay([1, 2], [0.1, 0.2])


def test_the_base_class_says_what_to_override() -> None:
    with pytest.raises(NotImplementedError, match="'LearningRateSchedule' must override `__call__"):
        LearningRateSchedule()(1)
    with pytest.raises(NotImplementedError, match="must override `get_config"):
        LearningRateSchedule().get_config()
