"""A model's executable: one compiled step with the model's structures around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import compiler, tree
from graphc.compiler import CheckError, InterpretedExecutable
from graphc.ir.op import Array
from graphc.models.arrays import Signature, present
from graphc.models.steps import number
from graphc.models.trace import Step

MODES = ("train", "evaluate", "infer")


class ModelExecutable:
    """Runs one traced step natively on arrays of exactly the compiled dtypes, up to `batch` rows.

    mode "infer": call with x, returns outputs in the model's structure. "train" and "evaluate": call with x, y and
    sample_weight, returns the logs (running means since the metrics were reset); "train" updates the model's weights.
    The executable borrows the model's weights; everything else of the compiled program (`graph`, `kernels`,
    `memory_plan`, `state`, ...) is read from it too.
    """

    def __init__(
        self,
        mode: str,
        step: Step,
        signature: Signature,
        batch: int,
        logs: Callable[[], dict[str, float]],
        options: Any,
        eager: bool = False,
        guarded: bool = False,
    ) -> None:
        self.mode = mode
        self.step = step
        self.signature = signature
        self.batch = batch
        self._read_logs = logs
        self._last: list[Array] = []
        self.native = _executable(step, options, eager, guarded)

    def __getattr__(self, name: str) -> Any:
        if name == "native":
            raise AttributeError(name)
        return getattr(self.native, name)

    def run(self, arrays: list[Array], rows: int) -> list[Array]:
        """One step on a flat list of arrays. ValueError with value and row for a label or id out of range."""
        try:
            self._last = self.native.run(arrays, rows)
            return self._last
        except CheckError as error:
            raise ValueError(self.step.explain(error.message, arrays)) from None

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        arrays = [part for part in (x, y, sample_weight) if part is not None]
        if not all(type(part) is np.ndarray for part in arrays):
            arrays = present(arrays)
        if len(arrays) != len(self.signature.arrays) or any(not isinstance(array, np.ndarray) for array in arrays):
            raise TypeError(f"This executable takes ({_listed(self.signature)}), got {len(arrays)} values")
        rows = len(arrays[0])
        if rows > self.batch:
            raise ValueError(f"This executable takes at most {self.batch} rows, got {rows}")
        outputs = self.run(arrays, rows)
        return self.packed(outputs) if self.mode == "infer" else self.logs()

    @property
    def has_own_logs(self) -> bool:
        """Whether the logs are what a step of the user's returns, not the results of the metrics."""
        return self.mode != "infer" and isinstance(self.step.outputs, dict)

    def logs(self) -> dict[str, Any]:
        """The logs after the last step: running means since the last reset, or what the user's step returned."""
        if not self.has_own_logs:
            return self._read_logs()
        return {name: number(array) for name, array in zip(self.step.outputs, self._last, strict=True)}

    def packed(self, outputs: list[Array]) -> Any:
        """Outputs in the structure the model returns; dicts in the order of their keys, as Keras has them on JAX."""
        return _ordered(tree.pack_sequence_as(self.step.outputs, outputs))


def _ordered(structure: Any) -> Any:
    """The same structure with the entries of plain dicts sorted by key."""
    if not tree.is_nested(structure):
        return structure
    return tree.traverse(lambda part: _by_key(part) if type(part) is dict else None, structure, top_down=False)


def _by_key(entries: dict[Any, Any]) -> dict[Any, Any]:
    return {key: entries[key] for key in sorted(entries, key=lambda key: (type(key).__name__, key))}


def _executable(step: Step, options: Any, eager: bool, guarded: bool) -> Any:
    """What runs a step. eager: numpy interprets the graph, for debugging; guarded: NaN and infinity are errors."""
    if eager:
        return InterpretedExecutable(step.graph, step.bindings)
    if guarded:
        from graphc.insight.numerics import GuardedExecutable

        return GuardedExecutable(step.graph, options, step.bindings)
    return compiler.compile_graph(step.graph, options, bind=step.bindings, watched=True)


def _listed(signature: Signature) -> str:
    """The arrays of a signature as text: float32[n, 4], ..."""
    return ", ".join(f"{dtype}[{', '.join(['n', *map(str, shape)])}]" for shape, dtype in signature.arrays)


def concatenated(parts: list[list[Array]]) -> list[Array]:
    """The outputs of several batches joined along the rows."""
    return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]
