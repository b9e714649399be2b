"""What one step of a model does with a batch: loss, metrics, and the steps that users override."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc import metrics, ops, tree
from graphc.differentiation import gradients
from graphc.models.compiled import CompileLoss, CompileMetrics
from graphc.tensor import Tensor, current_tracer
from graphc.utils.packing import unpack_x_y_sample_weight


class Steps:
    """Loss and metrics of a model, and `train_step`, `test_step`, `predict_step`, which are traced and compiled.

    An overridden step gets the batch as `fit` got it (`x`, `(x, y)` or `(x, y, sample_weight)`) as tensors and returns
    the logs, a dict of scalars, or for `predict_step` the outputs. It runs as Python once for each kind of batch.
    """

    optimizer: Any
    compiled: bool
    name: str
    _loss_tracker: Any
    _compile_loss: CompileLoss | None
    _compile_metrics: CompileMetrics | None

    # ---- the steps

    def train_step(self, data: Any) -> dict[str, Any]:
        """Forward pass, loss, gradients and update on one batch; returns the logs. Override it for another step."""
        logs = self._train(data)
        return self.get_metrics_result() if logs is None else logs

    def _train(self, data: Any) -> Any:
        """The training step; returns the logs of an overridden `compute_metrics`; None: they are in the metrics."""
        loss, logs = self._forward_loss(data, training=True)
        variables = self.trainable_variables  # type: ignore[attr-defined]
        if not self.optimizer.built:
            self.optimizer.build(variables)  # the scale of the loss may be a variable of the optimizer
        self.optimizer.apply(gradients(self.optimizer.scale_loss(loss), variables), variables)
        return logs

    def test_step(self, data: Any) -> dict[str, Any]:
        """Forward pass in inference mode and loss on one batch; returns the logs. Override it for another step."""
        _, logs = self._forward_loss(data, training=False)
        return self.get_metrics_result() if logs is None else logs

    def predict_step(self, data: Any) -> Any:
        """The outputs for one batch. Override it for others."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def _forward_loss(self, data: Any, training: bool) -> tuple[Any, Any]:
        """Forward pass, loss and updates of metrics; returns the loss, and the logs of the user's `compute_metrics`."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=training)  # type: ignore[operator]
        mode = {"training": training} if "training" in inspect.signature(self.compute_loss).parameters else {}
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **mode)
        rows = ops.shape(next(leaf for leaf in tree.flatten(x) if leaf is not None))[0]
        self._loss_tracker.update_state(loss, sample_weight=rows)
        if self._overrides("compute_metrics"):
            return loss, self.compute_metrics(x, y, y_pred, sample_weight)
        self._update_metrics(y, y_pred, sample_weight)
        return loss, None

    def _overrides(self, name: str) -> bool:
        """Whether a subclass replaces a method of this class."""
        return getattr(type(self), name) is not getattr(Steps, name)

    def _has_own_logs(self, step: str) -> bool:
        """Whether the logs of a step are what a method of the user's returns."""
        if self._overrides(step):
            self._check_signature(step)
        return self._overrides(step) or self._overrides("compute_metrics")

    def _check_signature(self, step: str) -> None:
        """TypeError for the stateless steps of Keras on JAX."""
        names = list(inspect.signature(getattr(self, step)).parameters)
        if len(names) == 2 and names[0] == "state":
            raise TypeError(
                f"{type(self).__name__}.{step}(state, data) is the stateless step of Keras's JAX backend. Write "
                f"`{step}(self, data)`: variables may be read and assigned there, and `graphc.gradients(loss, "
                "self.trainable_variables)` gives gradients; all of it is compiled into one native step"
            )

    # ---- loss and metrics

    @property
    def metrics(self) -> list[Any]:
        """The loss's running mean, the container of compiled metrics, means of single outputs, metrics of layers."""
        found = [self._loss_tracker] if self._loss_tracker is not None else []
        if self._compile_metrics is not None:
            found.append(self._compile_metrics)
        if self._compile_loss is not None:
            found.extend(self._compile_loss.metrics)
        own = list(self._metrics)  # type: ignore[attr-defined]
        for layer in self._flatten_layers(include_self=False):  # type: ignore[attr-defined]
            # those of a model inside belong to its own training
            own.extend(layer._metrics if not isinstance(layer, Steps) else ())
        return [*found, *(m for m in own if not any(m is known for known in found))]

    @property
    def metrics_names(self) -> list[str]:
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Start all running means again."""
        for metric in self.metrics:
            metric.reset_state()

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The compiled loss plus what layers and regularizers add. Override it for a loss of your own."""
        terms = []
        if self._compile_loss is not None:
            terms.append(self._compile_loss(y, y_pred, sample_weight))
        terms.extend(_scalar(loss) for loss in self.losses)  # type: ignore[attr-defined]
        if not terms:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        return sum(terms[1:], terms[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the compiled metrics and return all results by name. Override it to add others."""
        self._update_metrics(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _update_metrics(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        if self._compile_metrics is not None and y is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, Any]:
        """All running results by name, in alphabetical order: floats, or tensors inside of a traced step."""
        return dict(sorted(results(self._named_metrics()).items()))

    def _named_metrics(self) -> dict[str, Any]:
        """The metrics by the name of their log, the compiled ones last."""
        listed = self.metrics
        compiled = [metric for metric in listed if isinstance(metric, CompileMetrics)]
        own = {metric.name: metric for metric in listed if not isinstance(metric, CompileMetrics)}
        return own | {name: metric for container in compiled for name, metric in container.named.items()}

    def _log_reader(self) -> Callable[[], dict[str, Any]]:
        """`get_metrics_result` for as long as the model has these metrics: found once, read after any step."""
        named = dict(sorted(self._named_metrics().items()))
        return lambda: results(named)

    def _result_list(self, logs: Mapping[str, Any] | None = None) -> Any:
        """Loss first, then the metrics in the order given; a scalar if there is nothing but the loss.

        As in Keras, logs that bear another name than their metric (those of several outputs) come sorted at the end.
        logs: what a step of the user's returned, of which there may be more.
        """
        if logs is None:
            logs = results(self._named_metrics())
        order = {name: logs[name] for name in self._listed_names() if name in logs} | dict(sorted(logs.items()))
        values = list(order.values())
        return values[0] if len(values) == 1 else values

    def _listed_names(self) -> list[str]:
        """The own names of all metrics."""
        own = (
            [m.name for m in metric.metrics] if isinstance(metric, CompileMetrics) else [metric.name]
            for metric in self.metrics
        )
        return [name for names in own for name in names]


def new_loss_tracker() -> Any:
    """The running mean of the loss."""
    return metrics.Mean(name="loss")


def _scalar(loss: Any) -> Any:
    return ops.mean(loss) if len(loss.shape) else loss


def results(named: Mapping[str, Any]) -> dict[str, Any]:
    """The results of metrics as numbers (or arrays); a metric of several results gives its own names."""
    found: dict[str, Any] = {}
    for name, metric in named.items():
        value = metric.result()
        if isinstance(value, Mapping):
            found.update({key: number(part) for key, part in value.items()})
        else:
            found[name] = number(value)
    return found


def number(value: Any) -> Any:
    """A float for what has one value, else an array; tensors stay."""
    if isinstance(value, np.generic):
        return float(value)
    if isinstance(value, Tensor) or current_tracer() is not None:
        return value
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array
