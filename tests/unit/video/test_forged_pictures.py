"""Picture files that are damaged, or forged to cost time and memory: read as far as they are good, or refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import psutil
import pytest
from pictures_of_all_kinds import with_chunks
from PIL import Image, ImageCms

from vidtrans.core.errors import MediaError
from vidtrans.video.images.picture import read_picture, read_picture_header, read_still
from vidtrans.video.images.tiff import read_directories
from vidtrans.video.io.pictures import open_reader

PAM = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 1\nMAXVAL %d\nENDHDR\n"
WHITE = bytes([128, 128, 128, 129])  # of Radiance


def flat(path: Path, **options: Any) -> Path:
    Image.new("RGB", (8, 8), (200, 60, 40)).save(path, **options)
    return path


def test_an_animation_of_more_frames_than_fit_is_refused(tmp_path: Path) -> None:
    path = with_chunks(flat(tmp_path / "a.png"), {b"acTL": struct.pack(">II", 0x7FFFFFFF, 0)})
    with pytest.raises(MediaError, match="pictures, for which the file is too short"):
        read_picture(path)


def test_directories_of_a_tiff_that_overlap_are_refused() -> None:
    data = bytearray(b"II*\0" + struct.pack("<I", 16) + bytes(600 * 8 + 2 + 4096 * 12 + 12))
    for at in range(16, 16 + 600 * 8, 8):
        struct.pack_into("<H", data, at, 4096)
    for at in range(16, 16 + 599 * 8, 8):
        struct.pack_into("<I", data, at + 2 + 4096 * 12, at + 8)
    with pytest.raises(ValueError, match="too many tags"):
        read_directories(io.BytesIO(data))


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_picture_with_damaged_exif_is_read_without(tmp_path: Path, ending: str) -> None:
    path = flat(tmp_path / f"a.{ending}", **({} if ending == "png" else {"exif": b"Exif\0\0garbage"}))
    if ending == "png":
        with_chunks(path, {b"eXIf": b"garbage"})
    assert read_picture(path).shape == (8, 8, 3)


def test_a_parametric_curve_without_slope_is_an_unusable_profile(tmp_path: Path) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = -1
    while (at := profile.find(b"para", at + 1)) >= 0:
        struct.pack_into(">Hxxii", profile, at + 8, 1, 65536, 0)  # of the kind (a x + b) ^ g, with a = 0
    still = read_still(flat(tmp_path / "a.png", icc_profile=bytes(profile)))
    assert still.notes == ("its ICC profile cannot be used (it is damaged): taken for sRGB",)


@pytest.mark.parametrize("primaries", ["e", "e " * 8, "1 2", "0 " * 8])
def test_wrong_primaries_of_light_are_ignored(tmp_path: Path, primaries: str) -> None:
    path = tmp_path / "a.hdr"
    path.write_bytes(
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nPRIMARIES=%b\n\n-Y 4 +X 4\n" % primaries.encode() + WHITE * 16
    )
    assert read_picture(path).shape == (4, 4, 3)


@pytest.mark.parametrize("size", [(0, 4), (4, 0)])
def test_a_map_without_pixels_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.pam").write_bytes(PAM % (*size, 255))
    with pytest.raises(MediaError, match="without pixels"):
        read_picture(tmp_path / "a.pam")


def test_a_damaged_frame_of_an_animation_is_a_media_error_and_the_file_is_closed(tmp_path: Path) -> None:
    first = Image.new("RGB", (8, 8), (200, 60, 40))
    flat(tmp_path / "a.png", save_all=True, append_images=[first.rotate(90), Image.new("RGB", (8, 8))])
    data = bytearray((tmp_path / "a.png").read_bytes())
    struct.pack_into(">I", data, data.index(b"fcTL") + 8, 1 << 30)  # its width
    (tmp_path / "a.mov").write_bytes(data)
    with pytest.raises(MediaError), open_reader(tmp_path / "a.mov") as reader:
        list(reader.frames())
    assert not any(Path(file.path).name == "a.mov" for file in psutil.Process().open_files())


def chunks(name: bytes, count: int, content: bytes = b"") -> bytes:
    return (struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))) * count


def test_a_png_of_too_many_chunks_is_refused_and_behind_its_pixels_only_exif_counts(tmp_path: Path) -> None:
    data = flat(tmp_path / "a.png").read_bytes()
    end = data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:33] + chunks(b"teSt", 10_001) + data[33:])
    with pytest.raises(MediaError, match="too many chunks"):
        read_picture(tmp_path / "a.png")
    exif = Image.Exif()
    exif[274] = 6
    late = chunks(b"gAMA", 1, struct.pack(">I", 100_000)) + chunks(b"eXIf", 1, exif.tobytes()[6:])
    for count, orientation in ((20_000, 6), (100_001, 1)):
        (tmp_path / "a.png").write_bytes(data[:end] + chunks(b"teSt", count) + late + data[end:])
        header = read_picture_header(tmp_path / "a.png")
        assert (header.orientation, header.colours) == (orientation, None)
