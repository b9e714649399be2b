"""Callbacks, driven through `CallbackList` by a small model with the interface they ask for.

The expected lines and histories were printed by Keras 3.15.1 for the same logs and the same clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import callbacks
from graphc.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

LOSSES = [1.0, 0.5, 0.6, 0.55, 0.52, 0.51, 0.3, 0.4, 0.45]


class Optimizer:
    """Keeps its learning rate as a float32, as real ones do."""

    def __init__(self) -> None:
        self.built = False
        self._rate = np.float32(0.001)

    @property
    def learning_rate(self) -> Any:
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._rate = np.float32(value)

    def build(self, variables: Any) -> None:
        self.built = True


class Metric:
    def __init__(self, name: str, direction: str) -> None:
        self.name = name
        self._direction = direction


class Model:
    """One weight, which counts epochs; files hold it as text."""

    def __init__(self) -> None:
        self.optimizer = Optimizer()
        self.metrics: list[Any] = []
        self.trainable_variables: list[Any] = []
        self.built = True
        self.stop_training = False
        self.initial_epoch: int | None = None
        self.history: Any = None
        self.weight = 0
        self.saved: list[str] = []

    def get_weights(self) -> list[Any]:
        return [np.array(self.weight)]

    def set_weights(self, weights: list[Any]) -> None:
        self.weight = int(weights[0])

    def save(self, filepath: str, overwrite: bool = True) -> None:
        self.save_weights(filepath, overwrite)

    def save_weights(self, filepath: str, overwrite: bool = True) -> None:
        self.saved.append(os.path.basename(filepath))
        Path(filepath).write_text(str(self.weight))

    def load_weights(self, filepath: str) -> None:
        assert self.optimizer.built
        self.weight = int(Path(filepath).read_text())


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "time", lambda: found.now)
    return found


def fit(
    callback: Any,
    losses: list[float],
    *,
    model: Model | None = None,
    steps: int = 3,
    verbose: int = 0,
    validate: bool = True,
    known_steps: bool = True,
    pause: Callable[[], None] = lambda: None,
) -> Model:
    """What `Model.fit` does as far as callbacks can see, with these losses at the ends of the epochs."""
    model = model or Model()
    model.stop_training = False
    every = CallbackList(
        callback,
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=len(losses),
        steps=steps if known_steps else None,
    )
    every.on_train_begin()
    first, model.initial_epoch = model.initial_epoch or 0, None
    logs: dict[str, Any] = {}
    for epoch, loss in list(enumerate(losses))[first:]:
        every.on_epoch_begin(epoch)
        for batch in range(steps):
            every.on_train_batch_begin(batch)
            pause()
            every.on_train_batch_end(batch, {"loss": np.float32(loss + 1 / (batch + 1)), "accuracy": 0.5 * loss})
            if model.stop_training:
                break
        model.weight = epoch + 1
        logs = {"loss": loss, "accuracy": 0.1 * loss}
        if validate:
            every.on_test_begin()
            every.on_test_batch_begin(0)
            every.on_test_batch_end(0, {"loss": loss})
            every.on_test_end({"loss": loss})
            logs |= {"val_loss": loss * 1.1, "val_accuracy": -0.0001 * loss}
        every.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    every.on_train_end(logs)
    return model


# ---- history and progress line


def test_history_has_sorted_keys_and_floats() -> None:
    history = fit([], [0.5, 0.25]).history
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.history["loss"] == [0.5, 0.25] and history.epoch == [0, 1]
    assert history.params == {"verbose": 0, "epochs": 2, "steps": 3}
    assert all(type(value) is float for values in history.history.values() for value in values)


def plain(text: str) -> str:
    for code in ("\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m", "\b"):
        text = text.replace(code, "")
    return text


def test_progress_lines(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def pause() -> None:
        clock.now += 0.123

    fit([], [0.5, 0.4], verbose=1, pause=pause)
    cells = "━" * 20
    assert plain(capsys.readouterr().out) == "".join(
        f"Epoch {epoch}/2\n"
        f"\r1/3 {cells} 0s 123ms/step - accuracy: {batch} - loss: {losses[0]}"
        f"\r2/3 {cells} 0s 123ms/step - accuracy: {batch} - loss: {losses[1]}"
        f"\r3/3 {cells} 0s 123ms/step - accuracy: {batch} - loss: {losses[2]}"
        f"\r3/3 {cells} 0s 123ms/step - {last}\n"
        for epoch, batch, losses, last in (
            (
                1,
                "0.2500",
                ("1.5000", "1.0000", "0.8333"),
                "accuracy: 0.0500 - loss: 0.5000 - val_accuracy: -5.0000e-05 - val_loss: 0.5500",
            ),
            (
                2,
                "0.2000",
                ("1.4000", "0.9000", "0.7333"),
                "accuracy: 0.0400 - loss: 0.4000 - val_accuracy: -4.0000e-05 - val_loss: 0.4400",
            ),
        )
    )


def test_progress_with_an_unknown_number_of_steps(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def pause() -> None:
        clock.now += 0.123

    fit([], [0.5, 0.4], verbose=1, validate=False, known_steps=False, pause=pause)
    first, second = plain(capsys.readouterr().out).split("Epoch 2/2\n")
    cells = "━" * 20
    assert first == (
        "Epoch 1/2\n"
        "\r      1/Unknown 0s 123ms/step - accuracy: 0.2500 - loss: 1.5000"
        "\r      2/Unknown 0s 123ms/step - accuracy: 0.2500 - loss: 1.0000"
        "\r      3/Unknown 0s 123ms/step - accuracy: 0.2500 - loss: 0.8333"
        f"\r3/3 {cells} 0s 123ms/step - accuracy: 0.0500 - loss: 0.5000\n"
    )
    # The second epoch knows how many there are.
    assert second.startswith(f"\r1/3 {cells} 0s 123ms/step - accuracy: 0.2000 - loss: 1.4000")


def test_verbose_2(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def pause() -> None:
        clock.now += 0.123

    fit([], [0.5], verbose=2, pause=pause)
    assert capsys.readouterr().out == (
        "3/3 - 0s - 123ms/step - accuracy: 0.0500 - loss: 0.5000 - val_accuracy: -5.0000e-05 - val_loss: 0.5500\n"
    )


def test_evaluate_and_predict_have_their_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    for stage in ("test", "predict"):
        every = CallbackList(None, add_progbar=True, model=Model(), verbose=1, epochs=1, steps=1)
        getattr(every, f"on_{stage}_begin")()
        getattr(every, f"on_{stage}_batch_end")(0, {"loss": 0.5})
        getattr(every, f"on_{stage}_end")({"loss": 0.5})
        out = plain(capsys.readouterr().out)
        assert out.endswith("\n") and ("loss: 0.5000" in out) == (stage == "test")


# ---- early stopping


def test_early_stopping_restores_the_best_weights(capsys: pytest.CaptureFixture[str]) -> None:
    model = fit(EarlyStopping(patience=2, verbose=1, restore_best_weights=True), LOSSES)
    assert capsys.readouterr().out == (
        "Epoch 4: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    )
    assert model.weight == 2 and model.history.epoch == [0, 1, 2, 3]


def test_early_stopping_restores_also_without_stopping() -> None:
    assert fit(EarlyStopping(patience=20, restore_best_weights=True), LOSSES).weight == 7


def test_early_stopping_with_baseline_delta_and_start(capsys: pytest.CaptureFixture[str]) -> None:
    stop = EarlyStopping(monitor="loss", patience=2, verbose=1, min_delta=0.2, baseline=0.9, start_from_epoch=1)
    assert fit(stop, LOSSES).history.epoch == [0, 1, 2, 3]
    assert capsys.readouterr().out == "Epoch 4: early stopping\n"


def test_a_baseline_that_is_not_beaten_does_not_reset_the_counter() -> None:
    model = fit(EarlyStopping(monitor="loss", patience=3, baseline=0.1), [0.9, 0.8, 0.7, 0.7, 0.7])
    assert model.history.epoch == [0, 1, 2, 3]


def test_early_stopping_cannot_stop_after_the_first_epoch() -> None:
    model = fit(EarlyStopping(monitor="val_accuracy", mode="max"), LOSSES)
    # -0.0001 * loss grows at the second epoch and falls at the third.
    assert model.history.epoch == [0, 1, 2]


def test_a_metric_that_is_not_there_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="metric `nope` which is not available. Available metrics are: accuracy,loss"):
        fit(EarlyStopping(monitor="nope", mode="max"), LOSSES[:2])


@pytest.mark.parametrize(
    ("monitor", "metrics", "epochs"),
    [
        ("val_loss", [], 3),
        ("val_accuracy", [Metric("accuracy", "up")], 3),
        ("val_accuracy", [Metric("accuracy", "down")], 2),
        ("val_accuracy", [type("Compiled", (), {"name": "c", "metrics": [Metric("accuracy", "up")]})()], 3),
    ],
)
def test_auto_mode_asks_the_metrics(monitor: str, metrics: list[Any], epochs: int) -> None:
    model = Model()
    model.metrics = metrics
    fit(EarlyStopping(monitor=monitor), [1.0, 0.5, 0.6, 0.7], model=model)
    assert len(model.history.epoch) == epochs


def test_auto_mode_of_a_model_with_several_outputs() -> None:
    model = Model()
    model.metrics = [Metric("accuracy", "up")]
    monitor = callbacks.MonitorCallback("val_head_accuracy")
    monitor.set_model(model)
    assert monitor._is_improvement(2.0, None) and monitor._is_improvement(2.0, 1.0)


def test_auto_mode_that_cannot_know_says_so() -> None:
    with pytest.raises(ValueError, match="EarlyStopping callback received monitor=val_accuracy.*Pass `mode='max'`"):
        fit(EarlyStopping(monitor="val_accuracy"), LOSSES)


def test_an_unknown_mode_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="EarlyStopping mode 'best' is unknown"):
        EarlyStopping(mode="best")


def test_early_stopping_can_be_used_again() -> None:
    stop = EarlyStopping(monitor="loss", patience=0)
    assert len(fit(stop, [1.0, 2.0, 3.0]).history.epoch) == 2
    assert len(fit(stop, [5.0, 4.0, 3.0]).history.epoch) == 3


# ---- learning rate


def test_reduce_lr_on_plateau(capsys: pytest.CaptureFixture[str]) -> None:
    model = fit(ReduceLROnPlateau(patience=1, verbose=1, cooldown=1, min_lr=1e-5), LOSSES)
    assert capsys.readouterr().out == (
        "\nEpoch 3: ReduceLROnPlateau reducing learning rate to 0.00010000000474974513.\n"
        "\nEpoch 4: ReduceLROnPlateau reducing learning rate to 1.0000000474974514e-05.\n"
        "\nEpoch 5: ReduceLROnPlateau reducing learning rate to 1e-05.\n"
    )
    np.testing.assert_allclose(model.history.history["learning_rate"], [1e-3] * 3 + [1e-4] + [1e-5] * 5, rtol=1e-6)


def test_reduce_lr_needs_a_factor_below_one() -> None:
    with pytest.raises(ValueError, match="does not support a factor >= 1.0. Received factor=2"):
        ReduceLROnPlateau(factor=2)


def test_reduce_lr_warns_when_there_is_nothing_to_watch() -> None:
    with pytest.warns(
        UserWarning, match="`val_loss` which is not available. Available metrics are: accuracy,loss,lear"
    ):
        fit(ReduceLROnPlateau(), [0.5], validate=False)


def test_learning_rate_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    model = fit(LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1), LOSSES[:2])
    assert capsys.readouterr().out == (
        "\nEpoch 1: LearningRateScheduler setting learning rate to 0.0005000000237487257.\n"
        "\nEpoch 2: LearningRateScheduler setting learning rate to 0.0002500000118743628.\n"
    )
    assert model.history.history["learning_rate"] == [0.0005000000237487257, 0.0002500000118743628]


def test_a_schedule_of_the_epoch_only() -> None:
    model = fit(LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)), LOSSES[:2])
    np.testing.assert_allclose(model.history.history["learning_rate"], [0.1, 0.05], rtol=1e-7)


def test_a_type_error_inside_a_schedule_is_not_swallowed() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        fit(LearningRateScheduler(lambda epoch, rate: rate + "x"), [0.5])


@pytest.mark.parametrize("rate", [1, "x", None, np.zeros(2)])
def test_a_schedule_must_return_a_float(rate: Any) -> None:
    with pytest.raises(ValueError, match="output of the `schedule` function should be a float. Got: "):
        fit(LearningRateScheduler(lambda epoch: rate), [0.5])


# ---- checkpoints


def test_checkpoint_fills_in_names_and_makes_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new/m_{epoch:02d}_{val_loss:.2f}.keras"
    model = fit(ModelCheckpoint(path, verbose=1), LOSSES[:2])
    assert model.saved == ["m_01_1.10.keras", "m_02_0.55.keras"]
    assert capsys.readouterr().out == (
        f"\nEpoch 1: saving model to {tmp_path}/new/m_01_1.10.keras\n"
        f"\nEpoch 1: finished saving model to {tmp_path}/new/m_01_1.10.keras\n"
        f"\nEpoch 2: saving model to {tmp_path}/new/m_02_0.55.keras\n"
        f"\nEpoch 2: finished saving model to {tmp_path}/new/m_02_0.55.keras\n"
    )


def test_checkpoint_of_the_best_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "best.keras")
    model = fit(ModelCheckpoint(path, save_best_only=True, verbose=1, initial_value_threshold=0.7), LOSSES[:3])
    assert capsys.readouterr().out == (
        "\nEpoch 1: val_loss did not improve from 0.70000\n"
        f"\nEpoch 2: val_loss improved from 0.70000 to 0.55000, saving model to {path}\n"
        f"\nEpoch 2: finished saving model to {path}\n"
        "\nEpoch 3: val_loss did not improve from 0.55000\n"
    )
    assert model.saved == ["best.keras"]


def test_checkpoint_by_batches_counts_through_epochs(tmp_path: Path) -> None:
    model = fit(ModelCheckpoint(tmp_path / "b{epoch}_{batch}.keras", save_freq=2), LOSSES[:2], steps=5)
    assert model.saved == ["b1_2.keras", "b1_4.keras", "b2_1.keras", "b2_3.keras", "b2_5.keras"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(filepath="x.h5", save_weights_only=True), r"must end in `.weights.h5` .* Received: filepath=x.h5"),
        (dict(filepath="x.pt"), "must end in `.keras` .* Received: filepath=x.pt"),
        (dict(filepath="x.keras", save_freq="batch"), "Unrecognized save_freq: batch"),
        (dict(filepath="x.keras", save_freq=0), "Unrecognized save_freq: 0"),
    ],
)
def test_checkpoint_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(**arguments)


def test_checkpoint_problems_name_the_path(tmp_path: Path) -> None:
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(OSError, match=r"existing directory: .*folder.keras"):
        fit(ModelCheckpoint(tmp_path / "folder.keras"), [0.5])
    with pytest.raises(KeyError, match=r"Failed to format this callback filepath: .*\{nope\}.keras"):
        fit(ModelCheckpoint(tmp_path / "{nope}.keras"), [0.5])
    with pytest.warns(UserWarning, match="Can save best model only with val_loss available"):
        fit(ModelCheckpoint(tmp_path / "a.keras", save_best_only=True), [0.5], validate=False)
    assert (tmp_path / "a.keras").exists()


# ---- CSV, NaN, functions


def test_csv_logger(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    fit(CSVLogger(path), [1.0, 0.5])
    assert path.read_bytes() == (
        b"epoch,accuracy,loss,val_accuracy,val_loss\r\n0,0.1,1.0,-0.0001,1.1\r\n1,0.05,0.5,-5e-05,0.55\r\n"
    )
    fit(CSVLogger(path, append=True), [0.25])
    assert path.read_bytes().endswith(b"1,0.05,0.5,-5e-05,0.55\r\n0,0.025,0.25,-2.5e-05,0.275\r\n")


def test_csv_logger_keeps_columns_for_a_later_validation(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    fit(CSVLogger(str(path), separator=";"), [0.5], validate=False)
    assert path.read_bytes() == b"epoch;accuracy;loss;val_accuracy;val_loss\r\n0;0.05;0.5;NA;NA\r\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_terminate_on_nan(value: float, capsys: pytest.CaptureFixture[str]) -> None:
    model = fit(TerminateOnNaN(), [0.5, value, 0.2])
    assert capsys.readouterr().out == "Batch 0: Invalid loss, terminating training\n"
    assert model.history.epoch == [0, 1]
    with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch 0"):
        fit(TerminateOnNaN(raise_error=True), [value])


def test_lambda_callback() -> None:
    calls: list[Any] = []
    fit(
        LambdaCallback(
            on_epoch_end=lambda epoch, logs: calls.append((epoch, sorted(logs))),
            on_train_batch_end=lambda batch, logs: calls.append(batch),
            on_test_begin=lambda logs: calls.append("test"),
        ),
        [0.5],
        steps=2,
    )
    assert calls == [0, 1, "test", (0, ["accuracy", "loss", "val_accuracy", "val_loss"])]
    with pytest.raises(TypeError, match="'on_epoch_ende' is not a hook"):
        LambdaCallback(on_epoch_ende=print)


# ---- the list


class Counter(Callback):
    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches += 1


def test_hooks_come_in_the_order_of_keras() -> None:
    calls: list[str] = []
    hooks = [name for name in dir(Callback) if name.startswith("on_") and "batch_" not in name]
    hooks += ["on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end"]
    noted = {name: (lambda *args, name=name, **kwargs: calls.append(name)) for name in hooks}
    fit(LambdaCallback(**noted), [0.5], steps=1)
    assert calls == [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_test_begin",
        "on_test_batch_begin",
        "on_test_batch_end",
        "on_test_end",
        "on_epoch_end",
        "on_train_end",
    ]


def test_the_older_batch_hooks_are_called() -> None:
    counter = Counter()
    fit([counter], [0.5, 0.4])
    assert counter.batches == 6


def test_batch_hooks_that_do_nothing_are_not_listeners() -> None:
    every = CallbackList([Callback(), Counter(), LambdaCallback(on_train_batch_begin=print)], add_history=True)
    assert [type(c).__name__ for c in every.listeners("on_train_batch_end")] == ["Counter"]
    assert [type(c).__name__ for c in every.listeners("on_train_batch_begin")] == ["LambdaCallback"]
    assert every.listeners("on_predict_batch_end") == []


def test_logs_written_by_one_callback_reach_the_next() -> None:
    model = fit(LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=7)), [0.5])
    assert model.history.history["extra"] == [7]


def test_nests_and_single_callbacks_are_taken() -> None:
    a, b = Counter(), Counter()
    assert CallbackList(a).callbacks == [a]
    assert CallbackList([a, (b,)]).callbacks == [a, b]
    assert CallbackList(None).callbacks == []


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_test_end"])
def test_what_a_callback_raises_comes_out(hook: str) -> None:
    def explode(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(hook)

    with pytest.raises(RuntimeError, match=hook):
        fit(LambdaCallback(**{hook: explode}), [0.5])
