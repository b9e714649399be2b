"""Callbacks that watch one number of the logs: early stopping, smaller learning rate on a plateau."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.callbacks.callback import Callback, Logs
from graphc.utils.messages import print_message

MODES = ("auto", "min", "max")


class MonitorCallback(Callback):
    """Base of callbacks that ask whether `logs[monitor]` got better, by more than `min_delta`.

    mode: "min", "max", or "auto": lower is better for a loss, and a metric knows its own direction (else ValueError at
    the end of the first epoch).
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in MODES:
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.", UserWarning, stacklevel=3
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best: Any = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], Any] | None = None

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        assert self.monitor_op is not None
        return bool(self.monitor_op(value - self.min_delta, reference))

    def _set_monitor_op(self) -> None:
        """Decide the direction; metrics are known from the end of the first epoch on."""
        self.monitor_op = operator.gt if self._is_higher_better() else operator.lt
        self.min_delta = abs(self.min_delta) if self.monitor_op is operator.gt else -abs(self.min_delta)

    def _is_higher_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        directions = dict(_directions(self.model))
        # The metrics of a model with several outputs are logged as <output>_<metric>.
        suffixes = (metric for metric in directions if name.endswith(f"_{metric}"))
        owner = name if name in directions else next(suffixes, None)
        if owner is not None:
            return directions[owner] == "up"
        if name == "loss" or name.endswith("_loss"):
            return False
        raise ValueError(
            f"{type(self).__name__} callback received monitor={self.monitor}, but isn't able to automatically "
            "determine whether that metric should be maximized or minimized. Pass `mode='max'` in order to monitor "
            "based on the highest metric value, or pass `mode='min'` in order to use the lowest value."
        )


def _directions(model: Any) -> Iterator[tuple[str, str]]:
    """(name, "up" or "down") of each metric that has a better direction."""
    for container in getattr(model, "metrics", ()):
        for metric in (*getattr(container, "metrics", ()), container):
            direction = getattr(metric, "_direction", None)
            if direction is not None:
                yield metric.name, direction


class EarlyStopping(MonitorCallback):
    """Stop when `monitor` has not improved for `patience` epochs.

    min_delta: what counts as improvement. baseline: a value that must be beaten, too. restore_best_weights: at the end
    give the model the weights of the best epoch, also if it was not stopped. start_from_epoch: ignore earlier epochs.
    verbose: 1 to say what is done.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._remember(epoch)
        # The counter goes up before the comparison: with a baseline it runs on through improvements that stay below.
        self.wait += 1
        if self._is_improvement(current, self.best):
            self._improved(epoch, current)
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _improved(self, epoch: int, current: Any) -> None:
        self.best = current
        self.best_epoch = epoch
        if self.restore_best_weights:
            self._remember(epoch)
        if self.baseline is None or self._is_improvement(current, self.baseline):
            self.wait = 0

    def _remember(self, epoch: int) -> None:
        self.best_weights = self.model.get_weights()
        self.best_epoch = epoch

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print_message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print_message(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs | None) -> Any:
        """The watched value, or None with a warning that names what there is."""
        values = logs or {}
        if self.monitor not in values:
            warnings.warn(
                f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(values)}",
                UserWarning,
                stacklevel=3,
            )
        return values.get(self.monitor)


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs.

    min_delta: what counts as improvement. cooldown: epochs after a reduction in which none is counted. min_lr: the
    lowest rate. verbose: 1 to say so. The logs get `learning_rate`. ValueError for factor >= 1.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        values = {} if logs is None else logs
        values["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = values.get(self.monitor)
        if current is None:
            warnings.warn(
                f"Learning rate reduction is conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(values)}.",
                UserWarning,
                stacklevel=2,
            )
            return
        self._count(epoch, current)

    def _count(self, epoch: int, current: Any) -> None:
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        old = float(self.model.optimizer.learning_rate)
        # The rate is a float32, so the limit has to be compared as one.
        if old <= np.float32(self.min_lr):
            return
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        if self.verbose > 0:
            print_message(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether epochs without improvement are not counted now."""
        return self.cooldown_counter > 0
