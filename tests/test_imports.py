"""The import law: which module may import which, and one door per outside thing. Read off the `ast` of every file."""

from __future__ import annotations

import ast
import builtins
import functools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import pytest

import graphc.primitives  # noqa: F401  (fills the registry)
from codegen.catalog import format_any
from codegen.lower import lower
from codegen.target import host_target
from graphc.ir.builder import Builder
from graphc.ir.nest import ARITY, COMBINES, Nest
from graphc.ir.op import REGISTRY, Op, Types
from graphc.ir.types import TensorType

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("graphc", "passes", "codegen")
LIGHT_SECONDS = 0.15

# Floor: the floors it may import, itself included. A floor is the longest prefix of a module's name; `graphc` alone is
# the face. No other arrow exists.
LAW = {
    "graphc.options": set[str](),
    "graphc.ir": {"graphc.ir"},
    "graphc.primitives": {"graphc.ir", "graphc.primitives"},
    "graphc.runtime": {"graphc.ir", "graphc.runtime"},
    "passes": {"graphc.ir", "graphc.primitives", "passes"},
    "codegen": {"graphc.ir", "codegen"},
    "graphc.tuner": {"graphc.ir", "graphc.runtime", "passes", "codegen"},
    "graphc.compiler": {
        "graphc.ir",
        "graphc.primitives",
        "graphc.runtime",
        "graphc.options",
        "graphc.tuner",
        "passes",
        "codegen",
    },
    "graphc.insight": {
        "graphc.ir",
        "graphc.primitives",
        "graphc.runtime",
        "graphc.options",
        "graphc.compiler",
        "graphc.insight",
        "passes",
        "codegen",
    },
    "graphc.layers": {"graphc.ir", "graphc.options", "graphc.compiler", "graphc.layers", "graphc"},
    "graphc": {
        "graphc.ir",
        "graphc.primitives",
        "graphc.options",
        "graphc.compiler",
        "graphc.insight",
        "graphc.layers",
        "graphc",
    },
}

# Outside module: the only files (or folders) that may import it.
DOORS = {
    "llvmlite": "codegen/",
    "networkx": "graphc/ir/view.py",
    "h5py": "graphc/saving/",
    "rich": "graphc/",
}

# Mnemonics that are also words of Python, of LLVM's language or of loops in general, and mean that in codegen:
# `and`, `or`, `xor` and `gather` are LLVM instructions, a transpose is a tile turned over in registers.
PLAIN_WORDS = {"and", "or", "xor", "not", "sum", "prod", "slice", "pad", "constant", "parameter", "fused"}
PLAIN_WORDS |= {"gather", "iota", "transpose", "maximum", "minimum", "is_nan"}


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target. `deferred`: inside a function, or for type checkers only."""

    line: int
    target: str
    deferred: bool


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the three packages by name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@functools.cache
def imports(module: str) -> tuple[Import, ...]:
    """All imports of a module; `from package import module` counts as an import of that module."""
    return tuple(_imports(module, tree(module), deferred=False))


def _imports(module: str, node: ast.AST, deferred: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types(child)
        if isinstance(child, ast.Import):
            yield from (Import(child.lineno, alias.name, deferred) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            source = _absolute(module, child)
            for alias in child.names:
                whole = f"{source}.{alias.name}"
                yield Import(child.lineno, whole if whole in modules() else source, deferred)
        else:
            yield from _imports(module, child, inside)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parents = module.split(".") if modules()[module].name == "__init__.py" else module.split(".")[:-1]
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def floor(module: str) -> str | None:
    """The floor a module is on; None for modules of others."""
    return next((f for f in sorted(LAW, key=len, reverse=True) if module == f or module.startswith(f + ".")), None)


def where(module: str, line: int) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{line}"


def test_every_import_is_an_arrow_of_the_law() -> None:
    broken = []
    for module in modules():
        mine = floor(module)
        assert mine is not None
        for found in imports(module):
            other = floor(found.target)
            if other is not None and other not in LAW[mine]:
                broken.append(f"{where(module, found.line)} imports {found.target}: {mine} may not import {other}")
    assert not broken, "\n".join(broken)


def test_there_is_no_circle_of_imports() -> None:
    """But one: gradients of primitives are written with the functions that build primitives."""
    arrows = nx.DiGraph()
    for module in modules():
        arrows.add_edges_from(
            (module, found.target) for found in imports(module) if not found.deferred and found.target in modules()
        )
    circles = [sorted(part) for part in nx.strongly_connected_components(arrows) if len(part) > 1]
    others = [circle for circle in circles if {floor(module) for module in circle} != {"graphc.primitives"}]
    assert not others, f"modules that import each other when they are loaded: {others}"


@pytest.mark.parametrize(("outside", "door"), DOORS.items())
def test_one_door_per_outside_thing(outside: str, door: str) -> None:
    users = {
        modules()[module].relative_to(ROOT).as_posix()
        for module in modules()
        for found in imports(module)
        if found.target.split(".")[0] == outside
    }
    assert {user for user in users if not user.startswith(door)} == set()


def test_only_options_reads_the_environment() -> None:
    readers = set()
    for module in modules():
        for node in ast.walk(tree(module)):
            attribute = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"}
            name = isinstance(node, ast.alias) and node.name in {"environ", "environb", "getenv", "putenv"}
            if attribute or name:
                readers.add(module)
    assert readers <= {"graphc.options"}


def test_nothing_prints() -> None:
    """Libraries log; what belongs on the terminal (progress, summary, the command line) writes to a stream."""
    printing = [
        where(module, node.lineno)
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing


def test_empty_packages_hold_a_docstring_only() -> None:
    for package in ("passes", "codegen"):
        (only,) = tree(package).body
        assert isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant)


# ---- codegen names no primitive


def forbidden_words() -> set[str]:
    """The mnemonics that are not also scalar functions, ways to combine, or plain words."""
    return set(REGISTRY) - set(ARITY) - set(COMBINES) - PLAIN_WORDS


def primitive_classes() -> set[str]:
    known = vars(builtins).keys() | {"Transpose"}  # the kernel language's own statement
    return {cls.__name__ for cls in REGISTRY.values() if cls.__module__.startswith("graphc.primitives")} - known


def test_codegen_names_no_primitive() -> None:
    words, classes = forbidden_words(), primitive_classes() - _names_of_the_ground()
    assert {"conv", "dot", "max_pool", "scatter_add", "relu"} <= words
    assert {"Conv", "Dot", "MaxPool"} <= classes
    named = []
    for module in modules():
        if module.startswith("codegen"):
            found = [(line, text) for line, text in _texts(tree(module)) if _mentions(text, words, classes)]
            named += [f"{where(module, line)}: {text!r}" for line, text in found]
    assert not named, "codegen names a primitive:\n" + "\n".join(named)


def _names_of_the_ground() -> set[str]:
    """Classes of graphc.ir that share a primitive's name (RowCount the expression)."""
    ground = [module for module in modules() if floor(module) == "graphc.ir"]
    return {node.name for module in ground for node in ast.walk(tree(module)) if isinstance(node, ast.ClassDef)}


def _texts(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every identifier, and every string constant that is not a docstring."""
    docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield line, text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text) | ast.alias(name=text):
                yield line, text
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                yield line, text


def _mentions(text: str, words: set[str], classes: set[str]) -> bool:
    """The text has a forbidden word, alone or between underscores, or the name of a primitive's class."""
    padded = f"_{''.join(c if c.isalnum() else '_' for c in text)}_"
    return any(f"_{word}_" in padded for word in words | classes)


@dataclass(frozen=True)
class Stranger(Op):
    """Computes what another op computes, and shares nothing else with it."""

    like: Op

    def infer(self, *types: TensorType) -> Types:
        return self.like.infer(*types)

    def nest(self, *types: TensorType) -> tuple[Nest, ...]:
        return self.like.nest(*types)


del REGISTRY[Stranger.mnemonic]  # no test of all ops shall meet it


def kernels(op: Op, types: Types) -> list[str]:
    """The loops of a graph of one node."""
    b = Builder("one")
    inputs = [b.input(f"x{i}", type) for i, type in enumerate(types)]
    lowered = lower(b.build(b.add_all(op, *inputs)), "one", host_target())
    return [format_any(kernel) for kernel in lowered.kernels]


STRANGERS = (
    "dot", "conv", "conv_input_grad", "conv_filter_grad", "max_pool", "sum_pool", "gather", "scatter_add",
    "sum", "arg_max", "cum_sum", "transpose", "random_bits",
)  # fmt: skip
SAMPLES = [sample for mnemonic in STRANGERS for sample in REGISTRY[mnemonic].samples()[:2]]


@pytest.mark.parametrize(("op", "types"), SAMPLES, ids=[f"{op.mnemonic}-{i % 2}" for i, (op, _) in enumerate(SAMPLES)])
def test_a_stranger_with_the_same_nest_gets_the_same_kernel(op: Op, types: Types) -> None:
    """An op codegen has never heard of, of another name and class, is lowered like the one whose algorithm it has."""
    known, stranger = kernels(op, types), kernels(Stranger(op), types)
    assert known and known == stranger


# ---- importing graphc is light


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_importing_graphc_loads_nothing_heavy() -> None:
    heavy = ("llvmlite", "networkx", "rich", "h5py", "passes", "codegen", "sklearn", "scipy")
    loaded = run_python("import sys, graphc; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert "graphc" in loaded
    assert not set(heavy) & set(loaded)


def test_importing_graphc_takes_no_time() -> None:
    code = "import time; began = time.process_time(); import graphc; print(time.process_time() - began)"
    assert min(float(run_python(code)) for _ in range(5)) < LIGHT_SECONDS


MODEL = """
import sys, graphc as k
layers = [k.layers.Conv2D(3, 2), k.layers.Flatten(), k.layers.Dense(2)]
k.Sequential([k.Input((5, 7, 1)), *layers]).compile("adam", "mse")
print(*(name for name in sys.modules if name.startswith(("graphc.layers.", "graphc.callbacks.", "graphc.saving."))))
print(*({"urllib.request", "ssl", "email", "tarfile", "concurrent.futures.thread"} & set(sys.modules)))
print(k.layers.deserialize({"class_name": "LSTM", "config": {"units": 3}}).units)
"""


def test_a_model_loads_only_what_it_uses() -> None:
    """And what a configuration names is found without having been used."""
    ours, outside, units = run_python(MODEL).split("\n")[:3]
    unused = {"preprocessing", "recurrent", "attention", "normalization", "merging", "remote", "tensorboard", "hdf5"}
    assert "graphc.layers.convolutional" in ours and outside == "" and units == "3"
    assert not [name for name in ours.split() if unused & set(name.split("."))]


def test_the_public_face_lists_its_names() -> None:
    listed = run_python("import graphc; print(*dir(graphc))").split()
    assert {"Sequential", "Model", "Input", "layers", "optimizers", "datasets", "compile"} <= set(listed)
    run_python("import graphc; [getattr(graphc, name) for name in dir(graphc)]")
