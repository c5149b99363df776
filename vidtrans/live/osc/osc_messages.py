"""Messages of Open Sound Control 1.0, read and written by python-osc, within bounds that it has not.

Bundles are divided here: python-osc parses all messages of a packet at once, and nested bundles by recursion. So the
messages of a flood are dropped by their addresses, before they are parsed: the inbox keeps the last message of each
known address until it is taken, in bounded memory.
"""

from __future__ import annotations

import fnmatch
import heapq
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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
MOST_TIMED = 1024  # messages of bundles whose time has not come
LONGEST_WAIT_S = 60.0  # until the time of a bundle; later ones are dropped
MOST_PATTERNS, NEW_PATTERNS = 256, 16  # whose addresses are remembered; that are looked up in a second
SHOWN_UNMATCHED, SHOWN_LETTERS = 6, 60
RELEASES = frozenset([b",F", b",N", b",i", b",h", b",f", b",d", b",s"])  # and nothing but zeros


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


@dataclass
class OscCounts:
    """Numbers of messages since the beginning.

    Attributes:
        received: Packets.
        used: Messages that reached the session.
        unmatched: Messages to addresses that do not exist.
        malformed: Packets or messages that are no OSC.
        refused: Messages with a value of a wrong type, or that is no number, or names nothing.
        dropped: Messages of bundles that were too large, too far ahead or too many, and too many patterns.
    """

    received: int = 0
    used: int = 0
    unmatched: int = 0
    malformed: int = 0
    refused: int = 0
    dropped: int = 0


class OscInbox:
    """Takes packets and gives the last message of each address; one thread calls it.

    Attributes:
        known: The addresses that exist.
        triggers: Those of ``known`` that act at a press; a release (0, false) is no message.
        counts: Numbers of messages.
        unmatched: The last addresses that did not exist, with the number of messages to each.
        problem: Why the last message that was dropped or refused was not used; '' without one.
    """

    def __init__(self) -> None:
        self.known: frozenset[bytes] = frozenset()
        self.triggers: frozenset[bytes] = frozenset()
        self.counts = OscCounts()
        self.unmatched: dict[str, int] = {}
        self.problem = ""
        self._last: dict[bytes, bytes] = {}  # the newest message of each address, the latest of all at the end
        self._patterns: tuple[frozenset[bytes], dict[bytes, list[bytes]]] = self.known, {}  # what they match
        self._looked_up, self._second = 0, 0
        self._timed: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._elements = 0

    def push(self, packet: bytes, now_s: float) -> None:
        """Take a packet that came at ``now_s``, in seconds since 1970. Never raises."""
        self.counts.received += 1
        if int(now_s) != self._second:
            self._second, self._looked_up = int(now_s), 0
        if not packet.startswith(BUNDLE):
            self._keep(packet)
            return
        try:
            for at_s, data in messages_in(packet, now_s):
                self._elements += 1
                if self._elements > MOST_ELEMENTS:  # since the last call of ``take``
                    self._drop("bundles have too many messages")
                    return  # the rest of a flood is not read
                self._keep_at(at_s, data, now_s)
        except MalformedOscError:
            self.counts.malformed += 1

    def take(self, now_s: float) -> list[OscMessage]:
        """Return the last message of each address whose time has come, in the order in which these came."""
        while self._timed and self._timed[0][0] <= now_s:
            self._keep(heapq.heappop(self._timed)[2])
        waiting, self._last, self._elements = self._last, {}, 0
        found = []
        for address, data in waiting.items():
            try:
                found.append(replace(parse_message(data), address=address.decode()))
            except MalformedOscError:
                self.counts.malformed += 1
        return found

    def due_s(self, now_s: float) -> float | None:
        """Return in how many seconds there is a message to take; None: none waits."""
        if self._last:
            return 0.0
        return max(0.0, self._timed[0][0] - now_s) if self._timed else None

    def refuse(self, problem: str) -> None:
        """Count a message that was taken, and whose value does not fit: why."""
        self.counts.refused += 1
        self.problem = problem

    def _keep_at(self, at_s: float, data: bytes, now_s: float) -> None:
        if at_s <= now_s:
            self._keep(data)
        elif at_s - now_s > LONGEST_WAIT_S:
            self._drop(
                f"a bundle's time is {at_s - now_s:,.0f} s ahead, and at most {LONGEST_WAIT_S:g} s are waited for"
            )
        elif len(self._timed) >= MOST_TIMED:
            self._drop(f"more than {MOST_TIMED:,} messages wait for the times of their bundles")
        elif self._addresses(address_in(data)):
            heapq.heappush(self._timed, (at_s, next(self._order), data))

    def _keep(self, data: bytes) -> None:
        for address in self._addresses(address_in(data)):
            if address not in self.triggers or _is_press(data):
                self._last.pop(address, None)
                self._last[address] = data

    def _addresses(self, address: bytes) -> list[bytes]:
        """Return the known addresses that an address or a pattern means; count it where there is none."""
        if address in self.known:
            return [address]
        known, patterns = self._patterns
        if known is not self.known or len(patterns) >= MOST_PATTERNS:
            self._patterns = known, patterns = self.known, {}
        found = patterns.get(address, [])
        if not found and is_pattern(address):
            self._looked_up += 1
            if self._looked_up > NEW_PATTERNS:  # a flood of them would take the time of pictures
                self._drop("too many address patterns came at once")
                return []
            found = patterns[address] = matches(address, known)
        if not found:
            self._count_unknown(address)
        return found

    def _drop(self, problem: str) -> None:
        self.counts.dropped += 1
        self.problem = problem

    def _count_unknown(self, address: bytes) -> None:
        if not address.startswith(b"/"):
            self.counts.malformed += 1
            return
        self.counts.unmatched += 1
        text = address[:SHOWN_LETTERS].decode("ascii", "replace")
        text = "".join(letter if letter.isprintable() else "�" for letter in text)
        count = self.unmatched.pop(text, 0)
        if len(self.unmatched) >= SHOWN_UNMATCHED:
            del self.unmatched[next(iter(self.unmatched))]
        self.unmatched[text] = count + 1


def _is_press(data: bytes) -> bool:
    """Return whether a message to a trigger is a press: it has no argument, or not 0 or false; damage counts as one."""
    if data[len(address_in(data)) :].strip(b"\0") in RELEASES:
        return False  # most releases, without parsing
    try:
        arguments = parse_message(data).arguments
    except MalformedOscError:
        return True  # ``take`` counts it
    return not arguments or bool(arguments[0])
