"""Brushes and papers: sprites of one stroke's opacity and paint height, and height maps of the paper's grain."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from vidtrans.core.errors import UsageError

LENGTH, BREADTH = 192, 64  # Size of a sprite along and across the stroke, in pixels, before it is scaled
NUM_SPRITES = 16  # Number of sprites of a brush: variants of one stroke, so that strokes differ
# Position along a stroke of each sprite column, (1, LENGTH) float32 from -1 (start) to 1 (end)
X = ((np.arange(LENGTH, dtype=np.float32) + 0.5) / LENGTH * 2 - 1)[None]
# Position across a stroke of each sprite row, (BREADTH, 1) float32 from -1 to 1
Y = ((np.arange(BREADTH, dtype=np.float32) + 0.5) / BREADTH * 2 - 1)[:, None]
TILE = 512  # Side of the repeating tile of paper grain, in pixels, for a picture whose short side is 480 pixels

Sprite = tuple[np.ndarray, np.ndarray]  # Opacity and paint height of a stroke, (BREADTH, LENGTH) each, in [0, 1]


def _smooth(noise: np.ndarray, along: float, across: float) -> np.ndarray:
    """Blur noise along and across the stroke by σ in pixels, and stretch its values to [0, 1]."""
    made = cv2.GaussianBlur(
        noise.astype(np.float32), (0, 0), sigmaX=along, sigmaY=across, borderType=cv2.BORDER_REFLECT
    )
    low, high = np.quantile(made, [0.02, 0.98])
    return np.clip((made - low) / max(high - low, 1e-6), 0, 1)


def _ramp(distance: np.ndarray, softness: float) -> np.ndarray:
    """Return a distance divided by the width ``softness`` of a soft edge, clipped to [0, 1]."""
    return np.clip(distance / softness, 0, 1)


def bristle(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a bristle brush: ridges along the stroke, higher at its sides, a round start, a ragged end."""
    # Ridges are at least a tenth of the stroke's width: finer ones flicker when they move by fractions of a pixel.
    hairs = _smooth(random.random((BREADTH, 1)), 1e-3, 2.4).repeat(LENGTH, 1)
    wander = _smooth(random.random((BREADTH, LENGTH)), 40, 2.2)
    ridges = 0.55 * hairs + 0.45 * wander
    round_ = 1 - np.sqrt(np.clip(1 - Y * Y, 0, 1))
    start = -1 + 0.24 * round_ + 0.08 * _smooth(random.random((BREADTH, 1)), 1e-3, 1.5)
    end = 1 - 0.45 * _smooth(random.random((BREADTH, 1)), 1e-3, 2) - 0.12 * round_
    edge = 1 - 0.16 * _smooth(random.random((1, LENGTH)), 14, 1e-3)
    cover = _ramp(X - start, 0.08) * _ramp(end - X, 0.2) * _ramp(edge - np.abs(Y), 0.2)
    dry = _ramp(1.15 - X - 0.9 * (1 - ridges), 0.35)  # The paint runs out between the hairs
    height = (0.25 + 0.75 * ridges) * (0.6 + 0.4 * np.exp(-(((np.abs(Y) - 0.8) / 0.22) ** 2))) * (1.1 - 0.1 * X)
    return cover * dry, np.minimum(height * cover, 1)


def knife(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a palette knife: flat paint with a thick rim at its end and sides, and torn edges."""
    ragged = _smooth(random.random((BREADTH, 1)), 1e-3, 2.5)
    torn = _smooth(random.random((BREADTH, LENGTH)), 10, 2.2)
    end = 1 - 0.22 * ragged
    edge = 1 - 0.1 * _smooth(random.random((1, LENGTH)), 9, 1e-3)
    cover = _ramp(X + 1 - 0.1 * (1 - ragged), 0.04) * _ramp(end - X, 0.05) * _ramp(edge - np.abs(Y), 0.07)
    rim = np.exp(-(((end - X) / 0.09) ** 2)) + 0.8 * np.exp(-(((edge - np.abs(Y)) / 0.1) ** 2))
    scrape = _smooth(random.random((BREADTH, LENGTH)), 30, 0.8)
    height = np.clip(0.35 + 0.22 * scrape + 0.25 * (torn > 0.7) * torn + 0.5 * rim, 0, 1)
    return cover, height * cover


def flat(random: np.random.Generator) -> Sprite:
    """Draw the sprite of an even, matt paint: soft streaks and nearly straight sides."""
    streaks = _smooth(random.random((BREADTH, LENGTH)), 50, 2.0)
    round_ = 0.16 * (1 - np.sqrt(np.clip(1 - Y * Y, 0, 1)))
    start = -1 + 0.1 * _smooth(random.random((BREADTH, 1)), 1e-3, 3) + round_
    end = 1 - 0.2 * _smooth(random.random((BREADTH, 1)), 1e-3, 2) - round_
    edge = 1 - 0.1 * _smooth(random.random((1, LENGTH)), 16, 1e-3)
    cover = _ramp(X - start, 0.05) * _ramp(end - X, 0.08) * _ramp(edge - np.abs(Y), 0.1)
    return cover, cover * (0.4 + 0.3 * streaks)


def wash(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a wash: a wide, soft-edged pool whose pigment gathers at the side that dried last."""
    angle = np.arctan2(Y, X)
    rim = 0.86 + sum(
        0.09 / k**0.7 * np.cos(k * angle + random.random() * 6.28) * random.random() for k in (2, 3, 5, 7, 11, 17)
    )
    distance = rim - np.sqrt(X * X + Y * Y)
    flow = _smooth(random.random((BREADTH, LENGTH)), 12, 8)
    cover = _ramp(distance, 0.12) * (0.72 + 0.25 * flow)
    low = np.clip(np.cos(angle - random.random() * 6.28), 0, 1)  # The side of the pool that dried last
    dried = low * np.where(distance < 0.06, np.exp(-(((distance - 0.06) / 0.03) ** 2)), np.exp((0.06 - distance) / 0.1))
    height = np.clip(0.2 + 0.5 * flow + 0.4 * dried, 0, 1)
    return cover, height * cover


def chalk(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a dry stick: even pressure and fading ends; the paper's grain later breaks it up."""
    press = np.interp(X[0], [-1, -0.8, 0.55, 1], [0.55, 1, 0.85, 0.3]).astype(np.float32)[None]
    side = _ramp(1 - 0.15 * _smooth(random.random((1, LENGTH)), 8, 1e-3) - np.abs(Y), 0.3)
    ends = _ramp(1 - np.abs(X), 0.08)
    grain = 0.65 * _smooth(random.random((BREADTH, LENGTH)), 22, 3.5)
    grain += 0.35 * _smooth(random.random((BREADTH, LENGTH)), 6, 5)
    cover = press * side * ends * (0.5 + 0.5 * grain)
    return cover, cover * (0.4 + 0.4 * grain)


def graphite(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a pencil line: strong at its start, thin at its end, a little broken."""
    press = np.interp(X[0], [-1, -0.76, 0.2, 1], [0.2, 1, 0.8, 0.0]).astype(np.float32)[None]
    grain = np.clip((_smooth(random.random((BREADTH, LENGTH)), 2.2, 5) - 0.3) * 3, 0, 1)
    cover = press * np.clip((1 - np.abs(Y)) * 2, 0, 1) * (0.4 + 0.6 * grain)
    return cover, cover


def nib(random: np.random.Generator) -> Sprite:
    """Draw the sprite of an ink line: solid, thickest in its middle, pointed at both ends."""
    swell = np.sqrt(np.clip(1 - np.abs(X) ** 2.2, 0, 1)) * (0.85 + 0.15 * _smooth(random.random((1, LENGTH)), 12, 1e-3))
    cover = _ramp(swell - np.abs(Y), 0.3)
    return cover, cover


def dab(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a dab with a round brush: a dot with a thick rim."""
    angle = np.arctan2(Y, X)
    rim = 0.9 + sum(0.06 / k * np.cos(k * angle + random.random() * 6.28) for k in (2, 3, 4))
    distance = rim - np.sqrt(X * X + Y * Y)
    cover = _ramp(distance, 0.14)
    streaks = _smooth(random.random((BREADTH, LENGTH)), 14, 2)
    height = np.clip(0.45 + 0.25 * streaks + 0.35 * np.exp(-(((distance - 0.14) / 0.1) ** 2)), 0, 1)
    return cover, height * cover


def glow(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a line of light: bright in its middle, fading to all sides."""
    cover = np.exp(-3.5 * Y * Y) * _ramp(1 - np.abs(Y), 0.4) * np.sqrt(_ramp(1 - np.abs(X), 0.6))
    return cover, cover


def crayon(random: np.random.Generator) -> Sprite:
    """Draw the sprite of a wax crayon: thick, round at both ends, with streaks where wax is missing."""
    press = np.interp(X[0], [-1, -0.85, 0.5, 1], [0.8, 1, 0.95, 0.7]).astype(np.float32)[None]
    streaks = 0.4 * _smooth(random.random((BREADTH, LENGTH)), 30, 4)
    streaks += 0.6 * _smooth(random.random((BREADTH, LENGTH)), 3, 5)
    corner = np.clip((np.abs(X) - 1) * LENGTH / BREADTH + 1, 0, 1)  # Round ends, in half widths
    edge = 0.95 - 0.2 * _smooth(random.random((1, LENGTH)), 6, 1e-3)
    cover = press * _ramp(edge - np.sqrt(Y * Y + corner * corner), 0.2) * (0.25 + 0.75 * streaks)
    return cover, cover * (0.4 + 0.6 * streaks)


# Functions that draw a sprite with a random generator, by brush name
BRUSHES: dict[str, Callable[[np.random.Generator], Sprite]] = {
    made.__name__: made for made in (bristle, knife, flat, wash, chalk, graphite, nib, dab, crayon, glow)
}


@lru_cache(maxsize=16)
def sprites(brush: str) -> np.ndarray:
    """Return the opacity and height of a procedural brush's sprites, (NUM_SPRITES, BREADTH, LENGTH, 2) in [0, 1]."""
    planes = [np.dstack(BRUSHES[brush](np.random.default_rng(k))) for k in range(NUM_SPRITES)]
    return np.stack(planes).astype(np.float32)


def read_brush(path: Path) -> np.ndarray:
    """Read a brush from a picture: alpha is the opacity, grey the paint's height; without alpha, grey is both.

    The stroke lies along the longer side. Mirrored copies make four sprites. Raises UsageError if the file is not a
    picture, or is black.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise UsageError(str(path), "not a picture", "a brush is a grey PNG, white where paint is laid")
    planes = picture.astype(np.float32) * np.float32(1 / np.iinfo(picture.dtype).max)
    grey = planes if planes.ndim == 2 else planes[..., :3].mean(2)
    cover = planes[..., 3] if planes.ndim == 3 and planes.shape[2] == 4 else grey
    both = np.dstack([cover, grey * cover])
    if both.shape[0] > both.shape[1]:
        both = both.transpose(1, 0, 2)
    both = cv2.resize(np.ascontiguousarray(both), (LENGTH, BREADTH), interpolation=cv2.INTER_AREA)
    if both[..., 0].max() < 0.02:
        raise UsageError(str(path), "a brush without light leaves no mark", "a brush is white where paint is laid")
    return np.stack([both, both[::-1], both[:, ::-1], both[::-1, ::-1]]).astype(np.float32)


def shrink_sprites(images: np.ndarray, across: float, along: float) -> np.ndarray:
    """Shrink sprites, (n, BREADTH, LENGTH, 2), to about the size at which they are drawn.

    ``across`` and ``along``: this size across and along the stroke, in pixels. Otherwise small strokes would alias.
    """
    rows, columns = min(BREADTH, max(5, round(across) + 2)), min(LENGTH, max(6, round(along) + 2))
    if (rows, columns) == images.shape[1:3]:
        return images
    return np.stack([cv2.resize(one, (columns, rows), interpolation=cv2.INTER_AREA) for one in images])


@lru_cache(maxsize=8)
def paper(kind: str, scale: float) -> np.ndarray:
    """Return the repeating grain of a paper, (N, N) float32 heights in [0, 1]: 0 is the deepest hollow.

    ``scale``: the picture's lines, divided by 480. Kinds: "smooth", "fine" (drawing paper), "rough" (pastel paper),
    "canvas" (woven), "laid", "pitted" (watercolour paper), "tooth" (for chalks and crayons).
    """
    side = max(64, round(TILE * scale))
    random = np.random.default_rng(7)
    if kind == "smooth":
        return np.full((8, 8), 0.5, np.float32)
    if kind == "canvas":
        threads = max(8, round(side / (3.6 * scale)))
        place = np.arange(side, dtype=np.float32) / side * threads
        warp, weft = np.abs(np.sin(np.pi * place)), np.abs(np.sin(np.pi * place))
        over = (np.floor(place)[:, None] + np.floor(place)[None]) % 2
        made = np.where(over > 0, warp[:, None] * 0.75 + 0.25 * weft[None], weft[None] * 0.75 + 0.25 * warp[:, None])
        return _stretch(made + 0.5 * _noise(random, side, 1.2 * scale))
    if kind == "laid":
        lines = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(side) / side * max(8, round(side / (3.2 * scale))))
        return _stretch(0.8 * lines[:, None] + _noise(random, side, 1.0 * scale))
    if kind == "tooth":
        return _stretch(_noise(random, side, 1.0 * scale) + 0.6 * _noise(random, side, 2.0 * scale))
    if kind == "rough":
        return _stretch(_noise(random, side, 1.5 * scale) + 0.8 * _noise(random, side, 3.2 * scale))
    if kind == "pitted":
        pits = np.exp(-0.7 * _noise(random, side, 1.3 * scale)) + np.exp(-0.7 * _noise(random, side, 0.7 * scale))
        return _stretch(-pits)
    return _stretch(_noise(random, side, 0.75 * scale))


def _noise(random: np.random.Generator, side: int, sigma: float) -> np.ndarray:
    """Return blurred noise of unit standard deviation, (side, side), that tiles without a seam."""
    margin = int(4 * sigma) + 2
    noise = np.pad(random.random((side, side)).astype(np.float32), margin, mode="wrap")
    made = cv2.GaussianBlur(noise, (0, 0), max(sigma, 0.3))[margin:-margin, margin:-margin]
    return (made - made.mean()) / made.std()


def _stretch(values: np.ndarray) -> np.ndarray:
    """Stretch values linearly so that their 1st and 99th percentiles become 0 and 1; clip the rest."""
    low, high = np.quantile(values, [0.01, 0.99])
    return np.ascontiguousarray(np.clip((values - low) / (high - low), 0, 1), dtype=np.float32)
