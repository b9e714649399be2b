"""Training, evaluation and prediction, as Keras does them: `compile`, `fit`, `evaluate`, `predict`, `*_on_batch`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import config, optimizers, tree
from graphc.callbacks import CallbackList
from graphc.layers.input_spec import check_inputs
from graphc.legacy.models import OldMethods, without_old_arguments
from graphc.models.arrays import (
    ArraySource,
    Signature,
    checked_batch_size,
    is_arrays,
    present,
    train_validation_split,
)
from graphc.models.compilation import Executables
from graphc.models.compiled import CompileLoss, CompileMetrics
from graphc.models.data import Source, source_of
from graphc.models.iterables import IterableSource
from graphc.models.loop import Feed, Report
from graphc.models.steps import Steps, new_loss_tracker


class Trainer(Steps, Executables, OldMethods):
    """What makes a layer a model: the compiled loss, metrics and optimizer, and the loops that run executables."""

    _layers: list[Any]
    input_spec: Any

    def __init__(self) -> None:
        self.optimizer: Any = None
        self.loss: Any = None
        self._loss_tracker: Any = None
        self.compiled = False
        self.stop_training = False
        self.history: Any = None
        self.initial_epoch: int | None = None
        self.run_eagerly = False
        self._compile_loss: CompileLoss | None = None
        self._compile_metrics: CompileMetrics | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._forget_executables()

    # ---- compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        *,
        tune: float | None = None,
        check_numerics: bool = False,
        memory_limit: int | None = None,
    ) -> None:
        """Choose optimizer, loss and metrics. Native code is compiled when the first data shows its shapes.

        Beyond Keras: tune: at most so many seconds a step are then spent on finding better schedules for the large
        kernels (see `graphc.tuner`). check_numerics: steps raise FloatingPointError where NaN or infinity appears
        first, before anything is updated; slow. memory_limit: bytes a step may need in all; activations are computed
        again in the backward pass where that helps, and MemoryError says what is needed at least where it does not.
        """
        self._compile_arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        self.optimizer = optimizers.get(optimizer)
        if auto_scale_loss and self.dtype_policy.name == "mixed_float16":  # type: ignore[attr-defined]
            self.optimizer = _with_scaled_loss(self.optimizer)
        self.loss = loss
        names = getattr(self, "output_names", None)
        given = metrics is not None or weighted_metrics is not None
        if given or self._compile_metrics is None:
            self._compile_metrics = CompileMetrics(metrics, weighted_metrics, names) if given else None
        self._compile_loss = CompileLoss(loss, loss_weights, names) if loss is not None else None
        # not by ordinary assignment: the layer would keep every tracker there ever was among its own metrics
        object.__setattr__(self, "_loss_tracker", new_loss_tracker())
        self.run_eagerly = run_eagerly
        self.steps_per_execution = steps_per_execution
        self.jit_compile = jit_compile
        self._tune_seconds = tune
        self._check_numerics = check_numerics
        self._memory_limit = memory_limit
        self.stop_training = False
        self.compiled = True
        self._forget_executables()

    def _assert_compiled(self) -> None:
        if not self.compiled:
            raise ValueError("You must call `compile()` before using the model.")

    def _prepare(self, source: Source) -> None:
        """Refuse data that does not fit, in words about the data, before anything is traced."""
        if isinstance(source, ArraySource) and source.size == 0:
            raise ValueError(f"There are no samples: x has {source.size} rows")
        if self.built and self.input_spec is not None:
            sample = tree.map_structure(lambda a: a[: source.batch_size], source.x)
            advice = f". Model {self.name} was built for inputs of shape {self.input_shape}"  # type: ignore[attr-defined]
            if not isinstance(sample, dict):
                check_inputs(self.input_spec, sample, self.name, advice)

    # ---- fit

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        **kwargs: Any,
    ) -> Any:
        """Train for a number of epochs; returns the `History` of logs."""
        self._assert_compiled()
        if x is None:
            raise ValueError("fit() got no data: x is None")
        kwargs = without_old_arguments("fit", kwargs)
        epochs = kwargs.pop("epochs", epochs)
        if kwargs:
            raise TypeError(f"fit() got an unexpected keyword argument '{next(iter(kwargs))}'")
        epochs = min(epochs, config.max_epochs() or epochs)
        batch_size = checked_batch_size(batch_size)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split((x, y, sample_weight), validation_split)
        source = source_of(x, y, sample_weight, batch_size, shuffle, steps_per_epoch, class_weight)
        self._prepare(source)
        validation = self._validation(validation_data, validation_batch_size or batch_size, validation_steps)
        step = self._train_step(source)
        feed = Feed(source, _limited(steps_per_epoch))
        progress = self._progress(callbacks, verbose, epochs, feed.steps, add_history=True)
        self.stop_training = False
        progress.on_train_begin()
        logs: dict[str, Any] = {}
        start = self.initial_epoch if self.initial_epoch is not None else initial_epoch
        self.initial_epoch = None
        for epoch in range(start, epochs):
            self.reset_metrics()
            progress.on_epoch_begin(epoch)
            logs = self._run_epoch(step, feed, progress, "train")
            if validation is not None and _is_due(validation_freq, epoch):
                logs.update(self._validate(validation, validation_steps, progress))
            progress.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        if self.optimizer is not None and epochs > 0:
            self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]
        progress.on_train_end(logs)
        return self.history

    def _progress(
        self, callbacks: Any, verbose: Any, epochs: int, steps: int | None, add_history: bool = False
    ) -> CallbackList:
        """The callbacks of one call, with the progress line unless it is silent."""
        model: Any = self
        return CallbackList(callbacks, add_history, verbose != 0, model, verbose=verbose, epochs=epochs, steps=steps)

    def _train_step(self, source: Source) -> Any:
        """The training executable; Keras's first `fit` uses up one permutation before it trains."""
        parts = [part for part in (self._compile_loss, self._compile_metrics) if part is not None]
        is_built = all(layer.built for layer in self._flatten_layers())  # type: ignore[attr-defined]
        is_first = not is_built or any(not (part.built or part.is_known) for part in parts)
        for part in parts:
            part.is_known = True
        if is_first and isinstance(source, ArraySource) and source.shuffle:
            source.draw_order()
        return self._checked(self._executable("train", source.signature, _rows_of(source)), source)

    @staticmethod
    def _checked(step: Any, source: Source) -> Any:
        """The executable, after labels and ids of all samples were found in range: nothing is updated otherwise."""
        if isinstance(source, ArraySource):
            step.step.check_data(source.flat)
        return step

    def _validation(self, validation_data: Any, batch_size: int | None, steps: int | None) -> Source | None:
        if validation_data is None:
            return None
        if isinstance(validation_data, (tuple, list)) and len(validation_data) in (2, 3):
            x, y, sample_weight = (*validation_data, None)[:3]
            source = source_of(x, y, sample_weight, batch_size, steps=steps)
        else:
            source = source_of(validation_data)
        self._prepare(source)
        return source

    def _validate(self, source: Source, steps: int | None, progress: Any) -> dict[str, Any]:
        self.reset_metrics()
        logs = self._evaluate(source, Feed(source, _limited(steps)), progress)
        return {f"val_{name}": value for name, value in logs.items()}

    def _run_epoch(self, step: Any, feed: Feed, progress: Any, phase: str) -> dict[str, Any]:
        """All batches of an epoch; returns the logs after the last."""
        begin = progress.listeners(f"on_{phase}_batch_begin")
        report = Report(progress, phase, step.logs)
        run, signature = step.run, step.signature
        ran = False
        for index, (arrays, rows) in enumerate(feed.epoch()):
            if begin:
                getattr(progress, f"on_{phase}_batch_begin")(index)
            if rows > step.batch or feed.source.signature is not signature:
                signature = feed.source.signature
                step = self._executable(step.mode, signature, max(rows, step.batch))
                run, report.logs = step.run, step.logs
            run(arrays, rows)
            ran = True
            report.batch_end(index)
            if self.stop_training and phase == "train":
                break
        if not ran:
            raise ValueError("The data has no batches: there is nothing to compute")
        return self._epoch_logs(step)

    def _epoch_logs(self, step: Any) -> dict[str, Any]:
        """The logs after the last step: the results of the metrics, unless the user's step returns other logs."""
        logs: dict[str, Any] = step.logs()
        results = self.get_metrics_result() if step.has_own_logs else logs
        return results if set(results) == set(logs) else logs

    # ---- evaluate and predict

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and metrics on this data: a list (loss first), a scalar if there are no metrics, or a dict."""
        self._assert_compiled()
        if kwargs := without_old_arguments("evaluate", kwargs):
            raise ValueError(f"Arguments not recognized: {kwargs}")
        source = source_of(x, y, sample_weight, batch_size, steps=steps)
        self._prepare(source)
        feed = Feed(source, _limited(steps))
        progress = callbacks
        if not isinstance(callbacks, CallbackList):
            progress = self._progress(callbacks, verbose, 1, feed.steps)
        self.reset_metrics()
        logs = self._evaluate(source, feed, progress)
        return logs if return_dict else self._result_list(logs)

    def _evaluate(self, source: Source, feed: Feed, progress: Any) -> dict[str, Any]:
        step = self._checked(self._executable("evaluate", source.signature, _rows_of(source)), source)
        progress.on_test_begin()
        logs = self._run_epoch(step, feed, progress, "test")
        progress.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all samples, in the model's structure."""
        if is_arrays(x) and present(x) and not len(present(x)[0]):
            return self._empty_outputs(x)
        source = source_of(x, batch_size=batch_size, steps=steps)
        self._prepare(source)
        inputs_only = _without_labels(source)
        step = self._checked(self._executable_for("infer", inputs_only, _rows_of(source)), source)
        feed = Feed(inputs_only, _limited(steps))
        progress = self._progress(callbacks, verbose, 1, feed.steps)
        progress.on_predict_begin()
        begin, end = progress.listeners("on_predict_batch_begin"), progress.listeners("on_predict_batch_end")
        parts = []
        for index, (arrays, count) in enumerate(feed.epoch()):
            if begin:
                progress.on_predict_batch_begin(index)
            if count > step.batch or source.signature is not step.signature:
                step = self._executable("infer", source.signature, max(count, step.batch))
            parts.append(step.run(arrays, count))
            if end:
                progress.on_predict_batch_end(index, {"outputs": step.packed(parts[-1])})
        progress.on_predict_end()
        from graphc.models.executable import concatenated

        return step.packed(concatenated(parts))

    def _empty_outputs(self, x: Any) -> Any:
        """The outputs of no samples."""
        one = tree.map_structure(lambda a: np.zeros((1, *np.shape(a)[1:]), np.asarray(a).dtype), x)
        return tree.map_structure(lambda a: a[:0], self.predict(one, verbose=0))

    # ---- single batches

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step; the loss and metrics of this batch (as in Keras, the running ones start anew)."""
        self._assert_compiled()
        source = _one_batch(x, y, sample_weight, class_weight)
        self._prepare(source)
        self.reset_metrics()
        return self._on_batch("train", source, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch (as in Keras, the running ones start anew)."""
        self._assert_compiled()
        source = _one_batch(x, y, sample_weight)
        self._prepare(source)
        self.reset_metrics()
        return self._on_batch("evaluate", source, return_dict)

    def _on_batch(self, mode: str, source: ArraySource, return_dict: bool) -> Any:
        step = self._executable(mode, source.signature, source.size)
        step.run(source.flat, source.size)
        if step.has_own_logs:
            return step.logs() if return_dict else self._result_list(step.logs())
        return step.logs() if return_dict else self._result_list()

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch."""
        source = _one_batch(x)
        self._prepare(source)
        step = self._executable_for("infer", source, source.size)
        return step.packed(step.run(source.flat, source.size))


def _with_scaled_loss(optimizer: Any) -> Any:
    """The optimizer, in one that scales the loss so that small gradients survive float16."""
    if isinstance(optimizer, optimizers.LossScaleOptimizer):
        return optimizer
    return optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")


def _rows_of(source: Source) -> int:
    """The rows of the largest batch."""
    return min(source.size, source.batch_size) if isinstance(source, ArraySource) else source.batch_size


def _limited(steps: int | None) -> int | None:
    most = config.max_steps_per_epoch()
    return steps if most is None else min(steps or most, most)


def _is_due(frequency: Any, epoch: int) -> bool:
    return (epoch + 1) % frequency == 0 if isinstance(frequency, int) else epoch + 1 in frequency


def _without_labels(source: Source) -> Source:
    """The same inputs without labels and weights, for prediction from a generator of (x, y)."""
    if isinstance(source, IterableSource) and (source.y is not None or source.sample_weight is not None):
        source.signature = Signature.of(source.x, None, None)
        inner = source._unpacked
        source._unpacked = lambda batch: (inner(batch)[0], None, None)  # type: ignore[method-assign]
    return source


def _one_batch(x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> ArraySource:
    arrays = tree.map_structure(lambda leaf: leaf if leaf is None else np.asarray(leaf), x)
    size = len(present(arrays)[0])
    targets = tree.map_structure(lambda leaf: leaf if leaf is None else np.asarray(leaf), y)
    weights = tree.map_structure(lambda leaf: leaf if leaf is None else np.asarray(leaf), sample_weight)
    return ArraySource(arrays, targets, weights, size or 1, class_weight=class_weight)
