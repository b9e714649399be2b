"""Name scopes: the layers being built right now, from the outermost in; they make the paths of weights."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_names: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("name_scope", default=())


def current_path() -> str:
    """The open scopes joined by `/`; empty outside all scopes."""
    return "/".join(_names.get())


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[None]:
    """Variables made inside get `name/` before their name. ValueError for a name that is not a plain word."""
    if not isinstance(name, str) or "/" in name:
        raise ValueError(f"Argument `name` must be a string and cannot contain character `/`. Received: name={name}")
    token = _names.set((*_names.get(), name))
    try:
        yield
    finally:
        _names.reset(token)


@contextlib.contextmanager
def absolute_scope(path: str) -> Iterator[None]:
    """Variables made inside get `path/` before their name, whatever scopes are open."""
    token = _names.set(tuple(path.split("/")) if path else ())
    try:
        yield
    finally:
        _names.reset(token)
