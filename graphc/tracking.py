"""Attributes that own state: an object knows the layers, variables, metrics and seed generators assigned to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Track = Callable[[Any], Any]


class TrackedList(list[Any]):
    """A list that shows every new item to `track`."""

    def __init__(self, values: Iterable[Any], track: Track) -> None:
        self._track = track
        super().__init__(track(value) for value in values)

    def append(self, value: Any) -> None:
        super().append(self._track(value))

    def insert(self, index: Any, value: Any) -> None:
        super().insert(index, self._track(value))

    def extend(self, values: Iterable[Any]) -> None:
        super().extend(self._track(value) for value in values)

    def __iadd__(self, values: Iterable[Any]) -> TrackedList:  # type: ignore[misc]
        self.extend(values)
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, self._track(value))

    def __reduce__(self) -> Any:
        return list, (list(self),)


class TrackedDict(dict[Any, Any]):
    """A dict that shows every new value to `track`."""

    def __init__(self, values: dict[Any, Any], track: Track) -> None:
        self._track = track
        super().__init__({key: track(value) for key, value in values.items()})

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, self._track(value))

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
