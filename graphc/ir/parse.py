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

from graphc.ir.composite import Composite
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
class _BodySyntax:
    """An op whose body is the block `label`."""

    kind: type[Op]
    label: _Name
    values: dict[str, Any]


@dataclass(frozen=True)
class _NodeSyntax:
    results: list[_Name]
    op: Op | _BodySyntax
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
    """Reads one block into records; names are looked up later, when the bodies below are known."""

    def __init__(self, scan: Scanner, registry: Registry, constants: Mapping[str, Array]) -> None:
        self.scan = scan
        self.registry = registry
        self.constants = constants
        at, keyword = scan.choice(("graph", *_with_bodies(registry)), "a block")
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
        op = self._op_class(mnemonic, at)
        label = self._label(op, at)
        operands = self._operands()
        values = read_attributes(scan, op, self.block.batch)
        scan.expect(":")
        types = self._types()
        if label is not None:
            return _NodeSyntax(results, _BodySyntax(op, label, values), operands, types, self._loc())
        return _NodeSyntax(results, self._op(op, values, types, at), operands, types, self._loc())

    def _label(self, op: type[Op], at: int) -> _Name | None:
        if not issubclass(op, Composite):
            return None
        self.scan.expect("@")
        return _Name(self.scan.name(f"the label of a {op.mnemonic} body"), at)

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
        if missing := [name for name in _required(op) if name not in exact]:
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


def _required(op: type[Op]) -> list[str]:
    """The attributes without a default."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(op)
    return [f.name for f in fields if f.default is missing and f.default_factory is missing]


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
    bodies: dict[str, _BlockSyntax] = {}
    for block in blocks:
        if block is not mains[0]:
            if block.name in bodies:
                raise scan.error(f"{block.keyword} @{block.name} is there twice", block.at)
            bodies[block.name] = block
    graph = _Assembly(scan, _Bodies(scan, bodies)).graph(mains[0])
    with _blame(scan, mains[0].at):
        verify(graph)
    return graph


def _with_bodies(registry: Registry) -> list[str]:
    """The ops that have a body."""
    return sorted(name for name, op in registry.items() if issubclass(op, Composite))


class _Bodies:
    """The bodies by label, each made when it is first asked for."""

    def __init__(self, scan: Scanner, blocks: Mapping[str, _BlockSyntax]) -> None:
        self.scan = scan
        self.blocks = blocks
        self.made: dict[str, Graph | None] = {}  # None while it is being made

    def of(self, kind: type[Op], label: _Name) -> Graph:
        """The body. ParseError if there is no such block of this kind, or if it lies inside itself."""
        block = self.blocks.get(label.text)
        if block is None or block.keyword != kind.mnemonic:
            raise self.scan.error(f"there is no block {kind.mnemonic} @{label.text} for this node", label.at)
        if label.text not in self.made:
            self.made[label.text] = None
            self.made[label.text] = _Assembly(self.scan, self).graph(block)
        body = self.made[label.text]
        if body is None:
            raise self.scan.error(f"{kind.mnemonic} @{label.text} is inside itself", label.at)
        return body


class _Assembly:
    """Turns the records of one block into a graph."""

    def __init__(self, scan: Scanner, bodies: _Bodies) -> None:
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
        op = self._composite(record.op) if isinstance(record.op, _BodySyntax) else record.op
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

    def _composite(self, record: _BodySyntax) -> Op:
        found = {"body": self.bodies.of(record.kind, record.label), "label": record.label.text, **record.values}
        fields = {f.name for f in dataclasses.fields(record.kind)}
        if missing := [name for name in _required(record.kind) if name not in found]:
            raise self.scan.error(f"{record.kind.mnemonic} wants the attribute {missing[0]}", record.label.at)
        return record.kind(**{name: value for name, value in found.items() if name in fields})

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
