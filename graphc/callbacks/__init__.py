"""`keras.callbacks`: code that runs at fixed points of training, evaluation and prediction; loaded by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc import lazy

_HOMES = lazy.homes({
    ".averaging": "SwapEMAWeights",
    ".callback": "Callback",
    ".callback_list": "CallbackList",
    ".checkpoint": "BackupAndRestore ModelCheckpoint",
    ".control": "LambdaCallback LearningRateScheduler TerminateOnNaN",
    ".monitor": "EarlyStopping MonitorCallback ReduceLROnPlateau",
    ".records": "CSVLogger History ProgbarLogger",
    ".remote": "RemoteMonitor",
    ".tensorboard": "TensorBoard",
})  # fmt: skip

if TYPE_CHECKING:
    # what `__getattr__` finds, for type checkers and editors; a test compares the two
    from graphc.callbacks.averaging import SwapEMAWeights
    from graphc.callbacks.callback import Callback
    from graphc.callbacks.callback_list import CallbackList
    from graphc.callbacks.checkpoint import BackupAndRestore, ModelCheckpoint
    from graphc.callbacks.control import LambdaCallback, LearningRateScheduler, TerminateOnNaN
    from graphc.callbacks.monitor import EarlyStopping, MonitorCallback, ReduceLROnPlateau
    from graphc.callbacks.records import CSVLogger, History, ProgbarLogger
    from graphc.callbacks.remote import RemoteMonitor
    from graphc.callbacks.tensorboard import TensorBoard
else:
    __getattr__ = lazy.loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
