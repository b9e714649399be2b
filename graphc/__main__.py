"""The command line, `python -m graphc`: passes on graph files, graphs run, models shown, the cache of compiled code.

Bad input ends with one error on stderr and exit code 2; a traceback is a mistake of graphc's own.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import __version__

if TYPE_CHECKING:
    from graphc.ir.graph import Graph
    from graphc.ir.op import Array

EXAMPLES = """\
examples:
  python -m graphc opt net.graph                     all passes, and print the fused graph
  python -m graphc opt - -p cse,fuse < net.graph     these two, on the graph of stdin
  python -m graphc run net.graph --seed 1            on random inputs
  python -m graphc run net.graph --inputs in.npz --save out.npz
  python -m graphc show train.py:model               what becomes of the model in a script
  python -m graphc show net.graph --kernel dot.0 --as asm
  python -m graphc cache info

Graphs are the files GRAPHC_DUMP writes; a large constant is in the .npz beside its graph. Other variables:
GRAPHC_THREADS, GRAPHC_CPU, GRAPHC_VERIFY, GRAPHC_CACHE_DIR.
"""


class UsageError(ValueError):
    """Arguments that parse, but name nothing there is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; nothing is left to be flushed into the closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except (ValueError, TypeError, NotImplementedError, MemoryError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m graphc",
        description="Look into graphc, a static graph compiler for neural networks.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"graphc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_opt(commands)
    _add_run(commands)
    _add_show(commands)
    _add_cache(commands)
    return parser


def _add_opt(commands: Any) -> None:
    opt = commands.add_parser("opt", help="run passes on a graph and print the graph they make")
    opt.add_argument("file", metavar="FILE.graph", help="a graph as text; - reads stdin")
    opt.add_argument(
        "-p", "--passes", metavar="NAME,...", help="these passes in this order; default: the compiler's own"
    )
    opt.add_argument("-o", "--output", metavar="FILE", type=Path, help="write a file, large constants beside it")
    opt.set_defaults(run=_opt)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="compile a graph, run it once and print its outputs")
    run.add_argument("file", metavar="FILE.graph", help="a graph as text; - reads stdin")
    run.add_argument("--inputs", metavar="FILE.npz", type=Path, help="arrays by name: data, weights and states")
    run.add_argument("--seed", metavar="N", type=int, help="random arrays for all that --inputs does not give")
    run.add_argument("--save", metavar="FILE.npz", type=Path, help="write outputs and updated states")
    run.set_defaults(run=_run)


def _add_show(commands: Any) -> None:
    show = commands.add_parser("show", help="show what a graph or model becomes: stages, kernels, memory")
    show.add_argument("model", metavar="MODEL", help="FILE.graph, or script.py:name of a model or graph in a script")
    show.add_argument("--stage", metavar="NAME", help="print the graph after a stage: source, a pass, fused, planned")
    show.add_argument("--kernel", metavar="NAME", help="print one kernel")
    show.add_argument("--as", dest="level", choices=("loops", "llvm", "asm"), default="loops", help="the kernel as")
    show.add_argument("--memory", action="store_true", help="print the memory plan")
    show.add_argument("--dump", metavar="DIR", type=Path, help="write everything into a new folder there")
    show.set_defaults(run=_show)


def _add_cache(commands: Any) -> None:
    cache = commands.add_parser("cache", help="the compiled code kept between processes")
    cache.add_argument("action", choices=("info", "clear"), help="say where and how much it is, or delete it")
    cache.set_defaults(run=_cache)


# opt


def _opt(args: argparse.Namespace) -> None:
    from graphc.compiler import apply_passes
    from graphc.ir.text import large_constants, write_graph

    names = None if args.passes is None else [name.strip() for name in args.passes.split(",") if name.strip()]
    graph = apply_passes(_read_graph(args.file), names)
    if args.output:
        write_graph(args.output, graph)
        return
    sys.stdout.write(str(graph))
    if count := len(large_constants(graph)):
        sys.stderr.write(f"{count} large constants are named, not printed; -o FILE writes them too\n")


def _read_graph(file: str) -> Graph:
    """The graph of a file or of stdin. Errors name the file."""
    import graphc.primitives  # noqa: F401  fills the registry
    from graphc.ir.op import REGISTRY
    from graphc.ir.parse import parse_graph, read_graph
    from graphc.ir.scan import ParseError

    try:
        return parse_graph(sys.stdin.read(), REGISTRY) if file == "-" else read_graph(Path(file), REGISTRY)
    except ParseError as error:
        raise UsageError(f"{'stdin' if file == '-' else file}: {error}") from None


# run


def _run(args: argparse.Namespace) -> None:
    from graphc.compiler import compile_graph

    graph = _read_graph(args.file)
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


# show


def _show(args: argparse.Namespace) -> None:
    from graphc.executables import compile as compile_executable

    exe = compile_executable(_model(args.model))
    texts = []
    if args.stage is not None:
        texts.append(exe.compilation.text(int(args.stage) if args.stage.lstrip("-").isdecimal() else args.stage))
    if args.kernel is not None:
        texts.append(getattr(exe.kernel(args.kernel), args.level))
    if args.memory:
        texts.append(f"{exe.memory_plan}\n")
    if args.dump is not None:
        texts.append(f"{exe.dump(args.dump)}\n")
    if texts:
        sys.stdout.write("\n".join(texts))
    else:
        _overview(exe)


def _model(where: str) -> Any:
    """The graph of a file, or what a script calls `name` after it has run."""
    path, colon, name = where.rpartition(":")
    if not colon or not path.endswith(".py"):
        return _read_graph(where)
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file")
    sys.path.insert(0, str(Path(path).parent))
    found = runpy.run_path(path, run_name=Path(path).stem)
    if name not in found:
        raise UsageError(f"{path} defines no {name!r}")
    return found[name]


def _overview(exe: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    stages = Table("stage", "nodes", box=None)
    for name, graph in exe.compilation.stages:
        stages.add_row(Text(name), str(len(graph.nodes)))
    kernels = Table("kernel", "computes", box=None)
    for kernel in exe.kernels:
        kernels.add_row(Text(kernel), Text(kernel.computes))
    console.print(Text(exe.interface), Text(""), stages, Text(""), kernels, Text(""), sep="\n")
    console.print(Text(str(exe.memory_plan).splitlines()[-1]))


# cache


def _cache(args: argparse.Namespace) -> None:
    from graphc.compiler import persistent_cache

    cache = persistent_cache()
    found = cache.clear() if args.action == "clear" else cache.entries()
    total = f"{len(found)} entries, {sum(entry.nbytes for entry in found) / 1e6:.1f} MB"
    if args.action == "clear":
        sys.stdout.write(f"deleted {total}\n")
        return
    sys.stdout.write(f"folder  {cache.folder or 'none; set GRAPHC_CACHE_DIR'}\n")
    sys.stdout.write(f"holds   {total} of at most {cache.limit / 1e6:.0f} MB\n")
    if found:
        used = [time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)) for entry in (found[0], found[-1])]
        sys.stdout.write(f"used    from {used[0]} to {used[1]}\n")


if __name__ == "__main__":
    sys.exit(main())
