"""Draws the three pictures that the models 'ink', 'oil' and 'print' learned their looks from.

python examples/style_pictures.py examples/looks

An ink drawing and a print of a photograph that scikit-image ships, and a landscape that is made up here, in oil.
Strokes follow the structure of what they paint, the coarse ones first (Hertzmann, "Painterly Rendering with Curved
Brush Strokes of Multiple Sizes", SIGGRAPH 1998); contours are differences of Gaussians along edges (Kang et al., NPAR
2007).
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from skimage import data

WIDTH = 1024  # pixels, of each picture
RNG = np.random.default_rng(7)
Array = np.ndarray


def photograph() -> Array:
    """A portrait of NASA's, which is in the public domain."""
    side = (WIDTH, WIDTH)
    return cv2.resize(data.astronaut(), side, interpolation=cv2.INTER_CUBIC)


def clouds(shape: tuple[int, int], scale: int) -> Array:
    """Smooth noise of unit deviation, about; ``scale``: pixels of a blot."""
    height, width = shape
    coarse = RNG.standard_normal((height // scale + 3, width // scale + 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def blur(picture: Array, sigma: float) -> Array:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def edge_directions(grey: Array, sigma: float) -> tuple[Array, Array, Array]:
    """The direction along edges in radians, how sure it is from 0 to 1, and how strong the edges are."""
    smooth = blur(grey.astype(np.float32), 2)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    xx, xy, yy = (blur(product, sigma) for product in (dx * dx, dx * dy, dy * dy))
    sureness = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-3)
    return np.arctan2(2 * xy, xx - yy) / 2 + np.pi / 2, sureness, np.sqrt(xx + yy)


def draw_line(canvas: Array, points: Array, colour: object, thickness: int) -> None:
    """A polyline of (N, 2) points, smooth to a sixteenth of a pixel."""
    cv2.polylines(canvas, [np.rint(points * 16).astype(np.int32)], False, colour, thickness, cv2.LINE_AA, 4)


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
    return np.clip((averaged - 0.35) / 0.4, 0, 1).astype(np.float32)


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


def follow(directions: Array, start: tuple[float, float], length: float, step: float) -> Array:
    """The way along a field of directions, (N, 2), without sharp turns."""
    at, heading, points = np.array(start), np.zeros(2), [np.array(start)]
    for _ in range(int(length / step)):
        if not (0 <= at[0] < directions.shape[1] and 0 <= at[1] < directions.shape[0]):
            break
        angle = directions[int(at[1]), int(at[0])]
        wanted = np.array([np.cos(angle), np.sin(angle)])
        wanted *= -1 if wanted @ heading < 0 else 1
        heading = wanted if not heading.any() else 0.6 * heading + 0.4 * wanted
        heading /= np.linalg.norm(heading)
        at = at + step * heading
        points.append(at)
    return np.array(points)


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


def landscape() -> Array:
    """A sky with a sun, hills, a field, trees and a house, without strokes."""
    shape = (WIDTH * 3 // 4, WIDTH)
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = mixed((28, 58, 140), (120, 180, 214), y / height / 0.42)
    picture = mixed(picture, (250, 226, 150), (y / height - 0.30) / 0.18)
    cloud, high = clouds(shape, 90) + 0.6 * clouds(shape, 40), 1 - 1.8 * y / height
    picture = mixed(picture, (236, 240, 232), np.clip(1.1 * (cloud - 0.35), 0, 0.8) * np.clip(high, 0, 1))
    picture = mixed(picture, (40, 76, 160), np.clip(-cloud - 0.5, 0, 0.7) * np.clip(high, 0, 1))
    to_sun = np.hypot(x - 0.68 * width, y - 0.2 * height)
    picture = mixed(picture, (255, 214, 90), np.clip(1.25 - to_sun / 120, 0, 1) ** 1.2)
    picture = mixed(picture, (255, 246, 190), (52 - to_sun) / 6)
    for base, waves, top, foot in (
        (0.43, 1.2, (96, 110, 176), (120, 140, 190)),
        (0.49, 0.9, (62, 110, 120), (110, 150, 110)),
        (0.57, 0.8, (58, 120, 66), (150, 170, 70)),
    ):
        below = y - height * ridge(base, waves)
        hill = mixed(top, foot, below / (0.12 * height)) + 10 * clouds(shape, 50)[..., None]
        picture = np.where(below[..., None] > 0, hill, picture)
    below = y - height * ridge(0.66, 0.7)
    rows = np.sin(1.4 * (x - width / 2) / (12 + 0.22 * below.clip(0)) + 0.5 * clouds(shape, 80))
    field = mixed((222, 168, 52), (250, 214, 96), 0.5 + 0.5 * rows)
    field = mixed(field, (176, 92, 40), np.clip(below / (0.34 * height) - 0.45, 0, 0.6))
    field = mixed(field, (120, 140, 54), np.clip(clouds(shape, 70) - 0.7, 0, 0.8))
    field = np.where(clouds(shape, 9)[..., None] > 2.15, (214, 52, 40), field)  # poppies
    picture = np.where(below[..., None] > 0, field, picture)
    add_house(picture)
    for middle, base, tall, wide in ((0.42, 0.72, 0.42, 0.03), (0.47, 0.74, 0.3, 0.024), (0.9, 0.7, 0.24, 0.05)):
        up = (base - y / height) / tall
        half = wide * width * np.sin(np.pi * up.clip(0, 1) ** 0.75).clip(0) ** 0.8 * (1 + 0.18 * clouds(shape, 24))
        inside = (np.abs(x - middle * width - 8 * np.sin(y / 40)) < half) & (up > 0) & (up < 1)
        tree = mixed((20, 54, 44), (70, 120, 58), 0.5 + 0.5 * clouds(shape, 16))
        picture = np.where(inside[..., None], tree, picture)
    return to_bytes(picture)


def ridge(base: float, waves: float) -> Array:
    """The height of a hill's top over the picture's width, as a share of its height."""
    x = np.arange(WIDTH) / WIDTH
    return base + sum(0.03 / k**1.1 * np.sin(2 * np.pi * (k * waves * x + RNG.random())) for k in range(1, 6))


def add_house(picture: Array) -> None:
    size = np.array([picture.shape[1], picture.shape[0]])
    for corners, colour in (
        (((0.20, 0.55), (0.29, 0.66)), (240, 226, 200)),
        (((0.26, 0.55), (0.29, 0.66)), (170, 160, 190)),
        (((0.215, 0.59), (0.235, 0.66)), (60, 80, 140)),
    ):
        (x0, y0), (x1, y1) = (np.array(corners) * size).astype(int).tolist()
        picture[y0:y1, x0:x1] = colour
    roof = (np.array([(0.185, 0.56), (0.245, 0.49), (0.305, 0.56)]) * size).astype(np.int32)
    cv2.fillPoly(picture, [roof], (196, 70, 48))


def mixed(below: object, above: object, share: Array) -> Array:
    """Colours, or pictures of them, mixed by a share that is clipped to 0 … 1, (H, W, 3)."""
    alpha = np.clip(share, 0, 1)[..., None]
    mixture: Array = np.asarray(below, np.float32) * (1 - alpha) + np.asarray(above, np.float32) * alpha
    return mixture


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
    return np.cos(2 * np.pi * along / spacing) + np.cos(2 * np.pi * across / spacing)


def thick_edges(smooth: Array) -> Array:
    bends = [np.abs(cv2.Laplacian(cv2.medianBlur(p, 9), cv2.CV_32F, ksize=5)) for p in cv2.split(smooth)]
    return np.clip((blur((np.max(bends, axis=0) > 150).astype(np.float32), 2.2) - 0.28) * 6, 0, 1)


def borders(index: Array) -> Array:
    changes = cv2.morphologyEx(index, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return 0.9 * np.clip((blur(changes.astype(np.float32), 1.6) - 0.3) * 5, 0, 1)


def to_bytes(picture: Array) -> Array:
    return np.clip(picture, 0, 255).astype(np.uint8)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("ink", ink(photograph())), ("oil", oil(landscape())), ("print", print_of(photograph()))):
        cv2.imwrite(str(folder / f"{name}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        print(folder / f"{name}.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
