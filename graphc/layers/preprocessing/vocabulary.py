"""Vocabularies: learnt from data, given, or read from a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config
from graphc.layers.layer import Layer
from graphc.layers.preprocessing.feature import batches_of, checked_output_mode
from graphc.layers.preprocessing.host import checked_salt

Array = NDArray[Any]
OUTPUT_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
# The index of a masked token where vectors are made: it appears in none.
MASKED = -2


class IndexLookup(Layer):
    """A vocabulary: the mask token (index 0, in mode "int" only), `num_oov_indices` for unknown tokens, the tokens.

    Modes: "int"; vectors that are "one_hot", "multi_hot" or "count", or "tf_idf": counts times weights that are low
    for tokens of many documents.
    """

    vocabulary_dtype = "string"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: Any = None,
        oov_token: Any = None,
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._frozen_vocab_size: int | None = kwargs.pop("vocabulary_size", None)
        has_vocabulary = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        for ignored in ("trainable", "dtype"):
            kwargs.pop(ignored, None)
        super().__init__(name=name, **kwargs)
        kind = type(self).__name__
        self.output_mode = checked_output_mode(kind, output_mode, OUTPUT_MODES, sparse)
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = invert
        self.sparse = sparse
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = oov_method
        self._check_arguments(kind, salt, idf_weights, has_vocabulary)
        self.salt = checked_salt(kind, salt)
        self._has_input_vocabulary = has_vocabulary
        self.input_vocabulary = None if isinstance(vocabulary, (str, os.PathLike)) else vocabulary
        self.input_idf_weights = idf_weights
        self.idf_weights: Array | None = None
        self._set_tokens(())
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _check_arguments(self, kind: str, salt: Any, idf_weights: Any, has_vocabulary: bool) -> None:
        if self.max_tokens is not None and self.max_tokens <= 1:
            raise ValueError(
                f"If `max_tokens` is set for `{kind}`, it must be greater than 1. Received: "
                f"max_tokens={self.max_tokens}"
            )
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ValueError(f"If pad_to_max_tokens is True, must set `max_tokens`. Received: max_tokens={None}")
        if self.num_oov_indices < 0:
            raise ValueError(
                f"The value of `num_oov_indices` argument for `{kind}` must >= 0. Received: "
                f"num_oov_indices={self.num_oov_indices}"
            )
        if self.oov_method not in ("floormod", "farmhash"):
            raise ValueError(
                f"Unknown value for `oov_method` argument of layer {kind}: wanted 'floormod' or 'farmhash'. Received: "
                f"oov_method={self.oov_method}"
            )
        if salt is not None and self.vocabulary_dtype != "string" and self.oov_method != "farmhash":
            raise ValueError(
                f"`salt` can only be used when `oov_method='farmhash'`. Received: oov_method={self.oov_method}"
            )
        if self.invert and self.output_mode != "int":
            raise ValueError(
                f"`output_mode` must be `'int'` when `invert` is true. Received: output_mode={self.output_mode}"
            )
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ValueError(
                "`idf_weights` should only be set if `output_mode` is `'tf_idf'`. Received: "
                f"idf_weights={idf_weights} and output_mode={self.output_mode}"
            )
        if self.output_mode == "tf_idf" and has_vocabulary and idf_weights is None:
            raise ValueError(
                "When specifying the `vocabulary` argument, in TF-IDF output mode, the `idf_weights` argument must "
                "also be provided."
            )

    # ---- the vocabulary

    @property
    def _oov_start(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _token_start(self) -> int:
        return self._oov_start + self.num_oov_indices

    @property
    def _special_tokens(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    def vocabulary_size(self) -> int:
        """The number of indices, those of mask and unknown tokens included."""
        return len(self._tokens) + self._token_start

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens by their index."""
        return [*(self._special_tokens if include_special_tokens else ()), *self._tokens]

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Use these tokens (a list, an array, or a text file with one a line), most important first.

        The mask and unknown tokens may stand at the start. idf_weights: one per token, in mode "tf_idf".
        """
        self._check_weights(idf_weights)
        if isinstance(vocabulary, (str, os.PathLike)):
            if self.output_mode == "tf_idf":
                raise ValueError("output_mode `'tf_idf'` does not support loading a vocabulary from file.")
            self._adopt(self._parsed(_read_lines(Path(vocabulary))))
            return
        given = self._parsed(np.asarray(vocabulary).reshape(-1).tolist())
        if not given:
            raise ValueError(f"Cannot set an empty vocabulary. Received: vocabulary={vocabulary}")
        has_specials = given[: self._token_start] == self._special_tokens
        tokens = given[self._token_start :] if has_specials else given
        self._check_tokens(tokens, given)
        self._adopt(tokens)
        if idf_weights is not None:
            self.idf_weights = self._padded_weights(np.asarray(idf_weights, np.float64), len(given), has_specials)

    def _check_weights(self, idf_weights: Any) -> None:
        if self.output_mode == "tf_idf" and idf_weights is None:
            raise ValueError("`idf_weights` must be set if output_mode is 'tf_idf'.")
        if self.output_mode != "tf_idf" and idf_weights is not None:
            raise ValueError(
                "`idf_weights` should only be set if output_mode is `'tf_idf'`. Received: "
                f"output_mode={self.output_mode} and idf_weights={idf_weights}"
            )

    def _check_tokens(self, tokens: list[Any], given: list[Any]) -> None:
        repeated = [token for token, count in Counter(tokens).items() if count > 1]
        if repeated:
            raise ValueError(
                "The passed vocabulary has at least one repeated term. Please uniquify your dataset. The repeated "
                f"terms are: {repeated}"
            )
        reserved = {"mask": self.mask_token, "OOV": self.oov_token if self.invert else None}
        for kind, token in reserved.items():
            if token is not None and token in tokens:
                raise ValueError(
                    f"Found reserved {kind} token at unexpected location in `vocabulary`. Note that passed "
                    "`vocabulary` does not need to include the OOV and mask tokens. Either remove all mask and OOV "
                    "tokens, or include them only at the start of the vocabulary in precisely this order: "
                    f"{self._special_tokens}. Received: {kind.lower()}_token={token} at vocabulary index "
                    f"{given.index(token)}"
                )
        size = self._token_start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                "Attempted to set a vocabulary larger than the maximum vocab size. Received vocabulary size is "
                f"{size}; `max_tokens` is {self.max_tokens}."
            )

    def _padded_weights(self, weights: Array, wanted: int, has_specials: bool) -> Array:
        """Weights for all indices: unknown tokens have the mean, padding has 0."""
        if weights.shape != (wanted,):
            raise ValueError(
                "`idf_weights` must be the same length as vocabulary. len(idf_weights) is "
                f"{len(np.atleast_1d(weights))}; len(vocabulary) is {wanted}"
            )
        front = np.full(0 if has_specials else self._token_start, weights.mean())
        size = self.max_tokens if self.pad_to_max_tokens and self.max_tokens else len(front) + len(weights)
        padded = np.zeros(size, config.floatx())
        padded[: len(front) + len(weights)] = np.concatenate([front, weights])
        return padded

    def _adopt(self, tokens: Sequence[Any]) -> None:
        """Set the tokens and note the size, which must stay where vectors have it."""
        self._set_tokens(tuple(tokens))
        size, known = self.vocabulary_size(), self._frozen_vocab_size
        if known is not None and size != known and self.output_mode != "int" and not self.pad_to_max_tokens:
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, the vocabulary size "
                f"cannot be changed after the layer is called. Old vocab size is {known}, new vocab size is {size}"
            )
        self._frozen_vocab_size = size

    def _set_tokens(self, tokens: tuple[Any, ...]) -> None:
        self._tokens = tokens

    def _parsed(self, tokens: Sequence[Any]) -> list[Any]:
        """Tokens in the type of this vocabulary."""
        raise NotImplementedError(type(self).__name__)

    # ---- learning it

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent tokens first (at most `max_tokens` with the special ones).

        data: an array or list of tokens, or an iterable of batches (at most `steps`). In mode "tf_idf" every row, or
        every element of a flat list, is a document.
        """
        self.reset_state()
        for batch in batches_of(data, steps, (np.ndarray, list, tuple)):
            rows = np.asarray(batch)
            self.update_state(rows[:, None] if batch is data and rows.ndim == 1 else rows)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count another batch of tokens (documents, tokens)."""
        tokens = self._read(data)
        self.count(tokens.reshape(-1, tokens.shape[-1]).tolist() if tokens.ndim > 1 else [np.ravel(tokens).tolist()])

    def count(self, documents: list[list[Any]]) -> None:
        """Count the tokens of documents."""
        if self._has_input_vocabulary:
            raise ValueError(
                f"Cannot adapt layer '{self.name}' after setting a static vocabulary via `vocabulary` argument or "
                "`set_vocabulary()` method."
            )
        for document in documents:
            self._counts.update(document)
            self._document_counts.update(set(document))
        self._documents += len(documents)

    def _read(self, data: Any) -> Array:
        """Tokens as an array of this vocabulary's type."""
        raise NotImplementedError(type(self).__name__)

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        counts = {t: n for t, n in self._counts.items() if t not in (self.mask_token, self.oov_token)}
        if self._has_input_vocabulary or not self._counts:
            return
        ordered = sorted(counts, key=lambda token: (counts[token], _sort_key(token)), reverse=True)
        if self.max_tokens is not None:
            ordered = ordered[: self.max_tokens - self._token_start]
        self._adopt(ordered)
        if self.output_mode == "tf_idf":
            shared = np.array([self._document_counts[token] for token in ordered], np.float64)
            weights = np.log(1 + self._documents / (1 + shared))
            self.idf_weights = self._padded_weights(weights, len(ordered), has_specials=False)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted (not the vocabulary)."""
        self._counts: Counter[Any] = Counter()
        self._document_counts: Counter[Any] = Counter()
        self._documents = 0

    # ---- using it

    def _depth(self) -> int:
        """The length of the vectors."""
        depth = self.max_tokens if self.pad_to_max_tokens else self._frozen_vocab_size
        if depth is None:
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, you must set the layer's "
                "vocabulary before calling it. Either pass a `vocabulary` argument to the layer, or call `adapt` with "
                "some sample data."
            )
        return depth

    # Whether a call computes; a model is restored, and its shapes inferred, before its vocabularies are read.
    _is_used = True

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        self._is_used = False
        try:
            return super().compute_output_spec(*args, **kwargs)
        finally:
            self._is_used = True

    def _check_learnt(self) -> None:
        """RuntimeError if the config tells of a vocabulary that never came."""
        known, size = self._frozen_vocab_size, self.vocabulary_size()
        if self._is_used and known is not None and known != size:
            raise RuntimeError(
                f"{type(self).__name__} (layer {self.name}) was made from the config of a layer with {known} tokens, "
                f"without its vocabulary. Call `adapt` or `set_vocabulary`, or load it from a `.keras` file."
            )

    @property
    def _mask_index(self) -> int:
        return 0 if self.output_mode == "int" else MASKED

    def _weights(self) -> Array:
        if self.idf_weights is None and not self._is_used:
            return np.zeros(self._depth(), config.floatx())
        if self.idf_weights is None:
            raise ValueError("When `output_mode` is `'tf_idf'`, `idf_weights` must be provided.")
        return self.idf_weights

    # ---- files

    def save_own_variables(self, store: Any) -> None:
        if self.output_mode == "tf_idf":
            store["idf_weights"] = self._weights()

    def load_own_variables(self, store: Any) -> None:
        if self.output_mode == "tf_idf":
            self.idf_weights = np.asarray(store["idf_weights"])

    def save_assets(self, dir_path: Any) -> None:
        """Write vocabulary.txt, one token a line, unless the vocabulary is part of the config."""
        if self.input_vocabulary is not None:
            return
        lines = [str(token) for token in self.get_vocabulary()]
        broken = [line for line in lines if "\n" in line]
        if broken:
            raise ValueError(
                f"{type(self).__name__} (layer {self.name}): a vocabulary is saved as a file with one token a line; "
                f"{broken[0]!r} has several"
            )
        Path(dir_path, "vocabulary.txt").write_bytes("\n".join(lines).encode())

    def load_assets(self, dir_path: Any) -> None:
        if self.input_vocabulary is None:
            lines = _read_lines(Path(dir_path, "vocabulary.txt"))
            self.set_vocabulary(lines, self._weights() if self.output_mode == "tf_idf" else None)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "invert": self.invert,
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token,
            "mask_token": self.mask_token,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": plain_list(self.input_idf_weights),
            "vocabulary": plain_list(self.input_vocabulary),
            "vocabulary_size": self._frozen_vocab_size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        refuse_vocabulary_file(config)
        return super().from_config(config)


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"Vocabulary file {path} does not exist.")
    return path.read_bytes().decode().rstrip("\n").split("\n")


def _sort_key(token: Any) -> Any:
    return token.encode() if isinstance(token, str) else token


def plain_list(values: Any) -> Any:
    """An array as a list; anything else as it is."""
    return values.tolist() if isinstance(values, np.ndarray) else list(values) if values is not None else None


def refuse_vocabulary_file(settings: dict[str, Any]) -> None:
    """ValueError if a config asks for a file: one that was saved here never does."""
    if isinstance(settings.get("vocabulary"), str) and not config.is_unsafe_deserialization_enabled():
        raise ValueError(
            "Requested the loading of a vocabulary file outside of the model archive. This carries a potential risk "
            "of loading arbitrary and sensitive files and thus it is disallowed by default. If you trust the source, "
            f"call `keras.config.enable_unsafe_deserialization()`. Vocabulary file: '{settings['vocabulary']}'"
        )
