"""What Keras's preprocessing layers compute, recorded for `test_preprocessing.py`.

`KERAS_BACKEND=jax python tests/preprocessing_reference.py images`, the same with `sounds`, and, because Keras's string layers run on TensorFlow
only, `KERAS_BACKEND=tensorflow python tests/preprocessing_reference.py texts` write `data/preprocessing_*.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "data"
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 7, 6, 3)).astype("float32")
SEED = 7

Case = tuple[str, dict[str, Any]]
# Layers with a seed: two draws on a batch and one on a single image.
AUGMENTATION: list[Case] = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "vertical", "data_format": "channels_first"}),
    ("RandomBrightness", {"factor": 0.2}),
    ("RandomContrast", {"factor": (0.3, 0.5)}),
    ("RandomSaturation", {"factor": (0.2, 0.9)}),
    ("RandomHue", {"factor": 0.4}),
    ("RandomColorDegeneration", {"factor": 0.5}),
    ("RandomSharpness", {"factor": 0.7, "value_range": (10, 200)}),
    ("RandomPosterization", {"factor": (2, 7)}),
    ("RandomGrayscale", {"factor": 0.5}),
    ("RandomInvert", {"factor": 0.6}),
    ("RandomColorJitter", {"brightness_factor": 0.2, "contrast_factor": 0.1, "hue_factor": 0.2}),
    ("Solarization", {"addition_factor": 0.3, "threshold_factor": 0.8}),
    ("RandomRotation", {"factor": 0.3}),
    ("RandomRotation", {"factor": 0.3, "fill_mode": "constant", "interpolation": "nearest", "fill_value": 9.0}),
    ("RandomZoom", {"height_factor": 0.3}),
    ("RandomZoom", {"height_factor": (0.1, 0.3), "width_factor": (-0.2, 0.5), "fill_mode": "nearest"}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.2, "fill_mode": "wrap"}),
    ("RandomShear", {"x_factor": 0.3, "y_factor": 0.2}),
    ("RandomCrop", {"height": 4, "width": 5}),
    ("RandomErasing", {"fill_value": 7.0}),
    ("RandomErasing", {"scale": (0.1, 0.4)}),
    ("RandAugment", {"num_ops": 3, "factor": 0.3}),
]
RESIZING: list[Case] = [
    ("Resizing", {"height": 4, "width": 9}),
    ("Resizing", {"height": 4, "width": 9, "interpolation": "bicubic", "antialias": True}),
    ("Resizing", {"height": 9, "width": 4, "crop_to_aspect_ratio": True}),
    ("Resizing", {"height": 9, "width": 4, "pad_to_aspect_ratio": True, "fill_value": 3.0}),
    ("CenterCrop", {"height": 3, "width": 4}),
    ("CenterCrop", {"height": 9, "width": 4}),
    ("AutoContrast", {"value_range": (0, 200)}),
    ("Equalization", {"bins": 64}),
]

SOUNDS = np.random.default_rng(3).normal(size=(2, 50, 3)).astype("float32")
STFT: list[dict[str, Any]] = [
    {},
    {"mode": "psd", "padding": "same", "expand_dims": True},
    {"mode": "stft", "fft_length": 32},
    {"mode": "angle", "window": "hamming", "periodic": True},
    {"mode": "real", "data_format": "channels_first", "scaling": "spectrum"},
    {"mode": "magnitude", "data_format": "channels_first", "expand_dims": True, "scaling": None},
    {"mode": "imag", "frame_step": 5},
]
MEL: list[dict[str, Any]] = [
    {},
    {"power_to_db": False, "mag_exp": 1.0, "max_freq": 3000.0},
    {"sequence_length": 24, "window": "hamming", "top_db": 20.0, "ref_power": 0.5},
]

WORDS = ["Foo", "bar,", "BAZ!", "it's", "a-b", "\u00dcber", "tab\tbed", "new\nline", "42", "foo", "bar", "\u00a0nbsp"]
_rng = np.random.default_rng(1)
TEXTS = [" ".join(_rng.choice(WORDS, _rng.integers(0, 9))) for _ in range(30)]
TOKENS = _rng.choice(["a", "b", "c", "d", "e", "[UNK]", "m"], (20, 3))
INTEGERS = _rng.integers(0, 9, (30, 2))
NEW_TOKENS = np.array([["a", "zz", "m"], ["", "q", "e"]])
NEW_INTEGERS = np.array([[1, 77, -3], [0, 5, 8]])

VECTORIZATION: list[dict[str, Any]] = [
    {},
    {"standardize": "strip_punctuation", "split": "character"},
    {"standardize": None, "ngrams": (2, 3), "max_tokens": 20},
    {"output_mode": "multi_hot", "ngrams": 2},
    {"output_mode": "count", "max_tokens": 9, "pad_to_max_tokens": True},
    {"output_mode": "tf_idf"},
    {"output_mode": "tf_idf", "max_tokens": 60, "pad_to_max_tokens": True},
    {"output_sequence_length": 4, "max_tokens": 8},
]
STRING_LOOKUP: list[dict[str, Any]] = [
    {"mask_token": "m"},
    {"num_oov_indices": 3, "mask_token": ""},
    {"num_oov_indices": 3, "salt": [3, 5]},
    {"output_mode": "multi_hot", "mask_token": "m", "max_tokens": 4},
    {"output_mode": "tf_idf", "num_oov_indices": 2},
]
INTEGER_LOOKUP: list[dict[str, Any]] = [
    {"mask_token": 0},
    {"num_oov_indices": 3},
    {"output_mode": "count", "mask_token": 5},
    {"output_mode": "tf_idf"},
    {"output_mode": "multi_hot", "max_tokens": 12, "pad_to_max_tokens": True},
]
HASHING: list[dict[str, Any]] = [
    {"num_bins": 5},
    {"num_bins": 5, "salt": 7},
    {"num_bins": 5, "mask_value": "a"},
    {"num_bins": 5, "output_mode": "count"},
]


def images(k: Any) -> Iterator[tuple[str, Any]]:
    """(case, results) of every image layer."""
    for name, options in AUGMENTATION + RESIZING:
        random = {"seed": SEED} if (name, options) in AUGMENTATION else {}
        layer = getattr(k.layers, name)(**options, **random)
        x = IMAGES if options.get("data_format") != "channels_first" else IMAGES.transpose(0, 3, 1, 2).copy()
        yield f"{name} {options}", [plain(layer(part, training=True)) for part in (x, x, x[1])]


def sounds(k: Any) -> Iterator[tuple[str, Any]]:
    """(case, results) of the layers that make pictures of sounds. Of angles their cosines: pi is -pi."""
    for options in STFT:
        layer = k.layers.STFTSpectrogram(frame_length=16, **options)
        x = SOUNDS.transpose(0, 2, 1).copy() if options.get("data_format") == "channels_first" else SOUNDS
        result = np.asarray(layer(x))
        yield f"STFTSpectrogram {options}", plain(np.cos(result) if options.get("mode") == "angle" else result)
    for options in MEL:
        layer = k.layers.MelSpectrogram(fft_length=32, sequence_stride=8, sampling_rate=8000, num_mel_bins=5, **options)
        yield f"MelSpectrogram {options}", [plain(layer(part)) for part in (SOUNDS[..., 0], SOUNDS[0, :, 1])]


def texts(k: Any) -> Iterator[tuple[str, Any]]:
    """(case, results) of every layer on strings and vocabularies."""
    learning = [
        ("TextVectorization", VECTORIZATION, TEXTS, [*TEXTS[:7], "foo unknown"]),
        ("StringLookup", STRING_LOOKUP, TOKENS, NEW_TOKENS),
        ("IntegerLookup", INTEGER_LOOKUP, INTEGERS, NEW_INTEGERS),
    ]
    for name, cases, known, new in learning:
        for options in cases:
            layer = getattr(k.layers, name)(**options)
            layer.adapt(known)
            yield f"{name} {options} vocabulary", [str(token) for token in layer.get_vocabulary()]
            yield f"{name} {options}", plain(layer(new))
    for options in HASHING:
        yield f"Hashing {options}", plain(k.layers.Hashing(**options)(TOKENS))
    crossed = k.layers.HashedCrossing(num_bins=7)((TOKENS[:, 0], TOKENS[:, 1], INTEGERS[:20, 0]))
    yield "HashedCrossing", plain(crossed)
    bins = k.layers.Discretization(num_bins=5)
    bins.adapt(IMAGES)
    yield "Discretization boundaries", plain(np.asarray(bins.bin_boundaries))
    yield "Discretization", plain(bins(IMAGES[0, :2]))


def plain(x: Any) -> Any:
    """Numbers as lists, floats to seven digits."""
    array = np.asarray(x)
    if array.dtype.kind != "f":
        return array.tolist()
    return json.loads(json.dumps(array.tolist()), parse_float=lambda text: float(f"{float(text):.7g}"))


def read(name: str) -> dict[str, Any]:
    """Keras's results, "images", "sounds" or "texts"."""
    found: dict[str, Any] = json.loads((FOLDER / f"preprocessing_{name}.json").read_text())
    return found


if __name__ == "__main__":
    import keras

    results = dict({"images": images, "sounds": sounds, "texts": texts}[sys.argv[1]](keras))
    (FOLDER / f"preprocessing_{sys.argv[1]}.json").write_text(json.dumps(results, separators=(",", ":")) + "\n")
