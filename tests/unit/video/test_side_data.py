"""Frames with and without side data are freed as soon as they are converted."""

from __future__ import annotations

import gc
from pathlib import Path

import av
import pytest
from clips import moving_frames, write_clip
from oddities import turned

from vidtrans.video.io.reader import ClipReader

NUM_FRAMES = 24
DECODER_HOLDS = 4  # decoded pictures: the one that is converted, and those that threads are ahead


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0)], ids=["plain", "turned"])
def test_decoded_pictures_do_not_wait_for_the_garbage_collector(matrix: tuple[int, int, int, int] | None) -> None:
    write_clip(Path("clip.mp4"), moving_frames(NUM_FRAMES, (64, 48)))
    if matrix:
        turned(Path("clip.mp4"), matrix)
    gc.collect()
    gc.disable()
    try:
        with ClipReader(Path("clip.mp4"), threads=1) as reader:
            assert sum(1 for _ in reader.frames()) == NUM_FRAMES
            waiting = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert waiting <= DECODER_HOLDS
