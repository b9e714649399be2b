"""Images, sounds and texts in directories, a subdirectory per class, as labelled batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config
from graphc.utils.audio import read_wav, stacked
from graphc.utils.batches import Batches
from graphc.utils.images import CHANNELS, img_to_array, load_img
from graphc.utils.messages import print_message

Array = NDArray[Any]
Join = Callable[[Sequence[Array]], Array]
IMAGE_FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
IMAGE_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
LABEL_MODES = ("int", "categorical", "binary", None)


@dataclass(frozen=True)
class Files:
    """Files with their labels (None: without), in an order that is drawn anew every pass if `is_shuffled`."""

    paths: list[str]
    labels: Array | None
    class_names: list[str] | None
    label_mode: str | None
    is_shuffled: bool
    seed: int

    def part(self, start: int, stop: int | None, is_shuffled: bool) -> Files:
        labels = None if self.labels is None else self.labels[start:stop]
        return Files(self.paths[start:stop], labels, self.class_names, self.label_mode, is_shuffled, self.seed)

    def batches(self, read: Callable[[str], Any], batch_size: int | None, join: Join) -> Batches:
        """Batches, made by `join` of what `read` makes of the files, with labels; batch_size None: single elements."""
        generator = np.random.RandomState(self.seed)

        def epoch() -> Iterator[Any]:
            order = generator.permutation(len(self.paths)) if self.is_shuffled else np.arange(len(self.paths))
            with ThreadPoolExecutor() as pool:
                for start in range(0, len(order), batch_size or 1):
                    chosen = order[start : start + (batch_size or 1)]
                    contents = join(list(pool.map(read, (self.paths[index] for index in chosen))))
                    batch = contents if self.labels is None else (contents, self.encoded(chosen))
                    yield batch if batch_size else _single(batch)

        batches = Batches(epoch, -(-len(self.paths) // (batch_size or 1)))
        batches.class_names, batches.file_paths = self.class_names, self.paths
        return batches

    def encoded(self, chosen: Array) -> Array:
        """The labels of these files in the label mode."""
        assert self.labels is not None
        labels = self.labels[chosen]
        if self.label_mode == "categorical":
            return np.eye(len(self.class_names or ()), dtype=config.floatx())[labels]
        return labels[:, None].astype(config.floatx()) if self.label_mode == "binary" else labels


def _single(batch: Any) -> Any:
    return tuple(part[0] for part in batch) if isinstance(batch, tuple) else batch[0]


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches (images float32 (n, height, width, channels), labels) of the image files below `directory`.

    labels: "inferred" (the subdirectories are the classes), a label per file in order of their paths, or None.
    label_mode: "int" (int32), "categorical" (one-hot), "binary" (float (n, 1)), or None for no labels. subset:
    "training" (the first part), "validation" (the last `validation_split` of the files), or "both" for the two.
    Needs Pillow. Returns `Batches`, whose `class_names` and `file_paths` say what they hold. format: no matter.
    """
    if color_mode not in CHANNELS:
        raise ValueError(
            f'`color_mode` must be one of {{"rgb", "rgba", "grayscale"}}. Received: color_mode={color_mode}'
        )
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    if not isinstance(image_size, (list, tuple)) or len(image_size) != 2:
        raise ValueError(
            f"Invalid `image_size` value. Expected a tuple of 2 integers. Received: image_size={image_size}"
        )
    if interpolation not in IMAGE_INTERPOLATIONS:
        raise ValueError(
            f"Argument `interpolation` should be one of {IMAGE_INTERPOLATIONS}. Received: interpolation={interpolation}"
        )
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("Only one of `pad_to_aspect_ratio`, `crop_to_aspect_ratio` can be set to `True`.")

    def read(path: str) -> Array:
        from graphc import ops  # texts need none of it

        pixels = img_to_array(load_img(path, color_mode), data_format, "float32")
        resized: Array = ops.image.resize(
            pixels, tuple(image_size), interpolation=interpolation, data_format=data_format,
            crop_to_aspect_ratio=crop_to_aspect_ratio, pad_to_aspect_ratio=pad_to_aspect_ratio,
        )  # fmt: skip
        return resized

    files = _found(directory, labels, label_mode, class_names, IMAGE_FORMATS, shuffle, seed, follow_links, verbose)
    return _subsets(files, read, batch_size, validation_split, subset, seed)


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches (texts (n,) as an array of str, labels) of the .txt files below `directory`.

    max_length: characters that are kept of a text. The other arguments are those of `image_dataset_from_directory`.
    """

    def read(path: str) -> Array:
        text = np.empty((), object)
        text[()] = Path(path).read_text(encoding="utf-8")[:max_length]
        return text

    files = _found(directory, labels, label_mode, class_names, (".txt",), shuffle, seed, follow_links, verbose)
    return _subsets(files, read, batch_size, validation_split, subset, seed)


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Batches (samples float32 (n, length, channels) in [-1, 1), labels) of the 16-bit .wav files below `directory`.

    sampling_rate: what every file must have, in Hz; nothing is resampled. output_sequence_length: samples are cut or
    padded with 0 to it; None: to the longest of the batch. The other arguments are those of
    `image_dataset_from_directory`.
    """
    if ragged and output_sequence_length is not None:
        raise ValueError("Cannot set both `ragged` and `output_sequence_length`")
    if ragged:
        raise ValueError("`ragged=True` cannot be used: graphc has no ragged tensors. Batches are padded without it.")
    if sampling_rate is not None and not isinstance(sampling_rate, int):
        raise ValueError(f"`sampling_rate` should have an integer value. Received: sampling_rate={sampling_rate}")
    if sampling_rate is not None and sampling_rate <= 0:
        raise ValueError(f"`sampling_rate` should be higher than 0. Received: sampling_rate={sampling_rate}")

    def read(path: str) -> Array:
        return read_wav(path, sampling_rate, output_sequence_length)

    files = _found(directory, labels, label_mode, class_names, (".wav",), shuffle, seed, follow_links, verbose)
    return _subsets(files, read, batch_size, validation_split, subset, seed, stacked)


def _found(
    directory: Any,
    labels: Any,
    label_mode: str | None,
    class_names: Sequence[str] | None,
    formats: tuple[str, ...],
    shuffle: bool,
    seed: int | None,
    follow_links: bool,
    verbose: bool,
) -> Files:
    """The files of these formats, shuffled as Keras does."""
    if label_mode not in LABEL_MODES:
        raise ValueError(
            f'`label_mode` argument must be one of "int", "categorical", "binary", or None. Received: '
            f"label_mode={label_mode}"
        )
    if labels is None or label_mode is None:
        labels, label_mode = None, None
    if labels != "inferred" and class_names is not None:
        raise ValueError(
            f'You can only pass `class_names` if `labels="inferred"`. Received: labels={labels}, and '
            f"class_names={class_names}"
        )
    names = _classes(Path(directory), class_names) if labels == "inferred" else [""]
    groups = [_files_below(Path(directory) / name, formats, follow_links) for name in names]
    paths = [path for group in groups for path in group]
    found = _labels(labels, groups)
    if isinstance(labels, (list, tuple)):
        names = [str(label) for label in sorted(set(labels))]
    if found is not None and len(found) != len(paths):
        raise ValueError(
            "Expected the lengths of `labels` to match the number of files in the target directory. len(labels) is "
            f"{len(found)} while we found {len(paths)} files in directory {directory}."
        )
    if label_mode == "binary" and len(names) != 2:
        raise ValueError(
            f'When passing `label_mode="binary"`, there must be exactly 2 class_names. Received: class_names={names}'
        )
    if verbose:
        classes = "" if found is None else f" belonging to {len(names)} classes"
        print_message(f"Found {len(paths)} files{classes}.")
    order_seed = int(np.random.randint(10**6)) if seed is None else seed
    if shuffle:
        order = np.arange(len(paths))
        np.random.RandomState(order_seed).shuffle(order)
        paths, found = [paths[index] for index in order], None if found is None else found[order]
    return Files(paths, found, None if labels is None else names, label_mode, shuffle, order_seed)


def _classes(directory: Path, class_names: Sequence[str] | None) -> list[str]:
    folders = sorted(entry.name for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if class_names is None:
        return folders
    if not set(class_names) <= set(folders):
        raise ValueError(
            "The `class_names` passed did not match the names of the subdirectories of the target directory. Expected: "
            f"{folders} (or a subset of it), but received: class_names={class_names}"
        )
    return list(class_names)


def _labels(labels: Any, groups: list[list[str]]) -> Array | None:
    if labels is None:
        return None
    if isinstance(labels, str):
        return np.repeat(np.arange(len(groups), dtype=np.int32), [len(group) for group in groups])
    if not isinstance(labels, (list, tuple)):
        raise ValueError(
            '`labels` argument should be "inferred", None, or a list/tuple of integer labels, of the same size as the '
            f"number of files in the target directory. Received: labels={labels}"
        )
    return np.asarray(labels, np.int32)


def _files_below(directory: Path, formats: tuple[str, ...], follow_links: bool) -> list[str]:
    return [
        os.path.join(root, name)
        for root, _, names in sorted(os.walk(directory, followlinks=follow_links))
        for name in sorted(names)
        if name.lower().endswith(formats)
    ]


def _subsets(
    files: Files,
    read: Callable[[str], Any],
    batch_size: int | None,
    validation_split: float | None,
    subset: str | None,
    seed: int | None,
    join: Join = np.stack,
) -> Any:
    """The files that are asked for, as batches; two of them for the subset "both"."""
    _check_split(validation_split, subset, files.is_shuffled, seed)
    held_out = int((validation_split or 0) * len(files.paths))
    cut = len(files.paths) - held_out
    parts = {
        "training": files.part(0, cut, files.is_shuffled),
        "validation": files.part(cut, None, files.is_shuffled and subset != "both"),
    }
    wanted = list(parts) if subset == "both" else [subset] if subset else []
    for name in wanted:
        print_message(f"Using {len(parts[name].paths)} files for {name}.")
    chosen = [parts[name] for name in wanted] or [files]
    if not all(part.paths for part in chosen):
        raise ValueError("No files of a fitting format were found in the directory (or its part)")
    made = [part.batches(read, batch_size, join) for part in chosen]
    return made if subset == "both" else made[0]


def _check_split(validation_split: float | None, subset: str | None, shuffle: bool, seed: int | None) -> None:
    if validation_split and not 0 < validation_split < 1:
        raise ValueError(f"`validation_split` must be between 0 and 1, received: {validation_split}")
    if bool(validation_split) != bool(subset):
        raise ValueError("If `subset` is set, `validation_split` must be set, and inversely.")
    if subset not in ("training", "validation", "both", None):
        raise ValueError(f'`subset` must be either "training", "validation" or "both", received: {subset}')
    if validation_split and shuffle and seed is None:
        raise ValueError(
            "If using `validation_split` and shuffling the data, you must provide a `seed` argument, to make sure that "
            "there is no overlap between the training and validation subset."
        )
