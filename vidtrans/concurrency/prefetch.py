"""Work ahead of the work: what a generator yields, made in a thread of its own while others use what it made."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Iterator[T], Generic[T]):
    """Runs ``source`` in a thread, no more than ``room`` items ahead of who takes them; a step of a pipeline.

    With a ``room`` of 0 there is no thread, an item is made when it is asked for. The order is the source's, and so is
    what it raises, where it raised it. Close it in any case: then the source is closed, in its own thread, once the
    item that it is at is done. The source is begun with the first item taken.
    """

    def __init__(self, source: Generator[T, None, None], room: int, name: str) -> None:
        self._source, self._room = source, room
        self._made: deque[T] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"vidtrans-{name}", daemon=True)

    def __next__(self) -> T:
        if not self._room:
            return next(self._source)
        with self._changed:
            if not self._thread.is_alive() and not self._ended and not self._closed:
                self._thread.start()
            # With a time limit: without one, Ctrl-C is not heard on every system.
            while not self._made and not self._ended:
                self._changed.wait(0.5)
            if self._made:
                self._changed.notify_all()
                return self._made.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """What was not taken is dropped; may be called more than once."""
        with self._changed:
            self._closed = True
            self._made.clear()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        elif not self._ended:
            self._source.close()
            self._ended = True

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._source:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or len(self._made) < self._room)
                    if self._closed:
                        break
                    self._made.append(item)
                    self._changed.notify_all()
            self._source.close()
        except BaseException as raised:  # raised again where somebody waits
            error = raised
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()
