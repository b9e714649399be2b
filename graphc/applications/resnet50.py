"""`keras.applications.resnet50`: see `resnet`."""

from graphc.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
