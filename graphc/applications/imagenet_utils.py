"""`keras.applications.imagenet_utils`: pixels as the networks were trained on, and the names of their classes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config, ops
from graphc.options import environment

Array = NDArray[Any]
CLASS_INDEX_URL = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
# Of the training images of ImageNet: in RGB as shares of 255, and in BGR as numbers to 255.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MEAN_BGR = (103.939, 116.779, 123.68)


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Pixels of 0 to 255 in RGB as floats the way a network wants them; arrays or tensors, of one image or a batch.

    mode: "tf" (-1 to 1), "torch" (0 to 1, less the mean, by the deviation of each channel), "caffe" (BGR, less the
    mean). Returns a new array.
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f"Expected mode to be one of `caffe`, `tf` or `torch`. Received: mode={mode}")
    last = config.standardize_data_format(data_format) == "channels_last"
    x = _floats(x)
    if mode == "tf":
        return x / 127.5 - 1.0
    wide = (3,) if last else (3, 1, 1)
    kind = np.dtype(str(x.dtype))
    if mode == "torch":
        mean, deviation = (np.array(numbers, kind).reshape(wide) for numbers in (MEAN, DEVIATION))
        return (x / 255.0 - mean) / deviation
    backwards = (..., slice(None, None, -1)) if last else (..., slice(None, None, -1), slice(None), slice(None))
    return x[backwards] - np.array(MEAN_BGR, kind).reshape(wide)


def _floats(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x if x.dtype.kind == "f" else x.astype(config.floatx())
    return x if "float" in str(x.dtype) else ops.cast(x, config.floatx())


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """For each row of predictions (n, 1000) the `top` classes: (WordNet id, name, score), best first.

    The names are in imagenet_class_index.json, which is looked for in the folder models of Keras's home.
    Raises FileNotFoundError if it is not there.
    """
    scores = np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape (samples, 1000)). Received "
            f"array with shape: {scores.shape}"
        )
    names = _class_names()
    best = np.argsort(scores, axis=1)[:, : -top - 1 : -1]
    return [
        [(*names[index], row[index]) for index in indices] for row, indices in zip(scores, best.tolist(), strict=True)
    ]


def _class_names() -> list[tuple[str, str]]:
    home = environment().keras_home
    path = None if home is None else home / "models" / "imagenet_class_index.json"
    if path is None or not path.is_file():
        raise FileNotFoundError(
            "decode_predictions: wanted the file imagenet_class_index.json in "
            f"{'~/.keras/models' if path is None else path.parent}; fetch {CLASS_INDEX_URL} into that folder."
        )
    return _read_names(str(path))


@cache
def _read_names(path: str) -> list[tuple[str, str]]:
    with open(path, encoding="utf-8") as file:
        table = json.load(file)
    return [(str(table[str(index)][0]), str(table[str(index)][1])) for index in range(1000)]
