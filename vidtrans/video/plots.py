"""Lay out labelled pictures as sheets, comparisons and grids, and draw curves. Every array is (H, W, 3) uint8 RGB.

A plotting library would add 0.6 s of start-up and 75 MB (matplotlib 3.11), without shorter code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidtrans.video.images.picture import resize

PAPER, INK, FAINT = (22, 22, 24), (236, 236, 236), (160, 160, 166)
GAP = 6
TEXT_PX = 14
TALLEST_CELL = 720  # pixels, of a picture in a column of a grid
GRID, CUT = (52, 52, 56), (104, 104, 112)
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 54, 40  # pixels around the curves, for text
SMALL = TEXT_PX - 2
TICK = 92  # pixels from one tick of the x axis to the next, at least
SUBPIXEL = 4  # bits
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ContactSheet:
    """A table of pictures with labels. A missing picture (None) leaves its cell empty.

    ``columns`` are headings over the columns, ``notes`` texts under the pictures, ``foot`` lines at the bottom; each
    may be empty. Pictures are fitted into cells of ``cell`` (width, height) pixels, with their aspect ratio.
    """

    title: str
    rows: Sequence[Sequence[np.ndarray | None]]
    cell: tuple[int, int]
    columns: Sequence[str] = ()
    notes: Sequence[Sequence[str]] = ()
    foot: str = ""

    def draw(self) -> np.ndarray:
        """Return the sheet as a picture."""
        width, height = self.cell
        count = max(len(row) for row in self.rows)
        whole = count * width + (count + 1) * GAP
        bands = [text_band(self.title, whole, size=TEXT_PX + 4)] if self.title else []
        if self.columns:
            bands.append(self._text_row(self.columns, count, TEXT_PX))
        for at, row in enumerate(self.rows):
            bands.append(join_row([fit(p, width, height) for p in (*row, *[None] * (count - len(row)))]))
            if self.notes:
                bands.append(self._text_row(self.notes[at], count, TEXT_PX - 2))
            bands.append(blank(whole, GAP))
        bands += [text_band(line, whole, colour=FAINT, size=TEXT_PX - 2) for line in self.foot.splitlines()]
        return np.vstack(bands)

    def _text_row(self, texts: Sequence[str], count: int, size: int) -> np.ndarray:
        padded = (*texts, *[""] * (count - len(texts)))
        return join_row([text_band(text, self.cell[0], colour=FAINT, size=size) for text in padded])


def cell_size(picture: np.ndarray, wanted: int, tallest: int | None = None) -> tuple[int, int]:
    """Return the (width, height) of a picture's cell: ``wanted`` pixels on the long side, never enlarged.

    ``tallest``: the height up to which it is ``wanted`` pixels wide instead, for the columns of a grid.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, wanted / width, (tallest or wanted) / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def middle(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the part of this size in the middle of a picture, or as much as there is."""
    y, x = max(0, picture.shape[0] - height) // 2, max(0, picture.shape[1] - width) // 2
    return picture[y : y + height, x : x + width]


def blank(width: int, height: int) -> np.ndarray:
    """Return a picture of the background colour."""
    return np.full((height, width, 3), PAPER, np.uint8)


def fit(picture: np.ndarray | None, width: int, height: int) -> np.ndarray:
    """Return the picture scaled into a box of this size, centred, with its aspect ratio; None gives an empty box."""
    box = blank(width, height)
    if picture is None:
        return box
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inside = resize(picture, max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    y, x = (height - inside.shape[0]) // 2, (width - inside.shape[1]) // 2
    box[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return box


def text_band(
    text: str, width: int, *, colour: tuple[int, int, int] = INK, size: int = TEXT_PX, margin: int = 4
) -> np.ndarray:
    """Return a strip with one line of text, cut with an ellipsis if it is too long."""
    while text and text_width(text, size=size, margin=margin) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    band = Image.new("RGB", (width, size + 8), PAPER)
    ImageDraw.Draw(band).text((margin, 2), text, fill=colour, font=font(size))
    return np.asarray(band)


def text_width(text: str, *, size: int = TEXT_PX, margin: int = 4) -> int:
    """Return the width in pixels of the strip for a line of text."""
    return math.ceil(font(size).getlength(text)) + 2 * margin


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's default font at a size in pixels."""
    return ImageFont.load_default(size)


def join_row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures of one height joined to a row, with gaps between and at both ends."""
    gap = blank(GAP, pictures[0].shape[0])
    return np.hstack([gap, *(part for picture in pictures for part in (picture, gap))])


@dataclass(frozen=True)
class ChartCurve:
    """One curve of a chart: a value, or None, for each frame; ``thick`` is the line width in pixels."""

    name: str
    values: Sequence[float | None]
    colour: Colour
    thick: int = 1


@dataclass(frozen=True)
class Chart:
    """A chart of curves over frames counted from 0, or over training steps if ``seconds`` is empty.

    ``seconds``: the time of each frame; ``cuts``: first frames of shots; ``marks``: frames to number. If there are
    more frames than pixel columns, a column shows its largest value, so that no peak is lost.
    """

    title: str
    curves: Sequence[ChartCurve]
    seconds: Sequence[float] = ()
    cuts: Sequence[int] = ()
    marks: Sequence[int] = ()

    def draw(self, width: int, height: int) -> np.ndarray:
        """Return the chart as a picture of this size, (height, width, 3) uint8."""
        return _Drawing(self, width, height).picture()


class _Drawing:
    """The drawing of a chart at one size, in pixels: curves and lines first, text on top."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.chart, self.width = chart, width
        self.across, self.bottom = width - LEFT - RIGHT, height - BOTTOM
        self.count = max((len(curve.values) for curve in chart.curves), default=0)
        values = [0.0, *(v for curve in chart.curves for v in curve.values if v is not None)]
        self.levels = round_values(min(values), max(values), 4, around=True)
        self.canvas = blank(width, height)

    def x(self, frame: float) -> float:
        return LEFT + self.across * (frame + 0.5) / max(1, self.count)

    def y(self, value: float) -> float:
        low, high = self.levels[0], self.levels[-1]
        return self.bottom - (self.bottom - TOP) * (value - low) / (high - low)

    def picture(self) -> np.ndarray:
        for level in self.levels:
            self.canvas[round(self.y(level)), LEFT : LEFT + self.across] = GRID
        for cut in self.chart.cuts:
            for y in range(TOP, self.bottom, 6):
                self.canvas[y : min(y + 3, self.bottom), round(self.x(cut - 0.5))] = CUT
        for mark in self.chart.marks:
            self.canvas[TOP : self.bottom, round(self.x(mark))] = self._dark
        for curve in self.chart.curves:
            for run in runs(columns(curve.values, self.across)):
                self._line(run, curve)
        picture = Image.fromarray(self.canvas)
        words = ImageDraw.Draw(picture)
        words.text((4, 2), self.chart.title, fill=INK, font=font(TEXT_PX))
        for level in self.levels:
            words.text((LEFT - 6, self.y(level)), f"{level:g}", fill=FAINT, font=font(SMALL), anchor="rm")
        self._legend(words)
        self._ticks(words)
        self._marks(words)
        return np.asarray(picture)

    @property
    def _dark(self) -> Colour:
        """The colour of the last curve at half its brightness, for lines behind it."""
        red, green, blue = self.chart.curves[-1].colour
        return red // 2, green // 2, blue // 2

    def _line(self, run: Sequence[tuple[float, float]], curve: ChartCurve) -> None:
        points = np.array([(self.x(frame), self.y(value)) for frame, value in run])
        places = np.rint(points * 2**SUBPIXEL).astype(np.int32)
        if len(places) == 1:
            cv2.circle(self.canvas, places[0].tolist(), 2 << SUBPIXEL, curve.colour, -1, cv2.LINE_AA, SUBPIXEL)
        else:
            cv2.polylines(self.canvas, [places], False, curve.colour, curve.thick, cv2.LINE_AA, SUBPIXEL)

    def _legend(self, words: ImageDraw.ImageDraw) -> None:
        """Draw the names of the curves in one line, from right to left."""
        right = self.width - RIGHT
        for curve in reversed([c for c in self.chart.curves if c.name]):
            right -= round(font(SMALL).getlength(curve.name))
            words.text((right, 4), curve.name, fill=curve.colour, font=font(SMALL))
            words.line([(right - 22, 11), (right - 5, 11)], fill=curve.colour, width=1 + curve.thick)
            right -= 36

    def _ticks(self, words: ImageDraw.ImageDraw) -> None:
        """Draw the frame numbers below the curves, and their times below the numbers."""
        seconds, y = self.chart.seconds, self.bottom
        for text, colour, down in (("frame" if seconds else "step", INK, 6), ("time" if seconds else "", FAINT, 22)):
            words.text((4, y + down), text, fill=colour, font=font(SMALL))
        for frame in map(int, round_values(0, self.count - 1, max(1, self.across // TICK), whole=True)):
            x, time = self.x(frame), format_seconds(seconds[frame]) if seconds else ""
            words.line([(x, y), (x, y + 4)], fill=FAINT)
            for text, colour, down in ((str(frame), INK, 6), (time, FAINT, 22)):
                middle = min(x, self.width - 2 - font(SMALL).getlength(text) / 2)
                words.text((middle, y + down), text, fill=colour, font=font(SMALL), anchor="ma")

    def _marks(self, words: ImageDraw.ImageDraw) -> None:
        """Draw the numbers of the marked frames above the curves, each joined to its line."""
        frames = sorted(self.chart.marks)
        widths = [round(font(SMALL).getlength(str(frame))) + 10 for frame in frames]
        middles = separate_labels([self.x(frame) for frame in frames], widths, self.width - RIGHT)
        for frame, middle, wide in zip(frames, middles, widths, strict=True):
            words.line([(middle, TOP - 8), (self.x(frame), TOP)], fill=self._dark)
            box = (middle - wide / 2, TOP - 26, middle + wide / 2, TOP - 8)
            words.rounded_rectangle(box, 5, fill=self.chart.curves[-1].colour)
            words.text((middle, TOP - 17), str(frame), fill=PAPER, font=font(SMALL), anchor="mm")


def format_seconds(seconds: float) -> str:
    """Format seconds as ``4.50 s``, and from a minute on as ``1:04.5``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def round_values(low: float, high: float, count: int, *, whole: bool = False, around: bool = False) -> list[float]:
    """Return about ``count`` evenly spaced round values between ``low`` and ``high``, for the ticks of an axis.

    Args:
        whole: Use whole numbers only.
        around: If true, the values enclose ``low`` and ``high``, and are at least two; else all lie between them.
    """
    rough = max(high - low, 1e-9) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough * 0.999)
    step = max(1, round(step)) if whole else step
    if around:
        first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
        return [step * i for i in range(first, max(last, first + 1) + 1)]
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def columns(values: Sequence[float | None], width: int) -> Iterator[tuple[float, float | None]]:
    """Yield (frame, value) for each frame; of more than ``width`` frames, (mid frame, largest value) per column."""
    edges = np.linspace(0, len(values), min(len(values), width) + 1).astype(int)
    for first, stop in pairwise(edges.tolist()):
        known = [v for v in values[first:stop] if v is not None]
        yield (first + stop - 1) / 2, max(known, default=None)


def runs(points: Iterable[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Return the runs of consecutive points (frame, value) that have a value."""
    groups = groupby(points, key=lambda point: point[1] is not None)
    return [[(frame, value) for frame, value in group if value is not None] for known, group in groups if known]


def separate_labels(xs: Sequence[float], widths: Sequence[int], stop: float) -> list[float]:
    """Return the centres of boxes near the ascending ``xs``, moved so that none overlap and all end before ``stop``."""
    middles: list[float] = []
    left = 0.0
    for x, width in zip(xs, widths, strict=True):
        middles.append(max(x, left + width / 2))
        left = middles[-1] + width / 2 + 3
    for at in reversed(range(len(middles))):
        middles[at] = min(middles[at], stop - widths[at] / 2)
        stop = middles[at] - widths[at] / 2 - 3
    return middles
