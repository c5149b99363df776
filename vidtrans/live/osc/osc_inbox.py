"""The inbox of OSC: the last message of each known address until it is taken, in bounded memory."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, replace

from vidtrans.live.osc.osc_messages import (
    BUNDLE,
    MOST_ELEMENTS,
    MalformedOscError,
    OscMessage,
    address_in,
    is_pattern,
    matches,
    messages_in,
    parse_message,
)

MOST_TIMED = 1024  # messages of bundles whose time has not come
LONGEST_WAIT_S = 60.0  # until the time of a bundle; later ones are dropped
MOST_PATTERNS, NEW_PATTERNS = 256, 16  # whose addresses are remembered; that are looked up in a second
SHOWN_UNMATCHED, SHOWN_LETTERS = 6, 60
RELEASES = frozenset([b",F", b",N", b",i", b",h", b",f", b",d", b",s"])  # and nothing but zeros


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
