"""How long the steps of a chain of generators and threads take, each without those that it waits for."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

WAITING = ""  # a step that is not counted


class StepClock:
    """Adds up the seconds that threads spend in each step. A step that begins within another one pauses that."""

    def __init__(self) -> None:
        self._lock, self._seconds = threading.Lock(), defaultdict[str, float](float)
        self._local = threading.local()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time in this block as that of a step."""
        outer = getattr(self._local, "name", WAITING)
        self._switch(name)
        try:
            yield
        finally:
            self._switch(outer)

    def take(self) -> dict[str, float]:
        """Return the seconds of each step since the last time, of all threads; of a step that goes on, none yet."""
        with self._lock:
            taken, self._seconds = self._seconds, defaultdict(float)
        return {name: seconds for name, seconds in taken.items() if name != WAITING}

    def _switch(self, name: str) -> None:
        """Count what has passed in this thread as that of the step it was in; it is in ``name`` now."""
        now, local = time.perf_counter(), self._local
        with self._lock:
            self._seconds[getattr(local, "name", WAITING)] += now - getattr(local, "since", now)
        local.name, local.since = name, now
