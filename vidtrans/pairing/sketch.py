"""The pairing "pencil lines → frame": differences of Gaussians, smoothed along the edges of the picture.

After Winnemöller, Kyprianidis and Olsen, "XDoG: an eXtended difference-of-Gaussians compendium" (2012), and the
coherent lines of Kang, Lee and Chui (2007), on which it builds. Three things differ here: the response is relative to
that of its surroundings, so that a meadow is drawn as lightly as a face; edges between colours of equal lightness
are drawn, too; and all tones are soft. No parameter depends on the picture, so that lines do not flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.drawings import ink

SIGMA_RATIO = 1.6  # Ratio of the two Gaussians at which their difference resembles the Laplacian (Marr, Hildreth 1980)
STROKE_REACH, TAPS = 3.5, 3  # Half length of strokes along an edge in multiples of σ, and the number of samples over it
# A line's strength is divided by the strength in a Gaussian window; its σ as a share of the short side
SURROUNDINGS_SIGMA = 0.08
COLOUR_SHARE = 0.5  # Weight, 0 to 1, of the strongest colour channel in a line's response; the rest is lightness
# Strength of a line, relative to its surroundings, at which a stroke begins, and at which it has full darkness
FAINTEST_RESPONSE, FULL_RESPONSE = (
    0.35,
    2.4,
)
MAX_DARKNESS = 0.95  # Largest share of light that a stroke absorbs: graphite on white paper never absorbs all light
BORDER = cv2.BORDER_REFLECT_101  # Border mode of all filters: mirrored
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)  # Weights of red, green and blue in luma by ITU-R BT.601
# Square root of each 8-bit level, 0 to 1, because the eye sees more contrast in the dark
SQRT_TABLE = np.sqrt(np.arange(256, dtype=np.float32) / 255)


@dataclass(frozen=True)
class SketchSettings:
    """Settings of ``Sketch``: the width, contrast and shading of strokes."""

    sigma: float = option(0.9, "σ in pixels of the finer Gaussian; strokes are about twice as wide", bounds=(0.3, 10.0))
    min_contrast: float = option(
        0.008, "contrast (0 to 1) below which an area stays empty; lower values draw faint details", bounds=(1e-4, 1.0)
    )
    shading: float = option(0.0, "strength of the tone over dark areas; 0 draws only lines", bounds=(0.0, 1.0))


class Sketch(Pairing):
    """A pairing of a frame's pencil strokes, dark on white in one channel, with the frame."""

    name = "sketch"
    drawing_kind = "lines"
    tunable = ("sigma", "min_contrast", "shading")
    operators = "vidtrans.pairing.operators:SketchOperators"
    Settings = SketchSettings
    settings: SketchSettings
    in_channels = 1

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Draw a frame, (H, W, 3) uint8, in pencil strokes, dark (0) on white (255): (H, W, 1) uint8."""
        width = self.settings.sigma
        picture = SQRT_TABLE[frames[0]]
        fine = _blur(picture, width)
        response = _dark_side_response(_blur(picture, SIGMA_RATIO * width) - fine)
        strokes = _smooth_along_edges(response, *_edge_directions(fine, 2.5 * width), width)
        strength = strokes / (_local_rms(strokes, SURROUNDINGS_SIGMA * min(strokes.shape)) + self.settings.min_contrast)
        pressed = np.clip((strength - FAINTEST_RESPONSE) / (FULL_RESPONSE - FAINTEST_RESPONSE), 0, 1)
        light = 1 - MAX_DARKNESS * np.tanh(1.6 * pressed) / np.tanh(np.float32(1.6))
        if self.settings.shading > 0:
            tone = _blur(cv2.transform(picture, LUMA), 3 * width)
            light = light * (1 - self.settings.shading * np.clip(1 - tone / 0.75, 0, 1))
        return np.rint(255 * light).astype(np.uint8)[..., None]

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Convert a drawing, (H, W, 3) uint8, to dark strokes on white, (H, W, 1) uint8."""
        return (255 - ink(picture))[..., None]


def _blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a picture by a Gaussian of σ = ``sigma`` pixels."""
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=BORDER)


def _dark_side_response(difference: np.ndarray) -> np.ndarray:
    """Return the line response, (H, W): the differences of Gaussians in RGB, joined to one channel.

    ``difference``: (H, W, 3) float32, positive on the dark side of edges.
    """
    lightness = cv2.transform(difference, LUMA)
    strongest = np.maximum.reduce([difference[..., c] for c in range(3)])
    return lightness + COLOUR_SHARE * (strongest - lightness)


def _edge_directions(picture: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors along the edges of a picture (H, W, 3) float32, by the structure tensor: x and y, (H, W).

    The smoothed colour tensor is that of Di Zenzo (1986); as it is smooth, it is computed at half size.
    """
    height, width = picture.shape[:2]
    half = cv2.resize(picture, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    dx, dy = (cv2.Sobel(half, cv2.CV_32F, *order, borderType=BORDER) for order in ((1, 0), (0, 1)))
    every = np.ones((1, 3), np.float32)
    # (cos 2θ, sin 2θ) of the gradient's direction θ, because only doubled angles of lines can be averaged
    cosine, sine = (
        cv2.resize(_blur(cv2.transform(part, every), sigma / 2), (width, height), interpolation=cv2.INTER_LINEAR)
        for part in (dx * dx - dy * dy, 2 * dx * dy)
    )
    cosine /= np.sqrt(cosine * cosine + sine * sine) + np.float32(1e-12)
    along_x = -np.copysign(np.sqrt(np.maximum((1 - cosine) / 2, 0)), sine)
    return along_x, np.sqrt(np.maximum((1 + cosine) / 2, 0))


def _smooth_along_edges(response: np.ndarray, along_x: np.ndarray, along_y: np.ndarray, width: float) -> np.ndarray:
    """Average responses (H, W) along edges, to fade specks and join strokes. ``width``: the σ of strokes in pixels.

    ``along_x``, ``along_y``: unit vectors along the edges.
    """
    height, length = response.shape
    x, y = np.meshgrid(np.arange(length, dtype=np.float32), np.arange(height, dtype=np.float32))
    total, weights = response.copy(), 1.0
    for tap in range(1, TAPS + 1):
        weight = float(np.exp(-0.5 * (1.5 * tap / TAPS) ** 2))
        for step in (-STROKE_REACH * width * tap / TAPS, STROKE_REACH * width * tap / TAPS):
            there = cv2.remap(response, x + step * along_x, y + step * along_y, cv2.INTER_LINEAR, borderMode=BORDER)
            total += weight * there
            weights += weight
    return total / weights


def _local_rms(response: np.ndarray, sigma: float) -> np.ndarray:
    """Return the root mean square of (H, W) float32 in a Gaussian window of σ = ``sigma`` pixels, of the same shape."""
    height, width = response.shape
    small = cv2.resize(response * response, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(_blur(small, max(sigma / 4, 0.5)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.sqrt(smooth)
