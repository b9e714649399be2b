"""`graphc.compile`: one door to a native executable, for models and for graphs."""

from __future__ import annotations

from typing import Any

from graphc.compiler import compile_graph
from graphc.ir.graph import Graph
from graphc.models.model import Model
from graphc.options import CompileOptions, compile_options


def compile(
    model_or_graph: Any,
    *,
    batch_size: int | None = None,
    mode: str = "infer",
    threads: int | None = None,
    tune: float | None = None,
    like: Any = None,
    check_numerics: bool = False,
    memory_limit: int | None = None,
) -> Any:
    """The native executable of a model's step or of a graph.

    mode: "infer", "train" or "evaluate" (models only). like: an example (x,) or (x, y) of the data, needed for training
    and evaluation. tune: seconds to spend on trying out schedules for the large kernels of this machine (see
    `graphc.tuner`); what is found is used again by later processes. check_numerics: runs raise
    `graphc.insight.numerics.NumericsError` (a FloatingPointError) where NaN or infinity first appears, before anything
    is updated. memory_limit: bytes the step may need in all; MemoryError says what is needed at least. TypeError for
    anything but a model or a graph.
    """
    if isinstance(model_or_graph, Graph):
        given: dict[str, Any] = {"threads": threads} if threads else {}
        return _graph_executable(
            model_or_graph, compile_options(**given, tune=tune, memory_limit=memory_limit), check_numerics
        )
    if isinstance(model_or_graph, Model):
        guarded = check_numerics or None
        return model_or_graph.executable(
            mode,
            batch_size,
            like=like,
            threads=threads,
            tune=tune,
            check_numerics=guarded,
            memory_limit=memory_limit,
        )
    raise TypeError(f"compile: wanted a Model or a Graph, got {type(model_or_graph).__name__}")


def _graph_executable(graph: Graph, options: CompileOptions, guarded: bool) -> Any:
    if not guarded:
        return compile_graph(graph, options)
    from graphc.insight.numerics import GuardedExecutable

    return GuardedExecutable(graph, options, None)
