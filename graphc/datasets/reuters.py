"""Reuters: 11,228 newswires as lists of word indices, in 46 topics (Lewis)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from graphc.datasets import _text
from graphc.datasets._provider import KERAS_FILES, Source, locate, npz_names, provide, read_npz

SOURCE = Source(
    "reuters",
    "reuters.npz",
    KERAS_FILES + "reuters.npz",
    "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
)
WORD_INDEX = Source(
    "reuters",
    "reuters_word_index.json",
    KERAS_FILES + "reuters_word_index.json",
    "4d44cc38712099c9e383dc6e5f11a921",
)
_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass "
    "crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi "
    "iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"
)
LABEL_NAMES = tuple(_TOPICS.split())


def load_data(
    path: str | os.PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """((x_train, y_train), (x_test, y_test)): x object arrays of lists of word indices, y int64 of 0 .. 45.

    test_split: share of the texts, at the end of the shuffled order, that is the test set. The other arguments are
    those of `imdb.load_data`.
    """
    encoding = _text.Encoding(num_words, skip_top, maxlen, start_char, oov_char, index_from)
    texts, labels = encoding.move(*_text.shuffled(*_read(path), np.random.RandomState(seed)))
    lists = encoding.lists(texts, encoding.limit(texts))
    cut = int(len(lists) * (1 - test_split))
    return (lists[:cut], labels[:cut]), (lists[cut:], labels[cut:])


def _read(path: str | os.PathLike[str]) -> tuple[_text.Texts, Any]:
    found = provide(SOURCE, path)
    if _text.has_tokens(found):
        train, test = (_text.read_tokens(found, part) for part in ("train", "test"))
        return train[0] + test[0], np.concatenate([train[1], test[1]])
    x, y = _text.read_pickled(found, ("x", "y"), SOURCE)
    return _text.as_texts(x), y


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """word -> rank, 1 for the most frequent; `load_data` adds `index_from` (3) to the ranks.

    A reuters.npz that brings its own array `words` is asked first: its ranks are its own.
    """
    words = _own_names("words") if path == WORD_INDEX.name else None
    if words is not None:
        return {word: rank for rank, word in enumerate(words, 1)}
    return _text.read_word_index(WORD_INDEX, path)


def get_label_names() -> tuple[str, ...]:
    """The names of the topics, by label; those of reuters.npz itself if it brings an array `topics`."""
    return tuple(_own_names("topics") or LABEL_NAMES)


def _own_names(array: str) -> list[str] | None:
    found = locate("reuters", [SOURCE.name])
    if found is None or array not in npz_names(found):
        return None
    return [str(name) for name in read_npz(found, [array])[0]]
