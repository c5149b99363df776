"""Picture files as programs of the field write them: colours, sample formats, orientation, several pictures in one."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import decode, scene, times, write_folder
from pictures_of_all_kinds import (
    P3,
    grey_profile,
    ink_profile,
    rgb_profile,
    table_profile,
    with_chunks,
    with_jp2_profile,
    write_tiff,
)
from PIL import Image, ImageCms

import vidtrans as api
from vidtrans.clips.indexing import survey_clip
from vidtrans.core.errors import MediaError
from vidtrans.session import Context
from vidtrans.video.colour.icc import read_profile
from vidtrans.video.colour.tags import ADOBE_RGB, PRIMARIES
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import PictureStack, encode_png, picture_size, read_layers, read_picture, read_still
from vidtrans.video.io.encoder import _keep_priority
from vidtrans.video.io.pictures import open_reader
from vidtrans.video.io.policy import describe_conversions

COLOUR = (200, 60, 40)
IN_P3 = (217, 42, 23)  # what it is in sRGB if it is meant as Display P3
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def flat(mode: str = "RGB", colour: tuple[int, ...] = COLOUR) -> Image.Image:
    return Image.new(mode, (8, 8), colour)


def by_littlecms(picture: Image.Image, profile: bytes) -> np.ndarray:
    options = {"outputMode": "RGB", "renderingIntent": 1, "flags": ImageCms.Flags.BLACKPOINTCOMPENSATION}
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.array(ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB"), **options))


@pytest.mark.parametrize(
    "profile",
    [rgb_profile(P3, 2.2), rgb_profile(ADOBE_RGB, 563 / 256), rgb_profile(PRIMARIES[9], 2.4), table_profile()],
    ids=["Display P3", "Adobe RGB", "BT.2020", "tables"],
)
def test_a_profile_is_converted_as_littlecms_does_at_8_and_16_bits(profile: bytes) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    convert = read_profile(profile)
    assert convert is not None
    wanted = by_littlecms(Image.fromarray(codes), profile).astype(float)
    assert np.abs(convert(codes) - wanted).max() <= 1
    deep = convert(codes.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - wanted).max() < 1
    assert len(np.unique(convert(np.linspace(0, 65535, 3000).astype(np.uint16).reshape(1, -1, 1).repeat(3, 2)))) > 2000


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
def test_every_format_has_its_profile_honoured_and_srgb_kept(tmp_path: Path, ending: str) -> None:
    how = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
    for profile, wanted in ((None, COLOUR), (SRGB, COLOUR), (rgb_profile(P3, 2.2), (219, 37, 13))):
        flat().save(tmp_path / f"a.{ending}", icc_profile=profile, **how)
        assert np.abs(read_picture(tmp_path / f"a.{ending}")[4, 4].astype(int) - wanted).max() <= 1


def test_the_profile_of_a_jpeg_2000_is_honoured(tmp_path: Path) -> None:
    flat().save(tmp_path / "a.jp2")
    assert read_picture(with_jp2_profile(tmp_path / "a.jp2", rgb_profile(P3, 2.2)))[4, 4].tolist() == [219, 37, 13]


@pytest.mark.parametrize(
    ("mode", "colour", "profile"), [("L", (100,), grey_profile(1.8)), ("CMYK", (255, 128, 0, 0), ink_profile())]
)
def test_grey_and_inks_go_through_their_profiles(
    tmp_path: Path, mode: str, colour: tuple[int, ...], profile: bytes
) -> None:
    flat(mode, colour).save(tmp_path / "a.tif", icc_profile=profile)
    wanted = by_littlecms(flat(mode, colour), profile)
    assert np.abs(read_picture(tmp_path / "a.tif").astype(int) - wanted).max() <= 1


CHRM = struct.pack(">8I", *(round(100_000 * v) for pair in (P3.white, P3.red, P3.green, P3.blue) for v in pair))


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ({b"cICP": bytes([12, 13, 0, 1])}, IN_P3),
        ({b"cICP": bytes([12, 13, 0, 1]), b"sRGB": b"\0"}, IN_P3),
        ({b"cICP": bytes([1, 8, 0, 1])}, (229, 133, 110)),
        ({b"gAMA": struct.pack(">I", 45455), b"cHRM": CHRM}, IN_P3),
        ({b"gAMA": struct.pack(">I", 100_000)}, (229, 133, 110)),
        ({b"gAMA": struct.pack(">I", 100_000), b"sRGB": b"\0"}, COLOUR),
        ({b"cHRM": bytes(32), b"gAMA": bytes(4)}, COLOUR),
    ],
)
def test_the_colour_tags_of_a_png_are_honoured_by_rank(
    tmp_path: Path, chunks: dict[bytes, bytes], wanted: tuple[int, ...]
) -> None:
    for picture in (np.array(flat()), np.array(flat()).astype(np.uint16) * 257):
        (tmp_path / "a.png").write_bytes(encode_png(picture))
        read = read_layers(with_chunks(tmp_path / "a.png", chunks))[0]
        assert read.dtype == picture.dtype
        assert np.abs(read[4, 4] / (257 if read.dtype == np.uint16 else 1) - wanted).max() <= 1


def test_exif_tells_of_adobe_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    flat().save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert np.abs(read_picture(tmp_path / "a.jpg")[4, 4].astype(int) - (232, 57, 34)).max() <= 1


@pytest.mark.parametrize(("orientation", "mode"), [(n, "RGBA" if n % 2 else "RGB") for n in range(1, 9)])
def test_a_picture_is_turned_upright_with_and_without_alpha(tmp_path: Path, orientation: int, mode: str) -> None:
    codes = np.random.default_rng(0).integers(0, 255, (4, 6, len(mode)), np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    for ending in ("png", "webp", "tif"):
        path = tmp_path / f"a.{ending}"
        how = {"lossless": True, "exact": True} if ending == "webp" else {}
        Image.fromarray(codes).save(path, exif=exif, **how)
        turns = {1: codes, 2: codes[:, ::-1], 3: codes[::-1, ::-1], 4: codes[::-1]}
        turned = codes.swapaxes(0, 1)
        turns |= {5: turned, 6: turned[:, ::-1], 7: turned[::-1, ::-1], 8: turned[::-1]}
        assert np.array_equal(read_still(path).picture, turns[orientation])
        assert picture_size(path) == turns[orientation].shape[1::-1]


RAMP = np.linspace(0, 1, 48 * 64 * 3).reshape(48, 64, 3)


@pytest.mark.parametrize(
    ("dtype", "white", "note"),
    [
        (np.int16, 32767, "signed 16-bit samples: 0 is black, 32,767 is white, negative ones are black"),
        (np.uint32, 2**32 - 1, "32-bit samples: 0 is black"),
        (np.int32, 2**31 - 1, "signed 32-bit samples"),
        (np.float32, 1, "floating-point samples: 0 is black, 1 is white"),
        (np.float64, 1, "floating-point samples"),
        (np.uint16, 65535, ""),
    ],
)
def test_samples_of_any_format_are_scaled_by_a_rule_that_is_told(
    tmp_path: Path, dtype: type, white: int, note: str
) -> None:
    path = write_tiff(tmp_path / "a.tif", [(RAMP * white).astype(dtype)])
    still = read_still(path)
    assert still.picture.dtype == np.uint16
    assert np.abs(still.picture / 65535 - RAMP).max() < 1 / 100
    assert (still.notes[0].startswith(note)) if note else not still.notes


@pytest.mark.parametrize(("dtype", "white"), [(np.uint16, 4095), (np.float32, 255)])
def test_fewer_bits_than_stored_are_found_over_all_pictures_and_scaled_alike(
    tmp_path: Path, dtype: type, white: int
) -> None:
    (tmp_path / "f").mkdir()
    for i, most in enumerate((0.3, 1.0, 0.6)):
        write_tiff(tmp_path / "f" / f"{i}.tif", [np.full((16, 16), round(white * most)).astype(dtype)])
    table = api.probe(tmp_path / "f")
    assert f"samples up to {white:,}: that is white in all of its pictures" in table["warnings"]
    api.stylize(tmp_path / "f", output=tmp_path / "o", model="identity", settings={"encoding": {"bit_depth": "16"}})
    read = [read_layers(tmp_path / "o" / f"{i}.png")[0][8, 8, 0] for i in range(3)]
    assert np.allclose(np.array(read) / 65535, (0.3, 1.0, 0.6), atol=0.01)


def test_each_guide_has_its_own_white_and_it_is_told(tmp_path: Path) -> None:
    whites = {"a": 4095, "b": 1023, "c": 65535}
    for name, white in whites.items():
        write_folder(tmp_path / name, [np.full((16, 16, 3), round(white * s), np.uint16) for s in (0.3, 1.0)])
    clip = survey_clip(Context(), tmp_path, ["b", "a", "c"])
    cached = survey_clip(Context(), tmp_path, ["b", "a", "c"])
    assert (cached.index, cached.digest) == (clip.index, clip.digest)
    told = [f"{name}: samples up to {whites[name]:,}: that is white in all of its pictures" for name in "ba"]
    assert describe_conversions(clip.index) == told
    read = list(clip.frames(FrameFormat(), 1))
    assert [[round(float(p.mean()) / 255, 2) for p in f.pictures] for f in read] == [[0.3] * 3, [1.0] * 3]


@pytest.mark.parametrize("kind", ["folder", "file", "stack", "8 bits"])
def test_the_samples_from_black_to_white_stand_behind_the_name(tmp_path: Path, kind: str) -> None:
    pictures = [np.full((4, 4), s, np.uint8 if kind == "8 bits" else np.uint16) for s in (60, 110)]
    (tmp_path / "f").mkdir()
    for i, picture in enumerate(pictures):
        write_tiff(tmp_path / "f" / f"{i}.tif", [picture])
    write_tiff(tmp_path / "s.tif", pictures)
    name = {"file": "f/1.tif", "stack": "s.tif"}.get(kind, "f")
    clip = survey_clip(Context(), tmp_path / f"{name}#=10..210")
    read = [round(float(f.rgb[0, 0, 0]) / 65535, 2) for f in clip.frames(FrameFormat(deep=True), 1)]
    assert read == ([0.5] if kind == "file" else [0.25, 0.5])
    assert clip.index.findings.notes == ("samples from 10 to 210: black to white in all of its pictures",)
    with pytest.raises(MediaError, match="it has no layers, so none is 'Z'"):
        survey_clip(Context(), tmp_path / f"{name}#Z")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_in_a_tiff_white_may_be_zero(tmp_path: Path, dtype: type) -> None:
    most = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    shown = RAMP[..., 0]
    still = read_still(write_tiff(tmp_path / "a.tif", [((1 - shown) * most).astype(dtype)], {262: 0}))
    assert np.abs(still.picture[..., 0] / np.iinfo(still.picture.dtype).max - shown).max() < 1 / 100
    assert still.reading == (dtype is not np.uint8)


PAM = b"P7\nWIDTH 4\nHEIGHT 4\nDEPTH %d\nMAXVAL %d\nENDHDR\n"


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.pgm", b"P5\n4 4\n1023\n" + np.full(16, 341, ">u2").tobytes(), (1 / 3,) * 3),
        ("a.pgm", b"P2\n# c\n4 4\n10\n" + b"5 " * 16, (0.5,) * 3),
        ("a.ppm", b"P3 4 4 1000\n" + b"1000 500 0 " * 16, (1, 0.5, 0)),
        ("a.pam", PAM % (1, 1) + bytes([1] * 16), (1, 1, 1)),
        ("a.pam", PAM % (4, 255) + bytes([255, 51, 0, 102] * 16), (1, 0.2, 0, 0.4)),
        ("a.pam", PAM % (3, 4095) + np.full(48, 2048, ">u2").tobytes(), (0.5, 0.5, 0.5)),
    ],
)
def test_a_header_that_names_its_white_is_believed(
    tmp_path: Path, name: str, content: bytes, wanted: tuple[float, ...]
) -> None:
    (tmp_path / name).write_bytes(content)
    picture = read_still(tmp_path / name).picture
    assert np.abs(picture / np.iinfo(picture.dtype).max - wanted).max() < 1 / 250


@pytest.mark.parametrize(
    ("dtype", "tags", "words"),
    [
        (np.float16, {}, "3 channels of 16-bit floating-point numbers"),
        (np.uint16, {284: 2}, "more than 8 bits in separate planes"),
    ],
)
def test_samples_that_are_not_read_are_named(tmp_path: Path, dtype: type, tags: dict[int, int], words: str) -> None:
    path = write_tiff(tmp_path / "a.tif", [RAMP.astype(dtype)], tags)
    with pytest.raises(MediaError, match=words):
        read_picture(path)


@pytest.mark.parametrize(
    "ending", ["tga", "bmp", "ppm", "jp2", "png", "tif", "webp", "jfif", "j2k", "qoi", "pcx", "sgi"]
)
def test_a_folder_of_any_format_is_a_clip(tmp_path: Path, ending: str) -> None:
    frames = [scene(48, 32, seed=i) for i in range(3)]
    (tmp_path / "f").mkdir()
    kind = {"jfif": "JPEG"}.get(ending)
    how = {"webp": {"lossless": True}, "jfif": {"quality": 100, "subsampling": 0}}.get(ending, {})
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "f" / f"{i}.{ending}", kind, **how)
    with open_reader(tmp_path / "f") as reader:
        read = [f.rgb for f in reader.frames()]
    assert len(read) == 3
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(read, frames, strict=True)) <= 8 * (ending == "jfif")


@pytest.mark.parametrize("ending", ["hdr", "pfm"])
def test_light_gets_the_curve_of_srgb(tmp_path: Path, ending: str) -> None:
    light = np.array([0, 0.25, 1, 4], np.float32).reshape(1, 4, 1).repeat(3, 2).repeat(4, 0)
    cv2.imwrite(str(tmp_path / f"a.{ending}"), light)
    assert np.abs(read_picture(tmp_path / f"a.{ending}")[0, :, 0].astype(int) - (0, 137, 255, 255)).max() <= 1


def stack(path: Path, count: int = 5) -> Path:
    frames = [np.full((16, 24, 3), 40 * i + 20, np.uint8) for i in range(count)]
    if path.suffix == ".tif":
        return write_tiff(path, [f.astype(np.uint16) * 257 for f in frames])
    first, *others = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=others, duration=[40, 120, 40, 40, 100][:count], lossless=True)
    return path


@pytest.mark.parametrize(
    ("name", "times_ms"),
    [("a.webp", [0, 40, 160, 200, 240]), ("a.png", [0, 40, 160, 200, 240]), ("a.tif", [0, 40, 80, 120, 160])],
)
def test_a_file_of_many_pictures_is_a_clip_with_its_own_times(tmp_path: Path, name: str, times_ms: list[int]) -> None:
    table = api.stylize(stack(tmp_path / name), output=tmp_path / "o.mkv", model="identity", codec="ffv1")
    assert table["frames"] == 5
    assert [1000 * t for t in times(tmp_path / "o.mkv")] == times_ms
    levels = [int(f[4, 4, 0]) for f in decode(tmp_path / "o.mkv")[2]]
    assert np.abs(np.array(levels) - [20, 60, 100, 140, 180]).max() <= 1
    with open_reader(tmp_path / name, FrameFormat(deep=True)) as reader:
        list(reader.frames())
        assert reader.index().findings.depth == (16 if name == "a.tif" else 8)
    api.stylize(tmp_path / name, output=tmp_path / "o", model="identity")
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [f"a_{n:04}.png" for n in range(5)]


@pytest.mark.parametrize(
    ("shape", "dtype", "orientation"),
    [((16, 24), np.uint8, 1), ((16, 24, 3), np.float32, 6), ((16, 24, 4), np.uint16, 6)],
)
def test_a_picture_of_a_stack_is_read_as_a_file_of_its_own(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, orientation: int
) -> None:
    rng = np.random.default_rng(0)
    pictures = [(rng.random(shape) * (1 if dtype is np.float32 else 255)).astype(dtype) for _ in range(4)]
    whole = PictureStack(write_tiff(tmp_path / "a.tif", pictures, {274: orientation}))
    before = (tmp_path / "a.tif").read_bytes()
    for number in (3, 0, 1, 2):
        alone = read_still(write_tiff(tmp_path / "b.tif", [pictures[number]], {274: orientation}))
        assert np.array_equal(whole.read(number)[0].picture, alone.picture)
    assert (tmp_path / "a.tif").read_bytes() == before


def test_many_pictures_where_one_is_needed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="it holds 5 pictures, where one is needed"):
        read_picture(stack(tmp_path / "a.tif"))


def test_film_scans_are_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "0001.dpx").write_bytes(b"SDPX" + bytes(2044))
    for given in ("f", "f/0001.dpx", "f/%04d.dpx"):
        with pytest.raises(MediaError, match=r"DPX is not read here — make.*ffmpeg -i %04d\.dpx"):
            api.probe(tmp_path / given)


@pytest.mark.parametrize("depth", [8, 10])
def test_an_avif_has_its_depth_and_colours(tmp_path: Path, depth: int) -> None:
    grey = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 64, 0).repeat(3, 2)
    path = tmp_path / "0.avif"
    with _keep_priority(), av.open(str(path), "w") as container:
        stream = container.add_stream("libsvtav1", rate=25, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p" if depth == 8 else "yuv420p10le"
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 9, 16  # BT.2020, PQ
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(grey), format="rgb48le")
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode()])
    with open_reader(path, FrameFormat(deep=True)) as reader:
        (alone,) = (frame.rgb for frame in reader.frames())
    still = read_still(path)
    assert still.notes == ("HDR (PQ): mapped to SDR, sRGB",)
    assert still.picture.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert np.abs(still.picture / np.iinfo(still.picture.dtype).max - alone / 65535).max() < 0.02


def test_a_sequence_of_avif_is_read_and_not_its_still(tmp_path: Path) -> None:
    first, *others = (Image.fromarray(np.full((64, 64, 3), 40 * i + 20, np.uint8)) for i in range(4))
    first.save(tmp_path / "a.avif", save_all=True, append_images=others, duration=[40, 120, 40, 40])
    with open_reader(tmp_path / "a.avif") as reader:
        frames = list(reader.frames())
        index = reader.index()
    assert [1000 * (pts - frames[0].pts) * index.time_base for pts in index.pts] == [0, 40, 160, 200]
