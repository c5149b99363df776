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

# RGB colours of the background, of text, and of secondary text.
PAPER, INK, FAINT = (22, 22, 24), (236, 236, 236), (160, 160, 166)
GAP = 6  # Pixels between neighbouring pictures
TEXT_PX = 14  # Height of text in pixels
MAX_CELL_HEIGHT_PX = 720  # Largest height of a picture in a grid, in pixels
GRID_COLOUR, CUT_COLOUR = (52, 52, 56), (104, 104, 112)  # RGB colours of a chart's grid lines and of its cuts
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 54, 40  # Margins of a chart in pixels, with room for its texts
SMALL_TEXT_PX = TEXT_PX - 2  # Height of small text in pixels
MIN_TICK_PX = 92  # Least distance between ticks of the x axis in pixels
SUBPIXEL_BITS = 4  # Fractional bits of OpenCV's drawing coordinates
Colour = tuple[int, int, int]  # RGB, 8 bits per channel


@dataclass(frozen=True)
class ContactSheet:
    """A table of labelled pictures. A missing picture (None) leaves its cell empty.

    ``columns``: headings of the columns; ``notes``: texts under the pictures; ``foot``: lines at the bottom; each may
    be empty. Pictures are fitted into cells of ``cell`` (width, height) pixels, with their aspect ratio.
    """

    title: str
    rows: Sequence[Sequence[np.ndarray | None]]
    cell: tuple[int, int]
    columns: Sequence[str] = ()
    notes: Sequence[Sequence[str]] = ()
    foot: str = ""

    def draw(self) -> np.ndarray:
        """Return the sheet as a picture, (H, W, 3) uint8."""
        width, height = self.cell
        num_columns = max(len(row) for row in self.rows)
        sheet_width = num_columns * width + (num_columns + 1) * GAP
        bands = [text_band(self.title, sheet_width, size=TEXT_PX + 4)] if self.title else []
        if self.columns:
            bands.append(self._text_row(self.columns, num_columns, TEXT_PX))
        for i, row in enumerate(self.rows):
            bands.append(join_row([letterbox(p, width, height) for p in (*row, *[None] * (num_columns - len(row)))]))
            if self.notes:
                bands.append(self._text_row(self.notes[i], num_columns, SMALL_TEXT_PX))
            bands.append(blank_picture(sheet_width, GAP))
        bands += [text_band(line, sheet_width, colour=FAINT, size=SMALL_TEXT_PX) for line in self.foot.splitlines()]
        return np.vstack(bands)

    def _text_row(self, texts: Sequence[str], num_columns: int, size: int) -> np.ndarray:
        """Return a row of texts, one per column, as a picture; ``size``: height of the text in pixels."""
        padded = (*texts, *[""] * (num_columns - len(texts)))
        return join_row([text_band(text, self.cell[0], colour=FAINT, size=size) for text in padded])


def cell_size(picture: np.ndarray, long_side: int, max_height: int | None = None) -> tuple[int, int]:
    """Return the (width, height) of a picture's cell, with ``long_side`` pixels on the long side, never enlarged.

    With ``max_height``, the cell is ``long_side`` pixels wide, unless it would be higher than that.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, long_side / width, (max_height or long_side) / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def centre_crop(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the centre of a picture, cropped to this size, or less if the picture is smaller."""
    y, x = max(0, picture.shape[0] - height) // 2, max(0, picture.shape[1] - width) // 2
    return picture[y : y + height, x : x + width]


def blank_picture(width: int, height: int) -> np.ndarray:
    """Return a picture of the background colour, (H, W, 3) uint8."""
    return np.full((height, width, 3), PAPER, np.uint8)


def letterbox(picture: np.ndarray | None, width: int, height: int) -> np.ndarray:
    """Scale a picture into a box of this size, centred, with its aspect ratio; None gives an empty box."""
    box = blank_picture(width, height)
    if picture is None:
        return box
    scale = min(width / picture.shape[1], height / picture.shape[0])
    scaled = resize(picture, max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    y, x = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
    box[y : y + scaled.shape[0], x : x + scaled.shape[1]] = scaled
    return box


def text_band(
    text: str, width: int, *, colour: tuple[int, int, int] = INK, size: int = TEXT_PX, margin: int = 4
) -> np.ndarray:
    """Return a picture with one line of text, ``width`` pixels wide; too long a text is shortened with an ellipsis."""
    while text and text_width(text, size=size, margin=margin) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    band = Image.new("RGB", (width, size + 8), PAPER)
    ImageDraw.Draw(band).text((margin, 2), text, fill=colour, font=font(size))
    return np.asarray(band)


def text_width(text: str, *, size: int = TEXT_PX, margin: int = 4) -> int:
    """Return the width, in pixels, of a ``text_band`` that fits a text."""
    return math.ceil(font(size).getlength(text)) + 2 * margin


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's default font; ``size``: its height in pixels."""
    return ImageFont.load_default(size)


def join_row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Join pictures of one height to a row, with gaps between them and at both ends."""
    gap = blank_picture(GAP, pictures[0].shape[0])
    return np.hstack([gap, *(item for picture in pictures for item in (picture, gap))])


@dataclass(frozen=True)
class ChartCurve:
    """A curve of a chart: a value for each frame, None where the line has a gap; ``thick``: its width in pixels."""

    name: str
    values: Sequence[float | None]
    colour: Colour
    thick: int = 1


@dataclass(frozen=True)
class Chart:
    """A chart of curves over the frames of a clip, or, if ``seconds`` is empty, over training steps.

    ``seconds``: the time of each frame; ``cuts``: first frames of shots; ``marks``: frames to number. If there are more
    frames than pixel columns, a column shows its largest value, so that no peak is lost.
    """

    title: str
    curves: Sequence[ChartCurve]
    seconds: Sequence[float] = ()
    cuts: Sequence[int] = ()
    marks: Sequence[int] = ()

    def draw(self, width: int, height: int) -> np.ndarray:
        """Return the chart as a picture, (height, width, 3) uint8."""
        return _Drawing(self, width, height).picture()


class _Drawing:
    """The drawing of a chart at one size, in pixels: lines and curves first, then text."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.chart, self.width = chart, width
        self.plot_width, self.bottom = width - LEFT - RIGHT, height - BOTTOM
        self.count = max((len(curve.values) for curve in chart.curves), default=0)
        values = [0.0, *(v for curve in chart.curves for v in curve.values if v is not None)]
        self.levels = round_values(min(values), max(values), 4, around=True)
        self.canvas = blank_picture(width, height)

    def x(self, frame: float) -> float:
        """Return the horizontal position of a frame in pixels."""
        return LEFT + self.plot_width * (frame + 0.5) / max(1, self.count)

    def y(self, value: float) -> float:
        """Return the vertical position of a value in pixels."""
        low, high = self.levels[0], self.levels[-1]
        return self.bottom - (self.bottom - TOP) * (value - low) / (high - low)

    def picture(self) -> np.ndarray:
        """Draw the chart: grid, cuts, marks, curves and texts; return it, (H, W, 3) uint8."""
        for level in self.levels:
            self.canvas[round(self.y(level)), LEFT : LEFT + self.plot_width] = GRID_COLOUR
        for cut in self.chart.cuts:
            for y in range(TOP, self.bottom, 6):
                self.canvas[y : min(y + 3, self.bottom), round(self.x(cut - 0.5))] = CUT_COLOUR
        for mark in self.chart.marks:
            self.canvas[TOP : self.bottom, round(self.x(mark))] = self._line_colour
        for curve in self.chart.curves:
            for points in connected_points(pixel_columns(curve.values, self.plot_width)):
                self._draw_line(points, curve)
        picture = Image.fromarray(self.canvas)
        draw = ImageDraw.Draw(picture)
        draw.text((4, 2), self.chart.title, fill=INK, font=font(TEXT_PX))
        for level in self.levels:
            draw.text((LEFT - 6, self.y(level)), f"{level:g}", fill=FAINT, font=font(SMALL_TEXT_PX), anchor="rm")
        self._draw_legend(draw)
        self._draw_ticks(draw)
        self._draw_marks(draw)
        return np.asarray(picture)

    @property
    def _line_colour(self) -> Colour:
        """The colour of the last curve at half its brightness, for the vertical lines of marked frames."""
        red, green, blue = self.chart.curves[-1].colour
        return red // 2, green // 2, blue // 2

    def _draw_line(self, points: Sequence[tuple[float, float]], curve: ChartCurve) -> None:
        """Draw a line of a curve through points (frame, value); a single point is drawn as a dot."""
        pixels = np.array([(self.x(frame), self.y(value)) for frame, value in points])
        coordinates = np.rint(pixels * 2**SUBPIXEL_BITS).astype(np.int32)
        if len(coordinates) == 1:
            centre, radius = coordinates[0].tolist(), 2 << SUBPIXEL_BITS
            cv2.circle(self.canvas, centre, radius, curve.colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)
        else:
            cv2.polylines(self.canvas, [coordinates], False, curve.colour, curve.thick, cv2.LINE_AA, SUBPIXEL_BITS)

    def _draw_legend(self, draw: ImageDraw.ImageDraw) -> None:
        """Draw the names of the curves in one line, from right to left."""
        right = self.width - RIGHT
        for curve in reversed([c for c in self.chart.curves if c.name]):
            right -= round(font(SMALL_TEXT_PX).getlength(curve.name))
            draw.text((right, 4), curve.name, fill=curve.colour, font=font(SMALL_TEXT_PX))
            draw.line([(right - 22, 11), (right - 5, 11)], fill=curve.colour, width=1 + curve.thick)
            right -= 36

    def _draw_ticks(self, draw: ImageDraw.ImageDraw) -> None:
        """Draw the frame numbers below the curves, and their times below the numbers."""
        seconds, y = self.chart.seconds, self.bottom
        for text, colour, down in (("frame" if seconds else "step", INK, 6), ("time" if seconds else "", FAINT, 22)):
            draw.text((4, y + down), text, fill=colour, font=font(SMALL_TEXT_PX))
        for frame in map(int, round_values(0, self.count - 1, max(1, self.plot_width // MIN_TICK_PX), whole=True)):
            x, time = self.x(frame), format_seconds(seconds[frame]) if seconds else ""
            draw.line([(x, y), (x, y + 4)], fill=FAINT)
            for text, colour, down in ((str(frame), INK, 6), (time, FAINT, 22)):
                middle = min(x, self.width - 2 - font(SMALL_TEXT_PX).getlength(text) / 2)
                draw.text((middle, y + down), text, fill=colour, font=font(SMALL_TEXT_PX), anchor="ma")

    def _draw_marks(self, draw: ImageDraw.ImageDraw) -> None:
        """Draw the numbers of the marked frames above the curves, each joined to the vertical line of its frame."""
        frames = sorted(self.chart.marks)
        widths = [round(font(SMALL_TEXT_PX).getlength(str(frame))) + 10 for frame in frames]
        middles = label_centres([self.x(frame) for frame in frames], widths, self.width - RIGHT)
        for frame, middle, wide in zip(frames, middles, widths, strict=True):
            draw.line([(middle, TOP - 8), (self.x(frame), TOP)], fill=self._line_colour)
            box = (middle - wide / 2, TOP - 26, middle + wide / 2, TOP - 8)
            draw.rounded_rectangle(box, 5, fill=self.chart.curves[-1].colour)
            draw.text((middle, TOP - 17), str(frame), fill=PAPER, font=font(SMALL_TEXT_PX), anchor="mm")


def format_seconds(seconds: float) -> str:
    """Format seconds as ``4.50 s``, and from a minute on as ``1:04.5``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def round_values(low: float, high: float, count: int, *, whole: bool = False, around: bool = False) -> list[float]:
    """Return about ``count`` evenly spaced round numbers from ``low`` to ``high``, for the ticks of an axis.

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


def pixel_columns(values: Sequence[float | None], width: int) -> Iterator[tuple[float, float | None]]:
    """Yield (frame, value) for each frame; for more than ``width`` frames, (mid frame, largest value) per column."""
    edges = np.linspace(0, len(values), min(len(values), width) + 1).astype(int)
    for first, stop in pairwise(edges.tolist()):
        present = [v for v in values[first:stop] if v is not None]
        yield (first + stop - 1) / 2, max(present, default=None)


def connected_points(points: Iterable[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Return the series of consecutive points (frame, value) that have a value."""
    groups = groupby(points, key=lambda point: point[1] is not None)
    return [[(frame, value) for frame, value in group if value is not None] for has_value, group in groups if has_value]


def label_centres(xs: Sequence[float], widths: Sequence[int], stop: float) -> list[float]:
    """Return the x of the centres of labels near the ascending ``xs``; none overlaps another or passes ``stop``.

    All are in pixels; ``widths``: of the labels.
    """
    centres: list[float] = []
    left = 0.0
    for x, width in zip(xs, widths, strict=True):
        centres.append(max(x, left + width / 2))
        left = centres[-1] + width / 2 + 3
    for i in reversed(range(len(centres))):
        centres[i] = min(centres[i], stop - widths[i] / 2)
        stop = centres[i] - widths[i] / 2 - 3
    return centres
