"""Helpers of the programs that draw style pictures: noise, strokes, directions of strokes, sizes."""

from __future__ import annotations

import cv2
import numpy as np

WIDTH = 1024  # pixels, of each picture
RNG = np.random.default_rng(7)
Array = np.ndarray
Colour = float | tuple[int, ...]


def reseed(seed: int) -> None:
    """Let a picture be the same whichever are drawn before it."""
    RNG.bit_generator.state = np.random.default_rng(seed).bit_generator.state


def clouds(shape: tuple[int, int], scale: int) -> Array:
    """Smooth noise of unit deviation, about; ``scale``: pixels of a blot."""
    height, width = shape
    coarse = RNG.standard_normal((height // scale + 3, width // scale + 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def blur(picture: Array, sigma: float) -> Array:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))


def edge_directions(grey: Array, sigma: float) -> tuple[Array, Array, Array]:
    """The direction along edges in radians, how sure it is from 0 to 1, and how strong the edges are."""
    smooth = blur(grey.astype(np.float32), 2)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    xx, xy, yy = (blur(product, sigma) for product in (dx * dx, dx * dy, dy * dy))
    sureness = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-3)
    return np.arctan2(2 * xy, xx - yy) / 2 + np.pi / 2, sureness, np.sqrt(xx + yy)


def draw_line(canvas: Array, points: Array, colour: Colour, thickness: int) -> None:
    """A polyline of (N, 2) points, smooth to a sixteenth of a pixel."""
    cv2.polylines(canvas, [np.rint(points * 16).astype(np.int32)], False, colour, thickness, cv2.LINE_AA, 4)


def follow(directions: Array, start: tuple[float, float], length: float, step: float, back: bool = False) -> Array:
    """The way along a field of directions, (N, 2), without sharp turns; ``back``: the other way."""
    at, heading, points = np.array(start), np.zeros(2), [np.array(start)]
    for _ in range(int(length / step)):
        if not (0 <= at[0] < directions.shape[1] and 0 <= at[1] < directions.shape[0]):
            break
        angle = directions[int(at[1]), int(at[0])]
        wanted = np.array([np.cos(angle), np.sin(angle)])
        wanted *= -1 if wanted @ heading < 0 or (back and not heading.any()) else 1
        heading = wanted if not heading.any() else 0.6 * heading + 0.4 * wanted
        heading /= np.linalg.norm(heading)
        at = at + step * heading
        points.append(at)
    return np.array(points)


def mixed(below: object, above: object, share: Array) -> Array:
    """Colours, or pictures of them, mixed by a share that is clipped to 0 … 1, (H, W, 3)."""
    alpha = np.clip(share, 0, 1)[..., None]
    mixture: Array = np.asarray(below, np.float32) * (1 - alpha) + np.asarray(above, np.float32) * alpha
    return mixture


def to_bytes(picture: Array) -> Array:
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


# For the media of the gallery


def fractal(shape: tuple[int, int], scale: int) -> Array:
    """Noise of blots of ``scale`` pixels and of finer ones, of unit deviation, about."""
    octaves = [clouds(shape, max(1, scale >> k)) / 2**k for k in range(4) if scale >> k]
    return np.asarray(sum(octaves) / np.sqrt(sum(0.25**k for k in range(len(octaves)))))


def moved(picture: Array, dx: Array | float, dy: Array | float, way: int = cv2.INTER_LINEAR) -> Array:
    """A picture whose pixels are taken from (x + dx, y + dy)."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    x, y = (x + dx).astype(np.float32), (y + dy).astype(np.float32)
    return np.asarray(cv2.remap(picture, x, y, way, borderMode=cv2.BORDER_REFLECT_101))


def wobbled(picture: Array, amount: float, scale: int, way: int = cv2.INTER_LINEAR) -> Array:
    """A picture with borders as of an unsteady hand: moved by ``amount`` pixels, in blots of ``scale``."""
    shape = picture.shape[:2]
    return moved(picture, amount * fractal(shape, scale), amount * fractal(shape, scale), way)


def stroke_directions(grey: Array, sigma: float, swirl: Array | float, edge: float = 12) -> Array:
    """Directions in radians: along edges stronger than ``edge``, and ``swirl`` where there are none."""
    along, sureness, strength = edge_directions(grey, sigma)
    edges = sureness * np.clip(strength / edge, 0, 1)
    sine = edges * np.sin(2 * along) + (1 - edges) * np.sin(2 * np.asarray(swirl))
    cosine = edges * np.cos(2 * along) + (1 - edges) * np.cos(2 * np.asarray(swirl))
    return np.asarray(np.arctan2(sine, cosine) / 2, np.float32)


def smeared(picture: Array, directions: Array, reach: int, step: float = 1.5) -> Array:
    """A picture averaged along directions, ``reach`` steps either way (line integral convolution)."""
    y0, x0 = np.mgrid[: directions.shape[0], : directions.shape[1]].astype(np.float32)
    total = picture.astype(np.float32).copy()
    for sign in (1, -1):
        x, y = x0, y0
        dx, dy = sign * np.cos(directions), sign * np.sin(directions)
        for _ in range(reach):
            x, y = x + step * dx, y + step * dy
            angle = cv2.remap(directions, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            nx, ny = np.cos(angle), np.sin(angle)
            flip = np.where(nx * dx + ny * dy < 0, -1, 1).astype(np.float32)
            dx, dy = nx * flip, ny * flip
            total += cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return total / (2 * reach + 1)


def even(picture: Array) -> Array:
    """The rank of each pixel from 0 to 1: every tone is used as much as any other."""
    order = picture.ravel().argsort(kind="stable").argsort()
    return (order.reshape(picture.shape) / order.size).astype(np.float32)


def steps(picture: Array, low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between them."""
    share = np.clip((picture - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def grey_of(rgb: Array) -> Array:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


def near_edge(labels: Array, thickness: int = 3) -> Array:
    """Return the mask of pixels at borders between labels."""
    labels = labels.astype(np.float32)
    box = np.ones((thickness, thickness), np.uint8)
    return np.asarray(cv2.dilate(labels, box) != cv2.erode(labels, box))


def into_edge(labels: Array) -> Array:
    """The distance in pixels to where labels meet."""
    return np.asarray(cv2.distanceTransform((~near_edge(labels)).astype(np.uint8), cv2.DIST_L2, 5))


def averages(picture: Array, labels: Array) -> Array:
    """The mean colour of each label, (labels, 3)."""
    flat = labels.ravel()
    counts = np.maximum(np.bincount(flat), 1)
    return np.stack([np.bincount(flat, plane.ravel()) / counts for plane in np.moveaxis(picture, 2, 0)], 1)


def more_colourful(rgb: Array, saturation: float, contrast: float = 1) -> Array:
    """Colours further from grey, and tones further from the middle; any shape (..., 3)."""
    rgb = np.asarray(rgb, np.float32)
    grey = rgb.mean(-1, keepdims=True)
    return np.asarray(np.clip(128 + contrast * (grey + saturation * (rgb - grey) - 128), 0, 255))


def tapered(canvas: Array, path: Array, width: float, colour: Colour) -> None:
    """A stroke along (N, 2) points that is pointed at both ends."""
    normals = np.stack([-np.gradient(path[:, 1]), np.gradient(path[:, 0])], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-6
    half = width / 2 * np.sin(np.linspace(0.12, np.pi - 0.06, len(path)))[:, None] ** 0.7
    outline = np.concatenate([path + half * normals, (path - half * normals)[::-1]])
    cv2.fillPoly(canvas, [np.rint(outline * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def scattered(shape: tuple[int, int], spacing: float) -> Array:
    """Points, (N, 2), on a grid from which each strays a little, in random order."""
    rows = [np.arange(spacing / 2, size, spacing) for size in shape[::-1]]
    points = np.stack(np.meshgrid(*rows), 2).reshape(-1, 2)
    return RNG.permutation(points + RNG.uniform(-0.45, 0.45, points.shape) * spacing)
