"""The base class of callbacks, and what callbacks may ask of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

Logs = dict[str, Any]


class Optimizer(Protocol):
    """learning_rate: readable with `float()`, assignable (TypeError if it is a schedule)."""

    learning_rate: Any
    built: bool

    def build(self, variables: Any) -> None: ...


class Model(Protocol):
    """The part of a model's public interface that callbacks use.

    stop_training: `fit` looks at it after every batch and every epoch. history: set by `History`. initial_epoch: None,
    or the epoch to begin with whatever the argument says: set by `BackupAndRestore` in `on_train_begin`, after which
    `fit` reads it and sets it to None. metrics: objects with a `name` and, if a direction is better, `_direction` "up"
    or "down"; containers of them have an attribute `metrics`.
    """

    optimizer: Any
    history: Any
    stop_training: bool
    initial_epoch: int | None
    built: bool

    @property
    def metrics(self) -> Iterable[Any]: ...
    @property
    def trainable_variables(self) -> Any: ...
    def get_weights(self) -> list[Any]: ...
    def set_weights(self, weights: list[Any]) -> None: ...
    def save(self, filepath: str, overwrite: bool = True) -> None: ...
    def save_weights(self, filepath: str, overwrite: bool = True) -> None: ...
    def load_weights(self, filepath: str) -> None: ...


class Callback:
    """Base class: override the hooks you need.

    `self.model` is the model, `self.params` has "verbose", "epochs" and "steps" (both set before the first hook).
    logs: metric values as floats, keys in alphabetical order; a batch's logs are means since the epoch began. What is
    written into the logs of `on_epoch_end` is seen by the callbacks that come after, `History` among them.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Called once with "verbose", "epochs" and "steps"."""
        self.params = params

    def set_model(self, model: Model) -> None:
        """Called once with the model."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model that is trained, evaluated or asked."""
        return self._model

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`, which calls it."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`, which calls it."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch of training (counted from 0)."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation, whose results have the prefix `val_`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch (counted from 0) of `fit`."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `fit`."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate` or of validation."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`; logs has its "outputs"."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before `fit` begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After `fit`, with the logs of the last epoch; not if it raised."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate` or a validation begins."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate` or a validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict` begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""


def plain_logs(logs: Mapping[str, Any] | None) -> Logs:
    """A copy with keys in alphabetical order, nested dicts flattened and values made floats where they can be."""
    result: Logs = {}
    for key, value in sorted((logs or {}).items()):
        if isinstance(value, Mapping):
            result.update(plain_logs(value))
        else:
            result[key] = _as_float(value)
    return result


def _as_float(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
