"""Read the retiming of a strip: which frame of its file each key stands for."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .media_parts import RetimingPoint

LAYOUTS = ("<di4xf", "<dif")  # of a key in memory: the frame of the strip, its flags, the share; the first before 5.0
MOVING = 0b0011  # flags of a change of speed, between whose two keys frames lie on an arc
TOLERANCE = 1e-3


def points_of(strip: Any, length: int, rates: Sequence[float]) -> list[RetimingPoint] | None:  # noqa: ANN401
    """Return the keys of a retimed strip; None if this version of Blender stores them in another form.

    Python can read the times of keys, but not the shares of the file that they stand for. The shares are read from
    memory, and used only if they are what shares have to be: they rise from 0 to 1 at times that Python has, too.

    Args:
        strip: The strip (a type of Blender).
        length: How many frames of the file are left by its hard trims.
        rates: The frames of the file in one of the scene that are possible: 1, and the quotient of the frame rates.
    """
    keys, start = list(strip.retiming_keys), float(strip.frame_start)
    span = strip.frame_final_end + strip.frame_offset_end - start
    for layout in LAYOUTS:
        size = struct.calcsize(layout)
        found = [struct.unpack(layout, ctypes.string_at(key.as_pointer(), size)) for key in keys]
        times, shares = [row[0] for row in found], [row[2] for row in found]
        if not _rise(times, 1e9) or not _rise(shares, 1.0) or abs(shares[-1] - 1) > TOLERANCE:
            continue
        rate = min(rates, key=lambda one: abs((times[-1] + 1) / one - span))
        if abs((times[-1] + 1) / rate - span) > 2 or not _are_times(
            times, rate, [key.timeline_frame - start for key in keys]
        ):
            continue
        return [
            RetimingPoint(start + time / rate, share * (length - 1), bool(flags & MOVING))
            for time, flags, share in found
        ]
    return None


def _rise(values: list[float], most: float) -> bool:
    """Return whether values rise from 0, and not above ``most``."""
    is_near = abs(values[0]) <= TOLERANCE and 0 < values[-1] <= most + TOLERANCE
    return is_near and all(a <= b + TOLERANCE for a, b in pairwise(values))


def _are_times(times: list[float], rate: float, frames: list[float]) -> bool:
    """Return whether times of a strip are those that Python has, which counts frames of the scene or of the file."""
    return any(
        all(abs(time / one - frame) <= 1.0 for time, frame in zip(times, frames, strict=True)) for one in (1.0, rate)
    )
