"""Measure frames between drawings: ten films of lines and flat areas, of which every second frame is taken away.

    python -m benchmarks.drawings [--sheets FOLDER]

For ``vidtrans retime`` and for ffmpeg's ``minterpolate``: the PSNR of the frames that are made, the length of their
contours as a share of the truth's (above 1: doubled contours; without held frames), and how many were held. Constants
were chosen on the first five films. ``--sheets`` writes a picture for each film: truth, retime and minterpolate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import cos, pi, sin
from pathlib import Path

import cv2
import numpy as np
from skimage.morphology import skeletonize

from benchmarks import harness
from benchmarks.retiming import SKIPPED, Frames, ffmpeg, minterpolate, retimed
from benchmarks.tables import head, row
from vidtrans.metrics.picture_quality import psnr
from vidtrans.video.images.picture import write_picture

WIDTH, HEIGHT, FRAMES = 384, 288, 25
INK, ORANGE, GREEN, WHITE = (20, 20, 20), (60, 150, 230), (120, 190, 150), (255, 255, 255)
Points = list[tuple[float, float]]
Colour = tuple[int, int, int]


class Page:
    """A white page on which lines are drawn, at twice its size."""

    def __init__(self) -> None:
        self.picture = np.full((2 * HEIGHT, 2 * WIDTH, 3), 255, np.uint8)

    def line(self, points: Iterable[tuple[float, float]], *, closed: bool = False, fill: Colour | None = None) -> None:
        """Draw a line through points, in pixels."""
        path = np.round(np.array(list(points)) * 2 * 16).astype(np.int32)[None]
        if fill is not None:
            cv2.fillPoly(self.picture, path, fill, cv2.LINE_AA, 4)
        cv2.polylines(self.picture, path, closed or fill is not None, INK, 5, cv2.LINE_AA, 4)

    def oval(self, x: float, y: float, a: float, b: float, fill: Colour | None = None) -> None:
        """Draw an ellipse with the half axes ``a`` and ``b``."""
        self.line([(x + a * cos(k * pi / 30), y + b * sin(k * pi / 30)) for k in range(60)], closed=True, fill=fill)

    def leg(self, x: float, y: float, lengths: tuple[float, float], angles: tuple[float, float]) -> None:
        """Draw two joined lines down from a point, each at an angle to the vertical."""
        points = [(x, y)]
        for length, angle in zip(lengths, angles, strict=True):
            points.append((points[-1][0] + length * sin(angle), points[-1][1] + length * cos(angle)))
        self.line(points)


def rigid(page: Page, t: float) -> None:
    """A star that turns and moves."""
    x, y = 90 + 150 * t, 150 - 30 * sin(3 * t)
    radii = [24 + 31 * (k % 2) for k in range(10)]
    page.line(
        [(x + r * cos(1.2 * t + k * pi / 5), y + r * sin(1.2 * t + k * pi / 5)) for k, r in enumerate(radii)],
        closed=True,
    )
    page.line([(20, 250), (360, 250)])


def bending(page: Page, t: float) -> None:
    """A figure that walks."""
    x, y, step = 110 + 120 * t, 130.0, 2 * pi * 1.6 * t
    page.line([(x, y), (x + 4 * sin(step), y - 50)])
    page.oval(x + 4 * sin(step), y - 68, 17, 17)
    for side in (0.0, pi):
        thigh, arm = 0.7 * sin(step + side), -0.6 * sin(step + side)
        page.leg(x, y, (40, 40), (thigh, thigh - 0.35 - 0.35 * cos(step + side)))
        page.leg(x, y - 45, (30, 28), (arm, arm + 0.5))
    page.line([(10, 215), (374, 215)])


def crossing(page: Page, t: float) -> None:
    """Two circles and a line that cross."""
    page.oval(80 + 220 * t, 120, 40, 40)
    page.oval(300 - 220 * t, 160, 40, 40)
    page.line([(40, 60 + 150 * t), (340, 80 + 120 * t)])


def appearing(page: Page, t: float) -> None:
    """A line that grows, and a face that begins to smile."""
    page.line([(30 + 2.7 * k, 200 + 40 * sin(k / 9)) for k in range(int(10 + 110 * t))])
    x = 90 + 170 * t
    page.oval(x, 90, 32, 32)
    if t > 0.5:
        page.line([(x - 14, 96), (x, 106), (x + 14, 96)])
    for eye in (-12, 12):
        page.oval(x + eye, 84, 4, 4)


def filled(page: Page, t: float) -> None:
    """A coloured ball that jumps, squashed and stretched."""
    size, x, y = 1 + 0.35 * sin(3 * pi * t), 90 + 190 * t, 200 - 90 * abs(sin(2 * pi * t))
    page.line([(0, 240), (WIDTH, 240), (WIDTH, HEIGHT + 2), (0, HEIGHT + 2)], fill=GREEN)
    page.oval(x, y, 45 / size, 45 * size, ORANGE)
    for eye in (-14, 14):
        page.oval(x + eye, y - 12 * size, 7, 7, WHITE)
        page.oval(x + eye + 2, y - 12 * size, 2, 2, INK)
    page.line([(x - 16, y + 12 * size), (x, y + 22 * size), (x + 16, y + 12 * size)])


def boxes(page: Page, t: float) -> None:
    """Two squares that turn in opposite directions."""
    for x, turn in ((110 + 60 * t, 1.8 * t), (280 - 40 * t, -1.4 * t)):
        corners = [(x + 46 * cos(turn + k * pi / 2), 140 + 46 * sin(turn + k * pi / 2)) for k in range(4)]
        page.line(corners, closed=True)
        page.line([corners[0], corners[2]])


def bird(page: Page, t: float) -> None:
    """A bird that flaps its wings."""
    x, y, flap = 70 + 240 * t, 140 + 20 * sin(4 * t), 40 * sin(2 * pi * 1.5 * t)
    page.oval(x, y, 26, 12)
    page.line([(x + 26, y), (x + 40, y + 3), (x + 26, y + 6)])
    for side in (-1, 1):
        page.line([(x - 4, y - 6), (x - 30 * side - 8, y - 20 - flap), (x - 56 * side - 8, y - 8 - flap)])


def grass(page: Page, t: float) -> None:
    """Blades that sway, and a ball that passes before them."""
    for k in range(12):
        lean = 26 * sin(5 * t + k / 2)
        page.line([(24 + 31 * k + lean * s * s, 260 - 110 * s) for s in (0, 0.25, 0.5, 0.75, 1)])
    page.oval(50 + 280 * t, 90, 30, 30, WHITE)


def drawing(page: Page, t: float) -> None:
    """A hand that draws a spiral, and a window that appears."""
    spiral = [(150 + 2.2 * k * cos(k / 4), 140 + 2.2 * k * sin(k / 4)) for k in range(2, int(4 + 40 * t))]
    page.line(spiral)
    x, y = spiral[-1]
    page.line([(x, y), (x + 40, y + 46), (x + 70, y + 60)])
    if t > 0.4:
        page.line([(300, 40), (360, 40), (360, 110), (300, 110)], closed=True)


def fish(page: Page, t: float) -> None:
    """A coloured fish that swims before weeds."""
    page.line([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT + 2), (0, HEIGHT + 2)], fill=(240, 225, 200))
    for k in range(4):
        page.line([(60 + 90 * k + 12 * sin(4 * t + s / 20), 288 - s) for s in range(0, 150, 10)])
    x, y, tail = 80 + 220 * t, 120 + 25 * sin(5 * t), 22 * sin(10 * t)
    page.line([(x - 40, y), (x - 72, y - 24 + tail), (x - 72, y + 24 + tail)], fill=ORANGE)
    page.oval(x, y, 46, 26, ORANGE)
    page.oval(x + 24, y - 6, 5, 5, WHITE)


CHOSEN_ON: tuple[Callable[[Page, float], None], ...] = (rigid, bending, crossing, appearing, filled)
FILMS = (*CHOSEN_ON, boxes, bird, grass, drawing, fish)


def film(draw: Callable[[Page, float], None]) -> Frames:
    """Return the frames of a film, (H, W, 3) uint8."""
    pages = [Page() for _ in range(FRAMES)]
    for number, page in enumerate(pages):
        draw(page, number / (FRAMES - 1))
    return [cv2.resize(page.picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)[..., ::-1].copy() for page in pages]


def contour_length(picture: np.ndarray) -> int:
    """Return the length of the dark lines of a picture, in pixels."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    lines = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    return int(skeletonize(lines > 40).sum())


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    program = ffmpeg()
    head("film", "way", "PSNR", "contours", "held")
    for draw in FILMS:
        frames = film(draw)
        kept, truth = frames[::2], frames[1::2]
        made = {"retime": retimed(kept)}
        if program:
            made["minterpolate"] = minterpolate(program, kept, truth), [False] * len(truth)
        for way, (found, held) in made.items():
            pairs = list(zip(found, truth, strict=True))[SKIPPED:-SKIPPED]
            quality = float(np.mean([psnr(a, b) for a, b in pairs]))
            lengths = [contour_length(a) / contour_length(b) for a, b in pairs]
            own = [length for length, is_held in zip(lengths, held[SKIPPED:-SKIPPED], strict=True) if not is_held]
            row(draw.__name__, way, quality, float(np.mean(own)) if own else "", sum(held))
        if options.sheets:
            rows = [truth, *(found for found, _ in made.values())]
            write_picture(
                options.sheets / f"{draw.__name__}.png", np.vstack([np.hstack(each[SKIPPED:-SKIPPED]) for each in rows])
            )


if __name__ == "__main__":
    main()
