"""Parsing of Open Sound Control 1.0 messages with limits, on top of python-osc.

Bundles are split here: python-osc parses all messages of a packet at once, and nested bundles by recursion. So the
messages of a flood are dropped by their addresses before they are parsed: the inbox keeps the last message of each
known address until it is read, in bounded memory.
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

BUNDLE = b"#bundle\0"  # First bytes of an OSC bundle
MAX_ARGUMENTS = 32  # Largest number of arguments of a message
MAX_ELEMENTS, MAX_BUNDLE_DEPTH = 1024, 8  # Most elements in a packet, and levels of nested bundles
# Replacements of type tags that python-osc lacks (impulse, symbol, character, MIDI, time tag), and removed array tags.
ALIASES, ARRAYS = bytes.maketrans(b"IScmt", b"Tsrrh"), b"[]"
ARGUMENT_TYPES = frozenset(b"ifhdsbrTFN")  # Type tags of arguments that python-osc can parse
PATTERN_SIGNS = frozenset(b"*?[{")  # Characters that make an address a pattern
MAX_PATTERN_BYTES = 200  # Longest address pattern that is matched
MAX_CHOICE_LETTERS = 500  # Most letters of all words that the braces of one part of an address pattern can form
TIME_TAG_ERA_S = 1 << 32  # Period, in s, after which OSC time tags restart at 0: 136 years, next in February 2036
# Longest time, in s, that a time tag may be ahead; later tags are read as times in the past
MAX_TAG_AHEAD_S = 24 * 60 * 60

Argument = int | float | str | bytes | bool | None  # Python value of an OSC argument
MAX_SCHEDULED = 1024  # Most messages that wait because the time tag of their bundle is in the future
MAX_WAIT_S = 60.0  # Longest time, in s, that a bundle may wait for its time tag; later bundles are dropped
MAX_CACHED_PATTERNS, MAX_NEW_PATTERNS_PER_S = 256, 16
NUM_LISTED_UNMATCHED, MAX_LISTED_LETTERS = 6, 60  # Most unknown addresses in the status, and letters of each
# Type tags of a message that releases a trigger, if all bytes after the tags are 0
RELEASE_TAGS = frozenset([b",F", b",N", b",i", b",h", b",f", b",d", b",s"])


class MalformedOscError(ValueError):
    """Error for bytes that are not an OSC message or bundle."""


@dataclass(frozen=True)
class OscMessage:
    """An OSC message: an ``address`` such as ``/vidtrans/strength``, and its ``arguments``."""

    address: str
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        texts = (f"{one:.5g}" if isinstance(one, float) else f"{one!r:.60}" for one in self.arguments)
        return " ".join([self.address, *texts])


def messages_in(packet: bytes, now_s: float) -> Iterator[tuple[float, bytes]]:
    """Yield the (time, bytes) of each OSC message of a packet, including nested bundles, in their order.

    Times are in seconds since 1970, as ``now_s``; 0 means at once. A nested bundle is never earlier than its parent.
    Raises MalformedOscError, after the messages before the fault.
    """
    waiting, count = [(0.0, packet, 0)], 0
    while waiting:
        at_s, data, depth = waiting.pop()
        if not data.startswith(BUNDLE):
            yield at_s, data
            continue
        if len(data) < 16 or depth == MAX_BUNDLE_DEPTH:
            raise MalformedOscError(
                "a bundle has no time tag" if depth < MAX_BUNDLE_DEPTH else "bundles are nested too deep"
            )
        time_s, at = osc_types.get_date(data, len(BUNDLE))
        ahead_s = (time_s - now_s) % TIME_TAG_ERA_S
        if time_s and any(data[len(BUNDLE) : at]) and ahead_s < MAX_TAG_AHEAD_S:  # Tags of 0 mean at once
            time_s = now_s + ahead_s
        elements = []
        while at < len(data):
            size, count = int.from_bytes(data[at : at + 4], "big"), count + 1
            if not 0 < size <= len(data) - at - 4 or count > MAX_ELEMENTS:
                raise MalformedOscError(f"an element has a wrong size, or there are more than {MAX_ELEMENTS}")
            elements.append((max(at_s, time_s), data[at + 4 : at + 4 + size], depth + 1))
            at += 4 + size
        waiting += reversed(elements)


def address_in(data: bytes) -> bytes:
    """Return the address of an OSC message without a check: the bytes before the first zero."""
    return data[: data.find(0)]


def is_pattern(address: bytes) -> bool:
    """Return whether an OSC address is a pattern (with *, ?, [ or {), and short enough to be matched."""
    return address.startswith(b"/") and len(address) <= MAX_PATTERN_BYTES and not PATTERN_SIGNS.isdisjoint(address)


def matches(pattern: bytes, addresses: Iterable[bytes]) -> list[bytes]:
    """Return the ``addresses`` that an OSC 1.0 address pattern matches, in alphabetical order.

    ``*`` matches any letters, ``?`` one letter, ``[a-e]`` one of these, ``[!a-e]`` any other, ``{in,out}`` one of these
    words; none of them matches a ``/``. An invalid pattern matches nothing.
    """
    parts = [_part_pattern(part) for part in pattern.decode(errors="replace").split("/")]
    names = ((address, address.decode().split("/")) for address in sorted(addresses))
    return [
        address
        for address, own in names
        if len(own) == len(parts) and all(part.match(name) for part, name in zip(parts, own, strict=True))
    ]


def _part_pattern(part: str) -> re.Pattern[str]:
    """Return a regular expression for the part of an address pattern between two slashes.

    Apart from braces, the syntax is that of ``fnmatch``.
    """
    pieces = re.split(r"\{([^{}]*)\}", part)  # Every second piece is the inside of braces
    choices = [piece.split(",") if number % 2 else [piece] for number, piece in enumerate(pieces)]
    few = itertools.product(*choices) if math.prod(map(len, choices)) * len(part) <= MAX_CHOICE_LETTERS else ()
    return re.compile("|".join(fnmatch.translate("".join(one)) for one in few) or r"(?!)")


def parse_message(data: bytes) -> OscMessage:
    """Parse the bytes of an OSC message; arrays are flattened. Raises MalformedOscError."""
    head = (data.find(0) + 4) & ~3
    type_tags, zero, _ = data[head:].partition(b"\0")
    types = type_tags.translate(ALIASES, ARRAYS)
    if not data.startswith(b"/") or len(types) > MAX_ARGUMENTS or not ARGUMENT_TYPES.issuperset(types[1:]):
        raise MalformedOscError("it is no message, or its arguments are too many or of unknown types")
    body = types + bytes(4 - len(types) % 4) + data[head + (len(type_tags) + 4 & ~3) :] if zero else type_tags
    try:
        message = osc_message.OscMessage(data[:head] + body)
    except (osc_message.ParseError, UnicodeDecodeError):
        raise MalformedOscError("it is cut off, or its text is not UTF-8") from None
    return OscMessage(message.address, tuple(message.params))


def pack_message(message: OscMessage) -> bytes:
    """Return the bytes of an OSC message; floats have 32 bits."""
    builder = osc_message_builder.OscMessageBuilder(message.address)
    for one in message.arguments:
        builder.add_arg(one)
    return builder.build().dgram


@dataclass
class OscCounts:
    """Numbers of OSC packets and messages since the start.

    Attributes:
        received: Packets.
        used: Messages that reached the session.
        unmatched: Messages to unknown addresses.
        malformed: Packets or messages that are not OSC.
        refused: Messages with an argument of a wrong type or value.
        dropped: Messages of bundles that were too large, too far ahead or too many, and too many patterns.
    """

    received: int = 0
    used: int = 0
    unmatched: int = 0
    malformed: int = 0
    refused: int = 0
    dropped: int = 0


class OscInbox:
    """A store of the newest OSC message to each address, filled from packets; only one thread uses it.

    Attributes:
        known_addresses: The addresses of the session.
        triggers: The addresses that act on a press; a release (0, false) is ignored.
        counts: Numbers of messages.
        unmatched: The last unknown addresses, with the number of messages to each.
        problem: Why the last unused message was dropped or refused; '' without one.
    """

    def __init__(self) -> None:
        self.known_addresses: frozenset[bytes] = frozenset()
        self.triggers: frozenset[bytes] = frozenset()
        self.counts = OscCounts()
        self.unmatched: dict[str, int] = {}
        self.problem = ""
        self._newest: dict[bytes, bytes] = {}  # Newest message of each address, in the order of arrival
        self._patterns: tuple[frozenset[bytes], dict[bytes, list[bytes]]] = self.known_addresses, {}
        self._num_lookups, self._second = 0, 0
        self._scheduled: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._num_elements = 0

    def push(self, packet: bytes, now_s: float) -> None:
        """Store the messages of a packet that arrived at ``now_s``, in seconds since 1970. Never raises."""
        self.counts.received += 1
        if int(now_s) != self._second:
            self._second, self._num_lookups = int(now_s), 0
        if not packet.startswith(BUNDLE):
            self._store(packet)
            return
        try:
            for at_s, data in messages_in(packet, now_s):
                self._num_elements += 1
                if self._num_elements > MAX_ELEMENTS:  # Since the last call of ``pop_messages``
                    self._drop("bundles have too many messages")
                    return  # The rest of a flood is not parsed
                self._schedule(at_s, data, now_s)
        except MalformedOscError:
            self.counts.malformed += 1

    def pop_messages(self, now_s: float) -> list[OscMessage]:
        """Return and remove the last message to each address that is due at ``now_s``, in the order of arrival."""
        while self._scheduled and self._scheduled[0][0] <= now_s:
            self._store(heapq.heappop(self._scheduled)[2])
        waiting, self._newest, self._num_elements = self._newest, {}, 0
        messages = []
        for address, data in waiting.items():
            try:
                messages.append(replace(parse_message(data), address=address.decode()))
            except MalformedOscError:
                self.counts.malformed += 1
        return messages

    def due_s(self, now_s: float) -> float | None:
        """Return the seconds until the next message is due; None if no message waits."""
        if self._newest:
            return 0.0
        return max(0.0, self._scheduled[0][0] - now_s) if self._scheduled else None

    def count_refusal(self, problem: str) -> None:
        """Count an OSC message whose value the session refused, and store the reason."""
        self.counts.refused += 1
        self.problem = problem

    def _schedule(self, at_s: float, data: bytes, now_s: float) -> None:
        """Store a message, or keep it until ``at_s``, the time of its bundle; drop it if that is too far ahead.

        Times are in s since 1970. ``data``: the bytes of the message.
        """
        if at_s <= now_s:
            self._store(data)
        elif at_s - now_s > MAX_WAIT_S:
            self._drop(f"a bundle's time is {at_s - now_s:,.0f} s ahead, and at most {MAX_WAIT_S:g} s are waited for")
        elif len(self._scheduled) >= MAX_SCHEDULED:
            self._drop(f"more than {MAX_SCHEDULED:,} messages wait for the times of their bundles")
        elif self._matching_addresses(address_in(data)):
            heapq.heappush(self._scheduled, (at_s, next(self._order), data))

    def _store(self, data: bytes) -> None:
        """Store a message as the newest one to each address that it matches; ignore the release of a trigger."""
        for address in self._matching_addresses(address_in(data)):
            if address not in self.triggers or _is_press(data):
                self._newest.pop(address, None)
                self._newest[address] = data

    def _matching_addresses(self, address: bytes) -> list[bytes]:
        """Return the known addresses that an address or pattern matches; if there is none, count it as unmatched."""
        if address in self.known_addresses:
            return [address]
        cached_for, patterns = self._patterns
        if cached_for is not self.known_addresses or len(patterns) >= MAX_CACHED_PATTERNS:
            self._patterns = cached_for, patterns = self.known_addresses, {}
        matching = patterns.get(address, [])
        if not matching and is_pattern(address):
            self._num_lookups += 1
            if self._num_lookups > MAX_NEW_PATTERNS_PER_S:  # A flood of them would delay pictures
                self._drop("too many address patterns came at once")
                return []
            matching = patterns[address] = matches(address, cached_for)
        if not matching:
            self._count_unmatched(address)
        return matching

    def _drop(self, problem: str) -> None:
        """Count a dropped message or packet, and store the reason."""
        self.counts.dropped += 1
        self.problem = problem

    def _count_unmatched(self, address: bytes) -> None:
        """Count a message to an unknown address, and add the address to the list for the status."""
        if not address.startswith(b"/"):
            self.counts.malformed += 1
            return
        self.counts.unmatched += 1
        text = address[:MAX_LISTED_LETTERS].decode("ascii", "replace")
        text = "".join(letter if letter.isprintable() else "�" for letter in text)
        count = self.unmatched.pop(text, 0)
        if len(self.unmatched) >= NUM_LISTED_UNMATCHED:
            del self.unmatched[next(iter(self.unmatched))]
        self.unmatched[text] = count + 1


def _is_press(data: bytes) -> bool:
    """Return whether a message to a trigger is a press: it has no argument, or the first is neither 0 nor false.

    A malformed message counts as a press; ``pop_messages`` counts it as malformed.
    """
    if data[len(address_in(data)) :].strip(b"\0") in RELEASE_TAGS:
        return False  # Recognises most releases without parsing
    try:
        arguments = parse_message(data).arguments
    except MalformedOscError:
        return True  # ``pop_messages`` counts it as malformed
    return not arguments or bool(arguments[0])
