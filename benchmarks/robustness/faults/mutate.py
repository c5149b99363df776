"""Seeded damage to bytes, of the kinds that disks, networks and strangers do."""

from __future__ import annotations

import random
from collections.abc import Callable

HEAD = 2048  # bytes at either end, where formats keep what matters most
BLOCK = 4096


def mutated(data: bytes, kind: str, rng: random.Random) -> bytes:
    """Return the bytes with one damage of a kind; an empty file stays empty."""
    if not data:
        return data
    at, whole = _place(data, rng), bytearray(data)
    first, last, new = KINDS[kind](whole, at, rng)
    whole[first:last] = new
    return bytes(whole)


def _place(data: bytes, rng: random.Random) -> int:
    """Return a place that is near an end of the file half of the time, else anywhere."""
    if rng.random() < 0.5:
        near = rng.randrange(min(HEAD, len(data)))
        return near if rng.random() < 0.7 else len(data) - 1 - near
    return rng.randrange(len(data))


def _length(rng: random.Random) -> int:
    return int(BLOCK ** rng.random())


# What is replaced, from where to where, and by what.
Damage = tuple[int, int, bytes]


def _flip_bit(data: bytearray, at: int, rng: random.Random) -> Damage:
    return at, at + 1, bytes([data[at] ^ 1 << rng.randrange(8)])


def _other_byte(data: bytearray, at: int, rng: random.Random) -> Damage:
    return at, at + 1, bytes([data[at] ^ rng.randrange(1, 256)])


def _flip_run(data: bytearray, at: int, rng: random.Random) -> Damage:
    run = data[at : at + rng.randint(2, 64)]
    return at, at + len(run), bytes(byte ^ rng.randrange(256) for byte in run)


def _extreme(data: bytearray, at: int, rng: random.Random) -> Damage:
    """A number at its bounds: sizes and counts are 1, 2, 4 or 8 bytes."""
    width = rng.choice([1, 2, 4, 8])
    bounds = [b"\xff" * width, b"\0" * width, b"\x7f" + b"\xff" * (width - 1), b"\x80" + b"\0" * (width - 1)]
    return at, at + width, rng.choice(bounds)


def _zero(data: bytearray, at: int, rng: random.Random) -> Damage:
    end = min(len(data), at + _length(rng))
    return at, end, bytes(end - at)


def _swap(data: bytearray, at: int, rng: random.Random) -> Damage:
    a, b = sorted(rng.randrange(min(HEAD, len(data))) for _ in range(2))
    return a, b + 1, bytes([data[b], *data[a + 1 : b], data[a]]) if a < b else bytes([data[a]])


KINDS: dict[str, Callable[[bytearray, int, random.Random], Damage]] = {
    "flip a bit": _flip_bit,
    "another byte": _other_byte,
    "flip a run": _flip_run,
    "extreme number": _extreme,
    "truncate": lambda data, at, rng: (at, len(data), b""),
    "insert": lambda data, at, rng: (at, at, rng.randbytes(_length(rng))),
    "delete": lambda data, at, rng: (at, at + _length(rng), b""),
    "zero a block": _zero,
    "duplicate a block": lambda data, at, rng: (at, at, bytes(data[at : at + _length(rng)])),
    "swap header bytes": _swap,
}
