"""docs/keras.md says what there is of Keras, and missing names say that they are missing."""

from __future__ import annotations

import pytest
import support

from graphc.names import keras_has, keras_names


def test_the_page_says_what_there_is(update_golden: bool) -> None:
    """`--update-golden` writes it anew."""
    if update_golden:
        support.PAGE.write_text(support.page(), "utf-8")
    assert support.PAGE.read_text("utf-8") == support.page()


@pytest.mark.parametrize("path", support.PARTLY)
def test_notes_are_about_names_of_keras(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert keras_has(module, name)


@pytest.mark.parametrize("path", support.PARTLY)
def test_what_is_there_partly_is_there(path: str) -> None:
    assert support.has(path)


def test_modules_may_be_named_in_three_ways() -> None:
    assert all(keras_has(module, "Dense") for module in ("layers", "keras.layers", "graphc.layers"))
    assert all(keras_has(module, "Model") for module in ("keras", "graphc"))
    assert not keras_has("layers", "Densse") and not keras_has("no.such.module", "Dense")
    assert "resize" in keras_names()["keras.ops.image"]


def test_a_missing_name_says_that_keras_has_it() -> None:
    """Every module that graphc has; names of modules that it lacks cannot be asked for."""
    for one in support.supports():
        if not support.has(one.module):
            continue
        for name in one.lack:
            with pytest.raises(AttributeError, match=f"{name}.*not supported by graphc"):
                getattr(support.resolved(one.module), name)
