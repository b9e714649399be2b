"""Images as arrays and as files. Files need Pillow (`pip install 'graphc-compiler[images]'`)."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config

Array = NDArray[Any]
MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow() -> Any:
    """The module PIL.Image. ImportError says how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Reading and writing image files needs Pillow: pip install 'graphc-compiler[images]'"
        ) from error
    return Image


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """A Pillow image (or an array of rank 2 or 3) as floats (height, width, channels), or channels first."""
    last = config.standardize_data_format(data_format) == "channels_last"
    x = np.asarray(img, config.numpy_dtype(dtype))
    if x.ndim not in (2, 3):
        raise ValueError(f"Unsupported image shape: {x.shape}")
    x = x[..., None] if x.ndim == 2 else x
    return x if last else x.transpose(2, 0, 1)


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """A Pillow image of an array (height, width, 1, 3 or 4 channels), or channels first.

    scale: stretch the values to 0 .. 255.
    """
    image = pillow()
    pixels = np.asarray(x, config.numpy_dtype(dtype))
    if pixels.ndim != 3:
        raise ValueError(f"Expected image array to have rank 3 (single image). Got array with shape: {pixels.shape}")
    if config.standardize_data_format(data_format) == "channels_first":
        pixels = pixels.transpose(1, 2, 0)
    channels = pixels.shape[2]
    if channels not in (1, 3, 4):
        raise ValueError(f"Unsupported channel number: {channels}")
    pixels = _stretched(pixels) if scale else pixels
    if channels == 1:
        wide = pixels.max(initial=0) > 255
        return image.fromarray(pixels[..., 0].astype("int32" if wide else "uint8"))
    return image.fromarray(pixels.astype("uint8"))


def _stretched(pixels: Array) -> Array:
    pixels = pixels - pixels.min(initial=np.inf)
    highest = pixels.max(initial=0)
    return pixels * (255 / highest) if highest else pixels


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file; the format follows from the file's suffix unless `file_format` names it."""
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:]
    kind = "jpeg" if str(file_format).lower() == "jpg" else file_format
    img = array_to_img(x, data_format, scale)
    if img.mode == "RGBA" and kind == "jpeg":
        warnings.warn("The JPEG format does not support RGBA images, converting to RGB.", stacklevel=2)
        img = img.convert("RGB")
    img.save(path, format=kind, **kwargs)


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """The Pillow image in a file (a path, or a BytesIO).

    color_mode: "rgb", "rgba" or "grayscale". target_size: (height, width) to resize to; keep_aspect_ratio cuts the
    largest middle part of these proportions out first.
    """
    image = pillow()
    if color_mode not in MODES:
        raise ValueError('color_mode must be "grayscale", "rgb", or "rgba"')
    if not isinstance(path, (str, bytes, os.PathLike, io.BytesIO)):
        raise TypeError(f"path should be path-like or io.BytesIO, not {type(path)}")
    with image.open(path) as opened:
        img = opened.copy()
    deep = color_mode == "grayscale" and img.mode in ("I;16", "I")
    img = img if deep or img.mode == MODES[color_mode] else img.convert(MODES[color_mode])
    if target_size is None or img.size == (target_size[1], target_size[0]):
        return img
    return _resized(image, img, target_size, interpolation, keep_aspect_ratio)


def _resized(image: Any, img: Any, target_size: Any, interpolation: str, keep_aspect_ratio: bool) -> Any:
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"Invalid interpolation method {interpolation} specified. Supported methods are {', '.join(INTERPOLATIONS)}"
        )
    height, width = target_size
    box = None
    if keep_aspect_ratio:
        high, wide = min(img.height, img.width * height // width), min(img.width, img.height * width // height)
        top, left = (img.height - high) // 2, (img.width - wide) // 2
        box = (left, top, left + wide, top + high)
    return img.resize((width, height), image.Resampling[interpolation.upper()], box=box)


def smart_resize(x: Any, size: Any, interpolation: str = "bilinear", data_format: str = "channels_last") -> Any:
    """Images (an array or tensor; one or a batch) cut to the proportions of `size` (height, width), then resized."""
    from graphc import ops  # arrays need none of it

    if len(size) != 2:
        raise ValueError(f"Expected `size` to be a tuple of 2 integers, but got: {size}.")
    if len(ops.shape(x)) not in (3, 4):
        raise ValueError(
            "Expected an image array with shape `(height, width, channels)`, or `(batch_size, height, width, "
            f"channels)`, but got input with incorrect rank, of shape {ops.shape(x)}."
        )
    return ops.image.resize(
        x, tuple(size), interpolation=interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
