"""The writer of chunks: the same files from one encoder and from several, and nothing of chunks that fail."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import moving_frames

from vidtrans.core.errors import MediaError
from vidtrans.core.events import ignore_event
from vidtrans.store.cache import Cache, CacheEntry
from vidtrans.store.chunking import Chunk, cut_into_chunks
from vidtrans.store.chunks import ChunkStore, ChunkWriter
from vidtrans.video.io.encoder import SegmentWriter, read_lossless
from vidtrans.video.io.encoding import CODECS, EncodingSettings, PictureFormat

FRAMES = moving_frames(22)
CHUNKS = cut_into_chunks(0, len(FRAMES), (0, 9), 4)
FORMAT = PictureFormat(64, 48, Fraction(1), Fraction(1, 25), Fraction(25))


@pytest.fixture
def entry(tmp_path: Path) -> CacheEntry:
    return Cache(tmp_path / "cache", ignore_event).entry("render", "0" * 64)


def segment(codec: str) -> object:
    return lambda path: SegmentWriter(path, FORMAT, EncodingSettings(codec=codec))


@pytest.mark.parametrize("codec", ["ffv1", "h264"])
def test_files_do_not_depend_on_the_number_of_encoders(codec: str, tmp_path: Path) -> None:
    found = []
    for encoders in (1, 3):
        entry = Cache(tmp_path / f"cache{encoders}", ignore_event).entry("render", "0" * 64)
        with entry.locked():
            store, stored = ChunkStore(entry, ".nut"), list[Chunk]()
            with closing(ChunkWriter(store, CHUNKS, segment(codec), stored.append, encoders)) as writer:  # type: ignore[arg-type]
                buffer = np.empty_like(FRAMES[0])
                for number, frame in enumerate(FRAMES):
                    buffer[:] = frame  # its memory is used again for the next frame
                    writer.write(number, buffer, number)
                writer.finish()
            assert stored == CHUNKS
            found.append([store.path(chunk.number).read_bytes() for chunk in CHUNKS])
    assert found[0] == found[1]


class Failing:
    """An encoder that waits for ``begin``, and, if it ``fails``, raises an error at its third picture."""

    def __init__(self, path: Path, begin: threading.Event, *, fails: bool) -> None:
        self.path, self.begin, self.fails, self.count = path, begin, fails, 0
        path.write_bytes(b"")

    def write(self, picture: np.ndarray, *stamps: int) -> None:
        self.begin.wait(10)
        self.count += 1
        if self.fails and self.count == 3:
            raise MediaError("encoding", "it broke", "choose another")
        with self.path.open("ab") as file:
            file.write(picture.tobytes()[:1])

    def close(self) -> None: ...

    abandon = close


def test_an_encoder_that_fails_stops_the_others_and_leaves_no_part_of_a_chunk(entry: CacheEntry) -> None:
    begin = threading.Event()
    with entry.locked():
        store = ChunkStore(entry, ".nut")
        made: list[Path] = []

        def start(path: Path) -> Failing:
            """An encoder; that of the second chunk fails."""
            made.append(path)
            return Failing(path, begin, fails=len(made) == 2)

        with closing(ChunkWriter(store, CHUNKS, start, encoders=3)) as writer:  # type: ignore[arg-type]
            with suppress(MediaError):  # it may come before the last frame
                for number, frame in enumerate(FRAMES[:12]):
                    writer.write(number, frame, number)
                    if number == 9:  # frames of three chunks wait
                        assert len(made) == 3
                        begin.set()
                writer.finish()
            assert not store.is_done(1)
        fresh = ChunkStore(entry, ".nut")
        assert not fresh.is_done(1)
        assert {path.name for path in entry.folder.iterdir() if "tmp" in path.name or ".part" in path.name} == set()


def test_a_chunk_that_lacks_frames_is_not_stored_and_a_full_memory_waits(
    entry: CacheEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidtrans.store.chunks.WAITING_BYTES", FRAMES[0].nbytes)
    with entry.locked():
        store, most, waiting = ChunkStore(entry, ".nut"), [0], [0]

        class Slow(SegmentWriter):
            """An encoder that counts the pictures which wait for it."""

            def write(self, picture: np.ndarray, *stamps: int) -> None:
                time.sleep(0.002)
                super().write(picture, *stamps)
                waiting[0] -= 1

        def start(path: Path) -> Slow:
            return Slow(path, FORMAT, EncodingSettings(codec="ffv1"))

        with closing(ChunkWriter(store, CHUNKS, start, encoders=2)) as writer:
            for number in range(2, 15):  # the first chunk lacks its first frames, the last one its last
                waiting[0] += number >= CHUNKS[1].first
                most[0] = max(most[0], waiting[0])
                writer.write(number, FRAMES[number], number)
            writer.finish()
        assert [store.is_done(chunk.number) for chunk in CHUNKS[:4]] == [False, True, True, True]
        assert not any(store.is_done(chunk.number) for chunk in CHUNKS[4:])
        assert most[0] <= 5
        assert np.array_equal(next(read_lossless(store.path(1))), FRAMES[CHUNKS[1].first])


def test_cores_are_shared_between_encoders() -> None:
    assert [CODECS["h264"].side_by_side(cores) for cores in (1, 2, 6, 16)] == [1, 1, 1, 3]
    assert [CODECS["ffv1"].side_by_side(cores) for cores in (2, 8)] == [1, 6]
    assert CODECS["h265"].side_by_side(16) == 7
    assert CODECS["h264-nvenc"].side_by_side(64) == CODECS["av1"].side_by_side(64) == 1
