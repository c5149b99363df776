"""Compare a picture with its reference, or the brushwork of two pictures; pictures are (H, W, 3) uint8 RGB.

Brushwork is sizes, directions and grouping of strokes, flat areas, and colours. All its statistics are of marks in
pixels, so both pictures have to be at their viewing scale. Positions of marks are not compared, so the content counts
little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import combinations, pairwise
from typing import Self

import cv2
import numpy as np

DETAIL_WINDOW_PX, DETAIL_SIGMA = 7, 0.7  # Window of local detail; σ of the blur that removes single pixels; in pixels
SSIM_WINDOW = 11  # Side of SSIM's Gaussian window, in pixels
PSNR_CAP = 99.0  # PSNR of equal pictures, in dB, in place of infinity
# Brushwork
OCTAVES = 6  # Number of octaves of the Laplacian pyramid: for brush marks of about 1 to 32 pixels
LINE_OCTAVES = 4  # Number of finest octaves in which directions and grouping of lines are measured
ANGLES = 6  # Number of angle bins from horizontal to vertical; mirrored angles share a bin
TENSOR_SIGMA = 2.0  # σ of the structure tensor's blur, in pixels of an octave
WAVELETS = 4  # Number of wavelet directions: horizontal, two diagonals, vertical
WAVELET = (13, 2.0, 4.5, 0.7)  # Gabor wavelet: side, σ and wavelength in pixels of an octave, aspect ratio
EDGE_SIGMA = 2.0  # σ of the blur against grain and noise before edges are detected, in pixels
EDGE_STEPS = (2.0, 4.0)  # Thresholds of the colour change at an edge, in CIELAB units per pixel
RUNS = np.array([1, 2, 3, 4.6, 7, 10.6, 16, 24, 37, 64, 128])  # Upper limits of bins of edge distances, in pixels
DIRECTIONS, QUANTILES = 32, 33  # Projections of colours, and quantiles of each
COLOUR_STEP = 4  # Distance of the pixels whose colours are sampled, along each axis
LIGHT_FLOOR, CHROMA_FLOOR = 0.1, 1.0  # Added to lightness and chroma before ratios and logarithms, in levels of CIELAB
WAVE_FLOOR, RATIO_FLOOR = 0.15, 0.05  # Added to the wavelets' magnitudes, and to their ratios
MIN_SIDE_PX = 16  # Minimum side of a picture whose brushwork can be measured, in pixels

# Unit of each statistic's distance: mean distance between two halves of a painting (16 paintings, short side 288)
UNITS = {"texture": 0.16, "flatness": 0.04, "directions": 0.072, "grouping": 0.091, "widths": 0.043, "colours": 4.6}


def l1_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean absolute difference of two pictures, of full scale (0 to 1)."""
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean() / 255)


def squared_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean squared difference of two pictures, in 8-bit levels squared."""
    return float(np.square(cv2.absdiff(a, b), dtype=np.uint32).mean())


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of two pictures in dB; infinite for equal pictures."""
    return psnr_of(squared_error(a, b))


def psnr_of(error: float) -> float:
    """Return the PSNR in dB of a mean squared difference in 8-bit levels squared; infinite for 0."""
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the structural similarity (Wang et al. 2004) of two pictures, −1 to 1, averaged over channels.

    Raises ValueError if a picture is smaller than its window of 11 pixels.
    """
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs {SSIM_WINDOW} pixels a side (win_size), not {a.shape[1]}x{a.shape[0]}")
    edge = SSIM_WINDOW // 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(picture: np.ndarray) -> np.ndarray:
        """Return the mean in the Gaussian window around each pixel, without the border."""
        return cv2.GaussianBlur(picture, (SSIM_WINDOW, SSIM_WINDOW), 1.5)[edge:-edge, edge:-edge]

    # Subtract the pictures' means, so that squares keep their precision in float32.
    middle_x, middle_y = np.float32(a.mean()), np.float32(b.mean())
    x, y = a.astype(np.float32) - middle_x, b.astype(np.float32) - middle_y
    mean_x, mean_y = mean(x), mean(y)
    covariance = mean(x * y) - mean_x * mean_y
    variances = mean(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y)
    mean_x, mean_y = mean_x + middle_x, mean_y + middle_y
    structure = (2 * covariance + c2) / (variances + c2)
    light = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return float((light * structure).mean(dtype=np.float64))


def sharpness(picture: np.ndarray) -> float:
    """Return the mean |Laplacian| of a picture in grey, in 8-bit levels; compare only pictures of one size."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def detail_ratio(picture: np.ndarray, target: np.ndarray) -> float:
    """Return a picture's fine detail relative to the target's, in the areas where the target has detail.

    1 is as sharp, below 1 softer, above 1 sharper. It is the slope of a line through the local detail of both, the mean
    |Laplacian| of a grey picture over ``DETAIL_WINDOW_PX`` pixels. So detail need not be at the same pixel, and uniform
    detail, such as noise or a network's checkerboard, does not count; it would make blur look sharp in the ratio of
    both pictures' ``sharpness``. 0 for a target of equal detail everywhere.
    """
    ours, wanted = (_local_detail(each) for each in (picture, target))
    wanted = wanted - wanted.mean()
    return float(((ours - ours.mean()) * wanted).mean() / max((wanted * wanted).mean(), 1e-9))


def _local_detail(picture: np.ndarray) -> np.ndarray:
    """Return the local mean |Laplacian| of a picture in grey, (H, W) float64."""
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), DETAIL_SIGMA)
    return cv2.blur(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), (DETAIL_WINDOW_PX, DETAIL_WINDOW_PX)).astype(np.float64)


@dataclass(frozen=True)
class Brushwork:
    """Statistics of the brush marks of a picture; each is a vector."""

    texture: np.ndarray  # Log standard deviation of chroma in each octave: the sizes of patches of broken colour
    flatness: np.ndarray  # Mean divided by RMS of lightness per octave: low for marks among flat areas, high for noise
    directions: np.ndarray  # Shares of the angles of lines in each octave
    # Log contrast of line strength at each coarser octave: second-order scattering (Bruna and Mallat, 2013).
    # It is high for lines in groups and between flat areas, and low for even hatching.
    grouping: np.ndarray
    widths: np.ndarray  # Shares of rows and columns in runs of up to 1, 2, … pixels between two edges
    colours: np.ndarray  # Quantiles of CIELAB colours along random directions

    @classmethod
    def of(cls, picture: np.ndarray) -> Self:
        """Measure the brushwork of a picture. Raises ValueError if a side is shorter than ``MIN_SIDE_PX``."""
        height, width = picture.shape[:2]
        if min(height, width) < MIN_SIDE_PX:
            raise ValueError(f"brushwork needs {MIN_SIDE_PX} pixels a side, not {width}x{height}")
        lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        levels = [lab]
        for _ in range(OCTAVES):
            levels.append(cv2.pyrDown(levels[-1]))
        bands = [fine - cv2.pyrUp(coarse, dstsize=fine.shape[1::-1]) for fine, coarse in pairwise(levels)]
        light = [np.ascontiguousarray(level[..., 0]) for level in levels[:LINE_OCTAVES]]
        return cls(
            texture=np.array([_texture(band) for band in bands]),
            flatness=np.array([_flatness(band[..., 0]) for band in bands]),
            directions=np.concatenate([_directions(level) for level in light]),
            grouping=_grouping(light),
            widths=_widths(lab),
            colours=_colours(lab),
        )

    def distances(self, other: Brushwork) -> dict[str, float]:
        """Return the distance in each statistic: 0 for equal pictures, 1 as between two halves of a painting."""
        return {
            part.name: float(np.abs(getattr(self, part.name) - getattr(other, part.name)).mean()) / UNITS[part.name]
            for part in fields(self)
        }

    def distance(self, other: Brushwork) -> float:
        """Return the mean of ``distances`` over the statistics."""
        return float(np.mean(list(self.distances(other).values())))

    def likeness(self, other: Brushwork) -> float:
        """Return 1 / (1 + distance): 1 for equal pictures, 0.5 as for two halves of one painting, near 0 for others."""
        return 1 / (1 + self.distance(other))


def _texture(band: np.ndarray) -> float:
    """Return the log standard deviation of chroma in an octave (h, w, 3) of CIELAB."""
    return float(np.log(np.sqrt(np.square(band[..., 1:]).sum(2).mean()) + CHROMA_FLOOR))


def _flatness(band: np.ndarray) -> float:
    """Return the mean absolute value divided by the RMS of an octave of lightness: low for marks among flat areas."""
    return float(np.abs(band).mean() / (np.sqrt(np.square(band).mean()) + LIGHT_FLOOR))


def _directions(light: np.ndarray) -> np.ndarray:
    """Return the shares of line angles, (ANGLES,), in an octave of lightness, by the structure tensor."""
    smooth = cv2.GaussianBlur(light, (0, 0), 0.7)
    gx, gy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32
    xx, yy, xy = (cv2.GaussianBlur(product, (0, 0), TENSOR_SIGMA) for product in (gx * gx, gy * gy, gx * gy))
    angle = np.abs(np.arctan2(2 * xy, xx - yy))  # Twice the lines' angle, so that mirrored lines are equal
    shares = np.histogram(angle, ANGLES, (0, np.pi), weights=np.hypot(xx - yy, 2 * xy))[0]
    return np.asarray(shares / (shares.sum() + 1e-6))


def _grouping(light: Sequence[np.ndarray]) -> np.ndarray:
    """Return the log ratios of second-order to first-order wavelet magnitudes, for all directions and octave pairs.

    Second-order magnitudes are those of the wavelets of a coarser octave, applied to the first-order magnitudes.
    """
    waves = [_magnitudes(level) for level in light]
    found = []
    for fine, coarse in combinations(range(LINE_OCTAVES), 2):
        ratios = np.empty((WAVELETS, WAVELETS))
        for number, wave in enumerate(waves[fine]):
            small = wave
            for _ in range(fine, coarse):
                small = cv2.pyrDown(small)
            ratios[number] = [m.mean() / (wave.mean() + WAVE_FLOOR) for m in _magnitudes(small)]
        mirror = [0, *range(WAVELETS - 1, 0, -1)]
        found.append(np.log((ratios + ratios[mirror][:, mirror]) / 2 + RATIO_FLOOR).ravel())
    return np.concatenate(found)


def _magnitudes(light: np.ndarray) -> list[np.ndarray]:
    """Return the magnitude of the wavelet of each direction at each pixel of an octave of lightness."""
    return [np.hypot(cv2.filter2D(light, cv2.CV_32F, a), cv2.filter2D(light, cv2.CV_32F, b)) for a, b in _wavelets()]


@cache
def _wavelets() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the even and the odd wavelet of each direction, with mean 0, scaled by the even one's absolute sum."""
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
    """Return the shares of pixels between near edges, see ``_runs``, for each threshold of ``EDGE_STEPS``.

    Each share is the mean of the shares along rows and along columns.
    """
    blurred = cv2.GaussianBlur(lab, (0, 0), EDGE_SIGMA)
    changes = [np.sqrt(np.square(np.diff(p, axis=1)).sum(2)) for p in (blurred, blurred.transpose(1, 0, 2))]
    return np.concatenate([np.mean([_runs(change, least) for change in changes], axis=0) for least in EDGE_STEPS])


def _runs(change: np.ndarray, least: float) -> np.ndarray:
    """Return the share of pixels that lie between two edges at a distance of at most each of ``RUNS``, (R,).

    Edges are the maxima, along rows, of the colour ``change`` that exceed ``least``.
    """
    middle = change[:, 1:-1]
    edges = (middle >= change[:, :-2]) & (middle > change[:, 2:]) & (middle > least)
    rows, columns = np.nonzero(edges)
    gaps = np.diff(columns)[np.diff(rows) == 0]
    pixels = np.bincount(np.searchsorted(RUNS, gaps), weights=gaps, minlength=len(RUNS) + 1)[: len(RUNS)]
    return np.cumsum(pixels) / change.size


def _colours(lab: np.ndarray) -> np.ndarray:
    """Return quantiles of CIELAB colours along random directions.

    Their differences are a sliced Wasserstein distance (Bonneel et al., 2015).
    """
    directions = np.random.default_rng(0).standard_normal((3, DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    projections = lab[::COLOUR_STEP, ::COLOUR_STEP].reshape(-1, 3) @ directions
    projections.sort(axis=0)
    return projections[np.linspace(0, len(projections) - 1, QUANTILES).round().astype(int)].astype(np.float64)
