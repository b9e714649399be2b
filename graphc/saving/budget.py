"""A limit on the memory of variables while a file is loaded: a file of few bytes cannot ask for many."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

# What a file may ask for beyond its own size: small files, and optimizer slots that are made before they are read.
ALLOWANCE = 128 << 20
FACTOR = 3


class Budget:
    """Bytes that may still be allocated."""

    def __init__(self, file_size: int) -> None:
        self.file_size = file_size
        self.left = FACTOR * file_size + ALLOWANCE


_active: contextvars.ContextVar[Budget | None] = contextvars.ContextVar("budget", default=None)


@contextlib.contextmanager
def limited_by(file_size: int) -> Iterator[None]:
    """Inside, the variables that are made may take a small multiple of the size of the file (in bytes)."""
    token = _active.set(Budget(file_size))
    try:
        yield
    finally:
        _active.reset(token)


def spend(size: int, what: str) -> None:
    """Count `size` bytes that are about to be allocated. ValueError if the file cannot justify them."""
    budget = _active.get()
    if budget is None:
        return
    if size > budget.left:
        raise ValueError(
            f"{what} needs {size:,} bytes, but a file of {budget.file_size:,} bytes cannot hold weights of that size: "
            "its configuration is damaged or made to exhaust the memory"
        )
    budget.left -= size
