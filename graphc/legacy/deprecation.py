"""The warning for old spellings, shown for the user's own line."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).parent.parent)


def deprecated(message: str, category: type[Warning] = DeprecationWarning) -> None:
    """A warning at the innermost line outside of graphc and of Python's import machinery."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_inside(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        warnings.warn(message, category, stacklevel=2)
        return
    where = frame.f_globals
    registry = where.setdefault("__warningregistry__", {})
    name = where.get("__name__", "<unknown>")
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, name, registry)


def _is_inside(filename: str) -> bool:
    return filename.startswith((_PACKAGE, "<frozen importlib", "<frozen runpy", importlib.__file__))
