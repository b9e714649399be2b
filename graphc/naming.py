"""Names given to layers, models and tensors that the user did not name.

A name is the class name in snake case; a process-wide counter per name makes the second one `dense_1`.
"""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Callable

_counters: dict[str, int] = {}
_lock = threading.Lock()
_on_clear: list[Callable[[], None]] = []


def to_snake_case(name: str) -> str:
    """`MaxPooling2D` -> `max_pooling2d`, `ReLU` -> `re_lu`, `RMSNormalization` -> `rms_normalization`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def uniquify(name: str) -> str:
    """`name` the first time it is asked for, `name_1`, `name_2`, ... after that."""
    with _lock:
        count = _counters.get(name, 0)
        _counters[name] = count + 1
    return f"{name}_{count}" if count else name


def auto_name(prefix: str) -> str:
    """A fresh name for an object of the class called `prefix`."""
    return uniquify(to_snake_case(prefix))


def get_uid(prefix: str = "") -> int:
    """Advance the counter of `prefix` and return it (the first call returns 1)."""
    with _lock:
        _counters[prefix] = _counters.get(prefix, 0) + 1
        return _counters[prefix]


def reset_uids() -> None:
    """Start all name counters again."""
    with _lock:
        _counters.clear()


def on_clear_session(reset: Callable[[], None]) -> Callable[[], None]:
    """Register `reset` to be called by `clear_session()`; usable as a decorator."""
    _on_clear.append(reset)
    return reset


def clear_session(free_memory: bool = True) -> None:
    """Forget process-wide state: name counters and whatever registered with `on_clear_session`.

    free_memory: also run the garbage collector, so models that nobody refers to give their memory back now.
    """
    reset_uids()
    for reset in _on_clear:
        reset()
    if free_memory:
        gc.collect()
