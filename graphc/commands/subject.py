"""What a command is about: the graph of a file or of stdin, or a model of a script or of a saved file."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc import script

if TYPE_CHECKING:
    from graphc.ir.graph import Graph
    from graphc.ir.op import Array

SAVED = (".keras", ".h5", ".hdf5")


class UsageError(ValueError):
    """Arguments that parse, but name nothing there is."""


def read_graph(file: str) -> Graph:
    """The graph of a file or, for "-", of stdin. Errors name the file."""
    import graphc.primitives  # noqa: F401  fills the registry
    from graphc.ir.op import REGISTRY
    from graphc.ir.parse import parse_graph
    from graphc.ir.parse import read_graph as read_file
    from graphc.ir.scan import ParseError

    try:
        return parse_graph(sys.stdin.read(), REGISTRY) if file == "-" else read_file(Path(file), REGISTRY)
    except ParseError as error:
        raise UsageError(f"{'stdin' if file == '-' else file}: {error}") from None


def find(where: str) -> Any:
    """The graph of a file or stdin, a saved model, or what a script calls `name` after it has run."""
    path, colon, name = where.rpartition(":")
    if colon and path.endswith(".py"):
        return _named(path, name)
    if where.endswith(".py"):
        return _only_model(where)
    if where.endswith(SAVED):
        return _saved(where)
    if where.endswith(".onnx"):
        raise UsageError(f"{where}: ONNX files cannot be read yet; wanted a .graph, .keras or script.py:name")
    return read_graph(where)


def _named(path: str, name: str) -> Any:
    found = _run(path)
    if name not in found:
        raise UsageError(f"{path} defines no {name!r}")
    return found[name]


def _only_model(path: str) -> Any:
    """The one model or graph a script defines."""
    from graphc.ir.graph import Graph
    from graphc.models.model import Model

    found = {name: value for name, value in _run(path).items() if isinstance(value, Model | Graph)}
    if len(found) == 1:
        return next(iter(found.values()))
    which = f"one of {', '.join(found)}" if found else "a script that defines a model"
    raise UsageError(f"{path}: {len(found)} models are defined; wanted {which}, as {path}:NAME")


def _run(path: str) -> dict[str, Any]:
    """The names of a script after it has run as a module; one that never says graphc finds it under the name `keras`.
    UsageError for what the script raises, with its place there."""
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file")
    sys.path.insert(0, str(Path(path).parent))
    if b"graphc" not in Path(path).read_bytes():
        script.install()
    try:
        return runpy.run_path(path, run_name=Path(path).stem)
    except Exception as error:
        raise UsageError(f"{path} raised an error:\n{_told(error, path)}") from None


def _told(error: Exception, path: str) -> str:
    """An error as Python shows it, from the script's own line on."""
    found = traceback.TracebackException.from_exception(error)
    first = next((i for i, frame in enumerate(found.stack) if frame.filename == path), len(found.stack))
    del found.stack[:first]
    return "".join(found.format()).rstrip()


def _saved(path: str) -> Any:
    from graphc import saving

    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file")
    return saving.load_model(path)


def mode_of(model: Any, args: argparse.Namespace) -> str:
    """The step that is meant: the one asked for, else training for a compiled model, else inference."""
    return args.mode or ("train" if model.compiled else "infer")


def _sized(graph: Graph, args: argparse.Namespace) -> Graph:
    """The graph for the batch that is asked for."""
    from graphc.ir.resize import with_rows

    if args.mode is not None and "model" in args:
        raise UsageError(f"{args.model}: --mode is for models; a graph is one step as it is")
    if args.batch is None or args.batch == graph.batch:
        return graph
    if graph.batch is None:
        raise UsageError(f"{graph.name} counts no rows of a batch (it has no `n`), so --batch cannot change them")
    return with_rows(graph, args.batch)


def executable_of(thing: Any, args: argparse.Namespace) -> Any:
    """The native executable of a graph or of a model's step. TypeError for anything else."""
    from graphc.executables import compile as compile_executable
    from graphc.ir.graph import Graph
    from graphc.models.model import Model

    if isinstance(thing, Model):
        return compile_executable(thing, mode=mode_of(thing, args), batch_size=args.batch)
    return compile_executable(_sized(thing, args) if isinstance(thing, Graph) else thing)


def graph_of(thing: Any, args: argparse.Namespace) -> tuple[Graph, Mapping[str, Array]]:
    """The graph itself or that of a model's step, with the arrays of its weights and states; nothing is compiled."""
    from graphc.ir.graph import Graph
    from graphc.models.model import Model

    if isinstance(thing, Graph):
        return _sized(thing, args), {}
    if isinstance(thing, Model):
        step = thing.traced(mode_of(thing, args), args.batch)
        return step.graph, step.bindings
    raise TypeError(f"wanted a Model or a Graph, got {type(thing).__name__}")
