"""Record the pictures of a live session as a video with a variable frame rate."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import time
from array import array
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError, describe_error
from vidtrans.core.files import write_atomically
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join

TIME_BASE = Fraction(1, 1000)
QUEUE_LENGTH = 8  # Pictures that wait for the encoder; further ones are lost
ENCODING = EncodingSettings(codec="h264", preset="veryfast")


class Recorder:
    """A video at ``path`` that is written until it is closed; ``on_failure(problem)`` is called in its thread.

    The video has the size of the first picture, rounded up to even sides; other pictures are scaled to it. Until then
    the video is a playable ``.nut`` file beside ``path``, which stays there if the video cannot be finished.
    """

    def __init__(
        self, path: Path, on_failure: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path, self._clock, self._on_failure = path, clock, on_failure
        self._pictures: queue.Queue[tuple[np.ndarray, float] | None] = queue.Queue(QUEUE_LENGTH)
        self._stamps = array("q")
        self._segment = path.with_suffix(".nut")
        self.num_lost, self._has_failed = 0, False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def num_frames(self) -> int:
        return len(self._stamps)

    @property
    def summary(self) -> str:
        """Return a line for the terminal."""
        lost = f"; the encoder was too slow, and lost {self.num_lost}" if self.num_lost else ""
        return f"recorded {self.path}, pictures: {self.num_frames}{lost}"

    def write(self, picture: np.ndarray) -> None:
        """Queue a picture, (H, W, 3) uint8, with the current time; count it as lost if the queue is full."""
        try:
            self._pictures.put_nowait((picture, self._clock()))
        except queue.Full:
            self.num_lost += 1

    def close(self) -> Path | None:
        """Finish the video and return its path; None if there were no pictures or it cannot be written."""
        ended = self._clock()
        self._pictures.put(None)
        self._thread.join()
        try:
            if self._has_failed or not self._stamps:
                return None
            last = max(self._stamps[-1] + 1, round(1000 * (ended - self._began)))
            durations = np.diff([*self._stamps, last]).tolist()
            with write_atomically(self.path) as partial:
                join([self._segment], Timing(self._stamps, durations, TIME_BASE), partial, kind="mp4")
        except (OSError, MediaError) as error:
            self._fail(error)
            return None
        self._segment.unlink(missing_ok=True)
        return self.path

    def _run(self) -> None:
        writer: SegmentWriter | None = None
        while (item := self._pictures.get()) is not None:
            if self._has_failed:
                continue  # Empty the queue, so that ``close`` does not block
            try:
                picture, now = item
                if writer is None:
                    self._began = now
                    height, width = picture.shape[:2]
                    sides = width + width % 2, height + height % 2
                    form = PictureFormat(*sides, Fraction(1), TIME_BASE, Fraction(30))
                    writer = SegmentWriter(self._segment, form, ENCODING)
                stamp = max(round(1000 * (now - self._began)), self._stamps[-1] + 1 if self._stamps else 0)
                writer.write(picture, stamp)
                self._stamps.append(stamp)
            except Exception as error:
                self._fail(error)
        try:
            if writer is not None:
                writer.abandon() if self._has_failed else writer.close()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._has_failed = True
        line, _ = describe_error(error) or (f"{type(error).__name__}: {error}", 1)
        partial = f"; the part recorded so far is in {self._segment}" if self._segment.is_file() else ""
        self._on_failure(line + partial)


class Recordings:
    """Consecutive video recordings of a live session in a folder."""

    def __init__(self, folder: Path, on_failure: Callable[[str], None]) -> None:
        self._folder, self._on_failure = folder, on_failure
        self._recorder: Recorder | None = None
        self._used_paths: set[Path] = set()  # Paths of recordings, whose files may not exist yet
        self.last: Path | None = None

    @property
    def is_on(self) -> bool:
        return self._recorder is not None

    def begin(self, model: str) -> None:
        """Start a video named after the model and the time, unless a recording runs. Raises OSError."""
        if self._recorder is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._new_path(model)
            self._used_paths.add(path)
            self._recorder = Recorder(path, self._on_failure)

    def write(self, picture: np.ndarray) -> None:
        """Add a picture, (H, W, 3) uint8, with the current time, if a recording runs."""
        if (recorder := self._recorder) is not None:
            recorder.write(picture)

    async def end(self) -> Recorder | None:
        """Finish the video in another thread, as it may take seconds; return its recorder, or None without a file."""
        recorder, self._recorder = self._recorder, None
        if recorder is None or await asyncio.to_thread(recorder.close) is None:
            return None
        self.last = recorder.path
        return recorder

    def _new_path(self, model: str) -> Path:
        stem = f"{model}.live-{datetime.now():%Y-%m-%d-%H.%M.%S}"
        names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
        paths = (self._folder / f"{name}.mp4" for name in names)
        return next(path for path in paths if path not in self._used_paths and not path.exists())
