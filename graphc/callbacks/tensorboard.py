"""The callback that writes logs for TensorBoard."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np

from graphc.callbacks.callback import Callback, Logs, Model
from graphc.callbacks.events import EventWriter


class TensorBoard(Callback):
    """Writes event files into `log_dir`/train and `log_dir`/validation, without TensorFlow.

    After every epoch `epoch_<name>` for all logs and the learning rate; after an evaluation
    `evaluation_<name>_vs_iterations`; with update_freq n (or "batch", which is 1) also `batch_<name>` every n batches.
    histogram_freq: every so many epochs histograms of all weights, with write_images pictures of them, too.
    write_graph: the layers of the model, for TensorBoard's graphs. write_steps_per_second: how fast training is.
    profile_batch: batches are not traced here; `python -m graphc profile` measures kernels. NotImplementedError for
    embeddings_freq.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        if embeddings_freq:
            raise NotImplementedError("TensorBoard: embeddings are not written; use embeddings_freq=0")
        if profile_batch:
            warnings.warn(
                "TensorBoard: `profile_batch` does nothing here; `python -m graphc profile` measures every kernel.",
                stacklevel=2,
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._writers: dict[str, EventWriter] = {}
        self._batches = 0
        self._epoch_began = (0.0, 0)
        if self.update_freq != "epoch":
            # only now: a callback without batch hooks costs nothing during an epoch
            self.on_train_batch_end = self._log_batch  # type: ignore[method-assign]

    def set_model(self, model: Model) -> None:
        super().set_model(model)
        self._writers = {}
        if self.write_graph:
            self._log_model()

    def _writer(self, name: str) -> EventWriter:
        if name not in self._writers:
            self._writers[name] = EventWriter(os.path.join(self.log_dir, name))
        return self._writers[name]

    def _log_model(self) -> None:
        if type(self.model).__name__ not in ("Functional", "Sequential"):
            return
        try:
            text = self.model.to_json()
        except (NotImplementedError, TypeError, ValueError) as error:
            warnings.warn(f"Model failed to serialize as JSON. Ignoring... {error}", stacklevel=2)
            return
        self._writer("train").text("keras", text, "graph_keras_model", 0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began = (time.perf_counter(), int(self.model.optimizer.iterations))

    def _log_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % self.update_freq == 0:
            self._scalars("train", "batch_", logs or {}, self._batches)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.model.optimizer is not None:
            step = int(self.model.optimizer.iterations)
            found = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
            self._scalars("validation", "", found, step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        train["learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.write_steps_per_second:
            began, steps = self._epoch_began
            train["steps_per_second"] = (int(self.model.optimizer.iterations) - steps) / (time.perf_counter() - began)
        self._scalars("train", "epoch_", train, epoch)
        checked = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        self._scalars("validation", "epoch_", checked, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._log_weights(epoch)
        for writer in self._writers.values():
            writer.flush()

    def _scalars(self, folder: str, prefix: str, values: Logs, step: int) -> None:
        for name, value in values.items():
            if np.ndim(value) == 0:
                self._writer(folder).scalar(f"{prefix}{name}", float(value), step)

    def _log_weights(self, epoch: int) -> None:
        for layer in self.model.layers:
            for weight in layer.weights:
                self._writer("train").histogram(f"{weight.path}/histogram", weight.numpy(), epoch)
                if self.write_images and (pictures := _pictures(weight.numpy())) is not None:
                    self._writer("train").image(f"{weight.path}/image", pictures, epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _pictures(weight: Any) -> Any:
    """A weight as pictures (count, height, width, channels); None if its shape is not one of pictures."""
    found = np.squeeze(weight)
    if found.ndim == 1:
        found = found[None, :, None, None]
    elif found.ndim == 2:
        found = (found.T if found.shape[0] > found.shape[1] else found)[None, :, :, None]
    elif found.ndim == 3:
        found = np.transpose(found, (2, 0, 1))[..., None]
    return found if found.ndim == 4 and found.shape[-1] in (1, 3, 4) else None
