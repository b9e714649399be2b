"""`keras.mixed_precision`: the dtype policy of all layers, by its older names."""

from graphc.config import dtype_policy, set_dtype_policy
from graphc.dtype_policies import DTypePolicy, Policy

__all__ = ["DTypePolicy", "Policy", "dtype_policy", "global_policy", "set_dtype_policy", "set_global_policy"]

global_policy = dtype_policy
set_global_policy = set_dtype_policy
