"""`keras.losses`: all losses, as classes (which reduce over the batch) and as functions (one value per sample)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.losses.classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from graphc.losses.loss import (
    Loss,
    LossFunctionWrapper,
)
from graphc.losses.regression import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    SquaredHinge,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    squared_hinge,
)
from graphc.losses.structure import (
    CTC,
    Circle,
    Dice,
    Tversky,
    circle,
    ctc,
    dice,
    tversky,
)
from graphc.saving.registry import get_registered_object, interpret, serialize_object, unknown_name

_FUNCTIONS = (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    circle,
    cosine_similarity,
    ctc,
    dice,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)
_SHORT: dict[str, Callable[..., Any]] = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
}
CLASSES = [value for value in list(globals().values()) if isinstance(value, type) and issubclass(value, Loss)]
OBJECTS: dict[str, Any] = {
    **{cls.__name__: cls for cls in CLASSES},
    **{function.__name__: function for function in _FUNCTIONS},
    **_SHORT,
    **{name.upper(): function for name, function in _SHORT.items()},
}


def serialize(loss: Any) -> Any:
    """The config of a loss or function, as Keras writes it."""
    from graphc.saving.serialization import serialize_function  # knows all modules

    return serialize_object(loss, "keras.losses") if isinstance(loss, Loss) else serialize_function(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss of a config, or the function of a name. ValueError for an unknown one, with the nearest known name."""
    identifier = name["class_name"] if isinstance(name, Mapping) else name
    if isinstance(name, Mapping) and identifier == "function":
        identifier = name["config"]
    found = get_registered_object(identifier, custom_objects, OBJECTS)
    if found is None:
        raise ValueError(unknown_name("loss", identifier, OBJECTS))
    if isinstance(name, Mapping) and isinstance(found, type):
        return found.from_config(dict(name.get("config") or {}))  # type: ignore[attr-defined]
    return found


def get(identifier: Any) -> Any:
    """The loss a name, config, class or callable stands for; None stays None."""
    return interpret(identifier, deserialize, "loss")


__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
