"""Mosaic, embroidery and cut paper: pieces whose rows and rims follow what they show."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import KDTree
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
    mixed,
    more_colourful,
    moved,
    scattered,
    steps,
    stroke_directions,
    tapered,
    to_bytes,
)
from media.scenes import SHAPE

# Mosaic

SMALTI = np.array(
    [
        (244, 236, 214), (226, 208, 170), (200, 170, 120), (236, 190, 80), (216, 150, 40), (180, 100, 36),
        (206, 84, 44), (160, 44, 36), (110, 30, 34), (226, 140, 110), (238, 190, 160), (120, 80, 56),
        (70, 46, 40), (34, 30, 36), (22, 36, 76), (28, 62, 124), (46, 104, 160), (96, 156, 190),
        (160, 200, 206), (24, 110, 120), (60, 150, 146), (36, 84, 56), (90, 130, 64), (160, 176, 90),
        (92, 96, 104), (150, 150, 146), (190, 192, 186), (96, 60, 110),
    ],
    np.float32,
)  # fmt: skip


def mosaic(rgb: Array, size: float = 46) -> Array:
    """Square tesserae in mortar, turned along contours (Hausner, "Simulating Decorative Mosaics", SIGGRAPH 2001)."""
    rgb = to_bytes(more_colourful(rgb, 1.1))
    half = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    directions = stroke_directions(grey_of(half), 7, 0.5 * clouds(half.shape[:2], 150), 5)
    edges = cv2.Canny(blur(half, 1.5), 40, 110) > 0
    seeds = settled(scattered(half.shape[:2], size / 2), directions, edges, 12)
    large = cv2.resize(directions, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    labels, gap, u, v = owners(2 * seeds, large, 6)
    means = averages(rgb, labels)
    colours = SMALTI[(((means[:, None] - SMALTI) * [0.8, 1, 0.7]) ** 2).sum(2).argmin(1)]
    colours = 0.7 * colours + 0.3 * means
    colours = colours * RNG.uniform(0.84, 1.14, (len(means), 1)) + RNG.normal(0, 7, (len(means), 3))
    tilt = RNG.normal(0, 0.012, (len(means), 2))[labels]
    light = 1 + tilt[..., 0] * u + tilt[..., 1] * v + 0.05 * fractal(labels.shape, 7)
    bevel = steps(gap, 2.6, 6) - 0.16 * np.sign(u + v) * (1 - steps(gap, 4, 8))
    stone = colours[labels] * (light * (0.72 + 0.28 * bevel))[..., None]
    mortar = np.array([84, 78, 72]) * (1 + 0.14 * fractal(labels.shape, 5)[..., None])
    return to_bytes(mixed(mortar * 0.82, stone, steps(blur(gap, 0.7), 2.4, 4.8)))


def settled(seeds: Array, directions: Array, edges: Array, rounds: int) -> Array:
    """Seeds moved to the middles of the squares around them, away from edges."""
    y, x = np.mgrid[: directions.shape[0], : directions.shape[1]]
    counts = (~cv2.dilate(edges.astype(np.uint8), np.ones((2, 2), np.uint8)).astype(bool)).astype(float).ravel()
    for _ in range(rounds):
        labels = owners(seeds, directions, 5)[0].ravel()
        total = np.bincount(labels, counts, len(seeds))
        sums = [np.bincount(labels, counts * place.ravel(), len(seeds)) for place in (x, y)]
        moved = np.stack(sums, 1) / np.maximum(total, 1e-6)[:, None]
        seeds = np.where(total[:, None] > 3, moved, seeds)
    return seeds


def owners(seeds: Array, directions: Array, neighbours: int) -> tuple[Array, Array, Array, Array]:
    """The seed whose turned square each pixel lies in, how far inside it is, and its place (u, v) in the square."""
    height, width = directions.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    near = KDTree(seeds).query(np.stack([x, y], 2).reshape(-1, 2), neighbours)[1].reshape(height, width, neighbours)
    columns, rows = (np.clip(seeds[:, k].astype(int), 0, s - 1) for k, s in ((0, width), (1, height)))
    cosine, sine = np.cos(directions[rows, columns]), np.sin(directions[rows, columns])
    dx, dy = x[..., None] - seeds[near, 0].astype(np.float32), y[..., None] - seeds[near, 1].astype(np.float32)
    u, v = dx * cosine[near] + dy * sine[near], dy * cosine[near] - dx * sine[near]
    away = np.maximum(np.abs(u), np.abs(v))
    order = np.argpartition(away, 1, axis=2)[..., :2]
    first, second = (np.take_along_axis(away, order[..., k : k + 1], 2)[..., 0] for k in (0, 1))
    best = order[..., :1]
    found = [np.take_along_axis(each, best, 2)[..., 0] for each in (near, u, v)]
    return found[0], (second - first).astype(np.float32), found[1], found[2]


# Embroidery


def embroidery(rgb: Array) -> Array:
    """Long and short satin stitches with a sheen, and outlines in stem stitch."""
    rgb = to_bytes(more_colourful(1.1 * rgb, 1.35, 1.1))
    shape = rgb.shape[:2]
    labels = felzenszwalb(blur(rgb, 2), scale=220, sigma=1, min_size=420)
    flat = 0.65 * averages(rgb, labels)[labels] + 0.35 * blur(rgb, 4)
    lean = RNG.uniform(0, np.pi, labels.max() + 1)[labels]
    directions = stroke_directions(grey_of(rgb), 10, lean + 0.3 * clouds(shape, 120), 9)
    canvas = to_bytes(0.5 * flat)
    for x, y in scattered(shape, 10.5):
        place = min(int(max(y, 0)), shape[0] - 1), min(int(max(x, 0)), shape[1] - 1)
        angle = directions[place] + RNG.normal(0, 0.07)
        reach = np.array([np.cos(angle), np.sin(angle)]) * RNG.uniform(17, 29)
        stitch(canvas, np.array([x, y]) - reach / 2, reach, flat[place] + RNG.normal(0, 7, 3), 6)
    outline(canvas, labels, flat)
    relief = 1 + 0.03 * fractal(shape, 3)[..., None]
    return to_bytes(canvas * relief)


def stitch(canvas: Array, start: Array, reach: Array, colour: Array, width: int) -> None:
    """A twist of thread: its shadow, its body, and a sheen that depends on where the light comes from."""
    across = np.array([-reach[1], reach[0]]) / (np.linalg.norm(reach) + 1e-6)
    across *= -1 if across @ [0.5, 0.86] > 0 else 1
    sheen = 0.35 + 0.75 * np.abs(across @ [0.5, 0.86])
    ends = np.linspace(0, 1, 5)[:, None]
    path = start + ends * reach + across * 1.6 * np.sin(np.pi * ends)
    for line, shade, thick in (
        (path - 1.4 * across, 0.42, width + 1),
        (path, 0.86, width - 1),
        (path[1:4] + 0.5 * across, 1 + 0.22 * sheen, 3),
        (path[1:4] + 1.0 * across, 1 + 0.5 * sheen, 1),
    ):
        ink = tuple(map(int, np.clip(colour * shade + 26 * max(0, shade - 1), 0, 255)))
        draw_line(canvas, line, ink, max(1, thick))


def outline(canvas: Array, labels: Array, flat: Array) -> None:
    """Stem stitches in a dark thread around the larger regions."""
    for label in range(labels.max() + 1):
        inside = (labels == label).astype(np.uint8)
        if inside.sum() < 1500:
            continue
        for contour in cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
            points = contour[:, 0].astype(np.float32)
            for k in range(0, len(points) - 16, 13):
                a, b = points[k], points[k + 15]
                if min(a.min(), b.min()) > 1:
                    place = int(a[1]), int(a[0])
                    stitch(canvas, a, b - a, 0.55 * flat[place] + np.array([10, 6, 20]), 6)


# Cut paper

SHEETS = np.array(
    [
        (255, 246, 214), (252, 214, 120), (246, 164, 78), (236, 110, 76), (204, 62, 84), (146, 44, 96),
        (250, 226, 196), (92, 186, 176), (32, 136, 148), (24, 92, 124), (26, 58, 96), (20, 34, 66),
    ],
    np.float32,
)  # fmt: skip


def cut_paper() -> Array:
    """A sun at the end of a valley: twelve sheets with holes over each other, each with a shadow under its rim."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    far = np.hypot((x - 0.56 * width) / 0.72, y - 0.4 * height) + 120 * clouds(SHAPE, 240) + 46 * clouds(SHAPE, 100)
    depth = even(far)
    picture = SHEETS[0] + 3 * fractal(SHAPE, 4)[..., None]
    for number, level in enumerate(np.linspace(0.03, 0.93, len(SHEETS) - 1), 1):
        lobes = 0.022 * np.abs(clouds(SHAPE, 34)) + 0.028 * clouds(SHAPE, 90)
        sheet = steps(blur((depth + lobes > level).astype(np.float32), 2.5), 0.4, 0.6)
        sheet = with_leaves(sheet, depth + lobes, level)
        shifted = moved(sheet, -6, -8)
        shadow = 0.5 * blur(shifted, 5) + 0.3 * blur(shifted, 14)
        picture = picture * (1 - 0.8 * shadow * (1 - sheet))[..., None]
        fibres = 3.5 * fractal(SHAPE, 4) + 3 * fractal(SHAPE, 40)
        soft = blur(sheet, 1)
        rim = cv2.Sobel(soft, cv2.CV_32F, 1, 0) + cv2.Sobel(soft, cv2.CV_32F, 0, 1)
        picture = mixed(picture, SHEETS[number] + (fibres + 34 * np.clip(rim, -0.5, 1))[..., None], sheet)
    return to_bytes(picture)


def with_leaves(sheet: Array, depth: Array, level: float) -> Array:
    """A sheet with pointed leaves along its rim, which point into the hole."""
    leaves = np.zeros(sheet.shape, np.uint8)
    dx, dy = cv2.Sobel(blur(depth, 12), cv2.CV_32F, 1, 0), cv2.Sobel(blur(depth, 12), cv2.CV_32F, 0, 1)
    for point in scattered(sheet.shape, 30):
        place = tuple(np.clip(point[::-1].astype(int), 0, np.array(sheet.shape) - 1))
        if abs(depth[place] - level - 0.015) < 0.02:
            angle = np.arctan2(-dy[place], -dx[place]) + RNG.normal(0, 0.7)
            bend = angle + RNG.normal(0, 0.4) * np.linspace(-1, 1, 12)
            length = RNG.uniform(34, 66)
            path = point + (np.stack([np.cos(bend), np.sin(bend)], 1) * length / 12).cumsum(0)
            tapered(leaves, path, 0.34 * length, 255)
    return np.asarray(np.maximum(sheet, leaves.astype(np.float32) / 255))
