"""Watch a folder: videos that arrive in it are processed as soon as they have stopped growing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vidtrans.batch.inputs import videos_in
from vidtrans.core.errors import UsageError
from vidtrans.session import Context

SETTLED_S = 3.0  # Time for which a file must not have changed, in seconds
POLL_S = 0.5  # Interval at which the folder is read, in seconds
FileState = tuple[int, int]  # Size in bytes, and time of the last change in ns


class Arrivals:
    """The videos of a folder that have stopped growing, each once; a video that changes later arrives again.

    ``clock``: returns the time in seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self._clock = folder, clock
        self._since: dict[Path, tuple[FileState, float]] = {}  # State of each file, and since when it has had it
        self._taken: dict[Path, FileState] = {}

    def take(self) -> list[Path]:
        """Return the videos that have arrived since the last call, in natural order.

        Raises UsageError if the folder cannot be read.
        """
        now, found, ready = self._clock(), dict[Path, tuple[FileState, float]](), []
        for path in self._videos():
            with suppress(OSError):  # It was moved away just now
                status = path.stat()
                state = status.st_size, status.st_mtime_ns
                before, since = self._since.get(path, (None, now))
                found[path] = state, since if before == state else now
                is_settled = state == before and state[0] > 0 and now - since >= SETTLED_S
                if is_settled and self._taken.get(path) != state:
                    self._taken[path] = state
                    ready.append(path)
        self._since = found
        return ready

    @property
    def is_waiting(self) -> bool:
        """Return whether a video is there that may still grow."""
        return any(self._taken.get(path) != state and state[0] > 0 for path, (state, _) in self._since.items())

    def _videos(self) -> Sequence[Path]:
        try:
            return videos_in(self.folder)
        except OSError as error:
            why = (error.strerror or "it cannot be read").lower()
            raise UsageError(str(self.folder), why, "give a folder into which videos are written") from None


def watch(
    arrivals: Arrivals, process: Callable[[list[Path]], None], context: Context, idle_s: float | None = None
) -> None:
    """Call ``process`` with the videos that arrive, until a stop is requested.

    ``idle_s``: end when no video has arrived for this many seconds; None: never. Raises UsageError; Interrupted on a
    stop request; and whatever ``process`` raises.
    """
    since = time.monotonic()
    while True:
        if ready := arrivals.take():
            process(ready)
            since = time.monotonic()
        elif idle_s is not None and not arrivals.is_waiting and time.monotonic() - since >= idle_s:
            return
        context.stop.check()
        time.sleep(POLL_S)
