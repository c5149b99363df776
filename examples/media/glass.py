"""Stained glass: panes of streaky coloured glass in dark leads, light behind them."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import KDTree

from media.canvas import RNG, Array, blur, clouds, fractal, smeared, steps, to_bytes, wobbled
from media.scenes import SHAPE

HUES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "sun": ((255, 208, 40), (255, 170, 20)),
    "glow": ((255, 150, 20), (250, 96, 20), (255, 190, 60), (226, 40, 40)),
    "sky": ((20, 60, 190), (36, 110, 220), (16, 40, 140), (70, 160, 230), (84, 60, 180), (150, 210, 240)),
    "far": ((96, 40, 150), (60, 40, 150), (150, 60, 170), (40, 70, 160)),
    "hill": ((10, 110, 60), (30, 150, 70), (8, 90, 90), (120, 180, 40), (20, 130, 120)),
    "field": ((60, 140, 30), (180, 190, 40), (10, 90, 50), (0, 120, 100), (230, 180, 40)),
    "water": ((20, 150, 190), (10, 100, 170), (110, 210, 220), (20, 70, 150)),
    "petal": ((216, 16, 40), (250, 70, 60), (176, 10, 70)),
    "rose": ((240, 90, 150), (250, 150, 180), (200, 40, 120)),
    "white": ((250, 240, 214), (240, 220, 170)),
    "leaf": ((20, 140, 50), (70, 170, 40), (6, 96, 60)),
}
KINDS = list(HUES)


class Window:
    """A design: a kind of glass and the number of a pane for each pixel."""

    def __init__(self) -> None:
        self.kind = np.zeros(SHAPE, np.int64)
        self.pane = np.zeros(SHAPE, np.int64)
        self.y, self.x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)

    def fill(self, inside: Array, kind: str, pane: Array | int) -> None:
        """Glass of a kind, in panes of their own, wherever ``inside``."""
        self.kind[inside] = KINDS.index(kind)
        fresh = np.broadcast_to(np.asarray(pane, np.int64), SHAPE) + self.pane.max() + 1
        self.pane[inside] = fresh[inside]

    def pieces(self, size: float, stretch: float = 1, turn: float = 0) -> Array:
        """The number of the nearest of evenly scattered points, on a plane that is stretched along ``turn``."""
        along = (self.x * np.cos(turn) + self.y * np.sin(turn)) / stretch
        across = self.y * np.cos(turn) - self.x * np.sin(turn)
        low, high = (along.min(), across.min()), (along.max(), across.max())
        rows = [np.arange(a, b + size, size) for a, b in zip(low, high, strict=True)]
        points = np.stack(np.meshgrid(*rows), 2)
        points[1::2, :, 0] += size / 2
        points = points.reshape(-1, 2) + RNG.uniform(-0.3, 0.3, (points.size // 2, 2)) * size
        return np.asarray(KDTree(points).query(np.stack([along, across], 2))[1])

    def flower(self, cx: float, cy: float, radius: float, kind: str) -> None:
        """Five to seven petals of two panes each, around a disc."""
        dx, dy = self.x - cx * SHAPE[1], self.y - cy * SHAPE[0]
        petals, away = int(RNG.integers(5, 8)), np.hypot(dx, dy)
        turn = (np.arctan2(dy, dx) + RNG.uniform(0, 6) + 2 * np.pi) / (2 * np.pi) * petals
        reach = radius * (0.62 + 0.38 * np.abs(np.sin(np.pi * turn)) ** 0.6)
        self.fill(away < reach, kind, np.floor(turn) * 2 + (away > 0.58 * radius))
        self.fill(away < 0.24 * radius, "sun", 0)

    def leaf(self, start: tuple[float, float], end: tuple[float, float], wide: float) -> None:
        """A leaf of two panes along its rib."""
        a, b = (np.array(p) * SHAPE[::-1] for p in (start, end))
        axis, length = (b - a) / np.linalg.norm(b - a), np.linalg.norm(b - a)
        along = ((self.x - a[0]) * axis[0] + (self.y - a[1]) * axis[1]) / length
        across = (self.y - a[1]) * axis[0] - (self.x - a[0]) * axis[1] - wide * 0.5 * np.sin(np.pi * along * 1.4)
        inside = (np.abs(across) < wide * np.sin(np.pi * along.clip(0, 1)) ** 0.8) & (along > 0) & (along < 1)
        self.fill(inside, "leaf", (across > 0) + 2 * (along > 0.5))


def garden() -> Window:
    """A sun with rays over hills, a river, and flowers before them."""
    window = Window()
    height, width = SHAPE
    x, y = window.x, window.y
    dx, dy = x - 0.62 * width, y - 0.3 * height
    away, turn = np.hypot(dx, dy), (np.arctan2(dy, dx) + np.pi) / (2 * np.pi)
    bounds = np.cumsum([62, 46, 54, 58, 62, 64, 68, 70, 74, 78, 80, 84, 88])
    ring = np.digitize(away + 7 * np.sin(14 * np.pi * turn), bounds)
    sectors = np.array([8, 14, 14, 21, 21, 28, 28, 35, 35, 42, 42, 49, 49, 56])[ring]
    ray = np.floor(turn * sectors + 0.5 * (ring % 2) + 0.2 * clouds(SHAPE, 200)) % sectors
    window.fill(ring >= 2, "sky", ring * 50 + ray)
    window.fill((ring >= 2) & (ring < 4) & (ray % 2 == 0), "glow", ring * 50 + ray)
    window.fill((ring >= 4) & (ring < 9) & (ray % 4 == 0), "glow", ring * 50 + ray)
    window.fill(ring == 1, "glow", ray)
    window.fill(ring == 0, "sun", ray % 8)
    for kind, base, waves, size, stretch, turn_by in (
        ("far", 0.5, 1.6, 66, 1.4, 0.2),
        ("hill", 0.58, 1.1, 58, 1.9, -0.25),
        ("field", 0.68, 0.9, 54, 2.2, 0.2),
    ):
        top = height * (base + 0.05 * np.sin(2 * np.pi * (waves * x / width + RNG.random())))
        window.fill(y > top, kind, window.pieces(size, stretch, turn_by))
    middle = (0.5 + 0.24 * np.sin(5.2 * (y / height - 0.2))) * width
    river = (np.abs(x - middle) < 34 + 210 * (y / height - 0.66)) & (y > 0.66 * height)
    window.fill(river, "water", window.pieces(44, 2.6, 0.1))
    for start, end, wide in (
        ((0.02, 0.98), (0.13, 0.62), 26), ((0.2, 1.0), (0.16, 0.72), 24), ((0.24, 0.98), (0.36, 0.8), 25),
        ((0.7, 1.0), (0.66, 0.74), 24), ((0.78, 0.98), (0.9, 0.68), 27), ((0.98, 1.0), (0.93, 0.76), 24),
        ((0.46, 1.0), (0.5, 0.84), 22), ((0.1, 0.9), (0.02, 0.74), 20), ((0.84, 0.9), (0.76, 0.72), 20),
    ):  # fmt: skip
        window.leaf(start, end, wide)
    for cx, cy, radius, kind in (
        (0.13, 0.6, 84, "petal"), (0.3, 0.78, 74, "rose"), (0.07, 0.84, 66, "white"), (0.9, 0.64, 88, "rose"),
        (0.76, 0.8, 72, "petal"), (0.93, 0.88, 62, "white"), (0.55, 0.88, 62, "petal"), (0.2, 0.93, 56, "petal"),
    ):  # fmt: skip
        window.flower(cx, cy, radius, kind)
    return window


def stained_glass() -> Array:
    """The garden in glass: no two panes of a kind have quite the same colour, and light comes through unevenly."""
    window = garden()
    numbers = window.kind * (window.pane.max() + 1) + window.pane
    labels = np.unique(numbers, return_inverse=True)[1].reshape(SHAPE)
    kinds = np.zeros(labels.max() + 1, np.int64)
    kinds[labels] = window.kind
    labels = wobbled(labels.astype(np.float32), 2, 60, cv2.INTER_NEAREST).astype(np.int64)
    hues = np.array([HUES[KINDS[kind]][RNG.integers(len(HUES[KINDS[kind]]))] for kind in kinds], np.float32)
    colours = hues * RNG.uniform(0.8, 1.12, (len(kinds), 1)) + RNG.normal(0, 8, hues.shape)
    leads, inward = leaded(labels)
    streaks = smeared(fractal(SHAPE, 7), (0.8 * RNG.standard_normal(len(kinds)))[labels].astype(np.float32), 14)
    light = 0.92 + 0.3 * streaks + 0.14 * fractal(SHAPE, 90) + 0.34 * (1 - np.exp(-inward / 14)) - 0.2
    glass = colours[labels] * light[..., None]
    glass += np.maximum(fractal(SHAPE, 9) - 1.7, 0)[..., None] * 70  # seeds, and bright lines of thick glass
    glow = blur(np.clip(glass * (1 - leads[..., None]), 0, 255).astype(np.float32), 12)
    metal = np.array([20, 20, 26]) + 74 * relief(leads)[..., None] * np.array([0.9, 0.95, 1.1])
    return to_bytes(glass * (1 - leads[..., None]) + metal * leads[..., None] + 0.14 * glow)


def leaded(labels: Array) -> tuple[Array, Array]:
    """Leads, from 0 to 1, of about eight pixels between the labels, and the distance to them."""
    level = labels.astype(np.float32)
    meets = cv2.dilate(level, np.ones((2, 2))) != cv2.erode(level, np.ones((2, 2)))
    meets[:5], meets[-5:], meets[:, :5], meets[:, -5:] = True, True, True, True
    away = cv2.distanceTransform((~meets).astype(np.uint8), cv2.DIST_L2, 5)
    leads = steps(-blur(away, 1.6), -5.2, -3.4)
    return leads, np.maximum(away - 4, 0)


def relief(leads: Array) -> Array:
    """The light on round leads, from 0 to 1."""
    height = blur(leads, 2)
    return np.asarray(np.clip(-cv2.Sobel(height, cv2.CV_32F, 1, 0) - cv2.Sobel(height, cv2.CV_32F, 0, 1), 0, 1))
