"""Sound as pictures: how strong which frequency is when."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc import config, initializers, ops
from graphc.layers.input_spec import InputSpec
from graphc.layers.layer import Layer
from graphc.layers.preprocessing.feature import FeatureLayer
from graphc.variables import Variable

Array = NDArray[Any]
MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class MelSpectrogram(FeatureLayer):
    """Samples (time,) or (n, time) as (.., num_mel_bins, pieces): the power in bands that are equally wide to the ear.

    Pieces of `sequence_length` samples (default: `fft_length`) start every `sequence_stride` samples. Frequencies are
    in Hz; power_to_db: in decibel relative to `ref_power`, at most `top_db` below the strongest of the batch.
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: str = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fft_length = fft_length
        self.sequence_stride = sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.fft_length < self.sequence_length:
            raise ValueError(
                "`fft_length` must be greater than or equal to `sequence_length`. Received: "
                f"`sequence_length`={self.sequence_length}, `fft_length`={self.fft_length}."
            )
        self.window = window
        self.sampling_rate = sampling_rate
        self.num_mel_bins = num_mel_bins
        self.min_freq = min_freq
        self.max_freq = max_freq or sampling_rate // 2
        self.power_to_db = power_to_db
        self.top_db = top_db
        self.mag_exp = mag_exp
        self.min_power = min_power
        self.ref_power = ref_power

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype if self.compute_dtype == "float64" else "float32"
        real, imag = ops.stft(
            ops.cast(inputs, dtype), self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        power = ops.power(ops.sqrt(ops.square(real) + ops.square(imag)), self.mag_exp)
        bands = ops.matmul(power, self._bands().astype(dtype))
        pictures = ops.swapaxes(self._decibels(bands) if self.power_to_db else bands, -1, -2)
        return ops.cast(pictures, self.compute_dtype)

    def _decibels(self, power: Any) -> Any:
        reference = 10.0 * math.log10(max(abs(self.ref_power), self.min_power))
        levels = 10.0 * ops.log10(ops.maximum(power, self.min_power)) - reference
        return ops.maximum(levels, ops.max(levels) - self.top_db)

    def _bands(self) -> Array:
        """[frequencies, bands]: triangles on the mel scale that reach to the middles of their neighbours."""
        count = self.fft_length // 2 + 1
        at = _mel(np.linspace(0.0, self.sampling_rate / 2, count))[:, None]
        edges = np.linspace(_mel(np.float64(self.min_freq)), _mel(np.float64(self.max_freq)), self.num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        triangles: Array = np.maximum(0.0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))
        triangles[0] = 0.0  # the mean of the signal is no tone
        return triangles

    def get_config(self) -> dict[str, Any]:
        names = (
            "fft_length", "sequence_stride", "sequence_length", "window", "sampling_rate", "num_mel_bins", "min_freq",
            "max_freq", "power_to_db", "top_db", "mag_exp", "min_power", "ref_power",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _mel(hertz: Any) -> Any:
    """Frequencies on the mel scale, as HTK has it."""
    return 1127.0 * np.log1p(hertz / 700.0)


class STFTSpectrogram(Layer):
    """Samples (n, time, channels) as spectra of pieces, (n, pieces, channels * frequencies), by a convolution whose
    kernels begin as a Fourier transform and may be trained.

    mode: "log" (default) or plain "magnitude", "psd" (power), "angle", "real" or "imag" parts, or both: "stft".
    Pieces of `frame_length` start every `frame_step` (default: half of it). expand_dims: (n, pieces, frequencies,
    channels). channels_first: (n, channels, time) becomes (n, channels * frequencies, pieces), or with expand_dims (n,
    channels, pieces, frequencies).
    """

    real_kernel: Variable
    imag_kernel: Variable

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        _check_lengths(frame_length, frame_step, fft_length)
        if mode not in MODES:
            raise ValueError(f"Output mode is invalid, it must be one of {', '.join(MODES)}. Received: mode={mode}")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(
                f"Scaling is invalid, it must be `None`, 'density' or 'spectrum'. Received scaling={scaling}"
            )
        if padding not in ("valid", "same"):
            raise ValueError(f"Padding is invalid, it should be 'valid', 'same'. Received: padding={padding}")
        super().__init__(**kwargs)
        self.mode = mode
        self.frame_length = frame_length
        self.frame_step = frame_step
        self.fft_length = fft_length
        self.window = window
        self.periodic = periodic
        self.scaling = scaling
        self.padding = padding
        self.expand_dims = expand_dims
        self.data_format = config.image_data_format() if data_format is None else data_format
        self.input_spec = InputSpec(ndim=3)
        # before there are kernels, so that a mistake in `window` shows here
        self._parts = {
            part: initializers.STFT(part, window, scaling, periodic)
            for part, other in (("real", "imag"), ("imag", "real"))
            if mode != other
        }

    def build(self, input_shape: Any) -> None:
        length = self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))
        shape = (self.frame_length, 1, length // 2 + 1)
        for part, initializer in self._parts.items():
            setattr(self, f"{part}_kernel", self.add_weight(shape, initializer, name=f"{part}_kernel"))

    def call(self, inputs: Any) -> Any:
        if inputs.dtype not in ("float16", "float32", "float64"):
            raise TypeError(
                f"Invalid input type. Expected `float16`, `float32` or `float64`. Received: input type={inputs.dtype}"
            )
        is_first = self.data_format == "channels_first"
        samples = ops.swapaxes(inputs, 1, 2) if is_first else inputs
        spectra = [self._spectrum(samples[..., channel : channel + 1]) for channel in range(int(samples.shape[-1]))]
        if self.expand_dims:
            return ops.stack(spectra, 1 if is_first else -1)
        joined = ops.concatenate(spectra, -1)
        return ops.swapaxes(joined, 1, 2) if is_first else joined

    def _spectrum(self, samples: Any) -> Any:
        """(n, pieces, frequencies) of one channel (n, time, 1), in the mode."""
        step = self.frame_step or self.frame_length // 2
        parts = [
            ops.conv(
                samples, ops.cast(getattr(self, f"{part}_kernel"), samples.dtype), step, self.padding, "channels_last"
            )
            for part in self._parts
        ]
        if self.mode in ("real", "imag"):
            return parts[0]
        if self.mode == "stft":
            return ops.concatenate(parts, -1)
        return self._polar(*parts)

    def _polar(self, real: Any, imag: Any) -> Any:
        if self.mode == "angle":
            return ops.arctan2(imag, real)
        power = ops.square(real) + ops.square(imag)
        if self.mode == "psd":
            # all but the first and the last frequency stand for a negative one, too
            return power + ops.pad(power[..., 1:-1], ((0, 0), (0, 0), (1, 1)))
        magnitude = ops.sqrt(ops.maximum(power, config.epsilon()))
        return magnitude if self.mode == "magnitude" else ops.log(ops.maximum(magnitude, config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        names = (
            "mode", "frame_length", "frame_step", "fft_length", "window", "periodic", "scaling", "padding",
            "data_format", "expand_dims",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _check_lengths(frame_length: int, frame_step: int | None, fft_length: int | None) -> None:
    if frame_step is not None and not 1 <= frame_step <= frame_length:
        raise ValueError(
            "`frame_step` should be a positive integer not greater than `frame_length`. Received "
            f"frame_step={frame_step}, frame_length={frame_length}"
        )
    if fft_length is not None and fft_length < frame_length:
        raise ValueError(
            f"`fft_length` should be not less than `frame_length`. Received fft_length={fft_length}, "
            f"frame_length={frame_length}"
        )
    if fft_length is not None and fft_length & (fft_length - 1):
        warnings.warn(
            f"`fft_length` is recommended to be a power of two. Received fft_length={fft_length}", stacklevel=3
        )
