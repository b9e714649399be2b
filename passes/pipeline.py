"""The passes by name, and the order in which the compiler runs them."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.primitives.scan_gradient import keep_residuals
from passes.canonicalize import canonicalize, relu_after_pool
from passes.cse import cse
from passes.dce import dce
from passes.expand import expand
from passes.fold import fold
from passes.fusion import fuse
from passes.hoist import hoist
from passes.manager import Pass, pass_name
from passes.simplify import simplify
from passes.unit_axes import drop_unit_axes
from passes.update_rows import update_rows
from passes.winograd import winograd

PIPELINE: tuple[Pass, ...] = (
    expand,
    canonicalize,
    hoist,
    fold,
    simplify,
    winograd,
    cse,
    drop_unit_axes,
    canonicalize,
    dce,
    update_rows,
    fuse,
)
"""From any graph to one that can be planned and lowered."""


def pipeline(*, with_winograd: bool) -> tuple[Pass, ...]:
    """The pipeline, with or without the pass that trades a little accuracy of large convolutions for speed."""
    return PIPELINE if with_winograd else tuple(step for step in PIPELINE if step is not winograd)


PASSES: dict[str, Pass] = {pass_name(step): step for step in (relu_after_pool, keep_residuals, *PIPELINE)}


def find_passes(names: Sequence[str]) -> tuple[Pass, ...]:
    """The passes of these names, in order. ValueError names those there are."""
    if unknown := [name for name in names if name not in PASSES]:
        raise ValueError(f"no pass is called {unknown[0]!r}; the passes are {', '.join(PASSES)}")
    return tuple(PASSES[name] for name in names)
