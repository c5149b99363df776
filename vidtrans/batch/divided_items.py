"""Batch items whose chunks several workers render side by side."""

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
    """Locks what the parts of an item share until all of them have ended, and adds up their counts.

    Then the whole item is made as any other, and nothing is missing. Until that is done, the parts' cache entries are
    pinned: between two tasks nobody else keeps them from deletion.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._parts: Counter[int] = Counter()  # of an item, those that have not ended
        self._counts: dict[int, Counter[str]] = {}
        self._began: dict[int, float] = {}  # of items with parts
        self._locks: dict[int, ExitStack] = {}
        self._pins: dict[int, ExitStack] = {}

    def __contains__(self, number: int) -> bool:
        """Return whether it is decided already if an item is divided."""
        return number in self._counts

    def begin(self, number: int, division: Division | None) -> bool:
        """Lock what the parts share, and return whether the item is divided.

        It is not where that gains nothing, and where another run, or another item with the same model outputs, holds an
        entry: a whole item waits for that.
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
        """Add the counts of a part, none if it failed. Return whether it was the last; then all is unlocked."""
        self._counts[number].update(counts)
        self._parts[number] -= 1
        if self._parts[number]:
            return False
        self._locks.pop(number).close()
        return True

    def end_item(self, number: int) -> None:
        """Release its cache entries."""
        if pins := self._pins.pop(number, None):
            pins.close()

    def with_counts(self, number: int, table: Table) -> Table:
        """Return an item's table with the counts of its parts added, and the seconds since they began."""
        counts = self._counts.get(number, Counter())
        began = self._began.get(number)
        seconds = {} if began is None else {"seconds": round(time.monotonic() - began, 3)}
        return table | {key: table.get(key, 0) + counts[key] for key in COUNTS if counts[key]} | seconds

    def close(self) -> None:
        """Unlock and release everything."""
        for stack in (*self._locks.values(), *self._pins.values()):
            stack.close()
