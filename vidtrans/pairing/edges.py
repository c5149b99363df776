"""The pairing "edges → frame": lines by the method of Canny (1986), with thresholds that adapt to the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.drawings import ink
from vidtrans.pairing.sensor_noise import simulate_camera
from vidtrans.video.images.picture_analysis import centre_lines

SOBEL_GAIN = 8  # Result of Sobel's 3×3 kernel for a slope of one grey level per pixel
# Ink levels, 0 to 255, at which a stroke starts, and down to which the stroke continues
STROKE_INK, FAINT_INK = 128, 72
MIN_STROKE_PIXELS = 5  # Least number of pixels of a stroke; smaller specks are dust
MAX_LOG_VARIATION = 0.5  # Natural logarithm of the largest factor by which training varies a setting of the detector
STRIP_ROWS = 64  # Number of rows of a picture that are computed at once, to save memory
# Normalised mean and standard deviation of the tone channel, and least assumed deviation of a picture, in grey levels
MEAN_TONE, TONE_DEVIATION, MIN_TONE_DEVIATION = 128, 48, 16
GROUND_TONE, OBJECT_TONE = 64, 150  # Tone levels, 0 to 255, of a drawing's background and of objects that lines enclose
# In training: largest number of gaps in lines, largest radius of a gap as a share of the short side, and share of
# pictures without tones
MAX_GAPS, GAP_RADIUS, TONELESS_SHARE = 2, 0.2, 0.3
MAX_STROKE_WIDTH = 1 / 8  # Largest width of a stroke as a share of the short side; wider inked areas become outlines


@dataclass(frozen=True)
class EdgesSettings:
    """Settings of ``Edges``: the edge detector, further channels of the input, and variations in training."""

    density: float = option(
        0.12, "share of the picture whose gradient can start a line; higher values give more lines", bounds=(0.001, 0.9)
    )
    hysteresis: float = option(
        0.4, "a line ends where the gradient falls below this share of the gradient at its start", bounds=(0.05, 1.0)
    )
    sigma: float = option(1.0, "σ in pixels of the smoothing before the search for lines", bounds=(0.0, 10.0))
    min_gradient: float = option(
        8.0,
        "smaller gradients (grey levels per pixel) never start a line, so flat pictures stay empty",
        bounds=(0.0, None),
    )
    gradient_channel: bool = option(
        False,
        "add a second channel with the gradient's strength: results are sharper, but drawings have no such channel",
    )
    tone_channel: bool = option(
        False, "add a last channel with the blurred luma, relative to the picture's mean and deviation"
    )
    tone_sigma: float = option(3.0, "σ in pixels of the blur of the tone channel", bounds=(1.0, 40.0))
    variation: float = option(
        0.0,
        "Amount of random variation in training: light, focus, noise and compression of other cameras, and "
        "the values of density, sigma, hysteresis and min_gradient. With tone_channel, some lines also get "
        "gaps, and some pictures have no tones. 0: none, 1: for webcams.",
        bounds=(0.0, 1.0),
    )


class Edges(Pairing):
    """A pairing of the lines in a frame (input) with the frame (target); gradient and tone channels are optional."""

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
        """Find the lines (255 on 0), gradients and tones of a frame, (H, W, 3) uint8: (H, W, 1 to 3) uint8."""
        return _find_edges(frames[0], self.settings)

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Compute the input of a randomly degraded frame, (H, W, 3) uint8, with randomly varied settings."""
        if self.settings.variation == 0:
            return self.input(frames)
        settings = _draw_settings(self.settings, rng)
        channels = _find_edges(simulate_camera(frames[0], self.settings.variation, rng), settings)
        if settings.tone_channel:
            _drop_lines_and_tones(channels, self.settings.variation, rng)
        return channels

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the lines, over the tones of areas if the input has tones, (H, W, 3) uint8."""
        lines = net_input[..., :1]
        picture = np.maximum(lines, net_input[..., -1:] // 2) if self.settings.tone_channel else lines
        return np.repeat(picture, 3, axis=2)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Thin the strokes of a drawing, (H, W, 3) uint8, to lines of 255 on 0: (H, W, 1 to 3) uint8.

        The gradient channel, if any, falls off with the distance from the lines as in the median of frames. The tones,
        if any, are those of light objects before a dark background: areas enclosed by lines are light.
        """
        lines = stroke_centre_lines(ink(picture))
        tone = [_shade_drawing(lines, self.settings.tone_sigma)] if self.settings.tone_channel else []
        if not self.settings.gradient_channel:
            return np.dstack([lines, *tone])
        distance = cv2.distanceTransform(255 - lines, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        if not lines.any():
            distance[:] = np.inf
        # ``strength`` is fitted to median gradient levels in frames (0 to 255, four clips, six photographs): 190 on a
        # line; 145, 105, 85, 75 at one to four pixels from the line; 65 at nine pixels. Smoothing raises the levels:
        # at σ 2 they are 199, 185, 161, 138, 115 and 80; at σ 3 209, 199, 183, 165, 144 and 90.
        reach = 2 * max(self.settings.sigma, 0.5)
        strength = 120 * np.exp(-distance / reach) + 70 * np.exp(-distance / 60)
        return np.dstack([lines, np.rint(strength).astype(np.uint8), *tone])


def _find_edges(frame: np.ndarray, settings: EdgesSettings) -> np.ndarray:
    """Find the lines (255 on 0), gradients and tones of a frame (H, W, 3) uint8; return (H, W, 1 to 3) uint8."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    tone = [_normalise_tone(grey, settings.tone_sigma)] if settings.tone_channel else []
    if settings.sigma > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), settings.sigma, borderType=cv2.BORDER_REFLECT_101)
    dx = cv2.Sobel(grey, cv2.CV_16S, 1, 0)
    dy = cv2.Sobel(grey, cv2.CV_16S, 0, 1)
    # Squared slopes are integers, and exact on every machine. (cv2.magnitude is not: its rounding depended on the
    # arrays' position in memory, and the thresholds depend on it.)
    squared = np.square(dx, dtype=np.int32)
    for rows, down in _strips(squared, dy):
        rows += np.square(down, dtype=np.int32)
    floor = (SOBEL_GAIN * settings.min_gradient) ** 2
    high = math.sqrt(max(_quantile(squared, 1 - settings.density), floor))
    low = _threshold_between_slopes(settings.hysteresis * high)
    lines = cv2.Canny(dx, dy, low, _threshold_between_slopes(high), L2gradient=True)
    if not settings.gradient_channel:
        return np.dstack([lines, *tone])
    # The square root amplifies faint structure; with the 98th percentile, one bright edge does not hide the rest.
    ceiling = max(_quantile(squared, 0.98), floor)
    channels = np.empty((*lines.shape, 2), np.uint8)
    channels[..., 0] = lines
    for rows, strength in _strips(squared, channels[..., 1]):
        strength[:] = np.rint(np.sqrt(np.sqrt(np.minimum(rows / ceiling, 1))) * 255)
    return np.dstack([channels, *tone]) if tone else channels


def tone_kernel(sigma: float) -> np.ndarray:
    """Return the weights of the Gaussian blur of the tone channel, (n,) float32 with n odd."""
    reach = math.ceil(2.5 * sigma)
    return cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_32F)[:, 0]


def _blur_tone(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a picture (H, W) for the tone channel; return (H, W) float32. ``sigma``: σ in pixels."""
    kernel = tone_kernel(sigma)
    return cv2.sepFilter2D(picture.astype(np.float32), -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)


def _normalise_tone(grey: np.ndarray, sigma: float) -> np.ndarray:
    """Return the blurred luma, (H, W) uint8, with the mean ``MEAN_TONE`` and the deviation ``TONE_DEVIATION``.

    Thus dark and light films have the same tones.
    """
    soft = _blur_tone(grey, sigma)
    mean, deviation = float(soft.mean(dtype=np.float64)), float(soft.std(dtype=np.float64))
    return np.rint(
        np.clip(MEAN_TONE + (soft - mean) * (TONE_DEVIATION / max(deviation, MIN_TONE_DEVIATION)), 0, 255)
    ).astype(np.uint8)


def _shade_drawing(lines: np.ndarray, sigma: float) -> np.ndarray:
    """Return the tones of a drawing from its ``lines``, both (H, W) uint8: areas that lines enclose are light."""
    if not lines.any():
        return np.full_like(lines, MEAN_TONE)
    closed = cv2.dilate(lines, np.ones((3, 3), np.uint8))  # Hand-drawn lines have small gaps
    padded = cv2.copyMakeBorder(255 - closed, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    _, parts = cv2.connectedComponents(padded, connectivity=4)
    return np.rint(_blur_tone(np.where(parts == parts[0, 0], GROUND_TONE, OBJECT_TONE)[1:-1, 1:-1], sigma)).astype(
        np.uint8
    )


def _drop_lines_and_tones(channels: np.ndarray, amount: float, rng: np.random.Generator) -> None:
    """Remove the lines in random discs and, sometimes, all tones, so that a network also works without them.

    ``channels``: (H, W, 2 or 3) uint8, changed in place. ``amount``: strength of the removal, 0 to 1.
    """
    height, width = channels.shape[:2]
    for _ in range(int(rng.integers(0, MAX_GAPS + 1))):
        x, y, radius = rng.random(3) * (width, height, amount * GAP_RADIUS * min(width, height))
        cv2.circle(gap := np.zeros((height, width), np.uint8), (int(x), int(y)), int(radius), 1, -1)
        channels[..., :-1][gap > 0] = 0
    if rng.random() < TONELESS_SHARE * amount:
        channels[..., -1] = MEAN_TONE


def _strips(*pictures: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield the rows of pictures, a few rows at a time, so that intermediate arrays are small."""
    for top in range(0, len(pictures[0]), STRIP_ROWS):
        yield [picture[top : top + STRIP_ROWS] for picture in pictures]


def _draw_settings(settings: EdgesSettings, rng: np.random.Generator) -> EdgesSettings:
    """Return the settings, multiplied by random factors as ``variation`` allows, for one training frame."""
    density, hysteresis, sigma, gradient = np.exp(settings.variation * MAX_LOG_VARIATION * rng.uniform(-1, 1, 4))
    return replace(
        settings,
        density=min(settings.density * density, 0.9),
        hysteresis=min(settings.hysteresis * hysteresis, 1.0),
        sigma=settings.sigma * sigma,
        min_gradient=settings.min_gradient * gradient,
    )


def stroke_centre_lines(ink_levels: np.ndarray) -> np.ndarray:
    """Return the centre lines of strokes and the outlines of areas, 255 on 0, from ink levels; both (H, W) uint8.

    Strokes are found by hysteresis as in Canny, without specks; areas are too wide for strokes.
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (ink_levels >= FAINT_INK).astype(np.uint8), connectivity=8
    )
    strongest = np.zeros(count, np.uint8)
    np.maximum.at(strongest, parts, ink_levels)
    is_stroke = (strongest >= STROKE_INK) & (stats[:, cv2.CC_STAT_AREA] >= MIN_STROKE_PIXELS)
    is_stroke[0] = False  # Component 0 is the paper
    strokes = np.where(is_stroke[parts], 255, 0).astype(np.uint8)
    side = max(3, int(MAX_STROKE_WIDTH * min(strokes.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(strokes, cv2.MORPH_OPEN, disc))
    wide = stats[:, cv2.CC_STAT_AREA] >= 2 * side * side  # Smaller areas are crossings of strokes
    wide[0] = False
    areas = np.where(wide[parts], 255, 0).astype(np.uint8)
    if wide.any():  # Adds the corners that the opening with a disc removed
        areas = cv2.bitwise_and(cv2.dilate(areas, np.ones((side // 2 | 1, side // 2 | 1), np.uint8)), strokes)
    # ``cv2.erode`` treats areas as continued outside of the picture, so that no outline runs along the picture's edge.
    outline = areas - cv2.erode(areas, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    middle = centre_lines(cv2.subtract(strokes, areas) > 0)
    return np.where(middle, 255, outline).astype(np.uint8)


def _threshold_between_slopes(slope: float) -> float:
    """Return Canny's threshold for a ``slope``, moved by less than one step so that it equals no pixel's slope.

    Canny floors the square of the threshold. At an exact tie the result would depend on rounding, which differs in
    OpenCV with a single thread.
    """
    return math.sqrt(math.floor(slope**2) + 0.5)


def _quantile(values: np.ndarray, share: float) -> float:
    """Return the quantile ``share``, 0 to 1, of integers; it is always one of the values."""
    at = min(int(share * values.size), values.size - 1)
    return float(np.partition(values, at, axis=None)[at])
