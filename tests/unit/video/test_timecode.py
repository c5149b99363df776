"""Timecode: known values, and the rules that hold for all of them."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from vidtrans.video.io.timestamps import advance_timecode, counted_rate

NTSC, NTSC_60, FILM, PAL = Fraction(30000, 1001), Fraction(60000, 1001), Fraction(24000, 1001), Fraction(25)


@pytest.mark.parametrize(
    ("timecode", "frames", "rate", "expected"),
    [
        ("00:01:00;02", -1, NTSC, "00:00:59;29"),
        ("00:00:00;00", 107892, NTSC, "01:00:00;00"),
        ("00:00:59;59", 1, NTSC_60, "00:01:00;04"),
        ("00:00:59:29", 1, NTSC, "00:01:00:00"),
        ("00:00:00:00", -1, PAL, "23:59:59:24"),
        ("01:02:03:23", 1, FILM, "01:02:04:00"),
        ("00:00:00:00", 119, Fraction(120), "00:00:00:119"),
        ("24:00:00:00", 0, PAL, "00:00:00:00"),
        ("25:00:01:02", -1, PAL, "01:00:01:01"),
    ],
)
def test_known_values(timecode: str, frames: int, rate: Fraction, expected: str) -> None:
    assert advance_timecode(timecode, frames, rate) == expected


def test_what_is_no_timecode_is_refused() -> None:
    broken = ["", "1:2:3:4", "00:00:00", "00:00:00.00", "00:00:00:00 ", "00:00:00:00\n", "٠٠:00:00:00"]
    too_large = ["00:60:00:00", "00:00:60:00", "00:00:00:25"]
    no_drop_frame = [("00:00:00;00", rate) for rate in (PAL, FILM, Fraction(30))]
    dropped = [("00:01:00;00", NTSC), ("00:11:00;01", NTSC), ("00:01:00;03", NTSC_60), ("00;00;00;00", NTSC)]
    no_rate = [("00:00:00:00", Fraction(0)), ("00:00:00:00", Fraction(-25))]
    for timecode, rate in [*((t, PAL) for t in broken + too_large), *no_drop_frame, *dropped, *no_rate]:
        with pytest.raises(ValueError, match=r"timecode|drop-frame"):
            advance_timecode(timecode, 1, rate)


@pytest.mark.parametrize(
    ("timecode", "average", "counted"),
    [
        ("16:37:10;02", Fraction(29_480, 1000), Fraction(30_000, 1001)),
        ("00:00:00;04", Fraction(58_500, 1000), Fraction(60_000, 1001)),
        ("00:00:00:04", Fraction(18), Fraction(18)),
    ],
)
def test_timecode_counts_the_usual_rate_near_an_average(
    timecode: str, average: Fraction, counted: Fraction, tmp_path: Path
) -> None:
    (tmp_path / "a.mkv").write_bytes(b"no QuickTime")
    assert counted_rate(timecode, tmp_path / "a.mkv", average) == counted


def test_the_handler_of_a_timecode_track_is_not_read_as_its_rate(tmp_path: Path) -> None:
    """A QuickTime header of iMovie, as far as it matters: a handler of this type comes before the description."""
    handler = b"\0\0\0\0\0\0\0\0tmcd" + bytes(12) + b"Core Media Video\0"
    rate = struct.pack(">IIIB", 0, 30_000, 1001, 30)
    description = b"\0\0\0\x24tmcd" + bytes(6) + b"\0\1" + bytes(4) + rate + bytes(3)
    movie = handler + description
    (tmp_path / "a.mov").write_bytes(struct.pack(">I", 8 + len(movie)) + b"moov" + movie)
    assert counted_rate("00:00:00:00", tmp_path / "a.mov", Fraction(24)) == NTSC
