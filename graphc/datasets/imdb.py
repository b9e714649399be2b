"""IMDB: 50,000 film reviews as lists of word indices, good (1) or bad (0) (Maas et al. 2011)."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from graphc.config import legacy_names
from graphc.datasets import _text
from graphc.datasets._provider import KERAS_FILES, Pair, Source, provide

SOURCE = Source(
    "imdb",
    "imdb.npz",
    KERAS_FILES + "imdb.npz",
    "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
)
WORD_INDEX = Source(
    "imdb",
    "imdb_word_index.json",
    KERAS_FILES + "imdb_word_index.json",
    "bfafd718b763782e994055a2d397834f",
)


def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): x object arrays of lists of word indices, y int64 of 0 and 1.

    num_words: only the most frequent words. skip_top: leave out so many of the most frequent ones. maxlen: only reviews
    shorter than this. seed: of the order. start_char: put before each review. oov_char: in place of words left out
    (None: drop them). index_from: index of the most frequent word, less one.
    Raises ValueError if `maxlen` leaves nothing.
    """
    encoding = _text.Encoding(_words(num_words, kwargs), skip_top, maxlen, start_char, oov_char, index_from)
    generator = np.random.RandomState(seed)
    (x_train, y_train), (x_test, y_test) = (
        encoding.move(*_text.shuffled(texts, labels, generator)) for texts, labels in _read(path)
    )
    limit = encoding.limit(x_train + x_test)
    return (encoding.lists(x_train, limit), y_train), (encoding.lists(x_test, limit), y_test)


def _read(path: str | os.PathLike[str]) -> list[tuple[_text.Texts, Any]]:
    found = provide(SOURCE, path)
    if _text.has_tokens(found):
        return [_text.read_tokens(found, part) for part in ("train", "test")]
    x_train, y_train, x_test, y_test = _text.read_pickled(found, ("x_train", "y_train", "x_test", "y_test"), SOURCE)
    return [(_text.as_texts(x_train), y_train), (_text.as_texts(x_test), y_test)]


def _words(num_words: int | None, kwargs: dict[str, Any]) -> int | None:
    """`num_words`, or what its Keras 1 spelling `nb_words` says. TypeError for any other keyword."""
    unknown = set(kwargs) - ({"nb_words"} if legacy_names() else set())
    if unknown:
        raise TypeError(f"imdb.load_data: unrecognized keyword arguments {', '.join(sorted(unknown))}")
    if "nb_words" not in kwargs:
        return num_words
    warnings.warn("`nb_words` is called `num_words` now.", DeprecationWarning, stacklevel=3)
    return int(kwargs["nb_words"])


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """word -> rank, 1 for the most frequent; `load_data` adds `index_from` (3) to the ranks."""
    return _text.read_word_index(WORD_INDEX, path)
