"""Dtype policies: the dtype a layer computes in and the dtype of its weights."""

from __future__ import annotations

from typing import Any

from graphc import config


class DTypePolicy:
    """One dtype for weights and computation. ValueError for a name that is not a dtype."""

    def __init__(self, name: str | None = None) -> None:
        self.name = config.standardize_dtype(name)

    @property
    def compute_dtype(self) -> str:
        return self.name

    variable_dtype = compute_dtype

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


Policy = DTypePolicy


def get(identifier: Any) -> DTypePolicy:
    """The policy of a name, dtype, config or policy; None is the process-wide one."""
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return DTypePolicy(**identifier.get("config", {}))
    return DTypePolicy(identifier)


def serialize(policy: DTypePolicy) -> dict[str, Any]:
    """The policy as Keras writes it into configs."""
    return {"module": "keras", "class_name": "DTypePolicy", "config": policy.get_config(), "registered_name": None}
