"""Edges → frame: the lines of Canny (1986), with thresholds that adapt to the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.drawings import ink
from vidtrans.pairing.sensor_noise import disturb
from vidtrans.video.images.picture_analysis import centre_lines

SOBEL_GAIN = 8  # Sobel's 3×3 kernel sums to 8 times the slope
STROKE, FAINT = 128, 72  # ink that starts a stroke, and down to which it goes on
SPECK = 5  # fewer pixels than this are dust
SPREAD = 0.5  # largest logarithm of what a drawn setting is multiplied by
STRIP = 64  # rows that are computed at once
EVEN, DEVIATION, FLAT = 128, 48, 16  # levels: tone of the mean, deviation of tones, least deviation of a picture
DARK, LIGHT = 64, 150  # tones of a drawing's ground, and of the things on it
GAPS, GAP, TONELESS = 2, 0.2, 0.3  # in training: most gaps, radius in short sides, share of pictures without tones
WIDEST = 1 / 8  # of the short side: what is inked wider than this is an area, whose outline is the line


@dataclass(frozen=True)
class EdgesSettings:
    """The parameters of the edge detector."""

    density: float = option(
        0.12, "share of the picture whose gradient may start a line; more gives more lines", bounds=(0.001, 0.9)
    )
    hysteresis: float = option(0.4, "a line goes on down to this share of the starting gradient", bounds=(0.05, 1.0))
    sigma: float = option(1.0, "σ in pixels of the smoothing before lines are sought", bounds=(0.0, 10.0))
    min_gradient: float = option(
        8.0,
        "gradients (grey levels a pixel) below this never start a line: flat pictures stay empty",
        bounds=(0.0, None),
    )
    gradient_channel: bool = option(
        False, "add a second channel with the gradient's strength; sharper, but drawings have no such channel"
    )
    tone_channel: bool = option(
        False, "add a last channel with the blurred luma, relative to the picture's mean and deviation"
    )
    tone_sigma: float = option(3.0, "σ in pixels of the blur of that channel", bounds=(1.0, 40.0))
    variation: float = option(
        0.0,
        "in training: how far the light, focus, noise and compression of other cameras are drawn, and density, sigma, "
        "hysteresis and min_gradient around their values; with tone_channel also gaps in lines, and pictures without "
        "tones; 0: not at all, 1: for webcams",
        bounds=(0.0, 1.0),
    )


class Edges(Pairing):
    """A binary channel of lines, and optionally soft channels of gradient strength and of the tone of areas."""

    name = "edges"
    version = 3
    drawing_kind = "lines"
    tunable = ("density", "sigma", "hysteresis", "min_gradient")
    operators = "vidtrans.pairing.operators:EdgeOperators"
    Settings = EdgesSettings
    settings: EdgesSettings

    def __init__(self, settings: EdgesSettings) -> None:
        super().__init__(settings)
        self.in_channels = 1 + settings.gradient_channel + settings.tone_channel

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return lines of 255 on 0, and the soft channels, (H, W, 1 to 3) uint8, for one (H, W, 3) uint8."""
        return _find(frames[0], self.settings)

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return the input of a randomly degraded frame, (H, W, 3) uint8, by random settings: (H, W, 1 to 3) uint8."""
        if self.settings.variation == 0:
            return self.input(frames)
        settings = _draw_settings(self.settings, rng)
        found = _find(disturb(frames[0], self.settings.variation, rng), settings)
        if settings.tone_channel:
            _drop_lines_and_tones(found, self.settings.variation, rng)
        return found

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the lines, on the tones of areas if the network sees them; (H, W, 3) uint8."""
        lines = net_input[..., :1]
        picture = np.maximum(lines, net_input[..., -1:] // 2) if self.settings.tone_channel else lines
        return np.repeat(picture, 3, axis=2)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return a drawing's strokes, (H, W, 3) uint8 → (H, W, 1 to 3) uint8, thinned to lines of 255 on 0.

        The gradient channel, if any, falls off with the distance from the lines as it does in the median of frames. The
        tones, if any, are those of light things before a dark ground: areas are light where lines enclose them.
        """
        lines = stroke_middles(ink(picture))
        tone = [_shaded(lines, self.settings.tone_sigma)] if self.settings.tone_channel else []
        if not self.settings.gradient_channel:
            return np.dstack([lines, *tone])
        away = cv2.distanceTransform(255 - lines, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        if not lines.any():
            away[:] = np.inf
        # Medians over four clips and six photographs: 190 on a line, 145, 105, 85, 75 beside it, 65 at nine pixels.
        # Smoothing widens them: at σ 2 they are 199, 185, 161, 138, 115 and 80, at σ 3 209, 199, 183, 165, 144 and 90.
        reach = 2 * max(self.settings.sigma, 0.5)
        strength = 120 * np.exp(-away / reach) + 70 * np.exp(-away / 60)
        return np.dstack([lines, np.rint(strength).astype(np.uint8), *tone])


def _find(frame: np.ndarray, settings: EdgesSettings) -> np.ndarray:
    """Return lines of 255 on 0, and the soft channels: (H, W, 3) uint8 → (H, W, 1 to 3) uint8."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    tone = [_tone(grey, settings.tone_sigma)] if settings.tone_channel else []
    if settings.sigma > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), settings.sigma, borderType=cv2.BORDER_REFLECT_101)
    dx = cv2.Sobel(grey, cv2.CV_16S, 1, 0)
    dy = cv2.Sobel(grey, cv2.CV_16S, 0, 1)
    # Squared slopes are whole numbers, exact on every machine. (cv2.magnitude is not: its rounding was seen to
    # depend on where in memory the arrays lie, and thresholds hang on it.)
    squared = np.square(dx, dtype=np.int32)
    for rows, down in _strips(squared, dy):
        rows += np.square(down, dtype=np.int32)
    floor = (SOBEL_GAIN * settings.min_gradient) ** 2
    high = math.sqrt(max(_quantile(squared, 1 - settings.density), floor))
    low = _between(settings.hysteresis * high)
    lines = cv2.Canny(dx, dy, low, _between(high), L2gradient=True)
    if not settings.gradient_channel:
        return np.dstack([lines, *tone])
    # A square root lifts faint structure; the 98th percentile keeps one bright edge from hiding the rest.
    ceiling = max(_quantile(squared, 0.98), floor)
    found = np.empty((*lines.shape, 2), np.uint8)
    found[..., 0] = lines
    for rows, strength in _strips(squared, found[..., 1]):
        strength[:] = np.rint(np.sqrt(np.sqrt(np.minimum(rows / ceiling, 1))) * 255)
    return np.dstack([found, *tone]) if tone else found


def tone_kernel(sigma: float) -> np.ndarray:
    """Return the weights of a blur, (n,) float32 with n odd."""
    reach = math.ceil(2.5 * sigma)
    kernel: np.ndarray = cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_32F)[:, 0]
    return kernel


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a plane (H, W) as float32, blurred."""
    kernel = tone_kernel(sigma)
    return cv2.sepFilter2D(picture.astype(np.float32), -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)


def _tone(grey: np.ndarray, sigma: float) -> np.ndarray:
    """Return the light and dark of areas of a picture, (H, W) uint8 both: 128 is its mean, ``DEVIATION`` its deviation.

    So dark films and light ones have the same tones.
    """
    soft = _blurred(grey, sigma)
    mean, deviation = float(soft.mean(dtype=np.float64)), float(soft.std(dtype=np.float64))
    return np.rint(np.clip(EVEN + (soft - mean) * (DEVIATION / max(deviation, FLAT)), 0, 255)).astype(np.uint8)


def _shaded(lines: np.ndarray, sigma: float) -> np.ndarray:
    """Return the tones of a drawing by its lines, (H, W) uint8 both: what they enclose is light, all else is dark."""
    if not lines.any():
        return np.full_like(lines, EVEN)
    closed = cv2.dilate(lines, np.ones((3, 3), np.uint8))  # lines drawn by hand have small gaps
    around = cv2.copyMakeBorder(255 - closed, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    _, parts = cv2.connectedComponents(around, connectivity=4)
    return np.rint(_blurred(np.where(parts == parts[0, 0], DARK, LIGHT)[1:-1, 1:-1], sigma)).astype(np.uint8)


def _drop_lines_and_tones(found: np.ndarray, amount: float, rng: np.random.Generator) -> None:
    """Remove the lines in random discs and, in some draws, all tones, so that a network also works without them."""
    height, width = found.shape[:2]
    for _ in range(int(rng.integers(0, GAPS + 1))):
        x, y, radius = rng.random(3) * (width, height, amount * GAP * min(width, height))
        cv2.circle(gap := np.zeros((height, width), np.uint8), (int(x), int(y)), int(radius), 1, -1)
        found[..., :-1][gap > 0] = 0
    if rng.random() < TONELESS * amount:
        found[..., -1] = EVEN


def _strips(*pictures: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the pictures' rows, a few at a time: numbers of many bytes for each pixel then stay small."""
    for top in range(0, len(pictures[0]), STRIP):
        yield tuple(picture[top : top + STRIP] for picture in pictures)


def _draw_settings(settings: EdgesSettings, rng: np.random.Generator) -> EdgesSettings:
    """Return random settings around the given ones, within their bounds."""
    density, hysteresis, sigma, gradient = np.exp(settings.variation * SPREAD * rng.uniform(-1, 1, 4))
    return replace(
        settings,
        density=min(settings.density * density, 0.9),
        hysteresis=min(settings.hysteresis * hysteresis, 1.0),
        sigma=settings.sigma * sigma,
        min_gradient=settings.min_gradient * gradient,
    )


def stroke_middles(inked: np.ndarray) -> np.ndarray:
    """Return the middles of strokes and the outlines of areas, 255 on 0, of ink (255 is full); (H, W) uint8 both."""
    return _thinned(_strokes(inked))


def _strokes(inked: np.ndarray) -> np.ndarray:
    """Return the strokes, 255 on 0, of (H, W) uint8 ink (255 is full), by hysteresis as in Canny, without specks."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((inked >= FAINT).astype(np.uint8), connectivity=8)
    strongest = np.zeros(count, np.uint8)
    np.maximum.at(strongest, parts, inked)
    is_stroke = (strongest >= STROKE) & (stats[:, cv2.CC_STAT_AREA] >= SPECK)
    is_stroke[0] = False  # the paper
    return np.where(is_stroke[parts], 255, 0).astype(np.uint8)


def _thinned(strokes: np.ndarray) -> np.ndarray:
    """Return centre lines of strokes, and outlines of areas too wide for strokes; (H, W) uint8, 255 on 0, both."""
    side = max(3, int(WIDEST * min(strokes.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(strokes, cv2.MORPH_OPEN, disc))
    wide = stats[:, cv2.CC_STAT_AREA] >= 2 * side * side  # less is where strokes meet
    wide[0] = False
    areas = np.where(wide[parts], 255, 0).astype(np.uint8)
    if wide.any():  # with the corners that the disc did not reach
        areas = cv2.bitwise_and(cv2.dilate(areas, np.ones((side // 2 | 1, side // 2 | 1), np.uint8)), strokes)
    # Outside the picture the area goes on: no line along the frame.
    outline = areas - cv2.erode(areas, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    middle = centre_lines(cv2.subtract(strokes, areas) > 0)
    return np.where(middle, 255, outline).astype(np.uint8)


def _between(slope: float) -> float:
    """Return a threshold that gives the same lines, but equals no pixel's slope: Canny floors the threshold's square.

    At an exact tie the result would depend on rounding, which differs in OpenCV with a single thread.
    """
    return math.sqrt(math.floor(slope**2) + 0.5)


def _quantile(values: np.ndarray, share: float) -> float:
    """Return the quantile ``share`` of whole numbers: always one of the values, never a mean of two."""
    at = min(int(share * values.size), values.size - 1)
    return float(np.partition(values, at, axis=None)[at])
