"""The pass manager: runs passes in order, checks the graph after each one and writes down what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from graphc.ir.graph import Graph
from graphc.ir.op import Array, Node
from graphc.ir.remarks import Remark, collect_remarks
from graphc.ir.text import print_graph, write_graph
from graphc.ir.verify import VerifyError
from graphc.ir.verify import verify as verify_graph
from passes.validate import first_difference, random_inputs, results_of

Pass = Callable[[Graph], Graph]


class PassError(RuntimeError):
    """A pass made an invalid graph or one that computes something else: a mistake in the pass, not of the user."""


def pass_name(step: Pass) -> str:
    """The name of a pass in dumps and on the command line: its function's."""
    return pass_name(step.func) if isinstance(step, partial) else step.__name__


def run_passes(
    graph: Graph,
    passes: Sequence[Pass],
    *,
    verify: int = 1,
    dump: Path | None = None,
    trace: list[tuple[str, Graph]] | None = None,
) -> Graph:
    """The graph after all passes.

    verify: 0 trusts the passes, 1 verifies the graph after every pass that changed it, 2 also interprets it before and
    after on random inputs. dump: a directory that receives every changed graph as `NN-pass.graph`, and `index.txt`
    (pass, milliseconds, nodes before -> after, remarks). trace: receives the name and result of every pass. PassError
    names the pass, the node and its layer, carries the graph as a note and says how to repeat the pass alone.
    """
    run = _Run(verify, _Dump(dump) if dump else None)
    if verify:
        verify_graph(graph, run.good)
    if run.dump:
        run.dump.write("input", graph)
    for step in passes:
        graph = run.step(step, graph)
        if trace is not None:
            trace.append((pass_name(step), graph))
    return graph


class _Run:
    """One sequence of passes: what is checked, where it is written, what the graph gave before the pass."""

    def __init__(self, verify: int, dump: _Dump | None) -> None:
        self.verify = verify
        self.dump = dump
        self.expected: tuple[Array, ...] | None = None
        self.good: set[Node] = set()  # verified, of any graph so far

    def step(self, step: Pass, graph: Graph) -> Graph:
        """The graph after one pass, checked and written down."""
        name = pass_name(step)
        started = time.perf_counter()
        with collect_remarks() as remarks:
            after = self._apply(step, name, graph)
        milliseconds = (time.perf_counter() - started) * 1e3
        if after is not graph:
            self._check(name, graph, after)
        if self.dump:
            self.dump.record(name, milliseconds, graph, after, remarks)
        return after

    def _apply(self, step: Pass, name: str, graph: Graph) -> Graph:
        try:
            return step(graph)
        except Exception as error:
            error.add_note(f"in pass {name}; {self._repeat(name)}")
            error.add_note(f"the graph before {name}:\n{_printed(graph)}")
            raise

    def _check(self, name: str, before: Graph, after: Graph) -> None:
        if not self.verify:
            return
        if problem := _invalid(before, after, self.good) or (self.verify > 1 and self._changed_numbers(before, after)):
            error = PassError(f"pass {name} made a wrong graph: {problem}; {self._repeat(name)}")
            error.add_note(f"the graph after {name}:\n{_printed(after)}")
            raise error

    def _changed_numbers(self, before: Graph, after: Graph) -> str:
        arrays = random_inputs(before)
        expected = self.expected if self.expected is not None else results_of(before, arrays)
        self.expected = results_of(after, arrays)
        return first_difference(before, expected, self.expected)

    def _repeat(self, name: str) -> str:
        if self.dump is None:
            return "to repeat it, set GRAPHC_DUMP to a directory, compile again and follow the command given then"
        return f"to repeat it: python -m graphc opt {self.dump.last} -p {name}"


def _invalid(before: Graph, after: Graph, good: set[Node]) -> str:
    """Which law the new graph breaks, in words; empty if none."""
    if before.inputs != after.inputs:
        return "the graph has other inputs than before"
    try:
        verify_graph(after, good)
    except VerifyError as error:
        return str(error)
    return ""


def _printed(graph: Graph) -> str:
    try:
        return print_graph(graph)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        return f"(it cannot be printed: {error})"


class _Dump:
    """A directory of numbered graphs and their index. `last` is the file of the graph that the next pass gets."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.last = directory
        # a compilation runs passes in several stages into one directory: go on counting
        self.number = sum(1 for _ in directory.glob("[0-9][0-9]*-*.graph"))

    def write(self, name: str, graph: Graph) -> None:
        self.last = self.directory / f"{self.number:02d}-{name}.graph"
        self.number += 1
        write_graph(self.last, graph)

    def record(self, name: str, milliseconds: float, before: Graph, after: Graph, remarks: Sequence[Remark]) -> None:
        """Writes the graph after a pass, if it changed, and the pass's lines of the index."""
        change = "unchanged"
        label = f"--  {name}"
        if after is not before:
            self.write(name, after)
            label, change = self.last.stem, f"{len(before.nodes)} -> {len(after.nodes)} nodes"
        lines = [f"{label:<24} {milliseconds:9.2f} ms  {change}", *(f"    {remark}" for remark in remarks)]
        with (self.directory / "index.txt").open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
