"""Halftone and risograph: inks in dots and grains, one over the other."""

from __future__ import annotations

import numpy as np

from media.canvas import Array, blur, clouds, fractal, more_colourful, steps, to_bytes

# Halftone


def halftone(rgb: Array, spacing: float = 15) -> Array:
    """Four inks in rows of dots, each row at its own angle, on paper that has yellowed a little."""
    shape = rgb.shape[:2]
    light = more_colourful(blur(rgb, 1.5), 1.7, 1.15) / 255
    black = 1 - light.max(2)
    cyan, magenta, yellow = np.moveaxis(1 - light - 0.75 * black[..., None], 2, 0)
    paper = np.array([248, 242, 226]) + 2 * fractal(shape, 8)[..., None]
    picture = paper * np.ones((*shape, 1))
    for share, degrees, ink in (
        (yellow, 0, (255, 222, 20)),
        (magenta, 75, (228, 20, 120)),
        (cyan, 15, (0, 150, 222)),
        (1.15 * black - 0.1, 45, (28, 26, 34)),
    ):
        covered = screen(share.clip(0, 1), spacing, np.radians(degrees))
        pale = 1 - covered[..., None] * (1 - np.array(ink) / 255)
        picture = picture * pale
    return to_bytes(picture)


def screen(share: Array, spacing: float, angle: float) -> Array:
    """Round dots, 0 to 1, that cover a share of the paper; they grow together from a half on."""
    y, x = np.mgrid[: share.shape[0], : share.shape[1]].astype(np.float32)
    x, y = x + 0.5 * clouds(share.shape, 5), y + 0.5 * clouds(share.shape, 5)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    hill = (np.cos(2 * np.pi * u / spacing) + np.cos(2 * np.pi * v / spacing)) / 2
    order = np.sort(hill.ravel()[::37])
    level = order[np.clip(((1 - blur(share.astype(np.float32), 3)) * len(order)).astype(int), 0, len(order) - 1)]
    return steps(hill - level, -0.1, 0.1) * (share > 0.02)
