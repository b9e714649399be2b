"""Fourier transforms. Complex tensors are pairs (real part, imaginary part).

In a graph a transform is a product with the matrix of its waves: the sizes of spectrograms, not of long signals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.ops.arrangement import extract_sequences
from graphc.ops.dispatch import builder, convert, float_type, op, op_with
from graphc.ops.elementwise import add, divide, greater, multiply, negative, subtract, where
from graphc.ops.shapes import expand_dims, moveaxis, pad, reshape
from graphc.primitives import functions as fn
from graphc.tensor import Tensor

__all__ = ["fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft", "view_as_complex", "view_as_real"]


def _pair(x: Any) -> tuple[Any, Any]:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(f"Input `x` should be a tuple of two tensors - real and imaginary. Received: x={x}")
    real, imag = (convert(part) for part in x)
    if [int(d) for d in real.shape] != [int(d) for d in imag.shape]:
        raise ValueError(
            "Input `x` should be a tuple of two tensors - real and imaginary. Both the real and imaginary parts should "
            f"have the same shape. Received: x[0].shape = {real.shape}, x[1].shape = {imag.shape}"
        )
    for part in (real, imag):
        if "float" not in part.dtype:
            raise ValueError(f"At least one tensor in input `x` is not of type float. Received: x={x}.")
    return real, imag


def _parts(x: Array, like: Any) -> tuple[Array, Array]:
    kind = np.asarray(like).dtype
    return np.asarray(x.real, kind), np.asarray(x.imag, kind)


def _joined(x: Any) -> Array:
    real, imag = x
    return np.asarray(real) + 1j * np.asarray(imag)


def _waves(size: int, count: int, dtype: str) -> tuple[Any, Any]:
    """cos and sin [size, count] of 2 pi times place times frequency / size; the product is reduced exactly."""
    angle = 2 * np.pi * (np.arange(size)[:, None] * np.arange(count)[None, :] % size) / size
    return convert(np.cos(angle).astype(dtype)), convert(np.sin(angle).astype(dtype))


def _times(x: Any, matrix: Any) -> Any:
    return Tensor(fn.dot(builder(), x.value, matrix.value, ((x.ndim - 1,), (0,))))


def _turned(real: Any, imag: Any, axis: int, inverse: bool = False) -> tuple[Any, Any]:
    """The transform along an axis, without any scale."""
    real, imag = (moveaxis(part, axis, -1) for part in (real, imag))
    size = int(real.shape[-1])
    cosine, sine = _waves(size, size, real.dtype)
    sine = negative(sine) if inverse else sine
    parts = add(_times(real, cosine), _times(imag, sine)), subtract(_times(imag, cosine), _times(real, sine))
    return moveaxis(parts[0], -1, axis), moveaxis(parts[1], -1, axis)


@op_with(lambda x: _parts(np.fft.fft(_joined(x)), x[0]))
def fft(x: Any) -> Any:
    """The Fourier transform along the last axis of (real, imaginary)."""
    return _turned(*_pair(x), -1)


@op_with(lambda x: _parts(np.fft.fft2(_joined(x)), x[0]))
def fft2(x: Any) -> Any:
    """The Fourier transform over the last two axes of (real, imaginary)."""
    return _turned(*_turned(*_pair(x), -1), -2)


@op_with(lambda x: _parts(np.fft.ifft2(_joined(x)), x[0]))
def ifft2(x: Any) -> Any:
    """The inverse of `fft2`."""
    real, imag = _turned(*_turned(*_pair(x), -1, inverse=True), -2, inverse=True)
    scale = 1.0 / (int(real.shape[-1]) * int(real.shape[-2]))
    return multiply(real, scale), multiply(imag, scale)


def _fitted(x: Any, size: int) -> Any:
    """The last axis cut, or filled up with zeros."""
    have = int(x.shape[-1])
    if have >= size:
        return x[..., :size]
    return pad(x, [*[(0, 0)] * (x.ndim - 1), (0, size - have)])


def _rfft_arrays(x: Any, fft_length: int | None = None) -> tuple[Array, Array]:
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(float_type(x))
    return _parts(np.fft.rfft(x, fft_length), x)


@op_with(_rfft_arrays)
def rfft(x: Any, fft_length: int | None = None) -> Any:
    """(real, imaginary) of the first half of the Fourier transform [.., fft_length // 2 + 1] of real numbers."""
    x = convert(x, float_type(x))
    size = int(x.shape[-1]) if fft_length is None else fft_length
    cosine, sine = _waves(size, size // 2 + 1, x.dtype)
    x = _fitted(x, size)
    return _times(x, cosine), negative(_times(x, sine))


@op_with(lambda x, fft_length=None: np.asarray(np.fft.irfft(_joined(x), fft_length), np.asarray(x[0]).dtype))
def irfft(x: Any, fft_length: int | None = None) -> Any:
    """The real numbers [.., fft_length] whose `rfft` is (real, imaginary); by default 2 * (frequencies - 1)."""
    real, imag = _pair(x)
    size = 2 * (int(real.shape[-1]) - 1) if fft_length is None else fft_length
    half = size // 2 + 1
    real, imag = _fitted(real, half), _fitted(imag, half)
    # every frequency but the first and (of even sizes) the last stands for its mirror image too
    twice = np.full(half, 2 / size)
    twice[0] /= 2
    twice[-1] /= 2 if size % 2 == 0 else 1
    cosine, sine = _waves(size, half, real.dtype)
    weights = convert(twice.astype(real.dtype))
    waves = (moveaxis(part, 0, 1) for part in (cosine, sine))
    return subtract(*(_times(multiply(part, weights), wave) for part, wave in zip((real, imag), waves, strict=True)))


# ---- short-time transforms


def _window(window: Any, sequence_length: int, fft_length: int, dtype: str) -> Any:
    """The window, centred in fft_length; None is all ones."""
    before = (fft_length - sequence_length) // 2
    if window is None:
        return convert(np.ones(fft_length, dtype))
    if isinstance(window, str):
        shares = {"hann": 0.5, "hamming": 0.54}
        if window not in shares:
            raise ValueError(
                f'If a string is passed to `window`, it must be one of `"hann"`, `"hamming"`. Received: window={window}'
            )
        turn = np.cos(2 * np.pi * np.arange(sequence_length) / sequence_length)
        window = (shares[window] - (1 - shares[window]) * turn).astype(dtype)
    shape = convert(window, dtype)
    if shape.ndim != 1 or int(shape.shape[0]) != sequence_length:
        raise ValueError(
            f"The shape of `window` must be equal to [sequence_length]. Received: window shape={shape.shape}"
        )
    return pad(shape, [(before, fft_length - sequence_length - before)])


@op
def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> Any:
    """(real, imaginary) [.., pieces, fft_length // 2 + 1] of the transforms of windowed pieces of signals[.., time].

    window: "hann", "hamming", a vector of sequence_length, or None. center: the signal is mirrored at its ends, so that
    pieces lie around their places.
    """
    x = convert(x)
    if x.dtype not in ("float32", "float64"):
        raise TypeError(f"Invalid input type. Expected `float32` or `float64`. Received: input type={x.dtype}")
    if fft_length < sequence_length:
        raise ValueError(
            "`fft_length` must equal or larger than `sequence_length`. Received: "
            f"sequence_length={sequence_length}, fft_length={fft_length}"
        )
    if center:
        x = pad(x, [*[(0, 0)] * (x.ndim - 1), (fft_length // 2, fft_length // 2)], mode="reflect")
    pieces = extract_sequences(x, fft_length, sequence_stride)
    return rfft(multiply(pieces, _window(window, sequence_length, fft_length, x.dtype)))


@op
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """The signals[.., time] whose `stft` is (real, imaginary): windowed pieces added up, divided by the squared windows
    that overlap (without a window, by the stride)."""
    real, imag = _pair(x)
    if real.ndim < 2:
        raise ValueError(f"Input `x` must have at least 2 dimensions. Received shape: {real.shape}")
    shape = _window(window, sequence_length, fft_length, real.dtype)
    pieces = multiply(irfft((real, imag), fft_length), shape)
    count = int(pieces.shape[-2])
    total = fft_length + sequence_stride * (count - 1)
    weight = _overlapped(expand_dims(multiply(shape, shape), 0) + np.zeros((count, 1), real.dtype), sequence_stride)
    signal = divide(_overlapped(pieces, sequence_stride), where(greater(weight, 1e-10), weight, 1.0))
    if window is None:
        signal = multiply(signal, fft_length / sequence_stride)  # as in Keras: pieces are added, not averaged
    start = fft_length // 2 if center else 0
    stop = start + length if length is not None else total - fft_length // 2 if center else total
    return signal[..., start : min(stop, total)]


def _overlapped(pieces: Any, stride: int) -> Any:
    """Pieces[.., count, size] added up where they come, `stride` apart."""
    count, size = int(pieces.shape[-2]), int(pieces.shape[-1])
    total = size + stride * (count - 1)
    flat = reshape(pieces, (*pieces.shape[:-2], count * size))
    places = (np.arange(count)[:, None] * stride + np.arange(size)).reshape(-1)
    lead = flat.ndim - 1
    line = moveaxis(flat, -1, 0)
    ids = convert(places.astype("int32"))
    made: Any = Tensor(fn.scatter_add(builder(), (total, *line.shape[1:]), ids.value, line.value))
    return moveaxis(made, 0, lead)


# ---- complex numbers, which only arrays can be


def view_as_complex(x: Any) -> Array:
    """x[.., 2] as complex numbers, on arrays only."""
    x = _only_array("view_as_complex", x)
    return np.asarray(x[..., 0] + 1j * x[..., 1], np.result_type(x.dtype, np.complex64))


def view_as_real(x: Any) -> Array:
    """Complex numbers as [.., 2], on arrays only."""
    x = _only_array("view_as_real", x)
    return np.stack([x.real, x.imag], -1)


def _only_array(name: str, x: Any) -> Array:
    if not isinstance(x, (np.ndarray, np.generic, list, tuple)):
        raise NotImplementedError(f"{name}: tensors of a graph are real; use pairs (real, imaginary)")
    return np.asarray(x)
