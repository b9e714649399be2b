"""Names of objects in saved configurations: custom objects, the registry, and one way to and from a config.

A class is found by name only in a fixed table of graphc's own classes and in what the user registered or passed;
nothing is ever imported because a file names it.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

Objects = Mapping[str, Any]
T = TypeVar("T")

_custom_objects: dict[str, Any] = {}
_custom_names: dict[Any, str] = {}
_scope: contextvars.ContextVar[Objects] = contextvars.ContextVar("custom_objects", default={})  # noqa: B039
_sharing: contextvars.ContextVar[Shared | None] = contextvars.ContextVar("sharing", default=None)


class Shared:
    """What one file has named so far, so that an object that occurs twice is one object again when it is read.

    Written: the config of each object, by its identity; read: each object, by its number in the file.
    """

    def __init__(self) -> None:
        self.written: dict[int, tuple[Any, int]] = {}
        self.read: dict[Any, Any] = {}

    def number(self, subject: Any) -> int:
        """The number of an object, the same whenever it is written; kept with it, so that its id stays its own."""
        return self.written.setdefault(id(subject), (subject, len(self.written) + 1))[1]


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """One file is written or read inside: its shared objects are numbered, or made once."""
    token = _sharing.set(Shared())
    try:
        yield
    finally:
        _sharing.reset(token)


class CustomObjectScope:
    """`with custom_object_scope({"Mine": Mine}):` makes the classes and functions known to loading in the block."""

    def __init__(self, custom_objects: Objects | None) -> None:
        self.custom_objects = dict(custom_objects or {})
        self._tokens: list[contextvars.Token[Objects]] = []

    def __enter__(self) -> CustomObjectScope:
        self._tokens.append(_scope.set(self.custom_objects))
        return self

    def __exit__(self, *_: object) -> None:
        _scope.reset(self._tokens.pop())


custom_object_scope = CustomObjectScope


def scope() -> Objects:
    """The custom objects of the innermost open scope."""
    return _scope.get()


def get_custom_objects() -> dict[str, Any]:
    """The process-wide table of custom objects itself: changing it registers or forgets them."""
    return _custom_objects


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Decorator that makes a class or function known to saving and loading as `package>name`.

    Raises ValueError for a class without `get_config`.
    """

    def decorate(subject: T) -> T:
        if inspect.isclass(subject) and not hasattr(subject, "get_config"):
            raise ValueError(
                f"Cannot register a class that does not have a get_config() method. Received: {subject.__name__}"
            )
        registered = f"{package}>{name or subject.__name__}"  # type: ignore[attr-defined]
        _custom_objects[registered] = subject
        _custom_names[subject] = registered
        return subject

    return decorate


def get_registered_name(subject: Any) -> str:
    """The registered name of a class or function, else its Python name."""
    return _custom_names.get(subject) or str(subject.__name__)


def get_registered_object(
    name: str, custom_objects: Objects | None = None, module_objects: Objects | None = None
) -> Any:
    """What `name` stands for, or None; searched: the scope, the registry, `custom_objects`, `module_objects`."""
    for table in (_scope.get(), _custom_objects, custom_objects or {}, module_objects or {}):
        if name in table:
            return table[name]
    return None


def without_single_numbers(config: Any) -> Any:
    """The config without the numbers of objects that occur only once in it."""
    counts = collections.Counter(_numbers(config))
    return _stripped(config, {number for number, count in counts.items() if count == 1})


def _numbers(config: Any) -> Iterator[Any]:
    if isinstance(config, dict):
        if "shared_object_id" in config:
            yield config["shared_object_id"]
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _numbers(item)


def _stripped(config: Any, single: set[Any]) -> Any:
    if isinstance(config, dict):
        kept = {k: v for k, v in config.items() if k != "shared_object_id" or v not in single}
        return {key: _stripped(value, single) for key, value in kept.items()}
    return [_stripped(item, single) for item in config] if isinstance(config, (list, tuple)) else config


def public_name(cls: type, module: str) -> dict[str, Any]:
    """The keys of a config that name `cls`: Keras's `module` for an own class, the class's for any other."""
    named = next((base for base in cls.__mro__ if base.__name__ == cls.__name__ and base in _custom_names), cls)
    if named in _custom_names or not cls.__module__.startswith("graphc."):
        place = None if named.__module__ == "__main__" else named.__module__
        return {"module": place, "class_name": cls.__name__, "registered_name": get_registered_name(named)}
    # classes outside of Keras's public modules carry their name as if they were registered
    return {
        "module": module,
        "class_name": cls.__dict__.get("_public_name", cls.__name__),
        "registered_name": cls.__name__ if ".src." in module else None,
    }


def serialize_object(subject: Any, module: str) -> dict[str, Any]:
    """The config of an object that has `get_config`, as Keras writes it, with how it was built and compiled.

    module: Keras's public module of graphc's own classes, such as "keras.initializers".
    """
    name = public_name(type(subject), module)
    entry = {
        "module": name["module"],
        "class_name": name["class_name"],
        "config": subject.get_config(),
        "registered_name": name["registered_name"],
    }
    for part in ("build", "compile"):
        get_part = getattr(subject, f"get_{part}_config", None)
        if get_part is not None and (found := get_part()) is not None:
            entry[f"{part}_config"] = found
    if (shared := _sharing.get()) is not None:
        entry["shared_object_id"] = shared.number(subject)
    return entry


def deserialize_object(
    identifier: Any, module_objects: Objects, custom_objects: Objects | None = None, *, kind: str
) -> Any:
    """The object a name or a config stands for.

    identifier: a name, or {"class_name", "config", ...} (the "module" is not looked at).
    kind: what is being read, for messages, such as "initializer".
    Returns an instance for a class, and the function itself for a function. Raises ValueError for a name in none of
    the tables, and for something that is neither name nor config.
    """
    name, config = _name_and_config(identifier, kind)
    subject = get_registered_object(name, custom_objects, module_objects)
    if subject is None and ">" in name:
        subject = get_registered_object(name.split(">")[-1], custom_objects)
    if subject is None:
        raise ValueError(unknown_name(kind, name, module_objects))
    if not inspect.isclass(subject):
        return subject
    return instance_of(subject, config, identifier if isinstance(identifier, Mapping) else {}, custom_objects)


def interpret(identifier: Any, deserialize: Callable[[Any], Any], kind: str) -> Any:
    """The object a name, config, class or callable stands for; None stays None. ValueError for anything else."""
    found = deserialize(identifier) if isinstance(identifier, (str, Mapping)) else identifier
    if isinstance(found, type):
        return found()
    if found is None or callable(found) or found is not identifier:
        return found
    raise ValueError(f"Could not interpret {kind} identifier: {identifier}")


def instance_of(
    cls: type, config: dict[str, Any], entry: Mapping[str, Any], custom_objects: Objects | None = None
) -> Any:
    """An instance of a class from its config, built and compiled as the entry around the config says.

    An entry that carries the number of an object this file has made already gives that object.
    """
    shared, number = _sharing.get(), entry.get("shared_object_id")
    if shared is not None and number is not None and number in shared.read:
        return shared.read[number]
    with CustomObjectScope({**_scope.get(), **(custom_objects or {})}):
        from_config = getattr(cls, "from_config", None)
        made = from_config(config) if from_config else cls(**config)
        if entry.get("build_config") and not getattr(made, "built", True):
            made.build_from_config(entry["build_config"])
        if entry.get("compile_config"):
            made.compile_from_config(entry["compile_config"])
    if shared is not None and number is not None:
        shared.read[number] = made
    return made


def unknown_name(kind: str, name: Any, known: Objects) -> str:
    """The message for a name nobody knows, with the nearest known one."""
    nearest = difflib.get_close_matches(str(name), list(known), n=1)
    advice = f". Did you mean '{nearest[0]}'?" if nearest else ""
    return f"Could not interpret {kind} identifier: {name}{advice}"


def _name_and_config(identifier: Any, kind: str) -> tuple[str, dict[str, Any]]:
    if isinstance(identifier, str):
        return identifier, {}
    if not isinstance(identifier, Mapping) or not isinstance(identifier.get("class_name"), str):
        raise ValueError(f"Could not interpret {kind} identifier: {identifier}")
    config = identifier.get("config", {})
    if identifier["class_name"] == "function" and isinstance(config, str):
        return config, {}
    if not isinstance(config, Mapping):
        raise ValueError(f"Could not interpret {kind} config of {identifier['class_name']}: {config!r} is not a dict")
    return str(identifier.get("registered_name") or identifier["class_name"]), dict(config)
