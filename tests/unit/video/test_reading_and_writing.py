"""Frames in and out: every frame once, upright, at its own time; sound packet for packet; colour that stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import decode, moving_frames, number_in, numbered, same_frames, scene, sound_packets, times, write_clip

from vidtrans.core.errors import MediaError
from vidtrans.video.io.clip import ClipIndex, Frame
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import StreamCopy, Timing, join
from vidtrans.video.io.reader import ClipReader

B_FRAMES = {"crf": "12", "preset": "medium", "g": "12", "bf": "3"}
OPEN_GOP = {"crf": "12", "x264-params": "open-gop=1:keyint=10:min-keyint=10:bframes=3:scenecut=0"}
VFR = list(accumulate([0, 512, 40, 3000, 511, 513, 1024, 48, 900, 20_000, *[512] * 30]))


def read(path: Path, start: int = 0, stop: int | None = None, index: ClipIndex | None = None, threads: int = 0):
    with ClipReader(path, threads=threads) as reader, closing(reader.frames(start, stop, index)) as frames:
        return list(frames)


def index_of(path: Path) -> ClipIndex:
    with ClipReader(path) as reader:
        for _ in reader.frames():
            pass
        return reader.index()


CLIPS = {
    "cfr": {},
    "b-frames": {"options": B_FRAMES},
    "open-gop": {"options": OPEN_GOP},
    "vfr": {"pts": VFR, "options": B_FRAMES},
    "starts-late": {"pts": [15_360 + 512 * i for i in range(40)], "options": B_FRAMES},
    "odd": {"size": (63, 47), "pix_fmt": "yuv444p"},
    "intra-refresh": {"options": {"crf": "12", "x264-params": "intra-refresh=1:keyint=12"}},
}


@pytest.mark.parametrize("name", [*(f"{name}.mp4" for name in CLIPS if name != "cfr"), "vfr.mkv"])
def test_every_frame_is_read_once_at_its_own_time_from_any_start(name: str) -> None:
    made, path = dict(CLIPS[name.split(".")[0]]), Path(name)
    write_clip(path, numbered(moving_frames(40, made.pop("size", (64, 48)))), **made)
    expected, base, pictures = decode(path)
    whole, index = read(path, threads=1), index_of(path)
    assert [f.index for f in whole] == list(range(40))
    assert [f.pts for f in whole] == expected == list(index.pts)
    assert index.time_base == base
    assert (index.width, index.height) == pictures[0].shape[1::-1]
    assert index.num_rebuilt_pts == 0
    assert [number_in(f.rgb) for f in whole] == list(range(40))
    for threads in (1, 2):
        with ClipReader(path, threads=threads) as reader:  # one reader, jumping about
            for start in (17, 1, 39, 9, 10, 11, 12, 24, 0, 30):
                stop = min(start + 3, 40)
                assert same_frames(list(reader.frames(start, stop, index)), whole[start:stop]), start
            assert same_frames(list(reader.frames(25, None, index)), whole[25:])


def test_a_range_that_is_empty_or_past_the_end_gives_no_frames(clip: Path) -> None:
    index = index_of(clip)
    assert read(clip, 5, 5, index) == read(clip, 7, 5) == read(clip, 40, 50) == read(clip, 40, 50, index) == []
    assert len(read(clip, 38, 99, index)) == 2


def test_a_file_that_changed_since_it_was_indexed_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", moving_frames(10))
    index = index_of(path)
    write_clip(path, moving_frames(8))
    with pytest.raises(MediaError, match=r"ended at frame 8 of 10"):
        read(path, 0, None, index)
    write_clip(path, moving_frames(10), rate=25)
    with pytest.raises(MediaError, match="changed while it was read"):
        read(path, 0, None, index)


def chunked(frames: Sequence[Frame], length: int) -> Iterator[Sequence[Frame]]:
    return (frames[i : i + length] for i in range(0, len(frames), length))


def picture_format(index: ClipIndex) -> PictureFormat:
    return PictureFormat(index.width, index.height, index.sample_aspect_ratio, index.time_base, index.rate)


def write_segments(frames: Sequence[Frame], length: int, picture: PictureFormat, folder: Path) -> list[Path]:
    segments = []
    for number, part in enumerate(chunked(frames, length)):
        segments.append(folder / f"{number}.nut")
        writer = SegmentWriter(segments[-1], picture, EncodingSettings(codec="h264"))
        for frame in part:
            writer.write(frame.rgb, frame.pts)
        writer.close()
    return segments


def packet_durations(path: Path) -> list[Fraction]:
    with closing(av.open(str(path))) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        return [p.duration * p.time_base for p in sorted(packets, key=lambda p: p.pts)]


@pytest.mark.parametrize(
    ("name", "pts", "length"),
    [
        ("late.mp4", [15_360 + 512 * i for i in range(40)], 60),
        ("odd-start.mkv", [p + 100 for p in VFR], 7),
    ],
    ids=["late", "mkv"],
)
def test_what_is_joined_keeps_times_and_sound(tmp_path: Path, name: str, pts: list[int] | None, length: int) -> None:
    source = write_clip(tmp_path / name, moving_frames(40), pts=pts, sound=True)
    index, output = index_of(source), tmp_path / f"out{source.suffix}"
    segments = write_segments(read(source), length, picture_format(index), tmp_path)
    num_packets = join(segments, Timing(index.pts, index.durations(), index.time_base), output, StreamCopy(source))
    assert times(output) == times(source)
    assert index_of(output).durations()[:-1] == index.durations()[:-1]
    assert source.stem != "late" or index_of(output).last_duration == index.last_duration
    # mp4 stores the steps of decoding, not how long a frame is shown.
    if output.suffix == ".mkv":  # whose readers give the default duration where a frame has nearly this
        kept = zip(packet_durations(output), index.durations(), strict=True)
        assert max(abs(duration - d * index.time_base) for duration, d in kept) <= Fraction(1, 1000)
    assert sound_packets(output) == sound_packets(source)
    assert num_packets == len(sound_packets(source)) > 0


@pytest.mark.parametrize(("suffix", "length"), [(".mp4", 4), (".mkv", 60)])
def test_a_last_frame_that_is_held_is_held_in_the_result(tmp_path: Path, suffix: str, length: int) -> None:
    gaps, held, base = [*[512] * 5, 900, *[512] * 6], 3 * 15_360, Fraction(1, 15_360)
    pts = list(accumulate([0, *gaps]))
    frames = [Frame(i, p, f) for i, (p, f) in enumerate(zip(pts, moving_frames(len(pts), (32, 32)), strict=True))]
    segments = write_segments(frames, length, PictureFormat(32, 32, Fraction(1), base, Fraction(30)), tmp_path)
    join(segments, Timing(pts, [*gaps, held], base), tmp_path / f"out{suffix}")
    index = index_of(tmp_path / f"out{suffix}")
    assert index.last_duration * index.time_base == pytest.approx(3, abs=0.001)
    assert float(index.duration_s) == pytest.approx(float((pts[-1] + held) * base), abs=0.001)


def test_no_frame_is_lost_after_long_holds(tmp_path: Path) -> None:
    """A slide show: a picture is held for 20 s, another for 5 s, and a shot begins a frame later."""
    gaps = [*[512] * 29, 20 * 15_360, *[512] * 6, 5 * 15_360, *[512] * 21]
    pts, base, second = list(accumulate([0, *gaps])), Fraction(1, 15_360), 31
    drawn = numbered([np.roll(scene(64, 48, seed=1), i, axis=1) for i in range(len(pts))])
    frames = [Frame(i, p, f) for i, (p, f) in enumerate(zip(pts, drawn, strict=True))]
    picture, segments = PictureFormat(64, 48, Fraction(1), base, Fraction(30)), []
    for first, stop in pairwise([0, second, second + 7, len(pts)]):
        folder = tmp_path / str(first)
        folder.mkdir()
        segments += write_segments(frames[first:stop], 60, picture, folder)
    join(segments, Timing(pts, [*gaps, 512], base), tmp_path / "out.mp4")
    assert [number_in(f.rgb) for f in read(tmp_path / "out.mp4")] == list(range(len(pts)))
    assert times(tmp_path / "out.mp4") == [p * base for p in pts]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_trimmed_sound_is_what_overlaps_moved_to_the_start(tmp_path: Path, clip: Path, suffix: str) -> None:
    index = index_of(clip)
    segments = write_segments(read(clip)[15:30], 60, picture_format(index), tmp_path)
    timing = Timing([512 * i for i in range(15)], [512] * 15, index.time_base)
    output = tmp_path / f"out{suffix}"
    join(segments, timing, output, StreamCopy(clip, Fraction(1, 2), Fraction(1), -Fraction(1, 2)))
    kept, step = sound_packets(output), Fraction(1024, 44_100)
    expected = [(t, b) for t, b in sound_packets(clip) if t + step > Fraction(1, 2) and t < 1]
    assert [b for _, b in kept] == [b for _, b in expected]
    begins = times(output)[0]
    for (got, _), (was, _) in zip(kept, expected, strict=True):  # a Matroska file has no times below 0, all of it moves
        assert abs((got - begins) - (was - Fraction(1, 2))) <= Fraction(1, 1000)


def test_segments_that_do_not_fit_the_times_are_refused(tmp_path: Path, clip: Path) -> None:
    index = index_of(clip)
    segments = write_segments(read(clip)[:5], 60, picture_format(index), tmp_path)
    with pytest.raises(MediaError, match="5 encoded frames for 4 timestamps"):
        join(segments, Timing([0, 1, 2, 3], [1] * 4, index.time_base), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_clip_whose_edit_list_begins_before_a_keyframe_loses_nothing(real_data: Callable[[str], Path]) -> None:
    clip = real_data("media/ax_iibbibb_editlist_videoonly.mp4")
    with ClipReader(clip) as reader:
        assert [f.pts for f in reader.frames()] == [16384 * i for i in range(12)]
