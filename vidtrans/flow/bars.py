"""Find the flat, constant borders of a clip, such as black bars above and below the picture or at its sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

FLAT = 4.0  # Range of values, of 255, within which a thumbnail's border counts as flat despite noise
MIN_INNER_PX = 4  # Minimum side of the area inside the borders, in pixels of a thumbnail
# Bars in full-size frames
BLACK = 32  # Largest grey level of a black bar, of 255; codecs exceed it only in a bar's innermost lines
BLEED = 2  # Number of a bar's lines into which the picture's colour bleeds, because chroma has half resolution
MIN_THICKNESS = 0.01  # Minimum thickness of a bar, as a share of the side; thinner borders come from scans
MAX_BEND, MIN_STRAIGHT = 0.005, 0.6  # Tolerance of a straight edge, as a share of the side; least share within it

Extents = tuple[np.ndarray, np.ndarray]  # Minimum and maximum colours of rows, (h, 2, 3), and of columns, (w, 2, 3)
Part = tuple[slice, slice]  # (rows, columns) of a picture
WHOLE: Part = (slice(None), slice(None))  # The whole picture


def extents(thumbnail: np.ndarray) -> Extents:
    """Return the minimum and maximum colours of a thumbnail's rows, (h, 2, 3), and columns, (w, 2, 3)."""
    # Both reductions run along columns, because OpenCV starts a second thread to reduce rows.
    turned, kinds = (cv2.transpose(thumbnail), thumbnail), (cv2.REDUCE_MIN, cv2.REDUCE_MAX)
    rows, columns = (np.stack([cv2.reduce(picture, 0, kind)[0] for kind in kinds], 1) for picture in turned)
    return rows, columns


def part_within_bars(frames: Iterable[Extents], height: int, width: int) -> Part:
    """Return the (rows, columns) inside the borders that are flat and constant in all ``frames``.

    ``height`` and ``width``: of the pictures, to whose pixels the slices refer.
    """
    rows, columns = zip(*frames, strict=True)
    part = _inner(np.stack(rows), height), _inner(np.stack(columns), width)
    return part if None not in part else WHOLE  # type: ignore[return-value]


def _inner(lines: np.ndarray, length: int) -> slice | None:
    """Return the part of a side of ``length`` pixels between flat borders, as a slice; None if the part is too short.

    ``lines``: the extreme colours of the thumbnails' rows or columns, (frames, n, 2, 3).
    """
    lowest, highest = lines[:, :, 0].min(0), lines[:, :, 1].max(0)
    varying = np.flatnonzero((highest - lowest > FLAT).any(1))
    if len(varying) == 0 or varying[-1] + 1 - varying[0] < min(MIN_INNER_PX, len(lowest)):
        return None
    if varying[0] == 0 and varying[-1] == len(lowest) - 1:
        return slice(None)
    # A line that is half border is cropped as well, because its constant edge would count as structure.
    first = varying[0] + (varying[0] > 0)
    stop = varying[-1] + (varying[-1] == len(lowest) - 1)
    scale = length / len(lowest)
    return slice(int(np.ceil(first * scale)), int(stop * scale)) if stop - first >= MIN_INNER_PX else None


class Bars(NamedTuple):
    """The widths of the black bars at the four sides of a picture, in pixels."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    @property
    def edge(self) -> Bars:
        """Return thinner bars, which exclude the lines into which the picture's colour bleeds."""
        return Bars(*(max(0, lines - BLEED) for lines in self))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) inside the bars of a picture of this width and height."""
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


NO_BARS = Bars()  # Bars of a picture without borders


def black_bars(brightest: np.ndarray) -> Bars:
    """Return a clip's black bars, exact to ``BLEED`` lines.

    ``brightest``: the maximum of each pixel over the clip, (H, W) uint8. Bars stay black, lie on both sides of the
    picture, and have straight edges, unlike an object on black, or a vignette. If one edge is not found in a dark
    picture, that bar gets the thickness of the opposite one.
    """
    lit = brightest > BLACK
    top, bottom = _opposite_bars(lit)
    left, right = _opposite_bars(lit.T)
    return Bars(left, top, right, bottom)


def bars_of(pictures: Sequence[np.ndarray]) -> Bars:
    """Return the black bars, or if there are none the white bars, that all ``pictures``, (H, W, 3) uint8, have.

    Pictures of different sizes have none.
    """
    if len({picture.shape for picture in pictures}) != 1:
        return NO_BARS
    bars = black_bars(np.maximum.reduce([picture.max(2) for picture in pictures]))
    return bars if any(bars) else black_bars(255 - np.minimum.reduce([picture.min(2) for picture in pictures]))


def opaque_rectangle(alpha: np.ndarray) -> Part:
    """Return a large rectangle of alpha (H, W) that contains no transparent pixels (alpha below one half).

    The most transparent sides are cropped first; then holes, on the side where that removes the fewest pixels.
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
    """Return the largest (top, bottom, left, right) on one side of all transparent pixels of a rectangle.

    ``rows`` and ``columns``: those with transparent pixels, relative to the rectangle's top left corner.
    """
    parts = [
        (top + int(rows[-1]) + 1, bottom, left, right),
        (top, top + int(rows[0]), left, right),
        (top, bottom, left + int(columns[-1]) + 1, right),
        (top, bottom, left, left + int(columns[0])),
    ]
    return max(parts, key=lambda part: (part[1] - part[0]) * (part[3] - part[2]))


def _opposite_bars(lit: np.ndarray) -> tuple[int, int]:
    """Return the heights of the bars above and below the ``lit`` pixels, (H, W) bool; (0, 0) for none."""
    first, last = _bar_height(lit), _bar_height(lit[::-1])
    sure = max(first, last) - 2 * BLEED
    if first and not last and not lit[-sure:].any():
        return first, first
    if last and not first and not lit[:sure].any():
        return last, last
    return (first, last) if first and last else (0, 0)


def _bar_height(lit: np.ndarray) -> int:
    """Return the height of the bar above the ``lit`` pixels, (H, W) bool; 0 for none."""
    height = len(lit)
    first = lit.argmax(0)[lit.any(0)]  # First lit row of each column that has lit pixels
    if len(first) == 0:
        return 0
    edge = int(np.median(first))
    straight = float((np.abs(first - edge) <= max(BLEED, height * MAX_BEND)).mean())
    if edge < max(2 * BLEED, height * MIN_THICKNESS) or edge > height / 2 or straight < MIN_STRAIGHT:
        return 0
    return edge + BLEED
