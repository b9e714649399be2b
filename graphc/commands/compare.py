"""Two compilations side by side, and one beside the interpreter."""

from __future__ import annotations

import argparse
import sys

from graphc.commands.subject import UsageError, find, graph_of


def diff(args: argparse.Namespace) -> None:
    """Prints what differs; the exit code is 1 if something does and --exit-code asks for it."""
    from graphc.insight.diff import compare
    from graphc.insight.roof import known_roof
    from graphc.naming import clear_session

    if args.before == args.after == "-":
        raise UsageError("stdin can be read once: one of the two must be a file or a model")
    graphs = []
    for where in (args.before, args.after):
        graphs.append(graph_of(find(where), args)[0])
        clear_session(free_memory=False)  # so that the layers of the next model get the names they would get alone
    found = compare(graphs[0], graphs[1], known_roof(), (args.before, args.after))
    sys.stdout.write(f"{found}\n")
    if args.exit_code and not found.is_equal:
        sys.stdout.flush()
        raise SystemExit(1)


def check(args: argparse.Namespace) -> None:
    """Compares passes, kernels and whole runs with the interpreter."""
    from graphc.insight.check import CheckFailure, check_graph

    graph, bindings = graph_of(find(args.model), args)
    arrays = {value.name: bindings[value.name] for value in graph.inputs_of("param") if bindings}
    try:
        sys.stdout.write(f"{check_graph(graph, arrays, seed=args.seed)}\n")
    except CheckFailure as failure:
        sys.stdout.write(f"{graph.name}: {failure}\n")
        sys.stdout.flush()
        raise SystemExit(1) from None
