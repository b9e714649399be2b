"""Attribute values as text: the reading half of `graphc.ir.text.attribute_text`."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from graphc.ir.composite import BODY_FIELDS, Composite
from graphc.ir.op import Array, Op
from graphc.ir.scan import BITS, HASH, INTEGER, NUMBER, WORD, Scanner
from graphc.ir.text import content_hash
from graphc.ir.types import DType, Rows, TensorType, concrete

_DEEPEST = 8  # levels of nested tuples
ROWS = re.compile(r"([1-9][0-9]{0,17})?n(?!\w)")
_ELEMENT = re.compile(rf"{BITS.pattern}|{NUMBER.pattern}|true|false")
_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class ArrayText:
    """The elements of a constant, or its content hash; becomes an array when the type is known."""

    items: tuple[str, ...]
    is_scalar: bool
    hash: str
    at: int


@cache
def field_kinds(op: type[Op]) -> Mapping[str, Any]:
    """The type of every attribute that stands in a text."""
    hints = typing.get_type_hints(op)
    hidden = BODY_FIELDS if issubclass(op, Composite) else ()
    return {f.name: hints[f.name] for f in dataclasses.fields(op) if f.name not in hidden}


def read_attributes(scan: Scanner, op: type[Op], batch: int | None) -> dict[str, object]:
    """`{name=value, ...}` for the fields of an op; an array stays an ArrayText."""
    found: dict[str, object] = {}
    kinds = field_kinds(op)  # type: ignore[arg-type]
    if not scan.accept("{"):
        return found
    while not scan.accept("}"):
        if found:
            scan.expect(",")
        at, name = scan.match(WORD, "an attribute's name")
        if name not in kinds or name in found:
            count, known = "no" if name not in kinds else "one", ", ".join(kinds) or "none"
            raise scan.error(f"{op.mnemonic} has {count} attribute {name}; it has: {known}", at)
        scan.expect("=")
        found[name] = _read_field(scan, name, kinds[name], batch)
    return found


def _read_field(scan: Scanner, name: str, kind: Any, batch: int | None) -> object:
    at = scan.position()
    if _is_array(kind):
        return _read_array(scan)
    value = read_value(scan, batch)
    if not conforms(value, kind):
        raise scan.error(f"attribute {name} is {value!r}, wanted {_kind_text(kind)}", at)
    return value


def read_value(scan: Scanner, batch: int | None, depth: int = 0) -> object:
    """A number, rows, word, dtype, string or tuple."""
    at = scan.position()
    if depth > _DEEPEST:
        raise scan.error(f"tuples nest more than {_DEEPEST} deep", at)
    if scan.accept("("):
        return _read_tuple(scan, batch, depth + 1)
    if scan.peek('"'):
        return scan.string("a string")
    if (rows := read_rows(scan, batch)) is not None:
        return rows
    if NUMBER.match(scan.text, at):
        text = scan.match(NUMBER, "a number")[1]
        return int(text) if INTEGER.fullmatch(text) else float(text)
    _, word = scan.match(WORD, "an attribute's value")
    if word in _WORDS:
        return _WORDS[word]
    if word in DType._value2member_map_:
        return DType(word)
    raise scan.error(f"{word} is not a value: wanted a number, true, false, none, a dtype, a string or a tuple", at)


def _read_tuple(scan: Scanner, batch: int | None, depth: int) -> tuple[object, ...]:
    items: list[object] = []
    while not scan.accept(")"):
        if items:
            scan.expect(",")
            if scan.accept(")"):
                break
        items.append(read_value(scan, batch, depth))
    return tuple(items)


def read_rows(scan: Scanner, batch: int | None) -> Rows | None:
    """`n` or `28n`, if that is next."""
    at = scan.position()
    found = ROWS.match(scan.text, at)
    if found is None:
        return None
    if batch is None:
        raise scan.error("n is unknown here: the block's header wants (n = ...)", at)
    scan.at = found.end()
    return Rows(batch, int(found[1] or 1))


def read_dim(scan: Scanner, batch: int | None) -> int:
    """A dimension of a type."""
    rows = read_rows(scan, batch)
    return scan.integer("a dimension") if rows is None else rows


def _read_array(scan: Scanner) -> ArrayText:
    at = scan.position()
    if scan.peek("#"):
        return ArrayText((), False, scan.match(HASH, "a content hash")[1][1:], at)
    if not scan.accept("["):
        return ArrayText((_read_element(scan),), True, "", at)
    items: list[str] = []
    while not scan.accept("]"):
        if items:
            scan.expect(",")
        items.append(_read_element(scan))
    return ArrayText(tuple(items), False, "", at)


def _read_element(scan: Scanner) -> str:
    return scan.match(_ELEMENT, "a number, true, false or bits as 0x...")[1]


def to_array(scan: Scanner, text: ArrayText, type: TensorType, constants: Mapping[str, Array]) -> Array:
    """The array of a constant whose type is known. ParseError if the elements do not fit the type."""
    if text.hash:
        return _look_up(scan, text, type, constants)
    if len(text.items) != type.size or text.is_scalar != (type.rank == 0):
        got = "a scalar" if text.is_scalar else f"a list of {len(text.items)}"
        raise scan.error(f"the constant is {got}, its type {type} wants {type.size} elements", text.at)
    try:
        items = [_element(item, type.dtype) for item in text.items]
    except (ValueError, OverflowError) as error:
        raise scan.error(f"not a constant of {type}: {error}", text.at) from None
    return np.array(items, type.dtype.numpy).reshape(concrete(type.shape))


def _look_up(scan: Scanner, text: ArrayText, type: TensorType, constants: Mapping[str, Array]) -> Array:
    array = constants.get(text.hash)
    if array is None:
        raise scan.error(f"constant #{text.hash} is not in the .npz beside the text", text.at)
    if content_hash(array) != text.hash:
        raise scan.error(f"constant #{text.hash} has other content than its name says", text.at)
    if array.shape != concrete(type.shape) or array.dtype != type.dtype.numpy:
        raise scan.error(f"constant #{text.hash} is {array.dtype}{list(array.shape)}, wanted {type}", text.at)
    return array


def _element(text: str, dtype: DType) -> np.generic:
    """One element; ValueError or OverflowError if it is none of the dtype."""
    if dtype is DType.BOOL:
        if text not in ("true", "false"):
            raise ValueError(f"{text} is not true or false")
        return np.bool_(text == "true")
    if dtype.is_float and text.startswith("0x"):
        bits = np.array(int(text, 16), f"uint{8 * dtype.size}")
        return bits.view(dtype.numpy)[()]  # type: ignore[return-value]
    return dtype.numpy.type(text if dtype.is_float else int(text))  # type: ignore[no-any-return]


def conforms(value: object, kind: Any) -> bool:
    """Whether a value read from a text is of an attribute's type."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union or origin is types.UnionType:
        return any(conforms(value, arg) for arg in args)
    if origin is tuple:
        return isinstance(value, tuple) and _tuple_conforms(value, args)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, kind)


def _tuple_conforms(value: tuple[object, ...], kinds: tuple[Any, ...]) -> bool:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return all(conforms(item, kinds[0]) for item in value)
    return len(value) == len(kinds) and all(map(conforms, value, kinds))


def _is_array(kind: Any) -> bool:
    return typing.get_origin(kind) is np.ndarray


def _kind_text(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
