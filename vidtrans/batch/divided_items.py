"""Items whose chunks several workers make side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from vidtrans.errors import VidtransError
from vidtrans.settings import Table
from vidtrans.store.cache import Cache

if TYPE_CHECKING:
    from vidtrans.rendering.division import Division

COUNTS = ("frames_inferred", "frames_encoded", "frames_spared")


class DividedItems:
    """Locks what the parts of an item share until all of them have ended, and adds up what they made.

    Then the item is done as any other: nothing is missing. Until it is, all that is kept from deletion, as nobody
    else does that between two tasks.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._parts: Counter[int] = Counter()  # of an item, those that have not ended
        self._counts: dict[int, Counter[str]] = {}
        self._locks: dict[int, ExitStack] = {}
        self._holds: dict[int, ExitStack] = {}

    def __contains__(self, number: int) -> bool:
        """Return whether it was decided already whether an item is divided."""
        return number in self._counts

    def begin(self, number: int, division: Division | None) -> bool:
        """Lock what the parts share, and return whether the item is divided.

        It is not where that gains nothing, and where another run, or another item with the same model outputs, holds an
        entry: a whole item waits for that.
        """
        self._counts[number] = Counter()
        if division is None:
            return False
        with ExitStack() as locks, ExitStack() as holds:
            try:
                for entry in (self._cache.entry(*names) for names in division.entries):
                    locks.enter_context(entry.locked(wait_s=0))
                    holds.callback(entry.pin().release)
                for entry in (self._cache.entry(*names) for names in division.sources):
                    with entry.locked(wait_s=0):
                        holds.callback(entry.pin().release)
            except VidtransError:
                return False
            self._locks[number], self._holds[number] = locks.pop_all(), holds.pop_all()
        self._parts[number] = len(division.parts)
        return True

    def end_part(self, number: int, made: Mapping[str, int]) -> bool:
        """Add what a part has made, nothing if it failed. Return whether it was the last; then all is unlocked."""
        self._counts[number].update(made)
        self._parts[number] -= 1
        if self._parts[number]:
            return False
        self._locks.pop(number).close()
        return True

    def end_item(self, number: int) -> None:
        """Keep nothing of it any more."""
        if holds := self._holds.pop(number, None):
            holds.close()

    def with_counts(self, number: int, table: Table) -> Table:
        """Return an item's table with what its parts have made."""
        made = self._counts.get(number, Counter())
        return table | {key: table.get(key, 0) + made[key] for key in COUNTS if made[key]}

    def close(self) -> None:
        for kept in (*self._locks.values(), *self._holds.values()):
            kept.close()
