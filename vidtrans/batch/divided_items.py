"""Batch items whose chunks several workers render in parallel."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table
from vidtrans.output.records import COUNTS
from vidtrans.store.cache import Cache

if TYPE_CHECKING:
    from vidtrans.rendering.parts import Division


class DividedItems:
    """The locks, pins and frame counts of items that are rendered in parts.

    The locks are held until all parts of an item have ended. Then the item is run as a whole, with all chunks present.
    Until that is done its cache entries stay pinned, because between two tasks nothing else keeps them from deletion.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._parts: Counter[int] = Counter()  # by item: the number of running or waiting parts
        self._counts: dict[int, Counter[str]] = {}
        self._began: dict[int, float] = {}  # by divided item: the start time
        self._locks: dict[int, ExitStack] = {}
        self._pins: dict[int, ExitStack] = {}

    def __contains__(self, number: int) -> bool:
        """Return whether the division of an item has been decided."""
        return number in self._counts

    def begin(self, number: int, division: Division | None) -> bool:
        """Lock the cache entries that the parts share; return whether the item is divided.

        The item stays whole if ``division`` is None, or if another run, or another item with the same model outputs,
        has locked an entry: the run of a whole item waits for the lock.
        """
        self._counts[number] = Counter()
        if division is None:
            return False
        with ExitStack() as locks, ExitStack() as pins:
            try:
                for entry in (self._cache.entry(*names) for names in division.entries):
                    locks.enter_context(entry.locked(wait_s=0))
                    pins.callback(entry.pin().release)
                for entry in (self._cache.entry(*names) for names in division.sources):
                    with entry.locked(wait_s=0):
                        pins.callback(entry.pin().release)
            except VidtransError:
                return False
            self._locks[number], self._pins[number] = locks.pop_all(), pins.pop_all()
        self._parts[number], self._began[number] = len(division.parts), time.monotonic()
        return True

    def end_part(self, number: int, counts: Mapping[str, int]) -> bool:
        """Add the counts of a part, empty if it failed; return whether it was the last, which unlocks the entries."""
        self._counts[number].update(counts)
        self._parts[number] -= 1
        if self._parts[number]:
            return False
        self._locks.pop(number).close()
        return True

    def end_item(self, number: int) -> None:
        """Release the item's cache entries."""
        if pins := self._pins.pop(number, None):
            pins.close()

    def with_counts(self, number: int, table: Table) -> Table:
        """Return an item's table with its parts' counts added, and the seconds since the parts began."""
        counts = self._counts.get(number, Counter())
        began = self._began.get(number)
        seconds = {} if began is None else {"seconds": round(time.monotonic() - began, 3)}
        return table | {key: table.get(key, 0) + counts[key] for key in COUNTS if counts[key]} | seconds

    def close(self) -> None:
        """Unlock and release all entries."""
        for stack in (*self._locks.values(), *self._pins.values()):
            stack.close()
