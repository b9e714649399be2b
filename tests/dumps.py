"""What a folder of dumps must keep: graphs that read as they were written, passes that make of the first what the
compiler made, and native runs of the first and the last that agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import graphc.primitives  # noqa: F401  fills the registry
from graphc.compiler import apply_passes, compile_graph, random_inputs
from graphc.insight.check import _gross_difference
from graphc.ir.graph import Graph
from graphc.ir.op import REGISTRY, Array
from graphc.ir.parse import parse_graph, read_graph
from graphc.ir.text import large_constants, print_graph
from graphc.options import CompileOptions

PLAIN = CompileOptions(threads=2, cache=False)


def folders_of(place: Path) -> list[Path]:
    """The dumps that programs wrote into a place."""
    return sorted(path.parent for path in place.glob("*/00-input.graph"))


def check_texts(folder: Path) -> None:
    """Every stage reads and prints as it is, the planned one but for its comments; passes give the last stage again."""
    graphs = {path: read_graph(path, REGISTRY) for path in sorted(folder.glob("*.graph"))}
    for path, graph in graphs.items():
        text = path.read_text("utf-8").partition("\n")[2]
        if "planned" not in path.stem:
            assert print_graph(graph) == text, path
        if not large_constants(graph):
            assert print_graph(parse_graph(print_graph(graph), REGISTRY)) == print_graph(graph), path
    source, fused = (
        next(graph for path, graph in graphs.items() if path.stem.endswith(end)) for end in ("input", "fuse")
    )
    assert print_graph(apply_passes(source)) == print_graph(fused), folder


def check_runs(folder: Path) -> None:
    """The source and the fused graph give the same numbers."""
    source = read_graph(folder / "00-input.graph", REGISTRY)
    fused = read_graph(next(folder.glob("*-fuse.graph")), REGISTRY)
    arrays = dict(zip((value.name for value in source.inputs), random_inputs(source, 3), strict=True))
    before, after = (_results(graph, arrays) for graph in (source, fused))
    for name, expected in before.items():
        assert _gross_difference(expected, after[name]) is None, f"{folder}: {name}"


def _results(graph: Graph, arrays: dict[str, Array]) -> dict[str, Array]:
    """Outputs and states after a run, by name."""
    data = [value.name for value in graph.inputs_of("input")]
    bound = {name: np.array(array, order="C") for name, array in arrays.items() if name not in data}
    exe = compile_graph(graph, PLAIN, bind=bound)
    outputs = exe.run([arrays[name] for name in data])
    return {**{f"output {i}": array for i, array in enumerate(outputs)}, **exe.state}
