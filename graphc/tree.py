"""Nested structures of dicts, lists, tuples and namedtuples: `keras.tree`.

Everything else, None included, is a leaf. A dict's values come in the order of its sorted keys (insertion order if they
cannot be sorted), an `OrderedDict`'s in its own order.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Path = tuple[Any, ...]

_DIFFERENT = "Structures don't have the same nested structure."


class MAP_TO_NONE:
    """What a function given to `traverse` returns to put None into the result."""


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a container (even an empty one) and not a leaf."""
    return isinstance(structure, (dict, list, tuple))


def flatten(structure: Any) -> list[Any]:
    """The leaves, from left to right."""
    return [leaf for _, leaf in flatten_with_path(structure)]


def flatten_with_path(structure: Any) -> list[tuple[Path, Any]]:
    """(path, leaf) pairs; a path is the tuple of keys and indices that lead to the leaf."""
    if not is_nested(structure):
        return [((), structure)]
    return [((key, *path), leaf) for key, child in _items(structure) for path, leaf in flatten_with_path(child)]


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """A structure like the first one whose leaves are `func(leaf of each structure)`.

    none_is_leaf: False keeps None without calling `func`. Raises ValueError if the structures differ.
    """
    if not structures:
        raise ValueError("Must provide at least one structure")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    return _map(func, structures, none_is_leaf)


def _map(func: Callable[..., Any], structures: Sequence[Any], none_is_leaf: bool = True) -> Any:
    first = structures[0]
    if first is None and not none_is_leaf:
        return None
    if not is_nested(first):
        return func(*structures)
    children = zip(*(_children(structure) for structure in structures), strict=True)
    return _rebuild(first, [_map(func, child, none_is_leaf) for child in children])


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """As `map_structure`, but going only as deep as `shallow_structure`: below it, subtrees are passed whole."""
    if not structures:
        raise ValueError("Must provide at least one structure")
    if not is_nested(shallow_structure):
        return func(*structures)
    for structure in structures:
        _check_same_node(shallow_structure, structure)
    children = zip(_children(shallow_structure), *(_children(structure) for structure in structures), strict=True)
    return _rebuild(shallow_structure, [map_structure_up_to(shallow, func, *rest) for shallow, *rest in children])


def assert_same_structure(a: Any, b: Any) -> None:
    """ValueError unless `a` and `b` have the same containers, of the same types, keys and lengths."""
    if is_nested(a) or is_nested(b):
        _check_same_node(a, b)
        for left, right in zip(_children(a), _children(b), strict=True):
            assert_same_structure(left, right)


def assert_same_paths(a: Any, b: Any) -> None:
    """ValueError unless the same paths lead to leaves in `a` and `b`; the types of containers may differ."""
    paths_a, paths_b = ({path for path, _ in flatten_with_path(structure)} for structure in (a, b))
    if paths_a != paths_b:
        raise ValueError(
            "`a` and `b` don't have the same paths."
            f"\nPaths in `a` missing in `b`:\n{paths_a - paths_b}\nPaths in `b` missing in `a`:\n{paths_b - paths_a}"
        )


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """The inverse of `flatten`: a structure like `structure` whose leaves are `flat_sequence`.

    Raises ValueError if there are more or fewer leaves than that.
    """
    leaves = list(flat_sequence)
    wanted = len(flatten(structure))
    if len(leaves) != wanted:
        raise ValueError(f"The structure has {wanted} leaves, but flat_sequence has {len(leaves)} elements.")
    remaining = iter(leaves)
    return _map(lambda _: next(remaining), [structure])


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Call `func` on every subtree and leaf, parents first (or last), and replace it by what is returned.

    None keeps the subtree (and, top down, goes on into it); `MAP_TO_NONE` puts None in its place.
    """
    if top_down:
        result = func(structure)
        return _traverse_children(func, structure, True) if result is None else _unwrapped(result)
    traversed = _traverse_children(func, structure, False)
    result = func(traversed)
    return traversed if result is None else _unwrapped(result)


def _traverse_children(func: Callable[[Any], Any], structure: Any, top_down: bool) -> Any:
    if not is_nested(structure):
        return structure
    return _rebuild(structure, [traverse(func, child, top_down) for child in _children(structure)])


def _unwrapped(result: Any) -> Any:
    return None if result is MAP_TO_NONE else result


def lists_to_tuples(structure: Any) -> Any:
    """The structure with tuples in place of its lists."""
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """Map over a structure whose leaves are shapes: lists or tuples of integers and None."""
    if not is_nested(structure) or _is_shape(structure):
        return func(structure)
    return _rebuild(structure, [map_shape_structure(func, child) for child in _children(structure)])


def _is_shape(structure: Any) -> bool:
    return isinstance(structure, (list, tuple)) and all(size is None or isinstance(size, int) for size in structure)


def _items(structure: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(structure, dict):
        return ((key, structure[key]) for key in _keys(structure))
    return enumerate(structure)


def _keys(structure: dict[Any, Any]) -> list[Any]:
    if isinstance(structure, OrderedDict):
        return list(structure)
    try:
        return sorted(structure)
    except TypeError:
        return list(structure)


def _children(structure: Any) -> list[Any]:
    return [child for _, child in _items(structure)]


def _rebuild(structure: Any, children: list[Any]) -> Any:
    """A container of the type and keys of `structure` with these children, in the order of `_children`."""
    if isinstance(structure, dict):
        values = dict(zip(_keys(structure), children, strict=True))
        ordered = {key: values[key] for key in structure}
        if isinstance(structure, defaultdict):
            return defaultdict(structure.default_factory, ordered)
        return type(structure)(ordered) if isinstance(structure, OrderedDict) else ordered
    if hasattr(structure, "_fields"):
        return type(structure)(*children)
    return tuple(children) if isinstance(structure, tuple) else list(children)


def _check_same_node(a: Any, b: Any) -> None:
    both_dicts = isinstance(a, dict) and isinstance(b, dict)
    same = set(a) == set(b) if both_dicts else type(a) is type(b) and len(a) == len(b)
    if not same:
        raise ValueError(f"{_DIFFERENT} Received: {_outline(a)} and {_outline(b)}")


def _outline(structure: Any) -> str:
    if isinstance(structure, dict):
        return f"a dict with keys {list(structure)}"
    return f"a {type(structure).__name__} of length {len(structure)}" if is_nested(structure) else "a leaf"
