"""Read the display matrix of a frame, and turn its pixels upright."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import Type

from vidtrans.video.side_data import side_data


@dataclass(frozen=True)
class Orientation:
    """The turn from stored to upright pixels: ``quarter_turns`` clockwise, then a left-right mirror."""

    quarter_turns: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether the upright width is the stored height."""
        return self.quarter_turns % 2 == 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Convert a stored (width, height) to the upright one, or the reverse."""
        return (height, width) if self.swaps_sides else (width, height)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Turn a stored picture (H, W, …) upright; the result is contiguous."""
        if self.quarter_turns:
            picture = np.rot90(picture, -self.quarter_turns)
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture)


UPRIGHT = Orientation()


def orientation_from_matrix(matrix: np.ndarray) -> Orientation:
    """Read a 3×3 display matrix (16.16 fixed point, ISO 14496-12): ``x' = a·x + c·y``, ``y' = b·x + d·y``.

    Other rotations are rounded to the nearest quarter turn.
    """
    a, b = float(matrix[0][0]), float(matrix[0][1])
    c, d = float(matrix[1][0]), float(matrix[1][1])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the final left-right mirror (x' → −x') to leave the pure turn
        a, c = -a, -c
    turns = round(np.degrees(np.arctan2(b, a)) / 90) % 4
    return Orientation(int(turns), mirrored)


def rotation_of(frame: av.VideoFrame) -> Orientation:
    """Return the rotation of a decoded frame without its mirroring, which only its side data have."""
    return Orientation(-frame.rotation // 90 % 4)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation stored in a decoded frame; upright without one."""
    try:
        matrix = side_data(frame, Type.DISPLAYMATRIX)
    except ValueError:
        return rotation_of(frame)
    return orientation_from_matrix(np.frombuffer(matrix, "<i4").reshape(3, 3)) if matrix else UPRIGHT
