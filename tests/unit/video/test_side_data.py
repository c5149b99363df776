"""Side data of tracks and frames: a decision on each kind; cropping; stereo 3D and projections from file to file."""

from __future__ import annotations

import ctypes
import gc
from contextlib import closing
from fractions import Fraction
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import moving_frames, write_clip
from oddities import FAST, boxed, clean_aperture, dolby_vision, remux, spherical, stereo, turned
from streams import stream_of

from vidtrans.core.settings import Size
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.container import probe
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import CODECS, EncodingSettings, PictureFormat
from vidtrans.video.io.join import StreamCopy, Timing, join
from vidtrans.video.io.reader import ClipReader
from vidtrans.video.side_data import (
    FRAME_KINDS,
    TRACK_KINDS,
    SideDataKind,
    has_dolby_vision_only,
    projection_of,
    stereo_of,
)

NUM_FRAMES = 24
DECODER_HOLDS = 4  # decoded pictures: the one that is converted, and those that threads are ahead
BASE = Fraction(1, 25)


def test_decoded_pictures_do_not_wait_for_the_garbage_collector() -> None:
    def alive() -> int:
        return sum(issubclass(type(thing), av.VideoFrame) for thing in gc.get_objects())  # not dead proxies

    turned(write_clip(Path("clip.mp4"), moving_frames(NUM_FRAMES, (64, 48))), (0, 1, -1, 0))
    gc.collect()
    gc.disable()
    others = alive()  # of readers that other tests left to the end of the process
    try:
        with ClipReader(Path("clip.mp4"), threads=1) as reader:
            assert sum(1 for _ in reader.frames()) == NUM_FRAMES
            waiting = alive() - others
    finally:
        gc.enable()
    assert waiting <= DECODER_HOLDS


@pytest.mark.parametrize(
    ("kinds", "library", "function"),
    [(FRAME_KINDS, "avutil", "av_frame_side_data_name"), (TRACK_KINDS, "avcodec", "av_packet_side_data_name")],
    ids=["frames", "tracks"],
)
def test_every_kind_of_ffmpegs_has_a_decision(kinds: dict[str, SideDataKind], library: str, function: str) -> None:
    """A new FFmpeg may know more: decide on each in the table."""
    package = Path(av.__file__).parent
    folders = (package.with_name("av.libs"), package / ".dylibs")
    found = [file for folder in folders for file in folder.glob(f"*{library}[-.]*")]
    if not found:
        pytest.skip("PyAV comes without libraries of its own")
    name_of = getattr(ctypes.CDLL(str(found[0])), function)
    name_of.restype = ctypes.c_char_p
    assert [*kinds] == [name.decode() for name in takewhile(bool, map(name_of, count()))]


def source(size: tuple[int, int] = (96, 64), **more: Any) -> Path:
    return write_clip(Path("plain.mp4"), moving_frames(4, size), options=FAST, **more)


@pytest.mark.parametrize(
    ("name", "shown"), [("a.mp4", (64, 40, 0, 0)), ("a.mkv", (61, 37, 7, -5)), ("turned.mp4", (61, 37, 7, -5))]
)
def test_pictures_are_cropped_as_their_container_says(name: str, shown: tuple[int, int, int, int]) -> None:
    plain, made = source(), Path(name)
    boxed(plain, Path("boxed.mp4"), clean_aperture(*shown))
    if name == "turned.mp4":
        turned(Path("boxed.mp4").replace(made), (0, 1, -1, 0))
    else:
        remux(Path("boxed.mp4"), made)
    width, height, x, y = shown
    left, top = (96 - width + x + 1) // 2, (64 - height + y + 1) // 2
    with ClipReader(plain) as reader:
        wanted = [frame.rgb[top : top + height, left : left + width] for frame in reader.frames()]
    with ClipReader(made) as reader:
        frames = list(reader.frames())
        index = reader.index()
        again = next(reader.frames(2, 3, index))
    assert probe(made).crop == (left, top, 96 - width - left, 64 - height - top)
    if name == "turned.mp4":
        wanted = [np.rot90(picture, -1) for picture in wanted]
    for frame, picture in zip([*frames, again], [*wanted, wanted[2]], strict=True):
        np.testing.assert_array_equal(frame.rgb, picture)
    assert (index.width, index.height) == wanted[0].shape[1::-1]
    assert (index.findings.resized, index.findings.reading) == (0, 2)
    with ClipReader(made, FrameFormat(Size(short=16))) as reader:
        assert min(next(reader.frames()).rgb.shape[:2]) == 16


@pytest.mark.parametrize(
    ("profile", "compatibility", "named", "ending"), [(5, 0, "5", "mp4"), (8, 4, "8.4", "mkv"), (10, 0, "10.0", "mp4")]
)
def test_dolby_vision_is_named_by_its_profile(profile: int, compatibility: int, named: str, ending: str) -> None:
    boxed(source(), Path("a.mp4"), dolby_vision(profile, compatibility))
    path = Path("a.mp4") if ending == "mp4" else remux(Path("a.mp4"), Path("a.mkv"))
    assert probe(path).dolby_vision == named


def attached(path: Path) -> tuple[str, str]:
    with closing(av.open(str(path))) as container:
        frame = next(container.decode(video=0))
        return stereo_of(frame), projection_of(frame)


HELD = [("h264", "mp4"), ("h265", "mkv"), ("av1", "mp4"), ("prores", "mov"), ("dnxhr", "mov"), ("ffv1", "mkv")]


@pytest.mark.parametrize(("name", "ending"), HELD)
def test_stereo_3d_and_projection_are_written_and_nothing_else_changes(name: str, ending: str) -> None:
    codec = CODECS[name]
    film = boxed(source(), Path("film.mp4"), stereo(1), spherical())
    picture = PictureFormat(256, 128, Fraction(1), BASE, 1 / BASE, codec.depths[0], False)
    with closing(SegmentWriter(Path("segment"), picture, EncodingSettings(codec=name))) as writer:
        for number in range(3):
            writer.write(np.full((128, 256, 3), 40 * number, np.uint8 if codec.depths[0] == 8 else np.uint16), number)
    found: list[dict[str, Any]] = []
    for carried in (StreamCopy(film), StreamCopy(film, stereo="top_bottom", projection="equirectangular")):
        made = Path(f"{len(found)}.{ending}")
        join([Path("segment")], Timing(range(3), (1,) * 3, BASE), made, carried, tag=codec.tag)
        with closing(av.open(str(made))) as container:
            context = container.streams.video[0].codec_context
            data = [bytes(p) for p in container.demux(video=0) if p.size]
            more = {"extradata": context.extradata, "depth": context.bits_per_coded_sample, "profile": context.profile}
        found.append({**stream_of(made), **more, "data": data, "aspect": None})
    assert found[0] == found[1]
    assert attached(Path(f"0.{ending}")) == ("", "")
    assert attached(Path(f"1.{ending}")) == ("" if ending == "mov" else "top_bottom", "equirectangular")


FLAT = [(name, ending, "") for name, ending in HELD]


@pytest.mark.parametrize(
    ("name", "ending", "layout"), [*FLAT, ("h264", "mp4", "left_right"), ("av1", "mkv", "left_right")]
)
def test_the_aspect_of_pixels_is_written_by_every_codec(name: str, ending: str, layout: str) -> None:
    codec, aspect, made = CODECS[name], Fraction(3, 2), Path(f"a.{ending}")
    picture = PictureFormat(256, 128, aspect, BASE, 1 / BASE, codec.depths[0], False)
    with closing(SegmentWriter(Path("segment"), picture, EncodingSettings(codec=name))) as writer:
        writer.write(np.zeros((128, 256, 3), np.uint8 if codec.depths[0] == 8 else np.uint16), 0)
    film = StreamCopy(boxed(source(), Path("film.mp4"), stereo(2)), stereo=layout)
    join([Path("segment")], Timing([0], [1], BASE), made, film, tag=codec.tag, aspect=aspect)
    assert stream_of(made)["aspect"] == aspect
    assert attached(made) == (layout, "")


@pytest.mark.parametrize(
    ("header", "alone"), [("020012000001000017010100", True), ("020012000100000017010000", False), ("0200", False)]
)
def test_dolby_vision_is_known_by_its_frames(header: str, alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (16).to_bytes(8, "little") + bytes(8) + bytes.fromhex(header)
    monkeypatch.setattr("vidtrans.video.side_data.side_data", lambda frame, kind: data)
    assert has_dolby_vision_only(av.VideoFrame(16, 16)) is alone
