"""Chunks on disk: written whole or not at all, checked when they are read, and read back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vidtrans.files import digest_file, read_small_json, remove, write_atomically, write_json
from vidtrans.store.cache import CacheEntry
from vidtrans.store.chunking import Chunk, chunk_of
from vidtrans.video.io.encoder import LosslessWriter, read_lossless


class ChunkStore:
    """Numbered chunk files of one entry, each with its SHA-256 beside it."""

    def __init__(self, entry: CacheEntry, suffix: str) -> None:
        self.entry, self.suffix = entry, suffix
        self._checked: dict[int, bool] = {}

    def path(self, number: int) -> Path:
        return self.entry.folder / f"chunk-{number:06d}{self.suffix}"

    def _note(self, number: int) -> Path:
        return self.entry.folder / f"chunk-{number:06d}.json"

    def is_done(self, number: int) -> bool:
        """Whether the chunk is there and undamaged; its content is read once to be sure."""
        if number not in self._checked:
            self._checked[number] = self._verify(number)
        return self._checked[number]

    def _verify(self, number: int) -> bool:
        try:
            wanted = read_small_json(self._note(number))["sha256"]
            if digest_file(self.path(number)) == wanted:
                return True
            why: object = "its content changed"
        except FileNotFoundError:
            if not self._note(number).exists():
                return False
            why = "its file is missing"
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error
        self.entry.damaged(f"chunk {number}: {why}")
        remove(self._note(number))
        return False

    @contextmanager
    def writing(self, number: int) -> Iterator[Path]:
        """Yield a temporary path; the chunk is done when the block ends without an error."""
        with write_atomically(self.path(number)) as temporary:
            yield temporary
        write_json(self._note(number), {"sha256": digest_file(self.path(number))})
        self._checked[number] = True


class StateStore:
    """What a recursive filter, or a dream, remembers at the ends of chunks, to go on from there.

    That of the last one before what is missing is needed. A state that is lost or damaged costs time only: what was
    before is done again. ``stays(number)``: which are kept when there is a later one.
    """

    def __init__(self, entry: CacheEntry, stays: Callable[[int], bool] = lambda number: False) -> None:
        self.entry, self.stays = entry, stays

    def _paths(self, number: int) -> tuple[Path, Path]:
        """Its file, and the note of its SHA-256."""
        name = f"state-{number:06d}"
        return self.entry.folder / f"{name}.npz", self.entry.folder / f"{name}.json"

    def save(self, number: int, state: Mapping[str, np.ndarray]) -> None:
        """The state after chunk ``number``; those before it are not needed any more."""
        path, note = self._paths(number)
        with write_atomically(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)
        write_json(note, {"sha256": digest_file(path)})
        for old in self.entry.folder.glob("state-*"):
            if old.stem < path.stem and not self.stays(_number(old)):
                old.unlink()

    def load(self, number: int) -> Mapping[str, np.ndarray] | None:
        """The state after chunk ``number``, if it is there and whole."""
        path, note = self._paths(number)
        with suppress(OSError, ValueError, KeyError, TypeError):
            if digest_file(path) == read_small_json(note)["sha256"]:
                with np.load(path, allow_pickle=False) as file:
                    return {name: file[name] for name in file.files}
        return None

    def load_latest(self, number: int) -> tuple[int, Mapping[str, np.ndarray]] | None:
        """The last whole state after a chunk of at most this number, with that number; None where there is none."""
        held = sorted({_number(p) for p in self.entry.folder.glob("state-*.npz")}, reverse=True)
        for known in (n for n in held if n <= number):
            if (state := self.load(known)) is not None:
                return known, state
        return None

    def clear(self) -> None:
        """When all chunks are there none is needed."""
        for path in self.entry.folder.glob("state-*"):
            path.unlink()


def _number(state: Path) -> int:
    return int(state.stem.removeprefix("state-"))


class ChunkFinder:
    """Finds the chunk of a frame; a frame is mostly in the same one as the frame before it."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks, self._last = chunks, chunks[0]

    def __call__(self, frame: int) -> Chunk:
        if not self._last.first <= frame < self._last.stop:
            self._last = chunk_of(self._chunks, frame)
        return self._last


class FrameWriter(Protocol):
    """What fills a chunk's file, frame by frame."""

    def write(self, *frame: Any) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class ChunkWriter:
    """Writes frames, given in order, into the chunk that each belongs to.

    A chunk is stored when all of its frames were written; one that is entered in its middle is passed over.
    """

    def __init__(self, store: ChunkStore, chunks: Sequence[Chunk], start: Callable[[Path], FrameWriter]) -> None:
        self.store, self.start, self._chunk_of = store, start, ChunkFinder(chunks)
        self._open: ExitStack | None = None
        self._writer: FrameWriter | None = None

    def write(self, frame: int, *content: Any) -> None:
        """Write the frame of this number; ``content`` goes to the chunk's writer."""
        chunk = self._chunk_of(frame)
        if frame == chunk.first:
            with ExitStack() as stack:
                self._writer = self.start(stack.enter_context(self.store.writing(chunk.number)))
                self._open = stack.pop_all()
        if self._writer is None or self._open is None:
            return
        try:
            self._writer.write(*content)
            if frame == chunk.stop - 1:
                self._writer.close()
        except BaseException as error:
            self._drop(error)  # raises one of the disk anew, with the chunk's name
            raise
        if frame == chunk.stop - 1:
            self._open.close()
            self._open = self._writer = None

    def close(self) -> None:
        """Drop a chunk that was not finished; may be called more than once."""
        self._drop(RuntimeError("the chunk was not finished"))

    def _drop(self, error: BaseException) -> None:
        if self._writer is None or self._open is None:
            return
        writer, opened = self._writer, self._open
        self._open = self._writer = None
        with suppress(OSError):  # what is dropped need not be whole, and what went wrong before is told
            writer.abandon()
        opened.__exit__(type(error), error, error.__traceback__)


class RawOutputs:
    """A model's raw outputs, (H, W, 3) uint8: read back where their chunk is stored, stored where it is not.

    ``deep``: they are uint16. Frames are asked for and kept in order. Without a ``store`` nothing is known and nothing
    is kept. One thread may ask while another keeps what comes of it.
    """

    def __init__(
        self, store: ChunkStore | None, chunks: Sequence[Chunk], size: tuple[int, int], *, deep: bool = False
    ) -> None:
        self.store = store
        self._asked, self._kept = ChunkFinder(chunks), ChunkFinder(chunks)  # by one thread each
        self._writer: ChunkWriter | None = None
        if store is not None:
            self._writer = ChunkWriter(store, chunks, lambda path: LosslessWriter(path, *size, deep=deep))
        self._reading: Iterator[np.ndarray] | None = None
        self._next = -1

    def has(self, frame: int) -> bool:
        """Whether the chunk of a frame is stored."""
        return self.store is not None and self.store.is_done(self._asked(frame).number)

    def read(self, frame: int) -> np.ndarray | None:
        if self.store is None or not self.has(frame):
            return None
        chunk = self._asked(frame)
        if self._reading is None or self._next != frame or frame == chunk.first:
            self._reading = read_lossless(self.store.path(chunk.number))
            for _ in range(frame - chunk.first):
                next(self._reading)
        self._next = frame + 1
        return next(self._reading)

    def write(self, frame: int, output: np.ndarray) -> None:
        if self._writer and not self._writer.store.is_done(self._kept(frame).number):
            self._writer.write(frame, output)

    def close(self) -> None:
        self._reading = None
        if self._writer:
            self._writer.close()
