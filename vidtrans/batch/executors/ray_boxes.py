"""File transfers to and from machines without a shared disk: input files out, chunks back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidtrans.batch.executors.ray_mirror import (
    PIECE_BYTES,
    LogLines,
    Piece,
    SentFile,
    place_of,
)
from vidtrans.core.errors import first_line
from vidtrans.core.files import (
    move_into_place,
    naming_disk_errors,
    partial_path,
    remove,
    remove_stale_partials,
    sync_file,
)
from vidtrans.rendering.parts import Division
from vidtrans.store.cache import Cache
from vidtrans.store.chunks import ChunkStore

MEGABYTE = 1_000_000


class CannotSendError(Exception):
    """A file is missing, or the object store has no room for it."""


class Outbox:
    """Input files in Ray's object store, each stored once, for as long as an item needs it."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401  (a module without types)
        self._ray = ray
        self.sent: dict[Path, SentFile] = {}
        self._needed: dict[int, set[Path]] = {}  # by item number

    def send(self, number: int, files: Sequence[Path], tell: Callable[[int, int], None]) -> None:
        """Store those files of item ``number`` that are not stored yet; call ``tell`` with the bytes sent and in total.

        Raises CannotSendError, and the errors of ``tell``.
        """
        self._needed.setdefault(number, set()).update(files)
        new = [path for path in files if path not in self.sent]
        with self._naming_errors():
            done, total = 0, sum(path.stat().st_size for path in new)
        for path in new:
            refs = []
            with self._naming_errors():
                file = path.open("rb")
            with file:
                while True:
                    with self._naming_errors():
                        if not (piece := file.read(PIECE_BYTES)):
                            break
                        refs.append(self._ray.put(piece))
                    done += len(piece)
                    tell(done, total)
                stat = os.fstat(file.fileno())
            self.sent[path] = SentFile(place_of(path), (stat.st_size, stat.st_mtime_ns), refs)

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """Convert errors of files and of Ray to CannotSendError; errors of ``tell`` pass unchanged."""
        try:
            yield
        except (OSError, self._ray.exceptions.RayError) as error:
            words = getattr(error, "strerror", None) or first_line(error)
            raise CannotSendError(f"{getattr(error, 'filename', None) or ''} {words}".strip()) from error

    def forget(self, number: int) -> None:
        """Drop the item's files that no other item needs."""
        gone = self._needed.pop(number, set())
        needed = set().union(*self._needed.values())
        for path in gone - needed:
            self.sent.pop(path, None)


class Inbox:
    """A receiver that writes the chunks that tasks send into their cache entries."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._folders: dict[int, Path] = {}  # by submission number
        self._open: dict[int, Path] = {}  # by submission number: its incomplete file

    def missing(self, division: Division, part: tuple[int, int]) -> tuple[int, int] | None:
        """Return a part, the chunks [first, stop), without its leading stored chunks; None if all chunks are stored."""
        store = ChunkStore(self._cache.entry(*division.entries[0]), "")
        first, stop = part
        while first < stop and store.is_written(first):
            first += 1
        return (first, stop) if first < stop else None

    def expect(self, number: int, division: Division) -> None:
        """Write the pieces of submission ``number`` from now on into the cache entry of its division."""
        self._folders[number] = self._cache.entry(*division.entries[0]).folder

    def take(self, number: int, sent: Piece | LogLines) -> None:
        """Write a piece or log lines of a submission. Raises OSError."""
        if isinstance(sent, LogLines):
            self._cache.log.append(Path(sent.name).name, sent.lines)
            return
        target = self._folders[number] / Path(sent.name).name
        is_first = number not in self._open
        temporary = self._open.setdefault(number, partial_path(target))
        with naming_disk_errors(target):
            if is_first:
                remove_stale_partials(target)
            with temporary.open("wb" if is_first else "ab") as file:
                file.write(sent.data)
            if sent.is_last:
                sync_file(temporary)
                move_into_place(temporary, target)
                del self._open[number]

    def end(self, number: int) -> None:
        """Accept no more pieces of a submission, and delete its incomplete file."""
        self._folders.pop(number, None)
        if temporary := self._open.pop(number, None):
            remove(temporary)

    def close(self) -> None:
        """End all submissions."""
        for number in [*self._folders]:
            self.end(number)
