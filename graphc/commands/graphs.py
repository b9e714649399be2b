"""Graphs in and out: passes on a graph, a graph run once."""

from __future__ import annotations

import argparse
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphc.commands.subject import UsageError, read_graph

if TYPE_CHECKING:
    from graphc.ir.graph import Graph
    from graphc.ir.op import Array


def opt(args: argparse.Namespace) -> None:
    """Runs passes and prints the graph, or writes it."""
    from graphc.compiler import apply_passes
    from graphc.ir.text import large_constants, write_graph

    names = None if args.passes is None else [name.strip() for name in args.passes.split(",") if name.strip()]
    graph = apply_passes(read_graph(args.file), names)
    if args.output:
        write_graph(args.output, graph)
        return
    sys.stdout.write(str(graph))
    if count := len(large_constants(graph)):
        sys.stderr.write(f"{count} large constants are named, not printed; -o FILE writes them too\n")


def run(args: argparse.Namespace) -> None:
    """Compiles a graph, runs it once and prints its outputs."""
    from graphc.compiler import compile_graph

    graph = read_graph(args.file)
    arrays = _arrays(graph, _load(args.inputs) if args.inputs else {}, args.seed)
    data = [value.name for value in graph.inputs_of("input")]
    bind = {name: np.array(array, order="C") for name, array in arrays.items() if name not in data}
    exe = compile_graph(graph, bind=bind)
    began = time.perf_counter()
    results = exe(*(arrays[name] for name in data))
    seconds = time.perf_counter() - began
    names = [slot.name for slot in exe.program.outputs]
    outputs = dict(zip(names, results if isinstance(results, list) else [results], strict=True))
    updated = {state.name: exe.state[state.name] for state, _ in graph.updates}
    for name, array in outputs.items():
        sys.stdout.write(_array_text(name, array))
    for name, array in updated.items():
        sys.stdout.write(f"updated {_array_text(name, array)}")
    sys.stderr.write(f"{seconds * 1e3:.3f} ms\n")
    if args.save:
        _save(args.save, {**updated, **outputs})


def _arrays(graph: Graph, given: Mapping[str, Array], seed: int | None) -> dict[str, Array]:
    """An array for every input by name. UsageError for names that do not fit."""
    from graphc.compiler import random_inputs

    names = [value.name for value in graph.inputs]
    if unknown := sorted(set(given) - set(names)):
        raise UsageError(f"{graph.name} has no input {unknown[0]!r}; its inputs are {', '.join(names) or 'none'}")
    if seed is not None:
        return {**dict(zip(names, random_inputs(graph, seed), strict=True)), **given}
    if missing := [f"{value.name} : {value.type}" for value in graph.inputs if value.name not in given]:
        raise UsageError(
            f"{graph.name} also wants {'; '.join(missing)}: give them by --inputs, or --seed for random ones"
        )
    return dict(given)


def _load(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: not an .npz of plain arrays: {error}") from None


def _save(path: Path, arrays: Mapping[str, Array]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _array_text(name: str, array: Array) -> str:
    text = np.array2string(array, threshold=100, edgeitems=3, max_line_width=120)
    return f"{name} : {array.dtype}{list(array.shape)} = {text if array.ndim < 2 else chr(10) + text}\n"
