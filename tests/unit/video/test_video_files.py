"""Colour that stays, lossless storage, pictures, what the headers say, and files that are no video."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import moving_frames, scene, write_clip

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.video.colour.conversion import FromRGB, ToRGB, to_uint16
from vidtrans.video.io.encoder import LosslessWriter, SegmentWriter, read_lossless
from vidtrans.video.io.encoding import CODECS, EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join
from vidtrans.video.io.reader import ClipReader

PATCHES = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 120, 40)]


def patches(width: int = 560, height: int = 32) -> np.ndarray:
    stripes = np.array(PATCHES, np.uint8)[np.arange(width) * len(PATCHES) // width]
    return np.broadcast_to(stripes, (height, width, 3)).copy()


def encode(
    path: Path, frames: list[np.ndarray], settings: EncodingSettings, size: tuple[int, int], source_depth: int = 8
) -> Path:
    segment = path.with_suffix(".segment")
    form = PictureFormat(*size, Fraction(1), Fraction(1, 25), Fraction(25), settings.depth_for(source_depth))
    writer = SegmentWriter(segment, form, settings)
    for i, frame in enumerate(frames):
        writer.write(frame, i)
    writer.close()
    join([segment], Timing(range(len(frames)), [1] * len(frames), Fraction(1, 25)), path)
    return path


def read(path: Path) -> list[np.ndarray]:
    with ClipReader(path) as reader, closing(reader.frames()) as frames:
        return [f.rgb for f in frames]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("codec", [name for name, codec in CODECS.items() if not codec.unpacked and not codec.software])
def test_colours_come_back_as_they_were(tmp_path: Path, codec: str, depth: int) -> None:
    size = (280, 128) if CODECS[codec].even else (281, 129)
    settings = EncodingSettings(codec=codec, crf=4)  # nearly no loss: what is left is the conversion's
    pictures = [patches(*size), cv2.GaussianBlur(scene(*size, seed=2), (0, 0), 4)]
    for number, picture in enumerate(pictures):
        path = tmp_path / f"{number}{settings.default_suffix(single=False)}"
        encode(path, [picture if depth == 8 else to_uint16(picture)] * 2, settings, size, source_depth=depth)
        for back in read(path):
            error = np.abs(back.astype(int) - picture)
            assert error.mean() <= (0 if codec == "ffv1" else 2)
            # No channel is shifted as a whole, as it is where tags and pixels disagree.
            assert np.abs((back.astype(int) - picture).mean(axis=(0, 1))).max() <= 2


@pytest.mark.parametrize(("lines", "space"), [(48, "ITU601"), (720, "ITU709")])
def test_an_untagged_video_is_bt709_from_720_lines_up(lines: int, space: str) -> None:
    stripes = patches(70, lines)
    stored = av.VideoFrame.from_ndarray(stripes, format="rgb24").reformat(format="yuv444p", dst_colorspace=space)
    untagged = av.VideoFrame.from_ndarray(stored.to_ndarray(), format="yuv444p")
    assert np.abs(ToRGB(70, lines)(untagged).astype(int) - stripes).max() <= 4
    there = FromRGB(64, 32, "yuv444p")(np.full((17, 31, 3), (200, 120, 40), np.uint8))  # scaled to and fro
    assert (there.width, there.height, there.format.name) == (64, 32, "yuv444p")
    assert np.abs(ToRGB(20, 10)(there).astype(int) - (200, 120, 40)).max() <= 2


@pytest.mark.parametrize("size", [(33, 17), (1, 1)])
def test_raw_outputs_come_back_bit_for_bit(tmp_path: Path, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    pictures = [rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) for _ in range(6)]
    pictures += [patches(*size), np.zeros_like(pictures[0]), np.full_like(pictures[0], 255)]
    for name in ("a.nut", "b.nut"):
        writer = LosslessWriter(tmp_path / name, *size)
        for picture in pictures:
            writer.write(picture)
        writer.close()
    back = read_lossless(tmp_path / "a.nut")
    assert all(np.array_equal(a, b) for a, b in zip(back, pictures, strict=True))
    assert (tmp_path / "a.nut").read_bytes() == (tmp_path / "b.nut").read_bytes()
    (tmp_path / "a.nut").write_bytes(b"not nut at all")
    with pytest.raises(MediaError, match="damaged cache file"):
        list(read_lossless(tmp_path / "a.nut"))


def test_a_codec_refuses_a_container_that_cannot_hold_it() -> None:
    h264, ffv1, png = (EncodingSettings(codec=name) for name in ("h264", "ffv1", "png"))
    h264.check_container(Path("a.MP4"), single=False)
    with pytest.raises(UsageError, match=r"use \.mkv"):
        ffv1.check_container(Path("a.mp4"), single=False)
    with pytest.raises(UsageError, match=r"\.mp4, \.mov, \.mkv"):
        h264.check_container(Path("a"), single=False)
    with pytest.raises(UsageError, match=r"written as \.png"):
        png.check_container(Path("a"), single=True)
    for name in ("a.png", "a.mp4"):
        with pytest.raises(UsageError, match=r"into a folder — use -o a$"):
            png.check_container(Path(name), single=False)
    for settings in map(EncodingSettings, CODECS):
        for single in (True, False):
            settings.check_container(Path("a" + settings.default_suffix(single=single)), single=single)


def test_where_a_seek_lands_too_late_the_frames_are_right_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving_frames(20), options={"crf": "12", "g": "5"})
    whole = read(path)
    with ClipReader(path) as reader:
        assert list(reader.frames())
        index = reader.index()
        honest = reader._decoder.seek
        monkeypatch.setattr(reader._decoder, "seek", lambda pts: honest(index.pts[18] if pts else 0))
        found = list(reader.frames(7, 12, index))
    assert [f.index for f in found] == list(range(7, 12))
    assert all(np.array_equal(f.rgb, whole[f.index]) for f in found)
