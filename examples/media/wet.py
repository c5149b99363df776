"""Watercolour: transparent washes on white paper, whose rims are dark, with blooms and granulation."""

from __future__ import annotations

import cv2
import numpy as np
from skimage.segmentation import felzenszwalb

from media.canvas import (
    RNG,
    Array,
    averages,
    blur,
    clouds,
    draw_line,
    even,
    fractal,
    grey_of,
    into_edge,
    more_colourful,
    steps,
    stroke_directions,
    to_bytes,
    wobbled,
)

PAPER = np.array([252, 249, 240], np.float32)


def watercolour(rgb: Array) -> Array:
    """Washes wet in wet, washes with hard rims over them, and strokes of a pointed brush; white paper between."""
    shape = rgb.shape[:2]
    rgb = to_bytes(255 * (more_colourful(rgb, 1.15) / 255) ** 0.6)
    density = 0.5 * pigment(blur(rgb, 22), 1.5) * steps(fractal(shape, 150), -0.9, 0.6)[..., None]
    fine = felzenszwalb(wobbled(rgb, 2, 30), scale=160, sigma=1.4, min_size=330)
    for labels, strength in ((fine, 0.62), (glazes(rgb), 0.3)):
        density += strength * washes(rgb, labels)
    density = granulated(bloomed(density + 0.8 * brushes(rgb)), shape)
    paper_left = steps(fractal(shape, 26) + 5 * steps(even(grey_of(rgb)), 0.8, 1.0), 2.5, 2.7)
    density *= 1 - 0.93 * blur(paper_left, 0.8)[..., None]
    tooth = 1 + 0.012 * fractal(shape, 5)[..., None]
    return to_bytes(PAPER * np.exp(-density) * tooth)


def pigment(rgb: Array, saturation: float) -> Array:
    """Optical densities that give colours, lightened, on the paper."""
    light = 0.92 * more_colourful(rgb, saturation) + 0.08 * 255
    return -np.log(np.clip(light, 12, 250) / PAPER)


def glazes(rgb: Array) -> Array:
    """The labels of three tones, with borders as of an unsteady hand."""
    tone = even(blur(grey_of(rgb), 3)) + 0.05 * fractal(rgb.shape[:2], 40)
    return np.digitize(tone, (0.22, 0.45, 0.7)).astype(np.int64)


def washes(rgb: Array, labels: Array) -> Array:
    """A wash for each label: uneven inside, dark at its rim, with gaps of paper here and there."""
    shape = labels.shape
    labels = wobbled(labels.astype(np.float32), 2.2, 22, cv2.INTER_NEAREST).astype(np.int64)
    colours = pigment(averages(rgb, labels), 1.5) * RNG.uniform(0.75, 1.25, (labels.max() + 1, 1))
    colours *= 1 + RNG.normal(0, 0.1, colours.shape)
    inward = into_edge(labels)
    rim = np.exp(-((np.maximum(inward - 2.5, 0) / 3.2) ** 1.3)) * np.clip(1 + 0.8 * clouds(shape, 40), 0.1, 2)
    pool = 0.72 + 0.3 * fractal(shape, 70) + 0.22 * np.exp(-inward / 16)
    gap = 1 - steps(-inward + 1.6 * clouds(shape, 60), -0.6, 0.8) * 0.9
    return np.asarray(np.clip(colours, 0, None)[labels] * ((pool.clip(0.15) + 0.75 * rim) * gap)[..., None])


def brushes(rgb: Array) -> Array:
    """Strokes of a pointed brush where it is dark, with rims of their own."""
    grey = grey_of(rgb)
    shape, tone = grey.shape, even(blur(grey, 4))
    directions = stroke_directions(grey, 8, 0.9 * clouds(shape, 200))
    density = np.zeros((*shape, 3), np.float32)
    dark = pigment(0.62 * blur(rgb, 5).astype(np.float32), 1.4)
    for _ in range(2):
        mask = np.zeros(shape, np.uint8)
        for _ in range(420):
            x, y = RNG.uniform(0, shape[1] - 1), RNG.uniform(0, shape[0] - 1)
            if tone[int(y), int(x)] > RNG.uniform(0.05, 0.45):
                continue
            angle, length, wide = directions[int(y), int(x)], RNG.uniform(24, 70), RNG.uniform(5, 15)
            turning = angle + RNG.normal(0, 0.8) * np.linspace(-1, 1, 9)
            path = np.array([x, y]) + (np.stack([np.cos(turning), np.sin(turning)], 1) * length / 9).cumsum(0)
            for k in range(8):
                draw_line(mask, path[k : k + 2], 255, max(1, int(wide * np.sin(0.35 + 2.6 * k / 8))))
        inward = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        body = steps(inward, 0, 1.6) * (0.4 + 0.25 * clouds(shape, 30) + 0.7 * np.exp(-(np.abs(inward - 1.5) / 2)))
        density += 0.55 * dark * body.clip(0)[..., None]
    return density


def bloomed(density: Array) -> Array:
    """Backruns: water that ran into a damp wash, pushed the pigment outwards, and left a jagged rim."""
    height, width = density.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    jagged = 13 * fractal((height, width), 40) + 5 * fractal((height, width), 10)
    for _ in range(26):
        radius = RNG.uniform(22, 74)
        away = np.hypot(x - RNG.uniform(0, width), (y - RNG.uniform(0, height)) * RNG.uniform(0.9, 1.3)) + jagged
        inside = steps(-away, -radius, -radius * 0.55)
        rim = np.exp(-np.abs(away - radius - 2) / 2.6)
        density = density * (1 - 0.55 * inside + 0.6 * rim)[..., None]
    return density


def granulated(density: Array, shape: tuple[int, int]) -> Array:
    """Pigment that settled in the hollows of the paper."""
    grain = np.clip(1 + 0.13 * fractal(shape, 8), 0.3, 2)
    return density * grain[..., None]
