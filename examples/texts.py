"""Real texts as arrays: reviews of films, news, Shakespeare. Where they cannot be had, the program ends and says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import graphc as keras

Array = np.ndarray[Any, Any]
Pair = tuple[Array, Array]
SHAKESPEARE = "tinyshakespeare.txt"


def reviews(length: int, words: int = 500) -> tuple[Pair, Pair]:
    """(x_train, y_train), (x_test, y_test) of IMDB: the last `length` word numbers of each review, padded in front."""
    return _padded("IMDB", keras.datasets.imdb, length, words)


def stories(length: int, words: int = 10_000) -> tuple[Pair, Pair]:
    """The same of Reuters: stories and their topics."""
    return _padded("Reuters", keras.datasets.reuters, length, words)


def shakespeare() -> str:
    """About a million characters of plays."""
    path = Path(os.environ.get("GRAPHC_DATA", "")) / SHAKESPEARE
    if not path.is_file():
        raise SystemExit(f"{SHAKESPEARE} is not to be had here: put it in a folder and set GRAPHC_DATA to that")
    return path.read_text("utf-8")


def _padded(name: str, source: Any, length: int, words: int) -> tuple[Pair, Pair]:
    try:
        (x_train, y_train), (x_test, y_test) = source.load_data(num_words=words)
    except FileNotFoundError as error:
        raise SystemExit(f"{name} is not to be had here: {error}") from None
    pad = keras.utils.pad_sequences
    return (pad(x_train, maxlen=length), y_train), (pad(x_test, maxlen=length), y_test)
