"""Picture files that are damaged, or forged to cost time and memory: read as far as they are good, or refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from pictures_of_all_kinds import with_chunks
from PIL import Image

from vidtrans.core.errors import MediaError
from vidtrans.video.images.picture import read_picture


def flat(path: Path, **options: object) -> Path:
    Image.new("RGB", (8, 8), (200, 60, 40)).save(path, **options)
    return path


def test_an_animation_of_more_frames_than_fit_is_refused(tmp_path: Path) -> None:
    path = with_chunks(flat(tmp_path / "a.png"), {b"acTL": struct.pack(">II", 0x7FFFFFFF, 0)})
    with pytest.raises(MediaError, match="pictures, for which the file is too short"):
        read_picture(path)
