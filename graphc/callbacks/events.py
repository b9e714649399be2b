"""Event files of TensorBoard: records of protocol buffers, each framed by its length and checksums.

The messages are those of tensorflow/core/util/event.proto and framework/summary.proto, of which only the fields used
here are known to this file; scalars, histograms and images are written as `tf.summary` of TensorFlow 2 writes them.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

_files = itertools.count()

# Of tensorflow/core/framework/types.proto.
DT_FLOAT, DT_DOUBLE, DT_STRING = 1, 2, 7
# Of the plugins' data classes.
SCALAR, TENSOR, BLOB = 1, 2, 3
BUCKETS = 30


class EventWriter:
    """A new event file in a folder, which is made if it is missing. Events are on disk after `flush` and `close`."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        host, process = socket.gethostname(), os.getpid()
        name = f"events.out.tfevents.{int(time.time())}.{host}.{process}.{next(_files)}.v2"
        self.path = Path(folder) / name
        self._file: IO[bytes] = self.path.open("xb")
        self._write(text_field(3, "brain.Event:2"))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """A number, as float32."""
        tensor = varint_field(1, DT_FLOAT) + bytes_field(2, b"") + bytes_field(5, struct.pack("<f", value))
        self._summary(tag, tensor, "scalars", SCALAR, step)

    def histogram(self, tag: str, values: Any, step: int) -> None:
        """How often values fall into each of 30 intervals between the smallest and the largest."""
        flat = np.asarray(values, np.float64).ravel()
        counts, edges = np.histogram(flat[np.isfinite(flat)], BUCKETS)
        table = np.stack([edges[:-1], edges[1:], counts], axis=1)
        tensor = varint_field(1, DT_DOUBLE) + bytes_field(2, shape_of(table.shape)) + bytes_field(4, table.tobytes())
        self._summary(tag, tensor, "histograms", TENSOR, step)

    def image(self, tag: str, images: Any, step: int) -> None:
        """Pictures of [0, 1]: (count, height, width, 1, 3 or 4)."""
        height, width = images.shape[1:3]
        texts = [str(width).encode(), str(height).encode(), *map(png, images)]
        tensor = varint_field(1, DT_STRING) + bytes_field(2, shape_of((len(texts),)))
        tensor += b"".join(bytes_field(8, text) for text in texts)
        self._summary(tag, tensor, "images", BLOB, step)

    def text(self, tag: str, text: str, plugin: str, step: int) -> None:
        """A text for a plugin of TensorBoard."""
        tensor = varint_field(1, DT_STRING) + bytes_field(2, b"") + text_field(8, text)
        self._summary(tag, tensor, plugin, 0, step, content=b"1")

    def _summary(self, tag: str, tensor: bytes, plugin: str, kind: int, step: int, content: bytes = b"") -> None:
        about = bytes_field(1, text_field(1, plugin) + (bytes_field(2, content) if content else b""))
        about += varint_field(4, kind) if kind else b""
        value = text_field(1, tag) + bytes_field(8, tensor) + bytes_field(9, about)
        self._write(varint_field(2, step) + bytes_field(5, bytes_field(1, value)))

    def _write(self, event: bytes) -> None:
        event = double_field(1, time.time()) + event
        length = struct.pack("<Q", len(event))
        self._file.write(length + masked_crc(length) + event + masked_crc(event))

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """The last call."""
        self._file.close()


# ---- protocol buffers


def varint(number: int) -> bytes:
    """A number in base 128, the low digits first, all but the last with the high bit set."""
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def varint_field(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def double_field(field: int, number: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", number)


def bytes_field(field: int, value: bytes) -> bytes:
    """Bytes, a message, or packed numbers."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def text_field(field: int, text: str) -> bytes:
    return bytes_field(field, text.encode())


def shape_of(sizes: tuple[int, ...]) -> bytes:
    """A TensorShapeProto."""
    return b"".join(bytes_field(2, varint_field(1, size)) for size in sizes)


# ---- checksums


@functools.cache
def _table() -> tuple[int, ...]:
    """What each byte does to a CRC-32C (polynomial 0x1EDC6F41, reflected)."""
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        rows.append(byte)
    return tuple(rows)


def crc32c(data: bytes) -> int:
    """The CRC-32C of RFC 3720."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> bytes:
    """The checksum as record files keep it: turned by 15 bits, plus a constant."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


# ---- pictures


def png(image: Any) -> bytes:
    """A picture of [0, 1] as PNG: (height, width, 1, 3 or 4)."""
    height, width, channels = image.shape
    pixels = (np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8).reshape(height, -1)
    rows = np.insert(pixels, 0, 0, axis=1).tobytes()  # every row begins with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
