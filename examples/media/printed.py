"""Halftone and risograph: inks in dots and grains, one over the other."""

from __future__ import annotations

import cv2
import numpy as np

from media.canvas import Array, blur, clouds, even, fractal, more_colourful, moved, steps, to_bytes

# Halftone


def halftone(rgb: Array, spacing: float = 26) -> Array:
    """Four inks in rows of dots, each row at its own angle, on paper that has yellowed a little."""
    shape = rgb.shape[:2]
    light = (more_colourful(blur(rgb, 1.5), 1.6) / 255) ** 0.7
    black = 1 - light.max(2)
    cyan, magenta, yellow = np.moveaxis(1 - light - 0.5 * black[..., None], 2, 0)
    paper = np.array([250, 244, 228]) + 2 * fractal(shape, 8)[..., None]
    picture = paper * np.ones((*shape, 1))
    for share, degrees, ink in (
        (yellow, 0, (255, 224, 40)),
        (magenta, 75, (236, 40, 130)),
        (cyan, 15, (20, 160, 226)),
        (1.2 * black - 0.06, 45, (24, 22, 34)),
    ):
        covered = screen(share.clip(0.05 if sum(ink) > 200 else 0, 1), spacing, np.radians(degrees))
        covered = 0.58 * covered + 0.42 * blur(covered, 0.45 * spacing)  # light spreads in the paper between the dots
        picture = picture * (1 - covered[..., None] * (1 - np.array(ink) / 255))
    return to_bytes(more_colourful(picture, 1.15, 1.1))


def screen(share: Array, spacing: float, angle: float) -> Array:
    """Round dots, 0 to 1, that cover a share of the paper; they grow together from a half on."""
    y, x = np.mgrid[: share.shape[0], : share.shape[1]].astype(np.float32)
    x, y = x + 0.5 * clouds(share.shape, 5), y + 0.5 * clouds(share.shape, 5)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    hill = (np.cos(2 * np.pi * u / spacing) + np.cos(2 * np.pi * v / spacing)) / 2
    order = np.sort(hill.ravel()[::37])
    level = order[np.clip(((1 - blur(share.astype(np.float32), 3)) * len(order)).astype(int), 0, len(order) - 1)]
    return steps(hill - level, -0.16, 0.16)


# Risograph


def risograph(rgb: Array) -> Array:
    """Two spot inks in coarse grains, the second out of register, with unevenly inked drums."""
    shape = rgb.shape[:2]
    light = (more_colourful(cv2.bilateralFilter(rgb, 11, 50, 11), 1.3) / 255) ** 0.8
    pink = 1 - (0.1 * light[..., 0] + 0.55 * light[..., 1] + 0.35 * light[..., 2])
    blue = 1 - (0.8 * light[..., 0] + 0.2 * light[..., 1])
    paper = np.array([246, 241, 228]) + 2.5 * fractal(shape, 3)[..., None]
    picture = paper * np.ones((*shape, 1))
    for share, ink, dx, dy in ((pink, (255, 76, 116), 0, 0), (blue, (0, 110, 150), 7, -5)):
        share = blur(share.astype(np.float32), 1.5)
        levels = posterised(0.6 * even(share) + 0.4 * share)
        grains = moved(grained(levels, 4), dx, dy)
        y = np.arange(shape[0], dtype=np.float32)[:, None]
        drum = 0.9 + 0.05 * np.sin(y / 33 + dx) + 0.05 * fractal(shape, 90)
        spots = steps(fractal(shape, 5), 2.3, 2.7)
        covered = np.clip(grains * drum * (1 - spots), 0, 1)[..., None]
        picture = picture * (1 - covered * (1 - np.array(ink) / 255))
    return to_bytes(picture)


def posterised(share: Array) -> Array:
    """Five levels from bare paper to solid ink, with soft steps."""
    return np.select([share < k for k in (0.2, 0.36, 0.52, 0.68)], [0.0, 0.16, 0.42, 0.72], 1.0).astype(np.float32)


def grained(share: Array, size: int) -> Array:
    """Grains of about ``size`` pixels, 0 to 1, that cover a share of the paper."""
    noise = clouds(share.shape, size) + 0.6 * clouds(share.shape, 2)
    rank = even(noise)
    return steps(blur(share, 1.2) - rank, -0.06, 0.06) * (share > 0.01)
