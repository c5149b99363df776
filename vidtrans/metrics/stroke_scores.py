"""Compare the brushwork of two pictures: sizes, directions and grouping of strokes, flat areas, and colours.

All statistics are of marks in pixels, so both pictures have to be at the scale at which they are looked at. Places of
marks are not compared, so what the pictures show counts little. Pictures are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import combinations, pairwise
from typing import Self

import cv2
import numpy as np

OCTAVES = 6  # of a Laplacian pyramid: marks of about 1 to 32 pixels
DIRECTED = 4  # octaves, the finest ones, in which lines are looked for
ANGLES = 6  # bins from horizontal to vertical; mirrored ones are one
SMOOTHING = 2.0  # pixels of an octave over which directions are averaged
WAVELETS = 4  # directions: horizontal, two diagonals, vertical
WAVELET = (13, 2.0, 4.5, 0.7)  # a Gabor wavelet: side, σ and wavelength in pixels of an octave, aspect
EDGE_SIGMA = 2.0  # pixels, of the blur before edges are found: what is finer is grain or noise
EDGE_STEPS = (2.0, 4.0)  # levels of CIELAB a pixel from which a change of colour is an edge
RUNS = np.array([1, 2, 3, 4.6, 7, 10.6, 16, 24, 37, 64, 128])  # pixels between edges, upper ends of bins
DIRECTIONS, QUANTILES = 32, 33  # of the comparison of colours
COLOUR_STEP = 4  # every fourth pixel of every fourth row
QUIET_LIGHT, QUIET_CHROMA = 0.1, 1.0  # levels of CIELAB that count as nothing
QUIET_WAVES, QUIET_RATIO = 0.15, 0.05  # likewise of the wavelets' magnitudes, and of their ratios
SMALLEST_SIDE = 16  # pixels

# Mean distance between two halves of a painting, of 16 paintings at 288 lines.
UNITS = {"texture": 0.16, "flatness": 0.04, "directions": 0.072, "grouping": 0.091, "widths": 0.043, "colours": 4.6}


@dataclass(frozen=True)
class Brushwork:
    """Statistics of the marks of a picture; each a vector."""

    texture: np.ndarray  # log deviation of chroma in each octave: at which sizes colours are broken
    flatness: np.ndarray  # mean over RMS of lightness per octave: low for marks among flat areas, high for noise
    directions: np.ndarray  # shares of the angles of lines in each octave
    # Log contrast, at each coarser octave, of the strength of lines: high where they come in groups and between flat
    # areas, low for even hatching (second-order scattering: Bruna and Mallat, 2013).
    grouping: np.ndarray
    widths: np.ndarray  # shares of rows and columns in runs of up to 1, 2, … pixels between two edges
    colours: np.ndarray  # quantiles of CIELAB colours along random directions

    @classmethod
    def of(cls, picture: np.ndarray) -> Self:
        """Measure a picture. Raises ValueError if a side is shorter than ``SMALLEST_SIDE``."""
        height, width = picture.shape[:2]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(f"brushwork needs {SMALLEST_SIDE} pixels a side, not {width}x{height}")
        lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        levels = [lab]
        for _ in range(OCTAVES):
            levels.append(cv2.pyrDown(levels[-1]))
        bands = [fine - cv2.pyrUp(coarse, dstsize=fine.shape[1::-1]) for fine, coarse in pairwise(levels)]
        light = [np.ascontiguousarray(level[..., 0]) for level in levels[:DIRECTED]]
        return cls(
            texture=np.array([_texture(band) for band in bands]),
            flatness=np.array([_flatness(band[..., 0]) for band in bands]),
            directions=np.concatenate([_directions(level) for level in light]),
            grouping=_grouping(light),
            widths=_widths(lab),
            colours=_colours(lab),
        )

    def distances(self, other: Brushwork) -> dict[str, float]:
        """Return the distance in each part: 0 for equal pictures, 1 as between two halves of one painting."""
        return {
            part.name: float(np.abs(getattr(self, part.name) - getattr(other, part.name)).mean()) / UNITS[part.name]
            for part in fields(self)
        }

    def distance(self, other: Brushwork) -> float:
        """Return the mean of ``distances``."""
        return float(np.mean(list(self.distances(other).values())))

    def likeness(self, other: Brushwork) -> float:
        """Return 1 / (1 + distance): 1 for equal pictures, 0.5 as for two halves of one painting, near 0 for unlike."""
        return 1 / (1 + self.distance(other))


def _texture(band: np.ndarray) -> float:
    return float(np.log(np.sqrt(np.square(band[..., 1:]).sum(2).mean()) + QUIET_CHROMA))


def _flatness(band: np.ndarray) -> float:
    return float(np.abs(band).mean() / (np.sqrt(np.square(band).mean()) + QUIET_LIGHT))


def _directions(light: np.ndarray) -> np.ndarray:
    """Return the shares of angles, (ANGLES,), by the structure tensor."""
    smooth = cv2.GaussianBlur(light, (0, 0), 0.7)
    gx, gy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32
    xx, yy, xy = (cv2.GaussianBlur(product, (0, 0), SMOOTHING) for product in (gx * gx, gy * gy, gx * gy))
    angle = np.abs(np.arctan2(2 * xy, xx - yy))  # twice the angle: mirrored lines are equal
    shares = np.histogram(angle, ANGLES, (0, np.pi), weights=np.hypot(xx - yy, 2 * xy))[0]
    return np.asarray(shares / (shares.sum() + 1e-6))


def _grouping(light: Sequence[np.ndarray]) -> np.ndarray:
    """Return the log ratios of second to first wavelet magnitudes, of all directions and pairs of octaves."""
    waves = [_magnitudes(level) for level in light]
    found = []
    for fine, coarse in combinations(range(DIRECTED), 2):
        ratios = np.empty((WAVELETS, WAVELETS))
        for number, wave in enumerate(waves[fine]):
            small = wave
            for _ in range(fine, coarse):
                small = cv2.pyrDown(small)
            ratios[number] = [m.mean() / (wave.mean() + QUIET_WAVES) for m in _magnitudes(small)]
        mirror = [0, *range(WAVELETS - 1, 0, -1)]
        found.append(np.log((ratios + ratios[mirror][:, mirror]) / 2 + QUIET_RATIO).ravel())
    return np.concatenate(found)


def _magnitudes(light: np.ndarray) -> list[np.ndarray]:
    """Return the magnitude of Gabor wavelets in each direction."""
    return [np.hypot(cv2.filter2D(light, cv2.CV_32F, a), cv2.filter2D(light, cv2.CV_32F, b)) for a, b in _wavelets()]


@cache
def _wavelets() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the even and the odd part in each direction, of mean 0 and of absolute sum 1 (the even one)."""
    side, sigma, length, aspect = WAVELET
    found = []
    for angle in np.pi * np.arange(WAVELETS) / WAVELETS:
        even, odd, window = (
            cv2.getGaborKernel((side, side), sigma, angle, wavelength, aspect, phase, cv2.CV_32F)
            for wavelength, phase in ((length, 0), (length, -np.pi / 2), (1e9, 0))
        )
        even = even - window * (even.sum() / window.sum())
        found.append((even / np.abs(even).sum(), odd / np.abs(even).sum()))
    return found


def _widths(lab: np.ndarray) -> np.ndarray:
    """Return the cumulative shares of runs between edges, the mean of rows and columns, for each contrast."""
    blurred = cv2.GaussianBlur(lab, (0, 0), EDGE_SIGMA)
    changes = [np.sqrt(np.square(np.diff(p, axis=1)).sum(2)) for p in (blurred, blurred.transpose(1, 0, 2))]
    return np.concatenate([np.mean([_runs(change, least) for change in changes], axis=0) for least in EDGE_STEPS])


def _runs(change: np.ndarray, least: float) -> np.ndarray:
    """Return the shares of rows of ``change`` in runs of up to ``RUNS`` pixels between local maxima above ``least``."""
    middle = change[:, 1:-1]
    edges = (middle >= change[:, :-2]) & (middle > change[:, 2:]) & (middle > least)
    rows, columns = np.nonzero(edges)
    gaps = np.diff(columns)[np.diff(rows) == 0]
    pixels = np.bincount(np.searchsorted(RUNS, gaps), weights=gaps, minlength=len(RUNS) + 1)[: len(RUNS)]
    return np.cumsum(pixels) / change.size


def _colours(lab: np.ndarray) -> np.ndarray:
    """Return quantiles along directions: they differ by a sliced Wasserstein distance (Bonneel et al., 2015)."""
    directions = np.random.default_rng(0).standard_normal((3, DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    taken = lab[::COLOUR_STEP, ::COLOUR_STEP].reshape(-1, 3) @ directions
    taken.sort(axis=0)
    return taken[np.linspace(0, len(taken) - 1, QUANTILES).round().astype(int)].astype(np.float64)
