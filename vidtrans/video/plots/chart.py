"""Values over the frames of a clip, as a picture in which a moment can be found. (H, W, 3) uint8 RGB."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw

from vidtrans.video.plots.layout import FAINT, INK, PAPER, TEXT_PX, font, plain

GRID, CUT = (52, 52, 56), (104, 104, 112)
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 54, 40  # what is left around the curves for words
SMALL = TEXT_PX - 2
SUBPIXEL = 4  # bits

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]
Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A value for each frame, or None where there is none."""

    name: str
    values: Sequence[float | None]
    colour: Colour
    thick: int = 1


@dataclass(frozen=True)
class Chart:
    """Curves over frames, from 0 up. ``seconds`` is when each frame is shown; ``cuts`` begin shots, ``marks`` are the
    frames to look at. Where frames are many, each column shows the largest value of its frames, so that none is lost.
    """

    title: str
    curves: Sequence[Curve]
    seconds: Sequence[float]
    cuts: Sequence[int] = ()
    marks: Sequence[int] = ()

    def draw(self, width: int, height: int) -> np.ndarray:
        """The chart as a picture of this size."""
        across, up = width - LEFT - RIGHT, height - TOP - BOTTOM
        tallest = max((v for c in self.curves for v in c.values if v is not None), default=0.0)
        levels = steps_to(tallest, 4)
        canvas = plain(width, height)

        def place(frame: float, value: float) -> tuple[float, float]:
            x = LEFT + across * (frame + 0.5) / max(1, len(self.seconds))
            return x, TOP + up * (1 - value / levels[-1])

        for level in levels:
            y = round(place(0, level)[1])
            canvas[y, LEFT : LEFT + across] = GRID
        for cut in self.cuts:
            for y in range(TOP, TOP + up, 6):
                canvas[y : y + 3, round(place(cut - 0.5, 0)[0])] = CUT
        for mark in self.marks:
            canvas[TOP : TOP + up, round(place(mark, 0)[0])] = [c // 2 for c in self.curves[-1].colour]
        for curve in self.curves:
            for run in runs(columns(curve.values, across)):
                _line(canvas, [place(*point) for point in run], curve)
        picture = Image.fromarray(canvas)
        words = ImageDraw.Draw(picture)
        words.text((4, 2), self.title, fill=INK, font=font(TEXT_PX))
        self._legend(words, width)
        for level in levels:
            words.text((LEFT - 6, place(0, level)[1]), f"{level:g}", fill=FAINT, font=font(SMALL), anchor="rm")
        self._moments(words, [place(n, 0)[0] for n in range(len(self.seconds))], TOP + up)
        self._marks(words, place, width)
        return np.asarray(picture)

    def _legend(self, words: ImageDraw.ImageDraw, width: int) -> None:
        """The names of the curves, from the right."""
        right = width - RIGHT
        for curve in reversed(self.curves):
            right -= round(font(SMALL).getlength(curve.name))
            words.text((right, 4), curve.name, fill=curve.colour, font=font(SMALL))
            words.line([(right - 22, 11), (right - 5, 11)], fill=curve.colour, width=1 + curve.thick)
            right -= 36

    def _moments(self, words: ImageDraw.ImageDraw, xs: Sequence[float], y: float) -> None:
        """Frames below the curves, and below these their times."""
        last = len(xs) - 1
        ticks = [int(f) for f in steps_to(last, 12, whole=True) if f <= last]
        for frame in ticks:
            words.line([(xs[frame], y), (xs[frame], y + 4)], fill=FAINT)
            words.text((xs[frame], y + 6), str(frame), fill=INK, font=font(SMALL), anchor="ma")
            text = spoken(self.seconds[frame])
            words.text((xs[frame], y + 22), text, fill=FAINT, font=font(SMALL), anchor="ma")
        for text, colour, down in (("frame", INK, 6), ("time", FAINT, 22)):
            words.text((4, y + down), text, fill=colour, font=font(SMALL))

    def _marks(self, words: ImageDraw.ImageDraw, place: Place, width: int) -> None:
        """The frames to look at, by number, over the curves, each at the top of its line."""
        names = {frame: str(frame) for frame in sorted(self.marks)}
        wide = {frame: round(font(SMALL).getlength(name)) + 10 for frame, name in names.items()}
        for frame, middle in _apart({f: place(f, 0)[0] for f in names}, wide, width - RIGHT).items():
            x, half = place(frame, 0)[0], wide[frame] / 2
            colour = self.curves[-1].colour
            words.line([(middle, TOP - 8), (x, TOP)], fill=tuple(c // 2 for c in colour))
            words.rounded_rectangle((middle - half, TOP - 26, middle + half, TOP - 8), 5, fill=colour)
            words.text((middle, TOP - 17), names[frame], fill=PAPER, font=font(SMALL), anchor="mm")


def spoken(seconds: float) -> str:
    """``4.50 s``, and from a minute on ``1:04.5``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def steps_to(largest: float, count: int, *, whole: bool = False) -> list[float]:
    """About ``count`` round steps from 0 to ``largest`` or a little beyond; ``whole``: in whole numbers."""
    rough = max(largest, 1e-9) / count
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough * 0.999)
    step = max(1, round(step)) if whole else step
    return [step * i for i in range(max(1, math.ceil(largest / step - 1e-6)) + 1)]


def columns(values: Sequence[float | None], width: int) -> list[tuple[float, float | None]]:
    """(frame, value) for each frame, or the largest of those that share a column where there are more than columns."""
    count = len(values)
    if count <= width:
        return list(enumerate(values))
    edges = np.linspace(0, count, width + 1).astype(int)
    found: list[tuple[float, float | None]] = []
    for first, stop in pairwise(edges):
        held = [v for v in values[first:stop] if v is not None]
        found.append(((first + stop - 1) / 2, max(held, default=None)))
    return found


def runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """What can be drawn in one go: the points between those that have no value."""
    found: list[list[tuple[float, float]]] = [[]]
    for frame, value in points:
        if value is None:
            found.append([])
        else:
            found[-1].append((frame, value))
    return [run for run in found if run]


def _apart(xs: dict[int, float], wide: dict[int, int], stop: float) -> dict[int, float]:
    """Middles of boxes that stand near these places and not on each other, left of ``stop``."""
    places: dict[int, float] = {}
    left = 0.0
    for frame, x in xs.items():
        places[frame] = max(x, left + wide[frame] / 2)
        left = places[frame] + wide[frame] / 2 + 3
    right = stop
    for frame in reversed(places):
        places[frame] = min(places[frame], right - wide[frame] / 2)
        right = places[frame] - wide[frame] / 2 - 3
    return places


def _line(canvas: np.ndarray, points: Points, curve: Curve) -> None:
    places = np.rint(np.array(points) * 2**SUBPIXEL).astype(np.int32)
    if len(places) == 1:
        cv2.circle(canvas, tuple(map(int, places[0])), 2 << SUBPIXEL, curve.colour, -1, cv2.LINE_AA, SUBPIXEL)
    else:
        cv2.polylines(canvas, [places], False, curve.colour, curve.thick, cv2.LINE_AA, SUBPIXEL)
