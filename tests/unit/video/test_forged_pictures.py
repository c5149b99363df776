"""Picture files that are damaged, or forged to cost time and memory: read as far as they are good, or refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from pictures_of_all_kinds import with_chunks
from PIL import Image

from vidtrans.core.errors import MediaError
from vidtrans.video.images.picture import read_picture
from vidtrans.video.images.tiff import read_directories


def flat(path: Path, **options: object) -> Path:
    Image.new("RGB", (8, 8), (200, 60, 40)).save(path, **options)
    return path


def test_an_animation_of_more_frames_than_fit_is_refused(tmp_path: Path) -> None:
    path = with_chunks(flat(tmp_path / "a.png"), {b"acTL": struct.pack(">II", 0x7FFFFFFF, 0)})
    with pytest.raises(MediaError, match="pictures, for which the file is too short"):
        read_picture(path)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def test_directories_of_a_tiff_that_overlap_are_refused() -> None:
    data = bytearray(b"II*\0" + struct.pack("<I", 16) + bytes(600 * 8 + 2 + 4096 * 12 + 12))
    for at in range(16, 16 + 600 * 8, 8):
        struct.pack_into("<H", data, at, 4096)
    for at in range(16, 16 + 599 * 8, 8):
        struct.pack_into("<I", data, at + 2 + 4096 * 12, at + 8)
    with pytest.raises(ValueError, match="too many tags"):
        read_directories(io.BytesIO(data))


def test_of_many_profiles_in_a_tiff_one_is_read() -> None:
    class Stream(io.BytesIO):
        longest_reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.longest_reads += size == 1 << 16
            return super().read(size)

    sides, profiles = entry(256, 4, 1, 8) + entry(257, 4, 1, 8), entry(34675, 7, 1 << 16, 8) * 50
    directories = [struct.pack("<H", 52) + sides + profiles + struct.pack("<I", at) for at in ((8 + 630), 0)]
    stream = Stream(b"II*\0" + struct.pack("<I", 8) + b"".join(directories) + bytes(1 << 17))
    assert len(directories[0]) == 630
    assert len(read_directories(stream)[0]) == 2
    assert stream.longest_reads == 1


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_picture_with_damaged_exif_is_read_without(tmp_path: Path, ending: str) -> None:
    path = flat(tmp_path / f"a.{ending}", **({} if ending == "png" else {"exif": b"Exif\0\0garbage"}))
    if ending == "png":
        with_chunks(path, {b"eXIf": b"garbage"})
    assert read_picture(path).shape == (8, 8, 3)
