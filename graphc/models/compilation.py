"""The executables of a model: one compiled step for each mode, kind of data and batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import losses, tree
from graphc.models.arrays import DEFAULT_BATCH, Signature, checked_batch_size
from graphc.models.data import Source
from graphc.options import compile_options


class Executables:
    """Compiles the steps of a model when they are first needed and keeps them until the model is compiled anew."""

    name: str
    built: bool
    loss: Any
    run_eagerly: bool
    _tune_seconds: float | None = None
    _check_numerics: bool = False
    _memory_limit: int | None = None

    def _forget_executables(self) -> None:
        object.__setattr__(self, "_executables", {})

    def executable(
        self,
        mode: str = "infer",
        batch_size: int | None = None,
        *,
        like: Any = None,
        threads: int | None = None,
        tune: float | None = None,
        check_numerics: bool | None = None,
        memory_limit: int | None = None,
    ) -> Any:
        """The native executable of one step: with the mode alone the one used last, if there is one.

        mode: "infer", "train" or "evaluate". like: an example (x,), (x, y) or (x, y, sample_weight) whose dtypes and
        shapes without batch are compiled for. Without one the model's own inputs are taken, and for the other modes
        the targets its loss asks for: int32 class numbers for a sparse loss, else an array like the output.
        check_numerics, memory_limit: other than `compile` was told; then the executable is a new one every time.
        """
        from graphc.models.executable import MODES

        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}; received: {mode!r}")
        is_plain = all(x is None for x in (batch_size, like, threads, tune, check_numerics, memory_limit))
        if is_plain and (latest := self._latest(mode)) is not None:
            return latest
        batch = checked_batch_size(batch_size) or self._static_batch() or DEFAULT_BATCH
        signature = Signature.of(*self._example(mode, like))
        if check_numerics is None and memory_limit is None:
            return self._executable(mode, signature, batch, threads, tune)
        return self._compile_step(mode, signature, batch, threads, tune, check_numerics, memory_limit)

    def _latest(self, mode: str) -> Any:
        """The executable of this mode that was compiled last, or None."""
        return next((found for key, found in reversed(self._executables.items()) if key[0] == mode), None)  # type: ignore[attr-defined]

    def _example(self, mode: str, like: Any) -> tuple[Any, ...]:
        """x, y and sample_weight to compile for: those given, or what the model's inputs and loss tell."""
        if like is None:
            like = self._example_inputs() if mode == "infer" else (*self._example_inputs(), self._example_targets())
        parts = like if isinstance(like, tuple) else (like,)
        return (*parts, None, None)[:3]

    def _example_inputs(self) -> tuple[Any, ...]:
        inputs = getattr(self, "input", None) if self.built else None
        if inputs is None:
            raise ValueError(f"Model {self.name} has no known input shape yet: build it or pass like=(x,)")
        return (tree.map_structure(lambda t: np.zeros((1, *t.shape[1:]), t.dtype), inputs),)

    def _example_targets(self) -> Any:
        """Targets of one row, from the loss and the outputs. ValueError where the loss does not tell them."""
        self._assert_compiled()  # type: ignore[attr-defined]
        if not isinstance(self.loss, str | losses.Loss) or tree.is_nested(self.output):  # type: ignore[attr-defined]
            raise ValueError(f"The targets of {self.name} do not follow from its loss: pass an example, like=(x, y)")
        output = self.output  # type: ignore[attr-defined]
        name = self.loss if isinstance(self.loss, str) else type(self.loss).__name__
        if "sparse" in name.lower():
            return np.zeros((1, *output.shape[1:-1]), np.int32)
        return np.zeros((1, *output.shape[1:]), output.dtype)

    def _executable(
        self, mode: str, signature: Signature, batch: int, threads: int | None = None, tune: float | None = None
    ) -> Any:
        """The executable for exactly this batch, compiled if there is none; `tune` is no part of what it is."""
        state = tuple(id(v) for v in self.trainable_variables) if mode == "train" and self.built else ()  # type: ignore[attr-defined]
        key = (mode, signature, batch, state, threads)
        found = self._executables.get(key)  # type: ignore[attr-defined]
        if found is None:
            found = self._compile_step(mode, signature, batch, threads, tune)
            state = tuple(id(v) for v in self.trainable_variables) if mode == "train" else ()  # type: ignore[attr-defined]
            self._executables[mode, signature, batch, state, threads] = found  # type: ignore[attr-defined]
        return found

    def _compile_step(
        self,
        mode: str,
        signature: Signature,
        batch: int,
        threads: int | None,
        tune: float | None,
        check_numerics: bool | None = None,
        memory_limit: int | None = None,
    ) -> Any:
        from graphc.models import trace
        from graphc.models.executable import ModelExecutable

        step = trace.TRACERS[mode](self, signature, batch)
        given: dict[str, Any] = {"threads": threads} if threads else {}
        given["tune"] = self._tune_seconds if tune is None else tune
        given["memory_limit"] = self._memory_limit if memory_limit is None else memory_limit
        guarded = self._check_numerics if check_numerics is None else check_numerics
        read = self._log_reader()  # type: ignore[attr-defined]
        options = compile_options(**given)
        return ModelExecutable(mode, step, signature, batch, read, options, self.run_eagerly, guarded)

    def _static_batch(self) -> int | None:
        """The batch that the model's inputs were declared with, as layers that keep states between batches need."""
        inputs = getattr(self, "input", None) if self.built else None
        return None if inputs is None else tree.flatten(inputs)[0].shape[0]

    def _executable_for(self, mode: str, source: Source, rows: int) -> Any:
        """An executable for `rows` rows of this data: the smallest known one that is large enough, or a new one."""
        if self._static_batch():
            return self._executable(mode, source.signature, rows)
        known = [key[2] for key in self._executables if key[:2] == (mode, source.signature) and key[2] >= rows]  # type: ignore[attr-defined]
        return self._executable(mode, source.signature, min(known) if known else _rounded(rows, source.batch_size))


def _rounded(rows: int, batch: int) -> int:
    """A batch to compile for: the next power of two, at most `batch`, so that few sizes are ever compiled."""
    return min(1 << (rows - 1).bit_length(), max(batch, rows)) if rows > 1 else 1
