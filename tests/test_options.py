"""Environment variables and compile options: defaults, values, refusals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphc import options
from graphc.options import VARIABLES, CompileOptions, Environment, compile_options, environment


def test_nothing_set() -> None:
    assert environment({}) == Environment()


def test_home_gives_the_default_folders() -> None:
    env = environment({"HOME": "/home/ada"})
    assert env.cache_dir == Path("/home/ada/.cache/graphc")
    assert env.keras_home == Path("/home/ada/.keras")


def test_own_folders_win_over_home() -> None:
    env = environment({"HOME": "/home/ada", "XDG_CACHE_HOME": "/var/c", "KERAS_HOME": "/k", "GRAPHC_DATA": "/data"})
    assert (env.cache_dir, env.keras_home, env.data) == (Path("/var/c/graphc"), Path("/k"), Path("/data"))
    assert environment({"XDG_CACHE_HOME": "/var/c", "GRAPHC_CACHE_DIR": "/mine"}).cache_dir == Path("/mine")


@pytest.mark.parametrize("name", ["HOME", "XDG_CACHE_HOME"])
def test_relative_folders_are_not_trusted(name: str) -> None:
    assert environment({name: "here"}).cache_dir is None


def test_every_value_is_read() -> None:
    env = environment(
        {
            "GRAPHC_DUMP": "out",
            "GRAPHC_VERIFY": "2",
            "GRAPHC_THREADS": "3",
            "GRAPHC_CPU": "x86-64-v3",
            "KERAS_MAX_EPOCHS": "4",
            "KERAS_MAX_STEPS_PER_EPOCH": "5",
        }
    )
    assert (env.dump, env.verify, env.threads, env.cpu) == (Path("out"), 2, 3, "x86-64-v3")
    assert (env.max_epochs, env.max_steps_per_epoch) == (4, 5)


@pytest.mark.parametrize("name", [variable.name for variable in VARIABLES])
def test_empty_is_unset(name: str) -> None:
    assert environment({name: ""}) == Environment()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAPHC_THREADS", "0"),
        ("GRAPHC_THREADS", "-2"),
        ("GRAPHC_THREADS", "many"),
        ("GRAPHC_THREADS", "2.5"),
        ("GRAPHC_THREADS", "100000"),
        ("GRAPHC_VERIFY", "3"),
        ("GRAPHC_VERIFY", "yes"),
        ("GRAPHC_CPU", "a b"),
        ("GRAPHC_CPU", "-march"),
        ("GRAPHC_DUMP", "a\0b"),
        ("KERAS_MAX_EPOCHS", "x"),
    ],
)
def test_bad_values_name_the_variable_and_the_value(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: ") as caught:
        environment({name: value})
    assert repr(value).strip("'") in str(caught.value)


def test_compile_options_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAPHC_THREADS", "2")
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path))
    monkeypatch.setenv("GRAPHC_VERIFY", "0")
    found = compile_options(threads=5)
    assert (found.threads, found.dump, found.verify, found.cache) == (5, tmp_path, 0, True)


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("threads", 0, ValueError),
        ("threads", True, ValueError),
        ("verify", 7, ValueError),
        ("verify", True, ValueError),
        ("cpu", 3, ValueError),
        ("dump", "out", TypeError),
        ("cache_dir", 1, TypeError),
        ("cache", 1, TypeError),
    ],
)
def test_compile_options_check_their_fields(field: str, value: object, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"^{field}: "):
        CompileOptions(**{field: value})  # type: ignore[arg-type]


def test_the_table_lists_exactly_the_variables_that_are_read() -> None:
    source = Path(options.__file__).read_text(encoding="utf-8")
    read = set(re.findall(r'values(?:\.get\(|, )"([A-Z_]+)"', source))
    assert read == {variable.name for variable in VARIABLES} | {"HOME"}
