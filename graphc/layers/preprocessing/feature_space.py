"""Tables: every column turned into numbers by a layer of its own, and all of them put side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from graphc import ops, tree
from graphc.layers.core import Identity, Input, Rescaling
from graphc.layers.layer import Layer
from graphc.layers.preprocessing.feature import CategoryEncoding, Discretization, first_part
from graphc.layers.preprocessing.hashing import HashedCrossing, Hashing
from graphc.layers.preprocessing.host import HostLayer
from graphc.layers.preprocessing.lookup import IntegerLookup, StringLookup
from graphc.layers.preprocessing.normalization import Normalization
from graphc.layers.preprocessing.text import TextVectorization
from graphc.naming import auto_name
from graphc.saving.serialization import restore, serialize_keras_object
from graphc.tensor import KerasTensor, Tensor

Array = NDArray[Any]
# Inside `FeatureSpace` the name `float` means a kind of feature.
Number = float

# Scalars of a data set are put together to so many before a layer learns from them, as Keras does.
ADAPT_BATCH = 32


class Cross:
    """Features whose combinations of values are hashed into `crossing_dim` bins; see `FeatureSpace.cross`."""

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        _check_choice("output_mode", output_mode, ("int", "one_hot"))
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = output_mode

    @property
    def name(self) -> str:
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        return {
            "feature_names": self.feature_names,
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }


class Feature:
    """A column: the dtype of its values, the layer that makes numbers of them, and how these leave the space."""

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        _check_choice("output_mode", output_mode, ("int", "one_hot", "float"))
        self.dtype = dtype
        self.preprocessor: Layer = restore(preprocessor) if isinstance(preprocessor, dict) else preprocessor
        self.output_mode = output_mode

    def get_config(self) -> dict[str, Any]:
        return {
            "dtype": self.dtype,
            "preprocessor": serialize_keras_object(self.preprocessor),
            "output_mode": self.output_mode,
        }


# Where Keras keeps these two.
MODULE = "keras.src.layers.preprocessing.feature_space"
OBJECTS = {"Cross": Cross, "Feature": Feature, "TFDIdentity": Identity}


class FeatureSpace(Layer):
    """A table as numbers: called on a dict of columns, (n,) or (n, 1) each, it gives a row of floats per row.

    features: by column, the name of a kind ("float", "string_categorical", ...) or what a method of this class of that
    name returns. crosses: tuples of columns, or `FeatureSpace.cross(...)`. output_mode: "concat" for one array (n,
    width), columns by name and then crosses by name; "dict" for an array each. `adapt` learns vocabularies, means and
    bins first. Strings and hashes are computed in Python: see `get_inputs`.
    """

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            raise ValueError("The `features` argument cannot be None or empty.")
        self.crossing_dim = crossing_dim
        self.hashing_dim = hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {name: self._feature(name, kind) for name, kind in features.items()}
        self.crosses = [self._cross(cross) for cross in crosses or ()]
        self.crosses_by_name = {cross.name: cross for cross in self.crosses}
        _check_choice("output_mode", output_mode, ("dict", "concat"))
        self.output_mode = output_mode
        self.preprocessors = {name: feature.preprocessor for name, feature in self.features.items()}
        self.crossers = {cross.name: HashedCrossing(cross.crossing_dim, name=cross.name) for cross in self.crosses}
        self.one_hot_encoders: dict[str, Layer] = {}
        self._inputs: dict[str, KerasTensor] | None = None
        self._encoded_features: Any = None
        self._is_adapted = False
        self.built = False

    # ---- kinds of features

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """The combinations of several features, in `crossing_dim` bins."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """Values of `dtype` through a layer of your own; output_mode: "int", "one_hot" (of integers) or "float"."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        return Feature("float32", Identity(dtype="float32", name=_layer_name("float", name)), "float")

    @classmethod
    def float_rescaled(cls, scale: Number = 1.0, offset: Number = 0.0, name: str | None = None) -> Feature:
        """x * scale + offset."""
        return Feature("float32", Rescaling(scale, offset, name=_layer_name("float_rescaled", name)), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers moved to mean 0 and variance 1."""
        return Feature("float32", Normalization(axis=-1, name=_layer_name("float_normalized", name)), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int | None,
        bin_boundaries: Sequence[Number] | None = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Numbers in `num_bins` bins that `adapt` places; or, with None for it, in those between `bin_boundaries`."""
        layer = Discretization(bin_boundaries, num_bins, name=_layer_name("float_discretized", name))
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Integers by their place in a vocabulary."""
        layer = IntegerLookup(max_tokens, num_oov_indices, name=_layer_name("integer_categorical", name))
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings by their place in a vocabulary."""
        layer = StringLookup(max_tokens, num_oov_indices, name=_layer_name("string_categorical", name))
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Strings hashed into bins."""
        return Feature("string", Hashing(num_bins, name=_layer_name("string_hashed", name)), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Integers hashed into bins."""
        return Feature("int32", Hashing(num_bins, name=_layer_name("integer_hashed", name)), output_mode)

    def _feature(self, name: str, kind: Any) -> Feature:
        if isinstance(kind, dict):
            kind = restore(kind)
        if isinstance(kind, Feature):
            return kind
        kinds: dict[str, Callable[[], Feature]] = {
            "float": lambda: self.float(name),
            "float_normalized": lambda: self.float_normalized(name),
            "float_rescaled": lambda: self.float_rescaled(name=name),
            "float_discretized": lambda: self.float_discretized(self.num_discretization_bins, name=name),
            "integer_categorical": lambda: self.integer_categorical(name=name),
            "string_categorical": lambda: self.string_categorical(name=name),
            "integer_hashed": lambda: self.integer_hashed(self.hashing_dim, name=name),
            "string_hashed": lambda: self.string_hashed(self.hashing_dim, name=name),
        }
        if not isinstance(kind, str) or kind not in kinds:
            raise ValueError(f"Invalid feature type: {kind}. Wanted for column {name!r}: one of {', '.join(kinds)}")
        return kinds[kind]()

    def _cross(self, cross: Any) -> Cross:
        if isinstance(cross, dict):
            cross = restore(cross)
        if not isinstance(cross, Cross):
            if not self.crossing_dim:
                raise ValueError(
                    "When specifying `crosses`, the argument `crossing_dim` (dimensionality of the crossing space) "
                    "should be specified as well."
                )
            cross = Cross(cross, self.crossing_dim)
        if not set(cross.feature_names) <= set(self.features):
            raise ValueError(
                "All features referenced in the `crosses` argument should be present in the `features` dict. Received "
                f"unknown features: {cross.feature_names}"
            )
        return cast(Cross, cross)

    # ---- learning

    def adapt(self, dataset: Any) -> None:
        """Let every layer that learns read its column of a dict of arrays, or of an iterable of dicts (of batches)."""
        rows = _rows_of(dataset)
        for name in self._learning():
            layer: Any = self.preprocessors[name]
            layer.adapt(_batches(_column_of(row, name) for row in rows()))
        self._is_adapted = True
        self._inputs = self._encoded_features = None
        self.get_encoded_features()

    def _learning(self) -> list[str]:
        """The features whose layers learn from data."""
        return [name for name, layer in self.preprocessors.items() if hasattr(layer, "adapt") and not _is_given(layer)]

    def _check_adapted(self) -> None:
        if not self._is_adapted and self._learning():
            raise ValueError("You need to call `.adapt(dataset)` on the FeatureSpace before you can start using it.")
        self._is_adapted = True

    # ---- in front of a model

    def get_inputs(self) -> dict[str, KerasTensor]:
        """An `Input` (n, 1) per feature, from which a model can begin that takes the columns as they are.

        Raises TypeError if some of them are computed in Python, which no compiled model does.
        """
        self._check_adapted()
        if outside := self._on_host():
            raise TypeError(
                f"FeatureSpace.get_inputs: {', '.join(map(repr, outside))} cannot be part of a compiled model (strings "
                "and hashes are computed in Python). Let the model begin with `get_encoded_features()`, and call the "
                "FeatureSpace on the data before (`x = feature_space(columns)`), or in the data set: "
                "`.map(lambda x, y: (feature_space(x), y))`"
            )
        if self._inputs is None:
            self._inputs = {name: Input((1,), dtype=one.dtype, name=name) for name, one in self.features.items()}
        return self._inputs

    @property
    def inputs(self) -> dict[str, KerasTensor]:
        return self.get_inputs()

    def get_encoded_features(self) -> Any:
        """What a call returns, as a KerasTensor or a dict of them, to begin a model with."""
        self._check_adapted()
        if self._encoded_features is None:
            if self._on_host():
                example = self._encoded({name: self._example(name) for name in self.features})
                self._encoded_features = tree.map_structure(_input_like, example)
            else:
                self._encoded_features = self._encoded(self.get_inputs())
            self.built = True
        return self._encoded_features

    @property
    def encoded_features(self) -> Any:
        return self._encoded_features

    def _on_host(self) -> list[str]:
        """Features and crosses that are computed in Python."""
        strings = [name for name, one in self.features.items() if one.dtype == "string"]
        layers = {**self.preprocessors, **self.crossers}
        return sorted({*strings, *(name for name, layer in layers.items() if isinstance(layer, HostLayer))})

    def _example(self, name: str) -> Array:
        """A value (1, 1) that the layer of this feature can read."""
        layer: Any = self.preprocessors[name]
        if hasattr(layer, "get_vocabulary") and (known := layer.get_vocabulary()):
            return np.array([[known[-1]]])
        dtype = self.features[name].dtype
        return np.array([[""]]) if dtype == "string" else np.zeros((1, 1), dtype)

    # ---- encoding

    def __call__(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        self.get_encoded_features()
        if not isinstance(data, dict):
            raise ValueError(
                f"A FeatureSpace can only be called with a dict. Received: data={data} (of type {type(data)})"
            )
        if set(data) != set(self.features):
            raise ValueError(f"FeatureSpace: wanted the columns {sorted(self.features)}. Received: {sorted(data)}")
        columns = {name: _column(value) for name, value in data.items()}
        is_single = any(not column.shape for column in columns.values())
        encoded = self._encoded({name: _at_least_2d(column) for name, column in columns.items()})
        return tree.map_structure(_first_row, encoded) if is_single else encoded

    def call(self, data: Any) -> Any:
        return self(data)

    def _encoded(self, columns: Mapping[str, Any]) -> Any:
        values = {name: self.preprocessors[name](columns[name]) for name in sorted(columns)}
        for name in sorted(self.crossers):
            values[name] = self.crossers[name]([values[part] for part in self.crosses_by_name[name].feature_names])
        encoded = {name: self._one_hot(name, value) for name, value in values.items()}
        if self.output_mode == "dict":
            return encoded
        for name, value in encoded.items():
            if "float" not in str(value.dtype):
                raise ValueError(
                    f"Cannot concatenate features because feature '{name}' has not been encoded (it has dtype "
                    f"{value.dtype}). Consider using `output_mode='dict'`."
                )
        return ops.concatenate(list(encoded.values()), axis=-1)

    def _one_hot(self, name: str, value: Any) -> Any:
        """The integers of a feature as vectors, if it asks for that."""
        specification = self.features.get(name) or self.crosses_by_name[name]
        if specification.output_mode != "one_hot":
            return value
        if not str(value.dtype).startswith("int"):
            raise ValueError(
                f"Feature '{name}' has `output_mode='one_hot'`. Thus its preprocessor should return an integer dtype. "
                f"Instead it returns a {value.dtype} dtype."
            )
        if name not in self.one_hot_encoders:
            count = _cardinality(name, self.preprocessors.get(name) or self.crossers[name])
            self.one_hot_encoders[name] = CategoryEncoding(count, output_mode="multi_hot")
        return self.one_hot_encoders[name](value)

    # ---- files

    def get_config(self) -> dict[str, Any]:
        return {
            "features": serialize_keras_object(self.features),
            "output_mode": self.output_mode,
            "crosses": serialize_keras_object(self.crosses),
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    def get_build_config(self) -> dict[str, Any]:
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layers of the features that are not; what they have learnt comes with the rest of the file."""
        for name, shapes in config.items():
            if not self.preprocessors[name].built and shapes:
                self.preprocessors[name].build_from_config(shapes)
        self._is_adapted = True

    def save(self, filepath: Any) -> None:
        """Write a `.keras` file, from which `graphc.saving.load_model` makes the FeatureSpace again."""
        from graphc.saving import save_model

        save_model(self, filepath)


def _check_choice(argument: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(
            f"Invalid value for argument `{argument}`. Expected one of {{{', '.join(map(repr, allowed))}}}. Received: "
            f"{argument}={value}"
        )


def _layer_name(kind: str, name: str | None) -> str:
    return f"{name or auto_name(kind)}_preprocessor"


def _is_given(layer: Any) -> bool:
    """Whether a layer was made with what it would learn."""
    if isinstance(layer, Normalization):
        return layer.input_mean is not None
    if isinstance(layer, Discretization):
        return layer.num_bins is None
    lookup = layer._lookup_layer if isinstance(layer, TextVectorization) else layer
    return bool(getattr(lookup, "_has_input_vocabulary", False))


def _cardinality(name: str, layer: Any) -> int:
    """The number of integers a layer of integers can give."""
    if isinstance(layer, (IntegerLookup, StringLookup)):
        return layer.vocabulary_size()
    if isinstance(layer, Discretization):
        return layer.num_bins or len(layer.bin_boundaries or ()) + 1
    if isinstance(layer, (HashedCrossing, Hashing)):
        return layer.num_bins
    raise ValueError(
        f"Feature '{name}' has `output_mode='one_hot'`. However it isn't a standard feature and the dimensionality of "
        "its output space is not known, thus it cannot be one-hot encoded. Try using `output_mode='int'`."
    )


# ---- rows and columns


def _rows_of(dataset: Any) -> Callable[[], Iterator[dict[str, Any]]]:
    """What starts a pass over the dicts of a data set."""
    if isinstance(dataset, dict):
        columns = {name: _array(column) for name, column in dataset.items()}
        count = min(len(column) for column in columns.values())
        return lambda: ({name: column[index] for name, column in columns.items()} for index in range(count))
    if not isinstance(dataset, Iterable) or isinstance(dataset, (str, bytes, np.ndarray)):
        raise ValueError(
            "`adapt()` can only be called on an iterable of dicts or a dict of arrays/lists. Received instead: "
            f"{dataset!r} (of type {type(dataset)})"
        )
    again = list(dataset) if isinstance(dataset, Iterator) else dataset
    return lambda: (first_part(element) for element in again)


def _column_of(row: Any, name: str) -> Array:
    if not isinstance(row, dict) or name not in row:
        kind = f"the columns {sorted(row)}" if isinstance(row, dict) else f"an element of type {type(row).__name__}"
        raise ValueError(f"FeatureSpace.adapt: wanted dicts with the column {name!r}. Received {kind}")
    return _array(row[name])


def _batches(values: Iterator[Array]) -> Iterator[Array]:
    """Batches with an axis for the features; scalars are put together."""
    scalars: list[Array] = []
    for value in values:
        if value.ndim:
            yield value[:, None] if value.ndim == 1 else value
            continue
        scalars.append(value)
        if len(scalars) == ADAPT_BATCH:
            yield np.stack(scalars)[:, None]
            scalars = []
    if scalars:
        yield np.stack(scalars)[:, None]


def _array(value: Any) -> Array:
    """A column as an array; strings of unlike lengths (pandas has them as objects) stay strings."""
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _column(value: Any) -> Any:
    return value if isinstance(value, (KerasTensor, Tensor)) else _array(value)


def _at_least_2d(column: Any) -> Any:
    """(1, 1) of a scalar, (n, 1) of a vector."""
    if len(column.shape) > 1:
        return column
    return column.reshape(-1, 1) if isinstance(column, np.ndarray) else ops.expand_dims(column, -1)


def _first_row(encoded: Any) -> Any:
    return encoded[0] if len(encoded.shape) == 2 and encoded.shape[0] == 1 else encoded


def _input_like(example: Any) -> Any:
    return Input(example.shape[1:], dtype=str(example.dtype))
