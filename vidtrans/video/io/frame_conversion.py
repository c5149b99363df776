"""Convert decoded frames to upright RGB of one size and depth, by their colour and orientation tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type

from vidtrans.video.colour.conversion import ToRGB, apply_format
from vidtrans.video.colour.tags import colour_of, depth_of, has_alpha, space_name
from vidtrans.video.frame_format import BLACK, FrameFormat
from vidtrans.video.io.clip import ClipIndex, Frame


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


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation stored in a decoded frame; upright without one."""
    try:
        side_data: Any = frame.side_data.get(Type.DISPLAYMATRIX.name)
    except ValueError:  # a kind of side data that PyAV has no name for hides all the others
        return Orientation(-frame.rotation // 90 % 4)
    if side_data is None:
        return UPRIGHT
    return orientation_from_matrix(np.frombuffer(bytes(side_data), "<i4").reshape(3, 3))


def _has_no_side_data(frame: av.VideoFrame) -> bool:
    """Return whether a frame has no side data, as most have none; it is then upright."""
    try:
        return len(frame.side_data) == 0
    except ValueError:  # a kind of side data that PyAV has no name for
        return False


class FrameConverter:
    """Converts decoded frames to upright arrays of one format, and records unusual properties.

    The first frame sets the size; frames of another size are scaled to it.
    """

    def __init__(self, frame_format: FrameFormat) -> None:
        self.frame_format = frame_format
        self.depth, self.colour, self.transparent, self.num_resized = 0, "", False, 0
        self.matrix = "untagged"
        self.first_size = (0, 0)
        self.first_orientation = UPRIGHT
        self._upright: tuple[int, int] | None = None
        self._to_rgb: ToRGB | None = None

    def expect(self, index: ClipIndex) -> None:
        """Use the clip's size from its index, since reading may begin at any frame."""
        self.first_size, self.transparent = (index.width, index.height), index.findings.alpha
        self._upright = self.frame_format.size.of(*self.first_size)

    def __call__(self, decoded: av.VideoFrame, index: int, pts: int) -> Frame:
        """Return a decoded frame upright and in the format, and record its unusual properties."""
        orientation = UPRIGHT if _has_no_side_data(decoded) else orientation_of(decoded)
        turned = orientation != UPRIGHT
        size = orientation.size(decoded.width, decoded.height) if turned else (decoded.width, decoded.height)
        if self._upright is None:
            self.first_orientation, self.first_size = orientation, size
            self._upright = self.frame_format.size.of(*size)
            self.matrix = space_name(int(decoded.colorspace))
        self.num_resized += size != self.first_size
        self.depth = max(self.depth, depth_of(decoded))
        self.colour = self.colour or colour_of(decoded)
        stored = orientation.size(*self._upright) if turned else self._upright
        if self._to_rgb is None or (self._to_rgb.width, self._to_rgb.height) != stored:
            self._to_rgb = ToRGB(*stored, deep=self.frame_format.deep)
        if not has_alpha(decoded):
            rgb, alpha = self._to_rgb(decoded), None
            rgb = orientation.apply(rgb) if turned else np.ascontiguousarray(rgb)
        else:
            rgba = orientation.apply(self._to_rgb.with_alpha(decoded))
            rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
            self.transparent = self.transparent or bool(alpha.min() < np.iinfo(alpha.dtype).max)
        rgb, alpha = apply_format(rgb, alpha, self.frame_format, BLACK, cut_out=self.transparent)
        return Frame(index, pts, rgb, alpha=alpha)
