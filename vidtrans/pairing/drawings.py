"""Drawings: detect whether a picture is one, and convert scans or photographs of paper to ink on white.

Most of the page is paper, whose brightness changes slowly. A smooth surface is fitted to it, as is usual for uneven
illumination of documents, and pixels darker than this surface are ink.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.pairing.base import DrawingKind
from vidtrans.video.images.picture import resize

_DETECTION_SIDE = 512  # Long side, in pixels, of the picture in which a drawing is detected
# Least share of bare paper in a line drawing, and of the 16 most frequent colours in a drawing of flat areas
_MIN_PAPER_SHARE, _MIN_FLAT_SHARE = 0.75, 0.95
_MAX_STROKE_WIDTH = 13  # Largest width of a thin stroke, in pixels of that picture
PAPER_SIDE = 128  # Short side, in pixels, of the picture in which the paper's brightness is estimated
MIN_PAPER_LEVEL = 64.0  # Least assumed grey level of paper, 0 to 255, so that noise on a black page is not ink
MIN_SHADOW_LIGHT = 0.5  # Least brightness of paper in a shadow, relative to lit paper; darker areas are ink
BLACK_ABSORPTION = 0.6  # Share of the paper's light; ink that absorbs more is always black, on any page


def is_drawing(rgb: np.ndarray, kind: DrawingKind) -> bool:
    """Return whether a picture, (H, W, 3) uint8, is a drawing: "lines" on plain paper, or painted "flats" (areas)."""
    scale = _DETECTION_SIDE / max(rgb.shape[:2])
    if scale < 1:
        rgb = resize(rgb, max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return _is_line_drawing(rgb) if kind == "lines" else _is_flat(rgb) if kind == "flats" else False


def _is_line_drawing(rgb: np.ndarray) -> bool:
    """Return whether a picture is colourless, mostly bare paper, and otherwise thin strokes.

    Measured: of six outlines and a drawing at least 0.92 is bare paper, of 20 photographs and frames at most 0.70;
    cut-outs of people on white reach 0.86, but are not strokes.
    """
    ink_levels = ink(rgb)
    strokes = (ink_levels >= 128).astype(np.uint8)
    box = np.ones((_MAX_STROKE_WIDTH, _MAX_STROKE_WIDTH), np.uint8)
    thick = cv2.morphologyEx(strokes, cv2.MORPH_OPEN, box).sum() / max(1, int(strokes.sum()))
    colourless = (rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2) < 48).mean()
    return bool((ink_levels == 0).mean() >= _MIN_PAPER_SHARE and strokes.any() and thick <= 0.3 and colourless >= 0.9)


def _is_flat(rgb: np.ndarray) -> bool:
    """Return whether the 16 most frequent colours make up nearly all of a picture."""
    coarse = (rgb >> 3).astype(np.int32)
    _, counts = np.unique(coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2], return_counts=True)
    return bool(np.sort(counts)[-16:].sum() / counts.sum() >= _MIN_FLAT_SHARE)


def ink(picture: np.ndarray) -> np.ndarray:
    """Convert a drawing (H, W, 3) uint8 to ink levels (H, W) uint8: 0 is bare paper, 255 full ink.

    An empty page is all 0. White on black is detected and inverted; paper may be grey, tinted and unevenly lit.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if _has_dark_background(grey):
        grey = 255 - grey
    return ink_on(_paper_brightness(grey), grey)


def ink_on(paper: np.ndarray | float, grey: np.ndarray) -> np.ndarray:
    """Return the ink levels, (H, W) uint8, of a grey picture, (H, W) uint8, on paper of a known brightness.

    ``paper``: the brightness, 0 to 255, for the whole picture or for each pixel.
    """
    # The share of the paper's light that the ink absorbs
    absorbed = np.maximum(paper - grey, 0) / np.maximum(paper, MIN_PAPER_LEVEL)
    bare = absorbed[absorbed < 0.15]
    white = 0.05 + 2 * float(bare.std()) if bare.size else 0.05
    ink_levels = absorbed[absorbed > white + 0.08]
    # Pencil is lighter than ink, so the darkest fifth of the inked pixels defines black, unless they are a few specks.
    black = float(np.percentile(ink_levels, 80)) if ink_levels.size > 0.0003 * absorbed.size else BLACK_ABSORPTION
    black = min(max(black, white + 0.2), max(BLACK_ABSORPTION, white + 0.2))
    return np.rint(np.clip((absorbed - white) / (black - white), 0, 1) * 255).astype(np.uint8)


def _has_dark_background(grey: np.ndarray) -> bool:
    """Return whether the background, most of a grey picture (H, W) uint8, is darker than the strokes.

    It is if most pixels are nearer to the local minimum than to the local maximum.
    """
    small = _shrink_denoised(grey).astype(np.float32)
    side = min(small.shape) // 4 | 1
    box = np.ones((side, side), np.uint8)
    high, low = cv2.dilate(small, box), cv2.erode(small, box)
    weight = np.square(high - low)  # Background and strokes can be distinguished only near strokes
    return bool((np.sign(2 * small - high - low) * weight).sum() < 0)


def _paper_brightness(grey: np.ndarray) -> np.ndarray:
    """Estimate the local brightness of the bare paper, (H, W) float32, in a grey picture, (H, W) uint8.

    The background must be light.
    """
    small = _shrink_denoised(grey).astype(np.float32)
    slope = np.maximum(_fit_surface(small), 1)  # The trend of the light over the page, including its corners
    level = small / slope
    # Morphological closing removes strokes, which are narrower than its window, and leaves shadows. Areas that are
    # still very dark are filled with ink, and the paper below them is assumed to be as bright as its surroundings.
    side = min(small.shape) // 8 | 1
    level = cv2.morphologyEx(level, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    level = np.where(level < MIN_SHADOW_LIGHT, 1, level)
    level = cv2.GaussianBlur(level, (0, 0), max(min(small.shape) / 32, 0.5), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(slope * level, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _fit_surface(small: np.ndarray) -> np.ndarray:
    """Fit a quadratic surface to the brightness of the paper, (h, w) float32, in at most three iterations."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in small.shape)
    ones = np.ones_like(small)
    gx, gy = ones * x, ones * y[:, None]
    basis = np.stack([ones, gx, gy, gx * gx, gx * gy, gy * gy], axis=-1).reshape(-1, 6)
    values = small.reshape(-1)
    # The first fit uses pixels above the median, which exclude ink. Each further fit excludes pixels far below the
    # surface that was fitted last.
    is_paper = values >= np.median(values)
    for _ in range(3):
        fitted = basis @ np.linalg.lstsq(basis[is_paper], values[is_paper], rcond=None)[0]
        is_paper = values >= 0.9 * fitted
        if is_paper.sum() < 0.1 * is_paper.size:
            break
    return np.asarray(np.clip(fitted, 0, 255), np.float32).reshape(small.shape)


def _shrink_denoised(grey: np.ndarray) -> np.ndarray:
    """Denoise a grey picture (H, W) uint8 by a median; shrink it to a short side of at most ``PAPER_SIDE`` pixels."""
    scale = PAPER_SIDE / min(grey.shape)
    denoised = cv2.medianBlur(grey, 3)
    if scale >= 1:
        return denoised
    height, width = (max(1, round(n * scale)) for n in grey.shape)
    return cv2.resize(denoised, (width, height), interpolation=cv2.INTER_AREA)
