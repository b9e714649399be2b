"""The container through which training calls all callbacks."""

from __future__ import annotations

from typing import Any

from graphc import tree
from graphc.callbacks.callback import Callback, Logs, Model, plain_logs
from graphc.callbacks.records import History, ProgbarLogger

# A batch hook does nothing if neither it nor the older hook it calls is overridden.
_BATCH_HOOKS = {
    "on_train_batch_begin": "on_batch_begin",
    "on_train_batch_end": "on_batch_end",
    "on_test_batch_begin": "on_test_batch_begin",
    "on_test_batch_end": "on_test_batch_end",
    "on_predict_batch_begin": "on_predict_batch_begin",
    "on_predict_batch_end": "on_predict_batch_end",
}


class CallbackList(Callback):
    """Calls every hook on all of its callbacks in order.

    callbacks: a callback, a nest of them or None. add_history, add_progbar: append a `History` and a `ProgbarLogger`
    unless there is one. model, params: given to all callbacks, if given.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Model | None = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Any] = [] if callbacks is None else tree.flatten(callbacks)
        self._history = self._existing_or_new(History, add_history)
        self._progbar = self._existing_or_new(ProgbarLogger, add_progbar)
        self._listeners: dict[str, list[Any]] = {}
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def _existing_or_new(self, kind: type[Callback], add: bool) -> Callback | None:
        existing = [callback for callback in self.callbacks if isinstance(callback, kind)]
        if existing or not add:
            return existing[-1] if existing else None
        self.append(kind())
        return self.callbacks[-1]  # type: ignore[no-any-return]

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Model) -> None:
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def listeners(self, hook: str) -> list[Any]:
        """The callbacks that do something in this batch hook; if there are none, its logs need not be computed.

        Remembered until the next `on_train_begin`, `on_test_begin` or `on_predict_begin`.
        """
        if hook not in self._listeners:
            hooks = {hook, _BATCH_HOOKS[hook]}
            self._listeners[hook] = [c for c in self.callbacks if any(_overrides(c, name) for name in hooks)]
        return self._listeners[hook]

    def _on_batch(self, hook: str, batch: int, logs: Logs | None) -> None:
        listeners = self.listeners(hook)
        if listeners:
            plain = plain_logs(logs)
            for callback in listeners:
                getattr(callback, hook)(batch, logs=plain)

    def _on_stage(self, hook: str, *arguments: Any, logs: Logs | None) -> None:
        plain = plain_logs(logs)
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments, plain)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._on_stage("on_batch_begin", batch, logs=logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._on_stage("on_batch_end", batch, logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._on_stage("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._on_stage("on_epoch_end", epoch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._on_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._on_batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._on_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._on_batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._on_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._on_batch("on_predict_batch_end", batch, logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._listeners.clear()
        self._on_stage("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._on_stage("on_train_end", logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._listeners.clear()
        self._on_stage("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._on_stage("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._listeners.clear()
        self._on_stage("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._on_stage("on_predict_end", logs=logs)


def _overrides(callback: Any, hook: str) -> bool:
    method = getattr(callback, hook, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Callback, hook)
