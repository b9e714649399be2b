"""Process-wide settings: number formats, limits on training, what is printed, old spellings.

Functions come in pairs, `x()` and `set_x(value)`, as in `keras.config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.naming import on_clear_session
from graphc.options import environment

FLOATX_DTYPES = ("float16", "float32", "float64")
DATA_FORMATS = ("channels_last", "channels_first")
DTYPES = (
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "bool",
)
_PYTHON_DTYPES: dict[Any, str] = {bool: "bool", int: "int32", float: "float32", "int": "int32"}


@dataclass(slots=True)
class _Settings:
    floatx: str = "float32"
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"
    interactive_logging: bool = True
    legacy_names: bool = True
    traceback_filtering: bool = True
    unsafe_deserialization: bool = False
    # the dtype policy somebody set; without one it follows floatx
    policy: Any = None
    # A limit that nobody set (missing key) comes from the environment; one that was set to None is no limit.
    limits: dict[str, int | None] | None = None


_settings = _Settings()


def backend() -> str:
    """The name of the engine that computes; there is one."""
    return "graphc"


def floatx() -> str:
    """The dtype of weights and inputs whose dtype nobody gave ("float32" unless set)."""
    return _settings.floatx


def set_backend(backend: str) -> None:
    """Accepts the one engine there is. ValueError for any other name."""
    if backend != "graphc":
        raise ValueError(f"graphc computes with its own compiler; there is no backend {backend!r}")


def set_floatx(value: str) -> None:
    """Set `floatx()` to "float16", "float32" or "float64"."""
    if value not in FLOATX_DTYPES:
        raise ValueError(f"Unknown `floatx` value: {value}. Expected one of {FLOATX_DTYPES}")
    _settings.floatx = value


def dtype_policy() -> Any:
    """The `DTypePolicy` of layers whose dtype nobody gave: `floatx()` unless set."""
    from graphc.dtype_policies import DTypePolicy  # policies are made of the dtypes here

    return DTypePolicy(floatx()) if _settings.policy is None else _settings.policy


def set_dtype_policy(policy: Any) -> None:
    """Set `dtype_policy()` to a policy, or to the one of a name ("float32")."""
    from graphc import dtype_policies

    _settings.policy = dtype_policies.get(policy)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite (1e-7 unless set)."""
    return _settings.epsilon


def set_epsilon(value: float) -> None:
    """Set `epsilon()`."""
    _settings.epsilon = value


def image_data_format() -> str:
    """Where the channels of an image lie: "channels_last" (unless set) or "channels_first"."""
    return _settings.image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set `image_data_format()`."""
    _settings.image_data_format = _checked_data_format(str(data_format).lower(), data_format)


def standardize_data_format(data_format: str | None) -> str:
    """The data format a layer argument means: None is the process-wide one. ValueError for an unknown name."""
    return image_data_format() if data_format is None else _checked_data_format(str(data_format).lower(), data_format)


def _checked_data_format(name: str, received: object) -> str:
    if name not in DATA_FORMATS:
        raise ValueError(
            "The `data_format` argument must be one of {'channels_first', 'channels_last'}. "
            f"Received: data_format={received}"
        )
    return name


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype given as a name, a numpy or Python type, or None for `floatx()`.

    Raises ValueError for anything that is not a numeric or boolean dtype.
    """
    if dtype is None:
        return floatx()
    try:
        name = _PYTHON_DTYPES.get(dtype)
    except TypeError:
        name = None
    name = name or getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype
    if name not in DTYPES:
        advice = (
            "; strings become numbers before a model, by StringLookup or TextVectorization" if name == "string" else ""
        )
        raise ValueError(f"Invalid dtype: {dtype}. Expected one of {', '.join(DTYPES)}{advice}")
    return str(name)


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """`standardize_dtype` as a numpy dtype."""
    return np.dtype(standardize_dtype(dtype))


def max_epochs() -> int | None:
    """No `fit` runs more epochs than this; None: no limit. Starts as $KERAS_MAX_EPOCHS."""
    return _limit("max_epochs")


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of every later `fit`; None lifts the limit."""
    _set_limit("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """No epoch, `evaluate` or `predict` runs more steps than this; None: no limit."""
    return _limit("max_steps_per_epoch")


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of every later epoch; None lifts the limit."""
    _set_limit("max_steps_per_epoch", max_steps_per_epoch)


def _limit(name: str) -> int | None:
    limits = _settings.limits or {}
    if name in limits:
        return limits[name]
    value: int | None = getattr(environment(), name)
    return value


def _set_limit(name: str, value: int | None) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError(f"{name}: wanted a whole number of at least 0 or None, got {value!r}")
    _settings.limits = {**(_settings.limits or {}), name: value}


def enable_interactive_logging() -> None:
    """Messages and progress go to stdout."""
    _settings.interactive_logging = True


def disable_interactive_logging() -> None:
    """Messages and progress go to the `graphc` logger."""
    _settings.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Whether messages and progress go to stdout (True) or to the `graphc` logger."""
    return _settings.interactive_logging


def legacy_names() -> bool:
    """Whether spellings that Keras 3 refuses (`nb_epoch`, `lr`, `keras.layers.core`, ...) work with a warning."""
    return _settings.legacy_names


def set_legacy_names(enabled: bool) -> None:
    """Accept (the default) or refuse the spellings of Keras 1 and 2."""
    _settings.legacy_names = bool(enabled)


def enable_unsafe_deserialization() -> None:
    """Allow loading models that contain Python functions by value; only for files you trust."""
    _settings.unsafe_deserialization = True


def disable_unsafe_deserialization() -> None:
    """Go back to refusing such models (the default)."""
    _settings.unsafe_deserialization = False


def is_unsafe_deserialization_enabled() -> bool:
    """Whether `enable_unsafe_deserialization()` holds."""
    return _settings.unsafe_deserialization


def enable_traceback_filtering() -> None:
    """Accepted for compatibility; graphc never rewrites tracebacks."""
    _settings.traceback_filtering = True


def disable_traceback_filtering() -> None:
    """Accepted for compatibility; graphc never rewrites tracebacks."""
    _settings.traceback_filtering = False


def is_traceback_filtering_enabled() -> bool:
    """The last of the two calls above."""
    return _settings.traceback_filtering


def enable_flash_attention() -> None:
    """Accepted for compatibility: attention has one implementation, which is chosen when a model is compiled."""


def disable_flash_attention() -> None:
    """Accepted for compatibility; see `enable_flash_attention`."""


def is_flash_attention_enabled() -> bool:
    """Always False."""
    return False


def is_nnx_enabled() -> bool:
    """Always False: Flax belongs to another engine."""
    return False


@on_clear_session
def _clear() -> None:
    _settings.interactive_logging = True
    _settings.traceback_filtering = True
    _settings.unsafe_deserialization = False
