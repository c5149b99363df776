"""Animated GIFs, read by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from chain import said
from clips import moving_frames, scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oddities import write_frames
from PIL import Image

from vidtrans.video.images.picture_header import num_plays
from vidtrans.video.io.encoder import MAX_FRAME_CS, MIN_FRAME_CS, _keep_priority, gif_schedule, write_gif

repeatable = hypothesis_settings(max_examples=20)


def made(
    frames: Sequence[np.ndarray], rate: Fraction = Fraction(25), times: Sequence[Fraction] | None = None
) -> tuple[list[np.ndarray], list[int]]:
    """The pictures (H, W, 4) of a GIF as a viewer shows them, and their durations in centiseconds."""
    stamps = times or [i / rate for i in range(len(frames))]
    write_gif(lambda: iter(frames), stamps, [1 / rate] * len(frames), Path("a.gif"))
    return viewed(Path("a.gif"))


def viewed(path: Path) -> tuple[list[np.ndarray], list[int]]:
    pictures, durations = [], []
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        for i in range(gif.n_frames):  # type: ignore[attr-defined]
            gif.seek(i)
            pictures.append(np.asarray(gif.convert("RGBA")))
            durations.append(gif.info["duration"] // 10)
    return pictures, durations


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one[..., :3].astype(int) - other[..., :3]).mean())


def test_every_frame_is_there_for_its_time_and_near_its_colours() -> None:
    frames = moving_frames(10)
    pictures, durations = made(frames)
    kept = Path("a.gif").read_bytes()
    made(frames)
    assert Path("a.gif").read_bytes() == kept
    assert durations == [4] * 10
    for at, (picture, frame) in enumerate(zip(pictures, frames, strict=True)):
        assert (picture[..., 3] == 255).all()
        assert error(picture, frame) < min(9, error(picture, frames[at - 1]))


def avif(path: Path, plays: int) -> None:
    frames = [np.full((64, 64, 3), 80 * i, np.uint8) for i in range(3)]
    with _keep_priority():
        pictures = write_frames(Path("p.mkv"), frames, "libsvtav1", "yuv420p")
    with closing(av.open(str(pictures))) as read:
        options = {"loop": str(plays)}
        with closing(av.open(str(path), "w", format="avif", options=options)) as out:
            track = out.add_stream_from_template(read.streams.video[0], opaque=True)
            for packet in read.demux(video=0):
                if packet.dts is not None:
                    packet.stream = track
                    out.mux(packet)


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_plays_are_read_and_carried_to_a_gif(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = Path(f"a.{kind}")
    first, *more = (Image.fromarray(np.full((64, 64, 3), 80 * i, np.uint8)) for i in range(3))
    for plays in (0, 1, 4):
        if kind == "avif":
            avif(source, plays)
        else:
            repeats = {"loop": plays} if kind != "gif" else {0: {"loop": 0}, 1: {}, 4: {"loop": 3}}[plays]
            first.save(source, save_all=True, append_images=more, duration=100, **repeats)
        assert num_plays(source) == plays
    said(capsys, 0, "stylize", source, "--model", "identity", "-o", "out.gif")
    assert num_plays(Path("out.gif")) == 4


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\0\0\0\x10ftypavis\0\0\0\0\0\0\0\x20moov\0\0", b"RIFF\0\0\0\0WEBP"])
def test_of_a_damaged_file_the_plays_are_not_known(data: bytes) -> None:
    Path("a.gif").write_bytes(data)
    assert num_plays(Path("a.gif")) is None


def test_what_does_not_move_holds_still() -> None:
    frames = [scene(80, 60, seed=1).copy() for _ in range(6)]
    for i, frame in enumerate(frames):
        frame[5:15, 10 * i : 10 * i + 10] = (250, 40, 40)
    pictures, _ = made(frames)
    for (one, following), (before, after) in zip(pairwise(pictures), pairwise(frames), strict=True):
        still = (before == after).all(axis=2)
        assert still.mean() > 0.9
        assert (one[still] == following[still]).all()


def test_what_is_transparent_is_so_and_leaves_nothing_behind() -> None:
    frames = [np.dstack([f, np.zeros(f.shape[:2], np.uint8)]) for f in moving_frames(6)]
    for i, frame in enumerate(frames):
        frame[10:30, 8 * i : 8 * i + 12, 3] = 255
        frame[12:20, 8 * i : 8 * i + 12, 3] = 128
        frame[30:40, :, 3] = 127
    for picture, frame in zip(made(frames)[0], frames, strict=True):
        seen = frame[..., 3] >= 128
        assert (picture[..., 3] == np.where(seen, 255, 0)).all()
        assert error(picture[seen], frame[seen]) < 9


@repeatable
@given(
    st.lists(st.fractions(Fraction(1, 500), 2, max_denominator=1000), min_size=1, max_size=30),
    st.fractions(-5, 5, max_denominator=1000),
)
def test_every_start_is_within_a_centisecond(durations: list[Fraction], first: Fraction) -> None:
    times = [first + sum(durations[:i]) for i in range(len(durations))]
    shown, last_cs = gif_schedule(times, durations)
    starts = [start for parts in shown for start in parts]
    assert starts[0] == 0
    assert all(b - a >= MIN_FRAME_CS for a, b in pairwise(starts))
    for parts, time in zip(shown, times, strict=True):
        assert not parts or 0 <= round((time - first) * 100) - parts[0] <= 1
    assert last_cs >= MIN_FRAME_CS
    assert 0 <= starts[-1] + last_cs - round(sum(durations) * 100) <= 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to offer")
def test_a_full_disk_is_told() -> None:
    frames, times = moving_frames(3, (320, 240)), [Fraction(i) for i in range(3)]
    with pytest.raises(OSError, match="No space left"):
        write_gif(lambda: iter(frames), times, [Fraction(1)] * 3, Path("/dev/full"))


def test_a_very_long_hold_is_counted_in_parts() -> None:
    starts, last_cs = gif_schedule([Fraction(0), Fraction(1000)], [Fraction(1000), Fraction(1)])
    assert (starts, last_cs) == ([[0, MAX_FRAME_CS], [100_000]], 100)


@pytest.mark.parametrize("count", [3, 5])
def test_frames_and_times_must_be_as_many(count: int) -> None:
    frames, lasting = [np.full((8, 8, 3), 10 * i, np.uint8) for i in range(4)], [Fraction(1, 25)] * count
    with pytest.raises(ValueError, match=r"times|argument"):
        write_gif(lambda: iter(frames), [Fraction(i, 25) for i in range(count)], lasting, Path("a.gif"))
    with pytest.raises(ValueError, match="no frames"):
        write_gif(lambda: iter(()), [Fraction(0)], [Fraction(1)], Path("a.gif"))
    with pytest.raises(ValueError, match="durations"):
        write_gif(lambda: iter(frames), [Fraction(0)] * 4, lasting, Path("a.gif"))
