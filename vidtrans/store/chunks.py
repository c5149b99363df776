"""Chunk files in a cache entry: written atomically, verified by SHA-256 and read in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np

from vidtrans.core.files import digest_file, read_small_json, remove, write_atomically, write_json
from vidtrans.store.cache import CacheEntry
from vidtrans.store.chunking import Chunk, chunk_of
from vidtrans.video.io.encoder import LosslessWriter, SegmentWriter, read_lossless

# Largest size of the pictures that wait for each of several encoders, in bytes: 40 pictures of 1080p
WAITING_BYTES = 250_000_000
StartEncoder = Callable[[Path], SegmentWriter | LosslessWriter]  # Creates the encoder of a file


class ChunkStore:
    """The numbered chunk files of a cache entry; a JSON file next to each chunk has its SHA-256."""

    def __init__(self, entry: CacheEntry, suffix: str) -> None:
        self.entry, self.suffix = entry, suffix
        self._is_valid: dict[int, bool] = {}

    def path(self, number: int) -> Path:
        """Return the path of a chunk's file."""
        return self.entry.folder / f"chunk-{number:06d}{self.suffix}"

    def _digest_path(self, number: int) -> Path:
        """Return the path of the JSON file with a chunk's SHA-256."""
        return self.entry.folder / f"chunk-{number:06d}.json"

    def is_done(self, number: int) -> bool:
        """Return whether a chunk exists and matches its SHA-256; its file is read only at the first call."""
        if number not in self._is_valid:
            self._is_valid[number] = self._verify(number)
        return self._is_valid[number]

    def is_written(self, number: int) -> bool:
        """Return whether a chunk exists; unlike ``is_done``, its content is not verified."""
        return self._digest_path(number).is_file()

    def _verify(self, number: int) -> bool:
        """Return whether a chunk exists and matches its SHA-256; warn about a damaged chunk."""
        try:
            wanted = read_small_json(self._digest_path(number))["sha256"]
            if digest_file(self.path(number)) == wanted:
                return True
            why: object = "its content changed"
        except FileNotFoundError:
            if not self._digest_path(number).exists():
                return False
            why = "its file is missing"
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error
        self.entry.warn_damaged(f"chunk {number}: {why}")
        remove(self._digest_path(number))
        return False

    @contextmanager
    def writing(self, number: int) -> Iterator[Path]:
        """Yield a temporary path for a chunk's file; the chunk is complete when the block ends without an error."""
        with write_atomically(self.path(number)) as temporary:
            yield temporary
        write_json(self._digest_path(number), {"sha256": digest_file(self.path(number))})
        self._is_valid[number] = True


class StateStore:
    """A store of states (of a recursive filter, a painter or a dream) after chunks, from which a render resumes.

    To resume, the last state before the first missing chunk is needed. If this state is lost or damaged, earlier chunks
    are filtered again. ``is_permanent(number)``: do not delete this chunk's state when a later state is saved.
    ``kind``: a prefix of file names; a cache entry may have several kinds of states.
    """

    def __init__(
        self, entry: CacheEntry, is_permanent: Callable[[int], bool] = lambda number: False, kind: str = "state"
    ) -> None:
        self.entry, self.is_permanent, self.kind = entry, is_permanent, kind

    def of(self, kind: str) -> StateStore:
        """Return the store of another kind of saved states in the same cache entry."""
        return StateStore(self.entry, self.is_permanent, f"{self.kind}-{kind}")

    def _paths(self, number: int) -> tuple[Path, Path]:
        """Return the paths of a chunk's state and of the JSON file with its SHA-256."""
        name = f"{self.kind}-{number:06d}"
        return self.entry.folder / f"{name}.npz", self.entry.folder / f"{name}.json"

    def save(self, number: int, state: Mapping[str, np.ndarray]) -> None:
        """Save the state after chunk ``number`` and delete earlier states, unless they are permanent."""
        path, digest_path = self._paths(number)
        with write_atomically(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)
        with suppress(FileNotFoundError):  # Another worker may have joined the parts and deleted the states
            write_json(digest_path, {"sha256": digest_file(path)})
        for old_path in self.entry.folder.glob(f"{self.kind}-[0-9]*"):
            if old_path.stem < path.stem and not self.is_permanent(_number(old_path)):
                remove(old_path)  # Without an error if another worker has deleted it

    def load(self, number: int) -> Mapping[str, np.ndarray] | None:
        """Return the state after chunk ``number``; None if it is missing or damaged."""
        path, digest_path = self._paths(number)
        with suppress(OSError, ValueError, KeyError, TypeError):
            if digest_file(path) == read_small_json(digest_path)["sha256"]:
                with np.load(path, allow_pickle=False) as file:
                    return {name: file[name] for name in file.files}
        return None

    def load_latest(self, number: int) -> tuple[int, Mapping[str, np.ndarray]] | None:
        """Return (chunk number, state) for the last valid state saved after a chunk up to ``number``; else None."""
        for saved_number in sorted(map(_number, self.entry.folder.glob(f"{self.kind}-[0-9]*.npz")), reverse=True):
            if saved_number <= number and (state := self.load(saved_number)) is not None:
                return saved_number, state
        return None

    def clear(self) -> None:
        """Delete all saved states of this kind and of the kinds derived from it by ``of``."""
        for path in self.entry.folder.glob(f"{self.kind}-*"):
            remove(path)


def _number(state: Path) -> int:
    """Return the chunk's number in the file name of a ``state``."""
    return int(state.stem.rpartition("-")[2])


class ChunkFinder:
    """A function from a frame to its chunk; fast if consecutive frames are in the same chunk."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks, self._last = chunks, chunks[0]

    def __call__(self, frame: int) -> Chunk:
        if not self._last.first <= frame < self._last.stop:
            self._last = chunk_of(self._chunks, frame)
        return self._last


class _Encoding:
    """A chunk that is being encoded; in a thread, if it is ``threaded``.

    ``start``: see ``ChunkWriter``. ``last``: the job that ends the file, once the chunk has all its frames.
    """

    def __init__(self, chunk: Chunk, store: ChunkStore, start: StartEncoder, *, threaded: bool) -> None:
        self.chunk = chunk
        self.last: Future[None] | None = None
        with ExitStack() as stack:
            self.writer = start(stack.enter_context(store.writing(chunk.number)))
            self._stack = stack.pop_all()
        self._pool = ThreadPoolExecutor(1, "vidtrans-encoder") if threaded else None

    def run(self, job: Callable[[], None]) -> Future[None]:
        """Run a job after the earlier ones; without a thread now, which raises its error."""
        if self._pool is not None:
            return self._pool.submit(job)
        job()
        done = Future[None]()
        done.set_result(None)
        return done

    def store(self) -> None:
        """Complete the chunk, whose jobs have ended."""
        if self._pool is not None:
            self._pool.shutdown()
        self._stack.close()

    def discard(self, error: BaseException) -> None:
        """Drop the chunk because of an error, which the disk may raise again with the chunk's name."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        with suppress(OSError):  # The first error is raised, and a discarded chunk need not be complete
            self.writer.abandon()
        self._stack.__exit__(type(error), error, error.__traceback__)


class ChunkWriter:
    """A writer of consecutive frames into the files of their chunks.

    A chunk is stored when all of its frames are written; a chunk whose first frame is missing is not stored.
    ``start(path)`` creates the encoder of a chunk's file. ``on_stored`` is called with each stored chunk, in order.

    With several ``encoders``, as many chunks are encoded side by side. The frames of the later ones wait in memory,
    up to ``WAITING_BYTES`` for each encoder. The files are the same. Then ``finish`` must be called after the last
    frame.
    """

    def __init__(
        self,
        store: ChunkStore,
        chunks: Sequence[Chunk],
        start: StartEncoder,
        on_stored: Callable[[Chunk], None] = lambda chunk: None,
        encoders: int = 1,
    ) -> None:
        self.store, self._start, self._on_stored, self._chunk_of = store, start, on_stored, ChunkFinder(chunks)
        self._encoders = encoders
        self._encodings: deque[_Encoding] = deque()  # Oldest first; the last one may lack frames
        self._jobs: deque[Future[None]] = deque()  # In the order in which they were given

    def write(self, frame: int, picture: np.ndarray, *stamps: int) -> None:
        """Write the picture of a frame; a video segment repeats the picture at each timestamp in ``stamps``.

        Raises the error of an earlier picture, if its encoder failed.
        """
        chunk = self._chunk_of(frame)
        try:
            if frame == chunk.first:
                while len(self._encodings) >= self._encoders:
                    self._store_oldest()
                encoding = _Encoding(chunk, self.store, self._start, threaded=self._encoders > 1)
                self._encodings.append(encoding)
            if not self._encodings or self._encodings[-1].chunk is not chunk:
                return
            encoding = self._encodings[-1]
            if self._encoders > 1:
                self._wait_for_room(picture.nbytes)
                picture = picture.copy()  # Its memory may be used again before it is encoded
            self._run(encoding, partial(encoding.writer.write, picture, *stamps))
            if frame == chunk.stop - 1:
                encoding.last = self._run(encoding, encoding.writer.close)
            while self._encodings and (last := self._encodings[0].last) is not None and last.done():
                self._store_oldest()
        except BaseException as error:
            self._discard(error)
            raise

    def _run(self, encoding: _Encoding, job: Callable[[], None]) -> Future[None]:
        """Give a job to a chunk's encoding."""
        future = encoding.run(job)
        if self._encoders > 1:  # Otherwise it has ended
            self._jobs.append(future)
        return future

    def _wait_for_room(self, num_bytes: int) -> None:
        """Wait until the pictures that wait, of about ``num_bytes`` each, leave room for another."""
        limit = max(2, self._encoders * WAITING_BYTES // max(1, num_bytes))
        while self._jobs and (len(self._jobs) >= limit or self._jobs[0].done()):
            self._jobs.popleft().result()

    def _store_oldest(self) -> None:
        """Wait until the oldest chunk is encoded, and store it."""
        oldest = self._encodings[0]
        while self._jobs and oldest.last is not None and not oldest.last.done():
            self._jobs.popleft().result()
        if oldest.last is None:  # It lacks frames, and is not stored
            oldest.discard(RuntimeError("the chunk was not finished"))
        else:
            oldest.last.result()
            oldest.store()
        self._encodings.popleft()
        if oldest.last is not None:
            self._on_stored(oldest.chunk)

    def finish(self) -> None:
        """Wait until all chunks that have their frames are encoded and stored. Raises the error of a picture."""
        try:
            while self._encodings and self._encodings[0].last is not None:
                self._store_oldest()
        except BaseException as error:
            self._discard(error)
            raise

    def close(self) -> None:
        """Discard unfinished chunks. May be called more than once."""
        self._discard(RuntimeError("the chunk was not finished"))

    def _discard(self, error: BaseException) -> None:
        """Discard the chunks that are not stored because of an error."""
        encodings, self._encodings, self._jobs = list(self._encodings), deque(), deque()
        with ExitStack() as stack:  # All are discarded, even if the disk raises the error again
            for encoding in encodings:
                stack.callback(encoding.discard, error)


class RawOutputs:
    """A reader and writer of a model's raw outputs, (H, W, 3) uint8, in chunks.

    ``deep``: the outputs are uint16. Frames are read and written in order. If ``store`` is None, nothing is cached. One
    thread may read while another writes.
    """

    def __init__(
        self, store: ChunkStore | None, chunks: Sequence[Chunk], size: tuple[int, int], *, deep: bool = False
    ) -> None:
        self.store = store
        # The reading and the writing thread use separate finders, because a finder stores the last chunk.
        self._read_chunk, self._written_chunk, self._needed_chunk = (ChunkFinder(chunks) for _ in range(3))
        self._writer: ChunkWriter | None = None
        if store is not None:
            self._writer = ChunkWriter(store, chunks, lambda path: LosslessWriter(path, *size, deep=deep))
        self._stored_pictures: Iterator[np.ndarray] | None = None
        self._next = -1

    def has(self, frame: int) -> bool:
        """Return whether a frame's output is stored."""
        return self.store is not None and self.store.is_done(self._read_chunk(frame).number)

    def read(self, frame: int) -> np.ndarray | None:
        """Return the stored output of a frame; None if its chunk is not stored."""
        chunk = self._read_chunk(frame)
        if self.store is None or not self.store.is_done(chunk.number):
            return None
        if self._stored_pictures is None or self._next != frame or frame == chunk.first:
            self._stored_pictures = read_lossless(self.store.path(chunk.number))
            for _ in range(frame - chunk.first):
                next(self._stored_pictures)
        self._next = frame + 1
        return next(self._stored_pictures)

    def needs(self, frame: int) -> bool:
        """Return whether the output of a frame has to be stored, because its chunk is missing."""
        return self.store is not None and not self.store.is_done(self._needed_chunk(frame).number)

    def write(self, frame: int, output: np.ndarray) -> None:
        """Write the output of a frame, unless its chunk is already stored."""
        if self._writer and not self._writer.store.is_done(self._written_chunk(frame).number):
            self._writer.write(frame, output)

    def close(self) -> None:
        """Discard an unfinished chunk. May be called more than once."""
        self._stored_pictures = None
        if self._writer:
            self._writer.close()
