"""`graphc.compile`: one door to a native executable, for models and for graphs."""

from __future__ import annotations

from typing import Any

from graphc.compiler import compile_graph
from graphc.ir.graph import Graph
from graphc.models.model import Model
from graphc.options import compile_options


def compile(
    model_or_graph: Any,
    *,
    batch_size: int | None = None,
    mode: str = "infer",
    threads: int | None = None,
    tune: float | None = None,
    like: Any = None,
) -> Any:
    """The native executable of a model's step or of a graph.

    mode: "infer", "train" or "evaluate" (models only). like: an example (x,) or (x, y) of the data, needed for training
    and evaluation. tune: seconds to spend on trying out schedules for the large kernels of this machine (see
    `graphc.tuner`); what is found is used again by later processes. TypeError for anything but a model or a graph.
    """
    if isinstance(model_or_graph, Graph):
        given = {"threads": threads} if threads else {}
        return compile_graph(model_or_graph, compile_options(**given, tune=tune))
    if isinstance(model_or_graph, Model):
        return model_or_graph.executable(mode, batch_size, like=like, threads=threads, tune=tune)
    raise TypeError(f"compile: wanted a Model or a Graph, got {type(model_or_graph).__name__}")
