"""Reductions as statements: where they start, how they accumulate, which share their loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.loops import Accumulate, Block, Set, Stmt
from codegen.padding import guarded_loads
from codegen.parts import IDENTITY, Reduction
from graphc.ir.nest import Affine, Const, Reg
from graphc.ir.types import DType


def identity(combine: str, dtype: DType) -> Const:
    """The value a reduction starts from."""
    value = IDENTITY[combine]
    if dtype.is_float or abs(value) != float("inf"):
        return Const(value if dtype.is_float else int(value), dtype)
    if dtype is DType.BOOL:
        return Const(value > 0, dtype)
    bits = dtype.size * 8
    top = 2 ** (bits - 1) - 1 if dtype.is_signed else 2**bits - 1
    bottom = -(2 ** (bits - 1)) if dtype.is_signed else 0
    return Const(top if value > 0 else bottom, dtype)


def initial(reductions: Sequence[Reduction], index: tuple[Affine, ...] = ()) -> Block:
    """Every reduction's register at its identity (argmax and argmin: and position 0)."""
    block: list[Stmt] = []
    for r in reductions:
        block.append(Set(replace(r.reg, index=index), identity(r.combine, r.reg.dtype)))
        if r.position is not None:
            block.append(Set(Reg(f"{r.reg.name}.at", DType.I32, index), Const(0, DType.I32)))
    return tuple(block)


def accumulations(reductions: Sequence[Reduction], index: tuple[Affine, ...], masked: bool = False) -> Block:
    block: list[Stmt] = []
    for r in reductions:
        block += r.lets
        block.append(Accumulate(replace(r.reg, index=index), r.combine, r.value, r.position, masked))
    return tuple(block)


def folded(reductions: Sequence[Reduction], chains: Sequence[Sequence[Reg]]) -> Block:
    """The registers of all chains (one for every reduction in each) combined into those of the first, pairwise."""
    block: list[Stmt] = []
    distance = 1
    while distance < len(chains):
        for i in range(0, len(chains) - distance, 2 * distance):
            pairs = zip(reductions, chains[i], chains[i + distance], strict=True)
            block += [Accumulate(a, r.combine, b) for r, a, b in pairs]
        distance *= 2
    return tuple(block)


def grouped(reductions: Sequence[Reduction]) -> list[list[Reduction]]:
    """Reductions over the same axes share their loops, unless padding makes their bounds differ."""
    groups: list[list[Reduction]] = []
    for r in reductions:
        mate = next(
            (g for g in groups if g[0].axes == r.axes and not guarded_loads(r) and not guarded_loads(g[0])), None
        )
        if mate is None and not r.lets:
            mate = next((g for g in groups if g[0].axes == r.axes and g[0].value == r.value), None)
        if mate is None:
            groups.append([r])
        else:
            mate.append(r)
    return groups
