"""Messages of Open Sound Control 1.0, read and written by python-osc, within bounds that it has not.

Bundles are divided here: python-osc parses all messages of a packet at once, and nested bundles by recursion. So the
messages of a flood are dropped by their addresses, before they are parsed.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pythonosc import osc_message, osc_message_builder
from pythonosc.parsing import osc_types

BUNDLE = b"#bundle\0"
MOST_ARGUMENTS = 32
MOST_ELEMENTS, DEEPEST = 1024, 8  # elements of a packet, and bundles within bundles
# Types that python-osc does not know, or not as a value, and as which they are read: impulse (what a bang sends),
# symbol, character, MIDI, time tag.
ALIASES, ARRAYS = bytes.maketrans(b"IScmt", b"Tsrrh"), b"[]"
TYPES = frozenset(b"ifhdsbrTFN")
PATTERN_SIGNS = frozenset(b"*?[{")
LONGEST_PATTERN, MOST_LETTERS = 200, 500  # bytes of an address pattern; letters of all choices of a part's braces
ERA_S, NEAR_S = 1 << 32, 24 * 60 * 60  # time tags start again from 0, in February 2036 and every 136 years

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


def messages_in(packet: bytes, now_s: float) -> Iterator[tuple[float, bytes]]:
    """Yield the time and the bytes of each message of a packet, those of nested bundles too, in their order.

    Times are in seconds since 1970, as ``now_s``; 0 is at once. A nested bundle is not earlier than the bundle that
    holds it. Raises MalformedOscError, after what came before it.
    """
    waiting, count = [(0.0, packet, 0)], 0
    while waiting:
        at_s, data, depth = waiting.pop()
        if not data.startswith(BUNDLE):
            yield at_s, data
            continue
        if len(data) < 16 or depth == DEEPEST:
            raise MalformedOscError("a bundle has no time tag" if depth < DEEPEST else "bundles are nested too deep")
        time_s, at = osc_types.get_date(data, len(BUNDLE))
        ahead_s = (time_s - now_s) % ERA_S
        if time_s and any(data[len(BUNDLE) : at]) and ahead_s < NEAR_S:  # 0 and a tag of zeros are at once
            time_s = now_s + ahead_s
        elements = []
        while at < len(data):
            size, count = int.from_bytes(data[at : at + 4], "big"), count + 1
            if not 0 < size <= len(data) - at - 4 or count > MOST_ELEMENTS:
                raise MalformedOscError(f"an element has a wrong size, or there are more than {MOST_ELEMENTS}")
            elements.append((max(at_s, time_s), data[at + 4 : at + 4 + size], depth + 1))
            at += 4 + size
        waiting += reversed(elements)


def address_in(data: bytes) -> bytes:
    """Return the address of a message, unchecked: the bytes before the first zero."""
    return data[: data.find(0)]


def is_pattern(address: bytes) -> bool:
    """Return whether an address of a message is a pattern, of a length that is looked up."""
    return address.startswith(b"/") and len(address) <= LONGEST_PATTERN and not PATTERN_SIGNS.isdisjoint(address)


def matches(pattern: bytes, addresses: Iterable[bytes]) -> list[bytes]:
    """Return the ``addresses`` that an address pattern of OSC 1.0 matches, in alphabetical order.

    ``*`` is any letters, ``?`` is one, ``[a-e]`` one of these, ``[!a-e]`` none of these, ``{in,out}`` one of these
    words; none of them reaches over a ``/``. A pattern that is not valid matches nothing.
    """
    parts = [_part_pattern(part) for part in pattern.decode(errors="replace").split("/")]
    names = ((address, address.decode().split("/")) for address in sorted(addresses))
    return [
        address
        for address, own in names
        if len(own) == len(parts) and all(part.match(name) for part, name in zip(parts, own, strict=True))
    ]


def _part_pattern(part: str) -> re.Pattern[str]:
    """Return an expression for a part of an address pattern, whose signs but braces are those of ``fnmatch``."""
    pieces = re.split(r"\{([^{}]*)\}", part)  # every second one is the inside of braces
    choices = [piece.split(",") if number % 2 else [piece] for number, piece in enumerate(pieces)]
    few = itertools.product(*choices) if math.prod(map(len, choices)) * len(part) <= MOST_LETTERS else ()
    return re.compile("|".join(fnmatch.translate("".join(one)) for one in few) or r"(?!)")


def parse_message(data: bytes) -> OscMessage:
    """Return the message of these bytes. Arrays are flattened. Raises MalformedOscError."""
    head = (data.find(0) + 4) & ~3
    given, zero, _ = data[head:].partition(b"\0")
    types = given.translate(ALIASES, ARRAYS)
    if not data.startswith(b"/") or len(types) > MOST_ARGUMENTS or not TYPES.issuperset(types[1:]):
        raise MalformedOscError("it is no message, or its arguments are too many or of unknown types")
    body = types + bytes(4 - len(types) % 4) + data[head + (len(given) + 4 & ~3) :] if zero else given
    try:
        found = osc_message.OscMessage(data[:head] + body)
    except (osc_message.ParseError, UnicodeDecodeError):
        raise MalformedOscError("it is cut off, or its text is not UTF-8") from None
    return OscMessage(found.address, tuple(found.params))


def pack_message(message: OscMessage) -> bytes:
    """Return the bytes of a message, with its floats in 32 bits."""
    builder = osc_message_builder.OscMessageBuilder(message.address)
    for one in message.arguments:
        builder.add_arg(one)
    return builder.build().dgram
