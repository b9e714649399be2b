"""Options of a compilation, and the only place that reads environment variables.

Variables are read once, at the top, by `environment()`; everything below receives values.
`VARIABLES` is the table the documentation prints.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

VERIFY_LEVELS = (0, 1, 2)
MAX_THREADS = 1024
_CPU_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


class Variable(NamedTuple):
    """One documented environment variable: its name, what it does, and what holds when it is unset or empty."""

    name: str
    meaning: str
    default: str


VARIABLES: tuple[Variable, ...] = (
    Variable("GRAPHC_DUMP", "directory that receives every stage of every compilation", "nothing is written"),
    Variable("GRAPHC_VERIFY", "0: off; 1: verify the graph after each pass; 2: also interpret it and compare", "1"),
    Variable("GRAPHC_THREADS", "number of threads a native call may use", "the cores this process may run on"),
    Variable("GRAPHC_CPU", "CPU to compile for, such as x86-64-v3", "the host's CPU"),
    Variable("GRAPHC_CACHE_DIR", "directory of compiled executables", "$XDG_CACHE_HOME/graphc, else ~/.cache/graphc"),
    Variable("GRAPHC_WINOGRAD", "0: 3x3 convolutions of many channels are computed directly, with less rounding", "1"),
    Variable("GRAPHC_SYMBOLS", "directory for what perf and gdb need to name kernels", "nothing is written"),
    Variable("GRAPHC_DATA", "directory searched first for data set files", "not searched"),
    Variable("KERAS_HOME", "Keras's own directory; data sets lie in its datasets/ folder", "~/.keras"),
    Variable("KERAS_MAX_EPOCHS", "no fit runs more epochs than this", "no limit"),
    Variable("KERAS_MAX_STEPS_PER_EPOCH", "no epoch runs more steps than this", "no limit"),
    Variable("XDG_CACHE_HOME", "parent of the default cache directory", "~/.cache"),
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment variables graphc knows, parsed and checked; None means "not set".

    `cache_dir` and `keras_home` have defaults below the home directory and are None only if there is no home.
    """

    dump: Path | None = None
    verify: int = 1
    threads: int | None = None
    cpu: str | None = None
    cache_dir: Path | None = None
    data: Path | None = None
    winograd: bool = True
    keras_home: Path | None = None
    max_epochs: int | None = None
    max_steps_per_epoch: int | None = None
    symbols: Path | None = None


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """How to compile one graph.

    cpu: LLVM CPU name, None for the host; threads: upper limit, None for every core this process may use;
    verify: 0, 1 or 2 (see GRAPHC_VERIFY); dump: directory for the stages; cache_dir: where executables are kept;
    cache: False neither reads nor writes that directory; winograd: False computes 3x3 convolutions of many channels
    directly: slower, with the smallest rounding errors; tune: for at most so many seconds other schedules are tried out
    for the large kernels; what is found is kept in the cache directory; memory_limit: bytes that weights, states, data
    and intermediate values may take together, for which intermediate values are computed again where need be.

    Raises ValueError or TypeError for a value outside these.
    """

    cpu: str | None = None
    threads: int | None = None
    verify: int = 1
    dump: Path | None = None
    cache_dir: Path | None = None
    cache: bool = True
    winograd: bool = True
    tune: float | None = None
    memory_limit: int | None = None

    def __post_init__(self) -> None:
        _check_cpu("cpu", self.cpu)
        if self.threads is not None:
            _check_count("threads", self.threads, MAX_THREADS)
        _check_verify("verify", self.verify)
        for name in ("dump", "cache_dir"):
            _check_path(name, getattr(self, name))
        if self.tune is not None and not (isinstance(self.tune, int | float) and 0 <= self.tune < float("inf")):
            raise ValueError(f"tune: wanted seconds, a number of at least 0, or None, got {self.tune!r}")
        if self.memory_limit is not None:
            _check_count("memory_limit", self.memory_limit)
        for name in ("cache", "winograd"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}: wanted True or False, got {getattr(self, name)!r}")


def environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment variables (or `variables` in their place).

    Raises ValueError naming the variable whose value cannot be used. An empty value counts as unset.
    """
    values = os.environ if variables is None else variables
    return Environment(
        dump=_path(values, "GRAPHC_DUMP"),
        verify=_verify(values),
        threads=_count(values, "GRAPHC_THREADS", MAX_THREADS),
        cpu=_check_cpu("GRAPHC_CPU", values.get("GRAPHC_CPU") or None),
        cache_dir=_path(values, "GRAPHC_CACHE_DIR") or _default_cache_dir(values),
        data=_path(values, "GRAPHC_DATA"),
        winograd=_switch(values, "GRAPHC_WINOGRAD"),
        keras_home=_path(values, "KERAS_HOME") or _below_home(values, ".keras"),
        max_epochs=_count(values, "KERAS_MAX_EPOCHS"),
        max_steps_per_epoch=_count(values, "KERAS_MAX_STEPS_PER_EPOCH"),
        symbols=_path(values, "GRAPHC_SYMBOLS"),
    )


def compile_options(**overrides: Any) -> CompileOptions:
    """The options the environment asks for, with `overrides` (fields of CompileOptions) put over them."""
    env = environment()
    options = CompileOptions(env.cpu, env.threads, env.verify, env.dump, env.cache_dir, winograd=env.winograd)
    return replace(options, **overrides)


def _path(values: Mapping[str, str], name: str) -> Path | None:
    text = values.get(name)
    if not text:
        return None
    if "\0" in text:
        raise ValueError(f"{name}: a path cannot contain a null character, got {text!r}")
    return Path(text).expanduser()


def _below_home(values: Mapping[str, str], *parts: str) -> Path | None:
    home = _path(values, "HOME")
    return home.joinpath(*parts) if home is not None and home.is_absolute() else None


def _default_cache_dir(values: Mapping[str, str]) -> Path | None:
    cache_home = _path(values, "XDG_CACHE_HOME")
    # The XDG specification: a relative path is invalid and must be ignored.
    if cache_home is not None and cache_home.is_absolute():
        return cache_home / "graphc"
    return _below_home(values, ".cache", "graphc")


def _count(values: Mapping[str, str], name: str, most: int | None = None) -> int | None:
    text = values.get(name)
    if not text:
        return None
    return _check_count(name, int(text) if text.strip().isdecimal() else text, most)


def _switch(values: Mapping[str, str], name: str) -> bool:
    """A variable that is on unless it is 0."""
    text = values.get(name) or "1"
    if text not in ("0", "1"):
        raise ValueError(f"{name}: wanted 0 or 1, got {text!r}; leave it unset for the default")
    return text == "1"


def _verify(values: Mapping[str, str]) -> int:
    text = values.get("GRAPHC_VERIFY") or "1"
    return _check_verify("GRAPHC_VERIFY", int(text) if text.strip().isdecimal() else text)


def _check_count(name: str, value: object, most: int | None = None) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 and (most is None or value <= most):
        return value
    wanted = "a whole number of at least 1" if most is None else f"a whole number from 1 to {most}"
    raise ValueError(f"{name}: wanted {wanted}, got {value!r}; leave it unset for the default")


def _check_verify(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in VERIFY_LEVELS:
        return value
    raise ValueError(f"{name}: wanted 0, 1 or 2, got {value!r}")


def _check_cpu(name: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and _CPU_NAME.fullmatch(value):
        return value
    raise ValueError(f"{name}: wanted a CPU name such as 'x86-64-v3', got {value!r}; leave it unset for the host's CPU")


def _check_path(name: str, value: object) -> None:
    if value is not None and not isinstance(value, Path):
        raise TypeError(f"{name}: wanted a pathlib.Path or None, got {value!r}")
