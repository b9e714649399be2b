"""Callbacks that write the model to files: checkpoints, and a backup to go on from after an interruption."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from graphc.callbacks.callback import Callback, Logs
from graphc.callbacks.monitor import MonitorCallback
from graphc.saving.backup import load_backup, save_backup, set_random_state
from graphc.saving.hdf5 import library
from graphc.utils.files import replacing
from graphc.utils.messages import print_message


class _BatchCounter:
    """Tells after which batches to save: every `frequency` of them, counted through the epochs."""

    def __init__(self, frequency: int) -> None:
        self.frequency = frequency
        self.unsaved = 0
        self.last = -1

    def is_due(self, batch: int) -> bool:
        """Whether to save after this batch; its number starts again in each epoch."""
        self.unsaved += batch + 1 if batch <= self.last else batch - self.last
        self.last = batch
        if self.unsaved < self.frequency:
            return False
        self.unsaved = 0
        return True


def _batch_counter(save_freq: Any) -> _BatchCounter | None:
    if save_freq == "epoch":
        return None
    if not isinstance(save_freq, int) or isinstance(save_freq, bool) or save_freq < 1:
        raise ValueError(
            f"Unrecognized save_freq: {save_freq}. Expected save_freq are 'epoch' or integer values of at least 1"
        )
    return _BatchCounter(save_freq)


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights only, after each epoch or each `save_freq` batches.

    filepath: ends in .keras (or .h5), for weights in .weights.h5 (ValueError otherwise); `{epoch:02d}`, `{batch}` and
    keys of the logs are filled in. save_best_only: only when `monitor` improved, from `initial_value_threshold` on.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._counter = _batch_counter(save_freq)
        self._current_epoch = 0
        self._check_suffix()

    def _check_suffix(self) -> None:
        if self.save_weights_only and not self.filepath.endswith(".weights.h5"):
            raise ValueError(
                "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath provided must end in "
                f"`.weights.h5` (Keras weights format). Received: filepath={self.filepath}"
            )
        if not self.save_weights_only and not self.filepath.endswith((".keras", ".h5")):
            raise ValueError(
                f"The filepath provided must end in `.keras` (Keras model format). Received: filepath={self.filepath}"
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.filepath.endswith(".h5"):
            library()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._counter is not None and self._counter.is_due(batch):
            self._save(self._current_epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only and self.monitor_op is None:
            self._set_monitor_op()
        if self._counter is None:
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise OSError(
                "Please specify a non-directory filepath for ModelCheckpoint. "
                f"Filepath used is an existing directory: {path}"
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)
        self._say(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        values = {**({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            return self.filepath.format(epoch=epoch + 1, **values)
        except KeyError as error:
            raise KeyError(f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}') from error

    def _should_save(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._say(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None or np.ndim(current) > 0:
            problem = "is not available" if current is None else f"is not a scalar: {current}"
            warnings.warn(
                f"Can save best model only with {self.monitor} available. It {problem}; saving anyway.",
                UserWarning,
                stacklevel=4,
            )
            return True
        return self._is_best(epoch, current, path)

    def _is_best(self, epoch: int, current: Any, path: str) -> bool:
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            self._say(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {best}")
            return False
        self._say(f"\nEpoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, saving model to {path}")
        self.best = current
        return True

    def _say(self, message: str) -> None:
        if self.verbose > 0:
            print_message(message)


class BackupAndRestore(Callback):
    """Keep a backup of weights, optimizer state and epoch number, and go on from it if `fit` was interrupted.

    The epoch that was interrupted begins again. With a backup of its beginning (save_freq "epoch") training goes on bit
    by bit as if nothing had happened: the states of all random number generators are kept, too.

    backup_dir: where. save_freq: "epoch" or a number of batches. double_checkpoint: keep the backup before the last,
    too, and use it if the last cannot be read. delete_checkpoint: delete the backup when training has ended. Only the
    files this callback wrote are deleted, and the directory if nothing else is in it.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise ValueError("Empty `backup_dir` argument passed")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._counter = _batch_counter(save_freq)
        self._current_epoch = 0
        self._last_batch = 0
        self._weights = Path(self.backup_dir, "latest.weights.h5")
        self._metadata = Path(self.backup_dir, "training_metadata.json")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        library()
        if not self.model.built:
            raise ValueError(
                "To use the BackupAndRestore callback, your model must be built before you call `fit()`. Model "
                f"{self.model} is unbuilt. You can build it beforehand by calling it on a batch of data."
            )
        try:
            self._restore()
        except (OSError, ValueError):
            if not _previous(self._weights).exists():
                raise
            for path in (self._weights, self._metadata):
                path.unlink(missing_ok=True)
                if _previous(path).exists():
                    shutil.copy(_previous(path), path)
            self._restore()

    def _restore(self) -> None:
        optimizer = self.model.optimizer
        if not self._weights.exists():
            return
        if optimizer is not None and not optimizer.built:
            # Its state must exist before it can be loaded.
            optimizer.build(self.model.trainable_variables)
        progress = load_backup(self.model, self._weights) or self._progress_in_words()
        self._current_epoch = int(progress.get("epoch", 0))
        self.model.initial_epoch = self._current_epoch
        if not progress.get("batch") and "random" in progress:
            set_random_state(progress["random"])

    def _progress_in_words(self) -> dict[str, Any]:
        """What Keras keeps beside the weights."""
        if not self._metadata.exists():
            return {}
        found: dict[str, Any] = json.loads(self._metadata.read_text(encoding="utf-8"))
        return found

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._last_batch = batch
        if self._counter is not None and self._counter.is_due(batch):
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch + 1
        self._last_batch = 0
        if self._counter is None:
            self._save()

    def _save(self) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint:
            for path in (self._weights, self._metadata):
                if path.exists():
                    shutil.copy(path, _previous(path))
        progress = {"epoch": self._current_epoch, "batch": self._last_batch}
        # one file, so that weights and progress always belong together; the other is for Keras
        save_backup(self.model, self._weights, progress)
        with replacing(self._metadata) as temporary:
            temporary.write_text(json.dumps(progress))

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            self._delete()

    def _delete(self) -> None:
        for path in (self._weights, self._metadata):
            path.unlink(missing_ok=True)
            _previous(path).unlink(missing_ok=True)
        if os.path.isdir(self.backup_dir) and not os.listdir(self.backup_dir):
            os.rmdir(self.backup_dir)


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".bkp")
