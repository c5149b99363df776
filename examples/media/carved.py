"""Linocut and woodcut: flat inks, grooves of a gouge along the forms, and the grain of a board."""

from __future__ import annotations

import cv2
import numpy as np

from media.canvas import (
    RNG,
    Array,
    blur,
    clouds,
    even,
    follow,
    fractal,
    grey_of,
    into_edge,
    mixed,
    near_edge,
    scattered,
    smeared,
    steps,
    stroke_directions,
    tapered,
    to_bytes,
    wobbled,
)


def linocut(rgb: Array) -> Array:
    """Two blocks over a ground of a third ink: the darker one is carved in grooves, wider where it is lighter."""
    grey = cv2.createCLAHE(2.0, (3, 3)).apply(grey_of(rgb))
    shape = grey.shape
    tone = even(blur(cv2.bilateralFilter(grey, 15, 50, 12), 3).astype(np.float32) + 0.1)
    directions = stroke_directions(blur(grey, 2), 9, 0.6 + 0.9 * clouds(shape, 260), 6)
    paper = np.array([246, 238, 218]) + 3 * fractal(shape, 20)[..., None]
    picture = mixed(paper, (236, 172, 60), printed_by(tone, directions, 0.72, 1.0, 15))
    picture = mixed(picture, (206, 70, 48), printed_by(tone, directions, 0.46, 0.74, 14))
    return to_bytes(mixed(picture, (26, 30, 48), printed_by(tone, directions, 0.2, 0.56, 12)))


def printed_by(tone: Array, directions: Array, full: float, none: float, spacing: float) -> Array:
    """The ink of a block, 0 to 1: solid below the tone ``full``, grooves up to ``none``, and chips beyond it."""
    shape = tone.shape
    block = steps(-wobbled(tone, 1.5, 12), -none - 0.004, -none + 0.004)
    carved, taken, chips = (np.zeros(shape, np.uint8) for _ in range(3))
    for point in scattered(shape, spacing * 0.62):
        place = within(point, shape)
        share = (tone[place] - full) / (none - full)
        if not taken[place] and 0 < share < 1.05:
            path = both_ways(directions, point, spacing * 1.9)
            if len(path) > 5 and np.mean([taken[within(p, shape)] > 0 for p in path[::3]]) < 0.3:
                tapered(carved, path, spacing * (0.28 + 0.62 * share), 255)
                cv2.polylines(taken, [np.rint(path).astype(np.int32)], False, 255, max(1, int(spacing * 0.95)))
    for point in scattered(shape, spacing * 3.2):
        if tone[within(point, shape)] > none + 0.03 and RNG.random() < 0.5:
            path = both_ways(directions, point, spacing * RNG.uniform(0.5, 1.2))
            if len(path) > 3:
                tapered(chips, path, spacing * RNG.uniform(0.14, 0.3), 255)
    salt = steps(fractal(shape, 4), 1.9, 2.4) * 0.8  # ink that did not reach the paper
    return np.maximum(block * (1 - carved / 255.0), chips / 255.0) * (1 - salt)


def within(point: Array, shape: tuple[int, int]) -> tuple[int, int]:
    """The row and the column of the pixel nearest to a point (x, y)."""
    return min(max(int(point[1]), 0), shape[0] - 1), min(max(int(point[0]), 0), shape[1] - 1)


def both_ways(directions: Array, middle: Array, length: float) -> Array:
    """The way along directions through a point, ``length`` pixels to either side."""
    x, y = middle
    back = follow(directions, (x, y), length, 3, back=True)[::-1]
    return np.concatenate([back, follow(directions, (x, y), length, 3)[1:]])


def woodcut(rgb: Array) -> Array:
    """Flat colours that fade at one end (bokashi), a key block of tapering lines, and the grain of the boards."""
    shape = rgb.shape[:2]
    rgb = wobbled(rgb, 1.6, 30, cv2.INTER_NEAREST)
    labels = np.unique(rgb.reshape(-1, 3), axis=0, return_inverse=True)[1].reshape(shape)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    rings = (
        y
        + 26 * clouds(shape, 300)
        + 5 * np.sin(x / 140)
        + 60 * np.exp(-(((x - 640) / 120) ** 2 + ((y - 260) / 90) ** 2))
    )
    grain = 0.5 + 0.5 * np.sin(rings / 3.4 + 1.3 * clouds(shape, 60))
    grain = smeared(grain + 0.5 * fractal(shape, 4), np.zeros(shape, np.float32), 14)
    ink = rgb * (0.97 + 0.2 * (even(grain) - 0.6) + 0.03 * fractal(shape, 60))[..., None]
    fade = steps(y / shape[0] + 0.02 * clouds(shape, 120), 0.36, 0.0) * (labels == labels[2, shape[1] // 2])
    ink = mixed(ink, np.array([44, 82, 128]) * (0.9 + 0.3 * grain)[..., None], 0.9 * fade)
    ink = mixed(ink, (30, 52, 90), 0.55 * steps(even(into_edge(labels)), 0.75, 1) * steps(fractal(shape, 160), -0.2, 1))
    lines = blur(near_edge(labels, 3).astype(np.float32), 1.1) * (1.5 + 0.8 * clouds(shape, 24))
    key = np.maximum(steps(lines, 0.45, 0.8), hairlines(labels, grey_of(rgb)))
    key *= 1 - 0.5 * steps(grain, 0.75, 1.0)
    paper = 1 + 0.012 * fractal(shape, 3)[..., None]
    return to_bytes(mixed(ink, (26, 30, 48), 0.95 * key) * paper)


def hairlines(labels: Array, grey: Array) -> Array:
    """Fine tapering lines along the borders, in every area wider than they are apart, 0 to 1."""
    shape = labels.shape
    inward = blur(into_edge(labels), 5)
    directions = stroke_directions(inward, 8, 0.12 * clouds(shape, 200), 0.5)
    drawn, taken = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for point in scattered(shape, 9):
        place = within(point, shape)
        if taken[place] or inward[place] < 6:
            continue
        path = both_ways(directions, point, RNG.uniform(24, 60))
        path = path[[labels[within(p, shape)] == labels[place] for p in path]]
        if len(path) > 7 and np.mean([taken[within(p, shape)] > 0 for p in path[::3]]) < 0.25:
            tapered(drawn, path, RNG.uniform(2, 3.6) * (0.7 if grey[place] > 180 else 1), 255)
            cv2.polylines(taken, [np.rint(path).astype(np.int32)], False, 255, 13)
    return drawn / 255.0 * np.where(grey > 180, 0.62, 0.9)
