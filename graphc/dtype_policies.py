"""Dtype policies: the dtype a layer computes in and the dtype of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc import config

QUANTIZED = (
    "AWQDTypePolicy", "GPTQDTypePolicy", "Int4DTypePolicy", "QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy",
)  # fmt: skip
MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


class DTypePolicy:
    """One dtype for weights and computation, or "mixed_bfloat16" or "mixed_float16": weights in float32, computation in
    half of that. ValueError for any other name.

    Half types are stored in two bytes and computed in float32, rounded after every operation; products are summed in
    float32.
    """

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = config.dtype_policy().name
        self.name = name if name in MIXED else _checked(name)

    @property
    def compute_dtype(self) -> str:
        """The dtype of computation, and of what layers return."""
        return MIXED.get(self.name, self.name)

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return "float32" if self.name in MIXED else self.name

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


def _checked(name: Any) -> str:
    try:
        return config.standardize_dtype(name)
    except ValueError:
        raise ValueError(
            f"Cannot convert '{name}' to a mixed precision DTypePolicy. Valid policies include 'mixed_float16', "
            "'mixed_bfloat16', and the name of any float dtype such as 'float32'."
        ) from None


Policy = DTypePolicy
FloatDTypePolicy = DTypePolicy


def get(identifier: Any) -> DTypePolicy:
    """The policy of a name, dtype, config or policy; None is the process-wide one."""
    if isinstance(identifier, DTypePolicy):
        return identifier
    if identifier is None:
        policy: DTypePolicy = config.dtype_policy()
        return policy
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return DTypePolicy(identifier)


def serialize(policy: DTypePolicy) -> dict[str, Any]:
    """The policy as Keras writes it into configs."""
    return {"module": "keras", "class_name": "DTypePolicy", "config": policy.get_config(), "registered_name": None}


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> DTypePolicy:
    """The policy of a config. NotImplementedError for those of quantized layers, ValueError for other classes."""
    from graphc.saving.registry import deserialize_object  # saving stands above

    name = config.get("class_name") if isinstance(config, Mapping) else config
    if name in QUANTIZED:
        raise NotImplementedError(f"{name}: graphc has no quantized layers; use DTypePolicy with a float dtype")
    policies = dict.fromkeys(("DTypePolicy", "FloatDTypePolicy"), DTypePolicy)
    policy: DTypePolicy = deserialize_object(config, policies, custom_objects, kind="dtype policy")
    return policy
