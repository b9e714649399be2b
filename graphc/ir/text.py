"""Graphs as text: the printer. `graphc.ir.parse` reads the text back.

    graph @mlp (n = 32) {
      input %x : f32[n,784]
      param %dense.w : f32[784,10] loc("dense")
      %dense = dot(%x, %dense.w) {contract=((1,), (0,))} : f32[n,10] loc("dense")
      %0 = constant() {value=0.5} : f32[]
      return %dense as probabilities
    }

`n` is the compiled maximum of rows; `loc("layer", "file:line", backward)` names layer, source line and direction,
without what is empty or forward. Attributes at their default are not printed. Names that are not plain words are quoted
as in JSON. Constants of more than INLINE_ELEMENTS print as `#` and their content hash, which names the array in the
`.npz` beside the text. An op with a body, `fused @label(...)` or `scan @label(...) {steps=10, ...}`, has its body below
as the block `fused @label { ... }` or `scan @label { ... }`, outer bodies before inner ones.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from graphc.ir.composite import BODY_FIELDS, Composite, body_labels
from graphc.ir.graph import Graph
from graphc.ir.op import Array, Loc, Node, Op, Value
from graphc.ir.types import DType

FORMAT_VERSION = 1
INLINE_ELEMENTS = 32
BARE_NAME = re.compile(r"[A-Za-z0-9_./-]+")
NO_COMMENTS: Mapping[Node, str] = MappingProxyType({})


def print_graph(graph: Graph, comments: Mapping[Node, str] = NO_COMMENTS) -> str:
    """The graph, then the bodies of its nodes; `comments` are printed behind their nodes after `//`."""
    labels = body_labels(graph)
    blocks = [_block("graph", graph.name, graph, comments, labels)]
    blocks += [
        _block(op.mnemonic, label, op.body, comments, labels) for label, op in _composites(graph, labels).items()
    ]
    return "\n".join(blocks)


def write_graph(path: Path, graph: Graph, comments: Mapping[Node, str] = NO_COMMENTS) -> None:
    """Writes the text with its format version, and its large constants to the `.npz` beside it if it has any."""
    path.write_text(f"graphc {FORMAT_VERSION}\n{print_graph(graph, comments)}", encoding="utf-8")
    if constants := large_constants(graph):
        with constants_path(path).open("wb") as file:
            np.savez(file, **constants)  # type: ignore[arg-type]


def constants_path(path: Path) -> Path:
    """Where the large constants of a graph file are."""
    return path.with_suffix(".npz")


def large_constants(graph: Graph) -> dict[str, Array]:
    """The arrays that print as a content hash, by that hash, bodies included."""
    ops = [node.op for g in (graph, *body_labels(graph)) for node in g.nodes]
    arrays = (value for op in ops for _, value in attributes(op) if isinstance(value, np.ndarray))
    return {content_hash(array): array for array in arrays if array.size > INLINE_ELEMENTS}


def _composites(graph: Graph, labels: Mapping[Graph, str]) -> dict[str, Composite]:
    """The ops with a body by label, one for each label, in the order of the labels."""
    found: dict[str, Composite] = {}
    makers = {n.op.body: n.op for g in (graph, *labels) for n in g.nodes if isinstance(n.op, Composite)}
    for body, label in labels.items():
        found.setdefault(label, makers[body])
    return found


def content_hash(array: Array) -> str:
    """128 bits of SHA-256 over element type, shape and bytes."""
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def attributes(op: Op) -> list[tuple[str, object]]:
    """The fields of an op with their values."""
    assert dataclasses.is_dataclass(op), f"{type(op).__name__} is not a dataclass"
    return [(f.name, getattr(op, f.name)) for f in dataclasses.fields(op)]


def attribute_text(value: object) -> str:
    """One attribute as text. TypeError for a kind of value that attributes must not have."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)  # a Rows prints as n
        case float():
            return float.__repr__(value)
        case str():
            return json.dumps(value)
        case DType():
            return value.value
        case tuple():
            return f"({', '.join(map(attribute_text, value))}{',' if len(value) == 1 else ''})"
        case np.ndarray():
            return _array_text(value)
    raise TypeError(f"a {type(value).__name__} cannot be an attribute: {value!r}")


@functools.lru_cache(maxsize=1024)
def _default_texts(kind: type[Op]) -> dict[str, str]:
    """The defaults of an op's attributes as text, where there are any."""
    fields = dataclasses.fields(kind)
    return {f.name: attribute_text(f.default) for f in fields if f.default is not dataclasses.MISSING}


def op_text(op: Op) -> str:
    """Mnemonic and attributes that differ from their default, without operands; equal for equal ops."""
    shown = ", ".join(_shown_attributes(op))
    return f"{op.mnemonic} {{{shown}}}" if shown else op.mnemonic


@functools.lru_cache(maxsize=4096)
def name_text(name: str) -> str:
    """A name as it stands behind `%` or `@`: bare if it is a plain word, else quoted."""
    return name if BARE_NAME.fullmatch(name) else json.dumps(name)


def node_text(node: Node, labels: Mapping[Graph, str]) -> str:
    """One node as a statement; `labels` name the bodies."""
    left = ", ".join(f"%{name_text(name)}" for name in node.names)
    operands = ", ".join(map(_ref, node.inputs))
    types = ", ".join(map(str, node.types))
    body = f" @{name_text(labels[node.op.body])}" if isinstance(node.op, Composite) else ""
    shown = ", ".join(_shown_attributes(node.op))
    braces = f" {{{shown}}}" if shown else ""
    return f"{left} = {node.op.mnemonic}{body}({operands}){braces} : {types}{_loc_text(node.loc)}"


def _block(keyword: str, name: str, graph: Graph, comments: Mapping[Node, str], labels: Mapping[Graph, str]) -> str:
    rows = f" (n = {graph.batch})" if graph.batch is not None else ""
    lines = "".join(f"  {line}\n" for line in _statements(graph, comments, labels))
    return f"{keyword} @{name_text(name)}{rows} {{\n{lines}}}\n"


def _statements(graph: Graph, comments: Mapping[Node, str], labels: Mapping[Graph, str]) -> Iterator[str]:
    for value in graph.inputs:
        yield f"{graph.role(value)} {_ref(value)} : {value.type}{_loc_text(value.node.loc)}"
    for node in graph.nodes:
        yield node_text(node, labels) + (f"  // {comments[node]}" if node in comments else "")
    for state, new in graph.updates:
        yield f"update {_ref(state)} <- {_ref(new)}"
    for check in graph.checks:
        yield f"check {_ref(check.value)} {json.dumps(check.message)}"
    yield f"return {_results_text(graph)}".rstrip()


def _results_text(graph: Graph) -> str:
    if not graph.output_names:
        return ", ".join(map(_ref, graph.outputs))
    pairs = zip(graph.outputs, graph.output_names, strict=True)
    return ", ".join(f"{_ref(value)} as {name_text(name)}" for value, name in pairs)


def _ref(value: Value) -> str:
    return f"%{name_text(value.name)}"


@functools.lru_cache(maxsize=4096)
def _loc_text(loc: Loc) -> str:
    parts = [json.dumps(loc.layer)]
    parts += [json.dumps(loc.source)] if loc.source else []
    parts += [loc.direction] if loc.direction != "forward" else []
    return f" loc({', '.join(parts)})" if loc != Loc() else ""


def _shown_attributes(op: Op) -> Iterable[str]:
    defaults = _default_texts(type(op))  # type: ignore[arg-type]
    for name, value in attributes(op):
        if isinstance(op, Composite) and name in BODY_FIELDS:
            continue
        text = attribute_text(value)
        # compared as text because 0.0 == -0.0 == 0 == False
        if text != defaults.get(name):
            yield f"{name}={text}"


def _array_text(array: Array) -> str:
    if array.size > INLINE_ELEMENTS:
        return f"#{content_hash(array)}"
    items = [_element_text(item) for item in array.reshape(-1)]
    return f"[{', '.join(items)}]" if array.ndim else items[0]


def _element_text(item: np.generic) -> str:
    """The shortest text that reads back as the same bits; bits in hex for a NaN with a payload."""
    if not isinstance(item, np.floating):
        return str(item).lower()
    text = str(item)
    same = item.dtype.type(text).tobytes() == item.tobytes()
    return text if same else f"0x{int.from_bytes(item.tobytes(), 'little'):x}"
