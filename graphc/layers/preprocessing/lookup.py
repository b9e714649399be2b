"""Tokens as their indices in a vocabulary, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import ops
from graphc.layers.preprocessing.feature import FeatureLayer, encode_categories, output_dtype
from graphc.layers.preprocessing.host import HostLayer, as_strings, bins_of, encode_on_host
from graphc.layers.preprocessing.vocabulary import IndexLookup
from graphc.tensor import current_tracer

Array = NDArray[Any]


class StringLookup(IndexLookup, HostLayer):
    """Strings as indices (int64) or vectors; `invert`: indices as strings."""

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        self._encoding_name = encoding
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, salt=salt, name=name, **kwargs,
        )  # fmt: skip

    @property
    def encoding(self) -> str:
        return self._encoding_name

    def _parsed(self, tokens: Sequence[Any]) -> list[Any]:
        return [token.decode(self.encoding) if isinstance(token, bytes) else str(token) for token in tokens]

    def _set_tokens(self, tokens: tuple[Any, ...]) -> None:
        super()._set_tokens(tokens)
        start = self._token_start
        # under a name that layers do not watch: a plain dict of many entries
        object.__setattr__(self, "_indices", {token: start + index for index, token in enumerate(tokens)})

    def _read(self, data: Any) -> Array:
        return as_strings(data, self.encoding)

    def call(self, inputs: Any) -> Array:
        if self.invert:
            self._check_learnt()
            return self._tokens_at(np.asarray(inputs))
        texts = as_strings(inputs, self.encoding)
        ids = self.indices_of(texts.reshape(-1).tolist()).reshape(texts.shape)
        return self.encoded(ids)

    def encoded(self, ids: Array) -> Array:
        """Indices in the output mode."""
        if self.output_mode == "int":
            return ids
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        vectors = encode_on_host(ids, mode, self._depth(), output_dtype(self.output_mode))
        return vectors * self._weights() if self.output_mode == "tf_idf" else vectors

    def _tokens_at(self, ids: Array) -> Array:
        known = dict(enumerate(self.get_vocabulary()))
        texts = [known.get(index, self.oov_token) for index in ids.reshape(-1).tolist()]
        result = np.empty(len(texts), object)
        result[:] = texts
        return result.reshape(ids.shape)

    def indices_of(self, texts: list[str]) -> Array:
        """The index of every string, int64. ValueError for an unknown one if there is no index for those."""
        self._check_learnt()
        table: dict[str, int] = self._indices  # type: ignore[attr-defined]
        if self.mask_token is not None:
            table = {**table, self.mask_token: self._mask_index}
        ids = np.fromiter((table.get(text, -1) for text in texts), np.int64, len(texts))
        unknown = np.flatnonzero(ids == -1)
        if len(unknown):
            ids[unknown] = self._oov_indices([texts[position] for position in unknown])
        return ids

    def _oov_indices(self, texts: list[str]) -> Any:
        if self.num_oov_indices == 0:
            raise ValueError(
                "When `num_oov_indices=0` all inputs should be in vocabulary, found OOV values "
                f"{sorted(set(texts))[:10]}, consider setting `num_oov_indices=1`."
            )
        if self.num_oov_indices == 1:
            return self._oov_start
        return self._oov_start + bins_of(np.array(texts, object), self.num_oov_indices, self.salt)

    def get_config(self) -> dict[str, Any]:
        settings = {**super().get_config(), "encoding": self.encoding}
        del settings["vocabulary_dtype"]
        return settings


class IntegerLookup(IndexLookup, FeatureLayer):
    """Integers as indices (int64) or vectors; `invert`: indices as integers. Part of compiled models too."""

    vocabulary_dtype = "int64"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
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
        if vocabulary_dtype != "int64":
            raise ValueError(
                "Only `vocabulary_dtype='int64'` is supported at this time. Received: "
                f"vocabulary_dtype={vocabulary_dtype}"
            )
        if oov_method == "farmhash" and num_oov_indices > 1:
            raise NotImplementedError(
                "IntegerLookup: `oov_method='farmhash'` cannot be compiled; use 'floormod', or StringLookup on "
                "integers written as strings"
            )
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, oov_method, salt, name, **kwargs,
        )  # fmt: skip

    def _parsed(self, tokens: Sequence[Any]) -> list[Any]:
        return [int(token) for token in tokens]

    def _read(self, data: Any) -> Array:
        return np.asarray(data).astype(np.int64)

    def call(self, inputs: Any) -> Any:
        self._check_learnt()
        ids = ops.cast(inputs, "int64")
        if self.invert:
            return self._tokens_at(ids)
        found = self._found(ids)
        if self.mask_token is not None:
            found = ops.where(ops.equal(ids, int(self.mask_token)), self._mask_index, found)
        if self.output_mode == "int":
            return ops.cast(found, "int64")
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        vectors = encode_categories(found, mode, self._depth(), output_dtype(self.output_mode))
        return vectors * self._weights() if self.output_mode == "tf_idf" else vectors

    def _tokens_at(self, ids: Any) -> Any:
        table = np.array(self.get_vocabulary(), np.int64)
        inside = ops.logical_and(ids >= 0, ids < len(table))
        return ops.where(inside, ops.take(table, ops.clip(ids, 0, len(table) - 1), axis=0), int(self.oov_token))

    def _found(self, ids: Any) -> Any:
        """The index of every integer, by a binary search in the sorted vocabulary."""
        unknown = self._oov_indices(ids)
        if not self._tokens:
            return unknown
        tokens = np.array(self._tokens, np.int64)
        order = np.argsort(tokens, kind="stable")
        ordered, at, step = tokens[order], ops.zeros_like(ids), 1 << (len(tokens).bit_length() - 1)
        while step:
            beyond = ops.minimum(at + step, len(tokens) - 1)
            is_behind = ops.less_equal(ops.take(ordered, beyond, axis=0), ids)
            at, step = ops.where(is_behind, beyond, at), step >> 1
        is_known = ops.equal(ops.take(ordered, at, axis=0), ids)
        return ops.where(is_known, ops.take(order.astype(np.int64), at, axis=0) + self._token_start, unknown)

    def _oov_indices(self, ids: Any) -> Any:
        if self.num_oov_indices == 0:
            self._refuse_unknown(ids)
        if self.num_oov_indices <= 1:
            return ops.zeros_like(ids) + self._oov_start
        return ops.mod(ids, self.num_oov_indices) + self._oov_start

    def _refuse_unknown(self, ids: Any) -> None:
        """At run time, a message for the first integer outside of the vocabulary."""
        tracer = current_tracer()
        assert tracer is not None
        known = [*self._tokens, *(() if self.mask_token is None else (self.mask_token,))]
        index = ops.sum(ops.cast(ops.equal(ops.expand_dims(ids, -1), np.array(known, np.int64)), "int32"), -1)
        what = f"{self.name}: with `num_oov_indices=0` all inputs should be in the vocabulary; the count of matches"
        tracer.bound(index, 1, 2, what)

    def get_config(self) -> dict[str, Any]:
        settings = super().get_config()
        if settings["vocabulary"] is not None:
            settings["vocabulary"] = [int(token) for token in settings["vocabulary"]]
        return settings
