"""Expressions that share parts, as a list of named parts: several results of one point computed together.

An op that hands over nests with common subexpressions builds each of them once, as one object; that is what is looked
for here. No two objects are ever compared: the trees behind them can be far larger than the graph they form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.ir.nest import Apply, Const, Expr, Load, Reg, children


def share(roots: Sequence[Expr], fresh: Callable[[], str]) -> tuple[list[tuple[Reg, Expr]], list[Expr]]:
    """(named parts in order, the expressions in terms of them): every object used twice or more gets a name."""
    uses = _uses(roots)
    parts: list[tuple[Reg, Expr]] = []
    done: dict[int, Expr] = {}

    def named(expr: Expr) -> Expr:
        if id(expr) not in done:
            new = replace(expr, args=tuple(map(named, expr.args))) if isinstance(expr, Apply) else expr
            if uses[id(expr)] > 1 and isinstance(expr, Apply | Load):
                reg = Reg(fresh(), expr.dtype)
                parts.append((reg, new))
                new = reg
            done[id(expr)] = new
        return done[id(expr)]

    return parts, [named(root) for root in roots]


def _uses(roots: Sequence[Expr]) -> Counter[int]:
    """How often each object is used; what is inside it counts once."""
    uses: Counter[int] = Counter()
    pending = list(roots)
    while pending:
        expr = pending.pop()
        uses[id(expr)] += 1
        if uses[id(expr)] == 1 and not isinstance(expr, Const):
            pending += children(expr)
    return uses
