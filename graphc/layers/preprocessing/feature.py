"""Numeric features: categories as vectors, numbers as bins, and what layers on features share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config, ops
from graphc.layers.layer import TENSORS, Layer
from graphc.tracing import contains

Array = NDArray[Any]
OUTPUT_MODES = ("int", "one_hot", "multi_hot", "count")


class FeatureLayer(Layer):
    """A layer whose inputs may also be numbers and lists of them."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(contains(kind, inputs) for kind in TENSORS):
            inputs = np.asarray(inputs)
        return super().__call__(inputs, *args, **kwargs)


def checked_output_mode(layer: str, mode: Any, allowed: Sequence[str], sparse: bool = False) -> str:
    """The output mode under its present name. ValueError for one that is not allowed, and for sparse outputs."""
    if sparse:
        raise ValueError(f"{layer}: `sparse=True` cannot be used: graphc has no sparse tensors. Leave it out.")
    mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(mode, mode)
    if mode not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(
            f"Unknown value for `output_mode` argument of layer {layer}: wanted one of {names}. "
            f"Received: output_mode={mode}"
        )
    return str(mode)


def encode_categories(ids: Any, output_mode: str, depth: int, dtype: Any, count_weights: Any = None) -> Any:
    """Integers as themselves ("int"), as one-hot vectors, or as vectors that mark or count them along axis 1.

    Vectors have the length `depth`; integers outside of [0, depth) appear in none.
    """
    if output_mode == "int":
        return ops.cast(ids, dtype)
    shape = ops.shape(ids)
    if not shape:
        ids, shape = ops.expand_dims(ids, -1), (1,)
    if output_mode == "one_hot":
        ids = ops.squeeze(ids, -1) if len(shape) > 1 and shape[-1] == 1 else ids
        return ops.one_hot(ids, depth, dtype=dtype)
    axis = 1 if len(shape) > 1 else 0
    hot = ops.one_hot(ids, depth, dtype=dtype)
    if output_mode == "multi_hot":
        return ops.max(hot, axis)
    return ops.sum(hot if count_weights is None else hot * ops.expand_dims(count_weights, -1), axis)


class CategoryEncoding(FeatureLayer):
    """Integers of [0, num_tokens) as vectors: "one_hot" each, or "multi_hot" and "count" all of a sample at once."""

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.output_mode = checked_output_mode("CategoryEncoding", output_mode, OUTPUT_MODES[1:], sparse)
        if num_tokens is None:
            raise ValueError(
                "num_tokens must be set to use this layer. If the number of tokens is not known beforehand, use the "
                "IntegerLookup layer instead."
            )
        if num_tokens < 1:
            raise ValueError(f"`num_tokens` must be >= 1. Received: num_tokens={num_tokens}.")
        self.num_tokens = num_tokens
        self.sparse = sparse

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                "`count_weights` is not used when `output_mode` is not `'count'`. Received "
                f"`count_weights={count_weights}`."
            )
        weights = None if count_weights is None else ops.cast(count_weights, self.compute_dtype)
        return encode_categories(
            ops.cast(inputs, "int32"), self.output_mode, self.num_tokens, self.compute_dtype, weights
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode}


class Discretization(FeatureLayer):
    """Numbers as the index of their bin: the number of boundaries that are not above them.

    bin_boundaries: increasing numbers; or num_bins: `adapt` places the boundaries so that the bins hold about equally
    many values of the data, with a relative error of `epsilon`.
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.output_mode = checked_output_mode("Discretization", output_mode, OUTPUT_MODES, sparse)
        if num_bins is not None and num_bins < 0:
            raise ValueError(f"`num_bins` must be greater than or equal to 0. Received: `num_bins={num_bins}`")
        if num_bins is not None and bin_boundaries is not None:
            raise ValueError(
                f"Both `num_bins` and `bin_boundaries` should not be set. Received: `num_bins={num_bins}` and "
                f"`bin_boundaries={bin_boundaries}`"
            )
        if num_bins is None and bin_boundaries is None:
            raise ValueError("You need to set either `num_bins` or `bin_boundaries`.")
        self.bin_boundaries = bin_boundaries
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.sparse = sparse
        self.summary: Array = _no_summary()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Place the boundaries for this data: an array or list, or an iterable of batches (at most `steps`)."""
        if self.num_bins is None:
            raise ValueError(
                "Cannot adapt a Discretization layer that has been initialized with `bin_boundaries`, use `num_bins` "
                "instead."
            )
        self.reset_state()
        for batch in batches_of(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count another batch of values."""
        summary = _summarize(np.asarray(data, np.float32), self.epsilon)
        merged = np.concatenate((summary, self.summary), axis=1)
        self.summary = _compress(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Make the boundaries of what was counted."""
        if self.num_bins is not None:
            self.bin_boundaries = tuple(_compress(self.summary, 1.0 / self.num_bins)[0, :-1].tolist())

    def reset_state(self) -> None:
        if self.num_bins is not None:
            self.summary = _no_summary()

    def call(self, inputs: Any) -> Any:
        if self.bin_boundaries is None:
            raise ValueError(
                "You need to either pass the `bin_boundaries` argument at construction time or call `adapt(dataset)` "
                "before you can start using the `Discretization` layer."
            )
        boundaries = np.asarray(self.bin_boundaries, np.float32)
        # not below, so that NaN falls into the last bin, as in numpy.digitize
        reached = ops.logical_not(ops.expand_dims(ops.cast(inputs, "float32"), -1) < boundaries)
        bins = ops.sum(ops.cast(reached, "int32"), -1)
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        return encode_categories(bins, self.output_mode, len(boundaries) + 1, dtype)

    def load_own_variables(self, store: Any) -> None:
        """Keras may save the summary of the values; the boundaries themselves are part of the config."""
        if len(store) == 1:
            self.summary = np.asarray(store["0"])

    def get_config(self) -> dict[str, Any]:
        return {
            "bin_boundaries": None if self.bin_boundaries is None else list(self.bin_boundaries),
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        both = config.get("bin_boundaries") is not None and config.get("num_bins") is not None
        layer = super().from_config({**config, "bin_boundaries": None} if both else config)
        if both:
            layer.bin_boundaries = tuple(config["bin_boundaries"])
        return layer


def batches_of(data: Any, steps: int | None = None, whole: tuple[type, ...] = (np.ndarray,)) -> Iterator[Any]:
    """The batches of what `adapt` was given: the array itself, or what an iterable yields."""
    if isinstance(data, whole) or hasattr(data, "__array__") or not isinstance(data, Iterable):
        yield data
        return
    for index, batch in enumerate(data):
        if steps is not None and index >= steps:
            return
        yield batch


def first_part(batch: Any) -> Any:
    """x of a batch (x, y) or (x, y, weights), else the batch."""
    return batch[0] if isinstance(batch, tuple) else batch


def _no_summary() -> Array:
    return np.zeros((2, 0), np.float32)


def _summarize(values: Array, epsilon: float) -> Array:
    """[2, k]: about 1 / epsilon values that stand for all, in order, and how many each of them stands for."""
    ordered = np.sort(values.reshape(-1))
    step = max(ordered.size / (1.0 / epsilon), 1)
    chosen = ordered[int(step - 1) :: int(step)]
    return np.stack([chosen, np.full_like(chosen, step)])


def _compress(summary: Array, epsilon: float) -> Array:
    """A summary with about 1 / epsilon entries, interpolated between those of a longer one."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    totals = summary[1].cumsum()
    reached = totals / totals[-1]
    totals_at = np.interp(shares, reached, totals)
    weights = np.diff(totals_at, prepend=0.0)
    return np.stack([np.interp(shares, reached, summary[0]), weights]).astype(np.float32)


def output_dtype(output_mode: str) -> str:
    """What lookups return: int64 indices, or vectors of floats."""
    return "int64" if output_mode == "int" else config.floatx()
