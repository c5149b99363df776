from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from vidtrans.core.errors import MediaError
from vidtrans.live.protocol import decode
from vidtrans.video.images.picture import encode_jpeg, encode_png

PICTURE = np.zeros((6, 8, 3), np.uint8)
PICTURE[:3, :, 0], PICTURE[3:, :, 2] = 200, 100


def file_of(picture: np.ndarray, kind: str, **options: object) -> bytes:
    made = io.BytesIO()
    Image.fromarray(picture).save(made, kind, **options)
    return made.getvalue()


def test_each_format_is_read() -> None:
    assert np.array_equal(decode(encode_png(PICTURE)), PICTURE)
    for file in (file_of(PICTURE, "PNG"), file_of(PICTURE, "WEBP", lossless=True), encode_jpeg(PICTURE, 92)):
        read = decode(file)
        assert (read.shape, read.dtype) == (PICTURE.shape, PICTURE.dtype)
        assert np.abs(read.astype(int) - PICTURE).mean() < 8


def test_grey_becomes_colour_transparency_white_and_sixteen_bits_eight() -> None:
    grey = decode(file_of(np.full((4, 5), 77, np.uint8), "PNG"))
    clear = decode(file_of(np.dstack([PICTURE, np.full(PICTURE.shape[:2], 0, np.uint8)]), "PNG"))
    deep = decode(cv2.imencode(".png", np.full((4, 5, 3), 0x8899, np.uint16))[1].tobytes())
    assert np.array_equal(grey, np.full((4, 5, 3), 77))
    assert (clear == 255).all()
    assert (deep == 0x88).all()


def bomb() -> bytes:
    """A PNG of a hundred bytes that says that it has ten billion pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animation() -> bytes:
    made = io.BytesIO()
    frames = [Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1].copy())]
    frames[0].save(made, "WEBP", save_all=True, append_images=frames[1:])
    return made.getvalue()


def test_a_chunk_that_is_longer_than_the_file_is_not_allocated() -> None:
    """OpenCV would take two gigabytes for it before it looks."""
    file = file_of(PICTURE, "PNG")
    at = file.index(b"IDAT")
    with pytest.raises(MediaError, match="damaged"):
        decode(file[: at - 4] + struct.pack(">I", 0x7FFFFFF0) + file[at:])


def test_what_is_no_single_picture_of_a_sane_size_is_refused() -> None:
    for file, why in (
        (bomb(), "too large"),
        (file_of(np.zeros((2, 9000), np.uint8), "PNG"), "too large"),
        (animation(), "animation"),
        (b"GIF89a" + bytes(40), "not a JPEG"),
        (file_of(PICTURE, "BMP"), "not a JPEG"),
        (file_of(PICTURE, "PNG")[:60], "damaged|not a JPEG"),
        (b"", "not a JPEG"),
    ):
        with pytest.raises(MediaError, match=why):
            decode(file)
