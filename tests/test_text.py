"""Graph text: both laws of the round trip, exact constants, names of any kind, and errors that show the place."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nets import NETS, mlp

import graphc.primitives  # noqa: F401  (fills the registry)
from graphc.ir.builder import Builder
from graphc.ir.fused import Fused
from graphc.ir.graph import Graph
from graphc.ir.op import REGISTRY, Loc, Op
from graphc.ir.parse import parse_graph, read_graph
from graphc.ir.scan import ParseError
from graphc.ir.structure import structural_key
from graphc.ir.text import large_constants, print_graph, write_graph
from graphc.ir.types import DType, Rows, TensorType
from graphc.primitives import functions as fn
from graphc.primitives.source import Constant

OPS = sorted(name for name, op in REGISTRY.items() if op.__module__.startswith("graphc.primitives"))


def round_trip(graph: Graph) -> Graph:
    text = print_graph(graph)
    read = parse_graph(text, REGISTRY, large_constants(graph))
    assert print_graph(read) == text
    assert structural_key(read, interface=True) == structural_key(graph, interface=True)
    assert [node.loc for node in read.nodes] == [node.loc for node in graph.nodes]
    return read


def sample_graph(op: Op, types: tuple[TensorType, ...]) -> Graph:
    b = Builder("sample")
    values = [b.input(f"x{i}", type) for i, type in enumerate(types)]
    return b.build(b.add_all(op, *values))


@pytest.mark.parametrize("net", NETS)
def test_nets_round_trip(net: Callable[[], Graph]) -> None:
    round_trip(net())


@pytest.mark.parametrize("name", OPS)
def test_samples_round_trip(name: str) -> None:
    for op, types in REGISTRY[name].samples():
        round_trip(sample_graph(op, types))


def test_printed_form() -> None:
    b = Builder("small net")
    x = b.input("x", TensorType((Rows(4), 3)))
    with b.layer("dense"), b.direction("backward"):
        y = fn.mul(b, x, 0.1)
    z = fn.reshape(b, y, (-1,))
    graph = b.build((y, z), ("scaled", "flat out"))
    assert (
        print_graph(graph)
        == """\
graph @"small net" (n = 4) {
  input %x : f32[n,3]
  %0 = constant() {array=0.1} : f32[] loc("dense", backward)
  %1 = broadcast(%0) {shape=(n, 3), axes=()} : f32[n,3] loc("dense", backward)
  %2 = mul(%x, %1) : f32[n,3] loc("dense", backward)
  %3 = reshape(%2) {shape=(3n,)} : f32[3n]
  return %2 as scaled, %3 as "flat out"
}
"""
    )


@pytest.mark.parametrize(
    "name", ["x", "0", "a/b-c.d", "dense 1/kernel", "", '"', "%x", "n", "\u00e9\u4e2d", "\ud800", "\n", "return"]
)
def test_any_name_round_trips(name: str) -> None:
    b = Builder(name)
    with b.at(Loc(name or "layer", name, "update")):
        x = b.input(name, TensorType((2,)))
        y = b.add(REGISTRY["neg"](), x)
    b.check(fn.constant(b, 0, DType.I32), name)
    read = round_trip(b.build((y,), (name,)))
    assert (read.name, read.inputs[0].name, read.output_names, read.checks[0].message) == (name, name, (name,), name)


CONSTANTS = [
    np.array([0.1, -0.0, 1e-45, 3.4028235e38, np.inf, -np.inf, np.nan], np.float32),
    np.array([0x7FC00001, 0xFFC00000, 0x7F800001], np.uint32).view(np.float32),
    np.array([0.1, 5e-324, np.nan, np.pi], np.float64),
    np.array([0xFFF8000000000123], np.uint64).view(np.float64),
    np.array([True, False]),
    np.array([[-128, 127]], np.int8),
    np.array([2**64 - 1, 0], np.uint64),
    np.zeros((2, 0, 3), np.float32),
    np.float32(1 / 3),
    np.arange(100, dtype=np.float32).reshape(4, 25),
]


@pytest.mark.parametrize("array", CONSTANTS, ids=lambda a: f"{a.dtype}{list(a.shape)}")
def test_constants_are_exact(array: np.ndarray) -> None:
    b = Builder()
    read = round_trip(b.build((b.add(Constant(array)),)))
    (got,) = read.nodes[0].op.eval()
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_attributes_that_compare_equal_differ() -> None:
    def padded(value: float) -> Graph:
        b = Builder()
        return b.build((fn.pad(b, b.input("x", TensorType((2,))), (1,), (0,), value),))

    assert len({structural_key(round_trip(padded(value))) for value in (0.0, -0.0, np.inf, float("nan"))}) == 4


def fused_graph() -> Graph:
    body = Builder("relu_neg.0")
    p = body.input("p", TensorType((Rows(4), 3)))
    kernel = Fused(body.build((fn.neg(body, fn.relu(body, p)), p)), "relu_neg.0")
    b = Builder("outer")
    x = b.input("x", TensorType((Rows(4), 3)))
    y, _ = b.add_all(kernel, x, names=("y", "z"))
    return b.build(b.add_all(kernel, y))


def test_fused_bodies_are_printed_once_and_read() -> None:
    text = print_graph(round_trip(fused_graph()))
    assert text.count("fused @relu_neg.0 (n = 4) {") == 1
    assert "%y, %z = fused @relu_neg.0(%x) : f32[n,3], f32[n,3]" in text


def test_files_hold_version_and_constants(tmp_path: Path) -> None:
    b = Builder()
    array = np.random.default_rng(0).standard_normal((40, 50))
    graph = b.build((b.add(Constant(array)),))
    write_graph(tmp_path / "g.graph", graph)
    assert (tmp_path / "g.graph").read_text().startswith("graphc 1\ngraph @graph {\n")
    assert structural_key(read_graph(tmp_path / "g.graph", REGISTRY)) == structural_key(graph)
    np.savez(tmp_path / "g.npz", **dict.fromkeys(large_constants(graph), array + 1))  # type: ignore[arg-type]
    with pytest.raises(ParseError, match="has other content than its name says"):
        read_graph(tmp_path / "g.graph", REGISTRY)


ERRORS = {
    "graph @g {\n  %y = relu(%x) : f32[2]\n  return %y\n}": 'line 2, column 13: %x is not defined before this line\n'
    "    %y = relu(%x) : f32[2]\n              ^",
    "graph @g {\n  input %x : f32[2]\n  %y = rellu(%x) : f32[2]\n  return\n}": "line 3, column 8: no op is called rellu; did you mean relu?",
    "graph @g {\n  input %x : f32[2]\n  %y = relu(%x) : f32[3]\n  return\n}": "line 3, column 3: relu gives f32[2], the text says f32[3]",
    "graph @g {\n  input %x : f33[2]\n  return\n}": "line 2, column 14: expected a type: f16, bf16, f32, f64, i8, i32, i64, u8, u32, u64, bool, got 'f33'",
    "graph @g {\n  input %x : f32[n]\n  return\n}": "line 2, column 18: n is unknown here: the block's header wants (n = ...)",
    "graph @g {\n  input %x : f32[2]\n  input %x : f32[2]\n  return\n}": "line 3, column 9: %x is defined twice",
    "graph @g {\n  input %x : f32[2]\n  %y = transpose(%x) {perm=(0.5,)} : f32[2]\n  return\n}": "line 3, column 28: attribute perm is (0.5,), wanted tuple[int, ...]",
    "graph @g {\n  input %x : f32[2]\n  %y = transpose(%x) {prm=(0,)} : f32[2]\n  return\n}": "line 3, column 23: transpose has no attribute prm; it has: perm",
    "graph @g {\n  input %x : f32[2]\n  %y = transpose(%x) : f32[2]\n  return\n}": "line 3, column 8: transpose wants the attribute perm",
    "graph @g {\n  input %x : f32[2]\n  %y = transpose(%x) {perm=(1,)} : f32[2]\n  return\n}": "line 3, column 3: perm (1,) is not a permutation of the 1 axes of f32[2]",
    "graph @g {\n  %y = constant() {array=[1.0]} : f32[2]\n  return\n}": "line 2, column 26: the constant is a list of 1, its type f32[2] wants 2 elements",
    "graph @g {\n  %y = constant() {array=[300]} : u8[1]\n  return\n}": "line 2, column 26: not a constant of u8[1]: ",
    "graph @g {\n  input %x : f32[2]\n  %y = fused @k(%x) : f32[2]\n  return\n}": "line 3, column 8: there is no block fused @k for this node",
    "graph @g {\n  input %x : f32[2]\n  update %x <- %x\n  return\n}": "line 1, column 1: update of <%x : f32[2]>: only a param or state of this graph can be updated",
    "graphc 9\ngraph @g {\n  return\n}": "line 1, column 1: format version 9 is unknown; this graphc reads version 1",
    "graph @g {\n  return\n": "line 3, column 1: expected '}'",
    "": "line 1, column 1: expected a block: graph, fused, scan",
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS, ids=[message.split(": ", 1)[1][:40] for message in ERRORS.values()])
def test_errors_say_where_and_what(text: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse_graph(text, REGISTRY)
    assert str(raised.value).startswith(ERRORS[text])


def test_errors_show_a_window_of_a_long_line() -> None:
    with pytest.raises(ParseError) as raised:
        parse_graph("graph @g { " + " " * 100_000 + "? }", REGISTRY)
    assert len(str(raised.value)) < 600 and "line 1, column 100012" in str(raised.value)


HOSTILE = [
    "graph @g {\n  %y = broadcast(%y) {shape=" + "(" * 100_000,
    "graph @g {\n  input %x : f32[" + "9" * 10_000 + "]\n  return\n}",
    "graph @g {\n  input %x : f32[99999999999999999999,99999999999999999999]\n  %y = constant() {array=[1.0]} : f32[99999999999999999999]\n return\n}",
    "graph @g (n = 0) {\n  input %x : f32[n]\n  %y = reshape(%x) {shape=(2n,)} : f32[2n]\n  return %y\n}",
    "graph @g (n = -1) {\n  input %x : f32[n]\n  return %x\n}",
    "graph @g {\n  %y = parameter() {role=\"x\"} : f32[2]\n  return\n}",
    "graph @g {\n  %y = fused() {body=none, label=\"x\"} : f32[2]\n  return\n}",
    "graph @g {\n  input %x : f32[2]\n  %y = max_pool(%x) {window=(0,), strides=(0,), padding=((0, 0),)} : f32[2]\n  return\n}",
    "graph @g {\n  input %x : f32[2]\n  %y = cast(%x) {dtype=\"f32\"} : f32[2]\n  return\n}",
    "graph @g { return } graph @h { return }",
    "graph @g {\n  %y = constant() {array=nan} : i32[]\n  return\n}",
    "graph @g {\n  %y = constant() {array=#" + "0" * 32 + "} : f32[]\n  return\n}",
    "graph @\"\\ud8\" { return }",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_graph(text, REGISTRY)


def test_random_mutations_at_worst_raise_parse_error() -> None:
    text, random_ = print_graph(mlp()) + print_graph(fused_graph()).split("\n\n", 1)[1], random.Random(7)
    refused = 0
    for _ in range(600):
        at = random_.randrange(len(text))
        piece = random_.choice(["", "(", "}", "%", "n", "-1", '"', "0.5", "\x00", text[at : at + 9] * 2])
        try:
            parse_graph(text[:at] + piece + text[at + random_.randrange(4) :], REGISTRY)
        except ParseError:
            refused += 1
    assert refused > 300
