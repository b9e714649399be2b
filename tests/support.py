"""Writes docs/keras.md: which public names of Keras graphc has, which partly, and which not.

`pytest tests/test_support.py --update-golden` writes the page anew. Names are tried on the package itself; what only
half works, or exists to say that it does not, stands in PARTLY and REFUSED.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import graphc
from graphc.names import VERSION, keras_names

PAGE = Path(__file__).resolve().parent.parent / "docs" / "keras.md"

PARTLY: dict[str, str] = {
    "keras.Model": "no `quantize`, `enable_lora`, `export` to TensorFlow",
    "keras.layers.Lambda": "a saved function is never unmarshalled: give it again through `custom_objects`",
    "keras.layers.SpectralNormalization": "the kernel itself stays as the optimizer left it, as Keras's trainer on JAX does",
}
"""Names that are there with a limit, and the limit."""

REFUSED: dict[str, str] = {}
"""Names that are there to raise an error which says more than that the name is missing."""


class Support(NamedTuple):
    """The names of one module."""

    module: str
    have: list[str]
    partly: list[str]
    lack: list[str]


def supports() -> Iterator[Support]:
    """What there is of every public module of Keras, in its order."""
    for module, names in sorted(keras_names().items()):
        found = {name for name in names if has(f"{module}.{name}")}
        partly = {name for name in found if f"{module}.{name}" in PARTLY}
        yield Support(module, sorted(found - partly), sorted(partly), sorted(names - found))


def has(path: str) -> bool:
    """Whether graphc has what Keras calls by this path."""
    if path in REFUSED:
        return False
    found = graphc
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in path.split(".")[1:]:
            try:
                found = getattr(found, name)
            except (AttributeError, ImportError):
                return False
    return True


def page() -> str:
    """The text of docs/keras.md."""
    every = list(supports())
    return (
        "\n".join([*_head(every), *_table(every), "", *(line for one in every for line in _section(one))]).rstrip()
        + "\n"
    )


def _head(every: list[Support]) -> list[str]:
    have, partly, lack = (sum(len(getattr(one, kind)) for one in every) for kind in ("have", "partly", "lack"))
    total = have + partly + lack
    return [
        "# What there is of Keras", "",
        f"Of the {total:,} public names of Keras {VERSION}, aliases counted, graphc has {have:,}; {partly:,} more work partly",
        f"and {lack:,} do not exist. Asking for one of those gives an `AttributeError` that says so. That those which exist",
        "compute what Keras computes is tested with random configurations (tests/test_keras.py).", "",
        "This page is written by `pytest tests/test_support.py --update-golden`.", "",
    ]  # fmt: skip


def _table(every: list[Support]) -> list[str]:
    rows = [
        f"| `{one.module}` | {len(one.have) or ''} | {len(one.partly) or ''} | {len(one.lack) or ''} |" for one in every
    ]
    return ["| module | there | partly | missing |", "| --- | ---: | ---: | ---: |", *rows]


def _section(one: Support) -> list[str]:
    lines = [f"## {one.module}", ""]
    if one.have:
        lines += ["There: " + _listed(one.have), ""]
    if one.partly:
        lines += ["Partly:", "", *(f"- `{name}`: {PARTLY[f'{one.module}.{name}']}" for name in one.partly), ""]
    if one.lack:
        plain = [name for name in one.lack if f"{one.module}.{name}" not in REFUSED]
        lines += ["Missing: " + _listed(plain), ""] if plain else []
        refused = [name for name in one.lack if name not in plain]
        lines += (
            ["Refused:", "", *(f"- `{name}`: {REFUSED[f'{one.module}.{name}']}" for name in refused), ""]
            if refused
            else []
        )
    return lines


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
