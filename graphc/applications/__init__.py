"""`keras.applications`: image classifiers with random weights, those of a file, or ImageNet's (in Keras's home)."""

from __future__ import annotations

import importlib
from typing import Any

_MODELS = {
    "convnext": tuple(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    "densenet": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "efficientnet": tuple(f"EfficientNetB{size}" for size in range(8)),
    "efficientnet_v2": tuple(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "inception_resnet_v2": ("InceptionResNetV2",),
    "inception_v3": ("InceptionV3",),
    "mobilenet": ("MobileNet",),
    "mobilenet_v2": ("MobileNetV2",),
    "mobilenet_v3": ("MobileNetV3Small", "MobileNetV3Large"),
    "nasnet": ("NASNetMobile", "NASNetLarge"),
    "resnet": ("ResNet50", "ResNet101", "ResNet152"),
    "resnet_v2": ("ResNet50V2", "ResNet101V2", "ResNet152V2"),
    "vgg16": ("VGG16",),
    "vgg19": ("VGG19",),
    "xception": ("Xception",),
}
_NAMES = {name: module for module, names in _MODELS.items() for name in names}
_MODULES = (*_MODELS, "imagenet_utils", "resnet50")

__all__ = sorted({*_NAMES, *_MODULES})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"graphc.applications.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"graphc.applications.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'graphc.applications' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
