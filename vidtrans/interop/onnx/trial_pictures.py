"""Synthetic pictures with the statistics of photographs, to try networks on; the same for the same seed.

Overlapping discs of all sizes ("dead leaves": Lee, Mumford and Huang, "Occlusion Models for Natural Images", IJCV
2001) with shading and fine texture.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

DISCS = 260
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, of R'G'B'


@lru_cache(maxsize=16)  # a few megabytes each; all value ranges are tried with the same pictures
def trial_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Return a synthetic picture (height, width, 3) float64 in [0, 1], read-only, the same for the same seed."""
    rng = np.random.default_rng(seed)
    side = min(height, width)
    rows, columns = np.mgrid[0:height, 0:width] / side
    picture = np.empty((height, width, 3))
    picture[:] = 0.25 + 0.5 * rng.random(3)
    # The density of radii is proportional to r^-3, as for occluding objects at all distances.
    radii = 1 / np.sqrt(rng.uniform(1 / 0.5**2, 1 / 0.015**2, DISCS))
    for radius in sorted(radii, reverse=True):
        y, x = rng.random(2) * (height, width) / side
        grey, tint = rng.beta(0.9, 0.9), rng.normal(0, 0.13, 3)
        slope = rng.normal(0, 0.35, 2)
        top, bottom = (round(np.clip((y + s * radius) * side, 0, height)) for s in (-1, 1))
        left, right = (round(np.clip((x + s * radius) * side, 0, width)) for s in (-1, 1))
        part = np.s_[top:bottom, left:right]
        dy, dx = rows[part] - y, columns[part] - x
        inside = dy**2 + dx**2 <= radius**2
        shade = grey * (1 + slope[0] * dy / radius + slope[1] * dx / radius)
        picture[part] = np.where(inside[..., None], shade[..., None] + tint, picture[part])
    grain = rng.normal(0, 0.02, (height, width, 1))
    picture = np.clip(picture + grain, 0, 1)
    picture.setflags(write=False)
    return picture


def luminance(picture: np.ndarray) -> np.ndarray:
    """Return the luminance (H, W) of a picture (H, W, 3), by ITU-R BT.601."""
    return picture @ LUMINANCE


def structure(picture: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of the gradient magnitudes of two grey pictures (H, W), −1 to 1; 0 if one is constant."""
    changes = [np.hypot(*np.gradient(grey)).ravel() for grey in (picture, other)]
    return correlation(*changes)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation of two arrays of equal shape; 0 if one of them is constant."""
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 1e-12 else 0.0
