"""Texts as lists of word indices: reading the two file formats and applying Keras's arguments.

A text is an int64 array of word ranks, 1 for the most frequent word; `OUT` marks a word whose rank is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.datasets._provider import Source, is_published, npz_names, provide, read_npz

Array = NDArray[Any]
Texts = list[Array]

OUT = -1
# The indices that token files reserve, as Keras's defaults do: 0 padding, 1 start, 2 unknown word; rank r is r + 3.
_START, _UNKNOWN, _FIRST_RANK_OFFSET = 1, 2, 3
# Marks an unknown word among indices, where any small negative number could be a word.
_HIDDEN = np.iinfo(np.int64).min


def has_tokens(path: Path) -> bool:
    """Whether the file has flat token arrays (no pickle) and not Keras's pickled lists."""
    return "tokens_train" in npz_names(path)


def read_tokens(path: Path, part: str) -> tuple[Texts, Array]:
    """Texts and int64 labels of "train" or "test" in a file of token arrays.

    `tokens_PART` holds all texts one after the other, `offsets_PART` int[n + 1] where each begins, `y_PART` the labels.
    """
    tokens, offsets, labels = read_npz(path, (f"tokens_{part}", f"offsets_{part}", f"y_{part}"))
    valid = offsets.ndim == 1 and len(offsets) == len(labels) + 1 and offsets[0] == 0 and offsets[-1] == len(tokens)
    if not valid or np.any(np.diff(offsets) < 0):
        raise ValueError(f"{path}: offsets_{part} do not divide the {len(tokens)} tokens into {len(labels)} texts")
    ranks = np.where(tokens == _UNKNOWN, OUT, tokens.astype(np.int64) - _FIRST_RANK_OFFSET)
    starts = tokens == _START
    texts = np.split(ranks, offsets[1:-1])
    marks = np.split(starts, offsets[1:-1])
    return [text[~mark] for text, mark in zip(texts, marks, strict=True)], labels.astype(np.int64)


def read_pickled(path: Path, names: Sequence[str], source: Source) -> list[Array]:
    """The arrays of a file as Keras publishes it, whose lists of words are pickled.

    Raises ValueError unless the file is the published one: a pickle of another origin could run any code.
    """
    if not is_published(path, source):
        raise ValueError(
            f"{path}: it has no array tokens_train, and its SHA-256 is not that of the published {source.name}, "
            "so what is pickled in it is not read"
        )
    return read_npz(path, names, pickled=True)


def as_texts(lists: Iterable[Any]) -> Texts:
    """Texts of lists of ranks."""
    return [np.asarray(words, np.int64) for words in lists]


def shuffled(texts: Texts, labels: Array, generator: np.random.RandomState) -> tuple[Texts, Array]:
    """Texts and labels in the order this generator gives."""
    order = np.arange(len(texts))
    generator.shuffle(order)
    return [texts[index] for index in order], labels[order]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How ranks become the indices that `keras.datasets.imdb` and `reuters` return; their arguments of these names."""

    num_words: int | None
    skip_top: int
    maxlen: int | None
    start_char: int | None
    oov_char: int | None
    index_from: int | None

    def move(self, texts: Texts, labels: Array) -> tuple[Texts, Array]:
        """Ranks moved up by `index_from`, `start_char` in front; texts of `maxlen` or more indices are left out.

        Raises ValueError if no text is left.
        """
        moved = [self._moved(text) for text in texts]
        if not self.maxlen:
            return moved, labels
        short = [index for index, text in enumerate(moved) if len(text) < self.maxlen]
        if not short:
            raise ValueError(
                f"After filtering for sequences shorter than maxlen={self.maxlen}, no sequence was kept. "
                "Increase maxlen."
            )
        return [moved[index] for index in short], labels[short]

    def _moved(self, text: Array) -> Array:
        indices = np.where(text == OUT, _HIDDEN, text + (self.index_from or 0))
        return indices if self.start_char is None else np.concatenate([[self.start_char], indices])

    def limit(self, texts: Texts) -> int:
        """The end of the indices that are kept: `num_words`, else the largest index, which, as in Keras, is not."""
        return self.num_words or max((int(text.max(initial=0)) for text in texts), default=0)

    def lists(self, texts: Texts, limit: int) -> Array:
        """An object array of lists; indices outside [skip_top, limit) become `oov_char` (None: are dropped)."""
        return object_array([self._limited(text, limit) for text in texts])

    def _limited(self, text: Array, limit: int) -> list[int]:
        known = (text >= self.skip_top) & (text < limit) & (text != _HIDDEN)
        kept: list[int] = (text[known] if self.oov_char is None else np.where(known, text, self.oov_char)).tolist()
        return kept


def object_array(lists: Sequence[list[int]]) -> Array:
    """A one-dimensional array whose elements are the lists, also when all have the same length."""
    array = np.empty(len(lists), object)
    for index, words in enumerate(lists):
        array[index] = words
    return array


def read_word_index(source: Source, path: str) -> dict[str, int]:
    """word -> rank from a JSON file. Raises ValueError naming the file if it is not such a dict."""
    found = provide(source, path)
    try:
        index = json.loads(found.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{found}: not a JSON file: {error}") from error
    if not isinstance(index, dict):
        raise ValueError(f"{found}: wanted a JSON object of words and ranks, got a {type(index).__name__}")
    return index
