"""Read the retiming of a strip: which frame of its file each key stands for."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .media_parts import RetimingPoint

LAYOUTS = ("<di4xf", "<dif")  # of a key in memory: the frame of the strip, its flags, the share; the first before 5.0
SMOOTH = 0b0001  # the flag of the first of the two keys of a smooth change of speed
Key = tuple[float, float]  # a time in frames of the file, and the share of the file that is shown then
STEADY = 0.01  # frames of the file in one of the scene, by which speeds have to differ for it
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
        dense = with_arcs(
            [*zip(times, shares, strict=True)], [bool(row[1] & SMOOTH) for row in found], rate, length - 1
        )
        return [RetimingPoint(start + time / rate, share * (length - 1)) for time, share in dense]
    return None


def with_arcs(keys: list[Key], smooth: list[bool], rate: float, most: int) -> list[Key]:
    """Return keys and, between the two of a smooth change of speed, a point for each frame of the scene.

    There Blender lets the share follow the circle that touches the lines before and behind.

    Args:
        keys: A time in frames of the file, and the share of the file that is shown then.
        smooth: Whether such a change begins at each key.
        rate: Frames of the file in one of the scene.
        most: The number of the file's last frame.
    """
    found: list[Key] = []
    for at, key in enumerate(keys):
        found.append(key)
        if smooth[at] and 0 < at < len(keys) - 2:
            before, start, end, behind = keys[at - 1 : at + 3]
            frames = range(math.floor(start[0] / rate) + 1, math.ceil(end[0] / rate))
            found += [(frame * rate, _on_arc((before, start, end, behind), frame * rate, most)) for frame in frames]
    return found


def _on_arc(keys: tuple[Key, Key, Key, Key], time: float, most: int) -> float:
    """Return the share of the file at a time between the second and the third key."""
    before, start, end, behind = keys
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in ((before, start), (end, behind))]
    if abs(slopes[0] - slopes[1]) * most < STEADY:
        return start[1] + slopes[0] * (time - start[0])
    # The centre lies on the normals of both lines: x + slope * y is the same along each.
    feet = [point[0] + slope * point[1] for point, slope in zip((start, end), slopes, strict=True)]
    centre_y = (feet[0] - feet[1]) / (slopes[0] - slopes[1])
    centre_x = feet[0] - slopes[0] * centre_y
    rise = math.sqrt(max(0.0, (start[0] - centre_x) ** 2 + (start[1] - centre_y) ** 2 - (time - centre_x) ** 2))
    return centre_y - rise if centre_y > start[1] else centre_y + rise


def _rise(values: list[float], most: float) -> bool:
    """Return whether values rise from 0, and not above ``most``."""
    is_near = abs(values[0]) <= TOLERANCE and 0 < values[-1] <= most + TOLERANCE
    return is_near and all(a <= b + TOLERANCE for a, b in pairwise(values))


def _are_times(times: list[float], rate: float, frames: list[float]) -> bool:
    """Return whether times of a strip are those that Python has, which counts frames of the scene or of the file."""
    return any(
        all(abs(time / one - frame) <= 1.0 for time, frame in zip(times, frames, strict=True)) for one in (1.0, rate)
    )
