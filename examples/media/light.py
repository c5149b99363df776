"""Neon: bent tubes of light before a dark wall, with halos."""

from __future__ import annotations

import cv2
import numpy as np

from media.canvas import RNG, Array, blur, clouds, even, fractal, grey_of, steps, to_bytes

TUBES = ((255, 20, 140), (0, 200, 255), (140, 50, 255), (255, 20, 140), (0, 200, 255), (255, 110, 20), (40, 90, 255))


def neon(rgb: Array) -> Array:
    """Lines of equal tone as tubes, another gas for each level."""
    grey = grey_of(rgb)
    shape = grey.shape
    tone = blur(cv2.bilateralFilter(cv2.createCLAHE(3.0, (3, 3)).apply(grey), 15, 50, 15).astype(np.float32), 8)
    tone = even(tone)
    glow, core = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.uint8)
    near = np.zeros(shape, np.uint8)
    for number, level in enumerate(np.linspace(0.06, 0.95, 14)):
        gas = np.array(TUBES[number * 3 % len(TUBES)], np.float32)
        tubes = bent(tone > level, near)
        glow += (tubes / 255.0)[..., None].astype(np.float32) * gas
        core = np.maximum(core, tubes)
        near = np.maximum(near, cv2.dilate(tubes, np.ones((21, 21), np.uint8)))
    return lit(glow, core)


def bent(inside: Array, near: Array) -> Array:
    """Smooth outlines of a shape as lines of six pixels, in pieces with gaps; none where another is ``near``."""
    canvas = np.zeros(inside.shape, np.uint8)
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        points = outline[:, 0].astype(np.float32)
        if len(points) < 90:
            continue
        smooth = np.stack([smooth_ring(points[:, k]) for k in (0, 1)], 1)
        x, y = smooth[:, 0].round().astype(int), smooth[:, 1].round().astype(int)
        rim = (x < 9) | (y < 9) | (x > inside.shape[1] - 10) | (y > inside.shape[0] - 10)
        free = (near[y.clip(0, inside.shape[0] - 1), x.clip(0, inside.shape[1] - 1)] == 0) & ~rim
        free &= (np.arange(len(x)) + RNG.integers(420)) % 420 > 14  # where a tube ends and the next begins
        ends = np.flatnonzero(np.diff(free)) + 1
        for piece, is_free in zip(np.split(smooth, ends), free[np.r_[0, ends]], strict=True):
            if len(piece) > 40 and is_free:
                cv2.polylines(canvas, [np.rint(piece * 16).astype(np.int32)], False, 255, 6, cv2.LINE_AA, 4)
    return canvas


def smooth_ring(values: Array) -> Array:
    """A closed row of values, averaged over about fifteen neighbours."""
    size = 15
    wrapped = np.concatenate([values[-size:], values, values[:size]])
    return np.convolve(wrapped, np.hanning(size) / np.hanning(size).sum(), "same")[size:-size]


def lit(glow: Array, core: Array) -> Array:
    """Tubes: white in their middle, coloured at their rims, with halos that light a wall of bricks."""
    shape = core.shape
    halo = sum(share * blur(glow, sigma) for sigma, share in ((3, 0.55), (9, 0.75), (26, 0.6), (70, 0.35)))
    wall = np.array([9, 8, 20]) + halo * bricks(shape)[..., None]
    middle = steps(blur(core.astype(np.float32) / 255, 1.6), 0.7, 1.0)[..., None]
    body = steps(core.astype(np.float32) / 255, 0.1, 0.9)[..., None]
    tube = np.clip(1.1 * glow + 20, 0, 255)
    tube = tube * (1 - 0.7 * middle) + np.minimum(glow + 170, 255) * 0.7 * middle
    return to_bytes(wall * (1 - body) + tube * body)


def bricks(shape: tuple[int, int]) -> Array:
    """Return the reflectance of each pixel of a wall."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    x, y = x + 1.5 * clouds(shape, 14), y + 1.5 * clouds(shape, 14)
    row = np.floor(y / 30)
    x = x + 33 * (row % 2)
    column = np.floor(x / 66)
    joint = np.minimum(np.minimum(y % 30, 30 - y % 30), np.minimum(x % 66, 66 - x % 66))
    shade = RNG.uniform(0.6, 1.1, 4096)[((row * 57 + column * 131) % 4096).astype(int)]
    return np.asarray((0.5 + 0.5 * steps(joint, 1, 4)) * shade * (1 + 0.1 * fractal(shape, 6)))
