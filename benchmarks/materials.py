"""Inputs, targets and initial weights of a workload: made once from fixed seeds, saved, and loaded by every system."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.architecture import Embedding, Shape, summarize
from benchmarks.workloads import Network, Workload

Array = NDArray[Any]
LayerWeights = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Materials:
    """x: f32[rows, ...], or i32 ids; y: i32[rows] class numbers (or one for each step), f32[rows, 1] of 0 and 1, or f32
    like the output.

    weights: one dict per layer that has any, in the order of the walk, named as in Keras.
    """

    x: Array
    y: Array
    weights: list[LayerWeights]


def make(workload: Workload) -> Materials:
    """The workload's materials; the same bits each time.

    Raises FileNotFoundError for a fit without the MNIST file in $GRAPHC_DATA.
    """
    x, y = _mnist() if workload.kind == "fit" else _batch(workload.network, workload.batch)
    return Materials(x, y, _weights(workload.network))


def save(path: Path, materials: Materials) -> None:
    """Write `materials` as one npz file."""
    named: dict[str, Any] = {
        f"{i}.{name}": array for i, layer in enumerate(materials.weights) for name, array in layer.items()
    }
    np.savez(path, x=materials.x, y=materials.y, **named)


def load(path: Path) -> Materials:
    """Read what `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    x, y = arrays.pop("x"), arrays.pop("y")
    weights: list[LayerWeights] = []
    for name, array in arrays.items():
        index, kind = name.split(".")
        if int(index) == len(weights):
            weights.append({})
        weights[int(index)][kind] = array
    return Materials(x, y, weights)


def _batch(network: Network, rows: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    shape, first = (rows, *network.input_shape), network.layers[0]
    x: Array = rng.random(shape, np.float32)
    if isinstance(first, Embedding):
        x = rng.integers(0, first.ids, shape, np.int32)
    *steps, classes = summarize(network.layers, network.input_shape).output
    if network.loss == "sparse_categorical_crossentropy":
        return x, rng.integers(0, classes, (rows, *steps), np.int32)
    if network.loss == "binary_crossentropy":
        return x, rng.integers(0, 2, (rows, classes)).astype(np.float32)
    return x, x


def _mnist() -> tuple[Array, Array]:
    folder = os.environ.get("GRAPHC_DATA", "")
    path = Path(folder) / "mnist.npz"
    if not folder or not path.is_file():
        raise FileNotFoundError(f"no {path}; set GRAPHC_DATA to the folder that holds mnist.npz")
    with np.load(path, allow_pickle=False) as file:
        x, y = file["x_train"], file["y_train"]
    return (x[..., None] / np.float32(255)).astype(np.float32), y.astype(np.int32)


def _weights(network: Network) -> list[LayerWeights]:
    rng = np.random.default_rng(2)
    shapes = summarize(network.layers, network.input_shape).weights
    return [{name: _initial(rng, name, shape) for name, shape in layer.items()} for layer in shapes]


def _initial(rng: np.random.Generator, name: str, shape: Shape) -> Array:
    """He-uniform kernels, less for gates and heads; the others are drawn too, so that a system that loses one of them
    gives other numbers.
    """
    if name == "kernel":
        # A depthwise kernel (h, w, channels, 1) reads h * w values; any other reads all its axes but the last.
        fan_in = prod(shape[:2] if shape[-1] == 1 and len(shape) == 4 else shape[:-1])
        limit = sqrt(6 / fan_in)
        return rng.uniform(-limit, limit, shape).astype(np.float32)
    if name.endswith("_kernel"):
        fan_in = prod(shape[:-1]) if name == "output_kernel" else shape[0]
        return rng.uniform(-sqrt(3 / fan_in), sqrt(3 / fan_in), shape).astype(np.float32)
    if name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return rng.normal(0, 0.1, shape).astype(np.float32)
