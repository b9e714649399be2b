"""Hashes of bytes that stay the same for ever, those TensorFlow's string ops use, so that bins agree with Keras's.

FarmHash Fingerprint64 (Geoff Pike, Google 2014) and the keyed SipHash-2-4 (Aumasson and Bernstein 2012); numbers are
unsigned and have 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

WORD = 0xFFFFFFFFFFFFFFFF
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
CAT = 0xC6A4A7935BD1E995
SIP_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)

Pair = tuple[int, int]


def fingerprint(text: bytes) -> int:
    """FarmHash Fingerprint64."""
    size = len(text)
    if size > 64:
        return _long(text)
    if size > 32:
        return _up_to_64(text)
    return _up_to_32(text) if size > 16 else _up_to_16(text)


def join(first: int, second: int) -> int:
    """The fingerprint of two fingerprints in this order."""
    mixed = (first ^ CAT ^ (_shift_mix(second * CAT & WORD) * CAT)) & WORD
    return _shift_mix(_shift_mix(mixed * CAT & WORD) * CAT & WORD)


def _word(text: bytes, at: int, size: int = 8) -> int:
    """The little-endian number at an offset; negative offsets count from the end."""
    start = at % len(text)
    return int.from_bytes(text[start : start + size], "little")


def _rotate_right(x: int, by: int) -> int:
    x &= WORD
    return (x >> by | x << (64 - by)) & WORD


def _shift_mix(x: int) -> int:
    return x ^ x >> 47


def _mix(first: int, second: int, multiplier: int) -> int:
    a = _shift_mix(((first ^ second) & WORD) * multiplier & WORD)
    b = _shift_mix(((second ^ a) & WORD) * multiplier & WORD)
    return b * multiplier & WORD


def _up_to_16(text: bytes) -> int:
    size = len(text)
    multiplier = K2 + 2 * size
    if size >= 8:
        a, b = _word(text, 0) + K2, _word(text, -8)
        return _mix(_rotate_right(b, 37) * multiplier + a, (_rotate_right(a, 25) + b) * multiplier, multiplier)
    if size >= 4:
        return _mix(size + (_word(text, 0, 4) << 3), _word(text, -4, 4), multiplier)
    if size:
        y, z = text[0] + (text[size >> 1] << 8), size + (text[-1] << 2)
        return _shift_mix((y * K2 ^ z * K0) & WORD) * K2 & WORD
    return K2


def _up_to_32(text: bytes) -> int:
    multiplier = K2 + 2 * len(text)
    a, b = _word(text, 0) * K1, _word(text, 8)
    c, d = _word(text, -8) * multiplier, _word(text, -16) * K2
    return _mix(_rotate_right(a + b, 43) + _rotate_right(c, 30) + d, a + _rotate_right(b + K2, 18) + c, multiplier)


def _up_to_64(text: bytes) -> int:
    multiplier = K2 + 2 * len(text)
    a, b = _word(text, 0) * K2, _word(text, 8)
    c, d = _word(text, -8) * multiplier, _word(text, -16) * K2
    y = _rotate_right(a + b, 43) + _rotate_right(c, 30) + d
    z = _mix(y, a + _rotate_right(b + K2, 18) + c, multiplier)
    e, f = _word(text, 16) * multiplier, _word(text, 24)
    g, h = (y + _word(text, -32)) * multiplier, (z + _word(text, -24)) * multiplier
    return _mix(_rotate_right(e + f, 43) + _rotate_right(g, 30) + h, e + _rotate_right(f + a, 18) + g, multiplier)


def _long(text: bytes) -> int:
    last = (len(text) - 1) & 63
    y = 81 * K1 + 113
    x, z, v, w = 81 * K2 + _word(text, 0), _shift_mix((y * K2 + 113) & WORD) * K2, (0, 0), (0, 0)
    for start in range(0, len(text) - 1 - last, 64):
        x, y, z, v, w = _round(text, start, x, y, z, v, w, K1, 1, 0)
    multiplier = K1 + ((z & 0xFF) << 1)
    x, y, z, v, w = _round(text, len(text) - 64, x, y, z, v, (w[0] + last, w[1]), multiplier, 9, 1)
    return _mix(
        _mix(v[0], w[0], multiplier) + _shift_mix(y & WORD) * K0 + z, _mix(v[1], w[1], multiplier) + x, multiplier
    )


def _round(
    text: bytes, at: int, x: int, y: int, z: int, v: Pair, w: Pair, multiplier: int, weight: int, is_last: int
) -> tuple[int, int, int, Pair, Pair]:
    """Mix in 64 bytes; the last round weighs what it carries differently."""
    if is_last:
        v = (v[0] + w[0], v[1])
        w = (w[0] + v[0], w[1])
    x = _rotate_right(x + y + v[0] + _word(text, at + 8), 37) * multiplier & WORD
    y = _rotate_right(y + v[1] + _word(text, at + 48), 42) * multiplier
    x ^= w[1] * weight & WORD
    y += v[0] * weight + _word(text, at + 40)
    z = _rotate_right(z + w[0], 33) * multiplier
    v = _weak(text, at, v[1] * multiplier, x + w[0])
    w = _weak(text, at + 32, z + w[1], y + _word(text, at + 16))
    return z & WORD, y & WORD, x & WORD, v, w


def _weak(text: bytes, at: int, a: int, b: int) -> Pair:
    first, second, third, fourth = (_word(text, at + offset) for offset in (0, 8, 16, 24))
    a += first
    b = _rotate_right(b + a + fourth, 21)
    total = a + second + third
    return (total + fourth) & WORD, (b + _rotate_right(total, 44) + a) & WORD


def keyed_fingerprint(text: bytes, key: Pair) -> int:
    """SipHash-2-4 under a key of two numbers."""
    state = [start ^ key[index % 2] & WORD for index, start in enumerate(SIP_START)]
    for word in _sip_words(text):
        state[3] ^= word
        state = _sip_rounds(state, 2)
        state[0] ^= word
    state[2] ^= 0xFF
    *_, result = accumulate(_sip_rounds(state, 4), int.__xor__)
    return result


def _sip_words(text: bytes) -> Iterator[int]:
    padded = text + bytes(-(len(text) + 1) % 8) + bytes([len(text) & 0xFF])
    return (_word(padded, start) for start in range(0, len(padded), 8))


def _sip_rounds(state: list[int], count: int) -> list[int]:
    a, b, c, d = state
    for _ in range(count):
        a, c = (a + b) & WORD, (c + d) & WORD
        b, d = _rotate_left(b, 13) ^ a, _rotate_left(d, 16) ^ c
        a = _rotate_left(a, 32)
        c, a = (c + b) & WORD, (a + d) & WORD
        b, d = _rotate_left(b, 17) ^ c, _rotate_left(d, 21) ^ a
        c = _rotate_left(c, 32)
    return [a, b, c, d]


def _rotate_left(x: int, by: int) -> int:
    return _rotate_right(x, 64 - by)
