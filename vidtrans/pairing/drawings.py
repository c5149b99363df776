"""Drawings: detection, and conversion of scans or photographs of paper to ink on white.

Most of the page is paper, and its brightness changes slowly: a smooth surface is fitted to it (as for uneven
illumination in document pictures), and ink is whatever is darker than that surface.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.pairing.base import DrawingKind
from vidtrans.video.images.picture import resize

_SIDE = 512  # long side, in pixels, that a picture is judged at
_PAPER_SHARE, _FLAT_SHARE = 0.75, 0.95
_THICKEST = 13  # pixels, of a stroke
SHORT = 128  # the paper's light is looked for on a picture whose short side has this many pixels
DARKEST_PAPER = 64.0  # ink is measured against paper at least this bright, so that noise on a black page is no ink
DEEP = 0.5  # a shadow that leaves less of the light than this is none, but ink
SOLID = 0.6  # ink that takes this share of the paper's light is black even where nothing darker is near


def is_drawing(rgb: np.ndarray, kind: DrawingKind) -> bool:
    """Return whether a picture, (H, W, 3) uint8, is drawn in ``lines`` on plain paper, or painted in ``flats``."""
    scale = _SIDE / max(rgb.shape[:2])
    if scale < 1:
        rgb = resize(rgb, max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return _is_line_drawing(rgb) if kind == "lines" else _is_flat(rgb) if kind == "flats" else False


def _is_line_drawing(rgb: np.ndarray) -> bool:
    """Return whether a picture is colourless, mostly bare paper, and otherwise thin strokes.

    Measured: at least 0.92 of six outlines and a drawing is bare paper, at most 0.70 of 20 photographs and frames;
    cut-outs of people on white reach 0.86, but are not strokes.
    """
    inked = ink(rgb)
    strokes = (inked >= 128).astype(np.uint8)
    box = np.ones((_THICKEST, _THICKEST), np.uint8)
    thick = cv2.morphologyEx(strokes, cv2.MORPH_OPEN, box).sum() / max(1, int(strokes.sum()))
    colourless = (rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2) < 48).mean()
    return bool((inked == 0).mean() >= _PAPER_SHARE and strokes.any() and thick <= 0.3 and colourless >= 0.9)


def _is_flat(rgb: np.ndarray) -> bool:
    """Return whether a few colours make up nearly all of a picture, apart from borders."""
    coarse = (rgb >> 3).astype(np.int32)
    _, counts = np.unique(coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2], return_counts=True)
    return bool(np.sort(counts)[-16:].sum() / counts.sum() >= _FLAT_SHARE)


def ink(picture: np.ndarray) -> np.ndarray:
    """Convert a drawing (H, W, 3) uint8 to (H, W) uint8: 0 is bare paper, 255 full ink. An empty page is all 0.

    White on black is detected and inverted; paper may be grey, tinted and unevenly lit.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if _is_dark_ground(grey):
        grey = 255 - grey
    return ink_on(_paper(grey), grey)


def ink_on(paper: np.ndarray | float, grey: np.ndarray) -> np.ndarray:
    """Return the ink, (H, W) uint8 from 0 to 255, of (H, W) uint8 on ``paper`` of this brightness, 0 to 255."""
    # The share of the paper's light that ink takes away.
    taken = np.maximum(paper - grey, 0) / np.maximum(paper, DARKEST_PAPER)
    bare = taken[taken < 0.15]
    white = 0.05 + 2 * float(bare.std()) if bare.size else 0.05
    inked = taken[taken > white + 0.08]
    # Pencil never gets as dark as ink: the darker strokes of this page are its black. A few specks are no strokes.
    black = float(np.percentile(inked, 80)) if inked.size > 0.0003 * taken.size else SOLID
    black = min(max(black, white + 0.2), max(SOLID, white + 0.2))
    return np.rint(np.clip((taken - white) / (black - white), 0, 1) * 255).astype(np.uint8)


def _is_dark_ground(grey: np.ndarray) -> bool:
    """Return whether the ground of (H, W) uint8 is dark: most of it is nearer the local minimum than the maximum."""
    small = _small(grey).astype(np.float32)
    side = min(small.shape) // 4 | 1
    box = np.ones((side, side), np.uint8)
    high, low = cv2.dilate(small, box), cv2.erode(small, box)
    weight = np.square(high - low)  # only where something is drawn is it seen what is ground
    return bool((np.sign(2 * small - high - low) * weight).sum() < 0)


def _paper(grey: np.ndarray) -> np.ndarray:
    """Return the local brightness of the bare paper, (H, W) float32, for (H, W) uint8 with a light ground."""
    small = _small(grey).astype(np.float32)
    slope = np.maximum(_surface(small), 1)  # the light's trend over the page, into its corners
    level = small / slope
    # What is left are shadows, which closing follows; what is narrower than its window, strokes, it bridges. Where
    # that still finds deep darkness it is a fill, and the paper below it is as around.
    side = min(small.shape) // 8 | 1
    level = cv2.morphologyEx(level, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    level = np.where(level < DEEP, 1, level)
    level = cv2.GaussianBlur(level, (0, 0), max(min(small.shape) / 32, 0.5), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(slope * level, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _surface(small: np.ndarray) -> np.ndarray:
    """Return the quadratic surface fitted to the bright pixels of (h, w) float32, in at most three iterations."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in small.shape)
    ones = np.ones_like(small)
    gx, gy = ones * x, ones * y[:, None]
    basis = np.stack([ones, gx, gy, gx * gx, gx * gy, gy * gy], axis=-1).reshape(-1, 6)
    values = small.reshape(-1)
    # Starts from above the median, so that ink has no say; then each fit throws out what lies far below it.
    is_paper = values >= np.median(values)
    for _ in range(3):
        fitted = basis @ np.linalg.lstsq(basis[is_paper], values[is_paper], rcond=None)[0]
        is_paper = values >= 0.9 * fitted
        if is_paper.sum() < 0.1 * is_paper.size:
            break
    return np.asarray(np.clip(fitted, 0, 255), np.float32).reshape(small.shape)


def _small(grey: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8 denoised by a median and shrunk to a short side of at most ``SHORT`` pixels."""
    scale = SHORT / min(grey.shape)
    calm = cv2.medianBlur(grey, 3)
    if scale >= 1:
        return calm
    height, width = (max(1, round(n * scale)) for n in grey.shape)
    return cv2.resize(calm, (width, height), interpolation=cv2.INTER_AREA)
