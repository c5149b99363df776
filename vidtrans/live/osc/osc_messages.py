"""Bytes of OSC 1.0: messages and bundles. Parsing uses no recursion, and bounded time and memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

BUNDLE = b"#bundle\0"
AT_ONCE = 1  # the time tag of a bundle without a time
NTP_EPOCH_S = 2_208_988_800  # from 1900, where time tags begin, to 1970
MOST_ARGUMENTS = 32
MOST_ELEMENTS, DEEPEST = 1024, 8  # elements of a packet, and bundles within bundles
NUMBERS = {"i": ">i", "f": ">f", "h": ">q", "d": ">d", "t": ">Q", "c": ">I", "r": ">I", "m": ">I"}
CONSTANTS = {"T": True, "F": False, "I": True, "N": None}  # I, "impulse", is what a bang sends

Argument = int | float | str | bytes | bool | None


class MalformedOscError(ValueError):
    """Bytes that are no OSC message or bundle."""


@dataclass(frozen=True)
class OscMessage:
    """A message: an ``address`` such as ``/vidtrans/strength``, and its ``arguments``."""

    address: str
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        shown = (f"{one:.5g}" if isinstance(one, float) else f"{one!r:.60}" for one in self.arguments)
        return " ".join([self.address, *shown])


def messages_in(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the time tag and the bytes of each message of a packet, those of nested bundles too, in their order.

    A nested bundle is not earlier than the bundle that holds it. Raises MalformedOscError, after what came before it.
    """
    waiting, count = [(AT_ONCE, packet, 0)], 0
    while waiting:
        tag, data, depth = waiting.pop()
        if not data.startswith(BUNDLE):
            yield tag, data
            continue
        if len(data) < 16 or depth == DEEPEST:
            raise MalformedOscError("a bundle has no time tag" if depth < DEEPEST else "bundles are nested too deep")
        tag, at, elements = max(tag, int.from_bytes(data[8:16], "big")), 16, []
        while at < len(data):
            size, count = int.from_bytes(data[at : at + 4], "big"), count + 1
            if not 0 < size <= len(data) - at - 4 or count > MOST_ELEMENTS:
                raise MalformedOscError(f"an element has a wrong size, or there are more than {MOST_ELEMENTS}")
            elements.append((tag, data[at + 4 : at + 4 + size], depth + 1))
            at += 4 + size
        waiting += reversed(elements)


def address_in(data: bytes) -> bytes:
    """Return the address of a message, unchecked: the bytes before the first zero."""
    return data[: data.find(0)]


def parse_message(data: bytes) -> OscMessage:
    """Return the message of these bytes. Arrays are flattened. Raises MalformedOscError."""
    address, at = _text(data, 0)
    if not address.startswith("/"):
        raise MalformedOscError("an address begins with /")
    tags, at = _text(data, at) if at < len(data) else (",", at)
    if not tags.startswith(",") or len(tags) > MOST_ARGUMENTS:
        raise MalformedOscError("its types are not a text that begins with a comma")
    found: list[Argument] = []
    for tag in tags[1:]:
        if tag in CONSTANTS:
            found.append(CONSTANTS[tag])
        elif tag in NUMBERS:
            size = struct.calcsize(NUMBERS[tag])
            if at + size > len(data):
                raise MalformedOscError("an argument is cut off")
            found += struct.unpack_from(NUMBERS[tag], data, at)
            at += size
        elif tag in "sS":
            text, at = _text(data, at)
            found.append(text)
        elif tag == "b":
            blob, at = _blob(data, at)
            found.append(blob)
        elif tag not in "[]":
            raise MalformedOscError(f"the type {tag!r} is unknown")
    return OscMessage(address, tuple(found))


def pack_message(message: OscMessage) -> bytes:
    """Return the bytes of a message, with its floats in 32 bits."""
    tags, body = ",", b""
    for one in message.arguments:
        if isinstance(one, bool) or one is None:
            tags += {True: "T", False: "F", None: "N"}[one]
        elif isinstance(one, int):
            tag = "i" if -(2**31) <= one < 2**31 else "h"
            tags, body = tags + tag, body + struct.pack(NUMBERS[tag], one)
        elif isinstance(one, float):
            tags, body = tags + "f", body + struct.pack(">f", one)
        elif isinstance(one, str):
            tags, body = tags + "s", body + _padded(one.encode())
        else:
            tags, body = tags + "b", body + struct.pack(">I", len(one)) + one + bytes(-len(one) % 4)
    return _padded(message.address.encode()) + _padded(tags.encode()) + body


def pack_bundle(elements: list[bytes], at_s: float | None = None) -> bytes:
    """Return a bundle of packed messages or bundles. ``at_s``: its time in seconds since 1970; None: at once."""
    tag = AT_ONCE if at_s is None else round((at_s + NTP_EPOCH_S) * 2**32)
    return BUNDLE + tag.to_bytes(8, "big") + b"".join(struct.pack(">I", len(one)) + one for one in elements)


def time_of(tag: int) -> float:
    """Return the time of a time tag in seconds since 1970; 0 for the one that says at once."""
    return 0.0 if tag == AT_ONCE else tag / 2**32 - NTP_EPOCH_S


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Return the text at a place, and the place after its padding to four bytes."""
    end = data.find(0, at)
    after = (end + 4) & ~3
    if end < 0 or after > len(data):
        raise MalformedOscError("a text has no end")
    try:
        return data[at:end].decode(), after
    except UnicodeDecodeError:
        raise MalformedOscError("a text is not UTF-8") from None


def _blob(data: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(data[at : at + 4], "big")
    if at + 4 + size > len(data):
        raise MalformedOscError("an argument is cut off")
    return data[at + 4 : at + 4 + size], at + 4 + size + -size % 4


def _padded(text: bytes) -> bytes:
    """Return a text with 1 to 4 zeros after it, to a multiple of four bytes."""
    return text + bytes(4 - len(text) % 4)
