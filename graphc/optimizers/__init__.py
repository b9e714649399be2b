"""`keras.optimizers`: all optimizers, and optimizers from names and configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.optimizers import schedules
from graphc.optimizers.adafactor import Adafactor
from graphc.optimizers.ftrl import Ftrl
from graphc.optimizers.loss_scale import LossScaleOptimizer
from graphc.optimizers.muon import Muon
from graphc.optimizers.optimizer import Optimizer
from graphc.optimizers.rules import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lamb,
    Lion,
    Nadam,
    RMSprop,
    ScheduleFreeAdamW,
)
from graphc.saving.registry import get_registered_object, serialize_object, unknown_name

_CLASSES = (
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, LossScaleOptimizer, Muon, Nadam, RMSprop, SGD,
    ScheduleFreeAdamW,
)  # fmt: skip
OBJECTS: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{cls.__name__.lower(): cls for cls in _CLASSES},
}


def serialize(optimizer: Any) -> dict[str, Any]:
    """The config of an optimizer, as Keras writes it."""
    return serialize_object(optimizer, "keras.optimizers")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer of a config or name (in any case). ValueError for an unknown one, with the nearest known name."""
    name = config["class_name"] if isinstance(config, Mapping) else config
    found = get_registered_object(name, custom_objects, OBJECTS) or OBJECTS.get(str(name).lower())
    if found is None:
        raise ValueError(unknown_name("optimizer", name, OBJECTS))
    return found.from_config(dict(config.get("config") or {})) if isinstance(config, Mapping) else found()


def get(identifier: Any) -> Any:
    """The optimizer a name, config, class or instance stands for; None stays None."""
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, (str, Mapping)):
        return deserialize(identifier)
    if isinstance(identifier, type):
        return identifier()
    raise ValueError(f"Could not interpret optimizer identifier: {identifier}")


__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
