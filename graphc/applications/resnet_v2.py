"""Residual networks, second version (He et al., "Identity Mappings in Deep Residual Networks", 2016)."""

from __future__ import annotations

from typing import Any

from graphc.applications import imagenet_utils
from graphc.applications.imagenet_utils import decode_predictions
from graphc.applications.resnet import DEPTHS, variant

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

ResNet50V2 = variant("ResNet50V2", DEPTHS[50], is_second=True)
ResNet101V2 = variant("ResNet101V2", DEPTHS[101], is_second=True)
ResNet152V2 = variant("ResNet152V2", DEPTHS[152], is_second=True)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels of 0 to 255 as floats of -1 to 1."""
    return imagenet_utils.preprocess_input(x, data_format, mode="tf")
