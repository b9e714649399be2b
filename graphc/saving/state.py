"""The state of a model as a tree: which object keeps its arrays under which path.

The paths are those Keras makes: attributes by name, members of lists by class name and number, Sequential and
functional models by their layers first. Beside them the states of seed generators are kept, which Keras ignores.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from graphc import naming
from graphc.ir.op import Array
from graphc.random import SeedGenerator
from graphc.variables import Variable


class Group(NamedTuple):
    """The arrays of one object and its name."""

    name: str | None
    arrays: Mapping[str, Array]


class Source(Protocol):
    """A file to read from: the keys of a group, and single arrays."""

    def keys(self, path: str) -> list[str]:
        """The keys of the arrays of the object at this path; none if it is not in the file."""

    def read(self, path: str, key: str, shape: tuple[int, ...] | None, kind: str | None) -> Array:
        """An array. shape, kind: what it must be (kind as numpy's dtype.kind), checked before it is read."""


class Stored(Mapping[str, Array]):
    """What `load_own_variables` of a layer is given: the arrays of its group by key."""

    def __init__(self, source: Source, path: str) -> None:
        self._source = source
        self._path = path
        self._keys = source.keys(path)

    def __getitem__(self, key: str) -> Array:
        if key not in self._keys:
            raise KeyError(key)
        return self._source.read(self._path, key, None, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


# ---- the walk


def saveables(model: Any) -> Iterator[tuple[str, Any]]:
    """(path, object) of everything that holds state, once each, in Keras's order."""
    return _walk(model, "", set())


def _walk(subject: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(subject) in seen:
        return
    seen.add(id(subject))
    yield path, subject
    for name, child in _children(subject):
        inner = f"{path}/{name}" if path else name
        if is_saveable(child):
            yield from _walk(child, inner, seen)
        elif isinstance(child, (list, tuple, dict)):
            yield from _walk_container(child, inner, seen, set())


def _walk_container(container: Any, path: str, seen: set[int], open_ones: set[int]) -> Iterator[tuple[str, Any]]:
    """Members by class name and number. Those that were met before count, too."""
    if id(container) in open_ones:
        return
    open_ones.add(id(container))
    used: dict[str, int] = {}
    for child in container.values() if isinstance(container, dict) else container:
        if is_saveable(child):
            yield from _walk(child, f"{path}/{_numbered(naming.to_snake_case(type(child).__name__), used)}", seen)
        elif isinstance(child, (list, tuple, dict)):
            yield from _walk_container(child, f"{path}/{_numbered('container', used)}", seen, open_ones)


def _numbered(name: str, used: dict[str, int]) -> str:
    count = used.get(name, 0)
    used[name] = count + 1
    return f"{name}_{count}" if count else name


def is_saveable(subject: Any) -> bool:
    from graphc.layers.layer import Layer
    from graphc.optimizers import Optimizer

    return isinstance(subject, (Layer, Optimizer, SeedGenerator))


def _children(subject: Any) -> Iterator[tuple[str, Any]]:
    from graphc.models import Functional, Sequential

    if isinstance(subject, SeedGenerator):
        return
    if isinstance(subject, (Functional, Sequential)):
        yield "layers", subject.layers
    hidden = _hidden(subject)
    # private attributes last
    for name in sorted(dir(subject), key=lambda name: f"~{name}" if name.startswith("_") else name):
        if name.startswith("__") or name in hidden:
            continue
        try:
            child = getattr(subject, name)
        except Exception:  # a property that has nothing to say yet
            continue
        yield name, child


def _hidden(subject: Any) -> frozenset[str]:
    """Attributes that every object of this kind has; they are not what the user or a subclass put there."""
    from graphc.layers.layer import Layer
    from graphc.models import Model

    return _names_of(Model if isinstance(subject, Model) else Layer if isinstance(subject, Layer) else None)


@functools.cache
def _names_of(kind: type | None) -> frozenset[str]:
    from graphc.models import Model
    from graphc.optimizers import Optimizer

    if kind is None:
        return frozenset(dir(Optimizer(1.0, name="reference")))
    names = set(dir(kind(name="reference")))
    if kind is Model:
        names -= {"layers", "optimizer"}
        names |= {"_functional", "operations", "_graph"}
    return frozenset(names)


# ---- writing


def collect(model: Any) -> dict[str, Group]:
    """The groups of all objects by path."""
    return {path: Group(getattr(subject, "name", None), _arrays_of(subject)) for path, subject in saveables(model)}


def _arrays_of(subject: Any) -> dict[str, Array]:
    store: dict[str, Any] = {}
    if isinstance(subject, SeedGenerator):
        store["0"] = subject.state
    else:
        subject.save_own_variables(store)
    return {key: value.array if isinstance(value, Variable) else np.asarray(value) for key, value in store.items()}


# ---- reading


class Loading:
    """The arrays for a model's variables, read and checked; nothing is changed before `apply`.

    skip_mismatch: objects whose arrays are missing or of another shape keep theirs and are warned of. Raises ValueError
    otherwise.
    """

    def __init__(self, model: Any, source: Source, skip_mismatch: bool = False, skipped: Iterable[Any] = ()) -> None:
        self.source = source
        self.pairs: list[tuple[Variable, Array]] = []
        self.hooks: list[tuple[Any, Stored]] = []
        self.failures: list[tuple[Any, str]] = []
        left_out = {id(item) for item in skipped}
        for path, subject in saveables(model):
            if id(subject) not in left_out:
                self._add(path, subject)
        if self.failures:
            self._report(skip_mismatch)

    def _add(self, path: str, subject: Any) -> None:
        if not isinstance(subject, SeedGenerator) and not _loads_by_default(subject):
            self.hooks.append((subject, Stored(self.source, path)))
            return
        variables, keys = variables_of(subject), self.source.keys(path)
        if isinstance(subject, SeedGenerator) and not keys:
            return
        if len(keys) != len(variables):
            self._count_differs(subject, variables, keys)
            return
        try:
            arrays = [self._read(path, index, variable) for index, variable in enumerate(variables)]
        except Mismatch as error:
            self.failures.append((subject, str(error)))
            return
        self.pairs.extend(zip(variables, arrays, strict=True))

    def _read(self, path: str, index: int, variable: Variable) -> Array:
        if str(index) not in self.source.keys(path):
            raise Mismatch(f"variable '{variable.path}' ({path}/vars/{index}) is missing")
        array = self.source.read(path, str(index), variable.shape, variable.array.dtype.kind)
        return fitting(array, variable, f"{path}/vars/{index}")

    def _count_differs(self, subject: Any, variables: list[Variable], keys: list[str]) -> None:
        import warnings

        from graphc.optimizers import Optimizer

        if isinstance(subject, Optimizer):
            warnings.warn(
                f"Skipping variable loading for optimizer '{subject.name}', because it has {len(variables)} variables "
                f"whereas the saved optimizer has {len(keys)} variables.",
                stacklevel=5,
            )
            return
        never = f"Layer '{subject.name}' was never built and thus has no variables, but the file holds {len(keys)}"
        differs = (
            f"Layer '{subject.name}' expected {len(variables)} variables, but received {len(keys)} variables during "
            f"loading. Expected: {[variable.name for variable in variables]}"
        )
        self.failures.append((subject, differs if variables or subject.built else never))

    def _report(self, skip_mismatch: bool) -> None:
        import warnings

        subject, error = self.failures[0]
        message = (
            f"A total of {len(self.failures)} objects could not be loaded. Example error message for object "
            f"{subject}:\n\n{error}\n\nList of objects that could not be loaded:\n{[one for one, _ in self.failures]}"
        )
        if not skip_mismatch:
            raise ValueError(message)
        warnings.warn(message, stacklevel=5)

    def apply(self) -> None:
        """Write the values into the variables, then let layers with `load_own_variables` of their own read theirs."""
        for variable, array in self.pairs:
            variable.assign(array)
        for subject, stored in self.hooks:
            subject.load_own_variables(stored)


class Mismatch(ValueError):
    """An array in a file is not what the model's variable asks for."""


def fitting(array: Array, variable: Variable, where: str) -> Array:
    """The array in the variable's dtype. Mismatch if a whole number in it does not fit."""
    wanted = variable.array.dtype
    if array.dtype == wanted:
        return array
    if wanted.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise Mismatch(f"{where}: values from {low} to {high} do not fit variable '{variable.path}' of {wanted}")
    return array.astype(wanted)


def variables_of(subject: Any) -> list[Variable]:
    """The variables an object keeps itself, in the order of its group."""
    from graphc.optimizers import Optimizer

    if isinstance(subject, SeedGenerator):
        return [subject.state]
    return list(subject.variables) if isinstance(subject, Optimizer) else list(subject._own_weights)


def _loads_by_default(subject: Any) -> bool:
    from graphc.layers.state import LayerState
    from graphc.optimizers import Optimizer

    base = Optimizer if isinstance(subject, Optimizer) else LayerState
    return type(subject).load_own_variables is base.load_own_variables
