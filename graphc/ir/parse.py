"""Graphs from text: the parser of what `graphc.ir.text` prints.

Types are inferred again and compared with the written ones, and the finished graph is verified, so a text gives a valid
graph or a ParseError. The op registry is handed in: the ground does not know the primitives.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from graphc.ir.fused import Fused
from graphc.ir.graph import Check, Graph
from graphc.ir.literal import ArrayText, read_attributes, read_dim, to_array
from graphc.ir.op import Array, Loc, Node, Op, Parameter, Role, Types, Value
from graphc.ir.scan import WORD, ParseError, Scanner
from graphc.ir.text import FORMAT_VERSION, constants_path
from graphc.ir.types import DType, TensorType
from graphc.ir.verify import verify

Registry = Mapping[str, type[Op]]
NO_CONSTANTS: Mapping[str, Array] = MappingProxyType({})
DIRECTIONS = ("forward", "backward", "update")


def parse_graph(text: str, registry: Registry, constants: Mapping[str, Array] = NO_CONSTANTS) -> Graph:
    """The graph of a printed text; `constants` are the arrays it names by content hash.

    ParseError (a ValueError) with line, column and the line itself for any text that is not a valid graph.
    """
    scan = Scanner(text)
    if scan.accept("graphc") and (version := scan.integer("a format version")) != FORMAT_VERSION:
        raise scan.error(f"format version {version} is unknown; this graphc reads version {FORMAT_VERSION}", 0)
    blocks = [_Reader(scan, registry, constants).read()]
    while not scan.at_end():
        blocks.append(_Reader(scan, registry, constants).read())
    return _assemble(scan, blocks)


def read_graph(path: Path, registry: Registry) -> Graph:
    """The graph of a file and of the `.npz` beside it. OSError if it cannot be read, ParseError if it is not a
    graph."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"{path}: not a text: {error}") from None
    return parse_graph(text, registry, _read_constants(constants_path(path)))


def _read_constants(path: Path) -> Mapping[str, Array]:
    if not path.exists():
        return NO_CONSTANTS
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ParseError(f"{path}: not an .npz of plain arrays: {error}") from None


@dataclass(frozen=True)
class _Name:
    """A name in the text and where it stands."""

    text: str
    at: int


@dataclass(frozen=True)
class _NodeSyntax:
    results: list[_Name]
    op: Op | _Name  # a fused node has the label of its body
    operands: list[_Name]
    types: Types
    loc: Loc


@dataclass
class _BlockSyntax:
    at: int
    keyword: str
    name: str
    batch: int | None = None
    inputs: list[tuple[_Name, str, TensorType, Loc]] = field(default_factory=list)
    nodes: list[_NodeSyntax] = field(default_factory=list)
    updates: list[tuple[_Name, _Name]] = field(default_factory=list)
    checks: list[tuple[_Name, str]] = field(default_factory=list)
    outputs: list[_Name] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)


class _Reader:
    """Reads one block into records; names are looked up later, when the fused bodies below are known."""

    def __init__(self, scan: Scanner, registry: Registry, constants: Mapping[str, Array]) -> None:
        self.scan = scan
        self.registry = registry
        self.constants = constants
        at, keyword = scan.choice(("graph", "fused"), "a block")
        scan.expect("@")
        self.block = _BlockSyntax(at, keyword, scan.name("the block's name"))

    def read(self) -> _BlockSyntax:
        scan = self.scan
        if scan.accept("("):
            scan.expect("n")
            scan.expect("=")
            self.block.batch = scan.integer("the number of rows")
            scan.expect(")")
        scan.expect("{")
        while not scan.accept("return"):
            self._statement()
        self._return()
        scan.expect("}")
        return self.block

    def _statement(self) -> None:
        scan = self.scan
        if scan.peek("%"):
            self.block.nodes.append(self._node())
            return
        _, word = scan.choice((*Role.ALL, "update", "check"), "a statement (%name = ..., return) or")
        name = self._name()
        if word == "update":
            scan.expect("<-")
            self.block.updates.append((name, self._name()))
        elif word == "check":
            self.block.checks.append((name, scan.string("the check's message")))
        else:
            scan.expect(":")
            self.block.inputs.append((name, word, self._type(), self._loc()))

    def _return(self) -> None:
        scan = self.scan
        while scan.peek("%"):
            self.block.outputs.append(self._name())
            if scan.accept("as"):
                self.block.output_names.append(scan.name("the output's name"))
            if not scan.accept(","):
                break

    def _node(self) -> _NodeSyntax:
        scan = self.scan
        results = self._names()
        scan.expect("=")
        at, mnemonic = scan.match(WORD, "an op")
        if mnemonic == Fused.mnemonic:
            scan.expect("@")
            label = _Name(scan.name("the label of a fused body"), at)
            operands = self._operands()
            scan.expect(":")
            return _NodeSyntax(results, label, operands, self._types(), self._loc())
        op = self._op_class(mnemonic, at)
        operands = self._operands()
        values = read_attributes(scan, op, self.block.batch)
        scan.expect(":")
        types = self._types()
        return _NodeSyntax(results, self._op(op, values, types, at), operands, types, self._loc())

    def _op_class(self, mnemonic: str, at: int) -> type[Op]:
        op = self.registry.get(mnemonic)
        if op is None or op is Parameter:
            near = difflib.get_close_matches(mnemonic, self.registry, 1)
            raise self.scan.error(f"no op is called {mnemonic}" + (f"; did you mean {near[0]}?" if near else ""), at)
        return op

    def _op(self, op: type[Op], values: dict[str, object], types: Types, at: int) -> Op:
        exact = {
            name: to_array(self.scan, value, types[0], self.constants) if isinstance(value, ArrayText) else value
            for name, value in values.items()
        }
        missing = [f.name for f in dataclasses.fields(op) if _is_required(f) and f.name not in exact]  # type: ignore[arg-type]
        if missing:
            raise self.scan.error(f"{op.mnemonic} wants the attribute {missing[0]}", at)
        with _blame(self.scan, at):
            return op(**exact)

    def _operands(self) -> list[_Name]:
        self.scan.expect("(")
        operands = [] if self.scan.peek(")") else self._names()
        self.scan.expect(")")
        return operands

    def _names(self) -> list[_Name]:
        names = [self._name()]
        while self.scan.accept(","):
            names.append(self._name())
        return names

    def _name(self) -> _Name:
        at = self.scan.position()
        self.scan.expect("%")
        return _Name(self.scan.name("a value's name"), at)

    def _types(self) -> Types:
        types = [self._type()]
        while self.scan.accept(","):
            types.append(self._type())
        return tuple(types)

    def _type(self) -> TensorType:
        scan = self.scan
        at, word = scan.choice([dtype.value for dtype in DType], "a type")
        scan.expect("[")
        dims: list[int] = []
        while not scan.accept("]"):
            if dims:
                scan.expect(",")
            dims.append(read_dim(scan, self.block.batch))
        with _blame(scan, at):
            return TensorType(tuple(dims), DType(word))

    def _loc(self) -> Loc:
        scan = self.scan
        if not scan.accept("loc"):
            return Loc()
        scan.expect("(")
        layer = scan.string("the layer's path")
        source, direction = "", "forward"
        if scan.accept(","):
            source = scan.string("the source line") if scan.peek('"') else ""
            if not source or scan.accept(","):
                direction = scan.choice(DIRECTIONS, "a direction")[1]
        scan.expect(")")
        return Loc(layer, source, direction)


def _is_required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


@contextlib.contextmanager
def _blame(scan: Scanner, at: int) -> Iterator[None]:
    """Errors raised inside are errors of the text at this place.

    All of them: ops are written for attributes that make sense, and a text may hold any.
    """
    try:
        yield
    except ParseError:
        raise
    except Exception as error:
        raise scan.error(str(error) or type(error).__name__, at) from error


def _assemble(scan: Scanner, blocks: Sequence[_BlockSyntax]) -> Graph:
    """The graph of the blocks, verified."""
    mains = [block for block in blocks if block.keyword == "graph"]
    if len(mains) != 1:
        raise scan.error(f"a text holds one graph, this one {len(mains)}", mains[1].at if mains else 0)
    bodies: dict[str, Graph] = {}
    for block in blocks:
        if block.keyword == "fused":
            if block.name in bodies:
                raise scan.error(f"fused @{block.name} is there twice", block.at)
            bodies[block.name] = _Assembly(scan, {}).graph(block)
    graph = _Assembly(scan, bodies).graph(mains[0])
    with _blame(scan, mains[0].at):
        verify(graph)
    return graph


class _Assembly:
    """Turns the records of one block into a graph."""

    def __init__(self, scan: Scanner, bodies: Mapping[str, Graph]) -> None:
        self.scan = scan
        self.bodies = bodies
        self.known: dict[str, Value] = {}

    def graph(self, block: _BlockSyntax) -> Graph:
        inputs = [self._input(*record) for record in block.inputs]
        nodes = [self._node(record) for record in block.nodes]
        return Graph(
            block.name,
            tuple(inputs),
            tuple(nodes),
            tuple(map(self._value, block.outputs)),
            tuple((self._value(state), self._value(new)) for state, new in block.updates),
            tuple(Check(self._value(value), message) for value, message in block.checks),
            tuple(block.output_names),
        )

    def _input(self, name: _Name, role: str, type: TensorType, loc: Loc) -> Value:
        value = Value(Node(Parameter(role), (), (type,), (name.text,), loc))
        self._define(name, value)
        return value

    def _node(self, record: _NodeSyntax) -> Node:
        op = self._fused(record.op) if isinstance(record.op, _Name) else record.op
        inputs = tuple(map(self._value, record.operands))
        at = record.results[0].at
        with _blame(self.scan, at):
            inferred = op.infer(*(value.type for value in inputs))
        if inferred != record.types:
            gives, says = _types_text(inferred), _types_text(record.types)
            raise self.scan.error(f"{op.mnemonic} gives {gives}, the text says {says}", at)
        if len(inferred) != len(record.results):
            count = f"{op.mnemonic} has {len(inferred)} results"
            raise self.scan.error(f"{count}, the text names {len(record.results)}", at)
        node = Node(op, inputs, inferred, tuple(name.text for name in record.results), record.loc)
        for name, value in zip(record.results, node.outputs, strict=True):
            self._define(name, value)
        return node

    def _fused(self, label: _Name) -> Fused:
        if label.text not in self.bodies:
            raise self.scan.error(f"there is no block fused @{label.text} for this node", label.at)
        return Fused(self.bodies[label.text], label.text)

    def _define(self, name: _Name, value: Value) -> None:
        if name.text in self.known:
            raise self.scan.error(f"%{name.text} is defined twice", name.at)
        self.known[name.text] = value

    def _value(self, name: _Name) -> Value:
        if name.text not in self.known:
            raise self.scan.error(f"%{name.text} is not defined before this line", name.at)
        return self.known[name.text]


def _types_text(types: Types) -> str:
    return ", ".join(map(str, types))
