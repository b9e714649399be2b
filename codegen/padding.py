"""Padding without branches: loop bounds that keep guarded loads inside their operand."""

from __future__ import annotations

from codegen.loops import Bound, as_i64, const, larger, smaller
from codegen.parts import IDENTITY, Reduction
from graphc.ir.nest import Affine, Apply, Const, Load, walk
from graphc.ir.types import DType


def guarded_loads(r: Reduction) -> list[Load]:
    return [e for expr in r.exprs for e in walk(expr) if isinstance(e, Load) and e.guarded]


def is_skippable(r: Reduction, load: Load) -> bool:
    """Whether a point at which `load` is outside adds nothing, so that it need not be visited."""
    if r.lets:
        return False
    if r.value == load:
        return load.fill == IDENTITY[r.combine]
    match r.value:
        case Apply("mul", factors):
            return r.combine == "add" and load in factors and load.fill == 0
    return False


def narrowed(index: Affine, axis: str, dim: int, start: Bound, stop: Bound) -> tuple[Bound, Bound]:
    """Bounds of `axis` narrowed to 0 <= index < dim."""
    c = index.coefficient(axis)
    rest = index - Affine(((axis, c),))
    if c > 0:
        low, high = _ceil_div(rest * -1, c), _ceil_div(rest * -1 + dim, c)
    else:
        low, high = _ceil_div(rest - (dim - 1), -c), _ceil_div(rest + 1, -c)
    return larger(start, low), smaller(stop, high)


def _ceil_div(value: Affine, divisor: int) -> Bound:
    if divisor == 1:
        return value
    if not value.terms:
        return const(-(-value.constant // divisor))
    return Apply("floor_div", (as_i64(value + (divisor - 1)), Const(divisor, DType.I64)), DType.I64)
