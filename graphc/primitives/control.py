"""Control flow: the loop over a static number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.builder import Builder
from graphc.ir.graph import Graph
from graphc.ir.loop import Loop
from graphc.ir.op import Node, Op, Types, Value
from graphc.ir.rewrite import rebuild
from graphc.ir.types import DType, Rows, TensorType
from graphc.primitives import functions as fn


@dataclass(frozen=True, eq=False)
class Scan(Loop):
    """A differentiable loop; see `Loop`. Its gradient is a loop in the other direction (`primitives.scan_gradient`)."""

    def vjp(
        self, b: Builder, inputs: Sequence[Value], outputs: Sequence[Value], cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        from graphc.primitives.scan_gradient import scan_vjp  # makes loops itself

        return scan_vjp(self, b, inputs, outputs, cotangents)

    @classmethod
    def samples(cls) -> Sequence[tuple[Op, Types]]:
        return [
            _sample(_recurrent(Rows(6), 3), 5, (1, 1)),
            _sample(_recurrent(Rows(6), 3, DType.F64), 4, (1, 1), reverse=True),
            _sample(_recurrent(7, 3), 1, (1, 1)),
            _sample(_recurrent(7, 3), 0, (1, 1)),
            _sample(_counting(Rows(6), 5), 3, (2, 1)),
            _sample(_gated(Rows(12), 5), 7, (2, 1)),
            _sample(_gated(Rows(12), 5), 2, (2, 1), reverse=True),
            _sample(_norms(Rows(6), 5), 4, (1, 1)),
            _sample(_mapped(Rows(6), 5), 3, (0, 1)),
            _sample(_nested(Rows(6), 5), 3, (1, 1)),
            _sample(_swapped(3), 4, (2, 0)),
        ]


def close_body(b: Builder, outputs: Sequence[Value]) -> tuple[Graph, list[Value]]:
    """What a builder collected as a body, and the values of another graph that it reads: its last inputs stand for
    them."""
    known = {*b.inputs, *(value for node in b.nodes for value in node.outputs)}
    read = (*(value for node in b.nodes for value in node.inputs), *outputs)
    captured = list(dict.fromkeys(value for value in read if value not in known))
    mapping = {value: b.parameter(value.name, value.type) for value in captured}
    nodes: list[Node] = []
    for node in b.nodes:
        nodes.append(rebuild(node, tuple(mapping.get(value, value) for value in node.inputs)))
        mapping.update((o, n) for o, n in zip(node.outputs, nodes[-1].outputs, strict=True) if o != n)
    return Graph(b.name, tuple(b.inputs), tuple(nodes), tuple(mapping.get(v, v) for v in outputs)), captured


def _sample(body: Graph, steps: int, counts: tuple[int, int], reverse: bool = False) -> tuple[Op, Types]:
    op = Scan(body, steps, *counts, reverse)
    types = [value.type for value in body.inputs]
    between = slice(counts[0], sum(counts))
    types[between] = [op.sequence_type(type) for type in types[between]]
    return op, tuple(types)


def _recurrent(batch: int, units: int, dtype: DType = DType.F32) -> Graph:
    """h = tanh(x + h w); both h and what goes into tanh are results."""
    b = Builder("recurrent")
    h, x = (b.input(name, TensorType((batch, units), dtype)) for name in ("h", "x"))
    w = b.input("w", TensorType((units, units + 1), dtype))
    before = fn.add(b, x, fn.slice_axis(b, fn.matmul(b, h, fn.mul(b, w, 0.1)), 1, 0, units))
    after = fn.tanh(b, before)
    return b.build((after, after, before))


def _gated(batch: int, units: int) -> Graph:
    """Two carries, gates from one product, a bias."""
    b = Builder("gated")
    h, c = (b.input(name, TensorType((batch, units))) for name in ("h", "c"))
    x = b.input("x", TensorType((batch, 2 * units)))
    w, bias = b.input("w", TensorType((units, 2 * units))), b.input("bias", TensorType((2 * units,)))
    z = fn.add(b, fn.add(b, x, fn.mul(b, fn.matmul(b, h, w), 0.01)), bias)
    gate = fn.sigmoid(b, fn.slice_axis(b, z, 1, 0, units))
    new = fn.add(b, fn.mul(b, gate, c), fn.tanh(b, fn.slice_axis(b, z, 1, units, units)))
    return b.build((fn.mul(b, gate, fn.tanh(b, new)), new, new))


def _counting(batch: int, width: int) -> Graph:
    """A carry of whole numbers beside one of floats; a result that is the carry as it was before the step."""
    b = Builder("counting")
    total, count = b.input("total", TensorType((batch, width))), b.input("count", TensorType((), DType.I32))
    x = b.input("x", TensorType((batch, width)))
    weighted = fn.mul(b, x, fn.cast(b, count, DType.F32))
    return b.build((fn.add(b, total, weighted), fn.add(b, count, 1), total, count))


def _norms(batch: int, width: int) -> Graph:
    """A mean over the batch: the rows need each other."""
    b = Builder("norms")
    mean, x = b.input("mean", TensorType((width,))), b.input("x", TensorType((batch, width)))
    new = fn.add(b, fn.mul(b, mean, 0.5), fn.mean(b, x, 0))
    return b.build((new, fn.sub(b, x, new)))


def _mapped(batch: int, width: int) -> Graph:
    """Nothing is carried."""
    b = Builder("mapped")
    x, scale = b.input("x", TensorType((batch, width))), b.input("scale", TensorType((width,)))
    return b.build((fn.mul(b, fn.sin(b, x), scale),))


def _nested(batch: int, width: int) -> Graph:
    """A loop over the elements of each step."""
    inner = Builder("inner")
    total, part = inner.input("total", TensorType((batch,))), inner.input("part", TensorType((batch,)))
    new = fn.sin(inner, fn.add(inner, total, part))
    op = Scan(inner.build((new, new)), width, 1, 1)
    b = Builder("outer")
    total, x = b.input("total", TensorType((batch,))), b.input("x", TensorType((batch, width)))
    last, all_of_them = b.add_all(op, total, fn.transpose(b, x))
    return b.build((last, fn.sum(b, all_of_them, 0)))


def _swapped(width: int) -> Graph:
    """Two carries that change places, nothing else."""
    b = Builder("swapped")
    x, y = (b.input(name, TensorType((width,))) for name in ("x", "y"))
    return b.build((y, x))
