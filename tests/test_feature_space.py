"""`FeatureSpace`: tables of numbers and strings as rows of floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc.utils import FeatureSpace
from graphc.utils.batches import Batches

Columns = dict[str, Any]


def table(count: int = 10) -> Columns:
    """Eight columns of Python lists; every string and integer is there once."""
    return {
        **{f"float_{i}": [i + j * 0.1 for j in range(count)] for i in (1, 2, 3)},
        **{f"string_{i}": [f"{i}-{j}" for j in range(count)] for i in (1, 2)},
        **{f"int_{i}": [i + j for j in range(count)] for i in (1, 2, 3)},
    }


def space(**options: Any) -> FeatureSpace:
    return FeatureSpace(
        {
            "float_1": "float",
            "float_2": "float_normalized",
            "float_3": "float_discretized",
            "string_1": "string_categorical",
            "string_2": "string_hashed",
            "int_1": "integer_categorical",
            "int_2": "integer_hashed",
            "int_3": "integer_categorical",
        },
        crosses=[("float_3", "string_1"), ("string_2", "int_2")],
        **options,
    )


def test_columns_stand_side_by_side_and_crosses_behind_them() -> None:
    columns, made = table(), space()
    made.adapt(columns)
    rows = made(columns)
    assert rows.shape == (10, 1 + 1 + 32 + 11 + 32 + 11 + 11 + 32 + 2 * 32)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, 0], np.asarray(columns["float_1"], np.float32))
    wanted = np.asarray(columns["float_2"], np.float32)
    np.testing.assert_allclose(rows[:, 1], (wanted - wanted.mean()) / wanted.std(), atol=1e-5)
    np.testing.assert_array_equal(rows[:, 2:].sum(1), 8)  # each of the others is one-hot
    one = made({name: values[3] for name, values in columns.items()})
    np.testing.assert_array_equal(one, rows[3])
    assert made.get_encoded_features().shape == (None, 195)


def test_numbers_are_those_of_keras() -> None:
    """Keras's Normalization and Discretization gave these, adapted on batches of 32."""
    x = np.random.default_rng(5).normal(2, 3, (70,)).astype("float32")
    features = {
        "normal": "float_normalized",
        "bins": FeatureSpace.float_discretized(4, output_mode="int"),
        "scaled": FeatureSpace.float_rescaled(2.0, 1.0),
    }
    made = FeatureSpace(features, output_mode="dict")
    made.adapt(dict.fromkeys(features, x))
    encoded = made(dict.fromkeys(features, x[:8]))
    assert list(encoded) == ["bins", "normal", "scaled"]
    normal: Any = [-0.7103810906410217, -1.2798430919647217, -0.10697309672832489]
    np.testing.assert_allclose(encoded["normal"][:3, 0], normal, rtol=1e-5)
    np.testing.assert_array_equal(encoded["bins"][:, 0], [1, 0, 1, 2, 3, 2, 1, 1])
    bins: Any = made.preprocessors["bins"]
    assert bins.bin_boundaries == pytest.approx((-0.698107779, 1.299732446, 3.460735559))
    np.testing.assert_allclose(encoded["scaled"][:, 0], 2 * x[:8] + 1, rtol=1e-6)


def test_hashes_are_those_of_the_layers() -> None:
    columns: Columns = {"town": ["Ulm", "Bonn", "Ulm"], "zip": [89073, 53111, 89077]}
    made = FeatureSpace(
        {"town": FeatureSpace.string_hashed(5, "int"), "zip": FeatureSpace.integer_hashed(6, "int")},
        crosses=[FeatureSpace.cross(("zip", "town"), 7, "int"), ("town", "zip")],
        crossing_dim=9,
        output_mode="dict",
    )
    encoded = made(columns)  # nothing to learn
    town = k.layers.Hashing(5)(np.array(columns["town"])[:, None])
    code = k.layers.Hashing(6)(np.array(columns["zip"])[:, None])
    np.testing.assert_array_equal(encoded["town"], town)
    np.testing.assert_array_equal(encoded["zip"], code)
    np.testing.assert_array_equal(encoded["zip_X_town"], k.layers.HashedCrossing(7)([code, town]))
    bins = k.layers.HashedCrossing(9)([town, code])
    np.testing.assert_array_equal(encoded["town_X_zip"], np.eye(9)[bins[:, 0]])


@pytest.mark.parametrize("size", [None, 4])
def test_data_sets_of_dicts_teach_the_same(size: int | None) -> None:
    columns = table()
    rows = [{name: np.asarray(values[i]) for name, values in columns.items()} for i in range(10)]
    elements = Batches(lambda: rows)
    whole, streamed = space(), space()
    whole.adapt(columns)
    streamed.adapt(iter(elements) if size is None else elements.batch(size))
    np.testing.assert_allclose(streamed(columns), whole(columns), atol=1e-5)


def test_encoded_rows_train_a_model_and_columns_enter_it() -> None:
    columns: Columns = {"x": np.linspace(-3, 5, 12), "kind": np.arange(12) % 3, "bin": np.linspace(1, 2, 12) ** 2}
    made = FeatureSpace({"x": "float_normalized", "kind": "integer_categorical", "bin": "float_discretized"})
    made.adapt(columns)
    encoded = made.get_encoded_features()
    outputs = k.layers.Dense(2)(encoded)
    training, inference = k.Model(encoded, outputs), k.Model(made.get_inputs(), outputs)
    training.compile("sgd", "mse")
    training.fit(made(columns), np.ones((12, 2)), epochs=1, verbose=0)
    wide = {name: values[:, None] for name, values in columns.items()}
    np.testing.assert_allclose(
        inference.predict(wide, verbose=0), training.predict(made(columns), verbose=0), rtol=1e-4, atol=1e-5
    )


def test_a_space_is_saved_with_what_it_learnt(tmp_path: Path) -> None:
    columns, made = table(), space(output_mode="dict", hashing_dim=13)
    made.adapt(columns)
    made.save(tmp_path / "space.keras")
    loaded = k.saving.load_model(tmp_path / "space.keras")
    wanted, got = made(columns), loaded(columns)
    assert list(wanted) == list(got)
    for name in wanted:
        np.testing.assert_array_equal(got[name], wanted[name], err_msg=name)


def test_what_is_wrong_is_said() -> None:
    made = FeatureSpace({"word": "string_categorical", "x": "float"})
    with pytest.raises(ValueError, match=r"You need to call `.adapt\(dataset\)`"):
        made({"word": ["a"], "x": [1.0]})
    with pytest.raises(ValueError, match="wanted dicts with the column 'word'"):
        made.adapt({"x": [1.0]})
    with pytest.raises(ValueError, match="iterable of dicts or a dict"):
        made.adapt(np.ones(3))
    made.adapt({"word": ["a"], "x": [1.0]})
    with pytest.raises(TypeError, match="get_inputs: 'word' cannot be part of a compiled model"):
        made.get_inputs()
    with pytest.raises(ValueError, match="can only be called with a dict"):
        made([1.0])
    with pytest.raises(ValueError, match=r"wanted the columns \['word', 'x'\]. Received: \['x'\]"):
        made({"x": [1.0]})
    with pytest.raises(ValueError, match="Invalid feature type: text"):
        FeatureSpace({"x": "text"})
    with pytest.raises(ValueError, match="unknown features"):
        FeatureSpace({"x": "string_hashed"}, crosses=[("x", "y")])
    with pytest.raises(ValueError, match="'word' has not been encoded"):
        FeatureSpace({"word": FeatureSpace.string_hashed(3, output_mode="int")})({"word": ["a"]})
    with pytest.raises(ValueError, match="isn't a standard feature"):
        own = FeatureSpace.feature("int32", k.layers.Identity(dtype="int32"), "one_hot")
        FeatureSpace({"x": own})({"x": [1]})
