"""Find flat, constant borders of a clip: black bars above and below, or at the sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

FLAT = 4.0  # grey levels, 0 to 255, within which a border is flat: what is left of noise in a thumbnail
SMALLEST = 4  # pixels of a thumbnail, each way, that are left at least
# Of bars in full-size frames. A codec leaves less light than that in them, but for their last lines.
BLACK = 32  # of 255
BLEED = 2  # lines into which the picture's colour runs, where it is stored at half the resolution
THINNEST = 0.01  # of the side: lines of a few pixels are a matter of the cropped edge of a scan
BEND, STRAIGHT = 0.005, 0.6  # of the side, within which so large a share of the edge has to lie

Extents = tuple[np.ndarray, np.ndarray]
Part = tuple[slice, slice]
WHOLE: Part = (slice(None), slice(None))


def extents(thumbnail: np.ndarray) -> Extents:
    """Return the smallest and largest colour of each row and column of (h, w, 3): (h, 2, 3) and (w, 2, 3)."""
    # Along columns only: OpenCV wakes a second thread for rows.
    turned, kinds = (cv2.transpose(thumbnail), thumbnail), (cv2.REDUCE_MIN, cv2.REDUCE_MAX)
    rows, columns = (np.stack([cv2.reduce(picture, 0, kind)[0] for kind in kinds], 1) for picture in turned)
    return rows, columns


def part_within_bars(frames: Iterable[Extents], height: int, width: int) -> Part:
    """Return the (rows, columns) inside the borders that are flat and equal in all ``frames``, at this picture size."""
    rows, columns = zip(*frames, strict=True)
    part = _inner(np.stack(rows), height), _inner(np.stack(columns), width)
    return part if None not in part else WHOLE  # type: ignore[return-value]


def _inner(lines: np.ndarray, length: int) -> slice | None:
    """Return the slice of ``lines`` (frames, n, 2, 3) inside flat ends, scaled to ``length``; None if too short."""
    lowest, highest = lines[:, :, 0].min(0), lines[:, :, 1].max(0)
    alive = np.flatnonzero((highest - lowest > FLAT).any(1))
    if len(alive) == 0 or alive[-1] + 1 - alive[0] < min(SMALLEST, len(lowest)):
        return None
    if alive[0] == 0 and alive[-1] == len(lowest) - 1:
        return slice(None)
    # A line that lies half on a border would be structure that stays: it is left out as well.
    first = alive[0] + (alive[0] > 0)
    stop = alive[-1] + (alive[-1] == len(lowest) - 1)
    scale = length / len(lowest)
    return slice(int(np.ceil(first * scale)), int(stop * scale)) if stop - first >= SMALLEST else None


class Bars(NamedTuple):
    """The widths of the black bars at the four sides of a picture, in pixels."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    @property
    def edge(self) -> Bars:
        """Return thinner bars, without the lines into which the picture's colour bleeds."""
        return Bars(*(max(0, lines - BLEED) for lines in self))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of a picture without its bars."""
        return width - self.left - self.right, height - self.top - self.bottom

    def crop(self, picture: np.ndarray) -> np.ndarray:
        """Return a view of a picture (H, W, C) without its bars."""
        height, width = picture.shape[:2]
        return picture[self.top : height - self.bottom, self.left : width - self.right]

    def __str__(self) -> str:
        """Return the bars as text: "70 lines above and 70 below"."""
        sides = {"above": self.top, "below": self.bottom, "left": self.left, "right": self.right}
        first, *others = [(name, count) for name, count in sides.items() if count]
        return " and ".join([f"{first[1]} lines {first[0]}", *(f"{count} {name}" for name, count in others)])


NO_BARS = Bars()


def black_bars(brightest: np.ndarray) -> Bars:
    """Return the bars of a clip, exact to ``BLEED`` lines; ``brightest`` (H, W) uint8: the maximum of each pixel.

    Bars stay black, lie on both sides of the picture, and have straight edges, unlike an object on black, or a
    vignette. If one edge is not found in a dark picture, that bar gets the thickness of the opposite one.
    """
    lit = brightest > BLACK
    top, bottom = _pair(lit)
    left, right = _pair(lit.T)
    return Bars(left, top, right, bottom)


def bars_of(pictures: Sequence[np.ndarray]) -> Bars:
    """Return the black bars, or else the white ones, that all ``pictures``, (H, W, 3) uint8, share.

    Pictures of several sizes share none.
    """
    if len({picture.shape for picture in pictures}) != 1:
        return NO_BARS
    bars = black_bars(np.maximum.reduce([picture.max(2) for picture in pictures]))
    return bars if any(bars) else black_bars(255 - np.minimum.reduce([picture.min(2) for picture in pictures]))


def opaque_part(alpha: np.ndarray) -> Part:
    """Return a large part of alpha (H, W) without transparent pixels, those with alpha below one half.

    Sides are cut off, the most transparent first; holes within, on the side where that costs the fewest pixels.
    """
    clear = alpha < np.iinfo(alpha.dtype).max // 2
    top, bottom, left, right = 0, alpha.shape[0], 0, alpha.shape[1]
    while top < bottom and left < right:
        part = clear[top:bottom, left:right]
        shares = [float(side.mean()) for side in (part[0], part[-1], part[:, 0], part[:, -1])]
        if not any(shares):
            rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
            if rows.size:
                top, bottom, left, right = _without_holes(top, bottom, left, right, rows, columns)
            break
        most = int(np.argmax(shares))
        top, bottom, left, right = top + (most == 0), bottom - (most == 1), left + (most == 2), right - (most == 3)
    return slice(top, bottom), slice(left, right)


def _without_holes(
    top: int, bottom: int, left: int, right: int, rows: np.ndarray, columns: np.ndarray
) -> tuple[int, int, int, int]:
    """Return the largest part on one side of the ``rows`` and ``columns`` with holes, counted from top and left."""
    parts = [
        (top + int(rows[-1]) + 1, bottom, left, right),
        (top, top + int(rows[0]), left, right),
        (top, bottom, left + int(columns[-1]) + 1, right),
        (top, bottom, left, left + int(columns[0])),
    ]
    return max(parts, key=lambda part: (part[1] - part[0]) * (part[3] - part[2]))


def _pair(lit: np.ndarray) -> tuple[int, int]:
    """Return the heights of the bars above and below the ``lit`` pixels, (H, W) bool; (0, 0) for none."""
    first, last = _bar(lit), _bar(lit[::-1])
    sure = max(first, last) - 2 * BLEED
    if first and not last and not lit[-sure:].any():
        return first, first
    if last and not first and not lit[:sure].any():
        return last, last
    return (first, last) if first and last else (0, 0)


def _bar(lit: np.ndarray) -> int:
    """Return the height of the bar above the ``lit`` pixels, (H, W) bool; 0 for none."""
    height = len(lit)
    first = lit.argmax(0)[lit.any(0)]  # the first row of each column that is lit, where any is
    if len(first) == 0:
        return 0
    edge = int(np.median(first))
    straight = float((np.abs(first - edge) <= max(BLEED, height * BEND)).mean())
    if edge < max(2 * BLEED, height * THINNEST) or edge > height / 2 or straight < STRAIGHT:
        return 0
    return edge + BLEED
