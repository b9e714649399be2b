"""What attention does while a sequence is generated: some steps at a time, with keys and values of those before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from graphc import initializers, ops
from graphc.layers.layer import Layer
from graphc.saving import register_keras_serializable
from graphc.variables import Variable


class Decoding:
    """The steps that are traced, usually one: position of the first (int32, a scalar), room of what is remembered.

    memories: those of another number of steps of the same model, which these share, in the order of the calls.
    """

    def __init__(self, position: Any, steps: int, length: int, memories: Iterable[Variable]) -> None:
        self.position = position
        self.steps, self.length = steps, length
        self.memories: list[Variable] = []
        self._known = iter(memories)

    def positions(self) -> Any:
        """(steps,): of each step."""
        return self.position + ops.arange(self.steps)

    def seen(self) -> Any:
        """(1, steps, length): the steps up to each one."""
        return ops.less_equal(ops.arange(self.length), ops.expand_dims(self.positions(), 1))[None]

    def remembered(self, new: Any, name: str, axis: int) -> Any:
        """Like `new`, these steps, but with all `length` of them along `axis`; those to come hold anything finite."""
        shape = [int(n) for n in new.shape]
        shape[axis] = self.length
        memory = next(self._known, None)
        if memory is None:
            memory = Variable(np.zeros(shape), dtype=new.dtype, trainable=False, name=name)
        self.memories.append(memory)
        number = ops.arange(self.length) - self.position
        is_new = ops.logical_and(ops.greater_equal(number, 0), ops.less(number, self.steps))
        if self.steps > 1:
            new = ops.take(new, ops.clip(number, 0, self.steps - 1), axis=axis)
        found = ops.where(ops.reshape(is_new, [-1 if i == axis else 1 for i in range(len(shape))]), new, memory)
        memory.assign(found)
        return found


_current: ContextVar[Decoding | None] = ContextVar("decoding", default=None)
current_decoding = _current.get


@contextmanager
def decoding(step: Decoding) -> Iterator[None]:
    """Inside, layers that look at other steps are called on these."""
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)


def with_memory(layer: Any, k: Any, v: Any, only_causal: bool, masks: Iterable[Any]) -> tuple[Any, Any, Any]:
    """(all keys, all values, which steps are seen) while a sequence is generated, for those of its next steps.

    ValueError for attention that cannot go step by step.
    """
    step = current_decoding()
    assert step is not None
    is_masked = layer.sliding_window is not None or any(mask is not None for mask in masks)
    if k.shape[1] != step.steps or not only_causal or is_masked:
        raise ValueError(
            f"Layer '{layer.name}' cannot go step by step: text is generated with self-attention that has "
            "`use_causal_mask=True`, no other masks, no `sliding_window`, and no `return_attention_scores`"
        )
    # Steps are the columns of the product with the keys: they lie next to each other.
    keys = step.remembered(ops.transpose(k, (0, 2, 3, 1)), f"{layer.name}_keys", axis=3)
    values = step.remembered(v, f"{layer.name}_values", axis=1)
    return ops.transpose(keys, (0, 3, 1, 2)), values, step.seen()


@register_keras_serializable(package="graphc")
class PositionEmbedding(Layer):
    """(n, time, features) plus a trained row for each position: weights (sequence_length, features).

    Shorter sequences take the first rows. Keras has no such layer; a model with it can be generated from.
    """

    def __init__(self, sequence_length: int, embeddings_initializer: Any = "uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(sequence_length, int) or sequence_length <= 0:
            raise ValueError(f"`sequence_length` must be a positive integer. Received: {sequence_length}")
        self.sequence_length = sequence_length
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if input_shape[1] is not None and input_shape[1] > self.sequence_length:
            raise ValueError(
                f"Layer '{self.name}' has {self.sequence_length} positions, the input has {input_shape[1]} steps"
            )
        self.embeddings = self.add_weight(
            (self.sequence_length, input_shape[-1]), self.embeddings_initializer, name="embeddings"
        )

    def call(self, inputs: Any) -> Any:
        if (step := current_decoding()) is not None:
            return inputs + ops.take(self.embeddings, step.positions(), axis=0)
        return inputs + self.embeddings[: inputs.shape[1]]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        initializer = initializers.serialize(self.embeddings_initializer)
        own = {"sequence_length": self.sequence_length, "embeddings_initializer": initializer}
        return {**super().get_config(), **own}
