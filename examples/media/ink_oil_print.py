"""Ink, oil and print: strokes follow the structure of what they paint, the coarse ones first.

Hertzmann, "Painterly Rendering with Curved Brush Strokes of Multiple Sizes" (SIGGRAPH 1998); contours are differences
of Gaussians along edges (Kang et al., NPAR 2007).
"""

from __future__ import annotations

import cv2
import numpy as np

from media.canvas import RNG, Array, blur, clouds, draw_line, edge_directions, follow, to_bytes

# Ink


def ink(rgb: Array) -> Array:
    """Contours, hatching that is denser where it is dark, and a wash, on paper."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(2.0, (4, 4)).apply(grey)
    directions, sureness, _ = edge_directions(even, 8)
    tone = blur(cv2.bilateralFilter(even, 9, 40, 9), 2).astype(np.float32) / 255
    drawn = np.minimum(hatching(tone, directions, sureness), contours(grey, directions))
    drawn *= np.clip(wash(tone), 0.15, 1)
    grain = 3 * clouds(grey.shape, 3) + 3 * clouds(grey.shape, 40)
    paper, black = np.array([246, 238, 220]) + grain[..., None], np.array([26, 28, 38])
    return to_bytes(paper * drawn[..., None] + black * (1 - drawn[..., None]))


def wash(tone: Array) -> Array:
    """Thinned ink in three layers, dark at their rims: 1 is dry."""
    layers = np.ones_like(tone)
    for level, depth in ((0.55, 0.12), (0.34, 0.2), (0.18, 0.3)):
        wet = blur((tone + 0.03 * clouds(tone.shape, 24) < level).astype(np.float32), 2.2)
        rim = np.clip(6 * np.abs(cv2.Laplacian(blur(wet, 2), cv2.CV_32F)), 0, 1)
        layers -= depth * (wet * (0.85 + 0.15 * clouds(tone.shape, 60)) + 0.4 * rim)
    return layers


def hatching(tone: Array, directions: Array, sureness: Array) -> Array:
    """Short strokes, another direction for each of four levels; along the edges where there are any."""
    canvas = np.full(tone.shape, 255, np.uint8)
    height, width = tone.shape
    for level, angle, gap in ((0.62, 0.9, 9), (0.45, -0.1, 9), (0.28, 1.45, 8), (0.16, 0.2, 7)):
        for _ in range(height * width // (gap * 34)):
            x, y = RNG.uniform(0, width), RNG.uniform(0, height)
            place = int(y), int(x)
            if tone[place] > level + RNG.normal(0, 0.03):
                continue
            along = directions[place] + angle - 0.9 if sureness[place] > 0.6 else angle
            length, bend = RNG.uniform(18, 46), RNG.normal(0, 0.12)
            turning = along + bend * np.linspace(-0.5, 0.5, 8)
            steps = np.stack([np.cos(turning), np.sin(turning)], 1) * length / 8
            start = np.array([x - np.cos(along) * length / 2, y - np.sin(along) * length / 2])
            draw_line(canvas, start + steps.cumsum(0), int(RNG.uniform(10, 60)), 1 if RNG.random() < 0.7 else 2)
    return canvas.astype(np.float32) / 255


def contours(grey: Array, directions: Array) -> Array:
    """Dark lines, 0, on 1: a difference of Gaussians, averaged along the edges."""
    smooth = cv2.bilateralFilter(grey, 9, 60, 7).astype(np.float32)
    difference = blur(smooth, 1.6) - 0.985 * blur(smooth, 3.04)
    lines = np.where(difference > 0, 1, 1 + np.tanh(0.45 * difference)).astype(np.float32)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    dx, dy = np.cos(directions).astype(np.float32), np.sin(directions).astype(np.float32)
    steps = 1.3 * np.arange(-5, 6)
    averaged = np.mean([cv2.remap(lines, x + s * dx, y + s * dy, cv2.INTER_LINEAR) for s in steps.tolist()], axis=0)
    return np.asarray(np.clip((averaged - 0.35) / 0.4, 0, 1), np.float32)


# Oil


def oil(rgb: Array) -> Array:
    """Four layers of bristly strokes, each finer than the last and only where that was not near enough."""
    shape = rgb.shape[:2]
    swirl = np.pi * 0.9 * blur(clouds(shape, 150), 20)
    canvas, height = blur(rgb, 30), np.zeros(shape, np.float32)
    for width, spacing, length, tolerance in (
        (34, 15.0, 130, 0),
        (18, 8.5, 84, 14),
        (9, 4.6, 46, 20),
        (5, 3.6, 26, 30),
    ):
        wanted = blur(rgb, width * 0.35)
        along, sureness, strength = edge_directions(cv2.cvtColor(wanted, cv2.COLOR_RGB2GRAY), width / 2 + 2)
        edges = sureness * np.clip(strength / 12, 0, 1)
        sine = edges * np.sin(2 * along) + (1 - edges) * np.sin(2 * swirl)
        cosine = edges * np.cos(2 * along) + (1 - edges) * np.cos(2 * swirl)
        directions = np.arctan2(sine, cosine) / 2
        error = np.linalg.norm(canvas.astype(np.float32) - wanted, axis=2)
        count = int(shape[0] * shape[1] / spacing**2)
        for x, y in zip(RNG.uniform(0, shape[1] - 1, count), RNG.uniform(0, shape[0] - 1, count), strict=True):
            place = int(y), int(x)
            if error[place] >= tolerance:
                colour = wanted[place] + RNG.normal(0, 9, 3) + RNG.normal(0, 10)
                path = follow(directions, (x, y), length * RNG.uniform(0.5, 1.1), max(3, width * 0.3))
                if len(path) > 2:
                    paint_stroke(canvas, height, path, width, colour)
    relief = blur(height, 0.9)
    light = cv2.Sobel(relief, cv2.CV_32F, 1, 0) + cv2.Sobel(relief, cv2.CV_32F, 0, 1)
    return to_bytes(canvas * (1 + 0.055 * np.clip(-light, -3, 3))[..., None])


def paint_stroke(canvas: Array, height: Array, path: Array, width: int, colour: Array) -> None:
    """One stroke of a brush: bristles side by side, the outer ones darker and with more paint."""
    normals = np.stack([-np.gradient(path[:, 1]), np.gradient(path[:, 0])], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-6
    taper = np.sqrt(np.sin(np.linspace(0.35, np.pi - 0.25, len(path))))[:, None]
    bristles = max(3, int(width / 2.4))
    for place in np.linspace(-0.5, 0.5, bristles).tolist():
        is_outer = abs(place) > 0.42
        line = path + normals * place * width * taper
        shade = np.clip(colour + RNG.normal(0, 10) - 14 * is_outer, 0, 255)
        draw_line(canvas, line, tuple(map(int, shade)), max(2, int(width / bristles * 1.3)))
        draw_line(height, line, RNG.uniform(0.2, 1) * (1.5 if is_outer else 1), max(2, int(width / bristles)))


# Print

NAVY = (24, 30, 58)
PALETTE = np.array([NAVY, (33, 78, 120), (228, 84, 62), (250, 176, 72), (250, 236, 208), (92, 160, 150)], np.float32)


def print_of(rgb: Array) -> Array:
    """Six inks in flat areas, dots in some of the darker ones, thick contours."""
    smooth = rgb.copy()
    for _ in range(4):
        smooth = cv2.bilateralFilter(smooth, 9, 45, 9)
    smooth = cv2.pyrMeanShiftFiltering(smooth, 14, 26)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
    inks = cv2.cvtColor(PALETTE[None].astype(np.uint8), cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    shape = rgb.shape[:2]
    rank = lab[..., 0].ravel().argsort(kind="stable").argsort().reshape(shape) / lab[..., 0].size
    lab[..., 0] = 20 + 225 * rank  # every ink is used
    index = (((lab[:, :, None] - inks) * [1, 0.9, 0.9]) ** 2).sum(3).argmin(2).astype(np.uint8)
    for _ in range(3):
        index = cv2.medianBlur(index, 11)
    tone = blur(rank.astype(np.float32), 4)
    is_dotted = dots(shape, 9) > -1.6 + 3.2 * (3 * tone % 1)
    shaded = (is_dotted & (tone > 0.2) & (tone < 0.62))[..., None]
    flat = np.where(shaded, PALETTE[index] * 0.72 + np.array(NAVY) * 0.28, PALETTE[index])
    lines = np.maximum(thick_edges(smooth), borders(index))[..., None]
    return to_bytes(flat * (1 - lines) + np.array(NAVY) * lines + 3 * clouds(shape, 2)[..., None])


def dots(shape: tuple[int, int], spacing: float) -> Array:
    """A screen of dots, −2 … 2, turned by 36°."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle = np.pi / 5
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.asarray(np.cos(2 * np.pi * along / spacing) + np.cos(2 * np.pi * across / spacing))


def thick_edges(smooth: Array) -> Array:
    bends = [np.abs(cv2.Laplacian(cv2.medianBlur(p, 9), cv2.CV_32F, ksize=5)) for p in cv2.split(smooth)]
    return np.clip((blur((np.max(bends, axis=0) > 150).astype(np.float32), 2.2) - 0.28) * 6, 0, 1)


def borders(index: Array) -> Array:
    changes = cv2.morphologyEx(index, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return 0.9 * np.clip((blur(changes.astype(np.float32), 1.6) - 0.3) * 5, 0, 1)
