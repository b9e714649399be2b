"""Keyword arguments of Keras 1 and 2, and what they are called now."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from graphc import config
from graphc.legacy.deprecation import deprecated

# Old keyword: the possible new ones, of which the layer has one.
KEYWORDS = {
    "W_constraint": ("kernel_constraint", "embeddings_constraint"),
    "W_regularizer": ("kernel_regularizer", "embeddings_regularizer"),
    "U_regularizer": ("recurrent_regularizer",),
    "b_constraint": ("bias_constraint",),
    "b_regularizer": ("bias_regularizer",),
    "beta_init": ("beta_initializer",),
    "bias": ("use_bias",),
    "border_mode": ("padding",),
    "dim_ordering": ("data_format",),
    "dropout_U": ("recurrent_dropout",),
    "dropout_W": ("dropout",),
    "filter_length": ("kernel_size",),
    "gamma_init": ("gamma_initializer",),
    "init": ("kernel_initializer", "embeddings_initializer"),
    "inner_activation": ("recurrent_activation",),
    "inner_init": ("recurrent_initializer",),
    "length": ("size",),
    "nb_filter": ("filters",),
    "output_dim": ("units",),
    "p": ("rate",),
    "pool_length": ("pool_size",),
    "sigma": ("stddev",),
    "stride": ("strides",),
    "subsample": ("strides",),
    "subsample_length": ("strides",),
}
VALUES: Mapping[str, Mapping[Any, Any]] = {
    "data_format": {"tf": "channels_last", "th": "channels_first", "default": None},
}
_TWO_SIZES = frozenset({"border_mode", "subsample", "init", "dim_ordering", "W_regularizer", "nb_row", "nb_col"})


def accepting_old_keywords(init: Callable[..., None]) -> Callable[..., None]:
    """A layer's constructor that also takes the old keywords it does not know itself."""

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs and config.legacy_names():
            args, kwargs = _modern(type(self).__name__, _parameters(init), args, kwargs)
        init(self, *args, **kwargs)

    return wrapped


@functools.cache
def _parameters(init: Callable[..., None]) -> Mapping[str, Any]:
    return inspect.signature(init).parameters


def _modern(cls: str, own: Mapping[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Positional and keyword arguments in today's words."""
    if len(args) == 3 and "kernel_size" in own and not _TWO_SIZES.isdisjoint(kwargs) and isinstance(args[2], int):
        # Convolution2D(filters, rows, columns, ...)
        deprecated(f"{cls}(filters, rows, columns) is deprecated; use {cls}(filters, (rows, columns)).")
        args = (args[0], args[1:])
    if "nb_row" in kwargs and "kernel_size" in own and "nb_row" not in own:
        deprecated(f"{cls}: `nb_row` and `nb_col` are deprecated; use `kernel_size`.")
        kwargs = {**kwargs, "kernel_size": (kwargs["nb_row"], kwargs.get("nb_col"))}
        kwargs = {name: value for name, value in kwargs.items() if name not in ("nb_row", "nb_col")}
    found: dict[str, Any] = {}
    for name, value in kwargs.items():
        new = _new_name(name, own)
        if new is None:
            found[name] = value
            continue
        deprecated(f"{cls}: `{name}` is deprecated; use `{new}`.")
        found[new] = VALUES.get(new, {}).get(value, value) if isinstance(value, str) else value
    return args, found


def _new_name(name: str, own: Mapping[str, Any]) -> str | None:
    if name in own:
        return None
    return next((new for new in KEYWORDS.get(name, ()) if new in own), None)
