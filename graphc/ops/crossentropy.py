"""Cross-entropies of labels against probabilities or logits."""

from __future__ import annotations

from typing import Any

from graphc import config
from graphc.ops.activations import log_sigmoid, log_softmax
from graphc.ops.dispatch import convert, op, tracer
from graphc.ops.elementwise import clip, log, negative
from graphc.ops.reductions import sum
from graphc.ops.shapes import one_hot, shown, squeeze
from graphc.tensor import Tensor

__all__ = ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]


@op
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(target * log(output)) along the axis; probabilities are normalised and kept off 0 and 1 by epsilon."""
    output = convert(output)
    target = convert(target, output.dtype)
    _check_targets("categorical_crossentropy", target, output)
    return negative(sum(target * _log_probabilities(output, from_logits, axis), axis))


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return log_softmax(output, axis)
    probabilities = output / sum(output, axis, keepdims=True)
    return log(clip(probabilities, config.epsilon(), 1.0 - config.epsilon()))


def _check_targets(name: str, target: Tensor, output: Tensor) -> None:
    if target.ndim < 1:
        raise ValueError(
            f"Arguments `target` and `output` must be at least rank 1. Received: target.shape={shown(target.shape)}, "
            f"output.shape={shown(output.shape)}"
        )
    if target.ndim != output.ndim or any(int(a) != int(b) for a, b in zip(target.shape, output.shape, strict=True)):
        raise ValueError(
            "Arguments `target` and `output` must have the same shape. Received: "
            f"target.shape={shown(target.shape)}, output.shape={shown(output.shape)}"
        )


@op
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The categorical cross-entropy of integer labels; a label outside [0, classes) is refused when the graph runs."""
    output, labels = convert(output), convert(target)
    if labels.ndim == output.ndim and int(labels.shape[-1]) == 1:
        labels = squeeze(labels, -1)
    if output.ndim < 1:
        raise ValueError(f"Argument `output` must be at least rank 1. Received: output.shape={shown(output.shape)}")
    if labels.ndim != output.ndim - 1 or [int(d) for d in labels.shape] != [int(d) for d in output.shape[:-1]]:
        raise ValueError(
            "Arguments `target` and `output` must have the same shape up until the last dimension: "
            f"target.shape={shown(labels.shape)}, output.shape={shown(output.shape)}"
        )
    classes = int(output.shape[axis])
    tracer().bound(labels, 0, classes, "label")
    hot = one_hot(labels, classes, axis, dtype=output.dtype)
    return negative(sum(hot * _log_probabilities(output, from_logits, axis), axis))


@op
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-(t log(p) + (1 - t) log(1 - p)), element by element."""
    output = convert(output)
    target = convert(target, output.dtype)
    _check_targets("binary_crossentropy", target, output)
    if from_logits:
        return negative(target * log_sigmoid(output) + (1.0 - target) * log_sigmoid(negative(output)))
    p = clip(output, config.epsilon(), 1.0 - config.epsilon())
    return negative(target * log(p) + (1.0 - target) * log(1.0 - p))
