"""Seeded damage to bytes, of the kinds that disks, networks and strangers do."""

from __future__ import annotations

import random
from collections.abc import Callable

HEAD = 2048  # bytes at either end, where formats keep what matters most
BLOCK = 4096


def mutated(data: bytes, kind: str, rng: random.Random) -> bytes:
    """The bytes with one damage of a kind; an empty file stays empty."""
    return bytes(KINDS[kind](bytearray(data), rng)) if data else data


def _place(data: bytearray, rng: random.Random) -> int:
    """Half of the time near an end of the file, else anywhere."""
    if rng.random() < 0.5:
        near = rng.randrange(min(HEAD, len(data)))
        return near if rng.random() < 0.7 else len(data) - 1 - near
    return rng.randrange(len(data))


def _length(rng: random.Random) -> int:
    return int(BLOCK ** rng.random())


def _flip_bit(data: bytearray, rng: random.Random) -> bytearray:
    data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def _other_byte(data: bytearray, rng: random.Random) -> bytearray:
    data[_place(data, rng)] ^= rng.randrange(1, 256)
    return data


def _flip_run(data: bytearray, rng: random.Random) -> bytearray:
    at = _place(data, rng)
    for place in range(at, min(len(data), at + rng.randint(2, 64))):
        data[place] ^= rng.randrange(256)
    return data


def _extreme(data: bytearray, rng: random.Random) -> bytearray:
    """A number at its bounds: sizes and counts are 1, 2, 4 or 8 bytes."""
    at, width = _place(data, rng), rng.choice([1, 2, 4, 8])
    value = rng.choice([b"\xff" * width, b"\0" * width, b"\x7f" + b"\xff" * (width - 1), b"\x80" + b"\0" * (width - 1)])
    data[at : at + width] = value
    return data


def _truncate(data: bytearray, rng: random.Random) -> bytearray:
    return data[: _place(data, rng)]


def _insert(data: bytearray, rng: random.Random) -> bytearray:
    at = _place(data, rng)
    data[at:at] = rng.randbytes(_length(rng))
    return data


def _delete(data: bytearray, rng: random.Random) -> bytearray:
    at = _place(data, rng)
    del data[at : at + _length(rng)]
    return data


def _zero(data: bytearray, rng: random.Random) -> bytearray:
    at = _place(data, rng)
    end = min(len(data), at + _length(rng))
    data[at:end] = bytes(end - at)
    return data


def _duplicate(data: bytearray, rng: random.Random) -> bytearray:
    at = _place(data, rng)
    data[at:at] = data[at : at + _length(rng)]
    return data


def _swap(data: bytearray, rng: random.Random) -> bytearray:
    a, b = (rng.randrange(min(HEAD, len(data))) for _ in range(2))
    data[a], data[b] = data[b], data[a]
    return data


KINDS: dict[str, Callable[[bytearray, random.Random], bytearray]] = {
    "flip a bit": _flip_bit,
    "another byte": _other_byte,
    "flip a run": _flip_run,
    "extreme number": _extreme,
    "truncate": _truncate,
    "insert": _insert,
    "delete": _delete,
    "zero a block": _zero,
    "duplicate a block": _duplicate,
    "swap header bytes": _swap,
}
