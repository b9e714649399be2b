"""The tuner: tries other schedules for the large kernels of a graph, on this machine, for a given time.

Kernels are tuned one by one, those with the most work first, each as an executable of its own on random data. What is
found is kept in the cache by kernel and processor, so the next graph with an equal kernel, or the next process, uses it
at once. A choice may change the order of floating-point additions.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from codegen.choice import MODEL, Choice, neighbours
from codegen.program import kernel_key
from codegen.target import Target
from graphc.ir.cost import node_work
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Contraction, Node, Parameter, Role, Value
from graphc.ir.types import TensorType
from graphc.runtime.cache import Cache
from graphc.runtime.executable import Executable
from passes.validate import random_inputs

LOG = logging.getLogger(__name__)

LEAST = 1_000_000  # operations below which a kernel is not worth tuning
RUNS = 5  # timings of a choice, of which the best counts
SECONDS = 0.02  # after which one choice is not run again
GAIN = 0.97  # of the time so far that a choice may take to be taken

Choices = dict[str, Choice]
Build = Callable[[Graph, Choices], Executable]
"""How a fused graph becomes an executable under choices."""


def tune(graph: Graph, target: Target, seconds: float, store: Store, build: Build) -> Choices:
    """Choices by kernel for a fused graph: those in the store, and new ones.

    New kernels are looked at until the seconds have passed; what was found by then is kept in the store.
    """
    known = store.load()
    found = dict(_search(graph, target, known, time.perf_counter() + seconds, build))
    if found:
        store.save(store.load() | found)
    return known | found


def _search(graph: Graph, target: Target, known: Choices, end: float, build: Build) -> Iterator[tuple[str, Choice]]:
    """Choices for the kernels that are not known yet, the largest first, while time is left."""
    fixed = graph.fixed()
    done = set(known)
    for node in sorted(filter(_is_heavy, _kernels(graph)), key=lambda n: -node_work(n).operations):
        key = kernel_key(node)
        if key in done or time.perf_counter() > end:
            continue
        done.add(key)
        yield key, _Trial(_alone(node, fixed), key, build).best(target, end)


def _kernels(graph: Graph) -> Iterator[Node]:
    """All nodes, those in the bodies of loops too."""
    for node in graph.nodes:
        if isinstance(node.op, Loop):
            yield from _kernels(node.op.body)
        else:
            yield node


def _is_heavy(node: Node) -> bool:
    """Whether the node's main work is a contraction worth the time."""
    body = node.op.body.nodes if isinstance(node.op, Fused) else (node,)
    return any(isinstance(inner.op, Contraction) for inner in body) and node_work(node).operations >= LEAST


def _alone(node: Node, fixed: frozenset[Value]) -> Graph:
    """A graph of one kernel; operands that stay the same over many runs are weights."""
    inputs = {
        value: _input(value.type, Role.PARAM if value in fixed else Role.INPUT, f"x{i}")
        for i, value in enumerate(dict.fromkeys(node.inputs))
    }
    inner = Node(node.op, tuple(inputs[value] for value in node.inputs), node.types, node.names, node.loc)
    return Graph("tuned", tuple(inputs.values()), (inner,), inner.outputs)


def _input(type: TensorType, role: str, name: str) -> Value:
    return Value(Node(Parameter(role), (), (type,), (name,)))


class _Trial:
    """One kernel under trial."""

    def __init__(self, graph: Graph, key: str, build: Build) -> None:
        self.graph, self.key, self.build = graph, key, build
        self.arrays = random_inputs(graph)

    def best(self, target: Target, end: float) -> Choice:
        best, least = MODEL, self.seconds(MODEL)
        for group in neighbours(MODEL, target):
            for step in group:
                if time.perf_counter() > end:
                    return best
                choice = replace(best, **{k: v for k, v in asdict(step).items() if v is not None})
                if choice != best and (took := self.seconds(choice)) < GAIN * least:
                    best, least = choice, took
        LOG.info("%s: %s, %.3f ms", self.graph.nodes[0].names[0], best, least * 1e3)
        return best

    def seconds(self, choice: Choice) -> float:
        """The shortest of a few runs."""
        run = self.build(self.graph, {self.key: choice})
        given = dict(zip(self.graph.inputs, self.arrays, strict=True))
        inputs = [given[value] for value in self.graph.inputs_of(Role.INPUT)]
        for value in self.graph.inputs_of(Role.PARAM):
            run.state[value.name][...] = given[value]
        least, spent = math.inf, 0.0
        for _ in range(RUNS + 1):
            began = time.perf_counter()
            run.run(inputs)
            took = time.perf_counter() - began
            least, spent = min(least, took), spent + took
            if spent > SECONDS:
                break
        return least


class Store:
    """Choices of earlier searches: an entry of the compile cache, if there is one."""

    def __init__(self, cache: Cache | None, key: bytes) -> None:
        self.cache, self.key = cache, key

    def load(self) -> Choices:
        stored = self.cache.load(self.key) if self.cache else None
        if stored is None:
            return {}
        try:
            return {key: _choice(fields) for key, fields in json.loads(stored).items()}
        except (ValueError, TypeError, AttributeError) as error:
            assert self.cache is not None
            self.cache.discard(self.key, error)
            return {}

    def save(self, choices: Mapping[str, Choice]) -> None:
        if self.cache:
            self.cache.store(self.key, json.dumps({key: asdict(choice) for key, choice in choices.items()}).encode())


def _choice(fields: dict[str, Any]) -> Choice:
    choice = Choice(**fields)
    numbers = (choice.rows, choice.vectors, choice.block)
    if any(n is not None and not (isinstance(n, int) and 0 <= n < 1 << 20) for n in numbers):
        raise ValueError(f"not a choice: {fields}")
    return choice
