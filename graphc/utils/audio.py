"""Sound files as arrays."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def read_wav(path: str, sampling_rate: int | None = None, length: int | None = None) -> Array:
    """The samples of a WAV file, float32 in [-1, 1), (length, channels); cut, or padded with 0, to a given length.

    Raises ValueError for a file that is not 16-bit PCM, or of another rate (in Hz) than the one that is wanted.
    """
    try:
        with wave.open(path, "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            content = file.readframes(file.getnframes() if length is None else length)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: not a WAV file with PCM samples: {error}") from None
    if width != 2:
        raise ValueError(f"{path}: wanted samples of 16 bits, got {8 * width}. Convert the file to 16-bit PCM")
    if sampling_rate not in (None, rate):
        raise ValueError(
            f"{path}: wanted a sampling rate of {sampling_rate} Hz, got {rate}. graphc does not resample: convert the "
            "file, or leave `sampling_rate` out"
        )
    samples = np.frombuffer(content, "<i2").reshape(-1, channels).astype(np.float32) / np.float32(32768)
    return samples if length is None else padded(samples, length)


def padded(samples: Array, length: int) -> Array:
    """Samples (n, channels) with zeros behind them: (length, channels)."""
    return np.pad(samples, ((0, length - len(samples)), (0, 0)))


def stacked(sounds: Sequence[Array]) -> Array:
    """Sounds (n_i, channels) as one array (count, longest, channels). ValueError if the channels differ."""
    longest = max(map(len, sounds))
    if len({sound.shape[1] for sound in sounds}) > 1:
        raise ValueError(
            f"The sound files of a batch have different numbers of channels: {[sound.shape[1] for sound in sounds]}"
        )
    return np.stack([padded(sound, longest) for sound in sounds])
