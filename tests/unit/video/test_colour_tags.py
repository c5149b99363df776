"""Every colour tag of H.273: the colours that a frame with it is read as."""

from __future__ import annotations

import gc
import io
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pictures_of_all_kinds import rgb_profile
from PIL import Image, ImageCms

from vidtrans.video.colour.conversion import ToRGB, colours_of
from vidtrans.video.colour.tags import ADOBE_RGB
from vidtrans.video.io.pictures import open_reader
from vidtrans.video.io.reader import profile_of

P3_RED, BRICK = (234, 51, 36), (200, 60, 40)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def tagged(codes: tuple[int, ...], pix_fmt: str = "gbrp", **tags: int) -> av.VideoFrame:
    """A frame of 8 bits of one colour; ``codes`` in the order of its planes."""
    frame = av.VideoFrame(16, 16, pix_fmt)
    for plane, code in zip(frame.planes, codes, strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    for name, value in tags.items():
        setattr(frame, name, value)
    return frame


def read(frame: av.VideoFrame) -> np.ndarray:
    deep, shallow = (ToRGB(8, 8, deep=deep)(frame)[3, 3] for deep in (True, False))
    assert np.abs(deep / 257 - shallow).max() <= 1.01
    return shallow.astype(int)


def rgb(colour: tuple[int, int, int], primaries: int, transfer: int) -> av.VideoFrame:
    red, green, blue = colour
    return tagged((green, blue, red), color_primaries=primaries, color_trc=transfer)


# By the sRGB curve and Bradford, as the package colour-science computes them; it does not have 8 and 22 of H.273.
@pytest.mark.parametrize(
    ("primaries", "given", "right"),
    [
        (2, P3_RED, P3_RED),
        (4, BRICK, (236, 49, 16)),
        (5, BRICK, (204, 60, 40)),
        (6, BRICK, (195, 66, 39)),
        (7, BRICK, (195, 66, 39)),
        (8, BRICK, (226, 39, 21)),
        (11, P3_RED, (249, 2, 6)),
        (12, BRICK, (217, 42, 23)),
        (22, BRICK, (202, 66, 39)),
    ],
)
def test_primaries_become_those_of_bt709(
    primaries: int, given: tuple[int, int, int], right: tuple[int, int, int]
) -> None:
    transfer = 13
    frame = rgb(given, primaries, transfer)
    assert np.abs(read(frame) - right).max() <= 1
    assert bool(colours_of(frame).colour) == (right != given)
    assert (read(rgb((120, 120, 120), primaries, transfer)) == 120).all()


LIGHT = {4: 0.5**2.2, 5: 0.5**2.8, 8: 0.5, 9: 0.1, 10: 10**-1.25, 17: 0.5**2.6 * 52.37 / 48}


@pytest.mark.parametrize("transfer", range(1, 18))
def test_a_transfer_is_that_of_its_light(transfer: int) -> None:
    codes = read(rgb((128, 128, 128), 1, transfer))
    if transfer in LIGHT:
        light = LIGHT[transfer] * (128 / 127.5) ** 2
        srgb = 1.055 * light ** (1 / 2.4) - 0.055
        assert np.abs(codes - srgb * 255).max() <= 1.2
    else:
        assert (codes == 128).all() == (transfer != 16)
    assert (read(rgb((0, 0, 0), 1, transfer)) == 0).all()
    assert (read(rgb((255, 255, 255), 1, transfer)) >= 254).all()


@pytest.mark.parametrize("primaries", [1, 9])
@pytest.mark.parametrize(("matrix", "full"), [(0, False), (0, True), (8, False), (8, True), (12, False), (12, True)])
def test_matrices_that_swscale_lacks(matrix: int, full: bool, primaries: int) -> None:
    red, green, blue = (value / 255 for value in BRICK)
    shares = {1: (0.2126, 0.7152, 0.0722), 9: (0.2627, 0.6780, 0.0593), 12: (0.2290, 0.6917, 0.0793)}[primaries]
    luma = float(np.dot(shares, (red, green, blue)))
    derived = (luma, (blue - luma) / (2 - 2 * shares[2]), (red - luma) / (2 - 2 * shares[0]))
    ycgco = (green / 2 + (red + blue) / 4, green / 2 - (red + blue) / 4, (red - blue) / 2)
    yuv = {0: (green, blue, red), 8: ycgco, 12: derived}[matrix]
    scale, offset = ((255, 255), (0, 128)) if full else ((219, 224), (16, 128))
    kinds = (0, 0, 0) if matrix == 0 else (0, 1, 1)
    codes = tuple(round(offset[k] + scale[k] * value) for k, value in zip(kinds, yuv, strict=True))
    tags = {"colorspace": matrix, "color_primaries": primaries, "color_trc": 13, "color_range": 2 if full else 1}
    direct = read(rgb(BRICK, primaries, 13))
    frame = tagged(codes, "yuv444p", **tags)
    assert np.abs(read(frame) - direct).max() <= 3
    assert colours_of(frame).unread == ""


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({"color_primaries": 3, "color_trc": 256}, "primaries 3, transfer 256"),
        ({"colorspace": 14}, "matrix ICtCp"),
        ({"colorspace": 10}, "matrix BT.2020 constant luminance"),
        ({"colorspace": 0}, "matrix RGB"),
        ({"color_primaries": 12, "color_trc": 8, "colorspace": 7}, ""),
    ],
)
def test_what_is_not_known_is_named(tags: dict[str, int], named: str) -> None:
    assert colours_of(tagged((120, 100, 150), "yuv420p", **tags)).unread == named


def test_digital_cinema_is_converted_once() -> None:
    """Swscale makes sRGB of XYZ: the tags, which say XYZ and gamma 2.6, do not count again."""
    plain = av.VideoFrame.from_ndarray(np.full((16, 16, 3), BRICK, np.uint8), format="rgb24").reformat(format="xyz12le")
    plain.color_primaries, plain.color_trc, plain.colorspace = 10, 17, 0
    assert np.abs(read(plain) - BRICK).max() <= 3


ADOBE = rgb_profile(ADOBE_RGB, 563 / 256, "Adobe RGB")


@pytest.mark.parametrize(
    ("profile", "right", "colour", "unread"),
    [
        (ADOBE, (231, 57, 34), "colours of Adobe RGB", ""),
        (SRGB, BRICK, "", ""),
        (b"x" * 200, BRICK, "", "ICC profile ("),
    ],
    ids=["Adobe RGB", "sRGB", "broken"],
)
@pytest.mark.parametrize("kind", ["png", "mjpeg"])
def test_a_profile_in_a_movie_is_honoured(
    kind: str, profile: bytes | None, right: tuple[int, ...], colour: str, unread: str
) -> None:
    file = io.BytesIO()
    how = {"quality": 100, "subsampling": 0} if kind == "mjpeg" else {}
    Image.new("RGB", (16, 16), BRICK).save(file, {"png": "PNG", "mjpeg": "JPEG"}[kind], icc_profile=profile, **how)
    with closing(av.open("a.mov", "w")) as container:
        stream: Any = container.add_stream(kind, rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, {"png": "rgb24", "mjpeg": "yuvj444p"}[kind]
        for number in range(2):
            packet = av.Packet(file.getvalue())
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), True
            packet.pts = packet.dts = number
            container.mux(packet)
    with open_reader(Path("a.mov")) as reader:
        frames, found = [frame.rgb for frame in reader.frames()], reader.index().findings
    gc.collect()
    assert all(np.abs(frame[3, 3].astype(int) - right).max() <= 2 for frame in frames)
    assert found.colour == colour
    assert found.unread.startswith(unread)
    assert bool(found.unread) == bool(unread)


def test_tags_of_the_container_stand_for_those_that_frames_lack() -> None:
    """ProRes has tags of its own in each frame, which many programs leave open."""
    with closing(av.open("a.mov", "w")) as container:
        stream: Any = container.add_stream("prores_ks", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv422p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 12, 13, 1
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), P3_RED, np.uint8), "rgb24")
        frame = frame.reformat(format="yuv422p10le", dst_colorspace="ITU709")
        frame.colorspace, frame.pts = 2, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with closing(av.open("a.mov")) as container:
        assert {int(f.color_primaries) for f in container.decode(video=0)} == {2}
    with open_reader(Path("a.mov")) as reader:
        [frame] = [f.rgb for f in reader.frames()]
        found = reader.index().findings
    assert np.abs(frame[8, 8].astype(int) - (255, 0, 2)).max() <= 2
    assert (found.primaries, found.matrix) == ("P3 D65 (SMPTE 432)", "BT.709")


def test_tags_outrank_a_profile_and_it_is_named() -> None:
    assert profile_of(rgb(BRICK, 2, 2), ADOBE).colour == "colours of Adobe RGB"
    found = profile_of(rgb(BRICK, 12, 13), ADOBE)
    assert (found.conversion, found.unread) == (None, "ICC profile Adobe RGB beside colour tags")
