"""Timecode of SMPTE ST 12-1: HH:MM:SS:FF, and HH:MM:SS;FF for drop-frame.

At 30000/1001 frames per second a count of 30 falls behind the clock by 3.6 s an hour. Drop-frame corrects that: the
numbers 00 and 01 (at 60000/1001: 00 to 03) are left out at the start of every minute except each tenth. No picture is
dropped, only a number. Timecode starts again from 0 after 24 hours; some programs write 24:00:00:00 and more instead.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import floor
from os import SEEK_CUR
from pathlib import Path
from struct import unpack

from vidtrans.video.io.timestamps import USUAL_RATES

_FORM = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})([:;])([0-9]{2,3})")
MAX_MOVIE = 1 << 27  # bytes of a QuickTime header
_DROPPED = {30: 2, 60: 4}  # numbers left out per minute


def advance(timecode: str, frames: int, rate: Fraction) -> str:
    """Return the timecode ``frames`` later (negative: earlier); after 24 hours it starts again from 0.

    ``rate``: frames per second, counted to the nearest whole number (30 for 30000/1001). Raises ValueError where
    ``timecode`` is not valid, has a number that does not exist at this rate, or is drop-frame at a rate other than
    29.97 or 59.94.
    """
    _, _, _, _, base, dropped = _parsed(timecode, rate)
    return _written(count_of(timecode, rate) + frames, base, dropped)


def count_of(timecode: str, rate: Fraction) -> int:
    """Return the number of frames from the last 00:00:00:00 to a timecode. Raises ValueError as ``advance`` does."""
    hours, minutes, seconds, frame, base, dropped = _parsed(timecode, rate)
    minute = 60 * hours + minutes
    return (60 * minute + seconds) * base + frame - dropped * (minute - minute // 10)


def frames_in_day(timecode: str, rate: Fraction) -> int:
    """Return the number of frames in 24 hours, in the kind of a timecode. Raises ValueError as ``advance`` does."""
    _, _, _, _, base, dropped = _parsed(timecode, rate)
    return 144 * _ten_minutes(base, dropped)


def counted_rate(timecode: str, path: Path, average: Fraction) -> Fraction:
    """Return the frames per second that a file's timecode counts, which need not be the ``average`` of its pictures.

    A QuickTime timecode track states it. In other files it is the usual rate nearest to the average (for a drop-frame
    timecode, of the rates that have drop-frame), or the average itself if that rate is more than 10 % away.
    """
    if (rate := _track_rate(path)) is not None:
        return rate
    usual = [rate for rate in USUAL_RATES if ";" not in timecode or _dropped(rate)]
    nearest = min(usual, key=lambda rate: abs(rate - average))
    return nearest if abs(nearest - average) < average / 10 else average


def _track_rate(path: Path) -> Fraction | None:
    """Return the rate of a QuickTime file's timecode track: its sample description has scale, duration, frames."""
    with path.open("rb") as file:
        header = file.read(8)
        while len(header) == 8 and header[4:] != b"moov":
            size = int.from_bytes(header[:4], "big")
            size = int.from_bytes(file.read(8), "big") - 8 if size == 1 else size
            if size < 8 or not header[4:].isalnum():
                return None
            file.seek(size - 8, SEEK_CUR)
            header = file.read(8)
        movie = file.read(min(int.from_bytes(header[:4], "big"), MAX_MOVIE)) if len(header) == 8 else b""
    at = -1
    while (at := movie.find(b"tmcd", at + 1)) >= 0:
        fields = movie[at + 16 : at + 29]  # behind it: reserved, reference, reserved
        if len(fields) < 13 or any(movie[at + 4 : at + 10]):
            continue
        _flags, scale, duration, count = unpack(">IIIB", fields)
        # 'tmcd' also names references, handlers and headers of media, whose numbers are no rate.
        if scale and duration and 0 < count == floor(Fraction(scale, duration) + Fraction(1, 2)):
            return Fraction(scale, duration)
    return None


def convert_rate(timecode: str, rate: Fraction, new_rate: Fraction) -> str:
    """Return the timecode of the same moment at another frame rate.

    Drop-frame is kept where the new rate has it. Raises ValueError as ``advance`` does.
    """
    hours, minutes, seconds, frame, base, dropped = _parsed(timecode, rate)
    new_base = _base(new_rate)
    left_out = _dropped(new_rate) if dropped else 0
    frame = frame * new_base // base
    if left_out and minutes % 10 and seconds == 0:
        frame = max(frame, left_out)
    return f"{hours:02}:{minutes:02}:{seconds:02}{_mark(left_out)}{frame:02}"


def _parsed(timecode: str, rate: Fraction) -> tuple[int, int, int, int, int, int]:
    """Return hours below 24, minutes, seconds, frame, the frames counted a second, and the numbers dropped a minute."""
    match = _FORM.fullmatch(timecode)
    if match is None:
        raise ValueError(f"{timecode!r} is not a timecode: write HH:MM:SS:FF, or HH:MM:SS;FF with drop-frame")
    base = _base(rate)
    dropped = _dropped(rate) if match[4] == ";" else 0
    if match[4] == ";" and not dropped:
        raise ValueError(f"{timecode!r} is drop-frame, which {rate} frames a second do not have")
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    lacking = dropped and minutes % 10 and seconds == 0 and frame < dropped
    if minutes > 59 or seconds > 59 or frame >= base or lacking:
        raise ValueError(f"there is no timecode {timecode!r} at {rate} frames a second")
    return hours % 24, minutes, seconds, frame, base, dropped


def _base(rate: Fraction) -> int:
    base = floor(rate + Fraction(1, 2))
    if base < 1:
        raise ValueError(f"timecode needs a frame rate, not {rate}")
    return base


def _dropped(rate: Fraction) -> int:
    """Return how many numbers are dropped per minute at this rate; 0 where there is no drop-frame."""
    base = _base(rate)
    # Containers round rates: 2997/100 means 30000/1001.
    is_ntsc = abs(rate - base * Fraction(1000, 1001)) <= Fraction(1, 100)
    return _DROPPED.get(base, 0) if is_ntsc else 0


def _ten_minutes(base: int, dropped: int) -> int:
    return 600 * base - 9 * dropped


def _mark(dropped: int) -> str:
    return ";" if dropped else ":"


def _written(count: int, base: int, dropped: int) -> str:
    a_minute, ten_minutes = 60 * base - dropped, _ten_minutes(base, dropped)
    tens, rest = divmod(count % (144 * ten_minutes), ten_minutes)
    # The first of ten minutes has all its numbers; each that follows begins with those left out.
    number = tens * 600 * base + rest + dropped * max(0, (rest - dropped) // a_minute)
    seconds, frame = divmod(number, base)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{_mark(dropped)}{frame:02}"
