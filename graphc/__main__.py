"""The command line, `python -m graphc`: what graphc makes of models and graphs, and how well. Only arguments are parsed
here; `graphc.commands` has the commands.

Bad input ends with one error on stderr and exit code 2; a traceback is a mistake of graphc's own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from graphc import __version__

EXAMPLES = """\
examples:
  python -m graphc show train.py:model               what becomes of the model in a script
  python -m graphc show net.graph --kernel dot.0 --as asm
  python -m graphc explain train.py:model            all of it as one page for a browser: report.html
  python -m graphc profile train.py:model --by layer
  python -m graphc memory train.py:model --batch 256
  python -m graphc diff old.graph new.graph          ops, kernels, memory and expected time side by side
  python -m graphc check train.py:model              every pass and kernel against the interpreter
  python -m graphc opt net.graph                     all passes, and print the fused graph
  python -m graphc opt - -p cse,fuse < net.graph     these two, on the graph of stdin
  python -m graphc run net.graph --seed 1            on random inputs
  python -m graphc run net.graph --inputs in.npz --save out.npz
  python -m graphc doctor                            this machine and this installation
  python -m graphc keras train.py --epochs 3         a script that says `import keras`, unmodified

A MODEL is a .graph (- for stdin), a saved .keras, script.py:name or, where it has one model, script.py.
Of a compiled model the training step is meant, of others inference; --mode says otherwise. Graphs are the
files GRAPHC_DUMP writes; a large constant is in the .npz beside its graph. Other variables: GRAPHC_THREADS,
GRAPHC_CPU, GRAPHC_VERIFY, GRAPHC_CACHE_DIR. Exit codes: 0, 1 for a check that failed, 2 for bad input.
"""


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
    except (ValueError, TypeError, NotImplementedError, MemoryError, ImportError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 2


def _command(module: str, name: str) -> Callable[[argparse.Namespace], None]:
    """A command that is imported when it runs."""

    def run(args: argparse.Namespace) -> None:
        getattr(import_module(f"graphc.commands.{module}"), name)(args)

    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m graphc",
        description="Look into graphc, a static graph compiler for neural networks.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"graphc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_looking(commands)
    _add_comparing(commands)
    _add_graphs(commands)
    _add_machine(commands)
    _add_keras(commands)
    return parser


def _add(commands: Any, name: str, module: str, help: str, description: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=description or None)
    parser.set_defaults(run=_command(module, name))
    return parser


def _add_model(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names or ("model",):
        parser.add_argument(name, metavar=name.upper(), help="FILE.graph, -, FILE.keras, or SCRIPT.py:NAME")
    parser.add_argument("--mode", choices=("infer", "train", "evaluate"), help="which step of a model; not for graphs")
    parser.add_argument("--batch", metavar="N", type=_count, help="rows of a batch; default 32, or the graph's own")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"wanted a whole number of at least 1, got {text!r}")


def _add_looking(commands: Any) -> None:
    show = _add(commands, "show", "show", "show what a graph or model becomes: stages, kernels, memory")
    _add_model(show)
    show.add_argument("--stage", metavar="NAME", help="print the graph after a stage: source, a pass, fused, planned")
    show.add_argument("--kernel", metavar="NAME", help="print one kernel")
    show.add_argument("--as", dest="level", choices=("loops", "llvm", "asm"), default="loops", help="the kernel as")
    show.add_argument("--memory", action="store_true", help="print the memory plan")
    show.add_argument("--dump", metavar="DIR", type=Path, help="write everything into a new folder there")

    explain = _add(
        commands,
        "explain",
        "show",
        "write one HTML page that tells everything about a compilation",
        "Graph and memory drawn, passes with what they changed, kernels as loops, LLVM and assembly, and measured "
        "times beside the roof. The page needs no server and no network.",
    )
    _add_model(explain)
    explain.add_argument("-o", "--output", metavar="FILE", type=Path, default=Path("report.html"))
    explain.add_argument("--runs", metavar="N", type=_count, default=10, help="runs that are measured; default 10")

    profile = _add(
        commands,
        "profile",
        "show",
        "measure every kernel",
        "Runs a step on random data and prints what every kernel or layer took: medians of native counters.",
    )
    _add_model(profile)
    profile.add_argument("--runs", metavar="N", type=_count, default=20, help="runs that are measured; default 20")
    profile.add_argument("--by", choices=("kernel", "layer"), default="kernel", help="what the rows of the table are")
    profile.add_argument("--trace", metavar="FILE.json", type=Path, help="also write a timeline for Perfetto")

    _add_model(_add(commands, "memory", "show", "print what a step needs of memory, without taking it"))
    _add_model(_add(commands, "compile", "show", "compile into the cache and say where the time went"))


def _add_comparing(commands: Any) -> None:
    diff = _add(commands, "diff", "compare", "compare what two graphs or models become")
    _add_model(diff, "before", "after")
    diff.add_argument("--exit-code", action="store_true", help="exit with 1 if something differs")
    check = _add(
        commands,
        "check",
        "compare",
        "compare every pass and kernel with the interpreter",
        "Runs passes, kernels and whole steps on random data beside the numpy interpreter and names the first that "
        "gives other numbers (exit code 1).",
    )
    _add_model(check)
    check.add_argument("--seed", metavar="N", type=int, default=0, help="of the random data")


def _add_graphs(commands: Any) -> None:
    opt = _add(commands, "opt", "graphs", "run passes on a graph and print the graph they make")
    opt.add_argument("file", metavar="FILE.graph", help="a graph as text; - reads stdin")
    opt.add_argument(
        "-p", "--passes", metavar="NAME,...", help="these passes in this order; default: the compiler's own"
    )
    opt.add_argument("-o", "--output", metavar="FILE", type=Path, help="write a file, large constants beside it")

    run = _add(commands, "run", "graphs", "compile a graph, run it once and print its outputs")
    run.add_argument("file", metavar="FILE.graph", help="a graph as text; - reads stdin")
    run.add_argument("--inputs", metavar="FILE.npz", type=Path, help="arrays by name: data, weights and states")
    run.add_argument("--seed", metavar="N", type=int, help="random arrays for all that --inputs does not give")
    run.add_argument("--save", metavar="FILE.npz", type=Path, help="write outputs and updated states")


def _add_machine(commands: Any) -> None:
    doctor = _add(
        commands,
        "doctor",
        "machine",
        "look at this machine and this installation",
        "Processor, threads, versions and cache, and the most this machine can do, measured: the roof that profiles "
        "and reports compare with.",
    )
    doctor.add_argument("--quick", action="store_true", help="measure nothing")
    cache = _add(commands, "cache", "machine", "the compiled code kept between processes")
    cache.add_argument("action", choices=("info", "clear"), help="say where and how much it is, or delete it")


def _add_keras(commands: Any) -> None:
    keras = _add(
        commands,
        "keras",
        "script",
        "run a Keras script on graphc",
        "Runs an unmodified script whose `import keras` (or `from tensorflow import keras`) finds graphc.",
    )
    keras.add_argument("script", metavar="SCRIPT.py")
    keras.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="arguments of the script")


if __name__ == "__main__":
    sys.exit(main())
