"""Do all systems compute the same thing? Checked before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.materials import Array
from benchmarks.workloads import Kind

Numbers = Sequence[float] | Array

# Outputs, relative to the largest: different orders of summation give 1e-5 at most, bfloat16 would give 1e-2.
OUTPUT_TOLERANCE = 1e-4
# Losses of the first steps: Adam divides by the root of tiny squares, which magnifies rounding,
# and PyTorch adds its epsilon elsewhere: 2e-4 at most.
LOSS_TOLERANCE = 5e-4
# The mean loss of an epoch: shuffling and dropout draw their own numbers in every system.
EPOCH_TOLERANCE = 0.15


class Disagreement(Exception):
    """Systems compute different numbers; the text names them."""


def require_agreement(kind: Kind, values: Mapping[str, Sequence[float]]) -> None:
    """Raise Disagreement unless every system's outputs or losses are near the median of all.

    values: by system, the outputs (of inference), the logits behind a text that was written (they depend on all of
    it), or the losses of the first steps without dropout.
    """
    match kind:
        case "infer":
            _require("the outputs", values, OUTPUT_TOLERANCE)
        case "generate":
            _require("the logits behind the text", values, OUTPUT_TOLERANCE)
        case _:
            _require("the losses of the first steps", values, LOSS_TOLERANCE)


def require_epoch_agreement(losses: Mapping[str, float]) -> None:
    """Raise Disagreement unless the mean losses of a first epoch are alike."""
    _require("the mean losses of an epoch", {name: [loss] for name, loss in losses.items()}, EPOCH_TOLERANCE)


def require_same_results(results: Mapping[str, Sequence[Array]]) -> None:
    """Raise Disagreement unless all systems' kernels return arrays of the same shapes that are near each other."""
    shapes = {name: [array.shape for array in arrays] for name, arrays in results.items()}
    if len({str(found) for found in shapes.values()}) > 1:
        raise Disagreement(f"the results have different shapes: {shapes}")
    for number in range(len(next(iter(shapes.values())))):
        flat = {name: arrays[number].ravel() for name, arrays in results.items()}
        _require(f"the elements of result {number}", flat, OUTPUT_TOLERANCE)


def deviations(values: Mapping[str, Numbers]) -> dict[str, float]:
    """Each system's largest distance from the median of all systems, relative to the largest median value.

    A system with another number of values, or with a value that is not finite, is infinitely far away.
    """
    sizes = [len(v) for v in values.values()]
    size = max(set(sizes), key=sizes.count)
    arrays = {name: np.asarray(v, np.float64) for name, v in values.items()}
    sound = {name: a for name, a in arrays.items() if a.size == size and np.isfinite(a).all()}
    if not sound:
        return dict.fromkeys(values, float("inf"))
    median = np.median(list(sound.values()), axis=0)
    scale = float(np.abs(median).max()) or 1.0
    return {n: float(np.abs(a - median).max()) / scale if n in sound else float("inf") for n, a in arrays.items()}


def _require(what: str, values: Mapping[str, Numbers], tolerance: float) -> None:
    far = {name: distance for name, distance in deviations(values).items() if not distance <= tolerance}
    if far:
        listed = ", ".join(f"{name} by {distance:.1e} ({_start(values[name])})" for name, distance in far.items())
        raise Disagreement(f"{what} differ from the median of all systems by more than {tolerance:g}: {listed}")


def _start(values: Numbers) -> str:
    return " ".join(f"{value:.6g}" for value in values[:3]) + (" ..." if len(values) > 3 else "")
