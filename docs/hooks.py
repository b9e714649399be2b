"""What the site has beyond the pages in this folder: the reference, and the pages at the root of the repository.

MkDocs calls these functions. The reference lists every public name of Keras that graphc has, and graphc's own; its
text is what `inspect` finds: signatures as they are at run time, and docstrings.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import reduce
from pathlib import Path
from types import FunctionType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import graphc
from graphc.names import keras_names

ROOT = Path(__file__).resolve().parent.parent
AT_ROOT = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
"""Pages at the root of the repository, and their names in the site."""

OWN = {
    "graphc": ("compile", "check", "gradcheck", "gradients", "CompileOptions"),
    "graphc.generation": ("generate", "Decoder"),
    "graphc.options": ("environment", "compile_options"),
    "graphc.compiler": ("compile_graph", "analyse"),
    "graphc.runtime.executable": ("Executable",),
    "graphc.runtime.profile": ("Profile",),
    "graphc.insight.check": ("CheckReport", "CheckFailure"),
    "graphc.insight.diff": ("compare", "Comparison"),
    "graphc.insight.doctor": ("examine", "Diagnosis"),
    "graphc.insight.memory": ("MemoryUse",),
    "graphc.insight.numerics": ("NumericsError",),
    "graphc.insight.slopes": ("Slope", "GradientError"),
    "graphc.tuner": ("tune",),
}
FLOORS = {
    "graphc.ir.types": ("TensorType", "DType", "Rows"),
    "graphc.ir.graph": ("Graph",),
    "graphc.ir.builder": ("Builder",),
    "graphc.ir.op": ("Op", "Node", "Value"),
    "graphc.ir.nest": ("Nest",),
    "graphc.ir.rewrite": ("rewrite",),
    "graphc.ir.text": ("print_graph",),
    "graphc.ir.parse": ("parse_graph",),
    "passes.manager": ("run_passes",),
    "passes.autodiff": ("gradients",),
    "passes.fusion": ("fuse",),
    "passes.memory": ("plan_memory",),
}
INHERITING = {"Model", "Sequential"}
"""Classes whose use lies in what they inherit."""

LINK_TO_ROOT = re.compile(r"\]\((?:\.\./)+(?P<name>[A-Z]+\.md)")
LINK_TO_DOCS = re.compile(r"\]\(docs/")
MARKUP = re.compile(r"[*_<\[\]]")
WIDTH = 90
OUTPUT = re.compile(r"^```(text|asm) output$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation, with the lists that would otherwise be written twice."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    config.nav += [
        {"Decisions": [f"decisions/{page.name}" for page in decisions]},
        {"Reference": [{title: page} for title, page, _ in _reference()]},
        {"Project": [{name.removesuffix(".md").capitalize(): page} for name, page in AT_ROOT.items()]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not in docs/."""
    for name, page in AT_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    for _, page, text in _reference():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links as they are in the site, and what a block prints under its title."""
    markdown = LINK_TO_ROOT.sub(lambda m: f"]({AT_ROOT.get(m['name'], m['name'])}", markdown)
    return OUTPUT.sub(r'```\1 title="prints"', LINK_TO_DOCS.sub("](", markdown))


def _reference() -> Iterator[tuple[str, str, str]]:
    """Title, file and text of every page of the reference: one for each module below `keras`, with its submodules."""
    yield "graphc's own", "reference/own.md", _own_page("graphc's own", OWN)
    for title, entries in _keras_pages().items():
        text = "\n\n".join([f"# {title}", *entries]) + "\n"
        yield title, f"reference/{title}.md", text
    yield "Inside the compiler", "reference/compiler.md", _own_page("Inside the compiler", FLOORS)


def _keras_pages() -> dict[str, list[str]]:
    """Title and entries of the pages; what several modules have is described in the first of them."""
    pages: dict[str, list[str]] = {}
    seen: set[Any] = set()
    for module in sorted(keras_names(), key=lambda name: (name == "keras", name)):
        page, below = ".".join(module.split(".")[:2]), ".".join(module.split(".")[2:])
        found = {value: names for value, names in _objects(module).items() if value not in seen}
        seen.update(found)
        for value, names in sorted(found.items(), key=lambda item: item[1][0].lower()):
            name = value.__name__ if value.__name__ in names else names[0]
            entry = pages.setdefault(page, [])
            entry += _entry(value, f"{below}.{name}".lstrip("."))
            if others := [f"`{other}`" for other in names if other != name]:
                entry.append(f"Also called {', '.join(others)}.")
    return pages


def _objects(module: str) -> dict[Any, list[str]]:
    """Classes and functions that graphc has of a module of Keras, each with its names."""
    found: dict[Any, list[str]] = {}
    for name in sorted(keras_names()[module]):
        path = f"{module}.{name}".split(".")[1:]
        with suppress(AttributeError, ImportError):
            value = reduce(getattr, path, graphc)
            if inspect.isclass(value) or inspect.isfunction(value):
                found.setdefault(value, []).append(name)
    return found


def _own_page(title: str, modules: dict[str, tuple[str, ...]]) -> str:
    parts = [f"# {title}"]
    for module, names in modules.items():
        for name in names:
            parts += _entry(getattr(importlib.import_module(module), name), name, f"{module}.{name}")
    return "\n\n".join(parts) + "\n"


def _entry(value: Any, heading: str, path: str = "") -> Iterator[str]:
    """Heading, signature, docstring, and for a class those of its methods that have one. path: how to call it, where
    that is not the heading."""
    yield f"## {heading}"
    yield _signature(value, path or heading)
    yield _prose(value)
    if inspect.isclass(value):
        for name, method in _methods(value):
            yield _signature(method, f"{heading.rpartition('.')[2]}.{name}")
            yield _prose(method)


def _methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods with a docstring of their own; where a class is used by what it inherits, that too."""
    homes = [home for home in cls.__mro__ if home.__module__.startswith("graphc")]
    found = {name: home for home in reversed(homes) for name in vars(home) if not name.startswith("_")}
    for name, home in found.items():
        method = inspect.getattr_static(home, name)
        is_near = home is cls or cls.__name__ in INHERITING
        if is_near and isinstance(method, FunctionType | classmethod | staticmethod) and method.__doc__:
            yield name, getattr(cls, name)


def _signature(value: Any, name: str) -> str:
    parameters = list(_parameters(value))
    line = f"{name}({', '.join(parameters)})"
    if len(line) > WIDTH:
        line = f"{name}(\n" + "".join(f"    {parameter},\n" for parameter in parameters) + ")"
    return f"```python\n{line}\n```"


def _parameters(value: Any) -> Iterator[str]:
    """Names and defaults, as one would write them."""
    has_star = False
    for parameter in inspect.signature(value).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            yield "*"
        has_star |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        default = parameter.default
        if default is not parameter.empty:
            yield f"{parameter.name}={default.__name__ if callable(default) else repr(default)}"
        elif parameter.name != "self":
            yield str(parameter.replace(annotation=parameter.empty))


def _prose(value: Any) -> str:
    """The docstring; only what stands between backquotes is markup."""
    parts = (inspect.getdoc(value) or "").split("`")
    return "`".join(MARKUP.sub(r"\\\g<0>", part) if i % 2 == 0 else part for i, part in enumerate(parts))
