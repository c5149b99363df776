"""Raw outputs of a model beside their chunks: read back where they are there, written where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from vidtrans.errors import Interrupted
from vidtrans.pipeline.cache import ChunkStore
from vidtrans.rendering.chunks import Chunk, chunk_of
from vidtrans.video.encoder import LosslessWriter, read_lossless


class RawStore:
    """Frames are asked for and kept in order; a chunk is stored when all of its frames were kept.

    Without a ``store`` nothing is known and nothing is kept. ``num_inferred`` counts what was not known.
    """

    def __init__(self, store: ChunkStore | None, chunks: Sequence[Chunk], size: tuple[int, int]) -> None:
        self.store, self.chunks, self.size = store, chunks, size
        self._reading: Iterator[np.ndarray] | None = None
        self._next = -1
        self.num_inferred = 0
        self._open: ExitStack | None = None
        self._writer: LosslessWriter | None = None

    def known(self, frame: int) -> np.ndarray | None:
        """The output of ``frame``, (H, W, 3) uint8, if its chunk is stored."""
        chunk = chunk_of(self.chunks, frame)
        if self.store is None or not self.store.is_done(chunk.number):
            self.num_inferred += 1
            return None
        if self._reading is None or self._next != frame or frame == chunk.first:
            self._reading = read_lossless(self.store.path(chunk.number))
            for _ in range(frame - chunk.first):
                next(self._reading)
        self._next = frame + 1
        return next(self._reading)

    def keep(self, frame: int, output: np.ndarray) -> None:
        """Store an output, unless its chunk is stored already or was entered in its middle."""
        if self.store is None:
            return
        chunk = chunk_of(self.chunks, frame)
        if frame == chunk.first and not self.store.is_done(chunk.number):
            self._open = ExitStack()
            path = self._open.enter_context(self.store.writing(chunk.number))
            self._writer = LosslessWriter(path, *self.size)
        if self._writer is None or self._open is None:
            return
        self._writer.write(output)
        if frame == chunk.stop - 1:
            self._writer.close()
            self._open.close()
            self._open = self._writer = None

    def close(self) -> None:
        """Drop a chunk that was not finished; may be called more than once."""
        if self._writer is not None and self._open is not None:
            self._writer.abandon()
            error = Interrupted()
            self._open.__exit__(type(error), error, None)
            self._open = self._writer = None
        self._reading = None
