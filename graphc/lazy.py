"""Packages whose public names are loaded when they are first used, with the module each of them is in."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any


def homes(modules: Mapping[str, str]) -> dict[str, str]:
    """The module of each name, from the names of each module."""
    return {name: module for module, names in modules.items() for name in names.split()}


def loader(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names are in these modules (".name": below it)."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(homes[name], package), name)
        setattr(sys.modules[package], name, found)
        return found

    return load


class LazyObjects(MutableMapping[str, Any]):
    """Objects by name, those of a package by the names alone until they are asked for."""

    def __init__(self, load: Callable[[str], Any], names: Iterable[str]) -> None:
        self._load = load
        self._names = dict.fromkeys(names)
        self._added: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name in self._added:
            return self._added[name]
        if name not in self._names:
            raise KeyError(name)
        return self._load(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._names[name] = None
        self._added[name] = value

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._added.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
