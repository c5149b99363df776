"""Rough drawing → clean lines: training draws a rough version of each clean drawing; a render takes a drawing.

After Simo-Serra, Iizuka, Sasaki and Ishikawa, "Learning to Simplify: Fully Convolutional Networks for Rough Sketch
Cleanup" (SIGGRAPH 2016). They had artists draw rough sketches over clean lines, since such pairs are aligned. Here the
rough side is drawn by the rules that they name: lines go over each other, miss each other, break off, run past their
ends, and stand among construction lines.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.drawings import ink, ink_on, is_drawing
from vidtrans.pairing.edges import stroke_middles
from vidtrans.pairing.sketch import Sketch, SketchSettings
from vidtrans.video.images.picture_analysis import centre_lines

GENTLEST = 0.25  # of the settings: the least rough drawing that training sees
SPUR = 16  # pixels: shorter lines found in a frame are no lines that one would draw
INKED = 160  # grey levels: what is darker is a line of a clean drawing
CALM = 2.0  # σ in pixels of the smoothing along lines that were found in a frame
NEIGHBOURS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))  # (row, column), sides first
SUBPIXEL = 4  # bits of a fraction in coordinates that OpenCV draws
BEND = 24.0  # pixels between the points at which a hand's error is drawn; it is smooth between them
REACH = (40.0, 160.0)  # pixels that a hand draws without lifting the pencil
OVERLAP = 5.0  # pixels by which the next stroke goes over the end of the last
MAX_LAYERS = 8


@dataclass(frozen=True)
class SimplifySettings:
    """The clean lines, and how rough the drawings of training become."""

    lines: str = option(
        "auto",
        "drawn: the frames are clean line drawings; found: draw the lines found in them; auto: look at each frame",
        choices=("auto", "drawn", "found"),
    )
    width: float = option(1.6, "pixels, the width of lines that are found in a frame", bounds=(0.5, 20.0))
    sigma: float = option(1.4, "σ in pixels of the search for lines in a frame; more finds fewer", bounds=(0.3, 10.0))
    strokes: int = option(4, "how often a line is drawn over, at most", bounds=(1, 8))
    wobble: float = option(3.0, "pixels by which strokes miss the line, at most about twice as far", bounds=(0.0, 40.0))
    breaks: float = option(0.3, "share of strokes that leave a gap instead of an overlap", bounds=(0.0, 1.0))
    overshoot: float = option(10.0, "pixels that strokes run past their ends, at most", bounds=(0.0, 200.0))
    construction: int = option(6, "number of faint construction lines, at most", bounds=(0, 100))
    grain: float = option(0.8, "grain of pencil and paper: 0 is ink on smooth paper", bounds=(0.0, 1.0))


class Simplify(Pairing):
    """A drawing, dark strokes on white paper, in training drawn roughly over the clean lines.

    In three equal channels, so that a residual generator can begin with the drawing as it is.
    """

    name = "simplify"
    drawing_kind = "lines"
    operators_refusal = "the paper of a drawing is found first"
    Settings = SimplifySettings
    settings: SimplifySettings

    def stored(self, frame: np.ndarray) -> np.ndarray:
        """Return the clean lines of a frame, dark on white, (H, W, 3) uint8 both."""
        wanted = self.settings.lines
        if wanted == "drawn" or (wanted == "auto" and is_drawing(frame, "lines")):
            lines = 255 - ink(frame)
        else:
            pencil = Sketch(SketchSettings(sigma=self.settings.sigma)).input([frame])[..., 0]
            paths = trace(stroke_middles(ink_on(255.0, pencil)) > 0, SPUR)
            lines = draw([smooth(path, CALM) for path in paths], pencil.shape, self.settings.width)
        return _in_grey(lines)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return a rough drawing's ink, dark on white, (H, W, 3) uint8 both."""
        return _in_grey(255 - ink(frames[0]))

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return a rough version of clean lines, (H, W, 3) uint8, as the ink found on its page, the same shape."""
        settings, share = self.settings, rng.uniform(GENTLEST, 1)
        rough = replace(
            settings,
            wobble=settings.wobble * share,
            breaks=settings.breaks * share,
            overshoot=settings.overshoot * share,
            grain=settings.grain * rng.uniform(0, 1),
        )
        lines = frames[0][..., 0]
        page = draw_roughly(trace(centre_lines(lines < INKED)), lines.shape, rough, rng)
        return _in_grey(255 - ink_on(255.0, page))

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return the same as ``input``."""
        return self.input([picture])


def _in_grey(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[..., None], 3, axis=2)


def trace(lines: np.ndarray, shortest: int = 3) -> list[np.ndarray]:
    """Return the paths along lines of one pixel's width, (H, W) bool, cut where they meet: (N, 2) float32, x and y.

    A closed path ends at its first point. Paths of fewer than ``shortest`` pixels are left out.
    """
    grid = lines.astype(np.uint8)
    crossings = grid * (_neighbours(grid) > 2)
    simple = grid - crossings
    is_end = _neighbours(simple) < 2
    remaining, meeting = dict.fromkeys(_pixels(simple)), set(_pixels(crossings))
    paths = []
    for start in (*_pixels(simple * is_end), *_pixels(simple)):  # rings come last
        if start not in remaining:
            continue
        del remaining[start]
        path, here = [start], start
        while found := _next(here, remaining):
            del remaining[found]
            path.append(found)
            here = found
        if len(path) >= shortest:
            is_ring = not is_end[start]
            before, after = (None, start) if is_ring else (_next(start, meeting), _next(here, meeting))
            whole = [p for p in (before, *path, after) if p is not None]
            paths.append(np.array(whole, np.float32)[:, ::-1])
    return paths


def _neighbours(grid: np.ndarray) -> np.ndarray:
    """Return the number of set pixels around each pixel, of (H, W) uint8 of 0 and 1, same shape."""
    return cv2.boxFilter(grid, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT) - grid


def _pixels(grid: np.ndarray) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(grid)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _next(here: tuple[int, int], remaining: Container[tuple[int, int]]) -> tuple[int, int] | None:
    return next((p for y, x in NEIGHBOURS if (p := (here[0] + y, here[1] + x)) in remaining), None)


def smooth(path: np.ndarray, sigma: float) -> np.ndarray:
    """Return a path, (N, 2) float32, smoothed by a Gaussian of ``sigma`` points; its ends stay where they are."""
    reach = min(round(3 * sigma), len(path) - 1)
    if reach < 1:
        return path
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    columns = [np.convolve(padded[:, c], weights / weights.sum(), "valid") for c in (0, 1)]
    return np.stack(columns, axis=1).astype(np.float32)


def draw(paths: Sequence[np.ndarray], size: tuple[int, int], width: float) -> np.ndarray:
    """Return dark, anti-aliased lines of ``width`` pixels on white paper, (H, W) uint8. ``size``: (H, W)."""
    scale = 4  # drawn larger, since OpenCV's widths are whole pixels
    page = np.full((size[0] * scale, size[1] * scale), 255, np.uint8)
    points = [_fixed((path + 0.5) * scale - 0.5) for path in paths]
    cv2.polylines(page, points, False, 0, max(1, round(width * scale)), cv2.LINE_8, SUBPIXEL)
    return cv2.resize(page, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def draw_roughly(
    paths: Sequence[np.ndarray], size: tuple[int, int], rough: SimplifySettings, rng: np.random.Generator
) -> np.ndarray:
    """Return a rough drawing of ``paths``: dark graphite (0) on white (255), (H, W) uint8. ``size``: (H, W)."""
    layers = [np.zeros(size, np.uint8) for _ in range(max(1, min(rough.strokes, MAX_LAYERS)))]
    for path in paths:
        for part in _parts(path, rough.breaks, rng):
            for layer in layers[: rng.integers(1, len(layers) + 1)]:
                stroke = _by_hand(part, rough, rng)
                _press(layer, stroke, rng.uniform(0.35, 0.95), rng)
    guides = np.zeros(size, np.uint8)
    for stroke in _construction(paths, size, rough, rng):
        _press(guides, stroke, rng.uniform(0.1, 0.35), rng)
    paper = np.ones(size, np.float32)
    for layer in (guides, *layers):  # graphite over graphite takes away light again
        coarse = rng.uniform(0.5, 1, (max(2, size[0] // 24), max(2, size[1] // 24))).astype(np.float32)
        pressure = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)  # smooth over the page
        paper *= 1 - layer * (pressure / np.float32(255))
    return np.rint(255 * _grained(paper, rough.grain, rng)).astype(np.uint8)


def _parts(path: np.ndarray, breaks: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the parts of a path that are drawn without lifting the pencil; ``breaks``: share of gaps between them."""
    found, at = [], 0.0
    while at < len(path) - 1:
        stop = at + rng.uniform(*REACH)
        first, last = max(0, round(at - OVERLAP)), min(len(path), round(stop + OVERLAP))
        if rng.random() < breaks:  # a gap instead of an overlap
            gap = rng.uniform(3, 12)
            first, last = round(at + gap / 2), round(min(stop, len(path)) - gap / 2)
        if last - first > 1:
            found.append(path[first:last])
        at = stop
    return found


def _by_hand(path: np.ndarray, rough: SimplifySettings, rng: np.random.Generator) -> np.ndarray:
    """Return a path, (N, 2) float32, as a hand redraws it: moved, bent, and drawn past its ends."""
    count = max(2, round(len(path) / BEND) + 1)
    errors = rng.normal(0, rough.wobble / 2, (count, 2)) + rng.normal(0, rough.wobble / 2, 2)
    at = np.linspace(0, count - 1, len(path))
    bent = path + np.stack([np.interp(at, np.arange(count), errors[:, c]) for c in (0, 1)], axis=1)
    bent = smooth(bent.astype(np.float32), 3.0)
    begin, end = (_past(bent[::step], rng.uniform(0, rough.overshoot)) for step in (-1, 1))
    return np.concatenate([begin, bent, end]).astype(np.float32)


def _past(path: np.ndarray, length: float) -> np.ndarray:
    """Return the point ``length`` pixels beyond the end of a path, (1, 2)."""
    along = path[-1] - path[-min(len(path), 8)]
    return path[-1:] + length * along / max(float(np.hypot(*along)), 1e-6)


def _press(layer: np.ndarray, stroke: np.ndarray, dark: float, rng: np.random.Generator) -> None:
    """Draw a stroke onto a layer, (H, W) uint8: lighter at both ends."""
    width, level = 1 + (rng.random() < 0.3), 255 * dark
    taper = max(1, len(stroke) // 6)
    points = _fixed(stroke)
    for part, share in ((points, 0.6), (points[taper : len(points) - taper], 1.0)):
        cv2.polylines(layer, [part], False, level * share, width, cv2.LINE_AA, SUBPIXEL)


def _construction(
    paths: Sequence[np.ndarray], size: tuple[int, int], rough: SimplifySettings, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return construction lines: long straights along a path, and ellipses around one."""
    found = []
    usable = [path for path in paths if len(path) >= 12]
    for _ in range(int(rng.integers(0, rough.construction + 1)) if usable else 0):
        path = usable[int(rng.integers(len(usable)))]
        centre, spread = path.mean(axis=0), np.ptp(path, axis=0)
        if rng.random() < 0.5:
            along = path[-1] - path[0] + rng.normal(0, 4, 2)
            along *= rng.uniform(0.4, 0.8) * max(size) / max(float(np.hypot(*along)), 1)
            line = centre + np.linspace(-1, 1, 60)[:, None] * along
        else:
            turn = np.linspace(0, 2 * np.pi * rng.uniform(1, 1.6), 90)
            radii = spread / 2 * rng.uniform(1, 1.3, 2) + 6
            line = centre + radii * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        found.append(_by_hand(line.astype(np.float32), rough, rng))
    return found


def _grained(paper: np.ndarray, grain: float, rng: np.random.Generator) -> np.ndarray:
    """Return a drawing's light, (H, W) float32 in [0, 1], on rough paper: graphite stays on the high points."""
    if grain == 0:
        return paper
    tooth = cv2.GaussianBlur(rng.standard_normal(paper.shape, np.float32), (0, 0), 0.8)
    tooth /= tooth.std() + np.float32(1e-6)
    dark = (1 - paper) * np.clip(1 + 0.45 * grain * tooth, 0, 1.4)
    return np.clip(1 - dark + 0.02 * grain * tooth, 0, 1)


def _fixed(path: np.ndarray) -> np.ndarray:
    return np.rint(path * (1 << SUBPIXEL)).astype(np.int32)
