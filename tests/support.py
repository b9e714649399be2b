"""Writes docs/keras.md: which public names of Keras graphc has, which partly, and which not.

`pytest tests/test_support.py --update-golden` writes the page anew. Names are tried on the package itself; what only
half works stands in PARTLY, or says so itself (`arrays_only`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import graphc
from graphc.names import VERSION, keras_names

PAGE = Path(__file__).resolve().parent.parent / "docs" / "keras.md"

PARTLY: dict[str, str] = {
    "keras.Layer": "no `quantize`, no `enable_lora`",
    "keras.Model": "no `quantize`, no `enable_lora`; `export` writes nothing yet",
    "keras.callbacks.TensorBoard": "no embeddings; profiles are made by `python -m graphc profile`",
    "keras.layers.Dense": "no `lora_rank`, no `quantization_config`",
    "keras.layers.EinsumDense": "no `lora_rank`, no `quantization_config`",
    "keras.layers.Embedding": "no `lora_rank`, no `quantization_config`",
    "keras.layers.IntegerLookup": "no `oov_method='farmhash'` in a compiled model",
    "keras.layers.Lambda": "a saved function is never unmarshalled: give it again through `custom_objects`",
    "keras.layers.LayerNormalization": "no `rms_scaling`: use RMSNormalization",
    "keras.utils.FeatureSpace": "strings and hashes not within a compiled model, where `get_inputs` refuses them",
    "keras.utils.audio_dataset_from_directory": "16-bit WAV files at the rate they have; no `ragged`",
    "keras.ops.bincount": "in a graph the number of counts must be given, as `minlength`",
    "keras.ops.custom_gradient": "not in a graph, which has the gradients of its ops only",
    "keras.ops.jvp": "raises NotImplementedError: graphc differentiates backwards only",
    "keras.ops.linalg.jvp": "raises NotImplementedError: graphc differentiates backwards only",
}
"""Names that are there with a limit, and the limit. What an op cannot do within a graph it says itself."""


class Support(NamedTuple):
    """The names of one module."""

    module: str
    have: list[str]
    partly: list[str]
    lack: list[str]


def supports() -> Iterator[Support]:
    """What there is of every public module of Keras, in its order."""
    for module, names in sorted(keras_names().items()):
        found = {name for name in names if has(f"{module}.{name}")}
        partly = {name for name in found if limit(f"{module}.{name}")}
        yield Support(module, sorted(found - partly), sorted(partly), sorted(names - found))


def has(path: str) -> bool:
    """Whether graphc has what Keras calls by this path."""
    try:
        resolved(path)
    except (AttributeError, ImportError):
        return False
    return True


def resolved(path: str) -> Any:
    """What graphc has under a path of Keras. AttributeError or ImportError if it has nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reduce(getattr, path.split(".")[1:], graphc)


def limit(path: str) -> str | None:
    """What something that is there cannot do."""
    if path in PARTLY:
        return PARTLY[path]
    reason = getattr(resolved(path), "arrays_only", None)
    return f"on arrays only: in a graph, {reason}" if isinstance(reason, str) else None


def page() -> str:
    """The text of docs/keras.md."""
    every = list(supports())
    return (
        "\n".join([*_head(every), *_table(every), "", *(line for one in every for line in _section(one))]).rstrip()
        + "\n"
    )


def _head(every: list[Support]) -> list[str]:
    have, partly, lack = (sum(len(getattr(one, kind)) for one in every) for kind in ("have", "partly", "lack"))
    total = have + partly + lack
    return [
        "# What there is of Keras", "",
        f"Of the {total:,} public names of Keras {VERSION}, aliases counted, graphc has {have:,}; {partly:,} more work partly",
        f"and {lack:,} do not exist. Asking for one of those gives an `AttributeError` that says so. That those which exist",
        "compute what Keras computes is tested: layers, losses, metrics, optimizers and the like with random configurations",
        "(tests/test_keras.py), ops and preprocessing by numbers that Keras gave. Pretrained weights of applications are read",
        "from files and never downloaded.", "",
        "Known to differ: in `fit`, metrics count the steps that the mask of the outputs leaves, as the loss does; Keras on",
        "JAX counts them all there and not in `evaluate`. A generator for validation goes on from epoch to epoch.", "",
        "This page is written by `pytest tests/test_support.py --update-golden`.", "",
    ]  # fmt: skip


def _table(every: list[Support]) -> list[str]:
    rows = [
        f"| `{one.module}` | {len(one.have) or ''} | {len(one.partly) or ''} | {len(one.lack) or ''} |" for one in every
    ]
    return ["| module | there | partly | missing |", "| --- | ---: | ---: | ---: |", *rows]


def _section(one: Support) -> list[str]:
    lines = [f"## {one.module}", ""]
    if one.have:
        lines += ["There: " + _listed(one.have), ""]
    if one.partly:
        limits: dict[str, list[str]] = {}
        for name in one.partly:
            limits.setdefault(limit(f"{one.module}.{name}") or "", []).append(name)
        lines += ["Partly:", "", *(f"- {_listed(names)}: {what}" for what, names in limits.items()), ""]
    if one.lack:
        lines += ["Missing: " + _listed(one.lack), ""]
    return lines


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
