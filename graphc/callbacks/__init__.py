"""`keras.callbacks`: code that runs at fixed points of training, evaluation and prediction."""

from graphc.callbacks.averaging import SwapEMAWeights
from graphc.callbacks.callback import Callback
from graphc.callbacks.callback_list import CallbackList
from graphc.callbacks.checkpoint import BackupAndRestore, ModelCheckpoint
from graphc.callbacks.control import LambdaCallback, LearningRateScheduler, TerminateOnNaN
from graphc.callbacks.monitor import EarlyStopping, MonitorCallback, ReduceLROnPlateau
from graphc.callbacks.records import CSVLogger, History, ProgbarLogger
from graphc.callbacks.remote import RemoteMonitor
from graphc.callbacks.tensorboard import TensorBoard

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
