from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partialmethod

import pytest
from filelock import FileLock

from vidtrans.core.events import Event, Note
from vidtrans.store.cache import CacheEntry


@pytest.fixture
def held_by_another_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[CacheEntry], Callable[[Event], None]]]:
    """Hold an entry of the cache; what is returned is a report, which lets go of it when it hears that one waits."""
    monkeypatch.setattr(CacheEntry, "locked", partialmethod(CacheEntry.locked, wait_s=0.0))  # it is told at once
    locks: list[FileLock] = []

    def hold(entry: CacheEntry) -> Callable[[Event], None]:
        lock = FileLock(entry.folder / ".lock", thread_local=False)
        lock.acquire()
        locks.append(lock)

        def report(event: Event) -> None:
            if isinstance(event, Note) and event.text.startswith("waiting for another run"):
                lock.release()

        return report

    yield hold
    assert not any(lock.is_locked for lock in locks), "nobody waited"
