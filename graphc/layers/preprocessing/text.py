"""Text as indices of its words."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.layers.preprocessing.feature import batches_of, checked_output_mode
from graphc.layers.preprocessing.host import HostLayer, as_strings
from graphc.layers.preprocessing.lookup import StringLookup
from graphc.layers.preprocessing.vocabulary import OUTPUT_MODES, plain_list, refuse_vocabulary_file
from graphc.saving.registry import deserialize_object

Array = NDArray[Any]
Tokens = list[list[str]]
STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
SPLIT = ("whitespace", "character")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class TextVectorization(HostLayer):
    """Texts as rows of word indices (n, longest), padded with 0, or as one vector each.

    standardize: "lower", "strip_punctuation", both, None, or a function on an array of strings. split: at "whitespace",
    into every "character", None, or a function from an array of texts to lists of tokens. ngrams: n, for runs of 1 to n
    words, or the lengths. output_sequence_length: cut and pad to it. The other arguments are those of `StringLookup`,
    whose mask token is the padding.
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        lookup = {name: kwargs.pop(name) for name in ("has_input_vocabulary", "vocabulary_size") if name in kwargs}
        super().__init__(name=name, **kwargs)
        self._output_mode = checked_output_mode("TextVectorization", output_mode, OUTPUT_MODES, sparse)
        if ragged:
            raise ValueError("TextVectorization: `ragged=True` cannot be used: graphc has no ragged tensors.")
        self._standardize = _known_or_callable("standardize", standardize, STANDARDIZE)
        self._split = _known_or_callable("split", split, SPLIT)
        self._ngrams_arg = ngrams
        self._ngrams = _lengths(ngrams)
        self._check_length(output_sequence_length)
        self._output_sequence_length = output_sequence_length
        self._lookup_layer = StringLookup(
            max_tokens, vocabulary=vocabulary, idf_weights=idf_weights, pad_to_max_tokens=pad_to_max_tokens,
            mask_token="", output_mode=self._output_mode, encoding=encoding, **lookup,
        )  # fmt: skip

    def _check_length(self, length: Any) -> None:
        if self._output_mode == "int" and not (length is None or isinstance(length, int)):
            raise ValueError(
                "`output_sequence_length` must be either None or an integer when `output_mode` is 'int'. Received: "
                f"output_sequence_length={length}"
            )
        if self._output_mode != "int" and length is not None:
            raise ValueError(
                "`output_sequence_length` must not be set if `output_mode` is not 'int'. Received "
                f"output_sequence_length={length}."
            )

    # ---- the vocabulary

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary of texts: an array or list, or an iterable of batches (at most `steps`)."""
        self.reset_state()
        for batch in batches_of(data, steps, (np.ndarray, list, tuple)):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the words of another batch of texts."""
        self._lookup_layer.count(self._tokens(np.atleast_1d(as_strings(data, self.encoding))))

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted (not the vocabulary)."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words by their index."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """The number of indices, padding and unknown words included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """See `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights=idf_weights)

    @property
    def encoding(self) -> str:
        return self._lookup_layer.encoding

    # ---- using it

    def call(self, inputs: Any) -> Array:
        texts = as_strings(inputs, self.encoding)
        rows = self._tokens(np.atleast_1d(texts))
        ids = self._lookup_layer.indices_of([token for row in rows for token in row])
        edges = np.cumsum([len(row) for row in rows])[:-1]
        table = _padded(np.split(ids, edges), self._output_sequence_length, 0 if self._output_mode == "int" else -2)
        outputs = self._lookup_layer.encoded(table)
        return outputs if texts.ndim else outputs[0]

    def _tokens(self, texts: Array) -> Tokens:
        """The words of every text."""
        texts = self._standardized(texts)
        if self._split is None:
            rows = [[str(token) for token in row] for row in texts.reshape(len(texts), -1)]
        else:
            if texts.ndim > 2 or (texts.ndim == 2 and texts.shape[1] != 1):
                raise ValueError(
                    "When using `TextVectorization` to tokenize strings, the input rank must be 1 or the last shape "
                    f"dimension must be 1. Received: inputs.shape={texts.shape} with rank={texts.ndim}"
                )
            rows = self._divided(texts.reshape(-1))
        return rows if self._ngrams is None else [list(_runs(row, self._ngrams)) for row in rows]

    def _standardized(self, texts: Array) -> Array:
        if callable(self._standardize):
            return as_strings(self._standardize(texts.astype(str)), self.encoding)
        if self._standardize is None:
            return texts
        changed = [self._standardized_text(text) for text in texts.reshape(-1).tolist()]
        result = np.empty(len(changed), object)
        result[:] = changed
        return result.reshape(texts.shape)

    def _standardized_text(self, text: str) -> str:
        if "lower" in self._standardize:
            text = text.encode().lower().decode()  # ASCII letters only, as Keras does
        return text.translate(_NO_PUNCTUATION) if "strip" in self._standardize else text

    def _divided(self, texts: Array) -> Tokens:
        if callable(self._split):
            return [as_strings(list(row), self.encoding).tolist() for row in self._split(texts.astype(str))]
        if self._split == "character":
            return [list(text) for text in texts.tolist()]
        return [[word.decode() for word in text.encode().split()] for text in texts.tolist()]

    # ---- files

    def save_own_variables(self, store: Any) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: Any) -> None:
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: Any) -> None:
        self._lookup_layer.load_assets(dir_path)

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup_layer
        return {
            **super().get_config(),
            "max_tokens": lookup.max_tokens,
            "standardize": _config_of("standardize", self._standardize),
            "split": _config_of("split", self._split),
            "ngrams": self._ngrams_arg,
            "output_mode": self._output_mode,
            "output_sequence_length": self._output_sequence_length,
            "pad_to_max_tokens": lookup.pad_to_max_tokens,
            "sparse": False,
            "ragged": False,
            "vocabulary": plain_list(lookup.input_vocabulary),
            "idf_weights": plain_list(lookup.input_idf_weights),
            "encoding": self.encoding,
            "vocabulary_size": self.vocabulary_size(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        refuse_vocabulary_file(config)
        functions = {
            name: deserialize_object(config[name], {}, kind="function")
            for name in ("standardize", "split")
            if not isinstance(config.get(name), (str, type(None)))
        }
        ngrams = config.get("ngrams")
        return super().from_config(
            {**config, **functions, "ngrams": tuple(ngrams) if isinstance(ngrams, list) else ngrams}
        )


def _known_or_callable(name: str, value: Any, known: tuple[str, ...]) -> Any:
    if value is None or callable(value) or value in known:
        return value
    raise ValueError(
        f"Unknown value for `{name}` argument of layer TextVectorization. If restricted to strings, allowed values are "
        f"{known}; it may be None or a function too. Received: {name}={value}"
    )


def _lengths(ngrams: Any) -> tuple[int, ...] | None:
    if isinstance(ngrams, int):
        return tuple(range(1, ngrams + 1))
    if ngrams is None or (isinstance(ngrams, tuple) and all(isinstance(length, int) for length in ngrams)):
        return ngrams
    raise ValueError(f"`ngrams` must be None, an integer, or a tuple of integers. Received: ngrams={ngrams}")


def _runs(row: list[str], lengths: tuple[int, ...]) -> Iterator[str]:
    for length in lengths:
        yield from (" ".join(row[start : start + length]) for start in range(len(row) - length + 1))


def _padded(rows: list[Array], length: int | None, filler: int) -> Array:
    wide = max((len(row) for row in rows), default=0) if length is None else length
    table = np.full((len(rows), wide), filler, np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row[:wide]
    return table


def _config_of(name: str, value: Callable[..., Any] | str | None) -> Any:
    """A name, or the registered name of a function."""
    if not callable(value):
        return value
    from graphc.saving.registry import get_registered_name

    return {
        "module": "builtins",
        "class_name": "function",
        "config": value.__name__,
        "registered_name": get_registered_name(value),
    }
