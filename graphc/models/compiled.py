"""What `compile()` was given, resolved against the model's outputs: which loss and which metrics for which output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc import losses, metrics, ops, tree
from graphc.naming import to_snake_case


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output: which leaf of the outputs, how much it counts, and the name of its own log."""

    index: int
    loss: Any
    weight: float | None
    name: str


def kind_of_classification(y_true: Any, y_pred: Any) -> str:
    """ "binary", "sparse_categorical" or "categorical", from the shapes."""
    if len(y_pred.shape) < 1 or y_pred.shape[-1] == 1:
        return "binary"
    is_sparse = len(y_true.shape) < len(y_pred.shape) or (
        len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1
    )
    return "sparse_categorical" if is_sparse else "categorical"


def resolve_loss(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    """The Loss of what the user gave for one output."""
    if str(identifier).lower() in ("crossentropy", "ce"):
        found = losses.get(f"{kind_of_classification(y_true, y_pred)}_crossentropy")
    else:
        found = losses.get(identifier)
    if isinstance(found, losses.Loss):
        return found
    name = (
        identifier if isinstance(identifier, str) else getattr(found, "__name__", to_snake_case(type(found).__name__))
    )
    return losses.LossFunctionWrapper(found, name=name)


def resolve_metric(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    """The Metric of what the user gave for one output; "accuracy" and "crossentropy" are chosen by the shapes."""
    name = str(identifier).lower()
    if name in ("accuracy", "acc"):
        found: Any = metrics.get(f"{kind_of_classification(y_true, y_pred)}_accuracy")
    elif name in ("crossentropy", "ce"):
        found = metrics.get(f"{kind_of_classification(y_true, y_pred)}_crossentropy")
    else:
        found = metrics.get(identifier)
    if isinstance(identifier, str) and isinstance(found, metrics.Metric):
        found.name = identifier
    if isinstance(found, metrics.Metric):
        return found
    return metrics.MeanMetricWrapper(found, name=identifier if isinstance(identifier, str) else found.__name__)


class CompileLoss:
    """The loss of all outputs together, with a running mean of each if there are several."""

    def __init__(self, loss: Any, loss_weights: Any, output_names: Sequence[str] | None) -> None:
        if loss_weights is not None and not isinstance(loss_weights, (list, tuple, dict, float, int)):
            raise ValueError(
                "Expected `loss_weights` argument to be a float (single output case) or a list, tuple, or dict "
                "(multiple "
                f"output case). Received instead: loss_weights={loss_weights} of type {type(loss_weights)}"
            )
        self.loss = loss
        self.loss_weights = loss_weights
        self.output_names = output_names
        self.built = False
        self.is_known = False  # to a `fit`
        self.metrics: list[Any] = []
        self.parts: list[OutputLoss] = []

    def build(self, y_true: Any, y_pred: Any) -> None:
        predictions = tree.flatten(y_pred)
        names = output_names_of(y_pred, self.output_names)
        targets = in_order_of_outputs(y_true, names)
        chosen = per_output(self.loss, y_pred, names, "loss")
        weights = per_output(self.loss_weights, y_pred, names, "loss_weights")
        if isinstance(self.loss_weights, (list, tuple)) and len(self.loss_weights) != len(predictions):
            raise ValueError(
                f"`loss_weights` must match the number of losses, got {len(predictions)} losses and "
                f"{len(self.loss_weights)} "
                "weights."
            )
        targets = matched_targets(targets, chosen)
        for index, (loss, weight) in enumerate(zip(chosen, weights, strict=True)):
            if loss is None:
                continue
            resolved = resolve_loss(loss, targets[index], predictions[index])
            self.parts.append(OutputLoss(index, resolved, weight, names[index] or resolved.name))
        if isinstance(y_pred, Mapping) and isinstance(self.loss, Mapping):
            order = list(self.loss)
            self.parts.sort(key=lambda part: order.index(part.name))
        if len(self.parts) > 1:
            self.metrics = [metrics.Mean(name=f"{part.name}_loss") for part in self.parts]
        self.chosen = chosen
        self.built = True

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if y_true is None:
            raise ValueError("The compiled loss compares with targets, and there are none: pass `y`, or batches (x, y)")
        if not self.built:
            self.build(y_true, y_pred)
        names = output_names_of(y_pred, self.output_names)
        targets = matched_targets(in_order_of_outputs(y_true, names), self.chosen)
        predictions = tree.flatten(y_pred)
        weights = in_order_of_outputs(sample_weight, names)
        values = []
        for position, part in enumerate(self.parts):
            weight = weights[part.index] if len(weights) == len(predictions) else weights[0]
            value = part.loss(targets[part.index], predictions[part.index], weight)
            if self.metrics:
                rows = ops.shape(predictions[part.index])[0]
                self.metrics[position].update_state(value, sample_weight=rows)
            values.append(value if part.weight is None else value * part.weight)
        return sum(values[1:], values[0])


class CompileMetrics:
    """The metrics of all outputs."""

    name = "compile_metrics"

    def __init__(self, given: Any, weighted: Any, output_names: Sequence[str] | None) -> None:
        for argument, value in (("metrics", given), ("weighted_metrics", weighted)):
            if value and not isinstance(value, (list, tuple, dict)):
                raise ValueError(
                    f"Expected `{argument}` argument to be a list, tuple, or dict. "
                    f"Received instead: {argument}={value} of type {type(value)}"
                )
        self.given = given
        self.weighted = weighted
        self.output_names = output_names
        self.built = False
        self.is_known = False  # to a `fit`
        # (index of the output, prefix of the name, metric, whether sample weights count)
        self.entries: list[tuple[int, str, Any, bool]] = []

    @property
    def metrics(self) -> list[Any]:
        return [metric for _, _, metric, _ in self.entries]

    @property
    def variables(self) -> list[Any]:
        return [variable for metric in self.metrics for variable in metric.variables]

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    def build(self, y_true: Any, y_pred: Any) -> None:
        predictions = tree.flatten(y_pred)
        names = output_names_of(y_pred, self.output_names)
        targets = in_order_of_outputs(y_true, names)
        for argument, given, weighted in (("metrics", self.given, False), ("weighted_metrics", self.weighted, True)):
            for index, chosen in enumerate(metrics_per_output(given, y_pred, names, argument)):
                for identifier in chosen:
                    prefix = f"{names[index]}_" if len(predictions) > 1 and names[index] else ""
                    metric = resolve_metric(identifier, targets[min(index, len(targets) - 1)], predictions[index])
                    self.entries.append((index, prefix, metric, weighted))
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not self.built:
            self.build(y_true, y_pred)
        names, predictions = output_names_of(y_pred, self.output_names), tree.flatten(y_pred)
        targets, weights = in_order_of_outputs(y_true, names), in_order_of_outputs(sample_weight, names)
        for index, _, metric, weighted in self.entries:
            target = targets[min(index, len(targets) - 1)]
            if target is None:
                continue
            if weighted:
                weight = weights[index] if len(weights) == len(predictions) else weights[0]
                metric.update_state(target, predictions[index], sample_weight=weight)
            else:
                metric.update_state(target, predictions[index])

    def result(self) -> dict[str, Any]:
        """The results by the names of their logs."""
        return {name: metric.result() for name, metric in self.named.items()}

    @property
    def named(self) -> dict[str, Any]:
        """The metrics by the name of their log; one that is taken gets `weighted_` before it or a number behind it."""
        found: dict[str, Any] = {}
        for _, prefix, metric, _ in self.entries:
            name = f"{prefix}{metric.name}"
            if name in found:
                name = f"{prefix}weighted_{metric.name}"
            unique, number = name, 1
            while unique in found:
                unique, number = f"{name}_{number}", number + 1
            found[unique] = metric
        return found


def output_names_of(y_pred: Any, names: Sequence[str] | None) -> list[str | None]:
    """A name per output: the keys of a dict, else those of the functional model."""
    count = len(tree.flatten(y_pred))
    if isinstance(y_pred, Mapping) and len(y_pred) == count:
        return [path[0] for path, _ in tree.flatten_with_path(y_pred)]
    return list(names) if names and len(names) == count else [None] * count


def in_order_of_outputs(values: Any, names: list[str | None]) -> list[Any]:
    """Targets or weights as a list: those of a dict by the names of the outputs, with None for what it lacks."""
    if isinstance(values, Mapping) and set(values) <= set(names) and not any(map(tree.is_nested, values.values())):
        return [values.get(name) for name in names]
    return tree.flatten(values)


def per_output(given: Any, y_pred: Any, names: list[str | None], argument: str) -> list[Any]:
    """One entry per output of an argument that may be one for all, a list or a dict by name."""
    count = len(names)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        if unknown and count == 1:
            return [next(iter(given.values()))]
        if unknown:
            raise ValueError(f"Expected keys {names} in {argument} dict, but found {argument}.keys()={list(given)}")
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        if len(given) == count:
            return list(given)
        if argument == "loss":
            raise ValueError(
                "For a model with multiple outputs, when providing the `loss` argument as a list, it should have as "
                "many "
                f"entries as the model has outputs. Received:\nloss={given}\nof length {len(given)} whereas the model "
                "has "
                f"{count} outputs."
            )
        return [None] * count
    return [given] * count


def metrics_per_output(given: Any, y_pred: Any, names: list[str | None], argument: str) -> list[list[Any]]:
    """The list of metrics of every output."""
    count = len(names)
    if not given:
        return [[] for _ in names]
    if count == 1:
        return [tree.flatten(given)]
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ValueError(
                f"Invalid `{argument}`. `{argument}` should contain metrics objects and either be a dict or a list "
                "matching "
                f"the output names of the functional model {names}. Received: {argument}={given}"
            )
        return [_as_list(given.get(name)) for name in names]
    if len(given) == count:
        return [_as_list(entry) for entry in given]
    raise ValueError(
        f"Invalid `{argument}`. `{argument}` should contain metrics objects and either be a dict or a list matching "
        "the "
        f"output names of the functional model {names}. Received: {argument}={given}"
    )


def _as_list(entry: Any) -> list[Any]:
    if entry is None:
        return []
    return tree.flatten(entry)


def matched_targets(targets: list[Any], chosen: list[Any]) -> list[Any]:
    """A target per output; outputs without a loss may have none. ValueError if the numbers do not fit."""
    if len(targets) == len(chosen):
        for index, (target, loss) in enumerate(zip(targets, chosen, strict=True)):
            if loss is not None and target is None and len(chosen) > 1:
                raise ValueError(f"Output {index} of the model has the loss {loss!r}, but y has no target for it")
        return targets
    wanted = [index for index, loss in enumerate(chosen) if loss is not None]
    if len(targets) != len(wanted):
        raise ValueError(
            f"y_true and y_pred have different structures.\ny_true: {['*'] * len(targets)}\ny_pred: "
            f"{['*'] * len(chosen)}\n"
        )
    given = iter(targets)
    return [next(given) if index in wanted else None for index in range(len(chosen))]
